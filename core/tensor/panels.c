/* SPDX-License-Identifier: MIT */
/* Weights in panels, and the distribution of a product with them over threads. */
#include "core/tensor/panels.h"

#include "core/tensor/parallel.h"
#include "core/tensor/vectors.h"

#include <stdlib.h>

RgPanels rg_panels_create(int64_t in, int64_t out, bool bias, RgPrecision precision) {
    RgPanels p = {.in = in, .out = out, .count = (out + RG_PANEL - 1) / RG_PANEL};
    size_t outputs = (size_t)rg_panels_stride(&p);
    if (precision == RG_PRECISION_BF16)
        p.rounded = rg_allocate_aligned(2 * sizeof(RgBf16) * outputs * (size_t)rg_panels_cells(&p));
    else
        p.weight = rg_allocate_aligned(sizeof(RgReal) * outputs * (size_t)in);
    if (bias)
        p.bias = rg_allocate(rg_panels_stride(&p), sizeof(RgReal));
    return p;
}

void rg_panels_release(RgPanels *panels) {
    free(panels->weight);
    free(panels->rounded);
    free(panels->bias);
}

/* Lane by lane: a row is rounded completely, and its numbers go to their cells. */
static void fill_rounded(const RgPanels *panels, int64_t panel, const RgReal *const *row) {
    static _Thread_local RgScratch scratch;
    int64_t in = panels->in, cells = rg_panels_cells(panels);
    RgBf16 *line = rg_scratch(&scratch, sizeof *line * 2 * (size_t)cells);
    RgBf16 *to = panels->rounded + panel * cells * RG_PANEL * 2;
    line[2 * cells - 1] = 0;
    for (int lane = 0; lane < RG_PANEL; lane++) {
        if (row[lane])
            rg_bf16_round(in, row[lane], line);
        for (int64_t k = 0; k < 2 * cells; k++)
            to[(k / 2 * RG_PANEL + lane) * 2 + k % 2] = row[lane] ? line[k] : 0;
    }
}

void rg_panels_fill(const RgPanels *panels, int64_t panel, const RgReal *const *row) {
    if (panels->rounded) {
        fill_rounded(panels, panel, row);
        return;
    }
    RgReal *to = panels->weight + panel * panels->in * RG_PANEL;
    for (int lane = 0; lane < RG_PANEL; lane++)
        for (int64_t k = 0; k < panels->in; k++)
            to[k * RG_PANEL + lane] = row[lane] ? row[lane][k] : 0;
}

/* The rows of x in bf16, in memory of the calling thread. */
static const RgBf16 *rounded_rows(const RgPanelsGemm *p) {
    static _Thread_local RgScratch scratch;
    int64_t in = p->w->in, row = 2 * rg_panels_cells(p->w);
    RgBf16 *rounded = rg_scratch(&scratch, sizeof *rounded * (size_t)(p->rows * row));
    RG_FOR_PIECES(p->rows, rg_pieces_of_rows(p->rows, in),
                  rg_bf16_round_rows(last - first, in, p->x_row, p->x + first * p->x_row,
                                     rounded + first * row));
    return rounded;
}

void rg_panels_gemm(const RgPanelsGemm *product) {
    enum { FEW = 4 }; /* rows, for which reading the weights takes most of the time */
    int64_t count = product->w->count, rows = product->rows < FEW ? FEW : product->rows;
    const RgVectorKernels *kernels =
        rg_vectors_for(product->w->rounded ? RG_PRECISION_BF16 : RG_PRECISION_FP32);
    RgPanelsGemm p = *product;
    p.x_rounded = kernels->rounds ? rounded_rows(product) : NULL;
    RG_FOR_PIECES(count, rg_pieces_of_rows(count, p.w->in * RG_PANEL * rows / FEW),
                  kernels->panels(&p, first, last));
}
