/* SPDX-License-Identifier: MIT */
/* Attention over a cache, for one set of instructions (cache_attention.h). In addition to the
 * requirements of vectors_lanes.h the including file defines MIX_SUMS: vectors that are summed at a
 * time, in registers. */

enum { BLOCK_VECTORS = RG_CACHE_BLOCK / RG_LANES };

/* Keys or values of one head in a span. They are read in steps: keys by dimension, values by
 * position, and in bf16 two of them, whose numbers share cells. A step has one number or cell for
 * each position of the block, or for each dimension. */
typedef struct HeadSpan {
    const char *first; /* of the first block */
    int64_t block;     /* bytes from one block to the next */
    int64_t size, length;
} HeadSpan;

/* `bf16`, a constant after inlining, is the form of the numbers. */
static inline int64_t step_width(bool bf16) {
    return bf16 ? 2 : 1;
}

static inline int64_t step_bytes(bool bf16) { /* for each position or dimension */
    return bf16 ? 2 * sizeof(RgBf16) : sizeof(RgReal);
}

/* Head `h` of queries in the keys or values of a span. */
static inline HeadSpan head_span(const RgCacheHeads *heads, const void *numbers, int64_t h,
                                 int64_t length, bool bf16) {
    int64_t head = bf16 ? rg_cache_head(heads->size, RG_PRECISION_BF16) * sizeof(RgBf16)
                        : rg_cache_head(heads->size, RG_PRECISION_FP32) * sizeof(RgReal);
    return (HeadSpan){.first = (const char *)numbers + h / (heads->count / heads->kv_count) * head,
                      .block = heads->kv_count * head,
                      .size = heads->size,
                      .length = length};
}

/* The distance to the next block, if there is one. */
static inline int64_t next_block(const HeadSpan *span, int64_t block) {
    return (block + 1) * RG_CACHE_BLOCK < span->length ? span->block : 0;
}

/* Memory is read in order, but hardware prefetching stops at the end of each page. One of the
 * vectors in a cache line is enough. */
TARGET_INLINE void fetch(const char *at, int vector) {
    if ((size_t)vector * sizeof(Lanes) % 64 == 0)
        __builtin_prefetch(at, 0, 2);
}

/* sum + x·y for a vector of a step; for its first numbers only if it is half a step. */
TARGET_INLINE Lanes add_step(Lanes sum, const Input *x, const char *y, bool bf16, bool half) {
    if (!bf16)
        return sum + ((const RgReal *)x)[0] * *(const Lanes *)y;
    Cells cells = *(const Cells *)y;
#ifdef MULTIPLY_CELLS
    if (half)
        cells &= 0xFFFF; /* the other half may be NaN, and NaN times 0 is NaN */
    return MULTIPLY_CELLS(sum, x[0], cells);
#else
    sum += x[0] * half_of(cells, false);
    if (!half)
        sum += x[1] * half_of(cells, true);
    return sum;
#endif
}

/* Inputs of a step. */
static inline int64_t step_inputs(bool bf16) {
    return bf16 ? INPUTS_OF_A_CELL : 1;
}

/* score [RG_CACHE_BLOCK] = q·k over the positions of a block: q [size], keys from `key` on. It uses
 * several sums, because one addition would wait for the last. */
TARGET_INLINE void block_scores(int64_t size, const Input *q, const char *key, int64_t ahead,
                                bool bf16, RgReal *score) {
    enum { SUMS = 4 };
    Lanes sum[SUMS][BLOCK_VECTORS] = {{{0}}};
    int64_t steps = size / step_width(bf16), i = 0;
    const int64_t inputs = step_inputs(bf16), row = RG_CACHE_BLOCK * step_bytes(bf16);
    const int64_t vector = RG_LANES * step_bytes(bf16);
    for (; i + SUMS <= steps; i += SUMS)
        for (int s = 0; s < SUMS; s++, q += inputs, key += row)
            for (int v = 0; v < BLOCK_VECTORS; v++) {
                fetch(key + ahead + v * vector, v);
                sum[s][v] = add_step(sum[s][v], q, key + v * vector, bf16, false);
            }
    for (; i < steps; i++, q += inputs, key += row)
        for (int v = 0; v < BLOCK_VECTORS; v++)
            sum[0][v] = add_step(sum[0][v], q, key + v * vector, bf16, false);
    if (size % step_width(bf16))
        for (int v = 0; v < BLOCK_VECTORS; v++)
            sum[0][v] = add_step(sum[0][v], q, key + v * vector, bf16, true);
    for (int v = 0; v < BLOCK_VECTORS; v++)
        *(Lanes *)(score + v * RG_LANES) = (sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]);
}

