/* SPDX-License-Identifier: MIT */
/* The tasks of the control environment. This file does not use MuJoCo. */
#include "envs/control/control_tasks.h"

#include <math.h>

enum { ROOTS = 3, JOINTS = 6 }; /* of a runner: x, z and pitch; then the joints */

static const double bound = 5; /* of an observation */

/* NaN stays NaN, so that a failure is visible. */
static float bounded(double value, double scale) {
    double scaled = value / scale;
    return (float)(scaled > bound ? bound : scaled < -bound ? -bound : scaled);
}

/* Uniform in ±spread. */
static double around_zero(RgRandom random, uint64_t counter, double spread) {
    return spread * (2 * rg_random_uniform(random, counter) - 1);
}

/* ---- tolerances: 1 for a good value, less with its distance from that ---- */

/* Falls like a Gaussian, to 0.1 at distance `margin`. */
static double gaussian_tolerance(double distance, double margin) {
    if (distance <= 0)
        return 1;
    double far = distance / margin;
    return exp(far * far * log(0.1));
}

/* Falls linearly, to `value` at distance `margin`, and on to 0. */
static double linear_tolerance(double distance, double margin, double value) {
    if (distance <= 0)
        return 1;
    return fmax(0, 1 - (1 - value) * distance / margin);
}

/* ---- walker and cheetah ---- */

/* The units of a runner's observations. */
typedef struct RunnerScale {
    double height, height_scale; /* m: (height − this) / this */
    double forward;              /* m/s */
} RunnerScale;

static const RunnerScale walker_scale = {1.2, 0.3, 1}, cheetah_scale = {0.5, 0.2, 2};

static void observe_runner(RgPhysicsRun *run, const double *const *sensor, const RunnerScale *scale,
                           float *o) {
    const double *position = rg_physics_positions(run), *velocity = rg_physics_velocities(run);
    const double *place = sensor[0], *up = sensor[1], *speed = sensor[2];
    o[RG_RUNNER_HEIGHT] = bounded(place[2] - scale->height, scale->height_scale);
    o[RG_RUNNER_UPRIGHT] = bounded(up[2], 1);
    o[RG_RUNNER_TILT] = bounded(up[0], 1);
    o[RG_RUNNER_FORWARD] = bounded(speed[0], scale->forward);
    o[RG_RUNNER_UPWARD] = bounded(speed[2], 1);
    o[RG_RUNNER_TURNING] = bounded(velocity[ROOTS - 1], 5);
    for (int i = 0; i < JOINTS; i++) {
        o[RG_RUNNER_JOINTS + i] = bounded(position[ROOTS + i], 1);
        o[RG_RUNNER_JOINT_SPEEDS + i] = bounded(velocity[ROOTS + i], 10);
    }
}

static void observe_walker(RgPhysicsRun *run, const double *const *sensor,
                           const RgControlGoal *goal, float *observation) {
    (void)goal;
    observe_runner(run, sensor, &walker_scale, observation);
}

static void observe_cheetah(RgPhysicsRun *run, const double *const *sensor,
                            const RgControlGoal *goal, float *observation) {
    (void)goal;
    observe_runner(run, sensor, &cheetah_scale, observation);
}

/* One leg slightly ahead of the other, knees bent, almost upright and almost at rest. */
static void begin_walker(RgPhysicsRun *run, RgRandom random, RgControlGoal *goal) {
    (void)goal;
    double *position = rg_physics_positions(run), *velocity = rg_physics_velocities(run);
    position[2] = around_zero(random, 0, 0.1);
    for (int leg = 0; leg < 2; leg++) {
        double *hip = position + ROOTS + 3 * leg;
        double knee = 0.05 + 0.25 * rg_random_uniform(random, 1 + (uint64_t)leg);
        hip[0] = knee / 2 + around_zero(random, 3 + (uint64_t)leg, 0.25);
        hip[1] = knee;
        hip[2] = around_zero(random, 5 + (uint64_t)leg, 0.1);
    }
    velocity[0] = around_zero(random, 7, 0.2);
    for (int i = ROOTS; i < ROOTS + JOINTS; i++)
        velocity[i] = around_zero(random, 8 + (uint64_t)i, 0.1);
}

static void begin_cheetah(RgPhysicsRun *run, RgRandom random, RgControlGoal *goal) {
    (void)goal;
    double *position = rg_physics_positions(run), *velocity = rg_physics_velocities(run);
    position[2] = around_zero(random, 0, 0.1);
    for (int i = 0; i < JOINTS; i++) {
        position[ROOTS + i] = around_zero(random, 1 + (uint64_t)i, 0.15);
        velocity[ROOTS + i] = around_zero(random, 16 + (uint64_t)i, 0.1);
    }
}

