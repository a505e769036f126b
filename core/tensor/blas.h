/* SPDX-License-Identifier: MIT */
/* BLAS: which it is, and that it is ready. Products are rg_gemm's (gemm_dispatch.h). */
#ifndef RG_CORE_TENSOR_BLAS_H
#define RG_CORE_TENSOR_BLAS_H

/* Before BLAS or LAPACK are called, as often as one likes: they run on the caller's thread then. */
void rg_blas_start(void);

/* OpenBLAS's name of its kernels in use: "SkylakeX", "Zen". */
const char *rg_blas_kernels(void);

/* Names of the kernels in use: OpenBLAS's ("SkylakeX", "Zen"), the project's own ("avx512"), and
 * AMX or AVX512_BF16 and oneDNN where they are there. Bits repeat only on the same ones. */
const char *rg_blas_core(void);

/* The version of OpenBLAS that runs, "0.3.21"; "" where it does not say. */
const char *rg_blas_version(void);

#endif
