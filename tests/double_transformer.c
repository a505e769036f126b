/* SPDX-License-Identifier: MIT */
/* The transformer in double precision: a real model against figures of another implementation
 * (golden/stories260K.json, made with PyTorch in float64), and derivatives against differences. */
#include "core/models/llama2c.h"
#include "core/models/transformer.h"
#include "core/tensor/vector_ops.h"
#include "tests/like_gpt2.h"
#include "tests/shared_data.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the golden model ---- */

typedef struct Golden {
    json_t *root;
    RgPolicy *reference, *policy; /* the model, and the same with its weights perturbed */
    RgSequences *responses;       /* two after another are a pair */
} Golden;

/* Where the golden file groups weights, and how their names end here. */
static const struct {
    const char *group, *suffix;
} groups[] = {
    {"tok", "embed_tokens.weight"},
    {"att_norm", ".input_layernorm.weight"},
    {"wq", "q_proj.weight"},
    {"wk", "k_proj.weight"},
    {"wv", "v_proj.weight"},
    {"wo", "o_proj.weight"},
    {"ffn_norm", "post_attention_layernorm.weight"},
    {"w1", "gate_proj.weight"},
    {"w2", "down_proj.weight"},
    {"w3", "up_proj.weight"},
    {"norm", "model.norm.weight"},
};
enum { GROUPS = sizeof groups / sizeof *groups };

static bool in_group(const RgParameterView *view, int group) {
    size_t name = strlen(view->name), suffix = strlen(groups[group].suffix);
    return name >= suffix && strcmp(view->name + name - suffix, groups[group].suffix) == 0;
}

/* Element i of each group, its layers one after another, gets 0.01·sin(i) added. */
static void perturb(RgParameters *parameters) {
    for (int group = 0; group < GROUPS; group++) {
        int64_t i = 0;
        for (int v = 0; v < parameters->view_count; v++) {
            const RgParameterView *view = &parameters->views[v];
            for (int64_t j = 0; in_group(view, group) && j < view->count; j++)
                parameters->value[view->offset + j] += (RgReal)(0.01 * sin((double)i++));
        }
        cr_assert_gt(i, 0);
    }
}

