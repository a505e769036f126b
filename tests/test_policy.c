/* SPDX-License-Identifier: MIT */
/* Claims about policies as such, on the enumerated kinds: log-probabilities, sampling,
 * files. Transformers have a file of their own. */
#include <criterion/criterion.h>

#include "core/models/enumerated.h"
#include "core/task/task.h"
#include "core/tensor/threads.h"
#include "core/train/safetensors.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXTS = 3, RESPONSES = 5, FEATURES = 4, CELLS = CONTEXTS * RESPONSES };

static double features[CELLS * FEATURES];

static RgPolicySpace space(void) {
    for (int i = 0; i < CELLS * FEATURES; i++)
        features[i] = rg_random_normal(rg_random_root(7), (uint64_t)i);
    return (RgPolicySpace){.contexts = CONTEXTS,
                           .responses = RESPONSES,
                           .features = features,
                           .feature_count = FEATURES};
}

static RgPolicy *policy_of(const char *kind) {
    RgSettings *settings = rg_settings_create();
    RgPolicySpace all = space();
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(
        rg_policy_create(kind, settings, "policy", &all, rg_random_root(11), &policy, &error),
        RG_OK, "%s", error.text);
    rg_settings_destroy(settings);
    return policy;
}

/* n sequences of contexts and responses in no particular order. */
static RgSequences *sequences_of(int64_t n) {
    RgSequences *sequences = rg_sequences_create();
    for (int64_t i = 0; i < n; i++) {
        int32_t context = (int32_t)(i * 7 % CONTEXTS), response = (int32_t)(i * 3 % RESPONSES);
        rg_sequences_append(sequences, &context, 1, &response, 1);
    }
    return sequences;
}

static RgSequences *prompts_of(int64_t n, int32_t context) {
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append(prompts, &context, 1, NULL, 0);
    return prompts;
}

/* Adds d/dθ Σ_i w_i log π(i), w_i = 1 + i/10, to the policy's gradient; returns the sum. */
static double weighted_backward(RgTape *tape, RgPolicy *policy, const RgSequences *sequences) {
    RgTensor *logprob = rg_policy_logprob(tape, policy, sequences);
    RgTensor *weight = rg_tensor_new(tape, logprob->shape);
    for (int64_t i = 0; i < weight->count; i++)
        weight->data[i] = (RgReal)(1 + 0.1 * (double)i);
    RgTensor *sum = rg_sum(tape, rg_mul(tape, weight, logprob));
    rg_backward(tape, sum, 1);
    return sum->data[0];
}

static RgReal *copy_of(const RgReal *values, int64_t count) {
    RgReal *copy = rg_allocate(count, sizeof *copy);
    memcpy(copy, values, (size_t)count * sizeof *copy);
    return copy;
}

static const char *const kinds[] = {"tabular", "log-linear"};

static double closed_form_logit(const RgPolicy *policy, int kind, int64_t cell) {
    const RgReal *value = policy->parameters->value;
    double logit = 0;
    for (int f = 0; kind == 1 && f < FEATURES; f++)
        logit += (double)(RgReal)features[cell * FEATURES + f] * (double)value[f];
    return kind == 1 ? logit : (double)value[cell];
}

Test(policy, logprob_of_an_enumerated_policy_is_a_softmax_of_its_logits) {
    RgSequences *sequences = sequences_of(23);
    for (int kind = 0; kind < 2; kind++) {
        RgPolicy *policy = policy_of(kinds[kind]);
        double logprob[23], table[CELLS];
        rg_policy_logprob_values(policy, sequences, logprob);
        rg_policy_table(policy, table);
        for (int i = 0; i < 23; i++) {
            int64_t context = *rg_sequence_prompt(sequences, i);
            int64_t cell = context * RESPONSES + *rg_sequence_response(sequences, i);
            double partition = 0;
            for (int64_t r = 0; r < RESPONSES; r++)
                partition += exp(closed_form_logit(policy, kind, context * RESPONSES + r));
            double expected = closed_form_logit(policy, kind, cell) - log(partition);
            cr_expect_float_eq(logprob[i], expected, 2e-6);
            cr_expect_float_eq(table[cell], expected, 1e-12);
        }
        rg_policy_destroy(policy);
    }
    rg_sequences_destroy(sequences);
}

