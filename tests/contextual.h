/* SPDX-License-Identifier: MIT */
/* A contextual bandit with an mlp policy and a method that trains it, for tests. */
#ifndef RG_TESTS_CONTEXTUAL_H
#define RG_TESTS_CONTEXTUAL_H

#include "race.h"

#include "core/models/enumerated.h"

typedef struct Contextual {
    RgSettings *settings;
    RgEnvironment *environment;
    RgPolicy *reference, *policy;
    void *options;
    RgTrainer *trainer; /* NULL without a method */
} Contextual;

/* `environment` as in rg_small_race_set; hidden widths may have spaces. */
static inline Contextual contextual_begin(const char *environment, const char *hidden,
                                          const char *policy) {
    RgError error = {0};
    RgRandom random = rg_random_root(5);
    Contextual c = {.settings = rg_settings_create()};
    rg_small_race_set(c.settings, "environment", environment);
    rg_small_race_set(c.settings, "policy", policy);
    rg_settings_set(c.settings, "policy.hidden", RG_SETTING_STRING, hidden, "test", 1);
    cr_assert_eq(rg_environment_create("contextual-bandit", c.settings, "environment", random,
                                       &c.environment, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_create("mlp", c.settings, "policy", &c.environment->space,
                                  rg_random_named(random, "policy"), &c.reference, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_environment_prepare(c.environment, c.reference, random, &error), RG_OK, "%s",
                 error.text);
    c.policy = rg_policy_clone(c.reference, false);
    return c;
}

static inline void contextual_train(Contextual *c, const char *algorithm, const char *options,
                                    RgExpectation expectation, int64_t batch) {
    const RgAlgorithm *a = rg_algorithm_find(algorithm);
    RgError error = {0};
    RgTrainingOptions training = {
        .batch = batch, .temperature = 1, .top_p = 1, .expectation = (int)expectation};
    RgOptimizerOptions adamw = {.type = {&rg_optimizer_adamw.about},
                                .learning_rate = 0.01,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .epsilon = 1e-8};
    rg_small_race_set(c->settings, "algorithm", options);
    c->options = rg_allocate(1, a->about.options_size);
    cr_assert_eq(rg_options_read(a->about.options, c->settings, "algorithm", c->options, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_trainer_create(a, c->options, &training, c->policy, c->reference,
                                   &c->environment->task, &adamw, 0, rg_random_root(6), &c->trainer,
                                   &error),
                 RG_OK, "%s", error.text);
}

static inline void contextual_end(Contextual *c) {
    rg_trainer_destroy(c->trainer);
    rg_policy_destroy(c->policy);
    rg_policy_destroy(c->reference);
    rg_environment_destroy(c->environment);
    rg_settings_destroy(c->settings);
    free(c->options);
}

/* The judge's rewards of all responses to the first contexts: reward [count, responses] out. */
static inline void contextual_rewards(const Contextual *c, int64_t count, double *reward) {
    RgError error = {0};
    RgSequences *all = rg_sequences_create();
    for (int32_t i = 0; i < count; i++)
        for (int32_t a = 0; a < rg_policy_responses(c->reference); a++)
            rg_sequences_append(all, &i, 1, &a, 1);
    cr_assert_eq(rg_task_judge(&c->environment->task, all, reward, &error), RG_OK);
    rg_sequences_destroy(all);
}

#endif
