/* SPDX-License-Identifier: MIT */
/* Claims about weights that are stored in bf16: whatever is computed from them is what the same
 * numbers give in a plain policy, whoever computes it. A clone of a stored policy is that plain
 * one.
 */
#include "core/models/transformer.h"
#include "core/tensor/gemm.h"
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/threads.h"
#include "tests/like_gpt2.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 700, PROMPT = 5, RESPONSE = 12, SEQUENCES = 40, WIDTH = 96 };

static const RgTransformerOptions llama = {.layers = 2,
                                           .width = WIDTH,
                                           .heads = 6,
                                           .kv_heads = 2,
                                           .context = 32,
                                           .tied = true,
                                           .rope_base = 1000,
                                           .norm_epsilon = 1e-5,
                                           .initial_deviation = 0.02};

static RgTransformerOptions gpt2(void) {
    RgTransformerOptions options = llama;
    options.tied = false;
    options.kv_heads = options.heads;
    return like_gpt2(options);
}

/* A reference as it is stored, the same numbers in full, and what both are asked. */
typedef struct Pair {
    RgPolicy *stored, *plain;
    RgSequences *sequences;
} Pair;

static Pair begin(const RgTransformerOptions *options) {
    Pair pair = {.sequences = rg_sequences_create()};
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(options, VOCABULARY, &pair.stored, &error), RG_OK);
    for (int v = 0; v < pair.stored->parameters->view_count; v++)
        rg_parameters_fill_normal(pair.stored->parameters, v, 0.1, rg_random_root(3));
    rg_parameters_freeze(pair.stored->parameters);
    cr_assert_eq(rg_policy_store(pair.stored, RG_PRECISION_BF16, &error), RG_OK);
    pair.plain = rg_policy_clone(pair.stored, true);
    for (int64_t i = 0; i < SEQUENCES; i++) {
        int32_t tokens[PROMPT + RESPONSE];
        for (int64_t j = 0; j < PROMPT + RESPONSE; j++)
            tokens[j] = (int32_t)((j < PROMPT ? i / 2 + 3 * j : 11 * i + 7 * j) % VOCABULARY);
        rg_sequences_append(pair.sequences, tokens, PROMPT, tokens + PROMPT, RESPONSE);
    }
    return pair;
}

static void end(Pair *pair) {
    rg_sequences_destroy(pair->sequences);
    rg_policy_destroy(pair->plain);
    rg_policy_destroy(pair->stored);
}

static void all_near(const char *what, int64_t n, const RgReal *x, const RgReal *y) {
    double largest = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)y[i]));
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
    }
    cr_assert_gt(largest, 0, "%s", what);
    cr_assert_leq(most, 3e-6 * largest, "%s: %g of %g", what, most, largest);
}

/* ---- numbers ---- */

Test(storage, of_a_bf16_is_itself) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        RgBf16 x = (RgBf16)bits, again;
        RgReal wide;
        rg_bf16_widen(1, &x, &wide);
        rg_bf16_round(1, &wide, &again);
        cr_assert(again == x || isnan(wide), "%04x", bits);
    }
}

Test(storage, rounds_matrices_to_half_their_size_and_leaves_the_rest) {
    RgTransformerOptions options = gpt2();
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(&options, VOCABULARY, &policy, &error), RG_OK);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.1, rg_random_root(3));
    RgParameters *before = rg_parameters_clone(policy->parameters, true), *p = policy->parameters;
    rg_parameters_freeze(p);
    cr_assert_eq(rg_policy_store(policy, RG_PRECISION_FP32, &error), RG_OK);
    cr_assert_eq(rg_parameters_hash(p), rg_parameters_hash(before));
    cr_assert_eq(rg_policy_store(policy, RG_PRECISION_BF16, &error), RG_OK);
    cr_assert_neq(rg_parameters_hash(p), rg_parameters_hash(before));
    RgReal *now = rg_allocate(p->count, sizeof *now);
    for (int v = 0; v < p->view_count; v++) {
        const RgReal *was = before->value + before->views[v].offset;
        double step = p->views[v].rank == 2 ? 1.0 / 256 : 0;
        cr_assert_eq(p->views[v].rounded, p->views[v].rank == 2);
        rg_parameters_read(p, v, now);
        for (int64_t i = 0; i < p->views[v].count; i++)
            cr_assert_leq(fabs((double)(now[i] - was[i])), step * fabs((double)was[i]));
    }
    free(now);
    rg_parameters_destroy(before);
    rg_policy_destroy(policy);
}

