/* SPDX-License-Identifier: MIT */
/* The numbers that matrix products of training are made of: fp32, or bf16, the upper half of an
 * fp32, to which the inputs of a product are rounded while its sums stay fp32. Processors that have
 * instructions for it (AMX; AVX512_BF16) do so at 1.7 times the speed and more, and take subnormal
 * numbers (below 10⁻³⁸) for 0. Others with AVX-512 can do so by oneDNN.
 * Only products are in bf16: weights, gradients, optimiser, norms and attention stay fp32. */
#ifndef RG_CORE_TENSOR_PRECISION_H
#define RG_CORE_TENSOR_PRECISION_H

#include "core/base.h"

#include <string.h>

typedef enum RgPrecision { RG_PRECISION_FP32, RG_PRECISION_BF16 } RgPrecision;
extern const char *const rg_precision_names[]; /* as configs have them; ends with NULL */

/* RG_E_USAGE, and what would help, where this build or this machine does not have it. */
RgStatus rg_precision_check(RgPrecision precision, RgError *error);

typedef uint16_t RgBf16; /* of products, or of weights that are stored so */

/* y = x to the nearest bf16, and to the even one of two that are as near. What is beyond the
 * largest becomes infinite; what is not a number stays none. */
void rg_bf16_round(int64_t n, const RgReal *x, RgBf16 *y);

/* Rows of n numbers, `stride` apart, as rows of whole cells of two: y [rows, cells, 2]. Where n is
 * odd, the last of a row is 0. */
void rg_bf16_round_rows(int64_t rows, int64_t n, int64_t stride, const RgReal *x, RgBf16 *y);

/* The number itself, which every RgReal can hold. */
static inline RgReal rg_bf16_number(RgBf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (RgReal)value;
}

/* y = x */
void rg_bf16_widen(int64_t n, const RgBf16 *x, RgReal *y);

/* The same of a matrix [rows, columns] whose rows lie `stride` apart, into memory of the calling
 * thread's own, which stands until its next call. Meant for a few rows at a time. */
const RgReal *rg_bf16_widened(const RgBf16 *x, int64_t rows, int64_t columns, int64_t stride);

#endif
