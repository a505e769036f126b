/* SPDX-License-Identifier: MIT */
/* Claims about the kernels of networks in the program's precision: the exponential, and kernels
 * against expansions at the sizes of real models. Derivatives are checked in double_network.c. */
#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"

#include <criterion/criterion.h>

Test(fast_exp, is_exp_to_two_units_in_the_last_place) {
    double worst = 0;
    for (int i = -86000; i <= 87000; i++) {
        RgReal x = (RgReal)(i * 0.001);
        double exact = exp((double)x), error = fabs((double)rg_fast_exp(x) - exact) / exact;
        worst = error > worst ? error : worst;
    }
    cr_assert_lt(worst, 2 * RG_REAL_EPSILON);
}

Test(fast_exp, stays_finite_and_keeps_what_is_not_a_number) {
    cr_assert_eq(rg_fast_exp(0), 1);
    cr_assert_lt(rg_fast_exp((RgReal)-INFINITY), 1e-37);
    cr_assert(isfinite(rg_fast_exp((RgReal)1e30)));
    cr_assert(isnan(rg_fast_exp((RgReal)NAN)));
}

enum { ROWS = 150, WIDTH = 160, VOCABULARY = 1000, WEIGHTS = 4 };

static RgTensor *normal(RgTape *t, RgShape shape, const char *name, double deviation) {
    RgRandom random = rg_random_named(rg_random_root(1), name);
    RgTensor *x = rg_tensor_new(t, shape);
    for (int64_t i = 0; i < x->count; i++)
        x->data[i] = (RgReal)(deviation * rg_random_normal(random, (uint64_t)i));
    return rg_variable(t, shape, x->data);
}

/* A layer's worth of every operator, and its gradients. */
static RgTensor *run_all(RgTape *t, bool second_order, RgTensor **gradients) {
    static const int64_t offsets[] = {0, 40, 97, 150}, prefix[] = {-1, 0, -1};
    int32_t index[ROWS];
    for (int i = 0; i < ROWS; i++)
        index[i] = i * 13 % 200;
    rg_tape_second_order(t, second_order);
    RgTensor *x = normal(t, RG_SHAPE(ROWS, WIDTH), "x", 1);
    RgTensor *weight = normal(t, RG_SHAPE(WIDTH), "weight", 1);
    RgTensor *bias = normal(t, RG_SHAPE(WIDTH), "bias", 1);
    RgTensor *head = normal(t, RG_SHAPE(VOCABULARY, WIDTH), "head", 0.1);
    RgTensor *normed = rg_rms_norm(t, x, weight, (RgReal)1e-5);
    RgTensor *turned = rg_rope(t, normed, index, 5, 10000, RG_ROPE_HALVES);
    RgTensor *y = rg_attention(t, turned, turned, normed, offsets, prefix, 3, 5, 5);
    y = rg_layer_norm(t, rg_swiglu(t, y, rg_add(t, x, y)), weight, bias, (RgReal)1e-5);
    y = rg_token_logprob(t, y, head, index);
    rg_gradients(t, rg_mean(t, y), (RgTensor *[]){x, weight, bias, head}, WEIGHTS, gradients);
    return y;
}

static void assert_near(const RgTensor *a, const RgTensor *b, double tolerance) {
    double square = 0, difference = 0;
    for (int64_t i = 0; i < a->count; i++) {
        square += (double)a->data[i] * (double)a->data[i];
        difference += pow((double)a->data[i] - (double)b->data[i], 2);
    }
    cr_assert_gt(square, 0);
    cr_assert_lt(sqrt(difference / square), tolerance);
}

Test(network_kernels, are_their_expansions_at_the_sizes_of_real_models) {
    RgTape *fused = rg_tape_create(), *expanded = rg_tape_create();
    RgTensor *of_fused[WEIGHTS], *of_expanded[WEIGHTS];
    RgTensor *y = run_all(fused, false, of_fused);
    assert_near(y, run_all(expanded, true, of_expanded), 1e-6);
    for (int i = 0; i < WEIGHTS; i++)
        assert_near(of_fused[i], of_expanded[i], 1e-5);
    rg_tape_destroy(fused);
    rg_tape_destroy(expanded);
}

/* A vocabulary that is cut into many pieces. */
static RgTensor *run_large_head(RgTape *t, bool second_order, RgTensor **gradients) {
    enum { TOKENS = 25000, NARROW = 8, MANY = 300 };
    cr_assert_gt(rg_vocabulary_pieces(TOKENS).count, RG_PIECES_MOST);
    int32_t target[MANY];
    for (int i = 0; i < MANY; i++)
        target[i] = i * 997 % TOKENS;
    rg_tape_second_order(t, second_order);
    RgTensor *x = normal(t, RG_SHAPE(MANY, NARROW), "x", 1);
    RgTensor *head = normal(t, RG_SHAPE(TOKENS, NARROW), "head", 1);
    RgTensor *y = rg_token_logprob(t, x, head, target);
    rg_gradients(t, rg_mean(t, y), (RgTensor *[]){x, head}, 2, gradients);
    return y;
}

static void assert_same_bits(const RgTensor *a, const RgTensor *b) {
    cr_assert_eq(memcmp(a->data, b->data, sizeof *a->data * (size_t)a->count), 0);
}

Test(network_kernels, head_of_a_large_vocabulary_is_its_expansion_on_any_number_of_threads) {
    RgTape *one = rg_tape_create(), *four = rg_tape_create(), *expanded = rg_tape_create();
    RgTensor *of_one[2], *of_four[2], *of_expanded[2];
    rg_threads_set(1);
    RgTensor *y = run_large_head(one, false, of_one);
    rg_threads_set(4);
    assert_same_bits(y, run_large_head(four, false, of_four));
    assert_near(y, run_large_head(expanded, true, of_expanded), 1e-6);
    for (int i = 0; i < 2; i++) {
        assert_same_bits(of_one[i], of_four[i]);
        assert_near(of_one[i], of_expanded[i], 1e-5);
    }
    rg_tape_destroy(one);
    rg_tape_destroy(four);
    rg_tape_destroy(expanded);
}