Test(policy, bits_do_not_depend_on_the_number_of_threads) {
    RgSequences *sequences = sequences_of(101);
    RgTape *tape = rg_tape_create();
    for (int kind = 0; kind < 2; kind++) {
        RgPolicy *policy = policy_of(kinds[kind]);
        int64_t count = policy->parameters->count;
        double logprob[2][101];
        RgReal *gradient[2];
        for (int threads = 1; threads <= 2; threads++) {
            rg_threads_set(threads);
            rg_parameters_zero_gradient(policy->parameters);
            rg_policy_logprob_values(policy, sequences, logprob[threads - 1]);
            weighted_backward(tape, policy, sequences);
            rg_tape_reset(tape);
            gradient[threads - 1] = copy_of(policy->parameters->gradient, count);
        }
        cr_expect_arr_eq(logprob[0], logprob[1], sizeof logprob[0]);
        cr_expect_arr_eq(gradient[0], gradient[1], (size_t)count * sizeof(RgReal));
        free(gradient[0]);
        free(gradient[1]);
        rg_policy_destroy(policy);
    }
    rg_tape_destroy(tape);
    rg_sequences_destroy(sequences);
}

Test(policy, first_and_second_order_tapes_give_the_same_gradient) {
    RgSequences *sequences = sequences_of(20);
    RgPolicy *policy = policy_of("log-linear");
    RgTape *first = rg_tape_create(), *second = rg_tape_create();
    rg_tape_second_order(second, true);
    double a = weighted_backward(first, policy, sequences);
    RgReal *gradient = copy_of(policy->parameters->gradient, FEATURES);
    rg_parameters_zero_gradient(policy->parameters);
    double b = weighted_backward(second, policy, sequences);
    cr_expect_float_eq(a, b, 1e-5 * fabs(a));
    for (int i = 0; i < FEATURES; i++)
        cr_expect_float_eq(gradient[i], policy->parameters->gradient[i], 1e-4);
    free(gradient);
    rg_tape_destroy(first);
    rg_tape_destroy(second);
    rg_policy_destroy(policy);
    rg_sequences_destroy(sequences);
}

/* Two calls of one policy before one backward, which an unrelated third call follows. */
Test(policy, calls_on_one_tape_add_their_gradients) {
    RgSequences *short_batch = sequences_of(6), *long_batch = sequences_of(30);
    RgPolicy *policy = policy_of("tabular");
    RgTape *tape = rg_tape_create();
    RgReal expected[CELLS], both[CELLS];
    weighted_backward(tape, policy, short_batch);
    rg_tape_reset(tape);
    weighted_backward(tape, policy, long_batch);
    rg_tape_reset(tape);
    memcpy(expected, policy->parameters->gradient, sizeof expected);

    for (int round = 0; round < 3; round++) {
        rg_parameters_zero_gradient(policy->parameters);
        RgTensor *loss[2];
        const RgSequences *batches[2] = {short_batch, long_batch};
        for (int k = 0; k < 2; k++) {
            RgTensor *logprob = rg_policy_logprob(tape, policy, batches[k]);
            RgTensor *weight = rg_tensor_new(tape, logprob->shape);
            for (int64_t i = 0; i < weight->count; i++)
                weight->data[i] = (RgReal)(1 + 0.1 * (double)i);
            loss[k] = rg_sum(tape, rg_mul(tape, weight, logprob));
        }
        double values[30];
        rg_policy_logprob_values(policy, long_batch, values);
        rg_backward(tape, rg_add(tape, loss[0], loss[1]), 1);
        rg_tape_reset(tape);
        memcpy(both, policy->parameters->gradient, sizeof both);
        for (int i = 0; i < CELLS; i++)
            cr_expect_float_eq(both[i], expected[i], 1e-4, "round %d, cell %d", round, i);
    }
    rg_tape_destroy(tape);
    rg_policy_destroy(policy);
    rg_sequences_destroy(short_batch);
    rg_sequences_destroy(long_batch);
}

