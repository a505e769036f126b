/* SPDX-License-Identifier: MIT */
/* Selects the implementation of a matrix product (the project's own kernel, oneDNN or BLAS) and
 * divides it into pieces. The division depends on the shape alone, not on the number of threads, so
 * bits do not depend on that. */
#include "core/tensor/gemm_dispatch.h"

#include "core/tensor/blas.h"
#include "core/tensor/gemm.h"
#include "core/tensor/onednn.h"
#include "core/tensor/parallel.h"

/* c = beta · c, for products over an empty k. A beta of 0 also clears NaN. */
static void scale_matrix(int64_t m, int64_t n, RgReal beta, RgReal *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

static void library_run(const RgGemm *p) {
    if (rg_onednn_suits(p))
        rg_onednn_run(p);
    else
        rg_blas_run(p);
}

/* Columns [first, last) of the product. */
static RgGemm product_of_columns(RgGemm p, int64_t first, int64_t last) {
    rg_gemm_move_b(&p, first * (p.transpose_b ? p.ldb : 1));
    p.c += first;
    p.n = last - first;
    return p;
}

/* For b in bf16, which no library accepts: some columns at a time are converted, and then read from
 * the cache. */
static void widen_and_run(const RgGemm *whole) {
    enum { NUMBERS = 64 * 1024, LEAST = 32 };
    int64_t at_once = NUMBERS / whole->k / LEAST * LEAST;
    if (at_once < LEAST)
        at_once = LEAST;
    for (int64_t at = 0; at < whole->n; at += at_once) {
        RgGemm p =
            product_of_columns(*whole, at, at + at_once < whole->n ? at + at_once : whole->n);
        int64_t rows = p.transpose_b ? p.n : p.k, columns = p.transpose_b ? p.k : p.n;
        p.b = rg_bf16_widened(p.b_stored, rows, columns, p.ldb);
        p.b_stored = NULL;
        p.ldb = columns;
        library_run(&p);
    }
}

static void product_run(const RgGemm *p) {
    if (p->m == 0 || p->n == 0)
        return;
    if (p->k == 0)
        scale_matrix(p->m, p->n, p->beta, p->c, p->ldc);
    else if (p->b_stored)
        widen_and_run(p);
    else
        library_run(p);
}

/* Rows [first, last) of the product. */
static void product_rows(RgGemm p, int64_t first, int64_t last) {
    p.a += first * (p.transpose_a ? 1 : p.lda);
    p.c += first * p.ldc;
    p.m = last - first;
    product_run(&p);
}

static void product_columns(const RgGemm *whole, int64_t first, int64_t last) {
    RgGemm p = product_of_columns(*whole, first, last);
    product_run(&p);
}

/* Pieces along a side of the product. BLAS copies the other operand once for each, so no piece may
 * be thin, and each must be worth waking a thread. */
static RgPieces product_pieces(int64_t side, double flops) {
    enum { THICK = 128, KERNEL_ROWS = 16 };
    const double worth = 8e6;
    RgPieces pieces = rg_pieces(side, THICK);
    if (pieces.count == 1 && side >= THICK)
        pieces.count = 2;
    while (pieces.count > 1 && flops < worth * (double)pieces.count)
        pieces.count /= 2;
    pieces.size = (side + pieces.count - 1) / pieces.count;
    pieces.size = (pieces.size + KERNEL_ROWS - 1) / KERNEL_ROWS * KERNEL_ROWS;
    return pieces;
}

static void product_start(const RgGemm *p) {
    rg_blas_start();
    RG_ASSERT(p->m <= INT32_MAX && p->n <= INT32_MAX && p->k <= INT32_MAX);
}

static double flops_of(const RgGemm *p) {
    return 2 * (double)p->m * (double)p->n * (double)p->k;
}

static int threads_for(const RgGemm *p) {
    const double worth = 1e6; /* operations worth waking a thread */
    return flops_of(p) < worth ? 1 : rg_threads_here();
}

static void run_in_pieces(const RgGemm *p) {
    RgPieces pieces = product_pieces(p->m >= p->n ? p->m : p->n, flops_of(p));
    if (pieces.count == 1)
        product_run(p);
    else if (p->m >= p->n)
        RG_FOR_PIECES(p->m, pieces, product_rows(*p, first, last));
    else
        RG_FOR_PIECES(p->n, pieces, product_columns(p, first, last));
}

static void fp32_run(const RgGemm *p, bool whole) {
    product_start(p);
    if (rg_gemm_suits(p))
        rg_gemm_run(p, whole ? 1 : threads_for(p));
    else if (whole)
        product_run(p);
    else
        run_in_pieces(p);
}

void rg_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, RgReal alpha,
             const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, RgReal beta, RgReal *c,
             int64_t ldc) {
    const RgGemm p = {transpose_a, transpose_b, m, n, k, alpha, beta, a, b, NULL, c, lda, ldb, ldc};
    fp32_run(&p, false);
}

void rg_gemm_whole(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                   RgReal alpha, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb,
                   RgReal beta, RgReal *c, int64_t ldc) {
    const RgGemm p = {transpose_a, transpose_b, m, n, k, alpha, beta, a, b, NULL, c, lda, ldb, ldc};
    fp32_run(&p, true);
}

