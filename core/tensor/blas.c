/* The only file that calls BLAS and LAPACK.
 *
 * BLAS always runs on one thread: how it cuts a product among several is not ours to know, and the
 * bits of a result may not depend on it. Threads work on shards of a batch instead. OpenBLAS takes
 * OpenMP's default number of threads for its own whenever that changes, so the default stays at 1
 * and parallel regions name their number: num_threads(rg_threads()). */
#include "core/tensor/blas.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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

void rg_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, RgReal alpha,
             const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, RgReal beta, RgReal *c,
             int64_t ldc) {
    pthread_once(&blas_once, blas_start);
    if (m == 0 || n == 0)
        return;
    if (k == 0) {
        scale_matrix(m, n, beta, c, ldc);
        return;
    }
    RG_ASSERT(m <= INT32_MAX && n <= INT32_MAX && k <= INT32_MAX);
#ifdef RG_DOUBLE
    cblas_dgemm(
#else
    cblas_sgemm(
#endif
        CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
        transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
        (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

double rg_dot(int64_t n, const RgReal *a, const RgReal *b) {
    /* Eight sums side by side, so that additions need not wait for one another. */
    double partial[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int lane = 0; lane < 8; lane++)
            partial[lane] += (double)a[i + lane] * (double)b[i + lane];
    double sum = 0;
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    for (int lane = 0; lane < 8; lane++)
        sum += partial[lane];
    return sum;
}

void rg_axpy(int64_t n, RgReal alpha, const RgReal *x, RgReal *y) {
    for (int64_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

int64_t rg_solve_symmetric(int64_t n, const double *a, const double *b, double cutoff, double *x) {
    pthread_once(&blas_once, blas_start);
    memset(x, 0, sizeof *x * (size_t)n);
    if (n == 0)
        return 0;
    double *vectors = rg_allocate(sizeof *vectors * (size_t)(n * n));
    double *values = rg_allocate(sizeof *values * (size_t)n);
    memcpy(vectors, a, sizeof *vectors * (size_t)(n * n));
    lapack_int n_lapack = (lapack_int)n;
    lapack_int info =
        LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', n_lapack, vectors, n_lapack, values);

    int64_t rank = 0;
    double largest = fmax(fabs(values[0]), fabs(values[n - 1])); /* they come in order */
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

void rg_threads_set(int threads) {
    RG_ASSERT(threads >= 1);
    pthread_once(&blas_once, blas_start);
    thread_count = threads;
}

int rg_threads(void) {
    return thread_count;
}

const char *rg_blas_core(void) {
    return openblas_get_corename();
}
