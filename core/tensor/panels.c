/* Weights in panels, and how a product with them is shared out among threads. */
#include "core/tensor/panels.h"

#include "core/tensor/parallel.h"
#include "core/tensor/vectors.h"

#include <stdlib.h>

RgPanels rg_panels_create(int64_t in, int64_t out, bool bias) {
    RgPanels p = {.in = in, .out = out, .count = (out + RG_PANEL - 1) / RG_PANEL};
    p.weight = rg_allocate_aligned(sizeof(RgReal) * (size_t)(rg_panels_stride(&p) * in));
    if (bias)
        p.bias = rg_allocate(sizeof(RgReal) * (size_t)rg_panels_stride(&p));
    return p;
}

void rg_panels_release(RgPanels *panels) {
    free(panels->weight);
    free(panels->bias);
}

void rg_panels_fill(const RgPanels *panels, int64_t panel, const RgReal *const *row) {
    RgReal *to = panels->weight + panel * panels->in * RG_PANEL;
    for (int lane = 0; lane < RG_PANEL; lane++)
        for (int64_t k = 0; k < panels->in; k++)
            to[k * RG_PANEL + lane] = row[lane] ? row[lane][k] : 0;
}

void rg_panels_product(const RgPanelsProduct *product) {
    enum { FEW = 4 }; /* rows, which wait for the weights, however few they are */
    int64_t count = product->w->count, rows = product->rows < FEW ? FEW : product->rows;
    const RgVectorKernels *kernels = rg_vectors();
    RG_FOR_PIECES(count, rg_pieces_of_rows(count, product->w->in * RG_PANEL * rows / FEW),
                  kernels->panels(product, first, last));
}
