/* SPDX-License-Identifier: MIT */
/* Loops over the threads. Work is cut into pieces by its shape alone, so a piece may even compute a
 * partial sum. The number of threads decides which thread computes a piece, but never changes a
 * bit. Nested pieces within a piece run one after another. */
#ifndef RG_CORE_TENSOR_PARALLEL_H
#define RG_CORE_TENSOR_PARALLEL_H

#include "core/base.h"
#include "core/tensor/threads.h"

/* The maximum number of pieces that keep something, such as a partial sum, and of pieces that keep
 * nothing. The first number is small, because partial results take memory and time to combine. */
enum { RG_PIECES_MOST = 16, RG_SPREAD_MOST = 256 };

typedef struct RgPieces {
    int64_t count, size; /* `size` each, the last one possibly less */
} RgPieces;

/* Cuts 0 … n−1 into at most `most` pieces (a power of two) of at least `least`. */
static inline RgPieces rg_pieces_up_to(int64_t n, int64_t least, int64_t most) {
    int64_t count = 1;
    while (count < most && n >= 2 * count * least)
        count *= 2;
    return (RgPieces){.count = count, .size = (n + count - 1) / count};
}

/* For pieces that keep something: at most RG_PIECES_MOST. Their number affects bits. */
static inline RgPieces rg_pieces(int64_t n, int64_t least) {
    return rg_pieces_up_to(n, least, RG_PIECES_MOST);
}

/* For independent pieces: enough for many cores. */
static inline RgPieces rg_spread(int64_t n, int64_t least) {
    return rg_pieces_up_to(n, least, RG_SPREAD_MOST);
}

/* Count of numbers from which waking a thread pays off, if they are only read and written. */
enum { RG_LEAST_NUMBERS = 16384 };

/* The same in rows of `width` numbers. */
static inline int64_t rg_least_rows(int64_t width) {
    return 1 + RG_LEAST_NUMBERS / (width > 0 ? width : 1);
}
static inline RgPieces rg_pieces_of_rows(int64_t rows, int64_t width) {
    return rg_pieces(rows, rg_least_rows(width));
}
static inline RgPieces rg_spread_rows(int64_t rows, int64_t width) {
    return rg_spread(rows, rg_least_rows(width));
}

/* For the vocabulary of an output head, whose pieces each keep a share of the gradient of all
 * hidden states. There are more pieces only if each has enough tokens to justify it. */
static inline RgPieces rg_vocabulary_pieces(int64_t vocabulary) {
    enum { LEAST = 128, LEAST_OF_MANY = 384, MOST = 64 };
    RgPieces few = rg_pieces(vocabulary, LEAST),
             many = rg_pieces_up_to(vocabulary, LEAST_OF_MANY, MOST);
    return many.count > few.count ? many : few;
}

/* A formatter mistakes the pragma below for an expression. */
/* clang-format off */

/* Runs a statement for every `task` in 0 … count−1, each on any free thread, if `worth`. Otherwise
 * it runs without OpenMP, which ends its threads when a region requests a single one. */
#define RG_FOR_TASKS(count, worth, ...)                                                            \
    do {                                                                                           \
        const int64_t count_ = (count);                                                            \
        const int threads_ = (worth) ? rg_threads_here() : 1;                                      \
        if (threads_ == 1) {                                                                       \
            for (int64_t task = 0; task < count_; task++) {                                        \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        } else {                                                                                   \
            _Pragma("omp parallel for num_threads(threads_) schedule(dynamic)")                    \
            for (int64_t task = 0; task < count_; task++) {                                        \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* clang-format on */

/* Runs a statement for every piece, with `piece` (its number) and its range [first, last). */
#define RG_FOR_PIECES(n, pieces, ...)                                                              \
    do {                                                                                           \
        const RgPieces pieces_ = (pieces);                                                         \
        const int64_t n_ = (n);                                                                    \
        RG_FOR_TASKS(pieces_.count, pieces_.count > 1, {                                           \
            const int64_t piece = task, first = piece * pieces_.size;                              \
            const int64_t last = first + pieces_.size < n_ ? first + pieces_.size : n_;            \
            if (first < last) {                                                                    \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        });                                                                                        \
    } while (0)

/* memset to 0, and memcpy, of `count` numbers by all threads. */
void rg_numbers_clear(RgReal *numbers, int64_t count);
void rg_numbers_copy(int64_t count, const RgReal *from, RgReal *to);

/* Touches new pages, in equal runs by all threads. A system with several memory nodes (NUMA) places
 * a page on the node of the thread that touches it first, so each node gets its share. The content
 * does not change. */
void rg_pages_touch(void *memory, size_t bytes);

#endif
