/* SPDX-License-Identifier: MIT */
/* Rotary positions and causal attention over packed sequences: forward and backward kernels, and
 * attention's expansion into primitives for second-order tapes. Attention over a cache, one token
 * at a time, is part of sampling (core/models/transformer_sample.c). */
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"

/* ---- rotary positions ---- */

typedef struct Rope {
    RgRopeTable table;
    const int32_t *positions; /* [n] */
    int64_t heads;
    RgRopePairing pairing;
    bool inverse; /* rotate by the negative angle */
} Rope;

static RgTensor *rope_apply(RgTape *t, RgTensor *x, const Rope *rope);

void rg_rope_frequencies(int64_t size, double base, double *frequency) {
    for (int64_t p = 0; p < size / 2; p++)
        frequency[p] = pow(base, -2.0 * (double)p / (double)size);
}

void rg_rope_angles(int64_t rows, int64_t pairs, const double *frequency, double amplitude,
                    RgReal *cosine, RgReal *sine) {
    for (int64_t p = 0; p < pairs; p++)
        for (int64_t row = 0; row < rows; row++) {
            cosine[row * pairs + p] = (RgReal)(amplitude * cos((double)row * frequency[p]));
            sine[row * pairs + p] = (RgReal)(amplitude * sin((double)row * frequency[p]));
        }
}

/* Rotates the pairs (2p, 2p + 1) or (p, p + size/2) of every head of one row. */
RG_INLINE void rope_row(const RgRopeTable *table, int64_t position, int64_t heads,
                        RgRopePairing pairing, RgReal sign, const RgReal *x, RgReal *y) {
    int64_t size = table->size, half = size / 2;
    const RgReal *cosine = table->cosine + position * half, *sine = table->sine + position * half;
    for (int64_t h = 0; h < heads; h++, x += table->head_size, y += table->head_size) {
        for (int64_t d = size; d < table->head_size; d++)
            y[d] = x[d];
        if (pairing == RG_ROPE_NEIGHBOURS) {
#pragma omp simd
            for (int64_t p = 0; p < half; p++) {
                RgReal a = x[2 * p], b = x[2 * p + 1], s = sign * sine[p];
                y[2 * p] = a * cosine[p] - b * s;
                y[2 * p + 1] = a * s + b * cosine[p];
            }
        } else {
#pragma omp simd
            for (int64_t p = 0; p < half; p++) {
                RgReal a = x[p], b = x[p + half], s = sign * sine[p];
                y[p] = a * cosine[p] - b * s;
                y[p + half] = a * s + b * cosine[p];
            }
        }
    }
}

RG_PUBLIC_KERNEL(void, rg_rope_row,
                 (const RgRopeTable *table, int64_t position, int64_t heads, RgRopePairing pairing,
                  RgReal *x),
                 (table, position, heads, pairing, x)) {
    rope_row(table, position, heads, pairing, 1, x, x);
}

RG_KERNEL(void, rope_rows,
          (int64_t start, int64_t end, const Rope *rope, const RgReal *x, RgReal *y),
          (start, end, rope, x, y)) {
    int64_t width = rope->heads * rope->table.head_size;
    for (int64_t r = start; r < end; r++)
        rope_row(&rope->table, rope->positions[r], rope->heads, rope->pairing,
                 rope->inverse ? -1 : 1, x + r * width, y + r * width);
}

/* A rotation's transpose rotates backwards, so backward is the same operator. */
static void rope_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    Rope rope = *(const Rope *)y->attributes;
    rope.inverse = !rope.inverse;
    rg_add_gradient(t, y->inputs[0], rope_apply(t, dy, &rope));
}

static const RgOperator rope_operator = {.name = "rope", .backward = rope_backward};

static RgTensor *rope_apply(RgTape *t, RgTensor *x, const Rope *rope) {
    int64_t n = x->shape.size[0];
    RG_ASSERT(x->shape.rank == 2 && x->shape.size[1] == rope->heads * rope->table.head_size);
    RgTensor *y = rg_tensor_new(t, x->shape);
    RG_FOR_PIECES(n, rg_spread_rows(n, x->shape.size[1]),
                  rope_rows(first, last, rope, x->data, y->data));
    rg_tape_count_flops(t, 3.0 * (double)x->count);
    return rg_record(t, &rope_operator, y, &x, 1,
                     rg_arena_copy(rg_tape_arena(t), rope, sizeof *rope));
}

