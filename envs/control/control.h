/* SPDX-License-Identifier: MIT */
/* The control environment from the inside: shared by its life (control.c) and its evaluation
 * (control_evaluate.c), and read by tests. */
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

/* What was asked of the reference, kept for the next evaluation of the same one. */
typedef struct RgControlReference {
    bool known;
    uint64_t parameters_hash;
    RgRandom random;
    double *reward; /* [test_episodes] discounted returns */
} RgControlReference;

typedef struct RgControlState {
    RgControlOptions options; /* `models` is not kept */
    const RgControlTask *control_task;
    RgPhysics *physics;
    int64_t sensor[RG_CONTROL_SENSORS]; /* where the task's sensors are */
    RgRandom training, test;            /* of initial states, by number */
    RgSimulator simulator;
    RgTeacher teacher;
    RgSequences *prompts, *test_prompts;
    RgSequences *demonstrations;
    RgPairs *pairs;
    int64_t skipped_pairs;
    RgControlReference of_reference;
} RgControlState;

/* Rewards of the steps of episode i, not discounted: reward [horizon]; returns how many. */
int64_t rg_control_step_rewards(const RgControlState *s, const RgSequences *sequences, int64_t i,
                                double *reward);

void rg_control_reference_clear(RgControlReference *of_reference);

/* Discounted sum of the true rewards of each episode. */
void rg_control_returns(RgEnvironment *environment, const RgSequences *episodes, double *reward);

RgStatus rg_control_evaluate(RgEnvironment *environment, const RgContender *contender,
                             RgRandom random, RgEvaluation *evaluation, RgError *error);

#endif