Test(policy, backward_twice_adds_twice) {
    RgSequences *sequences = sequences_of(10);
    RgPolicy *policy = policy_of("tabular");
    RgTape *tape = rg_tape_create();
    RgTensor *sum = rg_sum(tape, rg_policy_logprob(tape, policy, sequences));
    rg_backward(tape, sum, 1);
    RgReal *once = copy_of(policy->parameters->gradient, CELLS);
    rg_backward(tape, sum, 1);
    for (int i = 0; i < CELLS; i++)
        cr_expect_float_eq(policy->parameters->gradient[i], 2 * once[i], 1e-6);
    free(once);
    rg_tape_destroy(tape);
    rg_policy_destroy(policy);
    rg_sequences_destroy(sequences);
}

Test(policy, a_frozen_clone_has_the_values_and_no_gradient) {
    RgSequences *sequences = sequences_of(10);
    RgPolicy *policy = policy_of("tabular"), *reference = rg_policy_clone(policy, true);
    RgTape *tape = rg_tape_create();
    RgTensor *logprob = rg_policy_logprob(tape, reference, sequences);
    double own[10], flops = 0;
    rg_policy_logprob_values(policy, sequences, own);
    cr_expect(!logprob->needs_gradient);
    cr_expect_null(reference->parameters->gradient);
    policy->parameters->value[0] += 1;
    cr_expect_neq(policy->parameters->value[0], reference->parameters->value[0]);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(logprob->data[i], (RgReal)own[i]);
    cr_expect_gt(rg_tape_flops(tape), 0);
    policy->flops = &flops;
    rg_policy_logprob_values(policy, sequences, own);
    cr_expect_eq(flops, rg_tape_flops(tape), "values count on the counter that is lent");
    rg_tape_destroy(tape);
    rg_policy_destroy(reference);
    rg_policy_destroy(policy);
    rg_sequences_destroy(sequences);
}

static RgSampling plain_sampling(void) {
    return (RgSampling){.temperature = 1, .top_p = 1, .response_limit = 1, .end_token = -1};
}

/* Largest deviation of sampled frequencies from `probability`, in standard errors. */
static double worst_deviation(RgPolicy *policy, int32_t context, const RgSampling *sampling,
                              const double *probability) {
    enum { DRAWS = 20000 };
    RgSequences *prompts = prompts_of(1, context), *out = rg_sequences_create();
    rg_policy_sample(policy, prompts, DRAWS, sampling, rg_random_root(3), out, NULL);
    cr_assert_eq(out->count, DRAWS);
    double count[RESPONSES] = {0}, worst = 0;
    for (int64_t i = 0; i < out->count; i++) {
        cr_assert_eq(*rg_sequence_prompt(out, i), context);
        count[*rg_sequence_response(out, i)]++;
    }
    for (int r = 0; r < RESPONSES; r++) {
        double p = probability[r], error = sqrt(p * (1 - p) / DRAWS);
        double off = fabs(count[r] / DRAWS - p);
        worst = fmax(worst, off == 0 ? 0 : error > 0 ? off / error : INFINITY);
    }
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    return worst;
}

Test(policy, sampled_frequencies_are_the_probabilities) {
    RgPolicy *policy = policy_of("tabular");
    double table[CELLS], p[RESPONSES], sum = 0;
    rg_policy_table(policy, table);
    for (int r = 0; r < RESPONSES; r++)
        p[r] = exp(table[RESPONSES + r]);
    RgSampling sampling = plain_sampling();
    cr_expect_lt(worst_deviation(policy, 1, &sampling, p), 4);

    sampling.temperature = 0.5; /* π² renormalised */
    for (int r = 0; r < RESPONSES; r++)
        sum += p[r] * p[r];
    for (int r = 0; r < RESPONSES; r++)
        p[r] = p[r] * p[r] / sum;
    cr_expect_lt(worst_deviation(policy, 1, &sampling, p), 4);
    rg_policy_destroy(policy);
}

