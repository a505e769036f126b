/* SPDX-License-Identifier: MIT */
/* Selects the vector kernels in use. */
#include "core/tensor/vectors.h"

const RgVectorKernels *rg_vectors(void) {
#if defined(RG_FOR_AVX2) && !defined(RG_DOUBLE)
    RgInstructions set = rg_instructions();
    if (set == RG_AVX512)
        return &rg_vectors_avx512;
    if (set == RG_AVX2)
        return &rg_vectors_avx2;
#endif
    return &rg_vectors_baseline;
}

const RgVectorKernels *rg_vectors_for(RgPrecision precision) {
    const RgVectorKernels *in_cells = precision == RG_PRECISION_BF16 ? rg_vectors_in_cells() : NULL;
    return in_cells ? in_cells : rg_vectors();
}

const RgGemmKernel *rg_gemm_vectors(void) {
#ifdef RG_DOUBLE
    return NULL;
#else
    return rg_vectors()->product;
#endif
}
