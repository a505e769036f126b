/* Rotary positions and causal attention over packed sequences: kernels forward and backward, and
 * attention's expansion into primitives for tapes of second order. Attention over a cache, one
 * token at a time, belongs to sampling (core/policy/transformer_sample.c). */
#include "core/tensor/blas.h"
#include "core/tensor/kernels.h"

/* ---- rotary positions ---- */

typedef struct Rope {
    RgRopeTable table;
    const int32_t *positions; /* [n] */
    int64_t heads;
    RgRopePairing pairing;
    bool inverse; /* turn by the negative angle */
} Rope;

static RgTensor *rope_apply(RgTape *t, RgTensor *x, const Rope *rope);

void rg_rope_angles(int64_t rows, int64_t size, RgReal base, RgReal *cosine, RgReal *sine) {
    int64_t half = size / 2;
    for (int64_t p = 0; p < half; p++) {
        double frequency = pow((double)base, -2.0 * (double)p / (double)size);
        for (int64_t row = 0; row < rows; row++) {
            cosine[row * half + p] = (RgReal)cos((double)row * frequency);
            sine[row * half + p] = (RgReal)sin((double)row * frequency);
        }
    }
}

/* Turn the pairs (first + p·step, first + p·step + apart) of every head of every row. */
RG_KERNEL static void rope_rows(int64_t n, const Rope *rope, const RgReal *x, RgReal *y) {
    int64_t size = rope->table.size, half = size / 2;
    bool neighbours = rope->pairing == RG_ROPE_NEIGHBOURS;
    RgReal sign = rope->inverse ? -1 : 1;
    for (int64_t r = 0; r < n; r++) {
        const RgReal *cosine = rope->table.cosine + rope->positions[r] * half;
        const RgReal *sine = rope->table.sine + rope->positions[r] * half;
        for (int64_t h = 0; h < rope->heads; h++) {
            const RgReal *from = x + (r * rope->heads + h) * size;
            RgReal *to = y + (r * rope->heads + h) * size;
            if (neighbours) {
#pragma omp simd
                for (int64_t p = 0; p < half; p++) {
                    RgReal a = from[2 * p], b = from[2 * p + 1], s = sign * sine[p];
                    to[2 * p] = a * cosine[p] - b * s;
                    to[2 * p + 1] = a * s + b * cosine[p];
                }
            } else {
#pragma omp simd
                for (int64_t p = 0; p < half; p++) {
                    RgReal a = from[p], b = from[p + half], s = sign * sine[p];
                    to[p] = a * cosine[p] - b * s;
                    to[p + half] = a * s + b * cosine[p];
                }
            }
        }
    }
}

/* A rotation's transpose turns the other way, so backward is the same operator. */
static void rope_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    Rope rope = *(const Rope *)y->attributes;
    rope.inverse = !rope.inverse;
    rg_add_gradient(t, y->inputs[0], rope_apply(t, dy, &rope));
}

static const RgOperator rope_operator = {.name = "rope", .backward = rope_backward};

static RgTensor *rope_apply(RgTape *t, RgTensor *x, const Rope *rope) {
    int64_t n = x->shape.size[0];
    RG_ASSERT(x->shape.rank == 2 && x->shape.size[1] == rope->heads * rope->table.size);
    RgTensor *y = rg_tensor_new(t, x->shape);
    rope_rows(n, rope, x->data, y->data);
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
    rg_rope_angles(rows, size, base, cosine, sine);
    RgRopeTable table = {.cosine = cosine, .sine = sine, .rows = rows, .size = size};
    int32_t *kept = rg_arena_copy(arena, positions, sizeof *positions * (size_t)n);
    return rg_rope_by_table(t, x, kept, heads, &table, pairing);
}

/* ---- attention ---- */

typedef struct Attention {
    const int64_t *offsets; /* [sequences + 1] */
    const int64_t *prefix;  /* [sequences], or NULL for none */
    int64_t sequences, heads, kv_heads, size;
    RgReal *probability; /* per sequence and head: [length, before + length], zero where masked */
} Attention;

/* Rows [start, start + length) of a sequence, which read on from `before` rows at before_start. */
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

static int64_t run_scores(Run run) {
    return run.length * (run.before + run.length);
}

/* Scores of one head, in all sequences together. */
static int64_t total_scores(const Attention *a) {
    int64_t sum = 0;
    for (int64_t s = 0; s < a->sequences; s++)
        sum += run_scores(run_of(a, s));
    return sum;
}

static int64_t most_scores(const Attention *a) {
    int64_t most = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t scores = run_scores(run_of(a, s));
        most = scores > most ? scores : most;
    }
    return most;
}

static inline void softmax_in_place(RgReal *x, RgReal scale, int64_t n) {
    RgReal top = x[0];
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++)
        top = x[j] > top ? x[j] : top;
    RgReal sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        x[j] = rg_fast_exp(scale * (x[j] - top));
        sum += x[j];
    }
    RgReal inverse = 1 / sum;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        x[j] *= inverse;
}