/* Inputs of n numbers. */
static inline int64_t inputs_of(int64_t n) {
    return INPUTS_OF_A_CELL == 1 ? (n + 1) / 2 : n;
}

/* score[h, j] = q[h]·k[j] for the blocks of one span; q [count · size]. Scores beyond the last
 * position are computed but not used. */
TARGET_INLINE void span_scores(const RgCacheHeads *heads, const Input *q, const RgCacheSpan *span,
                               bool bf16, RgReal *score) {
    for (int64_t b = 0; b < rg_cache_blocks(span->length); b++)
        for (int64_t h = 0; h < heads->count; h++) {
            HeadSpan k = head_span(heads, span->key, h, span->length, bf16);
            block_scores(k.size, q + h * inputs_of(k.size), k.first + b * k.block,
                         next_block(&k, b), bf16, score + h * heads->stride + b * RG_CACHE_BLOCK);
        }
}

/* out[v] += Σ_j weight[j]·value[j, v] over `vectors` vectors from dimension `d` on, with the steps
 * distributed over `sums` sums. Both are constants after inlining. */
TARGET_INLINE void mix(int vectors, int sums, const HeadSpan *value, int64_t d, const Input *weight,
                       bool bf16, RgReal *out) {
    Lanes sum[MIX_SUMS];
    const int64_t inputs = step_inputs(bf16), width = step_width(bf16);
    const int64_t vector = RG_LANES * step_bytes(bf16), row = value->size * step_bytes(bf16);
    for (int i = 0; i < sums * vectors; i++)
        sum[i] = (Lanes){0};
    for (int64_t b = 0; b < rg_cache_blocks(value->length); b++) {
        const char *at = value->first + b * value->block + d * step_bytes(bf16);
        int64_t ahead = next_block(value, b), left = value->length - b * RG_CACHE_BLOCK;
        int64_t count = left < RG_CACHE_BLOCK ? left : RG_CACHE_BLOCK;
        int64_t steps = count / width, j = 0;
        for (; j + sums <= steps; j += sums)
            for (int i = 0; i < sums; i++, at += row, weight += inputs)
                for (int v = 0; v < vectors; v++) {
                    fetch(at + ahead + v * vector, v);
                    sum[i * vectors + v] =
                        add_step(sum[i * vectors + v], weight, at + v * vector, bf16, false);
                }
        for (; j < steps; j++, at += row, weight += inputs)
            for (int v = 0; v < vectors; v++)
                sum[v] = add_step(sum[v], weight, at + v * vector, bf16, false);
        if (count % width)
            for (int v = 0; v < vectors; v++)
                sum[v] = add_step(sum[v], weight, at + v * vector, bf16, true);
    }
    for (int v = 0; v < vectors; v++) {
        Lanes y = *(const Lanes *)(out + v * RG_LANES);
        for (int i = 0; i < sums; i++)
            y += sum[i * vectors + v];
        *(Lanes *)(out + v * RG_LANES) = y;
    }
}

/* Processes as many vectors as possible at a time, from dimension `d` on; returns how many. With
 * few, additions would wait for one another, so there are more sums. */
