/* SPDX-License-Identifier: MIT */
/* The only file that calls BLAS and LAPACK, and the one that decides who makes a product: the
 * project's own kernel, oneDNN or BLAS.
 *
 * BLAS always runs on one thread: how it cuts a product among several is not ours to know, and the
 * bits of a result may not depend on it. Large products are cut here instead, by their shape.
 * OpenBLAS takes OpenMP's default number of threads for its own whenever that changes, so the
 * default stays at 1 and parallel regions name their number: num_threads(rg_threads()). */
#include "core/tensor/gemm.h"
#include "core/tensor/instructions.h"
#include "core/tensor/kernels.h"
#include "core/tensor/onednn.h"
#include "core/tensor/parallel.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int thread_count = 1;
static pthread_once_t blas_once = PTHREAD_ONCE_INIT;

static void blas_start(void) {
    omp_set_num_threads(1);
    openblas_set_num_threads(1);
}

/* c = beta · c, for products over nothing. A beta of 0 also clears what is not a number. */
static void scale_matrix(int64_t m, int64_t n, RgReal beta, RgReal *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

static void library_run(const RgProduct *p) {
    if (rg_onednn_suits(p)) {
        rg_onednn_run(p);
        return;
    }
#ifdef RG_DOUBLE
    cblas_dgemm(
#else
    cblas_sgemm(
#endif
        CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
        p->transpose_b ? CblasTrans : CblasNoTrans, (blasint)p->m, (blasint)p->n, (blasint)p->k,
        p->alpha, p->a, (blasint)p->lda, p->b, (blasint)p->ldb, p->beta, p->c, (blasint)p->ldc);
}

/* Columns [first, last) of the product. */
static RgProduct product_of_columns(RgProduct p, int64_t first, int64_t last) {
    rg_product_move_b(&p, first * (p.transpose_b ? p.ldb : 1));
    p.c += first;
    p.n = last - first;
    return p;
}

/* With a b in bf16, which no library takes: some columns at a time are widened, so that they are
 * read from the cache. */
static void widen_and_run(const RgProduct *whole) {
    enum { NUMBERS = 64 * 1024, LEAST = 32 };
    int64_t at_once = NUMBERS / whole->k / LEAST * LEAST;
    if (at_once < LEAST)
        at_once = LEAST;
    for (int64_t at = 0; at < whole->n; at += at_once) {
        RgProduct p =
            product_of_columns(*whole, at, at + at_once < whole->n ? at + at_once : whole->n);
        int64_t rows = p.transpose_b ? p.n : p.k, columns = p.transpose_b ? p.k : p.n;
        p.b = rg_bf16_widened(p.b_stored, rows, columns, p.ldb);
        p.b_stored = NULL;
        p.ldb = columns;
        library_run(&p);
    }
}

static void product_run(const RgProduct *p) {
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
static void product_rows(RgProduct p, int64_t first, int64_t last) {
    p.a += first * (p.transpose_a ? 1 : p.lda);
    p.c += first * p.ldc;
    p.m = last - first;
    product_run(&p);
}

static void product_columns(const RgProduct *whole, int64_t first, int64_t last) {
    RgProduct p = product_of_columns(*whole, first, last);
    product_run(&p);
}

/* Pieces along a side of the product: BLAS copies the other operand once for each, so none may be
 * thin, and a piece has to be worth a thread's waking up. */
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

static void product_start(const RgProduct *p) {
    pthread_once(&blas_once, blas_start);
    RG_ASSERT(p->m <= INT32_MAX && p->n <= INT32_MAX && p->k <= INT32_MAX);
}

static double flops_of(const RgProduct *p) {
    return 2 * (double)p->m * (double)p->n * (double)p->k;
}

static int threads_for(const RgProduct *p) {
    const double worth = 1e6; /* a thread's waking up */
    return flops_of(p) < worth ? 1 : rg_threads_here();
}

static void run_in_pieces(const RgProduct *p) {
    RgPieces pieces = product_pieces(p->m >= p->n ? p->m : p->n, flops_of(p));
    if (pieces.count == 1)
        product_run(p);
    else if (p->m >= p->n)
        RG_FOR_PIECES(p->m, pieces, product_rows(*p, first, last));
    else
        RG_FOR_PIECES(p->n, pieces, product_columns(p, first, last));
}

static void fp32_run(const RgProduct *p, bool whole) {
    product_start(p);
    if (rg_product_suits(p))
        rg_product_run(p, whole ? 1 : threads_for(p));
    else if (whole)
        product_run(p);
    else
        run_in_pieces(p);
}

void rg_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, RgReal alpha,
             const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, RgReal beta, RgReal *c,
             int64_t ldc) {
    const RgProduct p = {transpose_a, transpose_b, m,    n, k,   alpha, beta,
                         a,           b,           NULL, c, lda, ldb,   ldc};
    fp32_run(&p, false);
}

void rg_gemm_whole(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                   RgReal alpha, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb,
                   RgReal beta, RgReal *c, int64_t ldc) {
    const RgProduct p = {transpose_a, transpose_b, m,    n, k,   alpha, beta,
                         a,           b,           NULL, c, lda, ldb,   ldc};
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

/* The rounded copy [rows, columns] in `scratch`, made by all threads or on the caller's alone. */
static const RgBf16 *rounded(Stored x, bool whole, RgScratch *scratch) {
    RgBf16 *y = rg_scratch(scratch, sizeof *y * (size_t)(x.rows * x.columns));
    if (whole)
        round_rows(x, 0, x.rows, y);
    else
        RG_FOR_PIECES(x.rows, rg_spread_rows(x.rows, x.columns), round_rows(x, first, last, y));
    return y;
}

static void bf16_rows(RgProductBf16 p, int64_t first, int64_t last) {
    p.a += first * (p.transpose_a ? 1 : p.lda);
    p.c += first * p.ldc;
    p.m = last - first;
    rg_onednn_run_bf16(&p);
}

static void bf16_columns(RgProductBf16 p, int64_t first, int64_t last) {
    p.b += first * (p.transpose_b ? p.ldb : 1);
    p.c += first;
    p.n = last - first;
    rg_onednn_run_bf16(&p);
}

/* By oneDNN: op(a) [m, k] and op(b) [k, n] are rounded once, and all pieces read the copies; a b
 * that is stored in bf16 needs none. */
static void round_and_run(const RgProduct *p, bool whole) {
    static _Thread_local RgScratch scratch_a, scratch_b; /* for the copies */
    Stored a = {p->a, p->transpose_a ? p->k : p->m, p->transpose_a ? p->m : p->k, p->lda},
           b = {p->b, p->transpose_b ? p->n : p->k, p->transpose_b ? p->k : p->n, p->ldb};
    RgProductBf16 r = {.transpose_a = p->transpose_a,
                       .transpose_b = p->transpose_b,
                       .add = p->beta != 0,
                       .m = p->m,
                       .n = p->n,
                       .k = p->k,
                       .a = rounded(a, whole, &scratch_a),
                       .b = p->b_stored ? p->b_stored : rounded(b, whole, &scratch_b),
                       .c = p->c,
                       .lda = a.columns,
                       .ldb = b.columns, /* in the copy, and without gaps where it is stored */
                       .ldc = p->ldc};
    const double speed = 2; /* of what fp32 has: pieces are worth less by as much */
    RgPieces pieces =
        product_pieces(r.m >= r.n ? r.m : r.n, 2 / speed * (double)r.m * (double)r.n * (double)r.k);
    if (whole || pieces.count == 1)
        rg_onednn_run_bf16(&r);
    else if (r.m >= r.n)
        RG_FOR_PIECES(r.m, pieces, bf16_rows(r, first, last));
    else
        RG_FOR_PIECES(r.n, pieces, bf16_columns(r, first, last));
}

static void bf16_run(const RgProduct *p, bool whole) {
    product_start(p);
    if (p->m == 0 || p->n == 0 || p->k == 0)
        product_run(p);
    else if (rg_product_has_bf16())
        rg_product_run_bf16(p, whole ? 1 : threads_for(p));
    else
        round_and_run(p, whole);
}

static void run_in(RgPrecision precision, const RgProduct *p, bool whole) {
    if (precision == RG_PRECISION_BF16)
        bf16_run(p, whole);
    else
        fp32_run(p, whole);
}

void rg_gemm_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                int64_t k, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, bool add,
                RgReal *c, int64_t ldc) {
    const RgProduct p = {transpose_a, transpose_b, m, n, k, 1, add, a, b, NULL, c, lda, ldb, ldc};
    run_in(precision, &p, false);
}

void rg_gemm_whole_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m,
                      int64_t n, int64_t k, const RgReal *a, int64_t lda, const RgReal *b,
                      int64_t ldb, bool add, RgReal *c, int64_t ldc) {
    const RgProduct p = {transpose_a, transpose_b, m, n, k, 1, add, a, b, NULL, c, lda, ldb, ldc};
    run_in(precision, &p, true);
}

void rg_gemm_stored(RgPrecision precision, bool transpose_b, int64_t m, int64_t n, int64_t k,
                    const RgReal *a, const RgBf16 *b, bool add, RgReal *c) {
    const RgProduct p = {.transpose_b = transpose_b,
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

/* ---- vectors ---- */

RG_KERNEL(double, dot_piece, (int64_t n, const RgReal *a, const RgReal *b), (n, a, b)) {
    /* Sums side by side, so that additions need not wait for one another. */
    enum { LANES = 32 };
    double partial[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
#pragma omp simd
        for (int lane = 0; lane < LANES; lane++)
            partial[lane] += (double)a[i + lane] * (double)b[i + lane];
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    for (int lane = 0; lane < LANES; lane++)
        sum += partial[lane];
    return sum;
}

double rg_dot(int64_t n, const RgReal *a, const RgReal *b) {
    double partial[RG_PIECES_MOST] = {0}, sum = 0;
    RG_FOR_PIECES(n, rg_pieces(n, RG_LEAST_NUMBERS),
                  partial[piece] = dot_piece(last - first, a + first, b + first));
    for (int i = 0; i < RG_PIECES_MOST; i++)
        sum += partial[i];
    return sum;
}

RG_KERNEL(void, axpy_piece, (int64_t n, RgReal alpha, const RgReal *x, RgReal *y),
          (n, alpha, x, y)) {
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

void rg_axpy(int64_t n, RgReal alpha, const RgReal *x, RgReal *y) {
    RG_FOR_PIECES(n, rg_spread(n, RG_LEAST_NUMBERS),
                  axpy_piece(last - first, alpha, x + first, y + first));
}

int64_t rg_solve_symmetric(int64_t n, const double *a, const double *b, double cutoff, double *x,
                           double *extremes) {
    pthread_once(&blas_once, blas_start);
    memset(x, 0, sizeof *x * (size_t)n);
    if (n == 0)
        return 0;
    double *vectors = rg_allocate(n * n, sizeof *vectors);
    double *values = rg_allocate(n, sizeof *values);
    memcpy(vectors, a, sizeof *vectors * (size_t)(n * n));
    lapack_int n_lapack = (lapack_int)n;
    lapack_int info =
        LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', n_lapack, vectors, n_lapack, values);

    int64_t rank = 0;
    double largest = fmax(fabs(values[0]), fabs(values[n - 1])); /* they come in order */
    if (extremes) {
        extremes[0] = values[0];
        extremes[1] = values[n - 1];
    }
    for (int64_t k = 0; info == 0 && k < n; k++) {
        if (fabs(values[k]) <= cutoff * largest || values[k] == 0)
            continue;
        double along = 0;
        for (int64_t i = 0; i < n; i++)
            along += vectors[i * n + k] * b[i];
        for (int64_t i = 0; i < n; i++)
            x[i] += vectors[i * n + k] * along / values[k];
        rank++;
    }
    free(vectors);
    free(values);
    return rank;
}

/* LAPACK has columns next to each other: it sees the transposes of a and b. */
void rg_solve_general(int64_t n, int64_t m, bool transposed, const double *a, const double *b,
                      double *x) {
    pthread_once(&blas_once, blas_start);
    if (n == 0 || m == 0)
        return;
    double *factors = rg_allocate(n * n, sizeof *factors);
    double *columns = rg_allocate(n * m, sizeof *columns);
    lapack_int *pivots = rg_allocate(n, sizeof *pivots);
    lapack_int size = (lapack_int)n, right = (lapack_int)m;
    memcpy(factors, a, sizeof *factors * (size_t)(n * n));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            columns[j * n + i] = b[i * m + j];
    lapack_int info = LAPACKE_dgetrf(LAPACK_COL_MAJOR, size, size, factors, size, pivots);
    if (info == 0)
        info = LAPACKE_dgetrs(LAPACK_COL_MAJOR, transposed ? 'N' : 'T', size, right, factors, size,
                              pivots, columns, size);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            x[i * m + j] = info == 0 ? columns[j * n + i] : (double)NAN;
    free(factors);
    free(columns);
    free(pivots);
}

void rg_threads_set(int threads) {
    RG_ASSERT(threads >= 1);
    pthread_once(&blas_once, blas_start);
    thread_count = threads;
}

int rg_threads(void) {
    return thread_count;
}

/* The kernels that OpenBLAS had better use, or NULL where its own choice is good. Where the program
 * is told which instructions to use, OpenBLAS follows. It also takes a processor that is younger
 * than itself for the oldest that it knows, whose kernels are several times slower. */
static const char *better_kernels(void) {
#if defined(__x86_64__)
    static const char *const core[] = {
        [RG_BASELINE] = "Prescott", [RG_AVX2] = "Haswell", [RG_AVX512] = "SkylakeX"};
    if (rg_instructions_are_chosen() || strcmp(openblas_get_corename(), "Prescott") == 0)
        return core[rg_instructions()];
#endif
    return NULL;
}

/* Whether it had to be set. */
static bool set_unless_set(const char *name, const char *value) {
    return value && !getenv(name) && setenv(name, value, 0) == 0;
}

/* OpenMP that binds threads (OMP_PROC_BIND, OMP_PLACES) has bound the main thread to the first of
 * its places before main begins: what the system tells of that thread is one place only. */
static cpu_set_t allowed_processors(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int places = omp_get_proc_bind() != omp_proc_bind_false ? omp_get_num_places() : 0;
    for (int place = 0; place < places; place++) {
        int count = omp_get_place_num_procs(place);
        int *processor = rg_allocate(count, sizeof *processor);
        omp_get_place_proc_ids(place, processor);
        for (int i = 0; i < count; i++)
            if (processor[i] < CPU_SETSIZE)
                CPU_SET(processor[i], &allowed);
        free(processor);
    }
    if (CPU_COUNT(&allowed) == 0)
        sched_getaffinity(0, sizeof allowed, &allowed);
    return allowed;
}

int rg_processors(void) {
    cpu_set_t allowed = allowed_processors();
    int count = CPU_COUNT(&allowed);
    return count > 0 ? count : 1;
}

/* A new program inherits what its first thread is bound to. */
static void unbind(void) {
    cpu_set_t allowed = allowed_processors();
    if (CPU_COUNT(&allowed) > 0)
        sched_setaffinity(0, sizeof allowed, &allowed);
}

void rg_blas_start_anew(char *const *arguments) {
    static const char spins[] = "1000"; /* about ten microseconds */
    bool changed = !getenv("OMP_WAIT_POLICY") && set_unless_set("GOMP_SPINCOUNT", spins);
    changed |= set_unless_set("OPENBLAS_CORETYPE", better_kernels());
    if (changed) {
        unbind();
        execv("/proc/self/exe", arguments); /* where that fails, everything works, if slower */
    }
}

int rg_threads_here(void) {
    return omp_in_parallel() ? 1 : thread_count;
}

int rg_thread_number(void) {
    return omp_get_thread_num();
}

const char *rg_blas_core(void) {
    static _Thread_local char name[96];
    const char *bf16 = rg_product_bf16_name(), *onednn = rg_onednn_version();
    snprintf(name, sizeof name, "%s, %s%s%s%s%s", openblas_get_corename(),
             rg_instructions_name(rg_instructions()), bf16 ? ", " : "", bf16 ? bf16 : "",
             onednn ? ", oneDNN " : "", onednn ? onednn : "");
    return name;
}

const char *rg_blas_version(void) {
    static _Thread_local char version[64];
    if (sscanf(openblas_get_config(), "OpenBLAS %63s", version) != 1)
        version[0] = '\0';
    return version;
}