/* p [length, before + length]: row i becomes softmax(scale · p[i, 0 … before + i]), then zeros. */
RG_KERNEL static void causal_softmax(Run run, RgReal scale, RgReal *p) {
    int64_t columns = run.before + run.length;
    for (int64_t i = 0; i < run.length; i++) {
        int64_t seen = run.before + i + 1;
        softmax_in_place(p + i * columns, scale, seen);
        memset(p + i * columns + seen, 0, sizeof(RgReal) * (size_t)(columns - seen));
    }
}

/* Softmax backward: ds[i, j] = p[i, j]·(dp[i, j] − Σ_k p[i, k]·dp[i, k]), in place in dp. */
RG_KERNEL static void causal_softmax_backward(Run run, const RgReal *p, RgReal *dp) {
    int64_t columns = run.before + run.length;
    for (int64_t i = 0; i < run.length; i++) {
        const RgReal *pi = p + i * columns;
        RgReal *di = dp + i * columns, dot = 0;
        int64_t seen = run.before + i + 1;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < seen; j++)
            dot += pi[j] * di[j];
#pragma omp simd
        for (int64_t j = 0; j < seen; j++)
            di[j] = pi[j] * (di[j] - dot);
        memset(di + seen, 0, sizeof(RgReal) * (size_t)(columns - seen));
    }
}

/* One head of one sequence: where its queries, its own keys and values, and those of its prefix
 * start in arrays of the shapes of q and of k, and the strides of their rows. */
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

/* scores = x·yᵀ with x like q and y like k: [length, before + length] */
static void score_product(Run run, Place at, int64_t size, const RgReal *x, const RgReal *y,
                          RgReal *scores) {
    int64_t columns = run.before + run.length;
    rg_gemm(false, true, run.length, run.before, size, 1, x + at.q, at.q_row, y + at.before,
            at.kv_row, 0, scores, columns);
    rg_gemm(false, true, run.length, run.length, size, 1, x + at.q, at.q_row, y + at.own, at.kv_row,
            0, scores + run.before, columns);
}

/* x = alpha · scores·y, with x like q and y like k */
static void mix_product(Run run, Place at, int64_t size, RgReal alpha, const RgReal *scores,
                        const RgReal *y, RgReal *x) {
    int64_t columns = run.before + run.length;
    rg_gemm(false, false, run.length, size, run.length, alpha, scores + run.before, columns,
            y + at.own, at.kv_row, 0, x + at.q, at.q_row);
    if (run.before)
        rg_gemm(false, false, run.length, size, run.before, alpha, scores, columns, y + at.before,
                at.kv_row, 1, x + at.q, at.q_row);
}

/* y += alpha · scoresᵀ·x, with x like q and y like k */
static void spread_product(Run run, Place at, int64_t size, RgReal alpha, const RgReal *scores,
                           const RgReal *x, RgReal *y) {
    int64_t columns = run.before + run.length;
    rg_gemm(true, false, run.length, size, run.length, alpha, scores + run.before, columns,
            x + at.q, at.q_row, 1, y + at.own, at.kv_row);
    if (run.before)
        rg_gemm(true, false, run.before, size, run.length, alpha, scores, columns, x + at.q,
                at.q_row, 1, y + at.before, at.kv_row);
}

/* y = P·v with P = softmax(q·kᵀ / sqrt(size)), P written to a->probability if `keep`, else only to
 * one block of it that is used again and again. */
static void attention_forward(const Attention *a, bool keep, const RgReal *q, const RgReal *k,
                              const RgReal *v, RgReal *y) {
    RgReal scale = 1 / (RgReal)sqrt((RgReal)a->size), *p = a->probability;
    for (int64_t s = 0; s < a->sequences; s++) {
        Run run = run_of(a, s);
        for (int64_t h = 0; run.length && h < a->heads; h++) {
            Place at = place_of(a, run, h);
            score_product(run, at, a->size, q, k, p);
            causal_softmax(run, scale, p);
            mix_product(run, at, a->size, 1, p, v, y);
            p += keep ? run_scores(run) : 0;
        }
    }
}

/* dv += Pᵀ·dy,  dP = dy·vᵀ,  dS = softmax backward,  dq = scale·dS·k,  dk += scale·dSᵀ·q. */
static void attention_gradients(const Attention *a, const RgTensor *y, const RgReal *dy,
                                RgReal *scratch, RgReal *dq, RgReal *dk, RgReal *dv) {
    const RgReal *q = y->inputs[0]->data, *k = y->inputs[1]->data, *v = y->inputs[2]->data;
    RgReal scale = 1 / (RgReal)sqrt((RgReal)a->size);
    const RgReal *p = a->probability;
    for (int64_t s = 0; s < a->sequences; s++) {
        Run run = run_of(a, s);
        for (int64_t h = 0; run.length && h < a->heads; h++, p += run_scores(run)) {
            Place at = place_of(a, run, h);
            spread_product(run, at, a->size, 1, p, dy, dv);
            score_product(run, at, a->size, dy, v, scratch);
            causal_softmax_backward(run, p, scratch);
            mix_product(run, at, a->size, scale, scratch, k, dq);
            spread_product(run, at, a->size, scale, scratch, q, dk);
        }
    }
}

