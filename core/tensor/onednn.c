/* SPDX-License-Identifier: MIT */
/* Matrix products by oneDNN. Those in bf16 are primitives that receive their sizes at run time, so
 * one primitive per combination of transposes serves every batch. A primitive per shape would be
 * compiled again for every number of tokens, and was measured to be no faster.
 *
 * oneDNN uses OpenMP's default number of threads, which is 1 here (blas.c), and one thread inside a
 * parallel region anyway. */
#include "core/tensor/onednn.h"

#if defined(RG_ONEDNN) && !defined(RG_DOUBLE)

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>

/* ---- fp32 ---- */

const char *rg_onednn_version(void) {
    static _Thread_local char text[32];
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
    return text;
}

/* Measured on Zen 4, with its AVX-512 and without. */
bool rg_onednn_suits(const RgGemm *p) {
    enum { FEW = 16 };
    const double small = 1 << 20;
    return p->n >= FEW && (double)p->m * (double)p->n * (double)p->k >= small;
}

void rg_onednn_run(const RgGemm *p) {
    dnnl_status_t status =
        dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k,
                   p->alpha, p->a, p->lda, p->b, p->ldb, p->beta, p->c, p->ldc);
    RG_ASSERT(status == dnnl_success);
}

/* ---- bf16 ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static dnnl_primitive_t primitives[2][2][2]; /* [transpose_a][transpose_b][add]; NULL: no bf16 */

static dnnl_memory_desc_t describe(dnnl_data_type_t type, bool transpose, int64_t rows,
                                   int64_t columns, int64_t stride) {
    dnnl_memory_desc_t matrix;
    const dnnl_dims_t sizes = {rows, columns};
    const dnnl_dims_t strides = {transpose ? 1 : stride, transpose ? stride : 1};
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(&matrix, 2, sizes, type, strides);
    RG_ASSERT(status == dnnl_success);
    return matrix;
}

static dnnl_primitive_attr_t make_attributes(bool add) {
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t after;
    RG_ASSERT(dnnl_primitive_attr_create(&attributes) == dnnl_success);
    RG_ASSERT(dnnl_post_ops_create(&after) == dnnl_success);
    if (add)
        RG_ASSERT(dnnl_post_ops_append_sum(after, 1) == dnnl_success);
    RG_ASSERT(dnnl_primitive_attr_set_post_ops(attributes, after) == dnnl_success);
    dnnl_post_ops_destroy(after);
    return attributes;
}

/* NULL if the processor does not support bf16. */
static dnnl_primitive_t make_primitive(bool transpose_a, bool transpose_b, bool add) {
    const int64_t later = DNNL_RUNTIME_DIM_VAL;
    dnnl_memory_desc_t a = describe(dnnl_bf16, transpose_a, later, later, later),
                       b = describe(dnnl_bf16, transpose_b, later, later, later),
                       c = describe(dnnl_f32, false, later, later, later);
    dnnl_matmul_desc_t product;
    dnnl_primitive_desc_t chosen;
    dnnl_primitive_t made = NULL;
    dnnl_primitive_attr_t attributes = make_attributes(add);
    RG_ASSERT(dnnl_matmul_desc_init(&product, &a, &b, NULL, &c) == dnnl_success);
    if (dnnl_primitive_desc_create(&chosen, &product, attributes, engine, NULL) == dnnl_success) {
        RG_ASSERT(dnnl_primitive_create(&made, chosen) == dnnl_success);
        dnnl_primitive_desc_destroy(chosen);
    }
    dnnl_primitive_attr_destroy(attributes);
    return made;
}

static void start(void) {
    RG_ASSERT(dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success);
    for (int which = 0; which < 8; which++)
        primitives[which >> 2][which >> 1 & 1][which & 1] =
            make_primitive(which >> 2, which >> 1 & 1, which & 1);
}

bool rg_onednn_has_bf16(void) {
    pthread_once(&once, start);
    return primitives[0][0][0] != NULL;
}

static dnnl_memory_t borrow(dnnl_memory_desc_t matrix, const void *data) {
    dnnl_memory_t memory;
    /* oneDNN takes read-only memory without const */
    RG_ASSERT(dnnl_memory_create(&memory, &matrix, engine, (void *)data) == dnnl_success);
    return memory;
}

void rg_onednn_run_bf16(const RgGemmBf16 *p) {
    static _Thread_local dnnl_stream_t stream;
    RG_ASSERT(rg_onednn_has_bf16());
    if (!stream)
        RG_ASSERT(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == dnnl_success);
    dnnl_memory_t a = borrow(describe(dnnl_bf16, p->transpose_a, p->m, p->k, p->lda), p->a),
                  b = borrow(describe(dnnl_bf16, p->transpose_b, p->k, p->n, p->ldb), p->b),
                  c = borrow(describe(dnnl_f32, false, p->m, p->n, p->ldc), p->c);
    const dnnl_exec_arg_t matrices[] = {
        {DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}};
    dnnl_status_t status = dnnl_primitive_execute(
        primitives[p->transpose_a][p->transpose_b][p->add], stream, 3, matrices);
    RG_ASSERT(status == dnnl_success);
    dnnl_memory_destroy(a);
    dnnl_memory_destroy(b);
    dnnl_memory_destroy(c);
}

#else

const char *rg_onednn_version(void) {
    return NULL;
}

bool rg_onednn_suits(const RgGemm *p) {
    (void)p;
    return false;
}

void rg_onednn_run(const RgGemm *p) {
    (void)p;
}

bool rg_onednn_has_bf16(void) {
    return false;
}

void rg_onednn_run_bf16(const RgGemmBf16 *p) {
    (void)p;
    RG_ASSERT(rg_onednn_has_bf16());
}

#endif
