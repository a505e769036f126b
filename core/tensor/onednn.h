/* SPDX-License-Identifier: MIT */
/* Matrix products by oneDNN, an optional library (configure --with-onednn). Its .c file is the only
 * one that includes it. In a build without it these functions exist but offer nothing. Everything
 * runs on the caller's thread. Private to core/tensor: gemm_dispatch.c decides what runs here. */
#ifndef RG_CORE_TENSOR_ONEDNN_H
#define RG_CORE_TENSOR_ONEDNN_H

#include "core/tensor/gemm.h"
#include "core/tensor/precision.h"

/* "2.6.3"; NULL in a build without it */
const char *rg_onednn_version(void);

/* Whether rg_onednn_run is faster than BLAS for an fp32 product. Depends on the shape alone. */
bool rg_onednn_suits(const RgGemm *product);
void rg_onednn_run(const RgGemm *product);

/* c = op(a) · op(b), or c += … if `add`, with the arguments of rg_gemm and a and b in bf16. No
 * dimension is 0. */
typedef struct RgGemmBf16 {
    bool transpose_a, transpose_b, add;
    int64_t m, n, k;
    const RgBf16 *a, *b;
    RgReal *c;
    int64_t lda, ldb, ldc;
} RgGemmBf16;

bool rg_onednn_has_bf16(void);
void rg_onednn_run_bf16(const RgGemmBf16 *product);

#endif
