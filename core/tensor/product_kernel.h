/* What a product has to know of a kernel: product.c cuts a product into blocks and shares these out
 * among threads; a kernel copies a block of b into panels of columns, and multiplies rows of a by
 * them. Private to products. */
#ifndef RG_CORE_TENSOR_PRODUCT_KERNEL_H
#define RG_CORE_TENSOR_PRODUCT_KERNEL_H

#include "core/tensor/kernels.h"
#include "core/tensor/product.h"

typedef struct RgProductKernel {
    int64_t panel;      /* columns of a panel */
    int64_t unit;       /* columns that blocks and threads' shares are multiples of: whole panels */
    int64_t block_rows; /* rows that threads' shares are multiples of */
    int64_t least_rows; /* and have at least */
    int64_t block_k;    /* about how many of k are summed before they are added to c … */
    int64_t unit_k;     /* … a multiple of so many */
    int64_t packed;     /* bytes of b that are copied at a time, to be read from the cache */

    int64_t (*panel_bytes)(const RgProduct *product); /* of a panel over all of k */

    /* Copy the panels [first, last) of the columns of op(b) that begin at `column` to where they
     * belong in `packed`; what such columns have beyond `end` is zero. */
    void (*pack)(const RgProduct *product, int64_t column, int64_t end, int64_t first, int64_t last,
                 void *packed);

    /* Rows [first_row, last_row) of the columns that are packed, which begin at `column`. */
    void (*multiply)(const RgProduct *product, const void *packed, int64_t column,
                     int64_t first_row, int64_t last_row, int64_t panels);
} RgProductKernel;

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RG_DOUBLE)

enum { RG_LANES = 16 };
typedef RgReal RgLanes
    __attribute__((vector_size(RG_LANES * sizeof(RgReal)), aligned(sizeof(RgReal)), may_alias));

/* Sixteen rows become sixteen columns: four times, halves are shuffled together like cards. */
RG_WIDE static inline __attribute__((always_inline)) void
rg_lanes_transpose(RgLanes row[RG_LANES]) {
    for (int round = 0; round < 4; round++) {
        RgLanes next[RG_LANES];
        for (int i = 0; i < RG_LANES / 2; i++) {
            RgLanes a = row[i], b = row[i + RG_LANES / 2];
            next[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                                  22, 7, 23);
            next[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                                      13, 29, 14, 30, 15, 31);
        }
        memcpy(row, next, sizeof next);
    }
}

#endif

/* The kernels of this machine; NULL where it lacks their instructions. */
const RgProductKernel *rg_product_vectors(void); /* fp32, on AVX-512 */
const RgProductKernel *rg_product_tiles(void);   /* bf16, on AMX */

#endif
