/* SPDX-License-Identifier: MIT */
/* Loops over the threads. Work is cut into pieces that its shape alone decides, so that a piece may
 * even sum something up of its own: the number of threads changes who computes a piece, never the
 * bits. Inside a piece, further pieces run one after another. */
#ifndef RG_CORE_TENSOR_PARALLEL_H
#define RG_CORE_TENSOR_PARALLEL_H

#include "core/base.h"
#include "core/tensor/threads.h"

/* Of pieces that each keep something, such as a sum; and of pieces that keep nothing. The first are
 * few, as what they keep takes memory, and to bring it together takes time. */
enum { RG_PIECES_MOST = 16, RG_SPREAD_MOST = 256 };

typedef struct RgPieces {
    int64_t count, size; /* `size` each, the last one less */
} RgPieces;

/* 0 … n−1 in at most `most` pieces (a power of two) of at least `least`. */
static inline RgPieces rg_pieces_up_to(int64_t n, int64_t least, int64_t most) {
    int64_t count = 1;
    while (count < most && n >= 2 * count * least)
        count *= 2;
    return (RgPieces){.count = count, .size = (n + count - 1) / count};
}

/* For pieces that keep something: at most RG_PIECES_MOST. How many there are decides bits. */
static inline RgPieces rg_pieces(int64_t n, int64_t least) {
    return rg_pieces_up_to(n, least, RG_PIECES_MOST);
}

/* For pieces whose numbers have nothing to do with one another: enough for many cores. */
static inline RgPieces rg_spread(int64_t n, int64_t least) {
    return rg_pieces_up_to(n, least, RG_SPREAD_MOST);
}

/* Numbers that are worth a thread's waking up for when they are only read and written. */
enum { RG_LEAST_NUMBERS = 16384 };

/* The same for `rows` of so many numbers each. */
static inline int64_t rg_least_rows(int64_t width) {
    return 1 + RG_LEAST_NUMBERS / (width > 0 ? width : 1);
}
static inline RgPieces rg_pieces_of_rows(int64_t rows, int64_t width) {
    return rg_pieces(rows, rg_least_rows(width));
}
static inline RgPieces rg_spread_rows(int64_t rows, int64_t width) {
    return rg_spread(rows, rg_least_rows(width));
}

/* For the vocabulary of a head, whose pieces keep their share of all hidden states' gradient: more
 * of them only where each has tokens enough to be worth that. */
static inline RgPieces rg_vocabulary_pieces(int64_t vocabulary) {
    enum { LEAST = 128, LEAST_OF_MANY = 384, MOST = 64 };
    RgPieces few = rg_pieces(vocabulary, LEAST),
             many = rg_pieces_up_to(vocabulary, LEAST_OF_MANY, MOST);
    return many.count > few.count ? many : few;
}

/* A formatter takes the pragma below for an expression. */
/* clang-format off */

/* Run a statement for every `task` in 0 … count−1, each on whichever thread is free, if `worth`:
 * what is not worth it does without OpenMP, which ends its threads when a region asks for one. */
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

/* Run a statement for every piece: it sees `piece` (its number) and its range [first, last). */
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

/* memset to 0 and memcpy of `count` numbers, by all threads. */
void rg_numbers_clear(RgReal *numbers, int64_t count);
void rg_numbers_copy(int64_t count, const RgReal *from, RgReal *to);

/* Touch fresh pages, in equal runs by all threads. A system with several memory nodes puts a page
 * where the thread runs that touches it first, so that afterwards each node has its share. What is
 * in them stays as it is. */
void rg_pages_touch(void *memory, size_t bytes);

#endif
