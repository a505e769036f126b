/* SPDX-License-Identifier: MIT */
/* Products with panels and attention over a cache in bf16 on AVX512_BF16, which multiplies two
 * numbers of a cell for each sum in fp32. */
#include "core/tensor/vectors.h"

#if defined(RG_FOR_AVX512) && !defined(RG_DOUBLE)

#include <immintrin.h>

#define RG_LANES    16
#define TARGET      RG_FOR_BF16
#define FULL_ROWS   8
#define FULL_PANELS 2
#define MIX_SUMS    8
#define MULTIPLY_CELLS(sum, x, w)                                                                  \
    ((Lanes)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)_mm512_set1_epi32(x), (__m512bh)(w)))
#include "core/tensor/vectors_lanes.h"

#include "core/tensor/vectors_attention.h"
#include "core/tensor/vectors_panels.h"

const RgVectorKernels *rg_vectors_in_cells(void) {
    static const RgVectorKernels kernels = {
        .panels = panels_product, .rounds = true, .attend = attend};
    return rg_has_bf16_vectors() ? &kernels : NULL;
}

#else

const RgVectorKernels *rg_vectors_in_cells(void) {
    return NULL;
}

#endif
