/* SPDX-License-Identifier: MIT */
/* What a plan says of passes and of sampling, against what they take. */
#include "core/models/transformer_cost.h"
#include "core/tensor/tensor.h"
#include "tests/like_gpt2.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { VOCABULARY = 700, PROMPT = 20, RESPONSE = 30 };

static const RgTransformerOptions model = {.layers = 3,
                                           .width = 96,
                                           .heads = 6,
                                           .kv_heads = 2,
                                           .context = 64,
                                           .tied = true,
                                           .rope_base = 1000,
                                           .norm_epsilon = 1e-5,
                                           .initial_deviation = 0.02};

static RgTransformerOptions gpt2(void) {
    RgTransformerOptions options = model;
    options.tied = false;
    options.kv_heads = options.heads;
    return like_gpt2(options);
}

static const RgAdapterOptions none = {.rank = 0};
static const RgAdapterOptions some = {.rank = 8, .alpha = 8, .targets = "query, value"};
static const RgAdapterOptions all = {.rank = 16, .alpha = 8, .dropout = 0.1, .targets = "all"};

/* Responses of the longest length, `copies` of them to a prompt. */
static RgSequences *sequences_of(int64_t prompts, int64_t copies) {
    RgSequences *s = rg_sequences_create();
    int32_t tokens[PROMPT + RESPONSE];
    for (int64_t i = 0; i < prompts * copies; i++) {
        for (int64_t j = 0; j < PROMPT + RESPONSE; j++)
            tokens[j] = (int32_t)((j < PROMPT ? i / copies + 3 * j : i + 7 * j) % VOCABULARY);
        rg_sequences_append(s, tokens, PROMPT, tokens + PROMPT, RESPONSE);
    }
    return s;
}

static void near(const char *what, double planned, double found, double tolerance) {
    cr_expect_float_eq(planned, found, tolerance * found, "%s: %.0f planned, %.0f found, %+.1f %%",
                       what, planned, found, 100 * (planned / found - 1));
}

static int64_t numbers_rounded(const RgParameters *parameters) {
    int64_t count = 0;
    for (int v = 0; v < parameters->view_count; v++)
        count += parameters->views[v].rounded ? parameters->views[v].count : 0;
    return count;
}

static void check_training(RgPolicy *policy, const RgTransformerCost *plan,
                           const RgPassLoad *load) {
    RgSequences *s = sequences_of(load->prompts, load->copies);
    RgTape *t = rg_tape_create();
    RgPassCost cost = rg_transformer_training_cost(plan, load);
    RgTensor *sum = rg_sum(t, rg_policy_logprob(t, policy, s));
    near("kept", cost.kept, (double)rg_tape_used(t), 0.03);
    rg_backward(t, sum, 1);
    near("peak", cost.peak, (double)rg_tape_peak(t), 0.04);
    near("operations", cost.flops, rg_tape_flops(t), 0.05);
    rg_tape_destroy(t);
    rg_sequences_destroy(s);
}

/* Hidden states alone, of the responses' tokens; and second derivatives. */
static void check_work(RgPolicy *policy, const RgTransformerCost *plan, const RgPassLoad *load) {
    RgSequences *s = sequences_of(load->prompts, load->copies);
    int64_t width = policy->type->state_feature_count(policy), count = s->count;
    RgReal *states = rg_allocate(count * RESPONSE * width, sizeof *states);
    double *features = rg_allocate(count * width, sizeof *features), flops = 0;
    policy->flops = &flops;
    rg_policy_state_values(policy, s, states);
    near("operations of states", rg_transformer_states_flops(plan, load, false), flops, 0.05);
    flops = 0;
    rg_policy_features(policy, s, features);
    near("operations of features", rg_transformer_states_flops(plan, load, true), flops, 0.05);
    policy->flops = NULL;
    free(states);
    free(features);

    RgTape *t = rg_tape_create();
    RgCurvatureCost cost = rg_transformer_curvature_cost(plan, load);
    RgReal *v = rg_allocate(policy->parameters->count, sizeof *v);
    rg_tape_second_order(t, true);
    RgHessian *hessian =
        rg_hessian_create(t, rg_sum(t, rg_policy_logprob(t, policy, s)), policy->parameters);
    double linearised = rg_tape_flops(t);
    near("operations of a linearisation", cost.linearised, linearised, 0.1);
    rg_hessian_product(hessian, v, v);
    near("operations of a Hessian's product", cost.product, rg_tape_flops(t) - linearised, 0.1);
    free(v);
    rg_tape_destroy(t);
    rg_sequences_destroy(s);
}