RgTensor *rg_rope_by_table(RgTape *t, RgTensor *x, const int32_t *positions, int64_t heads,
                           const RgRopeTable *table, RgRopePairing pairing) {
    for (int64_t r = 0; r < x->shape.size[0]; r++)
        RG_ASSERT(positions[r] >= 0 && positions[r] < table->rows);
    Rope rope = {.table = *table, .positions = positions, .heads = heads, .pairing = pairing};
    return rope_apply(t, x, &rope);
}

RgTensor *rg_rope(RgTape *t, RgTensor *x, const int32_t *positions, int64_t heads, RgReal base,
                  RgRopePairing pairing) {
    RG_ASSERT(x->shape.rank == 2 && x->shape.size[1] % (2 * heads) == 0);
    RgArena *arena = rg_tape_arena(t);
    int64_t n = x->shape.size[0], size = x->shape.size[1] / heads, rows = 0;
    for (int64_t r = 0; r < n; r++)
        rows = positions[r] >= rows ? positions[r] + 1 : rows;
    RgReal *cosine = RG_ARENA_ARRAY(arena, RgReal, rows * size / 2);
    RgReal *sine = RG_ARENA_ARRAY(arena, RgReal, rows * size / 2);
    double *frequency = RG_ARENA_ARRAY(arena, double, size / 2);
    rg_rope_frequencies(size, (double)base, frequency);
    rg_rope_angles(rows, size / 2, frequency, 1, cosine, sine);
    RgRopeTable table = {
        .cosine = cosine, .sine = sine, .rows = rows, .size = size, .head_size = size};
    int32_t *kept = rg_arena_copy(arena, positions, sizeof *positions * (size_t)n);
    return rg_rope_by_table(t, x, kept, heads, &table, pairing);
}

/* ---- attention ---- */

/* Queries are processed in blocks of BLOCK rows. Only the scores of one block are in memory, and
 * half of those hidden by the causal mask are not computed. Backward recomputes them from the log
 * of each row's normaliser. Scores are [keys, rows], so an operation on a row's scores runs on all
 * rows of a block at once, and only queries are transposed for a product. */
enum { BLOCK = 64, LANES = 16 };

typedef struct Attention {
    const int64_t *offsets; /* [sequences + 1] */
    const int64_t *prefix;  /* [sequences], or NULL for none */
    int64_t sequences, heads, kv_heads, size;
    const int64_t *order; /* [sequences], with those that share a prefix next to it */
    const int64_t *group; /* [groups + 1], where each such group begins in `order` */
    int64_t groups;
    RgReal *normaliser; /* [n, heads], log Σ exp(score) */
    int64_t keys;       /* maximum keys of a sequence */
    RgReal scale, cap;  /* as in RgAttentionForm; scale is not 0 */
    int64_t window;
} Attention;

/* Rows [start, start + length) of a sequence, which continue `before` rows at before_start. */
typedef struct Run {
    int64_t start, length, before_start, before;
} Run;

static Run run_of(const Attention *a, int64_t s) {
    Run run = {.start = a->offsets[s], .length = a->offsets[s + 1] - a->offsets[s]};
    if (a->prefix && a->prefix[s] >= 0) {
        int64_t p = a->prefix[s];
        run.before_start = a->offsets[p];
        run.before = a->offsets[p + 1] - a->offsets[p];
    }
    return run;
}

/* A block of a run's rows: [from, from + rows) of it, which see keys 0 … keys−1. The first row sees
 * only `common` of them. */
typedef struct Block {
    int64_t from, rows, keys, common;
    int64_t stride; /* between the scores of two keys: the rows, rounded up to whole vectors */
} Block;

static Block block_at(Run run, int64_t from) {
    int64_t rows = run.length - from < BLOCK ? run.length - from : BLOCK;
    return (Block){.from = from,
                   .rows = rows,
                   .keys = run.before + from + rows,
                   .common = run.before + from + 1,
                   .stride = (rows + LANES - 1) / LANES * LANES};
}

