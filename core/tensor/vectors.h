/* SPDX-License-Identifier: MIT */
/* Kernels that are written for whole vectors: products, products of few rows with a matrix in
 * panels, attention over a cache. They are written once, in vectors_*.h, for vectors of RG_LANES
 * numbers, and compiled for each set of instructions in vectors_<set>.c. Private to core. */
#ifndef RG_CORE_TENSOR_VECTORS_H
#define RG_CORE_TENSOR_VECTORS_H

#include "core/tensor/cache_attention.h"
#include "core/tensor/gemm_kernel.h"
#include "core/tensor/panels.h"

typedef struct RgVectorKernels {
    const RgGemmKernel *product; /* NULL where BLAS is the better choice */

    /* All rows of the panels [first, last). */
    void (*panels)(const RgPanelsGemm *product, int64_t first, int64_t last);
    bool rounds; /* rows have to come rounded, too, if the panels are in bf16 */

    /* See rg_cache_attend. */
    void (*attend)(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                   RgReal *score, RgReal *out);
} RgVectorKernels;

extern const RgVectorKernels rg_vectors_baseline, rg_vectors_avx2, rg_vectors_avx512;

/* Those of the set in use. */
const RgVectorKernels *rg_vectors(void);

/* Those for panels and caches of this precision. */
const RgVectorKernels *rg_vectors_for(RgPrecision precision);

/* Those that multiply cells whole, and so read all inputs rounded to bf16: for bf16 alone. NULL
 * where the set in use or the processor has no such instruction. */
const RgVectorKernels *rg_vectors_in_cells(void);

#endif
