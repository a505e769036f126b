/* SPDX-License-Identifier: MIT */
/* The reward model in double precision: its loss against the formula, gradients of head and
 * transformer against central differences, and what the head reads against other ways to it. */
#include "core/models/transformer.h"
#include "core/policy/data_parallel.h"
#include "envs/judges/judge_reward_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { VOCABULARY = 9, SEQUENCES = 6 };

static RgPolicy *small_transformer(void) {
    RgError error = {0};
    RgTransformerOptions o = {.layers = 2,
                              .width = 8,
                              .heads = 2,
                              .context = 16,
                              .tied = true,
                              .rope_base = 10000,
                              .norm_epsilon = 1e-5};
    RgPolicy *policy;
    cr_assert_eq(rg_transformer_create(&o, VOCABULARY, &policy, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.5, rg_random_root(4));
    return policy;
}

/* Pairs of one prompt each, of unlike lengths. */
static RgSequences *some_pairs(uint64_t sequences) {
    RgSequences *s = rg_sequences_create();
    for (uint64_t i = 0; i < sequences; i++) {
        int32_t prompt[3], response[6];
        RgRandom random = rg_random_at(rg_random_root(6), i), shared = rg_random_root(i / 2);
        for (uint64_t k = 0; k < 3; k++)
            prompt[k] = (int32_t)rg_random_below(shared, k, VOCABULARY);
        for (uint64_t k = 0; k < 6; k++)
            response[k] = (int32_t)rg_random_below(random, k, VOCABULARY);
        rg_sequences_append(s, prompt, 3, response, 1 + (int64_t)i % 6);
    }
    return s;
}

static double loss_value(RgTape *t, RgPolicy *policy, RgParameters *head, RgPooling pooling,
                         const RgSequences *pairs, double centre) {
    RgTensor *reward = rg_reward_model_of(t, policy, head, pooling, pairs);
    double loss = rg_reward_model_loss(t, reward, centre)->data[0];
    rg_tape_reset(t);
    return loss;
}

Test(reward_model, loss_is_bradley_and_terrys_with_the_centre) {
    const double r[] = {1.5, -0.5, 0.2, 0.9, -3, 2};
    double expected = 0;
    for (int i = 0; i < 6; i += 2)
        expected += log(1 + exp(r[i + 1] - r[i])) / 3 + 0.3 * pow(r[i] + r[i + 1], 2) / 3;
    RgTape *t = rg_tape_create();
    RgTensor *loss = rg_reward_model_loss(t, rg_constant_from_double(t, RG_SHAPE(6), r), 0.3);
    cr_expect_float_eq(loss->data[0], expected, 1e-14);
    rg_tape_destroy(t);
}

static void check_derivatives(RgTape *t, RgPolicy *policy, RgParameters *head, RgPooling pooling,
                              const RgSequences *pairs, RgParameters *by) {
    const double step = 1e-5, centre = 0.2;
    double *gradient = rg_allocate(by->count, sizeof *gradient), largest = 0;
    rg_parameters_zero_gradient(by);
    RgTensor *reward = rg_reward_model_of(t, policy, head, pooling, pairs);
    rg_backward(t, rg_reward_model_loss(t, reward, centre), 1);
    rg_tape_reset(t);
    for (int64_t i = 0; i < by->count; i++) {
        gradient[i] = by->gradient[i];
        largest = fmax(largest, fabs(gradient[i]));
    }
    cr_expect_gt(largest, 1e-3);
    for (int64_t i = 0; i<by->count; i += by->count> 100 ? 7 : 1) {
        double at = by->value[i], difference = 0;
        for (int side = -1; side <= 1; side += 2) {
            by->value[i] = at + side * step;
            difference += side * loss_value(t, policy, head, pooling, pairs, centre) / (2 * step);
        }
        by->value[i] = at;
        cr_expect_float_eq(gradient[i], difference, 1e-7 * fmax(1, largest), "number %ld", (long)i);
    }
    free(gradient);
}

static void check_gradients(uint64_t sequences, bool in_shards) {
    RgPolicy *policy = small_transformer();
    RgParameters *head = rg_reward_head_create(policy);
    RgSequences *pairs = some_pairs(sequences);
    RgTape *t = rg_tape_create();
    RgSliceCut cut;
    cr_assert_eq(rg_data_parallel_suits(t, policy, pairs, &cut), in_shards);
    rg_parameters_fill_normal(head, 0, 1, rg_random_root(8));
    for (RgPooling pooling = RG_POOLING_LAST; pooling <= RG_POOLING_MEAN; pooling++) {
        check_derivatives(t, policy, head, pooling, pairs, head);
        check_derivatives(t, policy, head, pooling, pairs, policy->parameters);
    }
    rg_tape_destroy(t);
    rg_sequences_destroy(pairs);
    rg_parameters_destroy(head);
    rg_policy_destroy(policy);
}

Test(reward_model, gradients_of_head_and_transformer_are_those_of_differences) {
    check_gradients(SEQUENCES, false);
}

Test(reward_model, gradients_of_a_batch_in_shards_are_those_of_differences) {
    check_gradients(180, true);
}

/* What is known after the last token is what is known before another one. */
Test(reward_model, last_state_is_the_state_before_the_next_token) {
    RgPolicy *policy = small_transformer();
    RgSequences *pairs = some_pairs(SEQUENCES), *longer = rg_sequences_create();
    int64_t width = policy->type->feature_count(policy), row = -1;
    for (int64_t i = 0; i < pairs->count; i++) {
        int32_t response[8] = {0};
        int64_t length = rg_sequence_response_length(pairs, i);
        for (int64_t k = 0; k < length; k++)
            response[k] = rg_sequence_response(pairs, i)[k];
        rg_sequences_append(longer, rg_sequence_prompt(pairs, i), 3, response, length + 1);
    }
    RgTape *t = rg_tape_create();
    const RgTensor *last = rg_transformer_last_states(policy, t, policy->parameters, pairs);
    const RgTensor *all = policy->type->state_features(policy, t, policy->parameters, longer);
    cr_assert_eq(last->count, pairs->count * width);
    for (int64_t i = 0; i < pairs->count; i++) {
        row += rg_sequence_response_length(longer, i);
        for (int64_t k = 0; k < width; k++)
            cr_expect_float_eq(last->data[i * width + k], all->data[row * width + k], 1e-12);
    }
    rg_tape_destroy(t);
    rg_sequences_destroy(longer);
    rg_sequences_destroy(pairs);
    rg_policy_destroy(policy);
}

Test(reward_model, an_empty_response_has_the_state_zero) {
    RgPolicy *policy = small_transformer();
    RgSequences *s = rg_sequences_create();
    const int32_t prompt[] = {1, 2}, response[] = {3};
    rg_sequences_append(s, prompt, 2, response, 1);
    rg_sequences_append(s, prompt, 2, response, 0);
    RgTape *t = rg_tape_create();
    const RgTensor *last = rg_transformer_last_states(policy, t, policy->parameters, s);
    double size[2] = {0};
    for (int64_t k = 0; k < last->count; k++)
        size[k / (last->count / 2)] += fabs(last->data[k]);
    cr_expect_gt(size[0], 0);
    cr_expect_eq(size[1], 0);
    rg_tape_destroy(t);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}
