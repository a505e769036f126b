/* SPDX-License-Identifier: MIT */
/* The precision of the matrix products of training: fp32 or bf16. bf16 is the upper half of an
 * fp32. The inputs of a product are rounded to it, and sums are in fp32. Processors with
 * instructions for it (AMX; AVX512_BF16) are at least 1.7 times as fast with it, and treat
 * subnormal numbers (below 10⁻³⁸) as 0. Other processors with AVX-512 can use oneDNN. Only matrix
 * products are in bf16: weights, gradients, optimiser, norms and attention are in fp32.
 *
 * Threads: any. */
#ifndef RG_CORE_TENSOR_PRECISION_H
#define RG_CORE_TENSOR_PRECISION_H

#include "core/base.h"

#include <string.h>

typedef enum RgPrecision { RG_PRECISION_FP32, RG_PRECISION_BF16 } RgPrecision;
extern const char *const rg_precision_names[]; /* as in configs; ends with NULL */

/* RG_E_USAGE, with a remedy, if this build or this machine does not support it. */
RgStatus rg_precision_check(RgPrecision precision, RgError *error);

typedef uint16_t RgBf16; /* operands of products, or stored weights */

/* y = x rounded to the nearest bf16, ties to even. Overflow gives infinity; NaN stays NaN. */
void rg_bf16_round(int64_t n, const RgReal *x, RgBf16 *y);

/* Rounds rows of n numbers, `stride` apart, into rows of whole cells of two: y [rows, cells, 2]. If
 * n is odd, the last number of a row is 0. */
void rg_bf16_round_rows(int64_t rows, int64_t n, int64_t stride, const RgReal *x, RgBf16 *y);

/* The exact value as an RgReal. */
static inline RgReal rg_bf16_number(RgBf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (RgReal)value;
}

/* y = x */
void rg_bf16_widen(int64_t n, const RgBf16 *x, RgReal *y);

/* The same for a matrix [rows, columns] with rows `stride` apart, into memory of the calling
 * thread, which is valid until its next call. Meant for a few rows at a time. */
const RgReal *rg_bf16_widened(const RgBf16 *x, int64_t rows, int64_t columns, int64_t stride);

#endif
