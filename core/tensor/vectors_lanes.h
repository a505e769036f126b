/* One vector of RG_LANES numbers, and what is done with some of them. Who includes this has defined
 *
 *     RG_LANES   numbers in a vector: 16, 8 or 4
 *     TARGET     the attribute that compiles a function for the set of instructions, or nothing */
#include "core/tensor/kernels.h"

typedef RgReal Lanes
    __attribute__((vector_size(RG_LANES * sizeof(RgReal)), aligned(sizeof(RgReal)), may_alias));

#define TARGET_INLINE TARGET RG_INLINE

#if RG_LANES == 16
#define LOW_HALVES  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif RG_LANES == 8
#define LOW_HALVES  0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW_HALVES  0, 4, 1, 5
#define HIGH_HALVES 2, 6, 3, 7
#endif

/* Rows become columns: log2(RG_LANES) times, halves are shuffled together like cards. */
TARGET_INLINE void transpose(Lanes row[RG_LANES]) {
    for (int round = 1; round < RG_LANES; round *= 2) {
        Lanes next[RG_LANES];
        for (int i = 0; i < RG_LANES / 2; i++) {
            Lanes a = row[i], b = row[i + RG_LANES / 2];
            next[2 * i] = __builtin_shufflevector(a, b, LOW_HALVES);
            next[2 * i + 1] = __builtin_shufflevector(a, b, HIGH_HALVES);
        }
        memcpy(row, next, sizeof next);
    }
}
