/* SPDX-License-Identifier: MIT */
/* Matrix products by the project's own kernels: on AVX-512 and AVX2, where they outrun BLAS, and
 * for bf16 on AMX or AVX512_BF16. Private to core/tensor. */
#ifndef RG_CORE_TENSOR_GEMM_H
#define RG_CORE_TENSOR_GEMM_H

#include "core/tensor/precision.h"

/* A product as BLAS takes it: c = alpha · op(a) · op(b) + beta · c, row-major. b is in one of two
 * forms, and the other is NULL. */
typedef struct RgGemm {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    RgReal alpha, beta;
    const RgReal *a, *b;
    const RgBf16 *b_stored; /* the numbers of b in bf16 */
    RgReal *c;
    int64_t lda, ldb, ldc;
} RgGemm;

/* Let b begin so many numbers further. */
static inline void rg_gemm_move_b(RgGemm *p, int64_t numbers) {
    if (p->b_stored)
        p->b_stored += numbers;
    else
        p->b += numbers;
}

/* Whether rg_gemm_run is the better choice here. Told by machine and shape, never by threads. */
bool rg_gemm_suits(const RgGemm *product);

/* Every number of c is summed over k from front to back, so that neither threads nor the other rows
 * and columns have a say in its bits. */
void rg_gemm_run(const RgGemm *product, int threads);

/* The same with the numbers of a and b rounded to bf16, on machines that have AMX or AVX512_BF16.
 * Sums have another order, but a fixed one. Subnormal numbers count as 0. */
bool rg_gemm_has_bf16(void);
const char *rg_gemm_bf16_name(void); /* of the instructions; NULL where there are none */
void rg_gemm_run_bf16(const RgGemm *product, int threads);

/* By BLAS, on the caller's thread. */
void rg_blas_run(const RgGemm *p);

#endif