/* ---- products ---- */

typedef struct Shape {
    int64_t m, n, k;
} Shape;

static RgReal *numbers(int64_t count, uint64_t seed) {
    RgReal *x = rg_allocate(count + 1, sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (RgReal)rg_random_normal(rg_random_root(seed), (uint64_t)i);
    return x;
}

/* Whether the project's own kernel multiplies, which BLAS's cannot be held to. */
static bool is_own(Shape s, bool transpose, RgPrecision precision) {
    const RgGemm p = {.transpose_b = transpose, .m = s.m, .n = s.n, .k = s.k};
    return precision == RG_PRECISION_BF16 ? rg_gemm_has_bf16() : rg_gemm_suits(&p);
}

static void check_product(Shape s, bool transpose, bool add, RgPrecision precision) {
    RgReal *a = numbers(s.m * s.k, 1), *b = numbers(s.n * s.k, 2), *c = numbers(s.m * s.n, 3);
    RgReal *again = numbers(s.m * s.n, 3), *expected = numbers(s.m * s.n, 3);
    RgBf16 *stored = rg_allocate(s.n * s.k + 1, sizeof *stored);
    size_t bytes = sizeof *c * (size_t)(s.m * s.n);
    rg_bf16_round(s.n * s.k, b, stored);
    rg_bf16_widen(s.n * s.k, stored, b);
    rg_gemm_in(precision, false, transpose, s.m, s.n, s.k, a, s.k, b, transpose ? s.k : s.n, add,
               expected, s.n);
    rg_gemm_stored(precision, transpose, s.m, s.n, s.k, a, stored, add, c);
    all_near("product", s.m * s.n, c, expected);
    if (is_own(s, transpose, precision))
        cr_assert_arr_eq(c, expected, bytes, "%d×%d×%d", (int)s.m, (int)s.n, (int)s.k);
    for (int threads = 2; threads <= 4; threads += 2) {
        memcpy(again, expected, bytes);
        if (add)
            for (int64_t i = 0; i < s.m * s.n; i++)
                again[i] = (RgReal)rg_random_normal(rg_random_root(3), (uint64_t)i);
        rg_threads_set(threads);
        rg_gemm_stored(precision, transpose, s.m, s.n, s.k, a, stored, add, again);
        rg_threads_set(1);
        cr_assert_arr_eq(again, c, bytes, "%d threads", threads);
    }
    free(a);
    free(b);
    free(c);
    free(again);
    free(expected);
    free(stored);
}

static void check_products(RgPrecision precision) {
    static const Shape shapes[] = {{1, 1, 1},      {1, 700, 96},  {17, 16, 16},    {129, 131, 67},
                                   {500, 48, 300}, {40, 900, 96}, {300, 777, 200}, {150, 40, 1300}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int which = 0; which < 4; which++)
            check_product(shapes[i], which & 1, which >> 1, precision);
}

Test(storage, products_are_those_with_the_same_numbers) {
    RgError error = {0};
    check_products(RG_PRECISION_FP32);
    if (rg_precision_check(RG_PRECISION_BF16, &error) == RG_OK)
        check_products(RG_PRECISION_BF16);
}

/* ---- policies ---- */

static void check_values(const RgTransformerOptions *options) {
    Pair pair = begin(options);
    double stored[SEQUENCES * WIDTH], plain[SEQUENCES * WIDTH];
    rg_policy_logprob_values(pair.stored, pair.sequences, stored);
    rg_policy_logprob_values(pair.plain, pair.sequences, plain);
    for (int64_t i = 0; i < SEQUENCES; i++)
        cr_assert_float_eq(stored[i], plain[i], 1e-6 * fabs(plain[i]), "%.9g and %.9g", stored[i],
                           plain[i]);
    double first[SEQUENCES];
    memcpy(first, stored, sizeof first);
    for (int threads = 2; threads <= 4; threads += 2) {
        rg_threads_set(threads);
        rg_policy_logprob_values(pair.stored, pair.sequences, stored);
        rg_threads_set(1);
        cr_assert_arr_eq(stored, first, sizeof first, "%d threads", threads);
    }
    rg_policy_features(pair.stored, pair.sequences, stored);
    rg_policy_features(pair.plain, pair.sequences, plain);
    for (int64_t i = 0; i < SEQUENCES * WIDTH; i++)
        cr_assert_float_eq(stored[i], plain[i], 1e-5);
    end(&pair);
}

Test(storage, log_probabilities_and_features_are_those_of_the_rounded_weights) {
    RgTransformerOptions options = gpt2();
    check_values(&llama);
    check_values(&options);
}

Test(storage, samples_are_those_of_the_rounded_weights_to_the_last_bit) {
    RgTransformerOptions options[] = {llama, gpt2()};
    RgSampling sampling = {
        .temperature = 1, .top_p = 1, .response_limit = RESPONSE, .end_token = -1};
    for (int i = 0; i < 2; i++) {
        Pair pair = begin(&options[i]);
        RgSequences *stored = rg_sequences_create(), *plain = rg_sequences_create();
        double of_stored[SEQUENCES], of_plain[SEQUENCES];
        rg_policy_sample(pair.stored, pair.sequences, 1, &sampling, rg_random_root(5), stored,
                         of_stored);
        rg_policy_sample(pair.plain, pair.sequences, 1, &sampling, rg_random_root(5), plain,
                         of_plain);
        cr_assert_arr_eq(of_stored, of_plain, sizeof of_stored);
        cr_assert_arr_eq(stored->tokens, plain->tokens,
                         sizeof *stored->tokens * (size_t)stored->start[stored->count]);
        rg_sequences_destroy(stored);
        rg_sequences_destroy(plain);
        end(&pair);
    }
}

/* ---- adapters ---- */

static const RgAdapterOptions everywhere = {.rank = 4, .alpha = 8, .targets = "all"};

static RgPolicy *adapted(RgPolicy *original) {
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_policy_adapt(original, &everywhere, rg_random_root(8), &policy, &error), RG_OK);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.05, rg_random_root(9));
    return policy;
}

