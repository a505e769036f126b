/* SPDX-License-Identifier: MIT */
/* The only file that calls BLAS, which always runs on one thread. BLAS's own way of dividing a
 * product among threads is unknown, and bits must not depend on it, so gemm_dispatch.c divides
 * products. OpenBLAS adopts OpenMP's default number of threads whenever that changes. Therefore the
 * default stays at 1, and parallel regions give their number: num_threads(rg_threads()). */
#include "core/tensor/blas.h"

#include "core/tensor/gemm.h"
#include "core/tensor/instructions.h"
#include "core/tensor/onednn.h"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>

static pthread_once_t blas_once = PTHREAD_ONCE_INIT;

static void blas_start(void) {
    omp_set_num_threads(1);
    openblas_set_num_threads(1);
}

void rg_blas_start(void) {
    pthread_once(&blas_once, blas_start);
}

void rg_blas_run(const RgGemm *p) {
#ifdef RG_DOUBLE
    cblas_dgemm(
#else
    cblas_sgemm(
#endif
        CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
        p->transpose_b ? CblasTrans : CblasNoTrans, (blasint)p->m, (blasint)p->n, (blasint)p->k,
        p->alpha, p->a, (blasint)p->lda, p->b, (blasint)p->ldb, p->beta, p->c, (blasint)p->ldc);
}

const char *rg_blas_kernels(void) {
    return openblas_get_corename();
}

const char *rg_blas_core(void) {
    static _Thread_local char name[96];
    const char *bf16 = rg_gemm_bf16_name(), *onednn = rg_onednn_version();
    snprintf(name, sizeof name, "%s, %s%s%s%s%s", openblas_get_corename(),
             rg_instructions_name(rg_instructions()), bf16 ? ", " : "", bf16 ? bf16 : "",
             onednn ? ", oneDNN " : "", onednn ? onednn : "");
    return name;
}

const char *rg_blas_version(void) {
    static _Thread_local char version[64];
    if (sscanf(openblas_get_config(), "OpenBLAS %63s", version) != 1)
        version[0] = '\0';
    return version;
}
