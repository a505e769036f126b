/* SPDX-License-Identifier: MIT */
/* Weights laid out for multiplying a few rows by a whole matrix, as in decoding. The matrix is read
 * once, in order, and each sum stays within one lane of a vector.
 *
 * Threads: one at a time per RgPanelsGemm. */
#ifndef RG_CORE_TENSOR_PANELS_H
#define RG_CORE_TENSOR_PANELS_H

#include "core/tensor/precision.h"

enum { RG_PANEL = 16 }; /* outputs of a panel */

/* W [out, in] as panels of RG_PANEL outputs, [count, in, RG_PANEL]. The rest of the last panel is
 * zero. In bf16 two inputs of an output are adjacent, in a cell of 32 bits: [count, cells,
 * RG_PANEL, 2]. If `in` is odd, the last cell contains a zero. */
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

/* Sets a panel's weights from those of its outputs: row [RG_PANEL], each [in], or NULL for zeros.
 * For bf16 each is rounded to the nearest. */
void rg_panels_fill(const RgPanels *panels, int64_t panel, const RgReal *const *row);

/* y = x·Wᵀ + bias + onto. x [rows, in] has rows x_row apart, and y [rows, stride] has rows y_row
 * apart. `onto` is NULL, or has the layout of y, or is y itself. */
typedef struct RgPanelsGemm {
    const RgPanels *w;
    const RgReal *x;
    const RgBf16 *x_rounded; /* [rows, cells, 2] if the kernel needs it; set by rg_panels_gemm */
    const RgReal *onto;
    RgReal *y;
    int64_t rows, x_row, y_row;
} RgPanelsGemm;

/* Runs on all threads available to the caller. Each number is summed over `in` in order, so neither
 * the threads nor other rows change its bits. bf16 weights are converted as they are read, so the
 * result is that of the rounded weights in fp32. Processors with AVX512_BF16 instead also round x
 * to bf16, multiply two numbers at once, and treat subnormal numbers as 0. */
void rg_panels_gemm(const RgPanelsGemm *product);

#endif
