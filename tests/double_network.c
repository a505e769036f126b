/* SPDX-License-Identifier: MIT */
/* The fused operators of networks against central differences, to 1e-6 relative: gradients of the
 * kernels, and, on the expansion, gradients of gradients; and kernels against expansions. A case
 * joins by one line of the table, which makes three tests. */
#include "tests/gradient_check.h"

#include <criterion/criterion.h>
#include <math.h>

static const int32_t positions[] = {0, 1, 2, 0, 5};
static const int64_t one_sequence[] = {0, 5};
static const int64_t packed_sequences[] = {0, 2, 2, 5};  /* the second is empty */
static const int64_t shared_offsets[] = {0, 2, 5, 5, 7}; /* two runs and an empty one … */
static const int64_t shared_prefix[] = {-1, 0, 0, 0};    /* … read on from the first */
static const int64_t long_offsets[] = {0, 70, 140};      /* more than a block each … */
static const int64_t long_prefix[] = {-1, 0};            /* … the second after the first */
static const int32_t targets[] = {2, 0, 6, 1, 1};
static const int32_t many_targets[300] = {1, 2, 3, 4};

#define CASES(CASE)                                                                                \
    CASE(rms_norm, rg_rms_norm(t, x[0], x[1], (RgReal)1e-5), MATRIX(5, 8), VECTOR(8))              \
    CASE(rms_norm_weight_used_twice,                                                               \
         rg_rms_norm(t, rg_rms_norm(t, x[0], x[1], (RgReal)1e-5), x[1], (RgReal)1e-5),             \
         MATRIX(3, 5), VECTOR(5))                                                                  \
    CASE(layer_norm, rg_layer_norm(t, x[0], x[1], x[2], (RgReal)1e-5), MATRIX(5, 8), VECTOR(8),    \
         VECTOR(8))                                                                                \
    CASE(swiglu, rg_swiglu(t, x[0], x[1]), MATRIX(3, 7), MATRIX(3, 7))                             \
    CASE(swiglu_of_itself, rg_swiglu(t, x[0], x[0]), MATRIX(3, 7))                                 \
    CASE(rope_neighbours, rg_square(t, rg_rope(t, x[0], positions, 2, 100, RG_ROPE_NEIGHBOURS)),   \
         MATRIX(5, 8))                                                                             \
    CASE(rope_halves, rg_square(t, rg_rope(t, x[0], positions, 2, 100, RG_ROPE_HALVES)),           \
         MATRIX(5, 8))                                                                             \
    CASE(attention, rg_attention(t, x[0], x[1], x[2], one_sequence, NULL, 1, 2, 2), MATRIX(5, 8),  \
         MATRIX(5, 8), MATRIX(5, 8))                                                               \
    CASE(attention_packed, rg_attention(t, x[0], x[1], x[2], packed_sequences, NULL, 3, 2, 2),     \
         MATRIX(5, 4), MATRIX(5, 4), MATRIX(5, 4))                                                 \
    CASE(attention_grouped, rg_attention(t, x[0], x[1], x[2], packed_sequences, NULL, 3, 4, 2),    \
         MATRIX(5, 8), MATRIX(5, 4), MATRIX(5, 4))                                                 \
    CASE(attention_to_itself, rg_attention(t, x[0], x[0], x[0], packed_sequences, NULL, 3, 2, 2),  \
         MATRIX(5, 4))                                                                             \
    CASE(attention_after_a_prefix,                                                                 \
         rg_attention(t, x[0], x[1], x[2], shared_offsets, shared_prefix, 4, 4, 2), MATRIX(7, 8),  \
         MATRIX(7, 4), MATRIX(7, 4))                                                               \
    CASE(attention_in_a_window,                                                                    \
         rg_attention_in_form(t, x[0], x[1], x[2], shared_offsets, shared_prefix, 4, 4, 2,         \
                              (RgAttentionForm){.window = 2}),                                     \
         MATRIX(7, 8), MATRIX(7, 4), MATRIX(7, 4))                                                 \
    CASE(attention_in_blocks_and_a_window,                                                         \
         rg_attention_in_form(t, x[0], x[1], x[2], long_offsets, long_prefix, 2, 2, 1,             \
                              (RgAttentionForm){.scale = 0.4, .cap = 3, .window = 67}),            \
         MATRIX(140, 4), MATRIX(140, 2), MATRIX(140, 2))                                           \
    CASE(attention_of_capped_scores,                                                               \
         rg_attention_in_form(t, x[0], x[1], x[2], packed_sequences, NULL, 3, 2, 1,                \
                              (RgAttentionForm){.scale = 0.9, .cap = 1.5}),                        \
         MATRIX(5, 4), MATRIX(5, 2), MATRIX(5, 2))                                                 \
    CASE(token_logprob_capped, rg_token_logprob_capped(t, x[0], x[1], targets, 2), MATRIX(5, 4),   \
         MATRIX(7, 4))                                                                             \
    CASE(log_likelihood_capped, rg_log_likelihood_capped(t, x[0], x[1], targets, 2), MATRIX(5, 4), \
         MATRIX(7, 4))                                                                             \
    CASE(token_logprob, rg_token_logprob(t, x[0], x[1], targets), MATRIX(5, 4), MATRIX(7, 4))      \
    CASE(token_logprob_of_chunks, rg_token_logprob(t, x[0], x[1], many_targets), MATRIX(300, 2),   \
         MATRIX(5, 2))                                                                             \
    CASE(token_logprob_of_pieces, rg_token_logprob(t, x[0], x[1], targets), MATRIX(5, 2),          \
         MATRIX(270, 2))                                                                           \
    CASE(log_likelihood, rg_log_likelihood(t, x[0], x[1], targets), MATRIX(5, 4), MATRIX(7, 4))    \
    CASE(log_likelihood_of_chunks, rg_log_likelihood(t, x[0], x[1], many_targets), MATRIX(300, 2), \
         MATRIX(5, 2))                                                                             \
    CASE(log_likelihood_of_pieces, rg_log_likelihood(t, x[0], x[1], targets), MATRIX(5, 2),        \
         MATRIX(270, 2))                                                                           \
    CASE(attention_in_blocks,                                                                      \
         rg_attention(t, x[0], x[1], x[2], long_offsets, long_prefix, 2, 2, 1), MATRIX(140, 4),    \
         MATRIX(140, 2), MATRIX(140, 2))                                                           \
    CASE(linear, rg_linear(t, x[0], x[1], NULL, NULL), MATRIX(5, 3), MATRIX(4, 3))                 \
    CASE(linear_with_bias, rg_linear(t, x[0], x[1], x[2], NULL), MATRIX(5, 3), MATRIX(4, 3),       \
         VECTOR(4))                                                                                \
    CASE(linear_onto, rg_linear(t, x[0], x[1], NULL, x[2]), MATRIX(5, 3), MATRIX(4, 3),            \
         MATRIX(5, 4))                                                                             \
    CASE(linear_with_bias_onto_itself, rg_linear(t, x[0], x[1], x[2], x[0]), MATRIX(5, 4),         \
         MATRIX(4, 4), VECTOR(4))

