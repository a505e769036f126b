/* SPDX-License-Identifier: MIT */
/* Vector kernels for AVX2 and FMA: vectors of eight numbers, sixteen registers. */
#include "core/tensor/vectors.h"

#if defined(RG_FOR_AVX2) && !defined(RG_DOUBLE)

#define RG_LANES    8
#define TARGET      RG_FOR_AVX2
#define FULL_ROWS   6
#define FULL_PANELS 1
#define MIX_SUMS    12
#include "core/tensor/vectors_lanes.h"

#include "core/tensor/vectors_attention.h"
#include "core/tensor/vectors_panels.h"

#include "core/tensor/vectors_gemm.h"

const RgVectorKernels rg_vectors_avx2 = {
    .product = &product_kernel, .panels = panels_product, .attend = attend};

#endif
