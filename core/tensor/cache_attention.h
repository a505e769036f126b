/* SPDX-License-Identifier: MIT */
/* Attention of one token over keys and values that are kept from the tokens before it, as decoding
 * makes it. Keys and values lie in blocks of positions, and within a block head by head. Keys of a
 * head lie dimension by dimension with the positions side by side, so that a score is a sum of
 * vectors with no sum across one; values lie position by position. Reading both from memory is
 * what attention over a cache costs. */
#ifndef RG_CORE_TENSOR_CACHE_ATTENTION_H
#define RG_CORE_TENSOR_CACHE_ATTENTION_H

#include "core/tensor/precision.h"

enum { RG_CACHE_BLOCK = 16 }; /* positions */

/* Some entries, each a sequence of so many positions at most, as RgReal or, in bf16, as RgBf16. */
typedef struct RgCache {
    RgPrecision precision;
    void *key;   /* [entries, blocks, heads, size, RG_CACHE_BLOCK] */
    void *value; /* [entries, blocks, heads, RG_CACHE_BLOCK, size] */
    int64_t blocks, heads, size;
} RgCache;
/* In bf16 two dimensions of a key share a cell of 32 bits, and two positions of a value:
 * [entries, blocks, heads, size / 2, RG_CACHE_BLOCK, 2], of an odd size rounded up, and
 * [entries, blocks, heads, RG_CACHE_BLOCK / 2, size, 2]. */

/* For keys and values of `heads` heads of `size` numbers. */
RgCache rg_cache_create(int64_t entries, int64_t positions, int64_t heads, int64_t size,
                        RgPrecision precision);
void rg_cache_release(RgCache *cache);

static inline int64_t rg_cache_blocks(int64_t positions) {
    return (positions + RG_CACHE_BLOCK - 1) / RG_CACHE_BLOCK;
}

/* Numbers of a head in a block, of keys and of values. */
static inline int64_t rg_cache_head(int64_t size, RgPrecision precision) {
    return (precision == RG_PRECISION_BF16 ? size + size % 2 : size) * RG_CACHE_BLOCK;
}

/* Put a key and a value [heads · size] at a position of an entry; in bf16 rounded to the nearest.
 */
void rg_cache_store(const RgCache *cache, int64_t entry, int64_t position, const RgReal *key,
                    const RgReal *value);

/* Heads of queries, which share those of keys and values in equal groups; `stride` numbers lie
 * between the scores of two heads. */
typedef struct RgCacheHeads {
    int64_t count, kv_count, size, stride;
} RgCacheHeads;

/* The first `length` positions of an entry. */
typedef struct RgCacheSpan {
    RgPrecision precision;
    const void *key, *value;
    int64_t length;
} RgCacheSpan;

RgCacheSpan rg_cache_span(const RgCache *cache, int64_t entry, int64_t length);

/* out = softmax(q·kᵀ / sqrt(size))·v over two spans, one after the other, of which the second may
 * have no positions: query and out [count · size], and room for scores [count, stride], where a
 * head has those of whole blocks of either span. Both spans have the same precision. What is in
 * bf16 is widened as it is read; but processors with AVX512_BF16 round queries and the softmax to
 * bf16 too, and multiply two numbers at once. */
void rg_cache_attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                     RgReal *score, RgReal *out);

#endif