/* ---- products of rounded numbers ---- */

/* A matrix as it is stored. */
typedef struct Stored {
    const RgReal *numbers;
    int64_t rows, columns, stride;
} Stored;

static void round_rows(Stored x, int64_t first, int64_t last, RgBf16 *y) {
    if (x.stride == x.columns)
        rg_bf16_round((last - first) * x.columns, x.numbers + first * x.columns,
                      y + first * x.columns);
    else
        for (int64_t r = first; r < last; r++)
            rg_bf16_round(x.columns, x.numbers + r * x.stride, y + r * x.columns);
}

/* The rounded copy [rows, columns] in `scratch`, made by all threads or only by the caller's. */
static const RgBf16 *rounded(Stored x, bool whole, RgScratch *scratch) {
    RgBf16 *y = rg_scratch(scratch, sizeof *y * (size_t)(x.rows * x.columns));
    if (whole)
        round_rows(x, 0, x.rows, y);
    else
        RG_FOR_PIECES(x.rows, rg_spread_rows(x.rows, x.columns), round_rows(x, first, last, y));
    return y;
}

static void bf16_rows(RgGemmBf16 p, int64_t first, int64_t last) {
    p.a += first * (p.transpose_a ? 1 : p.lda);
    p.c += first * p.ldc;
    p.m = last - first;
    rg_onednn_run_bf16(&p);
}

static void bf16_columns(RgGemmBf16 p, int64_t first, int64_t last) {
    p.b += first * (p.transpose_b ? p.ldb : 1);
    p.c += first;
    p.n = last - first;
    rg_onednn_run_bf16(&p);
}

/* By oneDNN: op(a) [m, k] and op(b) [k, n] are rounded once, and all pieces read the copies. A b
 * stored in bf16 needs no copy. */
static void round_and_run(const RgGemm *p, bool whole) {
    static _Thread_local RgScratch scratch_a, scratch_b; /* for the copies */
    Stored a = {p->a, p->transpose_a ? p->k : p->m, p->transpose_a ? p->m : p->k, p->lda},
           b = {p->b, p->transpose_b ? p->n : p->k, p->transpose_b ? p->k : p->n, p->ldb};
    RgGemmBf16 r = {.transpose_a = p->transpose_a,
                    .transpose_b = p->transpose_b,
                    .add = p->beta != 0,
                    .m = p->m,
                    .n = p->n,
                    .k = p->k,
                    .a = rounded(a, whole, &scratch_a),
                    .b = p->b_stored ? p->b_stored : rounded(b, whole, &scratch_b),
                    .c = p->c,
                    .lda = a.columns,
                    .ldb = b.columns, /* in the copy, and in a stored b, which has no gaps */
                    .ldc = p->ldc};
    const double speed = 2; /* relative to fp32: pieces are worth less by this factor */
    RgPieces pieces =
        product_pieces(r.m >= r.n ? r.m : r.n, 2 / speed * (double)r.m * (double)r.n * (double)r.k);
    if (whole || pieces.count == 1)
        rg_onednn_run_bf16(&r);
    else if (r.m >= r.n)
        RG_FOR_PIECES(r.m, pieces, bf16_rows(r, first, last));
    else
        RG_FOR_PIECES(r.n, pieces, bf16_columns(r, first, last));
}

static void bf16_run(const RgGemm *p, bool whole) {
    product_start(p);
    if (p->m == 0 || p->n == 0 || p->k == 0)
        product_run(p);
    else if (rg_gemm_has_bf16())
        rg_gemm_run_bf16(p, whole ? 1 : threads_for(p));
    else
        round_and_run(p, whole);
}

static void run_in(RgPrecision precision, const RgGemm *p, bool whole) {
    if (precision == RG_PRECISION_BF16)
        bf16_run(p, whole);
    else
        fp32_run(p, whole);
}

void rg_gemm_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                int64_t k, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, bool add,
                RgReal *c, int64_t ldc) {
    const RgGemm p = {transpose_a, transpose_b, m, n, k, 1, add, a, b, NULL, c, lda, ldb, ldc};
    run_in(precision, &p, false);
}

void rg_gemm_whole_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m,
                      int64_t n, int64_t k, const RgReal *a, int64_t lda, const RgReal *b,
                      int64_t ldb, bool add, RgReal *c, int64_t ldc) {
    const RgGemm p = {transpose_a, transpose_b, m, n, k, 1, add, a, b, NULL, c, lda, ldb, ldc};
    run_in(precision, &p, true);
}

void rg_gemm_stored(RgPrecision precision, bool transpose_b, int64_t m, int64_t n, int64_t k,
                    const RgReal *a, const RgBf16 *b, bool add, RgReal *c) {
    const RgGemm p = {.transpose_b = transpose_b,
                      .m = m,
                      .n = n,
                      .k = k,
                      .alpha = 1,
                      .beta = add,
                      .a = a,
                      .b_stored = b,
                      .c = c,
                      .lda = k,
                      .ldb = transpose_b ? k : n,
                      .ldc = n};
    run_in(precision, &p, false);
}
