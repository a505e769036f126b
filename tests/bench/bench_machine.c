/* SPDX-License-Identifier: MIT */
/* What the machine can do at most, to hold speeds against: single-precision products of matrices,
 * and reading memory from front to back; on one thread and on two. With a size in bytes, the memory
 * read is that large. One JSON object a line.
 *
 * A peak is the best of many repetitions: what else the machine does only makes them slower. */
#include "core/tensor/blas.h"
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/instructions.h"
#include "core/tensor/threads.h"
#include "tests/bench/sgemm.h"

#include <stdio.h>
#include <stdlib.h>

enum { ORDER = SGEMM_ORDER, REPETITIONS = 7, LANES = 16, CHAINS = 4 };

/* c = a·b of square matrices on so many threads. */
typedef struct Product {
    const char *name;
    void (*multiply)(int threads, const float *a, const float *b, float *c);
} Product;

/* Each thread has a part of the rows, as our own operators have. */
static void by_rows(int threads, const float *a, const float *b, float *c) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int part = 0; part < threads; part++) {
        int64_t first = (int64_t)ORDER * part / threads,
                last = (int64_t)ORDER * (part + 1) / threads;
        rg_gemm(false, false, last - first, ORDER, ORDER, 1, a + first * ORDER, ORDER, b, ORDER, 0,
                c + first * ORDER, ORDER);
    }
}

static void by_columns(int threads, const float *a, const float *b, float *c) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int part = 0; part < threads; part++) {
        int64_t first = (int64_t)ORDER * part / threads,
                last = (int64_t)ORDER * (part + 1) / threads;
        rg_gemm(false, false, ORDER, last - first, ORDER, 1, a, ORDER, b + first, ORDER, 0,
                c + first, ORDER);
    }
}

static const Product products[] = {
    {"blas", sgemm_by_blas}, {"rows", by_rows}, {"columns", by_columns}};

static void print_product_peak(int threads, const float *a, const float *b, float *c) {
    double best = 1e30;
    const char *name = "";
    for (size_t p = 0; p < sizeof products / sizeof *products; p++)
        for (int repetition = 0; repetition < REPETITIONS; repetition++) {
            double start = rg_clock_seconds();
            products[p].multiply(threads, a, b, c);
            double seconds = rg_clock_seconds() - start;
            if (seconds < best) {
                best = seconds;
                name = products[p].name;
            }
        }
    printf("{\"work\": \"sgemm\", \"threads\": %d, \"order\": %d, \"by\": \"%s\", \"blas_core\": "
           "\"%s\", \"flops_per_second\": %.6g}\n",
           threads, ORDER, name, rg_blas_core(), sgemm_flops / best);
}

/* Sums side by side, so that no addition waits for another: only memory is waited for. */
typedef float Lanes __attribute__((vector_size(LANES * sizeof(float)), may_alias));

static float sum_of(const float *x, int64_t count) {
    Lanes sum[CHAINS] = {{0}};
    const Lanes *lane = (const Lanes *)x;
    for (int64_t i = 0; i + CHAINS <= count / LANES; i += CHAINS)
        for (int chain = 0; chain < CHAINS; chain++)
            sum[chain] += lane[i + chain];
    float total = 0;
    for (int i = 0; i < CHAINS * LANES; i++)
        total += sum[i / LANES][i % LANES];
    return total;
}

static void print_read_peak(int threads, const float *x, int64_t count) {
    enum { BLOCK = CHAINS * LANES };
    double best = 1e30, sum = 0;
    int64_t blocks = count / BLOCK;
    for (int repetition = 0; repetition < 4 * REPETITIONS; repetition++) {
        double start = rg_clock_seconds();
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
        for (int part = 0; part < threads; part++) {
            int64_t first = blocks * part / threads, last = blocks * (part + 1) / threads;
            sum += (double)sum_of(x + first * BLOCK, (last - first) * BLOCK);
        }
        double seconds = rg_clock_seconds() - start;
        best = seconds < best ? seconds : best;
    }
    printf("{\"work\": \"read\", \"threads\": %d, \"bytes\": %lld, \"sum\": %.6g, "
           "\"bytes_per_second\": %.6g}\n",
           threads, (long long)(count * (int64_t)sizeof *x), sum,
           (double)(blocks * BLOCK) * sizeof *x / best);
}

int main(int argc, char **argv) {
    RgError error = {0};
    if (rg_instructions_check(&error) != RG_OK) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    rg_threads_start_anew(argv);
    /* By default as large as the weights of shape S2 of bench_transformer. */
    int64_t bytes = argc > 1 ? strtoll(argv[1], NULL, 10) : INT64_C(60766848);
    if (bytes < 1 << 20 || argc > 2) {
        fprintf(stderr, "Usage: bench_machine [BYTES]: at least 1 MiB to read\n");
        return 2;
    }
    float *a = sgemm_filled((int64_t)ORDER * ORDER), *b = sgemm_filled((int64_t)ORDER * ORDER);
    float *c = sgemm_filled((int64_t)ORDER * ORDER),
          *memory = sgemm_filled(bytes / (int64_t)sizeof *memory);
    for (int threads = 1; threads <= 2; threads++) {
        print_product_peak(threads, a, b, c);
        print_read_peak(threads, memory, bytes / (int64_t)sizeof *memory);
    }
    free(memory);
    free(c);
    free(b);
    free(a);
    return 0;
}
