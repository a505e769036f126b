/* SPDX-License-Identifier: MIT */
/* Claims about bf16: how numbers are rounded to it, products against sums of rounded numbers in
 * double, and training in it beside training in fp32. What needs AMX, AVX512_BF16 or oneDNN is
 * skipped without. */
#include <criterion/criterion.h>

#include "core/models/transformer.h"
#include "core/tensor/blas.h"
#include "core/tensor/gemm.h"
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/onednn.h"
#include "core/tensor/threads.h"
#include "core/train/optimizer.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void need_bf16(void) {
    RgError error = {0};
    if (rg_precision_check(RG_PRECISION_BF16, &error) != RG_OK)
        cr_skip_test("%s", error.text);
}

/* ---- rounding ---- */

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float from_bf16(RgBf16 x) {
    return from_bits((uint32_t)x << 16);
}

static RgBf16 rounded(float x) {
    RgBf16 y;
    rg_bf16_round(1, &x, &y);
    return y;
}

Test(precision, halves_are_rounded_to_the_even_one) {
    cr_assert_eq(rounded(1 + 0x1p-8F), 0x3F80);     /* between 0x3F80 and 0x3F81 */
    cr_assert_eq(rounded(1 + 3 * 0x1p-8F), 0x3F82); /* between 0x3F81 and 0x3F82 */
    cr_assert_eq(rounded(-1 - 0x1p-8F), 0xBF80);
    cr_assert_eq(rounded(-1 - 3 * 0x1p-8F), 0xBF82);
    cr_assert_eq(rounded(1 + 0x1p-8F + 0x1p-23F), 0x3F81);
    cr_assert_eq(rounded(1 + 0x1p-8F - 0x1p-23F), 0x3F80);
    cr_assert_eq(rounded(2 - 0x1p-8F), 0x4000); /* into the next exponent */
    cr_assert_eq(rounded(from_bits(0x00008000)), 0x0000);
    cr_assert_eq(rounded(from_bits(0x00018000)), 0x0002);
}

