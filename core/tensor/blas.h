/* SPDX-License-Identifier: MIT */
/* Initialising BLAS and naming its kernels. For products use rg_gemm (gemm_dispatch.h). */
#ifndef RG_CORE_TENSOR_BLAS_H
#define RG_CORE_TENSOR_BLAS_H

/* Call it before BLAS or LAPACK, any number of times. They then run on the caller's thread only. */
void rg_blas_start(void);

/* OpenBLAS's name of its kernels in use: "SkylakeX", "Zen". */
const char *rg_blas_kernels(void);

/* Names of the kernels in use: OpenBLAS's ("SkylakeX", "Zen"), the project's own ("avx512"), and
 * AMX or AVX512_BF16 and oneDNN if available. Bits repeat only with the same kernels. */
const char *rg_blas_core(void);

/* The version of OpenBLAS in use, "0.3.21"; "" if unknown. */
const char *rg_blas_version(void);

#endif