static void append_tokens(RgSequences *sequences, const json_t *response) {
    int32_t tokens[2][256];
    size_t count[2];
    const char *const keys[] = {"prompt_tokens", "response_tokens"};
    for (int part = 0; part < 2; part++) {
        const json_t *list = json_object_get(response, keys[part]);
        count[part] = json_array_size(list);
        cr_assert(count[part] > 0 && count[part] <= 256);
        for (size_t i = 0; i < count[part]; i++)
            tokens[part][i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    rg_sequences_append(sequences, tokens[0], (int64_t)count[0], tokens[1], (int64_t)count[1]);
}

static Golden golden_open(void) {
    Golden g = {.root = json_load_file(shared_data("golden/stories260K.json"), 0, NULL)};
    cr_assert(g.root);
    RgError error = {0};
    cr_assert_eq(rg_llama2c_load(shared_data("stories260K.bin"), &g.reference, &error), RG_OK, "%s",
                 error.text);
    g.policy = rg_policy_clone(g.reference, false);
    perturb(g.policy->parameters);
    g.responses = rg_sequences_create();
    const json_t *responses = json_object_get(g.root, "responses");
    for (size_t i = 0; i < json_array_size(responses); i++)
        append_tokens(g.responses, json_array_get(responses, i));
    return g;
}

static void golden_close(Golden *g) {
    rg_policy_destroy(g->policy);
    rg_policy_destroy(g->reference);
    rg_sequences_destroy(g->responses);
    json_decref(g->root);
}

static double golden_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    cr_assert(json_is_number(value), "%s", key);
    return json_number_value(value);
}

/* Norms of the policy's gradient by group, against the golden ones, to 1e-8 relative. */
static void check_gradient_norms(const Golden *g, const char *key) {
    const RgParameters *p = g->policy->parameters;
    const json_t *expected = json_object_get(g->root, key);
    for (int group = 0; group < GROUPS; group++) {
        double sum = 0;
        for (int v = 0; v < p->view_count; v++)
            for (int64_t j = 0; in_group(&p->views[v], group) && j < p->views[v].count; j++)
                sum += pow((double)p->gradient[p->views[v].offset + j], 2);
        double wanted = golden_number(expected, groups[group].group);
        cr_expect_float_eq(sqrt(sum), wanted, 1e-8 * wanted, "%s of %s: %.12g, expected %.12g", key,
                           groups[group].group, sqrt(sum), wanted);
    }
}

/* β·Δ of every pair: Δ = log π/π_ref of the first response minus that of the second. */
static RgTensor *margins(const Golden *g, RgTape *t, double beta, RgTensor *logprob) {
    int64_t pairs = g->responses->count / 2;
    double *reference = rg_allocate(2 * pairs, sizeof *reference);
    rg_policy_logprob_values(g->reference, g->responses, reference);
    RgTensor *ratio =
        rg_sub(t, logprob, rg_constant_from_double(t, RG_SHAPE(2 * pairs), reference));
    free(reference);
    RgTensor *pair = rg_reshape(t, ratio, RG_SHAPE(pairs, 2));
    RgTensor *margin =
        rg_sub(t, rg_slice(t, pair, 1, 0, 1), rg_slice(t, pair, 1, 1, 1)); /* [pairs, 1] */
    return rg_scale(t, margin, (RgReal)beta);
}

Test(transformer, logprob_is_that_of_pytorch) {
    Golden g = golden_open();
    double *logprob = rg_allocate(g.responses->count, sizeof *logprob);
    rg_policy_logprob_values(g.reference, g.responses, logprob);
    for (int64_t i = 0; i < g.responses->count; i++) {
        const json_t *response = json_array_get(json_object_get(g.root, "responses"), (size_t)i);
        cr_expect_float_eq(logprob[i], golden_number(response, "logprob"), 1e-8);
    }
    rg_policy_logprob_values(g.policy, g.responses, logprob);
    const json_t *pairs = json_object_get(g.root, "policy_logprobs");
    for (int64_t i = 0; i < g.responses->count; i++) {
        const json_t *pair = json_array_get(pairs, (size_t)i / 2);
        cr_expect_float_eq(logprob[i], json_number_value(json_array_get(pair, (size_t)i % 2)),
                           1e-8);
    }
    free(logprob);
    golden_close(&g);
}

Test(transformer, gradient_of_dpo_is_that_of_pytorch) {
    Golden g = golden_open();
    RgTape *t = rg_tape_create();
    RgTensor *logprob = rg_policy_logprob(t, g.policy, g.responses);
    RgTensor *margin = margins(&g, t, golden_number(g.root, "beta"), logprob);
    RgTensor *loss = rg_negate(t, rg_mean(t, rg_log_sigmoid(t, margin)));
    cr_expect_float_eq(loss->data[0], golden_number(g.root, "dpo_loss"), 1e-10);
    rg_backward(t, loss, 1);
    check_gradient_norms(&g, "dpo_gradient_norms");
    rg_tape_destroy(t);
    golden_close(&g);
}

/* The gradient that reaches a response through its being sampled: mean over pairs of
 * stop(log σ(β·Δ))·(log π(first) + log π(second)). */
Test(transformer, gradient_of_response_term_is_that_of_pytorch) {
    Golden g = golden_open();
    RgTape *t = rg_tape_create();
    RgTensor *logprob = rg_policy_logprob(t, g.policy, g.responses);
    RgTensor *margin = margins(&g, t, golden_number(g.root, "beta"), logprob);
    RgTensor *fit = rg_stop_gradient(t, rg_log_sigmoid(t, margin));
    RgTensor *both = rg_sum_last(t, rg_reshape(t, logprob, RG_SHAPE(g.responses->count / 2, 2)));
    rg_backward(t, rg_mean(t, rg_mul(t, fit, both)), 1);
    check_gradient_norms(&g, "response_term_gradient_norms");
    rg_tape_destroy(t);
    golden_close(&g);
}

Test(transformer, prompt_that_is_shared_gives_the_same_log_probabilities) {
    Golden g = golden_open();
    RgSequences *all = rg_sequences_create();
    double together[6], alone;
    const RgSequences *r = g.responses;
    for (int64_t i = 0; i < 6; i++) /* the prompt of the first three, then of the fourth */
        rg_sequences_append(all, rg_sequence_prompt(r, i < 3 ? 0 : 3),
                            r->prompt_length[i < 3 ? 0 : 3], rg_sequence_response(r, i),
                            rg_sequence_response_length(r, i));
    rg_policy_logprob_values(g.reference, all, together);
    for (int64_t i = 0; i < 6; i++) {
        RgSequences *one = rg_sequences_create();
        rg_sequences_append_from(one, all, i, false);
        rg_policy_logprob_values(g.reference, one, &alone);
        cr_expect_float_eq(together[i], alone, 1e-10);
        rg_sequences_destroy(one);
    }
    rg_sequences_destroy(all);
    golden_close(&g);
}

/* ---- derivatives of small models ---- */

static const RgTransformerOptions small = {.layers = 2,
                                           .width = 8,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .hidden = 12,
                                           .context = 16,
                                           .rope_base = 100,
                                           .rope_pairing = RG_ROPE_HALVES,
                                           .norm_epsilon = 1e-5};

static RgPolicy *small_policy(const RgTransformerOptions *options) {
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(options, 11, &policy, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.5, rg_random_root(3));
    return policy;
}

/* Different lengths, a shared prompt, an empty response, some of a single token. */
static RgSequences *small_sequences(void) {
    RgSequences *s = rg_sequences_create();
    rg_sequences_append(s, (const int32_t[]){1, 2, 3}, 3, (const int32_t[]){4, 10, 0}, 3);
    rg_sequences_append(s, (const int32_t[]){1, 2, 3}, 3, (const int32_t[]){10}, 1);
    rg_sequences_append(s, (const int32_t[]){1, 2, 3}, 3, (const int32_t[]){5, 4}, 2);
    rg_sequences_append(s, (const int32_t[]){7}, 1, (const int32_t[]){7, 7, 1, 5}, 4);
    rg_sequences_append(s, (const int32_t[]){5, 6}, 2, NULL, 0);
    rg_sequences_append(s, (const int32_t[]){9, 8}, 2, (const int32_t[]){9}, 1);
    return s;
}

/* A sum over the sequences with unequal weights; on a first-order tape sharded. */
static RgTensor *weighted(RgTape *t, RgPolicy *policy, const RgSequences *s) {
    RgTensor *logprob = rg_policy_logprob(t, policy, s);
    RgTensor *weight = rg_tensor_new(t, logprob->shape);
    for (int64_t i = 0; i < weight->count; i++)
        weight->data[i] = (RgReal)(1 + 0.3 * (double)i);
    return rg_sum(t, rg_mul(t, rg_square(t, logprob), weight));
}

static double value_at(RgPolicy *policy, const RgSequences *s, const RgReal *v, double step) {
    RgParameters *p = policy->parameters;
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += (RgReal)(step * (double)v[i]);
    RgTape *t = rg_tape_create();
    double value = (double)weighted(t, policy, s)->data[0];
    rg_tape_destroy(t);
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] -= (RgReal)(step * (double)v[i]);
    return value;
}

