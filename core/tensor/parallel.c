/* SPDX-License-Identifier: MIT */
/* Operations on memory by all threads: clear, copy, and touch. */
#include "core/tensor/parallel.h"

#include <string.h>

void rg_numbers_clear(RgReal *numbers, int64_t count) {
    RG_FOR_PIECES(count, rg_spread(count, RG_LEAST_NUMBERS),
                  memset(numbers + first, 0, sizeof *numbers * (size_t)(last - first)));
}

void rg_numbers_copy(int64_t count, const RgReal *from, RgReal *to) {
    RG_FOR_PIECES(count, rg_spread(count, RG_LEAST_NUMBERS),
                  memcpy(to + first, from + first, sizeof *to * (size_t)(last - first)));
}

void rg_pages_touch(void *memory, size_t bytes) {
    enum { PAGE = 4096, WORTH = 256 }; /* smallest page size; pages worth touching in parallel */
    volatile char *byte = memory;
    int64_t pages = (int64_t)((bytes + PAGE - 1) / PAGE);
    int threads = rg_threads_here();
    if (threads == 1 || pages < WORTH)
        return; /* writing threads touch them as well */
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < pages; i++) {
        char same = byte[i * PAGE];
        byte[i * PAGE] = same;
    }
}
