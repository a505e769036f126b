/* Products with panels in bf16 on AVX512_BF16, which multiplies two numbers of a cell for each sum
 * in fp32. */
#include "core/tensor/vectors.h"

#if defined(RG_FOR_AVX512) && !defined(RG_DOUBLE)

#include <immintrin.h>

#define RG_LANES    16
#define TARGET      __attribute__((target(RG_AVX512_TARGET ",avx512bf16")))
#define FULL_ROWS   8
#define FULL_PANELS 2
#define MULTIPLY_CELLS(sum, x, w)                                                                  \
    ((Lanes)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)_mm512_set1_epi32(x), (__m512bh)(w)))
#include "core/tensor/vectors_lanes.h"

#include "core/tensor/vectors_panels.h"

TARGET static void panels_in_cells(const RgPanelsProduct *f, int64_t first, int64_t last) {
    panels_all(f, true, first, last);
}

RgPanelsKernel rg_panels_in_cells(void) {
    bool has = rg_instructions() == RG_AVX512 && __builtin_cpu_supports("avx512bf16");
    return has ? panels_in_cells : NULL;
}

#else

RgPanelsKernel rg_panels_in_cells(void) {
    return NULL;
}

#endif