Test(policy, top_k_and_top_p_keep_the_likeliest) {
    static const double logits[RESPONSES] = {0.4, 0.1, 0.3, 0.05, 0.15}; /* as probabilities */
    RgPolicy *policy = policy_of("tabular");
    for (int r = 0; r < RESPONSES; r++)
        policy->parameters->value[r] = (RgReal)log(logits[r]);
    RgSampling sampling = plain_sampling();
    sampling.top_k = 2;
    cr_expect_lt(
        worst_deviation(policy, 0, &sampling, (double[RESPONSES]){0.4 / 0.7, 0, 0.3 / 0.7, 0, 0}),
        4);
    sampling.top_k = 0;
    sampling.top_p = 0.8; /* 0.4 + 0.3 < 0.8 ≤ 0.4 + 0.3 + 0.15 */
    cr_expect_lt(worst_deviation(policy, 0, &sampling,
                                 (double[RESPONSES]){0.4 / 0.85, 0, 0.3 / 0.85, 0, 0.15 / 0.85}),
                 4);
    sampling.temperature = 0;
    cr_expect_eq(worst_deviation(policy, 0, &sampling, (double[RESPONSES]){1}), 0);
    rg_policy_destroy(policy);
}

Test(policy, a_sample_depends_on_its_number_and_not_on_its_neighbours) {
    RgPolicy *policy = policy_of("tabular");
    RgSampling sampling = plain_sampling();
    RgSequences *few = prompts_of(30, 2), *many = prompts_of(40, 2);
    RgSequences *a = rg_sequences_create(), *b = rg_sequences_create();
    rg_policy_sample(policy, few, 1, &sampling, rg_random_root(5), a, NULL);
    rg_policy_sample(policy, many, 1, &sampling, rg_random_root(5), b, NULL);
    int kinds_seen[RESPONSES] = {0}, seen = 0;
    for (int64_t i = 0; i < few->count; i++) {
        cr_expect_eq(*rg_sequence_response(a, i), *rg_sequence_response(b, i));
        seen += kinds_seen[*rg_sequence_response(a, i)]++ == 0;
    }
    cr_expect_gt(seen, 2); /* else equality would say little */
    rg_sequences_destroy(a);
    rg_sequences_destroy(b);
    rg_sequences_destroy(few);
    rg_sequences_destroy(many);
    rg_policy_destroy(policy);
}

