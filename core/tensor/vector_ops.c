/* SPDX-License-Identifier: MIT */
/* Sums over long vectors and updates of them, by all threads, with the same bits for any number. */
#include "core/tensor/vector_ops.h"

#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"

RG_KERNEL(double, dot_piece, (int64_t n, const RgReal *a, const RgReal *b), (n, a, b)) {
    /* Several sums, so that additions need not wait for one another. */
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
