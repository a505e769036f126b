/* SPDX-License-Identifier: MIT */
/* What is to be done in the control environment: tasks, each a body, where it starts, what is
 * observed of it and what that is worth.
 *
 * The rewards are those of the DeepMind Control Suite (Tassa et al. 2018, arXiv:1801.00690), in
 * [0, 1] a step, with its tolerances; bodies, initial states and observations are this project's
 * own. Two things differ on purpose:
 *   - A step's reward is that of what was observed before the action, not after it, so that it
 *     follows from the words of the episode alone: everything it needs is observed.
 *   - An episode starts near what the task asks for (a walker stands, and does not lie in a random
 *     heap), as episodes are some seconds long and not 25.
 *
 * Observations are numbers near 1, and never beyond ±5. Where that bound cuts a number that the
 * reward reads, the reward has long been at its end. */
#ifndef RG_ENVS_CONTROL_CONTROL_TASKS_H
#define RG_ENVS_CONTROL_CONTROL_TASKS_H

#include "core/tensor/random.h"
#include "envs/control/control_physics.h"

/* What is there besides the body; the numbers of an episode. */
typedef struct RgControlGoal {
    double target[2]; /* m */
} RgControlGoal;

enum { RG_CONTROL_SENSORS = 3 };
typedef struct RgControlSensor {
    const char *name;
    int64_t numbers;
} RgControlSensor;

typedef struct RgControlTask {
    const char *name;                            /* of the model's file, too */
    RgPhysicsSize size;                          /* what the model must have … */
    RgControlSensor sensors[RG_CONTROL_SENSORS]; /* … up to the first without a name */
    int64_t observations;                        /* numbers */
    int64_t time_steps;                          /* of the physics in one of control */

    /* Set positions, velocities and goal by the numbers of `random` alone. */
    void (*begin)(RgPhysicsRun *run, RgRandom random, RgControlGoal *goal);
    /* sensor [RG_CONTROL_SENSORS]: the numbers of each; observation [observations] out */
    void (*observe)(RgPhysicsRun *run, const double *const *sensor, const RgControlGoal *goal,
                    float *observation);
    double (*reward)(const float *observation);
} RgControlTask;

/* walker, cheetah, reacher. */
enum { RG_CONTROL_WALKER, RG_CONTROL_CHEETAH, RG_CONTROL_REACHER, RG_CONTROL_TASKS };
extern const RgControlTask rg_control_tasks[RG_CONTROL_TASKS];

/* Observations by number: of walker and cheetah, and of reacher. */
enum {
    RG_RUNNER_HEIGHT,
    RG_RUNNER_UPRIGHT, /* cosine of the pitch */
    RG_RUNNER_TILT,    /* its sine */
    RG_RUNNER_FORWARD, /* velocity of the centre of mass */
    RG_RUNNER_UPWARD,
    RG_RUNNER_TURNING,
    RG_RUNNER_JOINTS,                              /* 6 angles … */
    RG_RUNNER_JOINT_SPEEDS = RG_RUNNER_JOINTS + 6, /* … and their velocities */
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
