/* Attention over a cache, for one set of instructions: see cache_attention.h. Who includes this has
 * defined, beside what vectors_lanes.h asks for, MIX_SUMS: vectors that are summed at a time, in
 * registers. */

enum { BLOCK_VECTORS = RG_CACHE_BLOCK / RG_LANES };

/* Numbers of a cache from `at` on. `bf16`, a constant wherever this is inlined, says of which kind
 * they are. */
TARGET_INLINE Lanes cached(const void *numbers, int64_t at, bool bf16) {
    return bf16 ? widen((const RgBf16 *)numbers + at)
                : *(const Lanes *)((const RgReal *)numbers + at);
}

static inline RgReal cached_number(const void *numbers, int64_t at, bool bf16) {
    return bf16 ? rg_bf16_number(((const RgBf16 *)numbers)[at]) : ((const RgReal *)numbers)[at];
}

/* Fetch the vector that is read so many numbers later; one of those that share a line of the cache.
 * Memory is read in order, but processors' own fetching stops at the end of each page. */
TARGET_INLINE void fetch(const void *numbers, int64_t at, int vector, bool bf16) {
    size_t each = bf16 ? sizeof(RgBf16) : sizeof(RgReal);
    if ((size_t)vector * RG_LANES * each % 64 == 0)
        __builtin_prefetch((const char *)numbers + (size_t)at * each, 0, 2);
}

/* Keys or values of one head in a span: those of a block from `first` on, the next block's `block`
 * numbers further. */
typedef struct HeadSpan {
    const void *numbers;
    int64_t first, block, size, length;
} HeadSpan;

/* score [RG_CACHE_BLOCK] = q·k over the positions of a block: q [size], keys from `at` on
 * [size, RG_CACHE_BLOCK]. Several sums, as one addition waits for the last. */
TARGET_INLINE void block_scores(const HeadSpan *k, const RgReal *q, int64_t at, int64_t ahead,
                                bool bf16, RgReal *score) {
    enum { SUMS = 4 };
    Lanes sum[SUMS][BLOCK_VECTORS] = {{{0}}};
    int64_t d = 0;
    for (; d + SUMS <= k->size; d += SUMS, at += SUMS * RG_CACHE_BLOCK)
        for (int i = 0; i < SUMS; i++)
            for (int v = 0; v < BLOCK_VECTORS; v++) {
                int64_t from = at + i * RG_CACHE_BLOCK + v * RG_LANES;
                fetch(k->numbers, from + ahead, i * BLOCK_VECTORS + v, bf16);
                sum[i][v] += q[d + i] * cached(k->numbers, from, bf16);
            }
    for (; d < k->size; d++, at += RG_CACHE_BLOCK)
        for (int v = 0; v < BLOCK_VECTORS; v++)
            sum[0][v] += q[d] * cached(k->numbers, at + v * RG_LANES, bf16);
    for (int v = 0; v < BLOCK_VECTORS; v++)
        *(Lanes *)(score + v * RG_LANES) = (sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]);
}

/* How far the next block is, if there is one. */
static inline int64_t next_block(const HeadSpan *span, int64_t block) {
    return (block + 1) * RG_CACHE_BLOCK < span->length ? span->block : 0;
}

/* Head `h` of queries in the keys or values of a span. */
static inline HeadSpan head_span(const RgCacheHeads *heads, const void *numbers, int64_t h,
                                 int64_t length) {
    int64_t numbers_of_head = heads->size * RG_CACHE_BLOCK;
    return (HeadSpan){.numbers = numbers,
                      .first = h / (heads->count / heads->kv_count) * numbers_of_head,
                      .block = heads->kv_count * numbers_of_head,
                      .size = heads->size,
                      .length = length};
}

/* score[h, j] = q[h]·k[j] for the blocks of one span; q [count · size]. What lies past the last
 * position of a block is computed with, though not used. */
TARGET_INLINE void span_scores(const RgCacheHeads *heads, const RgReal *q, const RgCacheSpan *span,
                               bool bf16, RgReal *score) {
    for (int64_t b = 0; b < rg_cache_blocks(span->length); b++)
        for (int64_t h = 0; h < heads->count; h++) {
            HeadSpan k = head_span(heads, span->key, h, span->length);
            block_scores(&k, q + h * k.size, k.first + b * k.block, next_block(&k, b), bf16,
                         score + h * heads->stride + b * RG_CACHE_BLOCK);
        }
}

/* out[v] += Σ_j weight[j]·value[j, v] over `vectors` vectors from dimension `d` on, with the
 * positions dealt out to `sums` sums: both are constants where this is inlined. */