Test(precision, zeros_infinities_and_what_is_no_number_stay_what_they_are) {
    cr_assert_eq(rounded(0.0F), 0x0000);
    cr_assert_eq(rounded(-0.0F), 0x8000);
    cr_assert_eq(rounded(INFINITY), 0x7F80);
    cr_assert_eq(rounded(-INFINITY), 0xFF80);
    cr_assert_eq(rounded(FLT_MAX), 0x7F80, "beyond the largest bf16 and half a place");
    cr_assert_eq(rounded(-FLT_MAX), 0xFF80);
    cr_assert_eq(rounded(from_bits(0x7F7F7FFF)), 0x7F7F, "the largest");
    const uint32_t none[] = {0x7FC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_assert(isnan(from_bf16(rounded(from_bits(none[i])))), "%08x", (unsigned)none[i]);
}

/* Of all floats but the largest: more than a vector's worth, with a tail. */
Test(precision, no_other_bf16_is_nearer) {
    enum { COUNT = 100003 };
    float *x = rg_allocate(COUNT, sizeof *x);
    RgBf16 *y = rg_allocate(COUNT, sizeof *y);
    for (int64_t i = 0; i < COUNT; i++) {
        uint32_t bits = (uint32_t)rg_random_bits(rg_random_root(5), (uint64_t)i);
        x[i] = from_bits((bits & 0x7F000000) == 0x7F000000 ? bits & 0xBFFFFFFF : bits);
    }
    rg_bf16_round(COUNT, x, y);
    for (int64_t i = 0; i < COUNT; i++) {
        cr_assert_eq(y[i], rounded(x[i]), "alone or in company");
        double off = fabs((double)from_bf16(y[i]) - x[i]);
        for (int side = -1; side <= 1; side += 2) {
            RgBf16 other = (RgBf16)(y[i] + side);
            if ((y[i] & 0x7FFF) == 0 && side < 0)
                continue; /* of the other sign */
            double other_off = fabs((double)from_bf16(other) - x[i]);
            cr_assert(off < other_off || (off == other_off && (y[i] & 1) == 0), "%a", x[i]);
        }
    }
    free(x);
    free(y);
}

/* ---- products ---- */

typedef struct Case {
    bool transpose_a, transpose_b, add;
    int64_t m, n, k, gap; /* rows are `gap` longer than need be */
} Case;

static RgReal *numbers(int64_t count, uint64_t stream) {
    RgReal *x = rg_allocate(count + 1, sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (RgReal)rg_random_normal(rg_random_at(rg_random_root(7), stream), (uint64_t)i);
    return x;
}

/* The same as rounded to bf16. */
static RgReal *rounded_numbers(int64_t count, const RgReal *x) {
    RgReal *y = rg_allocate(count + 1, sizeof *y);
    for (int64_t i = 0; i < count; i++)
        y[i] = from_bf16(rounded(x[i]));
    return y;
}

/* |c − Σ a·b| ≤ 1e-5 Σ |a·b|, with a and b rounded: their products are exact in fp32. */
static void check_numbers(const Case *t, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb,
                          const RgReal *before, const RgReal *c, int64_t ldc) {
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < ldc; j++) {
            double sum = t->add || j >= t->n ? before[i * ldc + j] : 0, size = fabs(sum);
            for (int64_t k = 0; k < t->k && j < t->n; k++) {
                double term = (double)a[t->transpose_a ? k * lda + i : i * lda + k] *
                              (double)b[t->transpose_b ? j * ldb + k : k * ldb + j];
                sum += term;
                size += fabs(term);
            }
            cr_assert_leq(fabs(c[i * ldc + j] - sum), (j < t->n ? 1e-5 : 0) * size,
                          "%d%d%d %d×%d×%d at %d, %d", t->transpose_a, t->transpose_b, t->add,
                          (int)t->m, (int)t->n, (int)t->k, (int)i, (int)j);
        }
}

static void check_product(const Case *t) {
    int64_t lda = (t->transpose_a ? t->m : t->k) + t->gap;
    int64_t ldb = (t->transpose_b ? t->k : t->n) + t->gap, ldc = t->n + t->gap;
    int64_t a_count = (t->transpose_a ? t->k : t->m) * lda;
    int64_t b_count = (t->transpose_b ? t->n : t->k) * ldb;
    RgReal *a = numbers(a_count, 1), *a_rounded = rounded_numbers(a_count, a);
    RgReal *b = numbers(b_count, 2), *b_rounded = rounded_numbers(b_count, b);
    RgReal *before = numbers(t->m * ldc, 3), *first = NULL;
    size_t bytes = sizeof *before * (size_t)(t->m * ldc);
    for (int threads = 1; threads <= 4; threads++) {
        RgReal *c = rg_allocate(bytes + 1, 1);
        memcpy(c, before, bytes);
        rg_threads_set(threads);
        rg_gemm_in(RG_PRECISION_BF16, t->transpose_a, t->transpose_b, t->m, t->n, t->k, a, lda, b,
                   ldb, t->add, c, ldc);
        if (first) {
            cr_assert_arr_eq(c, first, bytes, "%d threads", threads);
            free(c);
        } else {
            first = c;
            check_numbers(t, a_rounded, lda, b_rounded, ldb, before, c, ldc);
        }
    }
    rg_threads_set(1);
    memcpy(first, before, bytes);
    rg_gemm_whole_in(RG_PRECISION_BF16, t->transpose_a, t->transpose_b, t->m, t->n, t->k, a, lda, b,
                     ldb, t->add, first, ldc);
    check_numbers(t, a_rounded, lda, b_rounded, ldb, before, first, ldc);
    free(a);
    free(b);
    free(a_rounded);
    free(b_rounded);
    free(before);
    free(first);
}

Test(precision, products_in_bf16_are_sums_of_products_of_rounded_numbers) {
    need_bf16();
    static const int64_t shapes[][3] = {{1, 1, 1},       {17, 16, 16},    {3, 5, 0},
                                        {129, 131, 67},  {300, 20, 190},  {23, 700, 71},
                                        {300, 130, 301}, {130, 300, 301}, {512, 96, 400}};
    for (int which = 0; which < 8; which++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            check_product(&(Case){.transpose_a = which & 1,
                                  .transpose_b = which >> 1 & 1,
                                  .add = which >> 2,
                                  .m = shapes[s][0],
                                  .n = shapes[s][1],
                                  .k = shapes[s][2],
                                  .gap = s % 2 ? 5 : 0});
}

/* One of eight ways to lay out a product of a shape. */
static Case case_of(int which, const int64_t *shape) {
    return (Case){.transpose_a = which & 1,
                  .transpose_b = which >> 1 & 1,
                  .add = which >> 2 & 1,
                  .m = shape[0],
                  .n = shape[1],
                  .k = shape[2],
                  .gap = which * 3 % 5};
}

/* A kernel's blocks of rows, columns and k are cut off at each size that is not theirs. */
Test(precision, products_in_bf16_are_right_at_every_size) {
    need_bf16();
    for (int64_t size = 1; size <= 70; size++) {
        const int64_t shapes[][3] = {{size, 50, 40}, {50, size, 40}, {40, 50, size}};
        for (int s = 0; s < 3; s++)
            for (int transposes = 0; transposes < 4; transposes++) {
                Case t = case_of(transposes + 4 * (int)(size % 2), shapes[s]);
                check_product(&t);
            }
    }
}

/* As k and columns are, where b does not fit the cache. */
Test(precision, products_in_bf16_are_right_around_blocks_of_k_and_columns) {
    need_bf16();
    static const int64_t shapes[][3] = {{9, 50, 1023},  {20, 70, 1025},  {33, 49, 1600},
                                        {24, 500, 768}, {70, 1000, 800}, {65, 97, 2049}};
    for (int transposes = 0; transposes < 4; transposes++)
        for (int s = 0; s < (int)(sizeof shapes / sizeof *shapes); s++) {
            Case t = case_of(transposes + 4 * (s % 2), shapes[s]);
            check_product(&t);
        }
}

/* ---- products of the project's own kernels ---- */

static void need_own_kernel(void) {
    if (!rg_gemm_has_bf16())
        cr_skip_test("a machine with neither AMX nor AVX512_BF16");
}

static RgGemm product_of(const Case *t, RgReal alpha, RgReal beta, const RgReal *a, const RgReal *b,
                         RgReal *c) {
    return (RgGemm){t->transpose_a,
                    t->transpose_b,
                    t->m,
                    t->n,
                    t->k,
                    alpha,
                    beta,
                    a,
                    b,
                    NULL,
                    c,
                    (t->transpose_a ? t->m : t->k) + t->gap,
                    (t->transpose_b ? t->k : t->n) + t->gap,
                    t->n + t->gap};
}

/* Room for what any case of these tests needs. */
enum { SIZE = 160, ROOM = SIZE * SIZE };

Test(precision, products_in_bf16_are_scaled_and_added_to_what_is_scaled) {
    need_own_kernel();
    static const int64_t shape[] = {77, 83, 91};
    const RgReal alpha = (RgReal)0.7, beta = (RgReal)-1.5;
    RgReal *a = numbers(ROOM, 1), *b = numbers(ROOM, 2), *before = numbers(ROOM, 3);
    RgReal *c = numbers(ROOM, 3), *plain = numbers(ROOM, 3);
    for (int which = 0; which < 4; which++) {
        Case t = case_of(which, shape);
        RgGemm p = product_of(&t, alpha, beta, a, b, c), q = product_of(&t, 1, 0, a, b, plain);
        memcpy(c, before, sizeof *c * ROOM);
        for (int64_t i = 0; i < t.m; i++)
            for (int64_t j = 0; j < t.n; j++)
                plain[i * q.ldc + j] = (RgReal)NAN; /* what is not read does no harm */
        rg_gemm_run_bf16(&p, 1);
        rg_gemm_run_bf16(&q, 1);
        for (int64_t i = 0; i < t.m * p.ldc; i++) {
            bool behind = i % p.ldc >= t.n;
            double sum = (double)alpha * plain[i], old = (double)beta * before[i];
            if (behind)
                cr_assert_eq(c[i], before[i], "what lies behind a row is kept");
            else
                cr_assert_leq(fabs(c[i] - sum - old), 4 * FLT_EPSILON * (fabs(sum) + fabs(old)));
        }
    }
    free(a);
    free(b);
    free(c);
    free(before);
    free(plain);
}

Test(precision, infinities_and_what_is_no_number_come_through_products_in_bf16) {
    need_own_kernel();
    static const int64_t shape[] = {37, 51, 45};
    const RgReal odd[] = {(RgReal)INFINITY, (RgReal)-INFINITY, (RgReal)NAN, FLT_MAX, 0, -0.0F};
    for (int which = 0; which < 4; which++) {
        Case t = case_of(which, shape);
        RgReal *a = numbers(ROOM, 1), *b = numbers(ROOM, 2), *c = numbers(ROOM, 3);
        for (int i = 0; i < 12; i++) {
            a[i * 131] = odd[i % 6];
            b[i * 149] = odd[(i / 2 + 1) % 6];
        }
        RgGemm p = product_of(&t, 1, 0, a, b, c);
        rg_gemm_run_bf16(&p, 1);
        int finite = 0, infinite = 0, none = 0;
        for (int64_t i = 0; i < t.m; i++)
            for (int64_t j = 0; j < t.n; j++) {
                double sum = 0;
                for (int64_t k = 0; k < t.k; k++)
                    sum += (double)from_bf16(
                               rounded(a[t.transpose_a ? k * p.lda + i : i * p.lda + k])) *
                           (double)from_bf16(
                               rounded(b[t.transpose_b ? j * p.ldb + k : k * p.ldb + j]));
                RgReal y = c[i * p.ldc + j];
                cr_assert_eq(isnan(y), isnan(sum), "at %d, %d", (int)i, (int)j);
                cr_assert(isnan(sum) || isfinite(sum) ? !isinf(y) : y == (RgReal)sum);
                finite += isfinite(sum), infinite += isinf(sum) != 0, none += isnan(sum);
            }
        cr_assert(finite > 0 && infinite > 0 && none > 0, "%d %d %d", finite, infinite, none);
        free(a);
        free(b);
        free(c);
    }
}

Test(precision, numbers_of_a_product_in_bf16_do_not_depend_on_its_other_rows_and_columns) {
    need_own_kernel();
    static const int64_t shape[] = {150, 140, 130};
    RgReal *a = numbers(ROOM, 1), *b = numbers(ROOM, 2);
    RgReal *c = numbers(ROOM, 3), *other = numbers(ROOM, 3);
    for (int which = 0; which < 4; which++) {
        Case t = case_of(which, shape);
        RgGemm p = product_of(&t, 1, 0, a, b, c);
        rg_gemm_run_bf16(&p, 1);
        for (int64_t first = 0; first < 20; first++) {
            RgGemm some = p;
            some.a += first * (p.transpose_a ? 1 : p.lda);
            some.b += 2 * first * (p.transpose_b ? p.ldb : 1);
            some.c = other;
            some.m = 37 + first, some.n = 3 + 4 * first;
            rg_gemm_run_bf16(&some, 1);
            for (int64_t i = 0; i < some.m; i++)
                cr_assert_arr_eq(other + i * p.ldc, c + (first + i) * p.ldc + 2 * first,
                                 sizeof *c * (size_t)some.n, "row %d of %d", (int)i, (int)first);
        }
    }
    free(a);
    free(b);
    free(c);
    free(other);
}

/* What the instructions do, and the sums of rounded numbers above would not. */
Test(precision, numbers_below_the_normal_ones_are_zero_to_products_in_bf16) {
    need_own_kernel();
    RgReal a = FLT_MIN, b = FLT_MAX / 2, c = 0;
    RgGemm p = {false, false, 1, 1, 1, 1, 0, &a, &b, NULL, &c, 1, 1, 1};
    rg_gemm_run_bf16(&p, 1);
    cr_assert_float_eq(c, a * b, 0.01);
    a = FLT_MIN / 2;
    rg_gemm_run_bf16(&p, 1);
    cr_assert_eq(c, 0);
}

Test(precision, kernels_are_named_as_what_multiplies_in_bf16) {
    need_own_kernel();
    const char *name = rg_gemm_bf16_name();
    cr_assert(strcmp(name, "AMX") == 0 || strcmp(name, "AVX512_BF16") == 0, "%s", name);
    cr_assert_not_null(strstr(rg_blas_core(), name), "%s", rg_blas_core());
}

/* The library's own products, which are not made where the project has a kernel. */
Test(precision, products_by_onednn_are_sums_of_products_of_rounded_numbers) {
    if (!rg_onednn_has_bf16())
        cr_skip_test("oneDNN has no bf16 here, or is not built in");
    enum { M = 37, N = 43, K = 29 };
    RgReal *a = numbers(M * K, 1), *b = numbers(K * N, 2), *before = numbers(M * N, 3);
    RgReal *a_rounded = rounded_numbers(M * K, a), *b_rounded = rounded_numbers(K * N, b);
    RgBf16 a_half[M * K], b_half[K * N];
    rg_bf16_round(M * K, a, a_half);
    rg_bf16_round(K * N, b, b_half);
    for (int which = 0; which < 8; which++) {
        const Case t = {
            .transpose_a = which & 1, .transpose_b = which >> 1 & 1, .add = which >> 2, M, N, K};
        int64_t lda = t.transpose_a ? M : K, ldb = t.transpose_b ? K : N;
        RgReal c[M * N];
        memcpy(c, before, sizeof c);
        rg_onednn_run_bf16(&(RgGemmBf16){t.transpose_a, t.transpose_b, t.add, M, N, K, a_half,
                                         b_half, c, lda, ldb, N});
        check_numbers(&t, a_rounded, lda, b_rounded, ldb, before, c, N);
    }
    free(a);
    free(b);
    free(before);
    free(a_rounded);
    free(b_rounded);
}

/* ---- training ---- */

enum { VOCABULARY = 300, CONTEXT = 32, SEQUENCES = 16, STEPS = 50 };

static RgPolicy *policy_in(RgPrecision precision) {
    const RgTransformerOptions options = {.layers = 2,
                                          .width = 128,
                                          .heads = 4,
                                          .context = CONTEXT,
                                          .tied = true,
                                          .rope_base = 10000,
                                          .rope_pairing = RG_ROPE_HALVES,
                                          .norm_epsilon = 1e-5,
                                          .initial_deviation = 0.02};
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(&options, VOCABULARY, &policy, &error), RG_OK);
    for (int v = 0; v < policy->parameters->view_count; v++)
        if (policy->parameters->views[v].rank == 2)
            rg_parameters_fill_normal(policy->parameters, v, 0.08, rg_random_root(9));
        else
            rg_parameters_fill(policy->parameters, v, 1);
    cr_assert_eq(rg_policy_set_precision(policy, precision, &error), RG_OK, "%s", error.text);
    return policy;
}

/* Runs of numbers from some start on: what a small transformer learns in a few steps. */
static RgSequences *runs(void) {
    RgSequences *all = rg_sequences_create();
    for (int32_t i = 0; i < SEQUENCES; i++) {
        int32_t token[CONTEXT];
        for (int32_t j = 0; j < CONTEXT; j++)
            token[j] = (i * 17 + j) % VOCABULARY;
        rg_sequences_append(all, token, 1, token + 1, CONTEXT - 1);
    }
    return all;
}

/* Losses per token; returns the policy that was trained. */
static RgPolicy *train(RgPrecision precision, int threads, int steps, double *loss) {
    rg_threads_set(threads);
    RgPolicy *policy = policy_in(precision);
    RgSequences *data = runs();
    RgOptimizerOptions options = {.type = {.type = &rg_optimizer_adamw.about},
                                  .learning_rate = 3e-3,
                                  .schedule = RG_SCHEDULE_CONSTANT,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8};
    RgOptimizer *optimizer = rg_optimizer_create(&options, policy->parameters->count, steps);
    RgTape *t = rg_tape_create();
    for (int step = 0; step < steps; step++) {
        RgTensor *logprob = rg_policy_logprob(t, policy, data);
        RgTensor *y = rg_scale(t, rg_sum(t, logprob), (RgReal)-1 / (SEQUENCES * (CONTEXT - 1)));
        loss[step] = y->data[0];
        rg_parameters_zero_gradient(policy->parameters);
        rg_backward(t, y, 1);
        rg_optimizer_step(optimizer, policy->parameters);
        rg_tape_reset(t);
    }
    rg_threads_set(1);
    rg_tape_destroy(t);
    rg_optimizer_destroy(optimizer);
    rg_sequences_destroy(data);
    return policy;
}

/* The two part by what rounding to eight bits makes of gradients: every loss within 0.2 % of where
 * it began, which is ten times what was measured, while it falls to less than a tenth. */
Test(precision, losses_of_training_in_bf16_follow_those_in_fp32) {
    need_bf16();
    double loss[STEPS], rounded_loss[STEPS];
    rg_policy_destroy(train(RG_PRECISION_FP32, 2, STEPS, loss));
    rg_policy_destroy(train(RG_PRECISION_BF16, 2, STEPS, rounded_loss));
    double most = 0;
    for (int step = 0; step < STEPS; step++)
        most = fmax(most, fabs(rounded_loss[step] - loss[step]));
    cr_assert_lt(loss[STEPS - 1], 0.1 * loss[0]);
    cr_assert_lt(most, 0.002 * loss[0], "%g of %g", most, loss[0]);
    cr_assert_gt(most, 0, "bf16 is in use");
}

Test(precision, bits_of_training_in_bf16_do_not_depend_on_the_number_of_threads) {
    need_bf16();
    enum { FEW = 5 };
    double loss[FEW], other_loss[FEW];
    RgPolicy *policy = train(RG_PRECISION_BF16, 1, FEW, loss);
    for (int threads = 2; threads <= 4; threads += 2) {
        RgPolicy *other = train(RG_PRECISION_BF16, threads, FEW, other_loss);
        cr_assert_arr_eq(loss, other_loss, sizeof loss, "%d threads", threads);
        cr_assert_arr_eq(policy->parameters->value, other->parameters->value,
                         sizeof(RgReal) * (size_t)policy->parameters->count, "%d threads", threads);
        rg_policy_destroy(other);
    }
    rg_policy_destroy(policy);
}

static double logprob_on(RgPolicy *policy, const RgSequences *data, bool second_order) {
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, second_order);
    double y = rg_policy_logprob(t, policy, data)->data[0];
    rg_tape_destroy(t);
    return y;
}