typedef RgTensor *(*Value)(RgTape *t, RgPolicy *policy, const RgSequences *sequences);

static RgTensor *sum_of_squares(RgTape *t, RgPolicy *policy, const RgSequences *sequences) {
    return rg_sum(t, rg_square(t, rg_policy_logprob(t, policy, sequences)));
}

/* Gradient of the adapter, to be freed. */
static RgReal *gradient_of(RgPolicy *policy, const RgSequences *sequences, Value value,
                           int threads) {
    RgParameters *p = policy->parameters;
    rg_threads_set(threads);
    RgTape *t = rg_tape_create();
    rg_parameters_zero_gradient(p);
    rg_backward(t, value(t, policy, sequences), 1);
    rg_tape_destroy(t);
    rg_threads_set(1);
    size_t bytes = sizeof(RgReal) * (size_t)p->count;
    return memcpy(rg_allocate(1, bytes), p->gradient, bytes);
}

static void check_gradients(const RgTransformerOptions *options, Value value, bool recompute) {
    Pair pair = begin(options);
    RgPolicy *stored = adapted(pair.stored), *plain = adapted(pair.plain);
    int64_t count = stored->parameters->count;
    stored->recompute = recompute;
    RgReal *g = gradient_of(stored, pair.sequences, value, 1);
    RgReal *expected = gradient_of(plain, pair.sequences, value, 1);
    all_near("gradient", count, g, expected);
    for (int threads = 2; threads <= 4; threads += 2) {
        RgReal *other = gradient_of(stored, pair.sequences, value, threads);
        cr_assert_arr_eq(other, g, sizeof *g * (size_t)count, "%d threads", threads);
        free(other);
    }
    free(g);
    free(expected);
    rg_policy_destroy(stored);
    rg_policy_destroy(plain);
    end(&pair);
}

