/* SPDX-License-Identifier: MIT */
/* The internals of the control environment, shared by control.c and its evaluation
 * (control_evaluate.c), and used by tests. */
#ifndef RG_ENVS_CONTROL_CONTROL_H
#define RG_ENVS_CONTROL_CONTROL_H

#include "envs/control/control_tasks.h"
#include "envs/environment.h"
#include "envs/judges/teacher.h"

typedef struct RgControlOptions {
    int task;
    const char *models;
    int64_t horizon;
    double discount;
    int64_t conditions, pairs, test_episodes, response_samples;
    RgTeacherOptions teacher;
} RgControlOptions;

/* The reference's results, kept for further evaluations against the same reference. */
typedef struct RgControlReference {
    bool known;
    uint64_t parameters_hash;
    RgRandom random;
    double *reward; /* [test_episodes] discounted returns */
} RgControlReference;

typedef struct RgControlState {
    RgControlOptions options; /* except `models` */
    const RgControlTask *control_task;
    RgPhysics *physics;
    int64_t sensor[RG_CONTROL_SENSORS]; /* offsets of the task's sensors */
    RgRandom training, test;            /* streams of initial states, by index */
    RgSimulator simulator;
    RgTeacher teacher;
    RgSequences *prompts, *test_prompts;
    RgSequences *demonstrations;
    RgPairs *pairs;
    int64_t skipped_pairs;
    RgControlReference of_reference;
} RgControlState;

/* Undiscounted rewards of the steps of episode i: reward [horizon] out; returns their number. */
int64_t rg_control_step_rewards(const RgControlState *s, const RgSequences *sequences, int64_t i,
                                double *reward);

void rg_control_reference_clear(RgControlReference *of_reference);

/* Discounted sum of the true rewards of each episode. */
void rg_control_returns(RgEnvironment *environment, const RgSequences *episodes, double *reward);

RgStatus rg_control_evaluate(RgEnvironment *environment, const RgContender *contender,
                             RgRandom random, RgEvaluation *evaluation, RgError *error);

#endif