/* Walk at 1 m/s: standing × moving; standing alone gives a sixth. */
static double reward_walker(const float *o) {
    const double stand_height = 1.2, walk_speed = 1;
    double height = o[RG_RUNNER_HEIGHT] * walker_scale.height_scale + walker_scale.height;
    double standing = gaussian_tolerance(stand_height - height, stand_height / 2);
    double upright = (1 + o[RG_RUNNER_UPRIGHT]) / 2;
    double stand = (3 * standing + upright) / 4;
    double forward = o[RG_RUNNER_FORWARD] * walker_scale.forward;
    double move = linear_tolerance(walk_speed - forward, walk_speed / 2, 0.5);
    return stand * (5 * move + 1) / 6;
}

/* Run as fast as possible, up to 10 m/s. */
static double reward_cheetah(const float *o) {
    const double run_speed = 10;
    double forward = o[RG_RUNNER_FORWARD] * cheetah_scale.forward;
    return linear_tolerance(run_speed - forward, run_speed, 0);
}

/* ---- reacher ---- */

static void begin_reacher(RgPhysicsRun *run, RgRandom random, RgControlGoal *goal) {
    double *position = rg_physics_positions(run);
    position[0] = around_zero(random, 0, M_PI);
    position[1] = around_zero(random, 1, 2.5);
    double angle = around_zero(random, 2, M_PI), reach = 0.05 + 0.15 * rg_random_uniform(random, 3);
    goal->target[0] = reach * cos(angle);
    goal->target[1] = reach * sin(angle);
}

static void observe_reacher(RgPhysicsRun *run, const double *const *sensor,
                            const RgControlGoal *goal, float *o) {
    const double *position = rg_physics_positions(run), *velocity = rg_physics_velocities(run);
    double x = goal->target[0] - sensor[0][0], y = goal->target[1] - sensor[0][1];
    o[RG_REACHER_SHOULDER] = (float)cos(position[0]);
    o[RG_REACHER_SHOULDER + 1] = (float)sin(position[0]);
    o[RG_REACHER_ELBOW] = (float)cos(position[1]);
    o[RG_REACHER_ELBOW + 1] = (float)sin(position[1]);
    o[RG_REACHER_SPEEDS] = bounded(velocity[0], 5);
    o[RG_REACHER_SPEEDS + 1] = bounded(velocity[1], 5);
    o[RG_REACHER_TO_TARGET] = bounded(x, 0.1);
    o[RG_REACHER_TO_TARGET + 1] = bounded(y, 0.1);
    o[RG_REACHER_DISTANCE] = bounded(hypot(x, y), 0.1);
}

/* The suite's reward is 1 within the target and 0 elsewhere. This one is smooth and also ranks
 * episodes that miss: 1 within 2 cm, 0.1 at 20 cm beyond. */
static double reward_reacher(const float *o) {
    return gaussian_tolerance(o[RG_REACHER_DISTANCE] * 0.1 - 0.02, 0.2);
}

#define RUNNER_SENSORS                                                                             \
    {                                                                                              \
        {"torso_position", 3}, {"torso_up", 3}, {                                                  \
            "velocity", 3                                                                          \
        }                                                                                          \
    }

const RgControlTask rg_control_tasks[RG_CONTROL_TASKS] = {
    [RG_CONTROL_WALKER] = {.name = "walker",
                           .size = {ROOTS + JOINTS, ROOTS + JOINTS, JOINTS},
                           .sensors = RUNNER_SENSORS,
                           .observations = RG_RUNNER_OBSERVATIONS,
                           .time_steps = 10,
                           .begin = begin_walker,
                           .observe = observe_walker,
                           .reward = reward_walker},
    [RG_CONTROL_CHEETAH] = {.name = "cheetah",
                            .size = {ROOTS + JOINTS, ROOTS + JOINTS, JOINTS},
                            .sensors = RUNNER_SENSORS,
                            .observations = RG_RUNNER_OBSERVATIONS,
                            .time_steps = 5,
                            .begin = begin_cheetah,
                            .observe = observe_cheetah,
                            .reward = reward_cheetah},
    [RG_CONTROL_REACHER] = {.name = "reacher",
                            .size = {2, 2, 2},
                            .sensors = {{"finger", 3}},
                            .observations = RG_REACHER_OBSERVATIONS,
                            .time_steps = 5,
                            .begin = begin_reacher,
                            .observe = observe_reacher,
                            .reward = reward_reacher},
};
