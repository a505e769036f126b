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

/* The factors of a matrix, dense or of its band. LAPACK is column-major: it sees the transposes of a
 * and b. */
typedef struct Factors {
    lapack_int size, below,
        above; /* of the transpose: its diagonals below and above the main one */
    bool banded;
    double *numbers;
    lapack_int *pivots;
} Factors;

/* Diagonals below and above the main one of aᵀ. */
static void find_band(int64_t n, const double *a, Factors *f) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            lapack_int off = (lapack_int)(j - i); /* entry (j, i) of the transpose */
            if (a[i * n + j] == 0)
                continue;
            f->below = off > f->below ? off : f->below;
            f->above = -off > f->above ? -off : f->above;
        }
}

static lapack_int factorise(const double *a, Factors *f) {
    int64_t n = f->size, rows = f->banded ? 2 * f->below + f->above + 1 : n;
    f->numbers = rg_allocate(n * rows, sizeof *f->numbers);
    f->pivots = rg_allocate(n, sizeof *f->pivots);
    if (!f->banded) {
        memcpy(f->numbers, a, sizeof *a * (size_t)(n * n));
        return LAPACKE_dgetrf(LAPACK_COL_MAJOR, f->size, f->size, f->numbers, f->size, f->pivots);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i - f->above < 0 ? 0 : i - f->above; j < n && j <= i + f->below; j++)
            f->numbers[i * rows + f->below + f->above + j - i] = a[i * n + j];
    return LAPACKE_dgbtrf(LAPACK_COL_MAJOR, f->size, f->size, f->below, f->above, f->numbers,
                          (lapack_int)rows, f->pivots);
}

static lapack_int substitute(const Factors *f, bool transposed, lapack_int right, double *columns) {
    char how = transposed ? 'N' : 'T';
    if (f->banded)
        return LAPACKE_dgbtrs(LAPACK_COL_MAJOR, how, f->size, f->below, f->above, right, f->numbers,
                              2 * f->below + f->above + 1, f->pivots, columns, f->size);
    return LAPACKE_dgetrs(LAPACK_COL_MAJOR, how, f->size, right, f->numbers, f->size, f->pivots,
                          columns, f->size);
}

void rg_solve_general(int64_t n, int64_t m, bool transposed, const double *a, const double *b,
                      double *x) {
    const lapack_int least = 100, narrow = 6; /* below, the dense solution takes microseconds */
    rg_blas_start();
    if (n == 0 || m == 0)
        return;
    Factors f = {.size = (lapack_int)n};
    find_band(n, a, &f);
    f.banded = f.size >= least && narrow * (f.below + f.above) <= f.size;
    double *columns = rg_allocate(n * m, sizeof *columns);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            columns[j * n + i] = b[i * m + j];
    lapack_int info = factorise(a, &f);
    if (info == 0)
        info = substitute(&f, transposed, (lapack_int)m, columns);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            x[i * m + j] = info == 0 ? columns[j * n + i] : (double)NAN;
    free(f.numbers);
    free(f.pivots);
    free(columns);
}