/* Number of scores that one head computes, over all blocks of all sequences. */
static double total_scores(const Attention *a) {
    double sum = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        Run run = run_of(a, s);
        for (int64_t from = 0; from < run.length; from += BLOCK) {
            Block block = block_at(run, from);
            sum += (double)(block.rows * block.keys);
        }
    }
    return sum;
}

/* One head of one sequence: the offsets of its queries, its own keys and values, and those of its
 * prefix, in arrays with the shapes of q and k; and the strides of their rows. */
typedef struct Place {
    int64_t q, own, before, q_row, kv_row;
} Place;

static Place place_of(const Attention *a, Run run, int64_t head) {
    int64_t kv_head = head / (a->heads / a->kv_heads);
    Place place = {.q_row = a->heads * a->size, .kv_row = a->kv_heads * a->size};
    place.q = run.start * place.q_row + head * a->size;
    place.own = run.start * place.kv_row + kv_head * a->size;
    place.before = run.before_start * place.kv_row + kv_head * a->size;
    return place;
}

/* Zeros the rest of the last vector, which is computed with but not read. */
static void clear_behind(const Block *block, RgReal *scores) {
    for (int64_t key = 0; block->rows < block->stride && key < block->keys; key++)
        for (int64_t i = block->rows; i < block->stride; i++)
            scores[key * block->stride + i] = 0;
}

/* scores [keys, rows] = y·xᵀ with x like q and y like k */
static void score_product(Run run, Block block, Place at, int64_t size, const RgReal *x,
                          const RgReal *y, RgReal *scores) {
    const RgReal *rows = x + at.q + block.from * at.q_row;
    rg_gemm_whole(false, true, run.before, block.rows, size, 1, y + at.before, at.kv_row, rows,
                  at.q_row, 0, scores, block.stride);
    rg_gemm_whole(false, true, block.keys - run.before, block.rows, size, 1, y + at.own, at.kv_row,
                  rows, at.q_row, 0, scores + run.before * block.stride, block.stride);
    clear_behind(&block, scores);
}

/* y *= factor, over `count` numbers */
RG_KERNEL(void, scale_scores, (int64_t count, RgReal factor, RgReal *y), (count, factor, y)) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] *= factor;
}

/* ds/dscore of capped scores s = cap·tanh(scale·score / cap) */
RG_KERNEL(void, cap_slopes,
          (int64_t count, RgReal scale, RgReal cap, const RgReal *scores, RgReal *slope),
          (count, scale, cap, scores, slope)) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        RgReal part = scores[i] / cap;
        slope[i] = scale * (1 - part * part);
    }
}

/* y *= x, over `count` numbers */
RG_KERNEL(void, multiply_scores, (int64_t count, const RgReal *x, RgReal *y), (count, x, y)) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] *= x[i];
}

/* The exponential of this score is 0. Infinity would give NaN in products with it. */
static const RgReal hidden_score = (RgReal)-1e30;

/* Row i is at position common − 1 + i, and sees no key that is `window` or more before it. */
static void hide_before_window(const Block *block, int64_t window, RgReal *scores) {
    for (int64_t key = 0; key < block->keys; key++) {
        int64_t from = key + window - (block->common - 1);
        for (int64_t i = from > 0 ? from : 0; i < block->rows; i++)
            scores[key * block->stride + i] = hidden_score;
    }
}

/* x = scoresᵀ·y, with x like q and y like k */
static void mix_product(Run run, Block block, Place at, int64_t size, const RgReal *scores,
                        const RgReal *y, RgReal *x) {
    RgReal *rows = x + at.q + block.from * at.q_row;
    rg_gemm_whole(true, false, block.rows, size, block.keys - run.before, 1,
                  scores + run.before * block.stride, block.stride, y + at.own, at.kv_row, 0, rows,
                  at.q_row);
    if (run.before)
        rg_gemm_whole(true, false, block.rows, size, run.before, 1, scores, block.stride,
                      y + at.before, at.kv_row, 1, rows, at.q_row);
}

/* y += scores·x, with x like q and y like k */
static void spread_product(Run run, Block block, Place at, int64_t size, const RgReal *scores,
                           const RgReal *x, RgReal *y) {
    const RgReal *rows = x + at.q + block.from * at.q_row;
    rg_gemm_whole(false, false, block.keys - run.before, size, block.rows, 1,
                  scores + run.before * block.stride, block.stride, rows, at.q_row, 1, y + at.own,
                  at.kv_row);
    if (run.before)
        rg_gemm_whole(false, false, run.before, size, block.rows, 1, scores, block.stride, rows,
                      at.q_row, 1, y + at.before, at.kv_row);
}

