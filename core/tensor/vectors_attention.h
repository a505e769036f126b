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

/* score [RG_CACHE_BLOCK] = q·k over the positions of a block: q [size], keys from `at` on
 * [size, RG_CACHE_BLOCK]. Several sums, as one addition waits for the last. */
TARGET_INLINE void block_scores(int64_t size, const RgReal *q, const void *key, int64_t at,
                                bool bf16, RgReal *score) {
    enum { SUMS = 4 };
    Lanes sum[SUMS][BLOCK_VECTORS] = {{{0}}};
    int64_t d = 0;
    for (; d + SUMS <= size; d += SUMS)
        for (int i = 0; i < SUMS; i++)
            for (int v = 0; v < BLOCK_VECTORS; v++)
                sum[i][v] +=
                    q[d + i] * cached(key, at + (d + i) * RG_CACHE_BLOCK + v * RG_LANES, bf16);
    for (; d < size; d++)
        for (int v = 0; v < BLOCK_VECTORS; v++)
            sum[0][v] += q[d] * cached(key, at + d * RG_CACHE_BLOCK + v * RG_LANES, bf16);
    for (int v = 0; v < BLOCK_VECTORS; v++)
        *(Lanes *)(score + v * RG_LANES) = (sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]);
}

/* score[h, j] = q[h]·k[j] for the blocks of one span; q [count · size]. What lies past the last
 * position of a block is computed with, though not used. */
TARGET_INLINE void span_scores(const RgCacheHeads *heads, const RgReal *q, const RgCacheSpan *span,
                               bool bf16, RgReal *score) {
    int64_t size = heads->size, group = heads->count / heads->kv_count;
    for (int64_t b = 0; b < rg_cache_blocks(span->length); b++)
        for (int64_t h = 0; h < heads->count; h++)
            block_scores(size, q + h * size, span->key,
                         (b * heads->kv_count + h / group) * size * RG_CACHE_BLOCK, bf16,
                         score + h * heads->stride + b * RG_CACHE_BLOCK);
}

/* out[v] += Σ_j weight[j]·value[j, v] over `vectors` vectors, with the positions dealt out to
 * `sums` sums: both are constants where this is inlined. Values, from `at` on, of one position are
 * `row` numbers from those of the next. */
TARGET_INLINE void mix(int vectors, int sums, int64_t length, const RgReal *weight,
                       const void *value, int64_t at, bool bf16, int64_t row, RgReal *out) {
    Lanes sum[MIX_SUMS];
    for (int i = 0; i < sums * vectors; i++)
        sum[i] = (Lanes){0};
    int64_t j = 0;
    for (; j + sums <= length; j += sums, at += sums * row)
        for (int i = 0; i < sums; i++)
            for (int v = 0; v < vectors; v++)
                sum[i * vectors + v] +=
                    weight[j + i] * cached(value, at + i * row + v * RG_LANES, bf16);
    for (; j < length; j++, at += row)
        for (int v = 0; v < vectors; v++)
            sum[v] += weight[j] * cached(value, at + v * RG_LANES, bf16);
    for (int v = 0; v < vectors; v++) {
        Lanes y = *(const Lanes *)(out + v * RG_LANES);
        for (int i = 0; i < sums; i++)
            y += sum[i * vectors + v];
        *(Lanes *)(out + v * RG_LANES) = y;
    }
}

/* As many vectors as possible at a time, of `left`; how many. With few, additions would wait for
 * one another, so that there are more sums. */
TARGET_INLINE int64_t mix_some(int64_t left, int64_t length, const RgReal *weight,
                               const void *value, int64_t at, bool bf16, int64_t row, RgReal *out) {
#define MIX(vectors)                                                                               \
    if (vectors <= MIX_SUMS && left >= vectors) {                                                  \
        mix(vectors, MIX_SUMS / vectors > 4 ? 4 : MIX_SUMS / vectors, length, weight, value, at,   \
            bf16, row, out);                                                                       \
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
    int64_t size = heads->size, group = heads->count / heads->kv_count;
    int64_t row = heads->kv_count * size;
    for (int64_t h = 0; h < heads->count; h++, weight += heads->stride, out += size) {
        int64_t at = h / group * size, d = 0;
        while (d + RG_LANES <= size)
            d += RG_LANES * mix_some((size - d) / RG_LANES, span->length, weight, span->value,
                                     at + d, bf16, row, out + d);
        for (int64_t j = 0; d < size && j < span->length; j++)
            for (int64_t e = d; e < size; e++)
                out[e] += weight[j] * cached_number(span->value, at + j * row + e, bf16);
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
