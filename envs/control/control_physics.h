/* SPDX-License-Identifier: MIT */
/* The door to MuJoCo: models of bodies, and runs of them. Without it (configure --with-mujoco)
 * there is a door, too, but every load fails.
 *
 * A model is read only and serves all threads; a run is one thread's at a time, and starts from
 * nothing but its positions and velocities, so that it is the same bits on any thread. */
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

/* Read a model in MJCF. RG_E_USAGE without MuJoCo, RG_E_FILE, RG_E_FORMAT. */
RgStatus rg_physics_load(const char *path, RgPhysics **physics, RgError *error);
void rg_physics_destroy(RgPhysics *physics);

RgPhysicsSize rg_physics_size(const RgPhysics *physics);
/* Where a sensor's numbers are among those of all, −1 when the model has no sensor of that name and
 * so many numbers. */
int64_t rg_physics_sensor(const RgPhysics *physics, const char *name, int64_t numbers);

/* A run at the model's own initial pose, at rest. */
RgPhysicsRun *rg_physics_begin(const RgPhysics *physics);
void rg_physics_end(RgPhysicsRun *run);

/* Its state, to be read and (before rg_physics_settle) set; controls are −1 to 1. */
double *rg_physics_positions(RgPhysicsRun *run);
double *rg_physics_velocities(RgPhysicsRun *run);
double *rg_physics_controls(RgPhysicsRun *run);
const double *rg_physics_sensors(const RgPhysicsRun *run);

/* Bring the sensors up to the state as it was set. False when the physics failed. */
bool rg_physics_settle(RgPhysicsRun *run);
/* So many time steps with the controls as they are; the sensors are those of the new state. False
 * when the physics failed: numbers are not finite or too large, or MuJoCo gave up. Such a run is
 * over. */
bool rg_physics_advance(RgPhysicsRun *run, int64_t steps);

#endif