/* Changes scores as the form requires before their softmax. Returns the factor that is left for
 * it: capped scores have been scaled already. slope, unless NULL: receives the derivatives of the
 * capped scores. */
static RgReal form_scores(const Attention *a, const Block *block, RgReal *scores, RgReal *slope) {
    int64_t count = block->keys * block->stride;
    if (a->cap > 0) {
        scale_scores(count, a->scale, scores);
        rg_cap_values(count, a->cap, scores);
        if (slope)
            cap_slopes(count, a->scale, a->cap, scores, slope);
    }
    if (a->window > 0)
        hide_before_window(block, a->window, scores);
    return a->cap > 0 ? 1 : a->scale;
}

/* The first row of a block that sees a key. */
RG_INLINE int32_t first_to_see(const Block *block, int64_t key) {
    return key < block->common ? 0 : (int32_t)(key - block->common + 1);
}

/* Replaces scores by exp(scale·(score − the row's largest)), zero where masked. The log of each
 * row's normaliser goes to normaliser[row · heads], and 1 / Σ to inverse [rows]. */
RG_KERNEL(void, causal_exp,
          (const Block *block, RgReal scale, RgReal *scores, int64_t heads, RgReal *normaliser,
           RgReal *inverse),
          (block, scale, scores, heads, normaliser, inverse)) {
    int32_t rows = (int32_t)block->stride;
    RgReal top[BLOCK], sum[BLOCK] = {0};
    memcpy(top, scores, sizeof *top * (size_t)rows);
    for (int64_t key = 1; key < block->keys; key++) {
        const RgReal *score = scores + key * rows;
        int32_t from = first_to_see(block, key);
#pragma omp simd
        for (int32_t i = 0; i < rows; i++)
            top[i] = i >= from && score[i] > top[i] ? score[i] : top[i];
    }
    for (int64_t key = 0; key < block->keys; key++) {
        RgReal *score = scores + key * rows;
        int32_t from = first_to_see(block, key);
#pragma omp simd
        for (int32_t i = 0; i < rows; i++) {
            RgReal e = rg_fast_exp(scale * (score[i] - top[i]));
            score[i] = i >= from ? e : 0;
            sum[i] += score[i];
        }
    }
    for (int64_t i = 0; i < block->rows; i++) {
        normaliser[i * heads] = scale * top[i] + (RgReal)log(sum[i]);
        inverse[i] = 1 / sum[i];
    }
}

/* y[row] *= factor[row], rows `stride` apart */
RG_KERNEL(void, scale_rows,
          (int64_t rows, int64_t size, int64_t stride, const RgReal *factor, RgReal *y),
          (rows, size, stride, factor, y)) {
    for (int64_t i = 0; i < rows; i++)
#pragma omp simd
        for (int64_t d = 0; d < size; d++)
            y[i * stride + d] *= factor[i];
}

/* One head of one sequence: y = softmax(q·kᵀ / sqrt(size))·v. */
static void attend(const Attention *a, int64_t sequence, int64_t head, const RgReal *q,
                   const RgReal *k, const RgReal *v, RgReal *scores, RgReal *y) {
    RgReal inverse[BLOCK];
    Run run = run_of(a, sequence);
    Place at = place_of(a, run, head);
    for (int64_t from = 0; from < run.length; from += BLOCK) {
        Block block = block_at(run, from);
        score_product(run, block, at, a->size, q, k, scores);
        RgReal scale = form_scores(a, &block, scores, NULL);
        causal_exp(&block, scale, scores, a->heads,
                   a->normaliser + (run.start + from) * a->heads + head, inverse);
        mix_product(run, block, at, a->size, scores, v, y);
        scale_rows(block.rows, a->size, at.q_row, inverse, y + at.q + from * at.q_row);
    }
}

/* Scratch of one thread: two blocks of scores, or three if they are capped. */
static int64_t scratch_numbers(const Attention *a) {
    return (a->cap > 0 ? 3 : 2) * BLOCK * a->keys;
}

