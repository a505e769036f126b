/* SPDX-License-Identifier: MIT */
/* Derivatives of an enumerated policy's log-probabilities, on a plain tape and on one of second
 * order, against central differences. */
#include <criterion/criterion.h>

#include "core/models/enumerated.h"

#include <math.h>
#include <string.h>

enum { CONTEXTS = 3, RESPONSES = 4, FEATURES = 5, CELLS = CONTEXTS * RESPONSES, MOST = CELLS };

static double features[CELLS * FEATURES];

static RgPolicy *policy_of(const char *kind) {
    for (int i = 0; i < CELLS * FEATURES; i++)
        features[i] = rg_random_normal(rg_random_root(7), (uint64_t)i);
    RgPolicySpace space = {.contexts = CONTEXTS,
                           .responses = RESPONSES,
                           .features = features,
                           .feature_count = FEATURES};
    RgSettings *settings = rg_settings_create();
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(
        rg_policy_create(kind, settings, "policy", &space, rg_random_root(2), &policy, &error),
        RG_OK, "%s", error.text);
    rg_settings_destroy(settings);
    return policy;
}

static RgSequences *some_sequences(void) {
    RgSequences *sequences = rg_sequences_create();
    for (int32_t i = 0; i < 17; i++)
        rg_sequences_append(sequences, (int32_t[]){i % CONTEXTS}, 1, (int32_t[]){i * i % RESPONSES},
                            1);
    return sequences;
}

/* Σ_i w_i (log π(i))², w_i = 1 + i/10: not linear, so that its Hessian has every part. */
static RgTensor *objective(RgTape *tape, RgPolicy *policy, const RgSequences *sequences) {
    RgTensor *logprob = rg_policy_logprob(tape, policy, sequences);
    RgTensor *weight = rg_tensor_new(tape, logprob->shape);
    for (int64_t i = 0; i < weight->count; i++)
        weight->data[i] = 1 + 0.1 * (double)i;
    return rg_sum(tape, rg_mul(tape, weight, rg_square(tape, logprob)));
}

static double value_at(RgPolicy *policy, const RgSequences *sequences) {
    double logprob[17], sum = 0;
    rg_policy_logprob_values(policy, sequences, logprob);
    for (int i = 0; i < 17; i++)
        sum += (1 + 0.1 * i) * logprob[i] * logprob[i];
    return sum;
}

/* On a plain tape. */
static void gradient_at(RgPolicy *policy, const RgSequences *sequences, double *gradient) {
    RgTape *tape = rg_tape_create();
    rg_parameters_zero_gradient(policy->parameters);
    rg_backward(tape, objective(tape, policy, sequences), 1);
    for (int64_t i = 0; i < policy->parameters->count; i++)
        gradient[i] = policy->parameters->gradient[i];
    rg_tape_destroy(tape);
}

static const char *const kinds[] = {"tabular", "log-linear"};

Test(policy_derivatives, gradient_is_the_central_difference_of_the_value) {
    RgSequences *sequences = some_sequences();
    for (int k = 0; k < 2; k++) {
        RgPolicy *policy = policy_of(kinds[k]);
        double gradient[MOST], step = 1e-5;
        gradient_at(policy, sequences, gradient);
        for (int64_t i = 0; i < policy->parameters->count; i++) {
            RgReal *x = &policy->parameters->value[i], kept = *x;
            *x = (RgReal)(kept + step);
            double above = value_at(policy, sequences);
            *x = (RgReal)(kept - step);
            double below = value_at(policy, sequences);
            *x = kept;
            cr_expect_float_eq(gradient[i], (above - below) / (2 * step), 1e-7);
        }
        cr_expect_gt(rg_parameters_gradient_norm(policy->parameters), 1);
        rg_policy_destroy(policy);
    }
    rg_sequences_destroy(sequences);
}

Test(policy_derivatives, hessian_product_is_the_central_difference_of_the_gradient) {
    RgSequences *sequences = some_sequences();
    for (int k = 0; k < 2; k++) {
        RgPolicy *policy = policy_of(kinds[k]);
        int64_t count = policy->parameters->count;
        RgReal v[MOST], product[MOST], kept[MOST];
        double above[MOST], below[MOST], step = 1e-5;
        for (int64_t i = 0; i < count; i++)
            v[i] = (RgReal)rg_random_normal(rg_random_root(5), (uint64_t)i);

        RgTape *tape = rg_tape_create();
        rg_tape_second_order(tape, true);
        RgHessian *hessian =
            rg_hessian_create(tape, objective(tape, policy, sequences), policy->parameters);
        rg_hessian_product(hessian, v, product);
        rg_tape_destroy(tape);

        memcpy(kept, policy->parameters->value, (size_t)count * sizeof *kept);
        for (int64_t i = 0; i < count; i++)
            policy->parameters->value[i] = (RgReal)(kept[i] + step * v[i]);
        gradient_at(policy, sequences, above);
        for (int64_t i = 0; i < count; i++)
            policy->parameters->value[i] = (RgReal)(kept[i] - step * v[i]);
        gradient_at(policy, sequences, below);
        for (int64_t i = 0; i < count; i++)
            cr_expect_float_eq(product[i], (above[i] - below[i]) / (2 * step), 1e-6);
        rg_policy_destroy(policy);
    }
    rg_sequences_destroy(sequences);
}
