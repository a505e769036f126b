/* The memory of keys and values. */
#include "core/tensor/cache_attention.h"

#include "core/tensor/vectors.h"

#include <stdlib.h>
#include <string.h>

static size_t number_bytes(const RgCache *c) {
    return c->precision == RG_PRECISION_BF16 ? sizeof(RgBf16) : sizeof(RgReal);
}

/* Keys or values of an entry. */
static int64_t entry_numbers(const RgCache *c) {
    return c->blocks * c->heads * c->size * RG_CACHE_BLOCK;
}

RgCache rg_cache_create(int64_t entries, int64_t positions, int64_t heads, int64_t size,
                        RgPrecision precision) {
    RgCache c = {.precision = precision,
                 .blocks = rg_cache_blocks(positions),
                 .heads = heads,
                 .size = size};
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

void rg_cache_store(const RgCache *c, int64_t entry, int64_t position, const RgReal *key,
                    const RgReal *value) {
    int64_t lane = position % RG_CACHE_BLOCK, head = c->size * RG_CACHE_BLOCK;
    int64_t at = entry * entry_numbers(c) + position / RG_CACHE_BLOCK * c->heads * head;
    for (int64_t h = 0; h < c->heads; h++, at += head, key += c->size, value += c->size) {
        if (c->precision == RG_PRECISION_BF16) {
            RgBf16 *keys = (RgBf16 *)c->key + at + lane,
                   *values = (RgBf16 *)c->value + at + lane * c->size;
            rg_bf16_round(c->size, key, values); /* on their way to where they belong */
            for (int64_t d = 0; d < c->size; d++)
                keys[d * RG_CACHE_BLOCK] = values[d];
            rg_bf16_round(c->size, value, values);
        } else {
            RgReal *keys = (RgReal *)c->key + at + lane;
            for (int64_t d = 0; d < c->size; d++)
                keys[d * RG_CACHE_BLOCK] = key[d];
            memcpy((RgReal *)c->value + at + lane * c->size, value,
                   sizeof *value * (size_t)c->size);
        }
    }
}

void rg_cache_attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                     RgReal *score, RgReal *out) {
    rg_vectors()->attend(heads, span, query, score, out);
}
