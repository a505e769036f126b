/* How two arrays of up to four axes, one of them repeated along some, are walked together: the
 * private ground of the elementwise operators and of sums along axes. */
#ifndef RG_CORE_TENSOR_BROADCAST_H
#define RG_CORE_TENSOR_BROADCAST_H

#include "core/tensor/tensor.h"

/* Four nested loops over `size`, the last innermost; a stride of 0 repeats. Axes that both arrays
 * walk as one have been merged into the innermost loop. */
typedef struct RgBroadcast {
    int64_t size[RG_MAX_RANK];
    int64_t a_stride[RG_MAX_RANK], b_stride[RG_MAX_RANK];
} RgBroadcast;

/* The shape that a and b broadcast to. */
RgShape rg_broadcast_shape(RgShape a, RgShape b);

/* The walk over `full`, to which a and b broadcast. */
RgBroadcast rg_broadcast_walk(RgShape full, RgShape a, RgShape b);

/* Run `body` for each innermost run: it sees `row` (its number), and a_at, b_at (first offsets). */
#define RG_BROADCAST_ROWS(walk, body)                                                              \
    do {                                                                                           \
        int64_t row = 0;                                                                           \
        for (int64_t i_ = 0; i_ < (walk).size[0]; i_++)                                            \
            for (int64_t j_ = 0; j_ < (walk).size[1]; j_++)                                        \
                for (int64_t k_ = 0; k_ < (walk).size[2]; k_++, row++) {                           \
                    int64_t a_at = i_ * (walk).a_stride[0] + j_ * (walk).a_stride[1] +             \
                                   k_ * (walk).a_stride[2];                                        \
                    int64_t b_at = i_ * (walk).b_stride[0] + j_ * (walk).b_stride[1] +             \
                                   k_ * (walk).b_stride[2];                                        \
                    body;                                                                          \
                }                                                                                  \
    } while (0)

#endif