static RgReal *direction(int64_t count) {
    RgReal *v = rg_allocate(count, sizeof *v);
    for (int64_t i = 0; i < count; i++)
        v[i] = (RgReal)rg_random_normal(rg_random_root(17), (uint64_t)i);
    return v;
}

static void check_derivatives(const RgTransformerOptions *options) {
    RgPolicy *policy = small_policy(options);
    RgParameters *p = policy->parameters;
    RgSequences *s = small_sequences();
    RgReal *v = direction(p->count), *hv = direction(p->count), *g = direction(p->count);

    RgTape *t = rg_tape_create();
    rg_backward(t, weighted(t, policy, s), 1);
    double along = rg_dot(p->count, p->gradient, v), step = 1e-5;
    double difference = (value_at(policy, s, v, step) - value_at(policy, s, v, -step)) / (2 * step);
    cr_expect_float_eq(along, difference, 1e-6 * fabs(along), "%.12g and %.12g", along, difference);

    rg_tape_reset(t);
    rg_tape_second_order(t, true);
    RgHessian *hessian = rg_hessian_create(t, weighted(t, policy, s), p);
    rg_hessian_gradient(hessian, g);
    for (int64_t i = 0; i < p->count; i++)
        cr_assert_float_eq(g[i], p->gradient[i], 1e-9 * (1 + fabs((double)g[i])));
    rg_hessian_product(hessian, v, hv);
    double curvature = rg_dot(p->count, v, hv);
    step = 1e-4;
    difference = (value_at(policy, s, v, step) - 2 * value_at(policy, s, v, 0) +
                  value_at(policy, s, v, -step)) /
                 (step * step);
    cr_expect_float_eq(curvature, difference, 1e-5 * fabs(curvature), "%.12g and %.12g", curvature,
                       difference);
    rg_tape_destroy(t);
    free(v);
    free(hv);
    free(g);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

Test(transformer, derivatives_are_central_differences) {
    check_derivatives(&small);
}

Test(transformer, derivatives_are_central_differences_with_a_tied_head) {
    RgTransformerOptions options = small;
    options.tied = true;
    options.rope_pairing = RG_ROPE_NEIGHBOURS;
    check_derivatives(&options);
}

Test(transformer, derivatives_are_central_differences_with_biases) {
    RgTransformerOptions options = small;
    options.biases = RG_BIASES_QUERY_KEY_VALUE;
    check_derivatives(&options);
}

Test(transformer, derivatives_are_central_differences_as_gpt2) {
    RgTransformerOptions options = small;
    options.tied = true;
    options = like_gpt2(options);
    check_derivatives(&options);
}

Test(transformer, derivatives_are_central_differences_as_qwen3) {
    RgTransformerOptions options = small;
    options.head_size = 4;
    options.query_key_norm = true;
    options.window = 3;
    options.window_first = 1;
    check_derivatives(&options);
}

Test(transformer, derivatives_are_central_differences_with_scaled_frequencies) {
    static const int scalings[] = {RG_ROPE_LINEAR, RG_ROPE_LLAMA3, RG_ROPE_YARN};
    for (int i = 0; i < 3; i++) {
        RgTransformerOptions options = small;
        options.head_size = 8;
        options.rope_scaling = scalings[i];
        options.rope_factor = 3;
        check_derivatives(&options);
    }
}

Test(transformer, derivatives_are_central_differences_as_gpt_neox) {
    RgTransformerOptions options = small;
    options.kv_heads = options.heads;
    options.head_size = 4;
    options.rotary_size = 2;
    options.norm = RG_NORM_LAYER;
    options.biases = RG_BIASES_ALL;
    options.feed_forward = RG_FEED_FORWARD_GELU_EXACT;
    options.residual = RG_RESIDUAL_PARALLEL;
    check_derivatives(&options);
}

Test(transformer, derivatives_are_central_differences_as_gemma) {
    RgTransformerOptions options = small;
    options.tied = true;
    options.head_size = 4;
    options.query_key_norm = true;
    options.output_norms = true;
    options.feed_forward = RG_FEED_FORWARD_GEGLU;
    options.window = 3;
    options.full_every = 2;
    options.window_rope_base = 20;
    options.embedding_scale = 2.5;
    options.attention_scale = 0.7;
    options.attention_cap = 1.5;
    options.logit_cap = 2;
    check_derivatives(&options);
}

/* Gradient at p + step·v by the fused kernels: g [count] out. Returns FLOPs. */
static double gradient_at(RgPolicy *policy, const RgSequences *s, const RgReal *v, double step,
                          RgReal *g) {
    RgParameters *p = policy->parameters;
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += (RgReal)(step * (double)v[i]);
    RgTape *t = rg_tape_create();
    rg_parameters_zero_gradient(p);
    rg_backward(t, weighted(t, policy, s), 1);
    double flops = rg_tape_flops(t);
    rg_tape_destroy(t);
    memcpy(g, p->gradient, sizeof *g * (size_t)p->count);
    rg_parameters_zero_gradient(p);
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] -= (RgReal)(step * (double)v[i]);
    return flops;
}

