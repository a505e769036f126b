/* SPDX-License-Identifier: MIT */
/* Matrix products (GEMM) by the project's own kernels: on AVX-512 and AVX2, where they are faster
 * than BLAS, and for bf16 on AMX or AVX512_BF16. Private to core/tensor. */
#ifndef RG_CORE_TENSOR_GEMM_H
#define RG_CORE_TENSOR_GEMM_H

#include "core/tensor/precision.h"

/* A matrix product with BLAS's arguments: c = alpha · op(a) · op(b) + beta · c, row-major. b has
 * one of two forms; the other is NULL. */
typedef struct RgGemm {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    RgReal alpha, beta;
    const RgReal *a, *b;
    const RgBf16 *b_stored; /* b in bf16 */
    RgReal *c;
    int64_t lda, ldb, ldc;
} RgGemm;

/* Moves the start of b by `numbers`. */
static inline void rg_gemm_move_b(RgGemm *p, int64_t numbers) {
    if (p->b_stored)
        p->b_stored += numbers;
    else
        p->b += numbers;
}

/* Whether rg_gemm_run is the faster choice. Depends on machine and shape, not on threads. */
bool rg_gemm_suits(const RgGemm *product);

/* Sums every number of c over k in order, so neither the threads nor the other rows and columns
 * affect its bits. */
void rg_gemm_run(const RgGemm *product, int threads);

/* The same with a and b rounded to bf16, on machines with AMX or AVX512_BF16. Sums have another,
 * but fixed, order. Subnormal numbers count as 0. */
bool rg_gemm_has_bf16(void);
const char *rg_gemm_bf16_name(void); /* of the instructions; NULL: none */
void rg_gemm_run_bf16(const RgGemm *product, int threads);

/* The product by BLAS, on the caller's thread. */
void rg_blas_run(const RgGemm *p);

#endif
