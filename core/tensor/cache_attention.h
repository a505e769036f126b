/* SPDX-License-Identifier: MIT */
/* Attention of one token over the cached keys and values of earlier tokens, as in decoding. Keys
 * and values are in blocks of positions, and within a block head by head. The keys of a head are
 * stored dimension by dimension with the positions adjacent, so a score is a sum of vectors without
 * a sum across a vector. Values are stored position by position. The cost of attention over a cache
 * is reading both from memory. */
#ifndef RG_CORE_TENSOR_CACHE_ATTENTION_H
#define RG_CORE_TENSOR_CACHE_ATTENTION_H

#include "core/tensor/precision.h"

enum { RG_CACHE_BLOCK = 16 }; /* positions */

/* Entries, each a sequence of limited length, as RgReal or, in bf16, as RgBf16. */
typedef struct RgCache {
    RgPrecision precision;
    void *key;   /* [entries, blocks, heads, size, RG_CACHE_BLOCK] */
    void *value; /* [entries, blocks, heads, RG_CACHE_BLOCK, size] */
    int64_t blocks, heads, size;
} RgCache;
/* In bf16 two dimensions of a key, and two positions of a value, share a cell of 32 bits: [entries,
 * blocks, heads, size / 2, RG_CACHE_BLOCK, 2], with an odd size rounded up, and [entries, blocks,
 * heads, RG_CACHE_BLOCK / 2, size, 2]. */

/* A cache for keys and values of `heads` heads of `size` numbers. */
RgCache rg_cache_create(int64_t entries, int64_t positions, int64_t heads, int64_t size,
                        RgPrecision precision);
void rg_cache_release(RgCache *cache);

static inline int64_t rg_cache_blocks(int64_t positions) {
    return (positions + RG_CACHE_BLOCK - 1) / RG_CACHE_BLOCK;
}

/* Numbers of a head in a block, for keys or for values. */
static inline int64_t rg_cache_head(int64_t size, RgPrecision precision) {
    return (precision == RG_PRECISION_BF16 ? size + size % 2 : size) * RG_CACHE_BLOCK;
}

/* Stores a key and a value [heads · size] at a position of an entry; in bf16 rounded to the
 * nearest. */
void rg_cache_store(const RgCache *cache, int64_t entry, int64_t position, const RgReal *key,
                    const RgReal *value);

/* The query heads, which share the key/value heads in equal groups. The scores of two heads are
 * `stride` numbers apart. */
typedef struct RgCacheHeads {
    int64_t count, kv_count, size, stride;
    RgReal scale, cap; /* as in RgAttentionForm; 0: the default */
} RgCacheHeads;

/* The first `length` positions of an entry, or of it from a block on, without the first `hidden`
 * ones of these. */
typedef struct RgCacheSpan {
    RgPrecision precision;
    const void *key, *value;
    int64_t length;
    int64_t hidden; /* less than RG_CACHE_BLOCK */
} RgCacheSpan;

RgCacheSpan rg_cache_span(const RgCache *cache, int64_t entry, int64_t length);
/* Its positions from `first` on, if there are any. */
RgCacheSpan rg_cache_span_from(const RgCache *cache, int64_t entry, int64_t first, int64_t length);

/* out = softmax(q·kᵀ / sqrt(size))·v over two consecutive spans, of which one may be empty.
 * query and out [count · size]; scratch for scores [count, stride], where a head has the scores of
 * whole blocks of both spans. Both spans have the same precision. bf16 values are converted as they
 * are read. Processors with AVX512_BF16 instead also round queries and the softmax to bf16, and
 * multiply two numbers at once. */
void rg_cache_attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                     RgReal *score, RgReal *out);

#endif
