/* SPDX-License-Identifier: MIT */
/* MuJoCo for the control environment. On an error MuJoCo would end the program or write a log file
 * into the working directory; here it only fails the run concerned. */
#include "envs/control/control_physics.h"

#ifdef RG_MUJOCO

#include <math.h>
#include <mujoco/mujoco.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(sizeof(mjtNum) == sizeof(double), "MuJoCo is built with 64-bit numbers");

struct RgPhysics {
    mjModel *model;
};

struct RgPhysicsRun {
    const mjModel *model;
    mjData *data;
    bool failed;
};

const char *rg_physics_library(void) {
    return mj_versionString();
}

/* ---- MuJoCo's errors ---- */

static _Thread_local jmp_buf *rescue; /* where this thread continues after an error */
static _Thread_local char last_error[256];

/* MuJoCo assumes that an error ends the program, so this must not return. */
static void take_error(const char *message) {
    snprintf(last_error, sizeof last_error, "%s", message);
    if (rescue)
        longjmp(*rescue, 1);
    fprintf(stderr, "regatta: MuJoCo: %s\n", message);
    abort();
}

/* Warnings are counted in each run's data and checked there. */
static void take_warning(const char *message) {
    (void)message;
}

static void install_handlers(void) {
    mju_user_error = take_error;
    mju_user_warning = take_warning;
}

/* ---- models ---- */

static mjModel *load_model(const char *path, char *message, int room) {
    jmp_buf here;
    mjModel *volatile model = NULL;
    if (setjmp(here) == 0) {
        rescue = &here;
        model = mj_loadXML(path, NULL, message, room);
    } else {
        snprintf(message, (size_t)room, "%s", last_error);
        model = NULL;
    }
    rescue = NULL;
    mj_freeLastXML();
    return model;
}

RgStatus rg_physics_load(const char *path, RgPhysics **physics, RgError *error) {
    *physics = NULL;
    FILE *file = fopen(path, "r"); /* MuJoCo reports a missing file like an invalid one */
    if (!file)
        return rg_fail(error, RG_E_FILE, "%s: cannot be opened, expected a model in MJCF", path);
    fclose(file);
    install_handlers();
    char message[512] = "";
    mjModel *model = load_model(path, message, sizeof message);
    if (!model)
        return rg_fail(error, RG_E_FORMAT, "%s: not a model in MJCF: %s", path, message);
    *physics = rg_allocate(1, sizeof **physics);
    (*physics)->model = model;
    return RG_OK;
}

void rg_physics_destroy(RgPhysics *physics) {
    if (!physics)
        return;
    mj_deleteModel(physics->model);
    free(physics);
}

RgPhysicsSize rg_physics_size(const RgPhysics *physics) {
    const mjModel *m = physics->model;
    return (RgPhysicsSize){.positions = m->nq, .velocities = m->nv, .controls = m->nu};
}

int64_t rg_physics_sensor(const RgPhysics *physics, const char *name, int64_t numbers) {
    const mjModel *m = physics->model;
    int id = mj_name2id(m, mjOBJ_SENSOR, name);
    return id >= 0 && m->sensor_dim[id] == numbers ? m->sensor_adr[id] : -1;
}

/* ---- runs ---- */

RgPhysicsRun *rg_physics_begin(const RgPhysics *physics) {
    RgPhysicsRun *run = rg_allocate(1, sizeof *run);
    run->model = physics->model;
    run->data = mj_makeData(physics->model);
    RG_ASSERT(run->data);
    return run;
}

void rg_physics_end(RgPhysicsRun *run) {
    if (!run)
        return;
    mj_deleteData(run->data);
    free(run);
}

double *rg_physics_positions(RgPhysicsRun *run) {
    return run->data->qpos;
}

double *rg_physics_velocities(RgPhysicsRun *run) {
    return run->data->qvel;
}

double *rg_physics_controls(RgPhysicsRun *run) {
    return run->data->ctrl;
}

const double *rg_physics_sensors(const RgPhysicsRun *run) {
    return run->data->sensordata;
}

static bool all_finite(const double *number, int count) {
    for (int i = 0; i < count; i++)
        if (!isfinite(number[i]))
            return false;
    return true;
}

/* After a bad state MuJoCo continues from the initial pose, and only its counts show it. A contact
 * or constraint that exceeded its buffers was left out, which is a failure, too. */
static bool is_sound(const RgPhysicsRun *run) {
    static const int fatal[] = {mjWARN_INERTIA, mjWARN_CONTACTFULL, mjWARN_CNSTRFULL,
                                mjWARN_BADQPOS, mjWARN_BADQVEL,     mjWARN_BADQACC,
                                mjWARN_BADCTRL};
    const mjData *d = run->data;
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        if (d->warning[fatal[i]].number > 0)
            return false;
    return all_finite(d->qpos, run->model->nq) && all_finite(d->qvel, run->model->nv) &&
           all_finite(d->sensordata, run->model->nsensordata);
}

static void settle(const RgPhysicsRun *run, int64_t steps) {
    (void)steps;
    mj_forward(run->model, run->data);
}

/* Compute the second half of a time step first. Between calls, all quantities derived from
 * positions and velocities then belong to the current state, not to the previous one. */
static void advance(const RgPhysicsRun *run, int64_t steps) {
    for (int64_t i = 0; i < steps; i++) {
        mj_step2(run->model, run->data);
        mj_step1(run->model, run->data);
    }
}

static bool guarded(RgPhysicsRun *run, void (*work)(const RgPhysicsRun *, int64_t), int64_t steps) {
    jmp_buf here;
    if (run->failed)
        return false;
    if (setjmp(here) == 0) {
        rescue = &here;
        work(run, steps);
        run->failed = !is_sound(run);
    } else {
        run->failed = true;
    }
    rescue = NULL;
    return !run->failed;
}

bool rg_physics_settle(RgPhysicsRun *run) {
    return guarded(run, settle, 0);
}

bool rg_physics_advance(RgPhysicsRun *run, int64_t steps) {
    return guarded(run, advance, steps);
}

#else

const char *rg_physics_library(void) {
    return NULL;
}

RgStatus rg_physics_load(const char *path, RgPhysics **physics, RgError *error) {
    (void)path;
    *physics = NULL;
    return rg_fail(error, RG_E_USAGE,
                   "control needs MuJoCo: install libmujoco-dev and configure --with-mujoco");
}

void rg_physics_destroy(RgPhysics *physics) {
    RG_ASSERT(!physics);
}

RgPhysicsSize rg_physics_size(const RgPhysics *physics) {
    (void)physics;
    return (RgPhysicsSize){0};
}

int64_t rg_physics_sensor(const RgPhysics *physics, const char *name, int64_t numbers) {
    (void)physics, (void)name, (void)numbers;
    return -1;
}

RgPhysicsRun *rg_physics_begin(const RgPhysics *physics) {
    (void)physics;
    return NULL;
}

void rg_physics_end(RgPhysicsRun *run) {
    RG_ASSERT(!run);
}

double *rg_physics_positions(RgPhysicsRun *run) {
    (void)run;
    return NULL;
}

double *rg_physics_velocities(RgPhysicsRun *run) {
    (void)run;
    return NULL;
}

double *rg_physics_controls(RgPhysicsRun *run) {
    (void)run;
    return NULL;
}

const double *rg_physics_sensors(const RgPhysicsRun *run) {
    (void)run;
    return NULL;
}

bool rg_physics_settle(RgPhysicsRun *run) {
    (void)run;
    return false;
}

bool rg_physics_advance(RgPhysicsRun *run, int64_t steps) {
    (void)run, (void)steps;
    return false;
}

#endif
