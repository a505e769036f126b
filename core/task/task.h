/* SPDX-License-Identifier: MIT */
/* What an environment lends to an algorithm: prompts, pairs and a judge.
 *
 * Algorithms see an environment only through this struct. All members are borrowed and outlive the
 * trial. */
#ifndef RG_CORE_TASK_TASK_H
#define RG_CORE_TASK_TASK_H

#include "core/process_group.h"
#include "core/task/mdp.h"
#include "core/task/simulator.h"
#include "core/tensor/random.h"

typedef struct RgTask {
    const RgSequences *prompts;        /* training prompts; responses empty */
    const RgPairs *pairs;              /* offline preference data */
    const RgSequences *demonstrations; /* for supervised training */
    int64_t response_limit;            /* most tokens of a sampled response */
    int64_t tokens;                    /* ids that responses may have; 0: all of the policy's */
    int32_t end_token;                 /* that ends a response, −1 where there is none */
    RgStopTokens stop;                 /* that end sampled responses, too */
    const RgSimulator *simulator;      /* environments of episodes, else NULL */
    const RgMdp *mdp;                  /* where it is tabular and known, else NULL */

    /* Reward of each response by the environment's judge: reward [sequences->count]. Deterministic.
     * A judge that is asked elsewhere may fail, and says why. NULL: it only compares, and `label`
     * is there. */
    RgStatus (*judge)(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error);
    void *environment;

    /* How the judge labels a pair: Bradley-Terry, P(a preferred) = σ((r_a − r_b) / temperature),
     * then flipped with probability label_noise. Temperature 0 takes the larger reward. */
    double label_temperature;
    double label_noise;

    /* How it does where that is not all, else NULL: the labels of rg_task_label, from the same
     * numbers, but also RG_UNLABELLED for pairs that it does not label. */
    RgStatus (*label)(void *environment, const RgSequences *sequences, RgRandom random,
                      uint8_t *preferred, RgError *error);
    bool skips; /* the judge of a task without rewards may leave pairs without a label */

    /* Who runs the trial together, or NULL. All of them ask for rewards and labels by the functions
     * below; the first rank alone asks the judge. */
    RgProcessGroup *process_group;
} RgTask;

/* Rewards by the judge, which the task has: reward [sequences->count]. */
RgStatus rg_task_judge(const RgTask *task, const RgSequences *sequences, double *reward,
                       RgError *error);

/* Probability that the judge prefers a response of reward `a` to one of reward `b`. */
double rg_preference_probability(const RgTask *task, double a, double b);

/* Label the pairs (2i, 2i+1) of `sequences` by the judge: preferred [sequences->count / 2] is 0
 * or 1, or RG_UNLABELLED where the task has a `label` that says so. Counts as sequences->count
 * judge queries. One uniform number of `random` per pair. Fails where the judge does. */
RgStatus rg_task_label(const RgTask *task, const RgSequences *sequences, RgRandom random,
                       uint8_t *preferred, RgError *error);
/* The same labels from rewards that are there, reward [2·pairs], where the task has no `label` of
 * its own. */
void rg_task_label_rewards(const RgTask *task, const double *reward, int64_t pairs, RgRandom random,
                           uint8_t *preferred);

#endif
