/* SPDX-License-Identifier: MIT */
/* The only door to BLAS and LAPACK, and the threads they use. */
#ifndef RG_CORE_TENSOR_BLAS_H
#define RG_CORE_TENSOR_BLAS_H

#include "core/tensor/precision.h"

/* c = alpha · op(a) · op(b) + beta · c, row-major; op(a) is [m, k], op(b) is [k, n]. `lda`, `ldb`,
 * `ldc` are the row strides of the arrays as stored. Large products run on rg_threads() threads. */
void rg_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, RgReal alpha,
             const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, RgReal beta, RgReal *c,
             int64_t ldc);

/* The same on the caller's thread alone: for those who have cut their work themselves. */
void rg_gemm_whole(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                   RgReal alpha, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb,
                   RgReal beta, RgReal *c, int64_t ldc);

/* c = op(a) · op(b), or c += … where `add` is set, with the numbers of a and b in the given
 * precision: see rg_precision_check. */
void rg_gemm_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                int64_t k, const RgReal *a, int64_t lda, const RgReal *b, int64_t ldb, bool add,
                RgReal *c, int64_t ldc);
void rg_gemm_whole_in(RgPrecision precision, bool transpose_a, bool transpose_b, int64_t m,
                      int64_t n, int64_t k, const RgReal *a, int64_t lda, const RgReal *b,
                      int64_t ldb, bool add, RgReal *c, int64_t ldc);

/* The same with op(a) = a, and b stored in bf16: without gaps [n, k] where it is transposed, else
 * [k, n]. In fp32 it is widened as the product copies it. */
void rg_gemm_stored(RgPrecision precision, bool transpose_b, int64_t m, int64_t n, int64_t k,
                    const RgReal *a, const RgBf16 *b, bool add, RgReal *c);

double rg_dot(int64_t n, const RgReal *a, const RgReal *b); /* summed in double, fixed order */
void rg_axpy(int64_t n, RgReal alpha, const RgReal *x, RgReal *y); /* y += alpha·x */

/* Minimum-norm least-squares solution of the symmetric system a·x = b by eigendecomposition:
 * directions with |eigenvalue| ≤ cutoff · max|eigenvalue| are left out. a [n, n] in double, kept.
 * The smallest and the largest eigenvalue go to extremes [2], which may be NULL. Returns the rank
 * used. */
int64_t rg_solve_symmetric(int64_t n, const double *a, const double *b, double cutoff, double *x,
                           double *extremes);

/* x with a·x = b, or aᵀ·x = b where `transposed`, by LU in double: a [n, n], b and x [n, m], which
 * may be the same. A singular a gives numbers that are not finite. */
void rg_solve_general(int64_t n, int64_t m, bool transposed, const double *a, const double *b,
                      double *x);

/* Threads for parallel regions. Bits do not depend on it. */
void rg_threads_set(int threads);
int rg_threads(void);
int rg_threads_here(void);  /* the same, but 1 inside a parallel region */
int rg_thread_number(void); /* of the caller in its parallel region, from 0 */
int rg_processors(void);    /* that this process may use, wherever its threads are bound */

/* To be called first thing in main, with its arguments: settles what only the environment of a new
 * program can tell, and starts the program anew where something was not said there already.
 * - OpenMP's threads spin for milliseconds when they wait for one another, which is ruinous beside
 *   other busy processes (GOMP_SPINCOUNT, OMP_WAIT_POLICY).
 * - OpenBLAS has kernels for this processor and does not know it, or other instructions were asked
 *   for than the processor's best (OPENBLAS_CORETYPE). */
void rg_blas_start_anew(char *const *arguments);

/* Names of the kernels in use: OpenBLAS's ("SkylakeX", "Zen"), the project's own ("avx512"), and
 * AMX or AVX512_BF16 and oneDNN where they are there. Bits repeat only on the same ones. */
const char *rg_blas_core(void);

/* The version of OpenBLAS that runs, "0.3.21"; "" where it does not say. */
const char *rg_blas_version(void);

#endif