static RgReal *scratch_of(const Attention *a, RgReal *scratch) {
    return scratch + rg_thread_number() * scratch_numbers(a);
}

static RgReal *scratch_new(RgTape *t, const Attention *a) {
    return RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, rg_threads() * scratch_numbers(a));
}

/* Number of scores below which waking other threads does not pay off. */
static const double least_scores = 4096;

static void attention_forward(const Attention *a, const RgReal *q, const RgReal *k, const RgReal *v,
                              RgReal *scratch, RgReal *y) {
    int64_t tasks = a->sequences * a->heads;
    bool many = total_scores(a) * (double)a->heads > least_scores;
    RG_FOR_TASKS(tasks, many,
                 attend(a, task / a->heads, task % a->heads, q, k, v, scratch_of(a, scratch), y));
}

/* P = exp(scale·scores − normaliser) and D = Σ y·dy of each row, then dS = scale·P·(dP − D).
 * Replaces scores by P and dp by dS, both zero where masked. y and dy have rows `stride` apart. */
RG_KERNEL(void, causal_slopes,
          (const Block *block, int64_t size, RgReal scale, const RgReal *normaliser, int64_t heads,
           const RgReal *y, const RgReal *dy, int64_t stride, RgReal *scores, RgReal *dp),
          (block, size, scale, normaliser, heads, y, dy, stride, scores, dp)) {
    RgReal shift[BLOCK] = {0}, dot[BLOCK] = {0};
    int32_t rows = (int32_t)block->stride;
    for (int64_t i = 0; i < block->rows; i++) {
        RgReal sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t d = 0; d < size; d++)
            sum += y[i * stride + d] * dy[i * stride + d];
        dot[i] = sum;
        shift[i] = normaliser[i * heads];
    }
    for (int64_t key = 0; key < block->keys; key++) {
        RgReal *p = scores + key * rows, *ds = dp + key * rows;
        int32_t from = first_to_see(block, key);
#pragma omp simd
        for (int32_t i = 0; i < rows; i++) {
            RgReal e = rg_fast_exp(scale * p[i] - shift[i]);
            p[i] = i >= from ? e : 0;
            ds[i] = i >= from ? scale * e * (ds[i] - dot[i]) : 0;
        }
    }
}

/* The destinations of the gradients of q, k and v. */
typedef struct Slopes {
    RgReal *q, *k, *v;
} Slopes;

/* One head of one sequence: dv += Pᵀ·dy,  dP = dy·vᵀ,  dq = dS·k,  dk += dSᵀ·q. */
static void attend_backward(const Attention *a, const RgTensor *y, const RgReal *dy,
                            int64_t sequence, int64_t head, RgReal *scores, Slopes d) {
    const RgReal *q = y->inputs[0]->data, *k = y->inputs[1]->data, *v = y->inputs[2]->data;
    Run run = run_of(a, sequence);
    Place at = place_of(a, run, head);
    RgReal *dp = scores + BLOCK * a->keys, *slope = a->cap > 0 ? dp + BLOCK * a->keys : NULL;
    for (int64_t from = 0; from < run.length; from += BLOCK) {
        Block block = block_at(run, from);
        int64_t row = at.q + from * at.q_row;
        score_product(run, block, at, a->size, q, k, scores);
        RgReal scale = form_scores(a, &block, scores, slope);
        score_product(run, block, at, a->size, dy, v, dp);
        causal_slopes(&block, a->size, scale, a->normaliser + (run.start + from) * a->heads + head,
                      a->heads, y->data + row, dy + row, at.q_row, scores, dp);
        if (slope)
            multiply_scores(block.keys * block.stride, slope, dp);
        spread_product(run, block, at, a->size, scores, dy, d.v);
        mix_product(run, block, at, a->size, dp, k, d.q);
        spread_product(run, block, at, a->size, dp, q, d.k);
    }
}

/* Everything that adds to the same keys is one task: a group of sequences, and the heads that share
 * a key head. */
