/* SPDX-License-Identifier: MIT */
/* Tasks of the control environment: each defines a body, its initial states, its observations and
 * its rewards.
 *
 * The rewards are those of the DeepMind Control Suite (Tassa et al. 2018, arXiv:1801.00690), in
 * [0, 1] per step, with its tolerances. Bodies, initial states and observations are this project's
 * own. Two things differ on purpose:
 *   - The reward of a step is that of the observation before the action, not after it. So it is a
 *     function of the words of the episode, because everything it needs is observed.
 *   - An episode starts near its goal (a walker stands, and does not lie in a random heap), because
 *     episodes take seconds, not 25 s.
 *
 * Observations are numbers near 1, clipped to ±5. Where this bound clips a number that the reward
 * reads, the reward is already at its limit. */
#ifndef RG_ENVS_CONTROL_CONTROL_TASKS_H
#define RG_ENVS_CONTROL_CONTROL_TASKS_H

#include "core/tensor/random.h"
#include "envs/control/control_physics.h"

/* The goal of an episode, besides the body. */
typedef struct RgControlGoal {
    double target[2]; /* m */
} RgControlGoal;

enum { RG_CONTROL_SENSORS = 3 };
typedef struct RgControlSensor {
    const char *name;
    int64_t numbers;
} RgControlSensor;

typedef struct RgControlTask {
    const char *name;                            /* also of the model's file */
    RgPhysicsSize size;                          /* required of the model */
    RgControlSensor sensors[RG_CONTROL_SENSORS]; /* required of it; ends at one without a name */
    int64_t observations;                        /* count of numbers */
    int64_t time_steps;                          /* of the physics in one step of control */

    /* Set positions, velocities and goal as a function of `random` alone. */
    void (*begin)(RgPhysicsRun *run, RgRandom random, RgControlGoal *goal);
    /* sensor [RG_CONTROL_SENSORS]: the numbers of each sensor; observation [observations] out */
    void (*observe)(RgPhysicsRun *run, const double *const *sensor, const RgControlGoal *goal,
                    float *observation);
    double (*reward)(const float *observation);
} RgControlTask;

/* walker, cheetah, reacher. */
enum { RG_CONTROL_WALKER, RG_CONTROL_CHEETAH, RG_CONTROL_REACHER, RG_CONTROL_TASKS };
extern const RgControlTask rg_control_tasks[RG_CONTROL_TASKS];

/* Indices of observations: of walker and cheetah, then of reacher. */
enum {
    RG_RUNNER_HEIGHT,
    RG_RUNNER_UPRIGHT, /* cosine of the pitch */
    RG_RUNNER_TILT,    /* its sine */
    RG_RUNNER_FORWARD, /* velocity of the centre of mass */
    RG_RUNNER_UPWARD,
    RG_RUNNER_TURNING,
    RG_RUNNER_JOINTS,                              /* 6 angles */
    RG_RUNNER_JOINT_SPEEDS = RG_RUNNER_JOINTS + 6, /* their velocities */
    RG_RUNNER_OBSERVATIONS = RG_RUNNER_JOINT_SPEEDS + 6
};
enum {
    RG_REACHER_SHOULDER,                        /* cosine and sine */
    RG_REACHER_ELBOW = RG_REACHER_SHOULDER + 2, /* cosine and sine */
    RG_REACHER_SPEEDS = RG_REACHER_ELBOW + 2,
    RG_REACHER_TO_TARGET = RG_REACHER_SPEEDS + 2, /* x and y */
    RG_REACHER_DISTANCE = RG_REACHER_TO_TARGET + 2,
    RG_REACHER_OBSERVATIONS
};

#endif