TARGET_INLINE void mix(int vectors, int sums, const HeadSpan *value, int64_t d,
                       const RgReal *weight, bool bf16, RgReal *out) {
    Lanes sum[MIX_SUMS];
    for (int i = 0; i < sums * vectors; i++)
        sum[i] = (Lanes){0};
    for (int64_t b = 0; b < rg_cache_blocks(value->length); b++, weight += RG_CACHE_BLOCK) {
        int64_t at = value->first + b * value->block + d, ahead = next_block(value, b), j = 0;
        int64_t left = value->length - b * RG_CACHE_BLOCK;
        int64_t count = left < RG_CACHE_BLOCK ? left : RG_CACHE_BLOCK;
        for (; j + sums <= count; j += sums)
            for (int i = 0; i < sums; i++, at += value->size)
                for (int v = 0; v < vectors; v++) {
                    fetch(value->numbers, at + ahead + v * RG_LANES, v, bf16);
                    sum[i * vectors + v] +=
                        weight[j + i] * cached(value->numbers, at + v * RG_LANES, bf16);
                }
        for (; j < count; j++, at += value->size)
            for (int v = 0; v < vectors; v++)
                sum[v] += weight[j] * cached(value->numbers, at + v * RG_LANES, bf16);
    }
    for (int v = 0; v < vectors; v++) {
        Lanes y = *(const Lanes *)(out + v * RG_LANES);
        for (int i = 0; i < sums; i++)
            y += sum[i * vectors + v];
        *(Lanes *)(out + v * RG_LANES) = y;
    }
}

/* As many vectors as possible at a time, from dimension `d` on; how many. With few, additions would
 * wait for one another, so that there are more sums. */
TARGET_INLINE int64_t mix_some(const HeadSpan *value, int64_t d, const RgReal *weight, bool bf16,
                               RgReal *out) {
#define MIX(vectors)                                                                               \
    if (vectors <= MIX_SUMS && value->size - d >= vectors * RG_LANES) {                            \
        mix(vectors, MIX_SUMS / vectors > 4 ? 4 : MIX_SUMS / vectors, value, d, weight, bf16,      \
            out);                                                                                  \
        return vectors;                                                                            \
    }
    MIX(8)
    MIX(6)
    MIX(4)
    MIX(3)
    MIX(2)
    MIX(1)
#undef MIX
    return 0;
}

/* out[h] += Σ_j weight[h, j]·v[j] */
TARGET_INLINE void span_mix(const RgCacheHeads *heads, const RgReal *weight,
                            const RgCacheSpan *span, bool bf16, RgReal *out) {
    for (int64_t h = 0; h < heads->count; h++, weight += heads->stride, out += heads->size) {
        HeadSpan value = head_span(heads, span->value, h, span->length);
        int64_t d = 0;
        while (d + RG_LANES <= value.size)
            d += RG_LANES * mix_some(&value, d, weight, bf16, out + d);
        for (int64_t j = 0; d < value.size && j < value.length; j++) {
            int64_t at = value.first + j / RG_CACHE_BLOCK * value.block +
                         j % RG_CACHE_BLOCK * value.size;
            for (int64_t e = d; e < value.size; e++)
                out[e] += weight[j] * cached_number(value.numbers, at + e, bf16);
        }
    }
}

/* What stands behind the last position of a run of blocks weighs nothing. */
TARGET_INLINE void hide_rest(RgReal *score, int64_t length) {
    for (int64_t j = length; j < rg_cache_blocks(length) * RG_CACHE_BLOCK; j++)
        score[j] = (RgReal)-1e30;
}

/* softmax(scale·score) of n scores, in place. */
TARGET_INLINE void softmax_in_place(RgReal scale, RgReal *score, int64_t n) {
    RgReal top = score[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++)
        top = score[j] > top ? score[j] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        score[j] = rg_fast_exp(scale * (score[j] - top));
        sum += score[j];
    }
    RgReal inverse = 1 / sum;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        score[j] *= inverse;
}

TARGET_INLINE void attend_in(const RgCacheHeads *heads, const RgCacheSpan span[2], bool bf16,
                             const RgReal *query, RgReal *score, RgReal *out) {
    RgReal scale = 1 / (RgReal)sqrt((RgReal)heads->size);
    int64_t second = rg_cache_blocks(span[0].length) * RG_CACHE_BLOCK;
    int64_t all = second + rg_cache_blocks(span[1].length) * RG_CACHE_BLOCK;
    span_scores(heads, query, &span[0], bf16, score);
    span_scores(heads, query, &span[1], bf16, score + second);
    for (int64_t h = 0; h < heads->count; h++) {
        RgReal *row = score + h * heads->stride;
        hide_rest(row, span[0].length);
        hide_rest(row + second, span[1].length);
        softmax_in_place(scale, row, all);
    }
    memset(out, 0, sizeof *out * (size_t)(heads->count * heads->size));
    span_mix(heads, score, &span[0], bf16, out);
    span_mix(heads, score + second, &span[1], bf16, out);
}

TARGET static void attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                          RgReal *score, RgReal *out) {
    if (span[0].precision == RG_PRECISION_BF16)
        attend_in(heads, span, true, query, score, out);
    else
        attend_in(heads, span, false, query, score, out);
}
