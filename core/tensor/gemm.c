/* SPDX-License-Identifier: MIT */
/* How a matrix product is divided: k into blocks whose sums are added to c one after another, the
 * columns into blocks of b that are copied and read from the cache, and rows or columns into the
 * threads' shares. The kernel processes a block. */
#include "core/tensor/gemm_kernel.h"

#include "core/tensor/parallel.h"

typedef RgGemmKernel Kernel;

/* ---- cutting ---- */

/* Scratch for the copy of b, kept from call to call. */
static char *room_for(int64_t bytes) {
    static _Thread_local RgScratch scratch;
    return rg_scratch(&scratch, (size_t)bytes);
}

/* The start of part `i` of `parts` of 0 … n−1, at a multiple of `unit`. */
static int64_t part_start(int64_t n, int64_t unit, int64_t parts, int64_t i) {
    int64_t units = (n + unit - 1) / unit, start = units * i / parts * unit;
    return start < n ? start : n;
}

/* Columns of b that are copied at a time. */
static int64_t columns_at_once(const Kernel *kernel, const RgGemm *p) {
    int64_t panels = kernel->packed / kernel->panel_bytes(p);
    int64_t columns = panels * kernel->panel / kernel->unit * kernel->unit;
    return columns > 0 ? columns : kernel->unit;
}

static int64_t panels_of(const Kernel *kernel, int64_t columns) {
    return (columns + kernel->panel - 1) / kernel->panel;
}

/* The length of k that is summed at a time: even shares, less than twice the kernel's. */
static int64_t block_of_k(const Kernel *kernel, const RgGemm *p) {
    int64_t blocks = p->k / kernel->block_k > 0 ? p->k / kernel->block_k : 1;
    int64_t block = (p->k + blocks - 1) / blocks;
    return (block + kernel->unit_k - 1) / kernel->unit_k * kernel->unit_k;
}

/* The product over `block` of k from `first` on, which is added to the earlier ones. */
static RgGemm part_of_k(const RgGemm *whole, int64_t first, int64_t block) {
    RgGemm p = *whole;
    p.k = whole->k - first < block ? whole->k - first : block;
    p.a += first * (p.transpose_a ? p.lda : 1);
    rg_gemm_move_b(&p, first * (p.transpose_b ? 1 : p.ldb));
    p.beta = first == 0 ? p.beta : 1;
    return p;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The number of parts of 0 … n−1 for the threads: more than threads, which are not all equally
 * fast, but none smaller than `least`. If that leaves threads without a part, parts may be as small
 * as `at_need`. */
static int64_t part_count(int64_t n, int64_t least, int64_t at_need, int threads) {
    enum { OF_A_THREAD = 4 };
    int64_t parts = larger(1, smaller(n / least, OF_A_THREAD * threads));
    return larger(parts, smaller(n / at_need, threads));
}

/* Computes part `i` of `parts` of the columns, which the same thread copies and uses. */
static void run_columns(const Kernel *kernel, const RgGemm *whole, int64_t parts, int64_t i) {
    int64_t start = part_start(whole->n, kernel->unit, parts, i),
            end = part_start(whole->n, kernel->unit, parts, i + 1);
    for (int64_t k = 0, block = block_of_k(kernel, whole); k < whole->k; k += block) {
        RgGemm p = part_of_k(whole, k, block);
        int64_t at_once = columns_at_once(kernel, &p);
        char *packed = room_for(panels_of(kernel, at_once) * kernel->panel_bytes(&p));
        for (int64_t column = start; column < end; column += at_once) {
            int64_t block_end = end - column < at_once ? end : column + at_once;
            int64_t panels = panels_of(kernel, block_end - column);
            kernel->pack(&p, column, block_end, 0, panels, packed);
            kernel->multiply(&p, packed, column, 0, p.m, panels);
        }
    }
}

static void run_by_columns(const Kernel *kernel, const RgGemm *p, int threads) {
    enum { LEAST_COLUMNS = 128 };
    int64_t parts = part_count(p->n, LEAST_COLUMNS, kernel->unit, threads);
    RG_FOR_TASKS(parts, true, run_columns(kernel, p, parts, task));
}

/* The threads share the rows and the copy of b. */
static void run_rows(const Kernel *kernel, const RgGemm *p, int threads, char *packed) {
    enum { LEAST_PANELS = 4 };
    int64_t at_once = columns_at_once(kernel, p),
            row_parts = part_count(p->m, kernel->least_rows, 2 * kernel->block_rows, threads);
    for (int64_t column = 0; column < p->n; column += at_once) {
        int64_t end = p->n - column < at_once ? p->n : column + at_once;
        int64_t panels = panels_of(kernel, end - column);
        int64_t parts = part_count(panels, LEAST_PANELS, 1, threads);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < parts; i++)
            kernel->pack(p, column, end, part_start(panels, 1, parts, i),
                         part_start(panels, 1, parts, i + 1), packed);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < row_parts; i++)
            kernel->multiply(p, packed, column, part_start(p->m, kernel->block_rows, row_parts, i),
                             part_start(p->m, kernel->block_rows, row_parts, i + 1), panels);
    }
}

/* The largest size of a copy of b: that of the longest block of k. */
static int64_t most_bytes(const Kernel *kernel, const RgGemm *whole) {
    RgGemm p = part_of_k(whole, 0, block_of_k(kernel, whole));
    return panels_of(kernel, columns_at_once(kernel, &p)) * kernel->panel_bytes(&p);
}

static void run_by_rows(const Kernel *kernel, const RgGemm *whole, int threads) {
    int64_t most = most_bytes(kernel, whole);
    if (most < kernel->packed) /* a shorter last block has more columns */
        most = kernel->packed;
    char *packed = room_for(most);
#pragma omp parallel num_threads(threads)
    for (int64_t k = 0, block = block_of_k(kernel, whole); k < whole->k; k += block) {
        RgGemm p = part_of_k(whole, k, block);
        run_rows(kernel, &p, threads, packed);
    }
}

static void run(const Kernel *kernel, const RgGemm *p, int threads) {
    RG_ASSERT(kernel);
    if (threads == 1)
        run_columns(kernel, p, 1, 0);
    else if (p->m >= p->n)
        run_by_rows(kernel, p, threads);
    else
        run_by_columns(kernel, p, threads);
}

/* ---- choosing ---- */

/* BLAS has special kernels for small products, without a copy. Those for a transposed b are
 * slower. */
bool rg_gemm_suits(const RgGemm *p) {
    enum { FEW = 16 };
    const double small = p->transpose_b ? 1 << 14 : 1 << 20;
    return p->m >= FEW && p->n >= FEW && p->k >= FEW &&
           (double)p->m * (double)p->n * (double)p->k >= small && rg_gemm_vectors();
}

void rg_gemm_run(const RgGemm *p, int threads) {
    run(rg_gemm_vectors(), p, threads);
}

static const Kernel *bf16_kernel(void) {
    const Kernel *tiles = rg_gemm_amx();
    return tiles ? tiles : rg_gemm_bf16();
}

const char *rg_gemm_bf16_name(void) {
    const Kernel *kernel = bf16_kernel();
    return kernel ? kernel->name : NULL;
}

bool rg_gemm_has_bf16(void) {
    return bf16_kernel();
}

void rg_gemm_run_bf16(const RgGemm *p, int threads) {
    run(bf16_kernel(), p, threads);
}
