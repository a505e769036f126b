/* SPDX-License-Identifier: MIT */
/* The only door to oneDNN, a library that configure --with-onednn asks for. Without it these
 * functions are there and offer nothing. Everything runs on the caller's thread. Private to
 * core/tensor: gemm_dispatch.c decides what is done here. */
#ifndef RG_CORE_TENSOR_ONEDNN_H
#define RG_CORE_TENSOR_ONEDNN_H

#include "core/tensor/gemm.h"
#include "core/tensor/precision.h"

/* "2.6.3"; NULL in a build without it */
const char *rg_onednn_version(void);

/* Whether rg_onednn_run beats BLAS at a product in fp32. Told by the shape alone. */
bool rg_onednn_suits(const RgGemm *product);
void rg_onednn_run(const RgGemm *product);

/* c = op(a) · op(b), or c += … where `add` is set; as rg_gemm has it, with a and b in bf16. Neither
 * side is 0. */
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
