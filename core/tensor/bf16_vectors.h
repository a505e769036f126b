/* SPDX-License-Identifier: MIT */
/* What the kernels for bf16 products (gemm_amx.c, gemm_bf16.c) share: copying an operand into tiles
 * of cells, and rounding it with AVX512_BF16 if it is not in bf16 already. A cell is 32 bits with
 * two k of one row of a or one column of b. Any two will do as long as a and b agree: here k and k
 * + 16. Private to products. */
#ifndef RG_CORE_TENSOR_BF16_VECTORS_H
#define RG_CORE_TENSOR_BF16_VECTORS_H

#include "core/tensor/gemm_kernel.h"

#include <immintrin.h>

#define RG_LANES 16
#define TARGET   RG_FOR_AVX512
#include "core/tensor/vectors_lanes.h"

#define RG_BF16_INLINE static inline __attribute__((always_inline, target(RG_BF16_TARGET)))

enum {
    RG_TILE_SIDE = RG_LANES,     /* lines of a tile, and cells of a line */
    RG_TILE_K = 2 * RG_LANES,    /* of k in a tile */
    RG_TILE_BYTES = 16 * 16 * 4, /* of its cells */
};

static inline int64_t rg_tile_steps(const RgGemm *p) {
    return (p->k + RG_TILE_K - 1) / RG_TILE_K;
}

/* The first `count` lanes. `count` may be negative, or larger than their number. */
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

/* One operand: its numbers [k, size], or [size, k] where `along`. */
typedef struct RgOperand {
    const RgReal *numbers;
    const RgBf16 *stored; /* the same in bf16; one of the two is NULL */
    int64_t stride, k;
    bool along, transposed; /* transposed: its tiles must be transposed when they are read */
} RgOperand;

/* The location of the numbers of a line of cells: sixteen, and the sixteen that share cells with
 * them; and which of these exist. */
typedef struct RgLine {
    int64_t low, high;
    __mmask16 in_low, in_high;
} RgLine;

/* Line `i` of a tile whose numbers begin at `from`, with stored rows along k, `count` of them … */
RG_BF16_INLINE RgLine rg_line_along(int64_t from, int64_t stride, int i, int64_t count, int64_t k) {
    int64_t at = from + i * stride;
    if (i >= count)
        return (RgLine){at, at, 0, 0};
    return (RgLine){at, at + RG_LANES, rg_first_lanes(k), rg_first_lanes(k - RG_LANES)};
}

/* … or across it. */
RG_BF16_INLINE RgLine rg_line_across(int64_t from, int64_t stride, int i, int64_t count,
                                     int64_t k) {
    return (RgLine){from + i * stride, from + (i + RG_LANES) * stride,
                    i < k ? rg_first_lanes(count) : 0,
                    i + RG_LANES < k ? rg_first_lanes(count) : 0};
}

/* The numbers of a line in bf16, the low ones first. Rounded to nearest, ties to even; NaN stays
 * NaN. `stored`, a constant, is the form of the operand. */
RG_BF16_INLINE __m512i rg_line_load(const RgOperand *x, bool stored, RgLine line) {
    if (!stored)
        return (__m512i)_mm512_cvtne2ps_pbh(
            _mm512_maskz_loadu_ps(line.in_high, x->numbers + line.high),
            _mm512_maskz_loadu_ps(line.in_low, x->numbers + line.low));
    return _mm512_inserti64x4(
        _mm512_castsi256_si512(_mm256_maskz_loadu_epi16(line.in_low, x->stored + line.low)),
        _mm256_maskz_loadu_epi16(line.in_high, x->stored + line.high), 1);
}

/* The cells of a line's numbers. */
RG_BF16_INLINE __m512i rg_line_cells(__m512i numbers) {
    static const uint16_t apart[RG_TILE_K] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                              21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                              11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(apart), numbers);
}

/* Copies the tile whose numbers begin at `from`, with `count` existing rows or columns and `k`
 * existing k. Arguments that are constants after inlining save their checks. */
RG_BF16_INLINE void rg_tile_copy_from(const RgOperand *x, bool stored, bool along, int64_t from,
                                      int64_t count, int64_t k, Lanes *tile) {
    Lanes line[RG_TILE_SIDE];
#pragma GCC unroll 16
    for (int i = 0; i < RG_TILE_SIDE; i++)
        line[i] = (Lanes)rg_line_cells(
            rg_line_load(x, stored,
                         along ? rg_line_along(from, x->stride, i, count, k)
                               : rg_line_across(from, x->stride, i, count, k)));
    if (x->transposed)
        transpose(line);
#pragma GCC unroll 16
    for (int i = 0; i < RG_TILE_SIDE; i++)
        tile[i] = line[i];
}

/* The same for a complete or an incomplete tile. */
RG_BF16_INLINE void rg_tile_copy_some(const RgOperand *x, bool stored, bool along, int64_t from,
                                      int64_t count, int64_t k, Lanes *tile) {
    if (count >= RG_TILE_SIDE && k >= RG_TILE_K)
        rg_tile_copy_from(x, stored, along, from, RG_TILE_SIDE, RG_TILE_K, tile);
    else
        rg_tile_copy_from(x, stored, along, from, count, k, tile);
}

/* The tile at row or column `at` and step `step` of k, with `count` existing rows or columns. The
 * rest is zero. */
RG_BF16_INLINE void rg_tile_copy(const RgOperand *x, int64_t at, int64_t count, int64_t step,
                                 void *tile) {
    int64_t k = step * RG_TILE_K, left = x->k - k;
    if (x->stored && x->along)
        rg_tile_copy_some(x, true, true, at * x->stride + k, count, left, tile);
    else if (x->stored)
        rg_tile_copy_some(x, true, false, k * x->stride + at, count, left, tile);
    else if (x->along)
        rg_tile_copy_some(x, false, true, at * x->stride + k, count, left, tile);
    else
        rg_tile_copy_some(x, false, false, k * x->stride + at, count, left, tile);
}

#endif
