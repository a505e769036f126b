/* SPDX-License-Identifier: MIT */
/* Weights laid out for the product of a few rows with all of a matrix, as decoding makes it: read
 * from front to back once, with a sum that stays within one lane of a vector. */
#ifndef RG_CORE_TENSOR_PANELS_H
#define RG_CORE_TENSOR_PANELS_H

#include "core/tensor/precision.h"

enum { RG_PANEL = 16 }; /* outputs of a panel */

/* W [out, in] as panels of RG_PANEL outputs, [count, in, RG_PANEL]; what the last panel has beyond
 * `out` is zero. In bf16 two inputs of an output stand next to each other, as a cell of 32 bits:
 * [count, cells, RG_PANEL, 2], and where `in` is odd the last cell has a zero. */
typedef struct RgPanels {
    RgReal *weight;  /* in fp32, else NULL */
    RgBf16 *rounded; /* in bf16, else NULL */
    RgReal *bias;    /* [count, RG_PANEL] or NULL */
    int64_t in, out, count;
} RgPanels;

/* Weights not yet set, bias 0. */
RgPanels rg_panels_create(int64_t in, int64_t out, bool bias, RgPrecision precision);
void rg_panels_release(RgPanels *panels);

/* Cells of an output in bf16. */
static inline int64_t rg_panels_cells(const RgPanels *panels) {
    return (panels->in + 1) / 2;
}

/* Numbers in a row of outputs: those of whole panels. */
static inline int64_t rg_panels_stride(const RgPanels *panels) {
    return panels->count * RG_PANEL;
}

/* Set a panel's weights from those of its outputs: row [RG_PANEL], each [in], or NULL for zeros.
 * In bf16 each is rounded to the nearest. */
void rg_panels_fill(const RgPanels *panels, int64_t panel, const RgReal *const *row);

/* y = x·Wᵀ + bias + onto: x [rows, in] in rows x_row apart, y [rows, stride] in rows y_row apart;
 * `onto` is NULL, or laid out like y, or y itself. */
typedef struct RgPanelsGemm {
    const RgPanels *w;
    const RgReal *x;
    const RgBf16 *x_rounded; /* [rows, cells, 2], where a kernel reads x so; set by the product */
    const RgReal *onto;
    RgReal *y;
    int64_t rows, x_row, y_row;
} RgPanelsGemm;

/* On the threads that the caller has. Each number is summed over `in` from front to back: neither
 * threads nor other rows change its bits. Weights in bf16 are widened as they are read, so that
 * the result is that of the rounded weights in fp32; but processors with AVX512_BF16 round x to
 * bf16 too, multiply two numbers at once, and take subnormal ones for 0. */
void rg_panels_gemm(const RgPanelsGemm *product);

#endif
