/* SPDX-License-Identifier: MIT */
/* Vector kernels for AVX-512: vectors of sixteen numbers, thirty-two registers. */
#include "core/tensor/vectors.h"

#if defined(RG_FOR_AVX512) && !defined(RG_DOUBLE)

#define RG_LANES    16
#define TARGET      RG_FOR_AVX512
#define FULL_ROWS   8
#define FULL_PANELS 2
#define MIX_SUMS    8
#include "core/tensor/vectors_lanes.h"

#include "core/tensor/vectors_attention.h"
#include "core/tensor/vectors_panels.h"

#include "core/tensor/vectors_gemm.h"

const RgVectorKernels rg_vectors_avx512 = {
    .product = &product_kernel, .panels = panels_product, .attend = attend};

#endif