static void check(const RgTransformerOptions *options, const RgAdapterOptions *adapter,
                  bool recompute, RgPrecision storage) {
    RgError error = {0};
    RgPolicy *original = NULL, *policy;
    RgTransformerCost plan;
    cr_assert_eq(rg_transformer_create(options, VOCABULARY, &original, &error), RG_OK);
    for (int v = 0; v < original->parameters->view_count; v++)
        rg_parameters_fill_normal(original->parameters, v, 0.05, rg_random_root(3));
    cr_assert_eq(rg_transformer_cost(options, VOCABULARY, adapter, &plan, &error), RG_OK);
    policy = original;
    if (storage == RG_PRECISION_BF16) {
        rg_parameters_freeze(original->parameters);
        cr_assert_eq(rg_policy_store(original, storage, &error), RG_OK);
        cr_expect_eq(rg_transformer_cost_matrices(&plan), numbers_rounded(original->parameters));
    }
    if (adapter->rank > 0)
        cr_assert_eq(rg_policy_adapt(original, adapter, rg_random_root(1), &policy, &error), RG_OK);
    plan.recompute = policy->recompute = recompute;
    plan.storage = storage;
    cr_expect_eq(rg_transformer_cost_weights(&plan), rg_policy_weights(policy)->count);
    cr_expect_eq(rg_transformer_cost_trained(&plan), policy->parameters->count);

    RgPassLoad load = {20, 2, PROMPT, RESPONSE};
    RgSequences *s = sequences_of(load.prompts, load.copies);
    RgRandom stream = rg_random_root(2);
    rg_policy_drop(policy, &stream);
    check_training(policy, &plan, &load);
    for (int i = 0; i < 2; i++) /* in fewer shards, or with a prompt that is read in several */
        check_training(policy, &plan, &(RgPassLoad){i ? 2 : 10, i ? 16 : 2, PROMPT, RESPONSE});
    check_work(policy, &plan, &(RgPassLoad){6, 2, PROMPT, RESPONSE});
    RgPassCost cost;
    RgTensor *sum;
    RgTape *t;

    t = rg_tape_create();
    cost = rg_transformer_likelihood_cost(&plan, &load);
    sum = rg_policy_log_likelihood(t, policy, s);
    near("kept of likelihood", cost.kept, (double)rg_tape_used(t), 0.03);
    rg_backward(t, sum, 1);
    near("peak of likelihood", cost.peak, (double)rg_tape_peak(t), 0.04);
    near("operations of likelihood", cost.flops, rg_tape_flops(t), 0.05);
    rg_tape_destroy(t);

    t = rg_tape_create();
    rg_tape_record(t, false);
    cost = rg_transformer_values_cost(&plan, &load);
    rg_policy_logprob(t, policy, s);
    near("peak of values", cost.peak, (double)rg_tape_peak(t), 0.05);
    near("operations of values", cost.flops, rg_tape_flops(t), 0.05);
    rg_tape_destroy(t);

    RgSampling sampling = {
        .temperature = 1, .top_p = 1, .response_limit = RESPONSE, .end_token = -1};
    RgSequences *out = rg_sequences_create();
    double flops = 0;
    policy->flops = &flops;
    rg_policy_sample(policy, s, 1, &sampling, rg_random_root(1), out, NULL);
    near("operations of sampling", rg_transformer_sampling_flops(&plan, &load), flops, 0.05);
    rg_sequences_destroy(out);
    rg_sequences_destroy(s);
    if (policy != original)
        rg_policy_destroy(policy);
    rg_policy_destroy(original);
}

Test(plan, of_a_llama_is_what_it_takes) {
    check(&model, &none, false, RG_PRECISION_FP32);
    check(&model, &none, true, RG_PRECISION_FP32);
}

Test(plan, of_a_gpt2_is_what_it_takes) {
    RgTransformerOptions options = gpt2();
    check(&options, &none, false, RG_PRECISION_FP32);
    check(&options, &none, true, RG_PRECISION_FP32);
}

/* Wide heads, their norms, and a window beyond which sampling reads nothing. */
Test(plan, of_a_qwen3_is_what_it_takes) {
    RgTransformerOptions options = model;
    options.head_size = 24;
    options.query_key_norm = true;
    options.window = 12;
    options.window_first = 1;
    check(&options, &none, false, RG_PRECISION_FP32);
    check(&options, &all, true, RG_PRECISION_FP32);
}

Test(plan, of_a_gpt_neox_is_what_it_takes) {
    RgTransformerOptions options = gpt2();
    options.positions = RG_POSITIONS_ROTARY;
    options.rotary_size = 4;
    options.feed_forward = RG_FEED_FORWARD_GELU_EXACT;
    options.residual = RG_RESIDUAL_PARALLEL;
    check(&options, &none, false, RG_PRECISION_FP32);
    check(&options, &all, false, RG_PRECISION_FP32);
}

Test(plan, of_a_gemma_is_what_it_takes) {
    RgTransformerOptions options = model;
    options.head_size = 24;
    options.query_key_norm = true;
    options.output_norms = true;
    options.feed_forward = RG_FEED_FORWARD_GEGLU;
    options.window = 12;
    options.full_every = 3;
    options.embedding_scale = 9;
    options.attention_cap = 5;
    options.logit_cap = 5;
    check(&options, &none, false, RG_PRECISION_FP32);
    check(&options, &none, true, RG_PRECISION_FP32);
    check(&options, &some, false, RG_PRECISION_FP32);
}

Test(plan, of_an_adapter_is_what_it_takes) {
    RgTransformerOptions options = gpt2();
    check(&model, &some, false, RG_PRECISION_FP32);
    check(&model, &all, false, RG_PRECISION_FP32);
    check(&model, &all, true, RG_PRECISION_FP32);
    check(&options, &all, false, RG_PRECISION_FP32);
}

Test(plan, of_an_adapter_beside_weights_in_bf16_is_what_it_takes) {
    RgTransformerOptions options = gpt2();
    check(&model, &all, false, RG_PRECISION_BF16);
    check(&options, &some, true, RG_PRECISION_BF16);
}
