/* A small race for tests of algorithms: a bandit, a tabular policy and its frozen reference, and a
 * trainer of a named algorithm with options given as text. */
#ifndef RG_TESTS_RACE_H
#define RG_TESTS_RACE_H

#include "algorithms/parl.h"
#include "core/tensor/profile.h"
#include "envs/environment.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Race {
    RgSettings *settings;
    RgEnvironment *environment;
    RgPolicy *reference, *policy;
    const RgAlgorithm *algorithm;
    void *options;
    RgTrainer *trainer;
    double flops_before; /* that were counted before there was a trainer, by rg_profile_all_flops */
} Race;

/* `bandit` and `options` as in race_set; the policy starts `deviation` away from the reference. */
static inline Race race_begin(const char *algorithm, const char *options, const char *bandit,
                              double deviation, int64_t batch) {
    RgError error = {0};
    Race race = {.settings = rg_settings_create(), .algorithm = rg_algorithm_find(algorithm)};
    RgRandom random = rg_random_root(7);
    race_set(race.settings, "environment", bandit);
    race_set(race.settings, "algorithm", options);
    cr_assert(rg_environment_create("bandit", race.settings, "environment", random,
                                    &race.environment, &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_policy_create("tabular", race.settings, "policy", &race.environment->space, random,
                               &race.reference, &error) == RG_OK,
              "%s", error.text);
    cr_assert(rg_environment_prepare(race.environment, race.reference, random, &error) == RG_OK,
              "%s", error.text);
    race.policy = rg_policy_clone(race.reference, false);
    for (int64_t i = 0; i < race.policy->parameters->count; i++)
        race.policy->parameters->value[i] +=
            (RgReal)(deviation * rg_random_normal(random, (uint64_t)i));
    race.options = rg_allocate(race.algorithm->about.options_size + 1);
    cr_assert(rg_options_read(race.algorithm->about.options, race.settings, "algorithm",
                              race.options, &error) == RG_OK,
              "%s", error.text);
    RgTrainingOptions training = {.batch = batch, .temperature = 1, .top_p = 1};
    race.flops_before = rg_profile_all_flops();
    RgOptimizerOptions adamw = {.type = {&rg_optimizer_adamw.about},
                                .learning_rate = 0.05,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .epsilon = 1e-8,
                                .clip = 1};
    cr_assert(rg_trainer_create(race.algorithm, race.options, &training, race.policy,
                                race.reference, &race.environment->course, &adamw, 0,
                                rg_random_named(random, "training"), &race.trainer,
                                &error) == RG_OK,
              "%s", error.text);
    return race;
}

/* PARL's G where the race is, and its hypergradient. */
static inline double race_hypergradient(const Race *race, int64_t draw, double *found,
                                        RgEstimateReport *report) {
    RgError error = {0};
    double objective;
    cr_assert_eq(rg_parl_hypergradient(race->trainer, race->options, race->trainer->state, draw,
                                       &objective, found, report, &error),
                 RG_OK, "%s", error.text);
    return objective;
}

static inline void race_end(Race *race) {
    rg_trainer_destroy(race->trainer);
    rg_policy_destroy(race->policy);
    rg_policy_destroy(race->reference);
    rg_environment_destroy(race->environment);
    rg_settings_destroy(race->settings);
    free(race->options);
}

#endif
