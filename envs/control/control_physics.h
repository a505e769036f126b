/* SPDX-License-Identifier: MIT */
/* The interface to MuJoCo: models of bodies, and runs of them. In a build without MuJoCo (configure
 * --with-mujoco) every load fails.
 *
 * A model is read-only and thread-safe. One thread at a time uses a run. A run depends only on its
 * positions and velocities, so it has the same bits on any thread. */
#ifndef RG_ENVS_CONTROL_CONTROL_PHYSICS_H
#define RG_ENVS_CONTROL_CONTROL_PHYSICS_H

#include "core/base.h"

typedef struct RgPhysics RgPhysics;       /* a model */
typedef struct RgPhysicsRun RgPhysicsRun; /* the state of one */

typedef struct RgPhysicsSize {
    int64_t positions, velocities, controls;
} RgPhysicsSize;

/* The version of MuJoCo that runs, "2.2.2"; NULL in a build without it. */
const char *rg_physics_library(void);

/* Read a model in MJCF; the caller destroys it. RG_E_FILE, RG_E_FORMAT; without MuJoCo
 * RG_E_USAGE. */
RgStatus rg_physics_load(const char *path, RgPhysics **physics, RgError *error);
void rg_physics_destroy(RgPhysics *physics);

RgPhysicsSize rg_physics_size(const RgPhysics *physics);
/* Offset of a sensor's numbers among those of all sensors; −1 if the model has no sensor of that
 * name with this many numbers. */
int64_t rg_physics_sensor(const RgPhysics *physics, const char *name, int64_t numbers);

/* A run at the model's own initial pose, at rest. */
RgPhysicsRun *rg_physics_begin(const RgPhysics *physics);
void rg_physics_end(RgPhysicsRun *run);

/* Its state, to be read, and to be set before rg_physics_settle; controls are −1 to 1. */
double *rg_physics_positions(RgPhysicsRun *run);
double *rg_physics_velocities(RgPhysicsRun *run);
double *rg_physics_controls(RgPhysicsRun *run);
const double *rg_physics_sensors(const RgPhysicsRun *run);

/* Update the sensors to the state that was set. False if the physics failed. */
bool rg_physics_settle(RgPhysicsRun *run);
/* Advance by `steps` time steps with constant controls, and update the sensors. False if the
 * physics failed: numbers are not finite or too large, or MuJoCo gave up. The run is then over. */
bool rg_physics_advance(RgPhysicsRun *run, int64_t steps);

#endif
