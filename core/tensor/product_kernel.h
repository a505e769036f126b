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

/* Four numbers of a and b in each quarter of a vector, the same in all; and four whole quarters. */
#define RG_LANES_SHUFFLE(a, b, i, j, k, l)                                                         \
    __builtin_shufflevector(a, b, i, j, k, l, i + 4, j + 4, k + 4, l + 4, i + 8, j + 8, k + 8,     \
                            l + 8, i + 12, j + 12, k + 12, l + 12)
#define RG_LANES_QUARTERS(a, b, i, j, k, l)                                                        \
    __builtin_shufflevector(a, b, 4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3, 4 * j, 4 * j + 1,        \
                            4 * j + 2, 4 * j + 3, 4 * k, 4 * k + 1, 4 * k + 2, 4 * k + 3, 4 * l,   \
                            4 * l + 1, 4 * l + 2, 4 * l + 3)

/* Sixteen rows become sixteen columns: squares of 4 × 4 within the quarters of four rows, and then
 * the quarters, for which there are instructions. */
RG_WIDE static inline __attribute__((always_inline)) void
rg_lanes_transpose(RgLanes row[RG_LANES]) {
    RgLanes x[RG_LANES];
#pragma GCC unroll 4
    for (int i = 0; i < RG_LANES; i += 4) {
        RgLanes a = RG_LANES_SHUFFLE(row[i], row[i + 1], 0, 16, 1, 17),
                b = RG_LANES_SHUFFLE(row[i], row[i + 1], 2, 18, 3, 19),
                c = RG_LANES_SHUFFLE(row[i + 2], row[i + 3], 0, 16, 1, 17),
                d = RG_LANES_SHUFFLE(row[i + 2], row[i + 3], 2, 18, 3, 19);
        x[i] = RG_LANES_SHUFFLE(a, c, 0, 1, 16, 17);
        x[i + 1] = RG_LANES_SHUFFLE(a, c, 2, 3, 18, 19);
        x[i + 2] = RG_LANES_SHUFFLE(b, d, 0, 1, 16, 17);
        x[i + 3] = RG_LANES_SHUFFLE(b, d, 2, 3, 18, 19);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        RgLanes a = RG_LANES_QUARTERS(x[i], x[i + 4], 0, 1, 4, 5),
                b = RG_LANES_QUARTERS(x[i], x[i + 4], 2, 3, 6, 7),
                c = RG_LANES_QUARTERS(x[i + 8], x[i + 12], 0, 1, 4, 5),
                d = RG_LANES_QUARTERS(x[i + 8], x[i + 12], 2, 3, 6, 7);
        row[i] = RG_LANES_QUARTERS(a, c, 0, 2, 4, 6);
        row[i + 4] = RG_LANES_QUARTERS(a, c, 1, 3, 5, 7);
        row[i + 8] = RG_LANES_QUARTERS(b, d, 0, 2, 4, 6);
        row[i + 12] = RG_LANES_QUARTERS(b, d, 1, 3, 5, 7);
    }
}

#endif

/* The kernels of this machine; NULL where it lacks their instructions. */
const RgProductKernel *rg_product_vectors(void); /* fp32, on AVX-512 */
const RgProductKernel *rg_product_tiles(void);   /* bf16, on AMX */
const RgProductKernel *rg_product_bf16(void);    /* bf16, on AVX512_BF16 */

#endif