Test(policy, copies_of_a_prompt_lie_next_to_each_other) {
    RgPolicy *policy = policy_of("tabular");
    RgSampling sampling = plain_sampling();
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    for (int32_t c = 0; c < CONTEXTS; c++)
        rg_sequences_append(prompts, &c, 1, NULL, 0);
    rg_policy_sample(policy, prompts, 3, &sampling, rg_random_root(5), out, NULL);
    cr_assert_eq(out->count, 3 * CONTEXTS);
    for (int64_t i = 0; i < out->count; i++)
        cr_expect_eq(*rg_sequence_prompt(out, i), i / 3);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

Test(policy, a_diverged_policy_still_samples) {
    RgPolicy *policy = policy_of("tabular");
    RgSampling sampling = plain_sampling();
    for (int i = 0; i < CELLS; i++)
        policy->parameters->value[i] = (RgReal)NAN;
    RgSequences *prompts = prompts_of(4, 0), *out = rg_sequences_create();
    rg_policy_sample(policy, prompts, 2, &sampling, rg_random_root(5), out, NULL);
    for (int64_t i = 0; i < out->count; i++)
        cr_expect(*rg_sequence_response(out, i) >= 0 && *rg_sequence_response(out, i) < RESPONSES);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

Test(policy, features_are_those_of_the_environment_or_one_hot) {
    RgSequences *sequences = sequences_of(9);
    RgPolicy *linear = policy_of("log-linear"), *table = policy_of("tabular");
    cr_assert_eq(rg_policy_feature_count(linear), FEATURES);
    cr_assert_eq(rg_policy_feature_count(table), CELLS);
    double f[9 * FEATURES], hot[9 * CELLS];
    rg_policy_features(linear, sequences, f);
    rg_policy_features(table, sequences, hot);
    for (int i = 0; i < 9; i++) {
        int cell = *rg_sequence_prompt(sequences, i) * RESPONSES;
        cell += *rg_sequence_response(sequences, i);
        for (int k = 0; k < FEATURES; k++)
            cr_expect_float_eq(f[i * FEATURES + k], features[cell * FEATURES + k], 1e-6);
        for (int k = 0; k < CELLS; k++)
            cr_expect_eq(hot[i * CELLS + k], k == cell);
    }
    rg_policy_destroy(linear);
    rg_policy_destroy(table);
    rg_sequences_destroy(sequences);
}

Test(policy, saving_and_loading_keeps_every_bit, .init = scratch_begin) {
    RgSequences *sequences = sequences_of(12);
    const char *path = scratch("policy.safetensors");
    for (int kind = 0; kind < 2; kind++) {
        RgPolicy *policy = policy_of(kinds[kind]), *back = NULL;
        RgError error = {0};
        cr_assert_eq(rg_policy_save(policy, path, &error), RG_OK, "%s", error.text);
        cr_assert_eq(rg_policy_load(path, &back, &error), RG_OK, "%s", error.text);
        cr_expect_str_eq(back->type->about.name, kinds[kind]);
        cr_expect_eq(rg_parameters_hash(back->parameters), rg_parameters_hash(policy->parameters));
        double a[12], b[12];
        rg_policy_logprob_values(policy, sequences, a);
        rg_policy_destroy(policy);
        rg_policy_logprob_values(back, sequences, b);
        cr_expect_arr_eq(a, b, sizeof a);
        rg_policy_destroy(back);
    }
    rg_sequences_destroy(sequences);
}

Test(policy, loading_what_is_not_there_names_the_file) {
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_expect_eq(rg_policy_load("/nowhere/policy", &policy, &error), RG_E_FILE);
    cr_expect_null(policy);
    cr_expect(strstr(error.text, "/nowhere/policy"), "%s", error.text);
}

/* A file with one tensor `name` [sizes] and the given kind and description. */
static RgStatus load_made_up(const char *name, int64_t rows, const char *kind,
                             const char *description, RgError *error) {
    float values[4] = {0};
    RgStoredTensor tensor = {.name = name,
                             .type = RG_F32,
                             .rank = 2,
                             .size = {rows, 2},
                             .data = values,
                             .bytes = (size_t)rows * 2 * sizeof *values};
    const char *metadata[] = {"regatta.policy", kind, "regatta.description", description, NULL};
    const char *path = scratch("made-up");
    RgPolicy *policy = NULL;
    cr_assert_eq(rg_safetensors_write(path, &tensor, 1, metadata, error), RG_OK);
    RgStatus status = rg_policy_load(path, &policy, error);
    cr_expect_eq(status == RG_OK, policy != NULL);
    cr_expect(status == RG_OK || strstr(error->text, path), "%s", error->text);
    rg_policy_destroy(policy);
    return status;
}

Test(policy, files_that_are_no_policy_are_refused, .init = scratch_begin) {
    const char *good = "{\"contexts\": 2, \"responses\": 2}";
    RgError error = {0};
    cr_expect_eq(load_made_up("logits", 2, "tabular", good, &error), RG_OK, "%s", error.text);
    cr_expect_eq(load_made_up("logits", 1, "tabular", good, &error), RG_E_FORMAT);
    cr_expect(strstr(error.text, "\"logits\" does not have the shape"), "%s", error.text);
    cr_expect_eq(load_made_up("logit", 2, "tabular", good, &error), RG_E_FORMAT);
    cr_expect(strstr(error.text, "no tensor \"logits\""), "%s", error.text);
    cr_expect_eq(load_made_up("logits", 2, "tubular", good, &error), RG_E_FORMAT);
    cr_expect(strstr(error.text, "no policy is called \"tubular\""), "%s", error.text);
    static const char *const bad[] = {"", "{", "[]", "{\"contexts\": 2}",
                                      "{\"contexts\": -1, \"responses\": 2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(load_made_up("logits", 2, "tabular", bad[i], &error), RG_E_FORMAT);
        cr_expect(strstr(error.text, "description of a tabular policy"), "%s", error.text);
        cr_expect_eq(load_made_up("weights", 2, "log-linear", bad[i], &error), RG_E_FORMAT);
        cr_expect(strstr(error.text, "description of a log-linear policy"), "%s", error.text);
    }
}

/* Terabytes by their descriptions, in files of a few numbers. */
Test(policy, a_description_is_held_against_the_file_before_memory_is_taken, .init = scratch_begin) {
    RgError error = {0};
    cr_expect_eq(load_made_up("logits", 2, "tabular",
                              "{\"contexts\": 1048576, \"responses\": 1048576}", &error),
                 RG_E_FORMAT);
    cr_expect(strstr(error.text, "\"logits\" does not have the shape"), "%s", error.text);
    cr_expect_eq(load_made_up("logits", 2, "markov",
                              "{\"states\": 16777216, \"actions\": 16777216}", &error),
                 RG_E_FORMAT);
    cr_expect_eq(load_made_up("layer0.weight", 2, "gaussian",
                              "{\"observations\": 65536, \"actions\": 65536, \"hidden\": "
                              "65536, \"layers\": 256}",
                              &error),
                 RG_E_FORMAT);
    const char *transformer =
        "{\"vocabulary\": 16777216, \"layers\": %d, \"width\": 65536, \"heads\": 1, "
        "\"kv_heads\": 1, \"hidden\": 262144, \"context\": 1048576, \"tied\": true, "
        "\"rope_base\": 10000.0, \"rope_pairing\": \"halves\", \"norm_epsilon\": 1e-5, "
        "\"initial_deviation\": 0.02}";
    char description[512];
    snprintf(description, sizeof description, transformer, 1000);
    cr_expect_eq(load_made_up("model.embed_tokens.weight", 2, "transformer", description, &error),
                 RG_E_FORMAT);
    cr_expect(strstr(error.text, "does not have the shape"), "%s", error.text);
    snprintf(description, sizeof description, transformer, 16777216);
    cr_expect_eq(load_made_up("model.embed_tokens.weight", 2, "transformer", description, &error),
                 RG_E_RANGE);
    cr_expect(strstr(error.text, "layers is 16777216, expected 1 to 1000"), "%s", error.text);
}

Test(policy, an_unknown_kind_is_refused_with_the_nearest_name) {
    RgSettings *settings = rg_settings_create();
    RgPolicySpace all = space();
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_expect_eq(
        rg_policy_create("tabulr", settings, "policy", &all, rg_random_root(1), &policy, &error),
        RG_E_USAGE);
    cr_expect_null(policy);
    cr_expect(strstr(error.text, "tabulr") && strstr(error.text, "\"tabular\""), "%s", error.text);
    rg_settings_destroy(settings);
}

Test(policy, an_enumerated_policy_needs_an_enumerated_environment) {
    RgSettings *settings = rg_settings_create();
    RgPolicySpace text = {.vocabulary = 100}, bare = {.contexts = 2, .responses = 2};
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_expect_eq(
        rg_policy_create("tabular", settings, "policy", &text, rg_random_root(1), &policy, &error),
        RG_E_USAGE);
    cr_expect(strstr(error.text, "tabular"), "%s", error.text);
    cr_expect_eq(rg_policy_create("log-linear", settings, "policy", &bare, rg_random_root(1),
                                  &policy, &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "features"), "%s", error.text);
    rg_settings_destroy(settings);
}

Test(policy, check_names_the_sequence_and_the_token) {
    RgPolicy *policy = policy_of("tabular");
    RgSequences *sequences = sequences_of(2);
    RgError error = {0};
    cr_expect_eq(rg_policy_check(policy, sequences, "pairs", &error), RG_OK);
    rg_sequences_append(sequences, (int32_t[]){1}, 1, (int32_t[]){RESPONSES}, 1);
    cr_expect_eq(rg_policy_check(policy, sequences, "pairs", &error), RG_E_RANGE);
    cr_expect(strstr(error.text, "pairs: sequence 2 has token 5 in its response"), "%s",
              error.text);
    rg_sequences_clear(sequences);
    rg_sequences_append(sequences, (int32_t[]){1}, 1, (int32_t[]){0, 1}, 2);
    cr_expect_eq(rg_policy_check(policy, sequences, "pairs", &error), RG_E_CONTEXT);
    cr_expect(strstr(error.text, "sequence 0 has 3 tokens"), "%s", error.text);
    rg_sequences_destroy(sequences);
    rg_policy_destroy(policy);
}

Test(sequences, append_and_views_agree) {
    RgSequences *a = rg_sequences_create(), *b = rg_sequences_create();
    rg_sequences_append(a, (int32_t[]){1, 2, 3}, 3, (int32_t[]){4, 5}, 2);
    rg_sequences_append(a, (int32_t[]){9}, 1, NULL, 0);
    cr_expect_eq(rg_sequence_length(a, 0), 5);
    cr_expect_eq(rg_sequence_response_length(a, 0), 2);
    cr_expect_eq(rg_sequence_response(a, 0)[1], 5);
    cr_expect_eq(rg_sequence_prompt(a, 1)[0], 9);
    cr_expect_eq(rg_sequences_response_tokens(a), 2);
    cr_expect_eq(rg_sequences_longest(a), 5);
    rg_sequences_append_from(b, a, 0, true);
    cr_expect_eq(rg_sequence_length(b, 0), 3);
    rg_sequences_clear(b);
    rg_sequences_append_from(b, a, 0, false);
    rg_sequences_append_from(b, a, 1, false);
    cr_expect_eq(rg_sequences_hash(a), rg_sequences_hash(b));
    b->tokens[4]++;
    cr_expect_neq(rg_sequences_hash(a), rg_sequences_hash(b));
    b->tokens[4]--;
    b->prompt_length[0]--; /* the same tokens, cut elsewhere */
    cr_expect_neq(rg_sequences_hash(a), rg_sequences_hash(b));
    rg_sequences_destroy(a);
    rg_sequences_destroy(b);
}

/* Two sequences of one token each, to the same prompt. */
static void append_two(RgSequences *to, int32_t a, int32_t b) {
    rg_sequences_append(to, (int32_t[]){7}, 1, &a, 1);
    rg_sequences_append(to, (int32_t[]){7}, 1, &b, 1);
}

Test(pairs, unlabelled_ones_are_left_out_and_the_chosen_are_those_preferred) {
    RgSequences *drawn = rg_sequences_create();
    RgPairs *pairs = rg_pairs_create();
    append_two(drawn, 10, 11);
    append_two(drawn, 20, 21);
    append_two(drawn, 30, 31);
    rg_pairs_append_labelled(pairs, drawn, (uint8_t[]){1, RG_UNLABELLED, 0});
    cr_assert_eq(pairs->count, 2);
    cr_assert_eq(pairs->sequences->count, 4);
    RgSequences *chosen = rg_pairs_chosen(pairs);
    cr_assert_eq(chosen->count, 2);
    cr_expect_eq(rg_sequence_response(chosen, 0)[0], 11);
    cr_expect_eq(rg_sequence_response(chosen, 1)[0], 30);
    cr_expect_eq(rg_sequence_prompt(chosen, 1)[0], 7);
    rg_sequences_destroy(chosen);
    rg_pairs_destroy(pairs);
    rg_sequences_destroy(drawn);
}

Test(task, preference_probability_is_bradley_terry_with_flips) {
    RgTask task = {.label_temperature = 2, .label_noise = 0.1};
    double p = 1 / (1 + exp(-(1.5 - 0.5) / 2));
    cr_expect_float_eq(rg_preference_probability(&task, 1.5, 0.5), 0.9 * p + 0.1 * (1 - p), 1e-15);
    task = (RgTask){0};
    cr_expect_eq(rg_preference_probability(&task, 1, 0), 1);
    cr_expect_eq(rg_preference_probability(&task, 0, 1), 0);
    cr_expect_eq(rg_preference_probability(&task, 1, 1), 0.5);
}
