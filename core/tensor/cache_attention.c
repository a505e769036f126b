/* The memory of keys and values. */
#include "core/tensor/cache_attention.h"

#include "core/tensor/vectors.h"

#include <stdlib.h>
#include <string.h>

RgCache rg_cache_create(int64_t entries, int64_t positions, int64_t width) {
    RgCache c = {.blocks = rg_cache_blocks(positions), .positions = positions, .width = width};
    size_t keys = (size_t)(entries * c.blocks * width * RG_CACHE_BLOCK);
    c.key = rg_allocate_aligned(sizeof(RgReal) * keys);
    c.value = rg_allocate_aligned(sizeof(RgReal) * (size_t)(entries * positions * width));
    return c;
}

void rg_cache_release(RgCache *cache) {
    free(cache->key);
    free(cache->value);
}

RgCacheSpan rg_cache_span(const RgCache *c, int64_t entry, int64_t length) {
    return (RgCacheSpan){c->key + entry * c->blocks * c->width * RG_CACHE_BLOCK,
                         c->value + entry * c->positions * c->width, length};
}

void rg_cache_store(const RgCache *c, int64_t entry, int64_t position, const RgReal *key,
                    const RgReal *value) {
    RgReal *block =
        c->key + (entry * c->blocks + position / RG_CACHE_BLOCK) * c->width * RG_CACHE_BLOCK;
    for (int64_t d = 0; d < c->width; d++)
        block[d * RG_CACHE_BLOCK + position % RG_CACHE_BLOCK] = key[d];
    memcpy(c->value + (entry * c->positions + position) * c->width, value,
           sizeof *value * (size_t)c->width);
}

void rg_cache_attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                     RgReal *score, RgReal *out) {
    rg_vectors()->attend(heads, span, query, score, out);
}
