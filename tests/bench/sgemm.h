/* SPDX-License-Identifier: MIT */
/* A product of square matrices by BLAS, which speeds are held against. */
#ifndef RG_TESTS_BENCH_SGEMM_H
#define RG_TESTS_BENCH_SGEMM_H

#include "core/base.h"

#include <cblas.h>

enum { SGEMM_ORDER = 2048 };

static const double sgemm_flops = 2.0 * SGEMM_ORDER * SGEMM_ORDER * SGEMM_ORDER;

/* [count] numbers, aligned, to be freed. */
static inline float *sgemm_filled(int64_t count) {
    float *x = rg_allocate_aligned((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(i % 61 - 30) / 30;
    return x;
}

/* c = a·b, which BLAS cuts among threads itself. */
static inline void sgemm_by_blas(int threads, const float *a, const float *b, float *c) {
    const int n = SGEMM_ORDER;
    openblas_set_num_threads(threads);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
    openblas_set_num_threads(1);
}

#endif
