/* SPDX-License-Identifier: MIT */
/* Matrix products (GEMM), by the fastest available implementation. */
#ifndef RG_CORE_TENSOR_GEMM_DISPATCH_H
#define RG_CORE_TENSOR_GEMM_DISPATCH_H

#include "core/tensor/precision.h"

/* c = alpha · op(a) · op(b) + beta · c, row-major. op(a) is [m, k], op(b) is [k, n]. `lda`, `ldb`
 * and `ldc` are the row strides of the stored arrays. Large products run on rg_threads()
 * threads. */
void rg_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, RgReal alpha,
             const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, RgReal beta, RgReal *c,
             int64_t ldc);

/* The same on the caller's thread only, for callers that distribute their work themselves. */
void rg_gemm_whole(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                   RgReal alpha, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb,
                   RgReal beta, RgReal *c, int64_t ldc);

/* c = op(a) · op(b), or c += … if `add`, with a and b in the given precision
 * (rg_precision_check). */
void rg_gemm_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                int64_t k, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, bool add,
                RgReal *c, int64_t ldc);
void rg_gemm_whole_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m,
                      int64_t n, int64_t k, const RgReal *a, int64_t lda, const RgReal *b,
                      int64_t ldb, bool add, RgReal *c, int64_t ldc);

/* The same with op(a) = a, and b stored in bf16 without gaps: [n, k] if transposed, else [k, n]. In
 * fp32 b is converted while it is copied. */
void rg_gemm_stored(RgPrecision precision, bool transpose_b, int64_t m, int64_t n, int64_t k,
                    const RgReal *a, const RgBf16 *b, bool add, RgReal *c);

#endif
