/* SPDX-License-Identifier: MIT */
/* Setting up the small race. check_algorithm.c has the claims about methods. */
#include "experiments/program/plugins/small_race.h"

#include "core/tensor/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const RgOptimizerOptions rg_small_race_optimizer = {.type = {.type = &rg_optimizer_adamw.about},
                                                    .learning_rate = 0.05,
                                                    .beta1 = 0.9,
                                                    .beta2 = 0.999,
                                                    .epsilon = 1e-8,
                                                    .clip = 1};

static RgSettingKind kind_of(const char *value) {
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        return RG_SETTING_BOOLEAN;
    if (strspn(value, "0123456789-") == strlen(value))
        return RG_SETTING_INTEGER;
    if (strspn(value, "0123456789-.e") == strlen(value))
        return RG_SETTING_REAL;
    return RG_SETTING_STRING;
}

void rg_small_race_set(RgSettings *settings, const char *group, const char *pairs) {
    char *copy = rg_string_copy(pairs), *next = copy, *pair;
    while ((pair = strsep(&next, " "))) {
        char *value = strchr(pair, '=');
        if (!value)
            continue;
        *value++ = '\0';
        char *path = rg_string_format("%s.%s", group, pair);
        rg_settings_set(settings, path, kind_of(value), value, "options", 0);
        free(path);
    }
    free(copy);
}

/* Creates a trainer for the present policy and environment. */
static RgStatus begin_training(const RgSmallRaceTerms *terms, RgSmallRace *race, RgRandom random,
                               RgError *error) {
    const RgDescriptor *about = &terms->algorithm->about;
    race->options = rg_allocate(1, about->options_size);
    RG_TRY(rg_options_read(about->options, race->settings, "algorithm", race->options, error));
    RgTrainingOptions training = {.batch = terms->batch,
                                  .micro_batch = terms->micro_batch,
                                  .temperature = 1,
                                  .top_p = 1,
                                  .expectation = (int)terms->expectation};
    RgOptimizerOptions optimizer = rg_small_race_optimizer;
    race->flops_before = rg_profile_all_flops();
    return rg_trainer_create(terms->algorithm, race->options, &training, race->policy,
                             race->reference, &race->environment->task, &optimizer, 0,
                             rg_random_named(random, "training"), &race->trainer, error);
}

RgStatus rg_small_race_begin(const RgSmallRaceTerms *terms, RgSmallRace *race, RgError *error) {
    *race = (RgSmallRace){.settings = rg_settings_create(), .algorithm = terms->algorithm};
    RgRandom random = rg_random_root(7);
    rg_small_race_set(race->settings, "environment", terms->bandit);
    rg_small_race_set(race->settings, "algorithm", terms->options);
    RG_TRY(rg_environment_create("bandit", race->settings, "environment", random,
                                 &race->environment, error));
    RG_TRY(rg_policy_create("tabular", race->settings, "policy", &race->environment->space, random,
                            &race->reference, error));
    RG_TRY(rg_environment_prepare(race->environment, race->reference, random, error));
    race->policy = rg_policy_clone(race->reference, false);
    for (int64_t i = 0; i < race->policy->parameters->count; i++)
        race->policy->parameters->value[i] +=
            (RgReal)(terms->deviation * rg_random_normal(random, (uint64_t)i));
    return begin_training(terms, race, random, error);
}

void rg_small_race_end(RgSmallRace *race) {
    rg_trainer_destroy(race->trainer);
    rg_policy_destroy(race->policy);
    rg_policy_destroy(race->reference);
    rg_environment_destroy(race->environment);
    rg_settings_destroy(race->settings);
    free(race->options);
    *race = (RgSmallRace){0};
}

double rg_small_race_reward(const RgSmallRace *race) {
    RgEvaluation *evaluation = rg_evaluation_create();
    RgContender contender = {.policy = race->policy, .reference = race->reference, .beta = 0.1};
    RgStatus status =
        rg_environment_evaluate(race->environment, &contender, rg_random_root(1), evaluation, NULL);
    RG_ASSERT(status == RG_OK); /* a bandit's judge cannot fail */
    double reward = rg_evaluation_find(evaluation, "reward");
    rg_evaluation_destroy(evaluation);
    return reward;
}
