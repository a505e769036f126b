/* SPDX-License-Identifier: MIT */
/* Joint iteration over two arrays of up to four axes, each repeated along some axes. Private to the
 * elementwise operators and to sums along axes. */
#ifndef RG_CORE_TENSOR_BROADCAST_H
#define RG_CORE_TENSOR_BROADCAST_H

#include "core/tensor/tensor.h"

/* Four nested loops over `size`, the last innermost. A stride of 0 repeats. Axes that both arrays
 * traverse contiguously are merged into the innermost loop. */
typedef struct RgBroadcast {
    int64_t size[RG_MAX_RANK];
    int64_t a_stride[RG_MAX_RANK], b_stride[RG_MAX_RANK];
} RgBroadcast;

/* The shape that a and b broadcast to. */
RgShape rg_broadcast_shape(RgShape a, RgShape b);

/* The iteration over `full`, to which a and b broadcast. */
RgBroadcast rg_broadcast_walk(RgShape full, RgShape a, RgShape b);

/* Runs `body` for each innermost run, with `row` (its number), a_at and b_at (first offsets). */
#define RG_BROADCAST_ROWS(walk, body)                                                              \
    do {                                                                                           \
        int64_t rows_ = (walk).size[0] * (walk).size[1] * (walk).size[2];                          \
        for (int64_t row = 0; row < rows_; row++) {                                                \
            int64_t a_at = rg_broadcast_at(&(walk), (walk).a_stride, row);                         \
            int64_t b_at = rg_broadcast_at(&(walk), (walk).b_stride, row);                         \
            body;                                                                                  \
        }                                                                                          \
    } while (0)

/* First offset of innermost run `row` in the array with these strides. */
static inline int64_t rg_broadcast_at(const RgBroadcast *walk, const int64_t *stride, int64_t row) {
    int64_t k = row % walk->size[2], rest = row / walk->size[2];
    return rest / walk->size[1] * stride[0] + rest % walk->size[1] * stride[1] + k * stride[2];
}

#endif
