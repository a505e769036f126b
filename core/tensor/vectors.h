/* SPDX-License-Identifier: MIT */
/* Kernels written for whole vectors: matrix products, products of few rows with a matrix in panels,
 * and attention over a cache. They are written once, in vectors_*.h, for vectors of RG_LANES
 * numbers, and compiled for each set of instructions in vectors_<set>.c. Private to core. */
#ifndef RG_CORE_TENSOR_VECTORS_H
#define RG_CORE_TENSOR_VECTORS_H

#include "core/tensor/cache_attention.h"
#include "core/tensor/gemm_kernel.h"
#include "core/tensor/panels.h"

typedef struct RgVectorKernels {
    const RgGemmKernel *product; /* NULL if BLAS is faster */

    /* Computes all rows of the panels [first, last). */
    void (*panels)(const RgPanelsGemm *product, int64_t first, int64_t last);
    bool rounds; /* rows must be rounded, too, if the panels are in bf16 */

    /* See rg_cache_attend. */
    void (*attend)(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                   RgReal *score, RgReal *out);
} RgVectorKernels;

extern const RgVectorKernels rg_vectors_baseline, rg_vectors_avx2, rg_vectors_avx512;

/* The kernels of the set in use. */
const RgVectorKernels *rg_vectors(void);

/* The kernels for panels and caches of this precision. */
const RgVectorKernels *rg_vectors_for(RgPrecision precision);

/* The bf16 kernels that multiply whole cells, and so need all inputs rounded to bf16. NULL if the
 * set in use or the processor has no such instruction. */
const RgVectorKernels *rg_vectors_in_cells(void);

#endif