static void attention_gradients(const Attention *a, const RgTensor *y, const RgReal *dy,
                                RgReal *scratch, Slopes d) {
    int64_t tasks = a->groups * a->kv_heads, shared = a->heads / a->kv_heads;
    bool many = total_scores(a) * (double)a->heads > least_scores;
    RG_FOR_TASKS(tasks, many, {
        int64_t group = task / a->kv_heads, first_head = task % a->kv_heads * shared;
        for (int64_t i = a->group[group]; i < a->group[group + 1]; i++)
            for (int64_t head = first_head; head < first_head + shared; head++)
                attend_backward(a, y, dy, a->order[i], head, scratch_of(a, scratch), d);
    });
}

static void attention_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Attention *a = y->attributes;
    RgTensor *dq = rg_tensor_new(t, y->inputs[0]->shape);
    RgTensor *dk = rg_filled(t, y->inputs[1]->shape, 0);
    RgTensor *dv = rg_filled(t, y->inputs[2]->shape, 0);
    RgArenaMark mark = rg_arena_mark(rg_tape_arena(t));
    attention_gradients(a, y, dy->data, scratch_new(t, a), (Slopes){dq->data, dk->data, dv->data});
    rg_arena_rewind(rg_tape_arena(t), mark);
    double each = (double)(10 * a->size + 14 + (a->cap > 0 ? RG_CAP_FLOPS : 0));
    rg_tape_count_flops(t, total_scores(a) * (double)a->heads * each);
    rg_add_gradient(t, y->inputs[0], dq);
    rg_add_gradient(t, y->inputs[1], dk);
    rg_add_gradient(t, y->inputs[2], dv);
}

static const RgOperator attention_operator = {
    .name = "attention", .backward = attention_backward, .fused = true};

/* One head of one sequence in primitives: q [length, size], k and v [before + length, size], mask
 * [length, before + length]. */
static RgTensor *attend_expanded(RgTape *t, const Attention *a, RgTensor *q, RgTensor *k,
                                 RgTensor *v, RgTensor *mask) {
    RgTensor *score = rg_scale(t, rg_matmul_transposed(t, q, false, k, true), a->scale);
    if (a->cap > 0)
        score = rg_scale(t, rg_tanh(t, rg_scale(t, score, 1 / a->cap)), a->cap);
    return rg_matmul(t, rg_softmax(t, rg_add(t, score, mask)), v);
}

/* A large negative number for future positions, and for those before the window. */
static RgTensor *causal_mask(RgTape *t, const Attention *a, Run run) {
    int64_t columns = run.before + run.length;
    RgTensor *mask = rg_filled(t, RG_SHAPE(run.length, columns), 0);
    for (int64_t i = 0; i < run.length; i++) {
        int64_t at = run.before + i;
        for (int64_t j = at + 1; j < columns; j++)
            mask->data[i * columns + j] = hidden_score;
        for (int64_t j = 0; a->window > 0 && j <= at - a->window; j++)
            mask->data[i * columns + j] = hidden_score;
    }
    return mask;
}

/* The keys or values that a sequence reads: its prefix, then its own. */
static RgTensor *rows_read(RgTape *t, RgTensor *x, Run run) {
    RgTensor *own = rg_slice(t, x, 0, run.start, run.length);
    if (!run.before)
        return own;
    RgTensor *before = rg_slice(t, x, 0, run.before_start, run.before);
    return rg_concatenate(t, 0, (RgTensor *[]){before, own}, 2);
}

static RgTensor *attention_expanded(RgTape *t, const Attention *a, RgTensor *q, RgTensor *k,
                                    RgTensor *v) {
    RgTensor **outputs = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, a->sequences);
    RgTensor **heads = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, a->heads);
    int count = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        Run run = run_of(a, s);
        if (!run.length)
            continue;
        RgTensor *mask = causal_mask(t, a, run);
        RgTensor *queries = rg_slice(t, q, 0, run.start, run.length);
        RgTensor *keys = rows_read(t, k, run), *values = rows_read(t, v, run);
        for (int64_t h = 0; h < a->heads; h++) {
            int64_t kv_at = h / (a->heads / a->kv_heads) * a->size;
            heads[h] = attend_expanded(t, a, rg_slice(t, queries, 1, h * a->size, a->size),
                                       rg_slice(t, keys, 1, kv_at, a->size),
                                       rg_slice(t, values, 1, kv_at, a->size), mask);
        }
        outputs[count++] = rg_concatenate(t, 1, heads, (int)a->heads);
    }
    return count ? rg_concatenate(t, 0, outputs, count) : q;
}