enum { MOST_INPUTS = 3 };

static RgTensor *inputs_of(RgTape *t, const RgShape *shapes, int count, RgTensor **x) {
    RgRandom random = rg_random_named(rg_random_root(5), "network inputs");
    for (int i = 0; i < count; i++) {
        RgTensor *point = rg_tensor_new(t, shapes[i]);
        for (int64_t j = 0; j < point->count; j++)
            point->data[j] =
                (RgReal)rg_random_normal(rg_random_at(random, (uint64_t)i), (uint64_t)j);
        x[i] = rg_variable(t, shapes[i], point->data);
    }
    return x[0];
}

static void assert_near(const RgTensor *a, const RgTensor *b, const char *what) {
    cr_assert(rg_shape_equal(a->shape, b->shape));
    for (int64_t i = 0; i < a->count; i++)
        cr_assert_float_eq(a->data[i], b->data[i], 1e-11, "%s[%d]: %.17g and %.17g", what, (int)i,
                           (double)a->data[i], (double)b->data[i]);
}

/* Value and gradients of Σ sin(1 + i)·build(x)[i] on a tape of either order. */
static RgTensor *run(RgTape *t, bool second_order, GradientCase build, const RgShape *shapes,
                     int count, RgTensor **gradients) {
    RgTensor *x[MOST_INPUTS];
    rg_tape_second_order(t, second_order);
    inputs_of(t, shapes, count, x);
    RgTensor *y = build(t, x, NULL);
    RgTensor *weight = rg_tensor_new(t, y->shape);
    for (int64_t i = 0; i < y->count; i++)
        weight->data[i] = (RgReal)sin(1.0 + (double)i);
    rg_gradients(t, rg_sum(t, rg_mul(t, y, weight)), x, count, gradients);
    return y;
}

static void check_expansion(GradientCase build, const RgShape *shapes, int count) {
    RgTape *fused = rg_tape_create(), *expanded = rg_tape_create();
    RgTensor *of_fused[MOST_INPUTS], *of_expanded[MOST_INPUTS];
    RgTensor *y = run(fused, false, build, shapes, count, of_fused);
    RgTensor *same = run(expanded, true, build, shapes, count, of_expanded);
    assert_near(y, same, "value");
    for (int i = 0; i < count; i++)
        assert_near(of_fused[i], of_expanded[i], "gradient");
    rg_tape_destroy(fused);
    rg_tape_destroy(expanded);
}

