/* SPDX-License-Identifier: MIT */
/* Vector kernels for every processor of the architecture: vectors of 16 bytes. */
#include "core/tensor/vectors.h"

#ifdef RG_DOUBLE
#define RG_LANES 2
#else
#define RG_LANES 4
#endif
#define TARGET
#ifdef __aarch64__ /* it has twice as many registers as x86-64 */
#define FULL_ROWS 6
#else
#define FULL_ROWS 2
#endif
#define FULL_PANELS 1
#define MIX_SUMS    8
#include "core/tensor/vectors_lanes.h"

#include "core/tensor/vectors_attention.h"
#include "core/tensor/vectors_panels.h"

/* BLAS has kernels for all generations of such processors. */
const RgVectorKernels rg_vectors_baseline = {.panels = panels_product, .attend = attend};
