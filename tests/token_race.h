/* SPDX-License-Identifier: MIT */
/* A race over tokens for tests: a small transformer that is a little off its reference, pairs and
 * demonstrations of different lengths, and a trainer of a named algorithm. */
#ifndef RG_TESTS_TOKEN_RACE_H
#define RG_TESTS_TOKEN_RACE_H

#include "core/models/transformer.h"
#include "experiments/program/plugins/small_race.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { TOKEN_EXAMPLES = 16, TOKEN_VOCABULARY = 11 };

static const RgTransformerOptions token_model = {.layers = 2,
                                                 .width = 8,
                                                 .heads = 2,
                                                 .kv_heads = 2,
                                                 .hidden = 12,
                                                 .context = 16,
                                                 .rope_base = 100,
                                                 .norm_epsilon = 1e-5};

typedef struct TokenRace {
    RgPolicy *reference, *policy;
    RgPairs *pairs;
    RgSequences *demonstrations;
    RgTask task;
    void *options;
    RgTrainer *trainer;
} TokenRace;

static inline RgPolicy *token_policy(const RgTransformerOptions *model, uint64_t seed) {
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(model, TOKEN_VOCABULARY, &policy, &error), RG_OK, "%s",
                 error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.4, rg_random_root(seed));
    return policy;
}

/* 1 to 4 tokens of prompt, 0 to 6 of response. */
static inline void token_append(RgSequences *sequences, uint64_t prompt, uint64_t response) {
    RgRandom random = rg_random_root(5);
    int32_t tokens[2][6];
    for (uint64_t j = 0; j < 6; j++)
        for (int part = 0; part < 2; part++) {
            RgRandom stream = rg_random_at(random, part ? 100 + response : prompt);
            tokens[part][j] = (int32_t)rg_random_below(stream, j, TOKEN_VOCABULARY);
        }
    rg_sequences_append(sequences, tokens[0], 1 + (int64_t)prompt % 4, tokens[1],
                        (int64_t)(response * 5 % 7));
}

/* The judge: how many tokens of a response are small, less a little of its length. */
static inline RgStatus token_judge(void *unused, const RgSequences *s, double *reward,
                                   RgError *error) {
    (void)unused, (void)error;
    for (int64_t i = 0; i < s->count; i++) {
        reward[i] = 0;
        for (int64_t j = 0; j < rg_sequence_response_length(s, i); j++)
            reward[i] += (rg_sequence_response(s, i)[j] < TOKEN_VOCABULARY / 2) - 0.1 * (double)j;
    }
    return RG_OK;
}

/* `adapter` NULL: all weights are trained. `given`, the algorithm's options as in
 * rg_small_race_set. */
static inline RgStatus token_race_begin(TokenRace *race, const char *name, const char *given,
                                        const RgTrainingOptions *training,
                                        const RgAdapterOptions *adapter, RgError *error) {
    *race = (TokenRace){.reference = token_policy(&token_model, 2),
                        .pairs = rg_pairs_create(),
                        .demonstrations = rg_sequences_create()};
    if (adapter)
        cr_assert_eq(
            rg_policy_adapt(race->reference, adapter, rg_random_root(6), &race->policy, error),
            RG_OK, "%s", error->text);
    else
        race->policy = token_policy(&token_model, 1);
    for (uint64_t i = 0; i < TOKEN_EXAMPLES; i++) {
        token_append(race->pairs->sequences, i, 2 * i);
        token_append(race->pairs->sequences, i, 2 * i + 1);
        rg_pairs_append_label(race->pairs, (int)(i % 3 == 0));
        token_append(race->demonstrations, i, i);
    }
    race->task = (RgTask){.prompts = race->demonstrations, /* their prompts, that is */
                          .pairs = race->pairs,
                          .demonstrations = race->demonstrations,
                          .response_limit = 6,
                          .end_token = -1,
                          .judge = token_judge,
                          .label_temperature = 1};
    const RgAlgorithm *algorithm = rg_algorithm_find(name);
    RgSettings *settings = rg_settings_create();
    rg_small_race_set(settings, "a", given);
    race->options = rg_allocate(1, algorithm->about.options_size);
    cr_assert_eq(rg_options_read(algorithm->about.options, settings, "a", race->options, error),
                 RG_OK);
    rg_settings_destroy(settings);
    RgOptimizerOptions adamw = {.type = {&rg_optimizer_adamw.about},
                                .learning_rate = 0.01,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .epsilon = 1e-8};
    return rg_trainer_create(algorithm, race->options, training, race->policy, race->reference,
                             &race->task, &adamw, 0, rg_random_root(3), &race->trainer, error);
}

static inline void token_race_end(TokenRace *race) {
    rg_trainer_destroy(race->trainer);
    free(race->options);
    rg_sequences_destroy(race->demonstrations);
    rg_pairs_destroy(race->pairs);
    rg_policy_destroy(race->policy);
    rg_policy_destroy(race->reference);
}

#endif