TARGET_INLINE int64_t mix_some(const HeadSpan *value, int64_t d, const Input *weight, bool bf16,
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

/* The same for one dimension that does not fill a vector. */
static inline RgReal mixed_number(const HeadSpan *value, int64_t d, const Input *weight,
                                  bool bf16) {
    RgReal sum = 0;
    for (int64_t j = 0; j < value->length; j++) {
        int64_t lane = j % RG_CACHE_BLOCK, step = lane / step_width(bf16);
        const char *at = value->first + j / RG_CACHE_BLOCK * value->block +
                         (step * value->size + d) * step_bytes(bf16);
        if (!bf16)
            sum += ((const RgReal *)weight)[j] * *(const RgReal *)at;
        else
            sum += (INPUTS_OF_A_CELL == 1 ? rg_bf16_number(((const RgBf16 *)weight)[j])
                                          : ((const RgReal *)weight)[j]) *
                   rg_bf16_number(((const RgBf16 *)at)[lane % 2]);
    }
    return sum;
}

/* out[h] += Σ_j weight[h, j]·v[j]. The weights of two heads are one stride of scores apart. */
TARGET_INLINE void span_mix(const RgCacheHeads *heads, const Input *weight, const RgCacheSpan *span,
                            bool bf16, RgReal *out) {
    for (int64_t h = 0; h < heads->count; h++, out += heads->size) {
        HeadSpan value = head_span(heads, span->value, h, span->length, bf16);
        int64_t d = 0;
        while (d + RG_LANES <= value.size)
            d += RG_LANES * mix_some(&value, d, weight, bf16, out + d);
        for (; d < value.size; d++)
            out[d] += mixed_number(&value, d, weight, bf16);
        weight += inputs_of(heads->stride);
    }
}

/* Positions outside of a span, in its first and its last block, get no weight. */
TARGET_INLINE void hide_rest(const RgCacheSpan *span, RgReal *score) {
    for (int64_t j = span->length; j < rg_cache_blocks(span->length) * RG_CACHE_BLOCK; j++)
        score[j] = (RgReal)-1e30;
    for (int64_t j = 0; j < span->hidden; j++)
        score[j] = (RgReal)-1e30;
}

/* Scales and caps n scores, in place. */
TARGET_INLINE void cap_in_place(RgReal scale, RgReal cap, RgReal *score, int64_t n) {
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        score[j] = cap * rg_real_tanh(scale / cap * score[j]);
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

/* `count` rows of n numbers as inputs. */
#ifdef MULTIPLY_CELLS
static const Input *rounded_inputs(RgScratch *scratch, int64_t count, int64_t n, const RgReal *x) {
    RgBf16 *inputs = rg_scratch(scratch, sizeof *inputs * (size_t)(count * 2 * inputs_of(n)));
    rg_bf16_round_rows(count, n, n, x, inputs);
    return (const Input *)inputs;
}
#else
static inline const Input *rounded_inputs(RgScratch *scratch, int64_t count, int64_t n,
                                          const RgReal *x) {
    (void)scratch, (void)count, (void)n;
    return x;
}
#endif

TARGET_INLINE void attend_in(const RgCacheHeads *heads, const RgCacheSpan span[2], bool bf16,
                             const RgReal *query, RgReal *score, RgReal *out) {
    static _Thread_local RgScratch query_scratch, weight_scratch; /* for inputs in bf16 */
    RgReal scale = heads->scale > 0 ? heads->scale : 1 / (RgReal)sqrt((RgReal)heads->size);
    RgReal left = heads->cap > 0 ? 1 : scale;
    int64_t second = rg_cache_blocks(span[0].length) * RG_CACHE_BLOCK;
    int64_t all = second + rg_cache_blocks(span[1].length) * RG_CACHE_BLOCK;
    const Input *q = rounded_inputs(&query_scratch, heads->count, heads->size, query);
    span_scores(heads, q, &span[0], bf16, score);
    span_scores(heads, q, &span[1], bf16, score + second);
    for (int64_t h = 0; h < heads->count; h++) {
        RgReal *row = score + h * heads->stride;
        if (heads->cap > 0)
            cap_in_place(scale, heads->cap, row, all);
        hide_rest(&span[0], row);
        hide_rest(&span[1], row + second);
        softmax_in_place(left, row, all);
    }
    const Input *weight = rounded_inputs(&weight_scratch, heads->count, heads->stride, score);
    memset(out, 0, sizeof *out * (size_t)(heads->count * heads->size));
    span_mix(heads, weight, &span[0], bf16, out);
    span_mix(heads, weight + inputs_of(second), &span[1], bf16, out);
}

TARGET static void attend(const RgCacheHeads *heads, const RgCacheSpan span[2], const RgReal *query,
                          RgReal *score, RgReal *out) {
#ifndef MULTIPLY_CELLS
    if (span[0].precision == RG_PRECISION_FP32) {
        attend_in(heads, span, false, query, score, out);
        return;
    }
#endif
    attend_in(heads, span, true, query, score, out);
}
