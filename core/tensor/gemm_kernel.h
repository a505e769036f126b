/* SPDX-License-Identifier: MIT */
/* What a product has to know of a kernel: product.c cuts a product into blocks and shares these out
 * among threads; a kernel copies a block of b into panels of columns, and multiplies rows of a by
 * them. Private to products. */
#ifndef RG_CORE_TENSOR_GEMM_KERNEL_H
#define RG_CORE_TENSOR_GEMM_KERNEL_H

#include "core/tensor/gemm.h"
#include "core/tensor/kernels.h"

typedef struct RgGemmKernel {
    const char *name;   /* of the instructions, where they are more than rg_instructions() tells */
    int64_t panel;      /* columns of a panel */
    int64_t unit;       /* columns that blocks and threads' shares are multiples of: whole panels */
    int64_t block_rows; /* rows that threads' shares are multiples of */
    int64_t least_rows; /* and have at least */
    int64_t block_k;    /* about how many of k are summed before they are added to c … */
    int64_t unit_k;     /* … a multiple of so many */
    int64_t packed;     /* bytes of b that are copied at a time, to be read from the cache */

    int64_t (*panel_bytes)(const RgGemm *product); /* of a panel over all of k */

    /* Copy the panels [first, last) of the columns of op(b) that begin at `column` to where they
     * belong in `packed`; what such columns have beyond `end` is zero. */
    void (*pack)(const RgGemm *product, int64_t column, int64_t end, int64_t first, int64_t last,
                 void *packed);

    /* Rows [first_row, last_row) of the columns that are packed, which begin at `column`. */
    void (*multiply)(const RgGemm *product, const void *packed, int64_t column, int64_t first_row,
                     int64_t last_row, int64_t panels);
} RgGemmKernel;

/* The kernels of this machine; NULL where it lacks their instructions. */
const RgGemmKernel *rg_gemm_vectors(void); /* fp32 */
const RgGemmKernel *rg_gemm_amx(void);     /* bf16, on AMX */
const RgGemmKernel *rg_gemm_bf16(void);    /* bf16, on AVX512_BF16 */

#endif