Test(precision, of_a_policy_is_that_of_first_order_training_alone) {
    need_bf16();
    RgPolicy *plain = policy_in(RG_PRECISION_FP32), *policy = policy_in(RG_PRECISION_BF16);
    RgPolicy *clone = rg_policy_clone(policy, true);
    RgSequences *data = runs();
    double value[SEQUENCES], plain_value[SEQUENCES], training_value[SEQUENCES];
    rg_policy_logprob_values(plain, data, plain_value);
    rg_policy_logprob_values(policy, data, value);
    cr_assert_arr_eq(value, plain_value, sizeof value, "evaluation is in fp32");
    rg_policy_training_values(clone, data, training_value);
    cr_assert_neq(training_value[0], value[0]);
    cr_assert_eq(training_value[0], logprob_on(policy, data, false), "a clone rounds as its model");
    cr_assert_eq(logprob_on(policy, data, true), logprob_on(plain, data, true));

    double *step = rg_allocate(data->start[data->count], sizeof *step), sum = 0;
    rg_policy_logprob_values(policy, data, value); /* whose precision stays its own */
    rg_policy_step_values(clone, data, step);
    for (int64_t k = 0; k < rg_policy_steps(clone, data, 0); k++)
        sum += step[k];
    cr_assert_lt(fabs(sum - training_value[0]), fabs(sum - value[0]), "steps are in bf16, too");
    free(step);
    rg_sequences_destroy(data);
    rg_policy_destroy(clone);
    rg_policy_destroy(policy);
    rg_policy_destroy(plain);
}
