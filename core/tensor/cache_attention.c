/* SPDX-License-Identifier: MIT */
/* The memory of cached keys and values. */
#include "core/tensor/cache_attention.h"

#include "core/tensor/vectors.h"

#include <stdlib.h>
#include <string.h>

static size_t number_bytes(const RgCache *c) {
    return c->precision == RG_PRECISION_BF16 ? sizeof(RgBf16) : sizeof(RgReal);
}

/* Numbers of an entry's keys or values. */
static int64_t entry_numbers(const RgCache *c) {
    return c->blocks * c->heads * rg_cache_head(c->size, c->precision);
}

RgCache rg_cache_create(int64_t entries, int64_t positions, int64_t heads, int64_t size,
                        RgPrecision precision) {
    RgCache c = {
        .precision = precision, .blocks = rg_cache_blocks(positions), .heads = heads, .size = size};
    size_t bytes = number_bytes(&c) * (size_t)(entries * entry_numbers(&c));
    c.key = rg_allocate_aligned(bytes);
    c.value = rg_allocate_aligned(bytes);
    return c;
}

void rg_cache_release(RgCache *cache) {
    free(cache->key);
    free(cache->value);
}

RgCacheSpan rg_cache_span(const RgCache *c, int64_t entry, int64_t length) {
    size_t first = number_bytes(c) * (size_t)(entry * entry_numbers(c));
    return (RgCacheSpan){.precision = c->precision,
                         .key = (char *)c->key + first,
                         .value = (char *)c->value + first,
                         .length = length};
}

RgCacheSpan rg_cache_span_from(const RgCache *c, int64_t entry, int64_t first, int64_t length) {
    RgCacheSpan span = rg_cache_span(c, entry, first < length ? length : 0);
    if (first <= 0 || span.length == 0)
        return span;
    int64_t block = first / RG_CACHE_BLOCK;
    int64_t numbers = block * c->heads * rg_cache_head(c->size, c->precision);
    span.key = (const char *)span.key + number_bytes(c) * (size_t)numbers;
    span.value = (const char *)span.value + number_bytes(c) * (size_t)numbers;
    span.length -= block * RG_CACHE_BLOCK;
    span.hidden = first % RG_CACHE_BLOCK;
    return span;
}

/* Stores keys and values [heads · size] of a position, in fp32. */
static void store_numbers(const RgCache *c, int64_t at, int64_t lane, const RgReal *key,
                          const RgReal *value) {
    int64_t size = c->size;
    for (int64_t h = 0; h < c->heads; h++, at += rg_cache_head(size, c->precision)) {
        RgReal *keys = (RgReal *)c->key + at, *values = (RgReal *)c->value + at;
        for (int64_t d = 0; d < size; d++)
            keys[d * RG_CACHE_BLOCK + lane] = key[h * size + d];
        memcpy(values + lane * size, value + h * size, sizeof *values * (size_t)size);
    }
}

/* The same in bf16: all are rounded, then each number goes to its half of a cell. */
static void store_rounded(const RgCache *c, int64_t at, int64_t lane, const RgReal *key,
                          const RgReal *value) {
    static _Thread_local RgScratch scratch;
    int64_t size = c->size, width = c->heads * size;
    RgBf16 *rounded = rg_scratch(&scratch, sizeof *rounded * 2 * (size_t)width);
    rg_bf16_round(width, key, rounded);
    rg_bf16_round(width, value, rounded + width);
    for (int64_t h = 0; h < c->heads; h++, at += rg_cache_head(size, c->precision)) {
        RgBf16 *keys = (RgBf16 *)c->key + at, *values = (RgBf16 *)c->value + at;
        for (int64_t d = 0; d < size; d++) {
            keys[(d / 2 * RG_CACHE_BLOCK + lane) * 2 + d % 2] = rounded[h * size + d];
            values[(lane / 2 * size + d) * 2 + lane % 2] = rounded[width + h * size + d];
        }
    }
}

void rg_cache_store(const RgCache *c, int64_t entry, int64_t position, const RgReal *key,
                    const RgReal *value) {
    int64_t lane = position % RG_CACHE_BLOCK, block = position / RG_CACHE_BLOCK;
    int64_t at = entry * entry_numbers(c) + block * c->heads * rg_cache_head(c->size, c->precision);
    if (c->precision == RG_PRECISION_BF16)
        store_rounded(c, at, lane, key, value);
    else
        store_numbers(c, at, lane, key, value);
}

void rg_cache_attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                     RgReal *score, RgReal *out) {
    rg_vectors_for(span[0].precision)->attend(heads, span, query, score, out);
}