#define CASE_TESTS(id, expression, ...)                                                            \
    static RgTensor *build_##id(RgTape *t, RgTensor *const *x, void *context) {                    \
        (void)context;                                                                             \
        return expression;                                                                         \
    }                                                                                              \
    static const RgShape shapes_##id[] = {__VA_ARGS__};                                            \
    enum { INPUTS_##id = sizeof shapes_##id / sizeof(RgShape) };                                   \
    Test(network_gradient_is_central_difference, id) {                                             \
        check_gradients(#id, build_##id, shapes_##id, INPUTS_##id, NULL, 1e-6, false);             \
    }                                                                                              \
    Test(network_second_order_is_central_difference, id) {                                         \
        check_gradients(#id, build_##id, shapes_##id, INPUTS_##id, NULL, 1e-6, true);              \
    }                                                                                              \
    Test(network_kernel_is_expansion, id) {                                                        \
        check_expansion(build_##id, shapes_##id, INPUTS_##id);                                     \
    }
CASES(CASE_TESTS)

/* ---- claims of single operators ---- */

Test(network, rope_depends_on_distances_only) {
    RgTape *t = rg_tape_create();
    RgTensor *x[2];
    const RgShape shapes[] = {MATRIX(2, 6), MATRIX(2, 6)};
    inputs_of(t, shapes, 2, x);
    for (int pairing = RG_ROPE_NEIGHBOURS; pairing <= RG_ROPE_HALVES; pairing++) {
        RgTensor *q = rg_rope(t, x[0], (const int32_t[]){7, 19}, 1, 10000, (RgRopePairing)pairing);
        RgTensor *k = rg_rope(t, x[1], (const int32_t[]){3, 15}, 1, 10000, (RgRopePairing)pairing);
        /* The same rows at both distances, 7 − 3 and 19 − 15. */
        RgTensor *same_q =
            rg_rope(t, x[0], (const int32_t[]){4, 4}, 1, 10000, (RgRopePairing)pairing);
        RgTensor *score = rg_sum_last(t, rg_mul(t, q, k));
        RgTensor *plain = rg_sum_last(t, rg_mul(t, same_q, x[1]));
        assert_near(score, plain, "score");
    }
    rg_tape_destroy(t);
}

Test(network, attention_never_looks_ahead_or_into_other_sequences) {
    RgTape *t = rg_tape_create();
    RgTensor *x[3];
    const RgShape shapes[] = {MATRIX(5, 4), MATRIX(5, 4), MATRIX(5, 4)};
    inputs_of(t, shapes, 3, x);
    RgTensor *y = rg_attention(t, x[0], x[1], x[2], packed_sequences, NULL, 3, 2, 2);
    /* Row 3 is the second of the last sequence: it may depend on rows 2 and 3 alone. */
    RgTensor *gradient[2];
    rg_gradients(t, rg_sum(t, rg_square(t, rg_slice(t, y, 0, 3, 1))), &x[1], 2, gradient);
    for (int input = 0; input < 2; input++)
        for (int row = 0; row < 5; row++) {
            double sum = 0;
            for (int c = 0; c < 4; c++)
                sum += fabs((double)gradient[input]->data[row * 4 + c]);
            cr_assert_eq(sum > 1e-9, row == 2 || row == 3, "input %d, row %d: %g", input, row, sum);
        }
    rg_tape_destroy(t);
}

Test(network, attention_after_a_prefix_is_attention_of_the_whole) {
    RgTape *t = rg_tape_create();
    RgTensor *x[3], *joined[3];
    const RgShape shapes[] = {MATRIX(7, 8), MATRIX(7, 4), MATRIX(7, 4)};
    inputs_of(t, shapes, 3, x);
    RgTensor *y = rg_attention(t, x[0], x[1], x[2], shared_offsets, shared_prefix, 4, 4, 2);
    for (int s = 1; s < 4; s += 2) { /* each run behind a copy of the prefix of its own */
        int64_t start = shared_offsets[s], length = shared_offsets[s + 1] - start;
        for (int i = 0; i < 3; i++)
            joined[i] = rg_concatenate(
                t, 0,
                (RgTensor *[]){rg_slice(t, x[i], 0, 0, 2), rg_slice(t, x[i], 0, start, length)}, 2);
        RgTensor *whole = rg_attention(t, joined[0], joined[1], joined[2],
                                       (const int64_t[]){0, 2 + length}, NULL, 1, 4, 2);
        assert_near(rg_slice(t, whole, 0, 2, length), rg_slice(t, y, 0, start, length), "row");
    }
    rg_tape_destroy(t);
}

Test(network, token_logprob_sums_to_one_over_the_vocabulary) {
    RgTape *t = rg_tape_create();
    RgTensor *x[2];
    const RgShape shapes[] = {MATRIX(1, 4), MATRIX(7, 4)};
    inputs_of(t, shapes, 2, x);
    double sum = 0;
    for (int32_t v = 0; v < 7; v++)
        sum += exp((double)rg_token_logprob(t, x[0], x[1], &v)->data[0]);
    cr_assert_float_eq(sum, 1, 1e-12);
    rg_tape_destroy(t);
}
