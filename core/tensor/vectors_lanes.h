/* SPDX-License-Identifier: MIT */
/* One vector of RG_LANES numbers, and basic operations. The including file defines
 *
 *     RG_LANES   numbers in a vector: 16, 8 or 4, and 2 if they are double
 *     TARGET     the attribute that compiles a function for the set of instructions, or nothing
 *
 * and, if the set can multiply bf16 numbers,
 *
 *     MULTIPLY_CELLS(sum, x, w)   sum [RG_LANES], plus the products of a cell x with cells w */
#include "core/tensor/kernels.h"
#include "core/tensor/precision.h"
#include "core/tensor/real_math.h"

typedef RgReal Lanes
    __attribute__((vector_size(RG_LANES * sizeof(RgReal)), aligned(sizeof(RgReal)), may_alias));

#define TARGET_INLINE TARGET RG_INLINE

typedef RgBf16 Bf16Lanes
    __attribute__((vector_size(RG_LANES * sizeof(RgBf16)), aligned(sizeof(RgBf16)), may_alias));
typedef float FloatLanes __attribute__((vector_size(RG_LANES * 4)));

/* Cells: 32 bits with two bf16 numbers each, the first in the lower half. */
typedef uint32_t Cells __attribute__((vector_size(RG_LANES * 4), aligned(4), may_alias));

/* Numbers with the given upper halves in fp32; the lower halves are zero. */
TARGET_INLINE Lanes numbers_of(Cells bits) {
    return __builtin_convertvector((FloatLanes)bits, Lanes);
}

/* Converts RG_LANES bf16 numbers. */
TARGET_INLINE Lanes widen(const RgBf16 *x) {
    return numbers_of(__builtin_convertvector(*(const Bf16Lanes *)x, Cells) << 16);
}

/* Converts the first numbers of cells, or the second ones. */
TARGET_INLINE Lanes half_of(Cells w, bool second) {
    if (second)
        return numbers_of(w & 0xFFFF0000);
    return numbers_of(w << 16);
}

/* The factors of cells: both numbers of a cell in bf16, or two in fp32. */
#ifdef MULTIPLY_CELLS
typedef int32_t __attribute__((may_alias, aligned(sizeof(RgBf16)))) Input;
enum { INPUTS_OF_A_CELL = 1 };
#else
typedef RgReal Input;
enum { INPUTS_OF_A_CELL = 2 };
#endif

#if RG_LANES == 16

/* Shuffles four numbers of a and b in each quarter of a vector, the same in all; and four
 * quarters. */
#define LANES_SHUFFLE(a, b, i, j, k, l)                                                            \
    __builtin_shufflevector(a, b, i, j, k, l, i + 4, j + 4, k + 4, l + 4, i + 8, j + 8, k + 8,     \
                            l + 8, i + 12, j + 12, k + 12, l + 12)
#define LANES_QUARTERS(a, b, i, j, k, l)                                                           \
    __builtin_shufflevector(a, b, 4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3, 4 * j, 4 * j + 1,        \
                            4 * j + 2, 4 * j + 3, 4 * k, 4 * k + 1, 4 * k + 2, 4 * k + 3, 4 * l,   \
                            4 * l + 1, 4 * l + 2, 4 * l + 3)

/* Transposes sixteen rows: squares of 4 × 4 within the quarters of four rows, and then the
 * quarters, which have special instructions. */
TARGET_INLINE void transpose(Lanes row[RG_LANES]) {
    Lanes x[RG_LANES];
#pragma GCC unroll 4
    for (int i = 0; i < RG_LANES; i += 4) {
        Lanes a = LANES_SHUFFLE(row[i], row[i + 1], 0, 16, 1, 17),
              b = LANES_SHUFFLE(row[i], row[i + 1], 2, 18, 3, 19),
              c = LANES_SHUFFLE(row[i + 2], row[i + 3], 0, 16, 1, 17),
              d = LANES_SHUFFLE(row[i + 2], row[i + 3], 2, 18, 3, 19);
        x[i] = LANES_SHUFFLE(a, c, 0, 1, 16, 17);
        x[i + 1] = LANES_SHUFFLE(a, c, 2, 3, 18, 19);
        x[i + 2] = LANES_SHUFFLE(b, d, 0, 1, 16, 17);
        x[i + 3] = LANES_SHUFFLE(b, d, 2, 3, 18, 19);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        Lanes a = LANES_QUARTERS(x[i], x[i + 4], 0, 1, 4, 5),
              b = LANES_QUARTERS(x[i], x[i + 4], 2, 3, 6, 7),
              c = LANES_QUARTERS(x[i + 8], x[i + 12], 0, 1, 4, 5),
              d = LANES_QUARTERS(x[i + 8], x[i + 12], 2, 3, 6, 7);
        row[i] = LANES_QUARTERS(a, c, 0, 2, 4, 6);
        row[i + 4] = LANES_QUARTERS(a, c, 1, 3, 5, 7);
        row[i + 8] = LANES_QUARTERS(b, d, 0, 2, 4, 6);
        row[i + 12] = LANES_QUARTERS(b, d, 1, 3, 5, 7);
    }
}

#else

#if RG_LANES == 8
#define LOW_HALVES  0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#elif RG_LANES == 4
#define LOW_HALVES  0, 4, 1, 5
#define HIGH_HALVES 2, 6, 3, 7
#else
#define LOW_HALVES  0, 2
#define HIGH_HALVES 1, 3
#endif

/* Transposes the rows: log2(RG_LANES) times, halves are interleaved. */
TARGET_INLINE void transpose(Lanes row[RG_LANES]) {
    for (int round = 1; round < RG_LANES; round *= 2) {
        Lanes next[RG_LANES] = {{0}};
        for (int i = 0; i < RG_LANES / 2; i++) {
            Lanes a = row[i], b = row[i + RG_LANES / 2];
            next[2 * i] = __builtin_shufflevector(a, b, LOW_HALVES);
            next[2 * i + 1] = __builtin_shufflevector(a, b, HIGH_HALVES);
        }
        memcpy(row, next, sizeof next);
    }
}

#endif
