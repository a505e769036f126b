/* SPDX-License-Identifier: MIT */
/* A short training run for trying out a method: a bandit, a tabular policy with its frozen
 * reference, and a trainer. regatta check-plugin and the tests use it for plug-ins and built-in
 * methods alike. One thread at a time. */
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
    double flops_before; /* rg_profile_all_flops before the trainer was created */
} RgSmallRace;

/* Parameters of the run. Options are "name=value name=value". */
typedef struct RgSmallRaceTerms {
    const RgAlgorithm *algorithm;
    const char *options; /* of the algorithm */
    const char *bandit;  /* of the environment */
    double deviation;    /* of the policy's initial parameters from the reference's */
    int64_t batch, micro_batch;
    RgExpectation expectation;
} RgSmallRaceTerms;

/* The AdamW of the small race. */
extern const RgOptimizerOptions rg_small_race_optimizer;

/* Sets "name=value name=value" in the group. */
void rg_small_race_set(RgSettings *settings, const char *group, const char *pairs);

/* RG_E_USAGE for a refused or missing option. Call rg_small_race_end after an error too. */
RgStatus rg_small_race_begin(const RgSmallRaceTerms *terms, RgSmallRace *race, RgError *error);
void rg_small_race_end(RgSmallRace *race);

/* The policy's expected reward. */
double rg_small_race_reward(const RgSmallRace *race);

#endif
