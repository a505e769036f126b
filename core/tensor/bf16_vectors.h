/* What the kernels for products in bf16 share (product_tiles.c, product_bf16.c): rounding with
 * AVX512_BF16, and copying an operand into tiles of cells. A cell is 32 bits with two k of one row
 * of a or one column of b. Which two is free as long as a and b agree: here they are k and k + 16.
 * Private to products. */
#ifndef RG_CORE_TENSOR_BF16_VECTORS_H
#define RG_CORE_TENSOR_BF16_VECTORS_H

#include "core/tensor/product_kernel.h"

#include <immintrin.h>

#define RG_LANES 16
#define TARGET   RG_FOR_AVX512
#include "core/tensor/vectors_lanes.h"

#define RG_BF16_TARGET RG_AVX512_TARGET ",avx512bf16"
#define RG_BF16_INLINE static inline __attribute__((always_inline, target(RG_BF16_TARGET)))

enum {
    RG_TILE_SIDE = RG_LANES,     /* lines of a tile, and cells of a line */
    RG_TILE_K = 2 * RG_LANES,    /* of k in a tile */
    RG_TILE_BYTES = 16 * 16 * 4, /* of its cells */
};

static inline bool rg_has_bf16_vectors(void) {
    return rg_instructions() == RG_AVX512 && __builtin_cpu_supports("avx512bf16");
}

static inline int64_t rg_tile_steps(const RgProduct *p) {
    return (p->k + RG_TILE_K - 1) / RG_TILE_K;
}

/* The first `count` lanes, which may be none, or more than there are. */
RG_BF16_INLINE __mmask16 rg_first_lanes(int64_t count) {
    return count >= RG_LANES ? 0xFFFF : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

/* c = alpha · sum + beta · c in the lanes of `mask` */
RG_BF16_INLINE void rg_lanes_store(RgReal *c, __mmask16 mask, RgReal alpha, RgReal beta,
                                   __m512 sum) {
    __m512 y = _mm512_mul_ps(_mm512_set1_ps(alpha), sum);
    if (beta != 0)
        y = _mm512_fmadd_ps(_mm512_set1_ps(beta), _mm512_maskz_loadu_ps(mask, c), y);
    _mm512_mask_storeu_ps(c, mask, y);
}

/* Sixteen numbers, and the sixteen that share cells with them. */
typedef struct RgCells {
    __m512 low, high;
} RgCells;

/* Numbers in bf16: the even one of two that are as near, and no number stays none. */
RG_BF16_INLINE __m512i rg_cells_round(RgCells x) {
    static const uint16_t apart[RG_TILE_K] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                              21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                              11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(apart),
                                    (__m512i)_mm512_cvtne2ps_pbh(x.high, x.low));
}

/* Line `i` of the cells of a tile at x, whose stored rows go along k, `count` of them … */
RG_BF16_INLINE RgCells rg_cells_along(const RgReal *x, int64_t stride, int i, int64_t count,
                                      int64_t k) {
    if (i >= count)
        return (RgCells){_mm512_setzero_ps(), _mm512_setzero_ps()};
    return (RgCells){
        _mm512_maskz_loadu_ps(rg_first_lanes(k), x + i * stride),
        _mm512_maskz_loadu_ps(rg_first_lanes(k - RG_LANES), x + i * stride + RG_LANES)};
}

/* … or across it. */
RG_BF16_INLINE RgCells rg_cells_across(const RgReal *x, int64_t stride, int i, int64_t count,
                                       int64_t k) {
    __mmask16 low = i < k ? rg_first_lanes(count) : 0,
              high = i + RG_LANES < k ? rg_first_lanes(count) : 0;
    return (RgCells){_mm512_maskz_loadu_ps(low, x + i * stride),
                     _mm512_maskz_loadu_ps(high, x + (i + RG_LANES) * stride)};
}

/* One operand: its numbers [k, size], or [size, k] where `along`. */
typedef struct RgOperand {
    const RgReal *numbers;
    int64_t stride, k;
    bool along, turned; /* turned: its tiles have to be */
} RgOperand;

/* The tile at x, of which `count` rows or columns and `k` of k exist. Whatever of these is a
 * constant where this is inlined saves its checks. */
RG_BF16_INLINE void rg_tile_copy_from(const RgReal *x, int64_t stride, int64_t count, int64_t k,
                                      bool along, bool turned, Lanes *tile) {
    Lanes line[RG_TILE_SIDE];
#pragma GCC unroll 16
    for (int i = 0; i < RG_TILE_SIDE; i++)
        line[i] = (Lanes)rg_cells_round(along ? rg_cells_along(x, stride, i, count, k)
                                              : rg_cells_across(x, stride, i, count, k));
    if (turned)
        transpose(line);
#pragma GCC unroll 16
    for (int i = 0; i < RG_TILE_SIDE; i++)
        tile[i] = line[i];
}

/* The tile at row or column `at` and step `step` of k, of which `count` rows or columns exist; what
 * does not is zero. */
RG_BF16_INLINE void rg_tile_copy(const RgOperand *x, int64_t at, int64_t count, int64_t step,
                                 void *tile) {
    int64_t k = step * RG_TILE_K, left = x->k - k;
    const RgReal *from = x->numbers + (x->along ? at * x->stride + k : k * x->stride + at);
    bool whole = count >= RG_TILE_SIDE && left >= RG_TILE_K;
    if (whole && x->along)
        rg_tile_copy_from(from, x->stride, RG_TILE_SIDE, RG_TILE_K, true, x->turned, tile);
    else if (whole)
        rg_tile_copy_from(from, x->stride, RG_TILE_SIDE, RG_TILE_K, false, x->turned, tile);
    else if (x->along)
        rg_tile_copy_from(from, x->stride, count, left, true, x->turned, tile);
    else
        rg_tile_copy_from(from, x->stride, count, left, false, x->turned, tile);
}

#endif
