/* SPDX-License-Identifier: MIT */
/* Segments that backward runs again: the same bits in less memory. */
#include "tests/like_gpt2.h"
#include "tests/token_race.h"

/* ---- on the tape itself ---- */

/* tanh(x·W)·y + y, with W a parameter. */
static RgTensor *segment(RgTape *t, const void *context, RgTensor *const *inputs) {
    RgParameters *const *parameters = context;
    RgTensor *w = rg_parameter(t, *parameters, 0);
    RgTensor *h = rg_tanh(t, rg_matmul(t, inputs[0], w));
    return rg_add(t, rg_mul(t, h, inputs[1]), inputs[1]);
}

typedef struct Gradients {
    RgReal x[6], w[12], value;
} Gradients;

/* Twice in a row, so that the second segment's gradient goes on into the first; `constant` inputs
 * still leave the parameters' gradient. */
static Gradients gradients_of(bool again, bool constant) {
    Gradients g = {.value = 0};
    RgReal x[6], y[8];
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "w", 2, (const int64_t[]){3, 4}, true);
    rg_parameters_allocate(p);
    rg_parameters_fill_normal(p, 0, 1, rg_random_root(1));
    for (uint64_t i = 0; i < 8; i++)
        y[i] = x[i % 6] = (RgReal)rg_random_normal(rg_random_root(2), i);
    RgTape *t = rg_tape_create();
    RgTensor *a = constant ? rg_constant(t, RG_SHAPE(2, 3), x) : rg_variable(t, RG_SHAPE(2, 3), x);
    RgTensor *b = constant ? rg_constant(t, RG_SHAPE(2, 4), y) : rg_variable(t, RG_SHAPE(2, 4), y);
    for (int i = 0; i < 2; i++) {
        RgTensor *inputs[] = {a, b};
        b = again ? rg_recompute(t, segment, &p, inputs, 2, b->shape) : segment(t, &p, inputs);
    }
    RgTensor *sum = rg_sum(t, rg_square(t, b));
    g.value = sum->data[0];
    rg_backward(t, sum, 1);
    memcpy(g.w, p->gradient, sizeof g.w);
    if (!constant)
        memcpy(g.x, a->gradient->data, sizeof g.x);
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
    return g;
}

Test(recompute, gives_the_same_bits) {
    for (int constant = 0; constant < 2; constant++) {
        Gradients kept = gradients_of(false, constant), again = gradients_of(true, constant);
        cr_assert_arr_eq(&kept, &again, sizeof kept);
        cr_assert(kept.w[0] != 0 && (constant || kept.x[0] != 0));
    }
}

Test(recompute, leaves_no_node_where_nothing_needs_a_gradient) {
    RgTape *t = rg_tape_create();
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "w", 2, (const int64_t[]){3, 4}, true);
    p->frozen = true;
    rg_parameters_allocate(p);
    RgTensor *inputs[] = {rg_filled(t, RG_SHAPE(2, 3), 1), rg_filled(t, RG_SHAPE(2, 4), 2)};
    RgTensor *y = rg_recompute(t, segment, &p, inputs, 2, RG_SHAPE(2, 4));
    cr_expect(!y->needs_gradient);
    cr_expect_eq(rg_tape_mark(t).nodes, 0);
    cr_expect_eq(y->data[0], 2);
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

/* ---- on the layers of a transformer ---- */

typedef struct Step {
    uint64_t gradient; /* hash of its bits */
    double value;
    size_t peak, after_forward;
} Step;

static Step step_of(const RgTransformerOptions *model, const RgAdapterOptions *adapter,
                    bool recompute) {
    RgPolicy *original = token_policy(model, 1), *policy = original;
    RgError error = {0};
    if (adapter)
        cr_assert_eq(rg_policy_adapt(original, adapter, rg_random_root(2), &policy, &error), RG_OK);
    policy->recompute = recompute;
    RgRandom stream = rg_random_root(3);
    rg_policy_drop(policy, &stream);
    RgSequences *sequences = rg_sequences_create();
    for (uint64_t i = 0; i < 200; i++)
        token_append(sequences, i / 2, i);
    RgTape *t = rg_tape_create();
    RgTensor *sum = rg_sum(t, rg_square(t, rg_policy_logprob(t, policy, sequences)));
    Step step = {.value = sum->data[0], .after_forward = rg_tape_used(t)};
    rg_backward(t, sum, 1);
    step.peak = rg_tape_peak(t);
    const RgParameters *p = policy->parameters;
    step.gradient = rg_hash(RG_HASH_START, p->gradient, sizeof *p->gradient * (size_t)p->count);
    rg_tape_destroy(t);
    rg_sequences_destroy(sequences);
    if (adapter)
        rg_policy_destroy(policy);
    rg_policy_destroy(original);
    return step;
}

static void check_layers(const RgTransformerOptions *model, const RgAdapterOptions *adapter) {
    Step kept = step_of(model, adapter, false), again = step_of(model, adapter, true);
    cr_assert_eq(again.gradient, kept.gradient);
    cr_assert_eq(again.value, kept.value);
    cr_assert_lt(again.after_forward, kept.after_forward / 2);
    cr_assert_lt(again.peak, kept.peak / 2);
}

static RgTransformerOptions deep(void) {
    RgTransformerOptions model = token_model;
    model.layers = 8;
    model.width = 32;
    model.hidden = 80;
    return model;
}

Test(recompute, of_layers_gives_the_same_gradient_in_less_memory) {
    RgTransformerOptions model = deep();
    check_layers(&model, NULL);
    model.tied = true;
    model = like_gpt2(model);
    check_layers(&model, NULL);
}

Test(recompute, of_layers_drops_the_same_inputs_of_an_adapter) {
    RgTransformerOptions model = deep();
    RgAdapterOptions adapter = {.rank = 2, .alpha = 4, .dropout = 0.3, .targets = "all"};
    check_layers(&model, &adapter);
}