/* The whole product, not one number of it; and what it costs. */
Test(transformer, a_hessian_vector_product_is_a_difference_of_gradients_and_costs_four_at_most) {
    RgPolicy *policy = small_policy(&small);
    RgParameters *p = policy->parameters;
    RgSequences *s = small_sequences();
    RgReal *v = direction(p->count), *hv = direction(p->count);
    RgReal *high = direction(p->count), *low = direction(p->count);
    const double step = 1e-5;
    double gradient_flops = gradient_at(policy, s, v, step, high);
    gradient_at(policy, s, v, -step, low);

    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *hessian = rg_hessian_create(t, weighted(t, policy, s), p);
    double before = rg_tape_flops(t);
    rg_hessian_product(hessian, v, hv);
    double product_flops = rg_tape_flops(t) - before, gap = 0, norm = 0;
    for (int64_t i = 0; i < p->count; i++) {
        double difference = ((double)high[i] - (double)low[i]) / (2 * step);
        gap += (hv[i] - difference) * (hv[i] - difference);
        norm += difference * difference;
    }
    cr_expect_lt(sqrt(gap / norm), 1e-5, "off by %g", sqrt(gap / norm));
    cr_expect_lt(product_flops / gradient_flops, 4, "as many FLOPs as %g gradients",
                 product_flops / gradient_flops);
    rg_tape_destroy(t);
    free(v);
    free(hv);
    free(high);
    free(low);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}
