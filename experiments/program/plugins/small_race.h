/* SPDX-License-Identifier: MIT */
/* A race that is over in a moment, in which a method is tried out: a bandit, a tabular policy and
 * its frozen reference, and a trainer. For regatta check-plugin and for the tests, which so look at
 * the methods of others as at those that are built in. */
#ifndef RG_EXPERIMENTS_PROGRAM_PLUGINS_SMALL_RACE_H
#define RG_EXPERIMENTS_PROGRAM_PLUGINS_SMALL_RACE_H

#include "algorithms/training/trainer.h"
#include "envs/environment.h"

typedef struct RgSmallRace {
    RgSettings *settings;
    RgEnvironment *environment;
    RgPolicy *reference, *policy;
    const RgAlgorithm *algorithm;
    void *options; /* the algorithm's */
    RgTrainer *trainer;
    double flops_before; /* that were counted before there was a trainer, by rg_profile_all_flops */
} RgSmallRace;

/* What the race is of. Options are "name=value" with spaces between them. */
typedef struct RgSmallRaceTerms {
    const RgAlgorithm *algorithm;
    const char *options; /* of the algorithm */
    const char *bandit;  /* of the environment */
    double deviation;    /* by which the policy's parameters begin beside the reference's */
    int64_t batch, micro_batch;
} RgSmallRaceTerms;

/* AdamW as the small race has it. */
extern const RgOptimizerOptions rg_small_race_optimizer;

/* Set "name=value name=value" in the group. */
void rg_small_race_set(RgSettings *settings, const char *group, const char *pairs);

/* RG_E_USAGE where an option is refused or has to be given. `race` is to be ended in any case. */
RgStatus rg_small_race_begin(const RgSmallRaceTerms *terms, RgSmallRace *race, RgError *error);
void rg_small_race_end(RgSmallRace *race);

/* The policy's expected reward. */
double rg_small_race_reward(const RgSmallRace *race);

#endif
