/* The memory of keys and values. */
#include "core/tensor/cache_attention.h"

#include "core/tensor/vectors.h"

#include <stdlib.h>
#include <string.h>

static size_t number_bytes(const RgCache *c) {
    return c->precision == RG_PRECISION_BF16 ? sizeof(RgBf16) : sizeof(RgReal);
}

RgCache rg_cache_create(int64_t entries, int64_t positions, int64_t width, RgPrecision precision) {
    RgCache c = {.precision = precision,
                 .blocks = rg_cache_blocks(positions),
                 .positions = positions,
                 .width = width};
    size_t keys = (size_t)(entries * c.blocks * width * RG_CACHE_BLOCK);
    c.key = rg_allocate_aligned(number_bytes(&c) * keys);
    c.value = rg_allocate_aligned(number_bytes(&c) * (size_t)(entries * positions * width));
    return c;
}

void rg_cache_release(RgCache *cache) {
    free(cache->key);
    free(cache->value);
}

RgCacheSpan rg_cache_span(const RgCache *c, int64_t entry, int64_t length) {
    size_t bytes = number_bytes(c);
    return (RgCacheSpan){
        .precision = c->precision,
        .key = (char *)c->key + bytes * (size_t)(entry * c->blocks * c->width * RG_CACHE_BLOCK),
        .value = (char *)c->value + bytes * (size_t)(entry * c->positions * c->width),
        .length = length};
}

void rg_cache_store(const RgCache *c, int64_t entry, int64_t position, const RgReal *key,
                    const RgReal *value) {
    int64_t block = entry * c->blocks + position / RG_CACHE_BLOCK;
    int64_t keys = block * c->width * RG_CACHE_BLOCK + position % RG_CACHE_BLOCK,
            values = (entry * c->positions + position) * c->width;
    if (c->precision == RG_PRECISION_BF16) {
        RgBf16 *to = (RgBf16 *)c->value + values; /* where the key is rounded first */
        rg_bf16_round(c->width, key, to);
        for (int64_t d = 0; d < c->width; d++)
            ((RgBf16 *)c->key)[keys + d * RG_CACHE_BLOCK] = to[d];
        rg_bf16_round(c->width, value, to);
        return;
    }
    for (int64_t d = 0; d < c->width; d++)
        ((RgReal *)c->key)[keys + d * RG_CACHE_BLOCK] = key[d];
    memcpy((RgReal *)c->value + values, value, sizeof *value * (size_t)c->width);
}

void rg_cache_attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                     RgReal *score, RgReal *out) {
    rg_vectors()->attend(heads, span, query, score, out);
}