Test(storage, gradients_of_an_adapter_are_those_beside_the_rounded_weights) {
    RgTransformerOptions options = gpt2();
    check_gradients(&llama, sum_of_squares, false);
    check_gradients(&options, sum_of_squares, true);
    check_gradients(&llama, rg_policy_log_likelihood, false);
}

static RgReal *curvature_of(RgPolicy *policy, const RgSequences *sequences, const RgReal *v) {
    RgReal *hv = rg_allocate(policy->parameters->count, sizeof *hv);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgTensor *y = sum_of_squares(t, policy, sequences);
    rg_hessian_product(rg_hessian_create(t, y, policy->parameters), v, hv);
    rg_tape_destroy(t);
    return hv;
}

Test(storage, second_derivatives_of_an_adapter_are_those_beside_the_rounded_weights) {
    Pair pair = begin(&llama);
    RgPolicy *stored = adapted(pair.stored), *plain = adapted(pair.plain);
    RgSequences few = rg_sequences_view(pair.sequences, 0, 2, (int64_t[3]){0});
    RgReal *v = numbers(stored->parameters->count, 4);
    RgReal *hv = curvature_of(stored, &few, v), *expected = curvature_of(plain, &few, v);
    cr_assert_arr_eq(hv, expected, sizeof *hv * (size_t)stored->parameters->count);
    free(v);
    free(hv);
    free(expected);
    rg_policy_destroy(stored);
    rg_policy_destroy(plain);
    end(&pair);
}

/* ---- files ---- */

static RgParameters *saved_and_loaded(const RgPolicy *policy, const char *path) {
    RgPolicy *loaded = NULL;
    RgError error = {0};
    cr_assert_eq(rg_policy_save(policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &loaded, &error), RG_OK, "%s", error.text);
    RgParameters *weights = rg_parameters_clone(loaded->parameters, true);
    rg_policy_destroy(loaded);
    return weights;
}

static void check_files(const RgPolicy *stored, const RgPolicy *plain, const char *path) {
    RgParameters *weights = saved_and_loaded(stored, path), *same = saved_and_loaded(plain, path);
    cr_assert_eq(rg_parameters_hash(weights), rg_parameters_hash(same));
    rg_parameters_destroy(weights);
    rg_parameters_destroy(same);
}

Test(storage, files_of_a_policy_and_of_a_merged_adapter_have_the_rounded_weights,
     .init = scratch_begin) {
    Pair pair = begin(&llama);
    RgPolicy *stored = adapted(pair.stored), *plain = adapted(pair.plain);
    check_files(pair.stored, pair.plain, scratch("policy.safetensors"));
    check_files(stored, plain, scratch("adapted.safetensors"));
    rg_policy_destroy(stored);
    rg_policy_destroy(plain);
    end(&pair);
}

Test(storage, of_a_tabular_policy_is_refused_by_name) {
    RgError error = {0};
    cr_assert_eq(rg_policy_check_storage(rg_policy_type("tabular"), RG_PRECISION_FP32, &error),
                 RG_OK);
    cr_assert_eq(rg_policy_check_storage(rg_policy_type("tabular"), RG_PRECISION_BF16, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "tabular"));
}
