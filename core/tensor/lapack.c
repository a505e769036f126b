/* SPDX-License-Identifier: MIT */
/* The only file that calls LAPACK: systems of equations, in double. */
#include "core/tensor/lapack.h"

#include "core/base.h"
#include "core/tensor/blas.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t rg_solve_symmetric(int64_t n, const double *a, const double *b, double cutoff, double *x,
                           double *extremes) {
    rg_blas_start();
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
    double largest = fmax(fabs(values[0]), fabs(values[n - 1])); /* they are sorted */
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

/* LAPACK is column-major: it sees the transposes of a and b. */
void rg_solve_general(int64_t n, int64_t m, bool transposed, const double *a, const double *b,
                      double *x) {
    rg_blas_start();
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
