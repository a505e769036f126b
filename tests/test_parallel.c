/* SPDX-License-Identifier: MIT */
/* Claims about loops over threads: pieces cover everything once, and what threads clear, copy, add
 * up or touch is what one thread would leave. */
#include <criterion/criterion.h>

#include "core/tensor/parallel.h"
#include "core/tensor/tensor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void several_threads(void) {
    rg_threads_set(4);
}

TestSuite(parallel, .init = several_threads);

static void count_each_once(RgPieces pieces, int64_t n) {
    unsigned char *seen = rg_allocate((size_t)n, 1);
    RG_FOR_PIECES(n, pieces, for (int64_t i = first; i < last; i++) seen[i]++);
    for (int64_t i = 0; i < n; i++)
        cr_assert_eq(seen[i], 1, "%ld of %ld in %ld pieces", (long)i, (long)n, (long)pieces.count);
    free(seen);
}

Test(parallel, pieces_cover_everything_once) {
    for (int64_t n = 0; n < 3000; n += 1 + n / 7) {
        count_each_once(rg_pieces(n, 3), n);
        count_each_once(rg_spread(n, 3), n);
    }
    cr_assert_eq(rg_pieces(1 << 30, 1).count, RG_PIECES_MOST);
    cr_assert_eq(rg_spread(1 << 30, 1).count, RG_SPREAD_MOST);
    cr_assert_eq(rg_spread(99, 50).count, 1);
}

Test(parallel, clears_and_copies_every_number) {
    enum { MOST = 5 * RG_LEAST_NUMBERS + 3 };
    RgReal *from = rg_allocate(MOST, sizeof(RgReal)), *to = rg_allocate(MOST + 1, sizeof(RgReal));
    const int64_t counts[] = {0, 1, RG_LEAST_NUMBERS, 2 * RG_LEAST_NUMBERS, MOST};
    for (int64_t i = 0; i < MOST; i++)
        from[i] = (RgReal)(i % 997 + 1);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        to[counts[c]] = 7;
        rg_numbers_copy(counts[c], from, to);
        cr_assert_eq(memcmp(from, to, sizeof *to * (size_t)counts[c]), 0);
        rg_numbers_clear(to, counts[c]);
        for (int64_t i = 0; i < counts[c]; i++)
            cr_assert_eq(to[i], 0);
        cr_assert_eq(to[counts[c]], 7);
    }
    free(from);
    free(to);
}

static int64_t resident_pages(char *memory, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / page;
    unsigned char *resident = rg_allocate(pages, 1);
    cr_assert_eq(mincore(memory, bytes, resident), 0);
    int64_t count = 0;
    for (size_t i = 0; i < pages; i++)
        count += resident[i] & 1;
    free(resident);
    return count;
}

Test(parallel, pages_are_there_once_they_are_touched) {
    const size_t bytes = (size_t)32 << 20;
    int64_t all = (int64_t)(bytes / (size_t)sysconf(_SC_PAGESIZE));
    char *memory = rg_allocate_aligned_zeroed(bytes);
    cr_assert_lt(resident_pages(memory, bytes), all);
    memory[12345] = 7;
    rg_pages_touch(memory, bytes);
    cr_assert_eq(resident_pages(memory, bytes), all);
    for (size_t i = 0; i < bytes; i++)
        cr_assert_eq(memory[i], i == 12345 ? 7 : 0);
    free(memory);
}

/* Rows come several times, and their order decides the last bits. */
Test(parallel, gradients_of_rows_that_repeat_are_summed_in_order) {
    enum { ROWS = 7, N = 500, WIDTH = 300 };
    RgTape *t = rg_tape_create();
    RgReal *table = rg_allocate(ROWS * WIDTH, sizeof *table),
           *dy = rg_allocate(N * WIDTH, sizeof *dy), *sum = rg_allocate(ROWS * WIDTH, sizeof *sum);
    int32_t index[N];
    for (int64_t i = 0; i < N; i++)
        index[i] = (int32_t)(i * i % ROWS);
    for (int64_t i = 0; i < ROWS * WIDTH; i++)
        table[i] = (RgReal)i;
    for (int64_t i = 0; i < N * WIDTH; i++)
        dy[i] = (RgReal)1 / (RgReal)(i % 1013 + 1);
    RgTensor *x = rg_variable(t, RG_SHAPE(ROWS, WIDTH), table);
    RgTensor *y = rg_embedding(t, x, index, N);
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < WIDTH; j++) {
            cr_assert_eq(y->data[i * WIDTH + j], table[index[i] * WIDTH + j]);
            sum[index[i] * WIDTH + j] += dy[i * WIDTH + j];
        }
    rg_backward_from(t, y, rg_constant(t, y->shape, dy));
    cr_assert_eq(memcmp(x->gradient->data, sum, sizeof *sum * ROWS * WIDTH), 0);
    rg_tape_destroy(t);
    free(table);
    free(dy);
    free(sum);
}

Test(parallel, processors_are_those_of_the_process) {
    cr_assert_geq(rg_processors(), 1);
    cr_assert_leq(rg_processors(), sysconf(_SC_NPROCESSORS_CONF));
}