/* Groups each sequence with those that continue it. */
static void attention_group(RgArena *arena, Attention *a) {
    int64_t *order = RG_ARENA_ARRAY(arena, int64_t, a->sequences);
    int64_t *group = RG_ARENA_ARRAY(arena, int64_t, a->sequences + 1);
    int64_t *followers = rg_arena_allocate_zeroed(arena, sizeof(int64_t) * (size_t)a->sequences);
    for (int64_t s = 0; a->prefix && s < a->sequences; s++)
        if (a->prefix[s] >= 0)
            followers[a->prefix[s]]++;
    int64_t *next = RG_ARENA_ARRAY(arena, int64_t, a->sequences);
    int64_t place = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        if (a->prefix && a->prefix[s] >= 0) {
            order[next[a->prefix[s]]++] = s;
            continue;
        }
        group[a->groups++] = place;
        order[place] = s;
        next[s] = place + 1;
        place += 1 + followers[s];
    }
    group[a->groups] = place;
    a->order = order;
    a->group = group;
}

static Attention *attention_keep(RgArena *arena, const int64_t *offsets, const int64_t *prefix,
                                 int64_t sequences) {
    Attention *a = RG_ARENA_ARRAY(arena, Attention, 1);
    *a = (Attention){.sequences = sequences};
    a->offsets = rg_arena_copy(arena, offsets, sizeof *offsets * (size_t)(sequences + 1));
    if (prefix)
        a->prefix = rg_arena_copy(arena, prefix, sizeof *prefix * (size_t)sequences);
    for (int64_t s = 0; prefix && s < sequences; s++)
        RG_ASSERT(prefix[s] == -1 || (prefix[s] >= 0 && prefix[s] < s && prefix[prefix[s]] == -1));
    attention_group(arena, a);
    for (int64_t s = 0; s < sequences; s++) {
        Run run = run_of(a, s);
        a->keys = run.before + run.length > a->keys ? run.before + run.length : a->keys;
    }
    return a;
}

RgTensor *rg_attention(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v, const int64_t *offsets,
                       const int64_t *prefix, int64_t sequences, int64_t heads, int64_t kv_heads) {
    return rg_attention_in_form(t, q, k, v, offsets, prefix, sequences, heads, kv_heads,
                                (RgAttentionForm){0});
}

RgTensor *rg_attention_in_form(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v,
                               const int64_t *offsets, const int64_t *prefix, int64_t sequences,
                               int64_t heads, int64_t kv_heads, RgAttentionForm form) {
    RG_ASSERT(q->shape.rank == 2 && rg_shape_equal(k->shape, v->shape));
    RG_ASSERT(heads % kv_heads == 0 && q->shape.size[1] % heads == 0);
    RG_ASSERT(k->shape.size[1] * heads == q->shape.size[1] * kv_heads);
    RG_ASSERT(offsets[sequences] == q->shape.size[0] && k->shape.size[0] == q->shape.size[0]);
    RgArena *arena = rg_tape_arena(t);
    Attention *a = attention_keep(arena, offsets, prefix, sequences);
    a->heads = heads;
    a->kv_heads = kv_heads;
    a->size = q->shape.size[1] / heads;
    a->scale = form.scale > 0 ? (RgReal)form.scale : 1 / (RgReal)sqrt((RgReal)a->size);
    a->cap = (RgReal)form.cap;
    a->window = form.window;
    if (rg_tape_is_second_order(t))
        return attention_expanded(t, a, q, k, v);

    RgTensor *inputs[] = {q, k, v}, *y = rg_tensor_new(t, q->shape);
    a->normaliser = RG_ARENA_ARRAY(arena, RgReal, q->shape.size[0] * heads);
    RgArenaMark mark = rg_arena_mark(arena);
    attention_forward(a, q->data, k->data, v->data, scratch_new(t, a), y->data);
    rg_arena_rewind(arena, mark);
    double each = (double)(4 * a->size + 10 + (a->cap > 0 ? RG_CAP_FLOPS : 0));
    rg_tape_count_flops(t, total_scores(a) * (double)heads * each);
    return rg_record(t, &attention_operator, y, inputs, 3, a);
}
