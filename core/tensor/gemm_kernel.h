/* SPDX-License-Identifier: MIT */
/* The interface of a GEMM kernel. gemm.c cuts a product into blocks and distributes these over
 * threads. A kernel copies a block of b into panels of columns and multiplies rows of a by them.
 * Private to matrix products. */
#ifndef RG_CORE_TENSOR_GEMM_KERNEL_H
#define RG_CORE_TENSOR_GEMM_KERNEL_H

#include "core/tensor/gemm.h"
#include "core/tensor/kernels.h"

typedef struct RgGemmKernel {
    const char *name;   /* of the instructions, if more specific than rg_instructions() */
    int64_t panel;      /* columns of a panel */
    int64_t unit;       /* columns that blocks and threads' shares are multiples of: whole panels */
    int64_t block_rows; /* rows that threads' shares are multiples of */
    int64_t least_rows; /* minimum rows of a thread's share */
    int64_t block_k;    /* about how many of k are summed before they are added to c … */
    int64_t unit_k;     /* … a multiple of this */
    int64_t packed;     /* bytes of b that are copied at a time, to be read from the cache */

    int64_t (*panel_bytes)(const RgGemm *product); /* bytes of a panel over all of k */

    /* Copies the panels [first, last) of the columns of op(b) that begin at `column` to their
     * places in `packed`. Columns at or beyond `end` are filled with zeros. */
    void (*pack)(const RgGemm *product, int64_t column, int64_t end, int64_t first, int64_t last,
                 void *packed);

    /* Computes rows [first_row, last_row) of the packed columns, which begin at `column`. */
    void (*multiply)(const RgGemm *product, const void *packed, int64_t column, int64_t first_row,
                     int64_t last_row, int64_t panels);
} RgGemmKernel;

/* The kernels of this machine; NULL if it does not have their instructions. */
const RgGemmKernel *rg_gemm_vectors(void); /* fp32 */
const RgGemmKernel *rg_gemm_amx(void);     /* bf16, on AMX */
const RgGemmKernel *rg_gemm_bf16(void);    /* bf16, on AVX512_BF16 */

#endif