static void attention_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Attention *a = y->attributes;
    RgTensor *dq = rg_tensor_new(t, y->inputs[0]->shape);
    RgTensor *dk = rg_filled(t, y->inputs[1]->shape, 0);
    RgTensor *dv = rg_filled(t, y->inputs[2]->shape, 0);
    RgArenaMark mark = rg_arena_mark(rg_tape_arena(t));
    RgReal *scratch = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, most_scores(a));
    attention_gradients(a, y, dy->data, scratch, dq->data, dk->data, dv->data);
    rg_arena_rewind(rg_tape_arena(t), mark);
    rg_tape_count_flops(t, (double)(total_scores(a) * a->heads * (8 * a->size + 4)));
    rg_add_gradient(t, y->inputs[0], dq);
    rg_add_gradient(t, y->inputs[1], dk);
    rg_add_gradient(t, y->inputs[2], dv);
}

static const RgOperator attention_operator = {
    .name = "attention", .backward = attention_backward, .fused = true};

/* One head of one sequence in primitives: q [length, size], k and v [before + length, size], mask
 * [length, before + length]. */
static RgTensor *attend_expanded(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v, RgTensor *mask) {
    RgReal scale = 1 / (RgReal)sqrt((RgReal)q->shape.size[1]);
    RgTensor *score = rg_scale(t, rg_matmul_transposed(t, q, false, k, true), scale);
    return rg_matmul(t, rg_softmax(t, rg_add(t, score, mask)), v);
}

/* A large negative number at what lies ahead, whose exponential is zero; no infinity, which would
 * give NaN in derivatives of higher order. */
static RgTensor *causal_mask(RgTape *t, Run run) {
    int64_t columns = run.before + run.length;
    RgTensor *mask = rg_filled(t, RG_SHAPE(run.length, columns), 0);
    for (int64_t i = 0; i < run.length; i++)
        for (int64_t j = run.before + i + 1; j < columns; j++)
            mask->data[i * columns + j] = (RgReal)-1e30;
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
        RgTensor *mask = causal_mask(t, run);
        RgTensor *queries = rg_slice(t, q, 0, run.start, run.length);
        RgTensor *keys = rows_read(t, k, run), *values = rows_read(t, v, run);
        for (int64_t h = 0; h < a->heads; h++) {
            int64_t kv_at = h / (a->heads / a->kv_heads) * a->size;
            heads[h] = attend_expanded(t, rg_slice(t, queries, 1, h * a->size, a->size),
                                       rg_slice(t, keys, 1, kv_at, a->size),
                                       rg_slice(t, values, 1, kv_at, a->size), mask);
        }
        outputs[count++] = rg_concatenate(t, 1, heads, (int)a->heads);
    }
    return count ? rg_concatenate(t, 0, outputs, count) : q;
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
    return a;
}

RgTensor *rg_attention(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v, const int64_t *offsets,
                       const int64_t *prefix, int64_t sequences, int64_t heads, int64_t kv_heads) {
    RG_ASSERT(q->shape.rank == 2 && rg_shape_equal(k->shape, v->shape));
    RG_ASSERT(heads % kv_heads == 0 && q->shape.size[1] % heads == 0);
    RG_ASSERT(k->shape.size[1] * heads == q->shape.size[1] * kv_heads);
    RG_ASSERT(offsets[sequences] == q->shape.size[0] && k->shape.size[0] == q->shape.size[0]);
    RgArena *arena = rg_tape_arena(t);
    Attention *a = attention_keep(arena, offsets, prefix, sequences);
    a->heads = heads;
    a->kv_heads = kv_heads;
    a->size = q->shape.size[1] / heads;
    if (rg_tape_is_second_order(t))
        return attention_expanded(t, a, q, k, v);

    RgTensor *inputs[] = {q, k, v}, *y = rg_tensor_new(t, q->shape);
    bool keep = rg_will_record(t, inputs, 3);
    RgArenaMark mark = rg_arena_mark(arena);
    a->probability = RG_ARENA_ARRAY(arena, RgReal, keep ? total_scores(a) * heads : most_scores(a));
    attention_forward(a, keep, q->data, k->data, v->data, y->data);
    if (!keep)
        rg_arena_rewind(arena, mark);
    rg_tape_count_flops(t, (double)(total_scores(a) * heads * (4 * a->size + 10)));
    return rg_record(t, &attention_operator, y, inputs, 3, a);
}
