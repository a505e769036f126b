/* SPDX-License-Identifier: MIT */
/* Sums over long vectors and updates of them, by all threads, with the same bits for any number. */
#include "core/tensor/vector_ops.h"

#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"

#include <math.h>

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

/* log x of a normal positive number without branches: x = 2^k · m with m in [√½, √2), and
 * log m = 2 artanh s = 2 (s + s³/3 + s⁵/5 + …) with s = (m − 1)/(m + 1), where s² < 0.0295. */
RG_INLINE double fast_log(double x) {
    const uint64_t root_half = UINT64_C(0x3FE6A09E667F3BCD), one = UINT64_C(0x3FF0000000000000);
    uint64_t bits, exponent_bits;
    double m, exponent;
    memcpy(&bits, &x, sizeof bits);
    bits += one - root_half;
    exponent_bits = bits >> 52 | UINT64_C(0x4330000000000000); /* of 2^52 + exponent */
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) + root_half;
    memcpy(&m, &bits, sizeof m);
    memcpy(&exponent, &exponent_bits, sizeof exponent);
    double s = (m - 1) / (m + 1), z = s * s;
    double series = 1.0 / 21;
    series = series * z + 1.0 / 19;
    series = series * z + 1.0 / 17;
    series = series * z + 1.0 / 15;
    series = series * z + 1.0 / 13;
    series = series * z + 1.0 / 11;
    series = series * z + 1.0 / 9;
    series = series * z + 1.0 / 7;
    series = series * z + 1.0 / 5;
    series = series * z + 1.0 / 3;
    return (exponent - (4503599627370496.0 + 1023)) * M_LN2 + 2 * (s + s * z * series);
}

RG_PUBLIC_KERNEL(double, rg_sum_logs,
                 (int64_t n, double offset, const double *x, const double *weight),
                 (n, offset, x, weight)) {
    enum { LANES = 32 };
    double partial[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
#pragma omp simd
        for (int lane = 0; lane < LANES; lane++)
            partial[lane] += weight[i + lane] * fast_log(offset + x[i + lane]);
    for (; i < n; i++)
        sum += weight[i] * fast_log(offset + x[i]);
    for (int lane = 0; lane < LANES; lane++)
        sum += partial[lane];
    return sum;
}
