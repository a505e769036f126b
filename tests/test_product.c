/* SPDX-License-Identifier: MIT */
/* Claims about matrix products of all shapes: against sums in double, and to the bit whatever the
 * threads and the company. */
#include <criterion/criterion.h>

#include "core/tensor/gemm.h"
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/random.h"
#include "core/tensor/threads.h"
#include "tests/every_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* op(a) is [m, k], op(b) is [k, n]; rows are `gap` longer than need be. */
typedef struct Case {
    bool transpose_a, transpose_b;
    int64_t m, n, k, gap;
    RgReal alpha, beta;
} Case;

typedef struct Matrices {
    RgReal *a, *b, *c;
    int64_t lda, ldb, ldc;
} Matrices;

static RgReal *numbers(int64_t count, uint64_t stream) {
    RgReal *x = rg_allocate(count, sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (RgReal)rg_random_normal(rg_random_at(rg_random_root(7), stream), (uint64_t)i);
    return x;
}

static Matrices matrices_of(const Case *t) {
    Matrices x = {.lda = (t->transpose_a ? t->m : t->k) + t->gap,
                  .ldb = (t->transpose_b ? t->k : t->n) + t->gap,
                  .ldc = t->n + t->gap};
    x.a = numbers((t->transpose_a ? t->k : t->m) * x.lda, 1);
    x.b = numbers((t->transpose_b ? t->n : t->k) * x.ldb, 2);
    x.c = numbers(t->m * x.ldc, 3);
    return x;
}

static void release(Matrices *x) {
    free(x->a);
    free(x->b);
    free(x->c);
}

static void run(const Case *t, const Matrices *x, RgReal *c) {
    memcpy(c, x->c, sizeof *c * (size_t)(t->m * x->ldc));
    rg_gemm(t->transpose_a, t->transpose_b, t->m, t->n, t->k, t->alpha, x->a, x->lda, x->b, x->ldb,
            t->beta, c, x->ldc);
}

static void check(const Case *t) {
    Matrices x = matrices_of(t);
    RgReal *c = rg_allocate(t->m * x.ldc, sizeof *c);
    run(t, &x, c);
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < t->n; j++) {
            double sum = 0;
            for (int64_t k = 0; k < t->k; k++)
                sum += (double)x.a[t->transpose_a ? k * x.lda + i : i * x.lda + k] *
                       (double)x.b[t->transpose_b ? j * x.ldb + k : k * x.ldb + j];
            double expected = t->alpha * sum + t->beta * x.c[i * x.ldc + j];
            cr_assert_float_eq(c[i * x.ldc + j], expected, 1e-5 * (double)t->k, "%s: %d%d %d×%d×%d",
                               rg_instructions_name(rg_instructions()), t->transpose_a,
                               t->transpose_b, (int)t->m, (int)t->n, (int)t->k);
        }
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = t->n; j < x.ldc; j++)
            cr_assert_eq(c[i * x.ldc + j], x.c[i * x.ldc + j], "what lies behind a row is kept");
    static const int threads[] = {2, 3, 4, 5, 64};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        RgReal *other = rg_allocate(t->m * x.ldc, sizeof *c);
        rg_threads_set(threads[i]);
        run(t, &x, other);
        cr_assert_arr_eq(other, c, sizeof *c * (size_t)(t->m * x.ldc), "%d threads", threads[i]);
        free(other);
    }
    rg_threads_set(1);
    free(c);
    release(&x);
}

Test(product, of_any_shape_is_the_sum_of_products) {
    static const int64_t shapes[][3] = {{1, 1, 1},      {17, 16, 16},   {16, 33, 2048},
                                        {129, 131, 67}, {300, 20, 190}, {23, 700, 71},
                                        {5, 300, 900},  {64, 64, 1300}};
    ON_EVERY_SET({
        for (int transpose = 0; transpose < 4; transpose++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                for (int plain = 0; plain < 2; plain++)
                    check(&(Case){.transpose_a = transpose & 1,
                                  .transpose_b = transpose >> 1,
                                  .m = shapes[s][0],
                                  .n = shapes[s][1],
                                  .k = shapes[s][2],
                                  .gap = plain ? 0 : 5,
                                  .alpha = plain ? 1 : (RgReal)0.5,
                                  .beta = plain ? 0 : (RgReal)-1.5});
    });
}

Test(product, with_a_beta_of_zero_does_not_read_c) {
    Case t = {.m = 128, .n = 128, .k = 128, .alpha = 1};
    Matrices x = matrices_of(&t);
    for (int64_t i = 0; i < t.m * x.ldc; i++)
        x.c[i] = (RgReal)NAN;
    RgReal *c = rg_allocate(t.m * x.ldc, sizeof *c);
    run(&t, &x, c);
    for (int64_t i = 0; i < t.m * x.ldc; i++)
        cr_assert(isfinite(c[i]));
    free(c);
    release(&x);
}

/* Of the kernel that is the project's own: BLAS promises no such thing. */
Test(product, has_rows_that_do_not_depend_on_the_other_rows) {
    Case all = {.m = 200, .n = 130, .k = 150, .alpha = 1};
    Matrices x = matrices_of(&all);
    RgGemm p = {false, false, all.m, all.n, all.k, 1, 0, x.a, x.b, NULL, x.c, x.lda, x.ldb, x.ldc};
    if (!rg_gemm_suits(&p))
        cr_skip_test("a machine without AVX-512");
    rg_gemm_run(&p, 1);
    RgReal *c = rg_allocate(all.m * x.ldc, sizeof *c);
    for (int64_t first = 0; first < 20; first++) {
        RgGemm some = p;
        some.a = x.a + first * x.lda;
        some.c = c;
        some.m = 37;
        rg_gemm_run(&some, 1);
        cr_assert_arr_eq(c, x.c + first * x.ldc, sizeof *c * (size_t)(some.m * x.ldc));
    }
    free(c);
    release(&x);
}
