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
    int64_t sequences, heads, kv_heads, size;
    RgReal *probability; /* per sequence of length L and head: [L, L], zero above the diagonal */
} Attention;

/* Σ over sequences of L². */
static int64_t square_lengths(const Attention *a) {
    int64_t sum = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t length = a->offsets[s + 1] - a->offsets[s];
        sum += length * length;
    }
    return sum;
}

static int64_t longest_sequence(const Attention *a) {
    int64_t longest = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t length = a->offsets[s + 1] - a->offsets[s];
        longest = length > longest ? length : longest;
    }
    return longest;
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

/* p [length, length]: row i becomes softmax(scale · p[i, 0…i]), then zeros. */
RG_KERNEL static void causal_softmax(int64_t length, RgReal scale, RgReal *p) {
    for (int64_t i = 0; i < length; i++) {
        softmax_in_place(p + i * length, scale, i + 1);
        memset(p + i * length + i + 1, 0, sizeof(RgReal) * (size_t)(length - i - 1));
    }
}

/* Softmax backward: ds[i, j] = p[i, j]·(dp[i, j] − Σ_k p[i, k]·dp[i, k]), in place in dp. */
RG_KERNEL static void causal_softmax_backward(int64_t length, const RgReal *p, RgReal *dp) {
    for (int64_t i = 0; i < length; i++) {
        const RgReal *pi = p + i * length;
        RgReal *di = dp + i * length, dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j <= i; j++)
            dot += pi[j] * di[j];
#pragma omp simd
        for (int64_t j = 0; j <= i; j++)
            di[j] = pi[j] * (di[j] - dot);
        memset(di + i + 1, 0, sizeof(RgReal) * (size_t)(length - i - 1));
    }
}

/* y = P·v with P = softmax(q·kᵀ / sqrt(size)), P written to a->probability if `keep`, else only to
 * one block of it that is used again and again. */
static void attention_forward(const Attention *a, bool keep, const RgReal *q, const RgReal *k,
                              const RgReal *v, RgReal *y) {
    int64_t size = a->size, q_row = a->heads * size, kv_row = a->kv_heads * size;
    RgReal scale = 1 / (RgReal)sqrt((RgReal)size), *p = a->probability;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t start = a->offsets[s], length = a->offsets[s + 1] - start;
        for (int64_t h = 0; length && h < a->heads; h++) {
            int64_t q_at = start * q_row + h * size;
            int64_t kv_at = start * kv_row + h / (a->heads / a->kv_heads) * size;
            rg_gemm(false, true, length, length, size, 1, q + q_at, q_row, k + kv_at, kv_row, 0, p,
                    length);
            causal_softmax(length, scale, p);
            rg_gemm(false, false, length, size, length, 1, p, length, v + kv_at, kv_row, 0,
                    y + q_at, q_row);
            p += keep ? length * length : 0;
        }
    }
}

/* dv += Pᵀ·dy,  dP = dy·vᵀ,  dS = softmax backward,  dq = scale·dS·k,  dk += scale·dSᵀ·q. */
static void attention_gradients(const Attention *a, const RgTensor *y, const RgReal *dy,
                                RgReal *scratch, RgReal *dq, RgReal *dk, RgReal *dv) {
    const RgReal *q = y->inputs[0]->data, *k = y->inputs[1]->data, *v = y->inputs[2]->data;
    int64_t size = a->size, q_row = a->heads * size, kv_row = a->kv_heads * size;
    int64_t group = a->heads / a->kv_heads;
    RgReal scale = 1 / (RgReal)sqrt((RgReal)size);
    const RgReal *p = a->probability;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t start = a->offsets[s], n = a->offsets[s + 1] - start;
        for (int64_t h = 0; n && h < a->heads; h++, p += n * n) {
            int64_t q_at = start * q_row + h * size, kv_at = start * kv_row + h / group * size;
            RgReal beta = h % group ? 1 : 0; /* the first head of a group sets, the others add */
            rg_gemm(true, false, n, size, n, 1, p, n, dy + q_at, q_row, beta, dv + kv_at, kv_row);
            rg_gemm(false, true, n, n, size, 1, dy + q_at, q_row, v + kv_at, kv_row, 0, scratch, n);
            causal_softmax_backward(n, p, scratch);
            rg_gemm(false, false, n, size, n, scale, scratch, n, k + kv_at, kv_row, 0, dq + q_at,
                    q_row);
            rg_gemm(true, false, n, size, n, scale, scratch, n, q + q_at, q_row, beta, dk + kv_at,
                    kv_row);
        }
    }
}

static void attention_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Attention *a = y->attributes;
    RgTensor *gradient[3];
    for (int i = 0; i < 3; i++)
        gradient[i] = rg_tensor_new(t, y->inputs[i]->shape);
    RgArenaMark mark = rg_arena_mark(rg_tape_arena(t));
    int64_t longest = longest_sequence(a);
    RgReal *scratch = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, longest * longest);
    attention_gradients(a, y, dy->data, scratch, gradient[0]->data, gradient[1]->data,
                        gradient[2]->data);
    rg_arena_rewind(rg_tape_arena(t), mark);
    rg_tape_count_flops(t, (double)(square_lengths(a) * a->heads * (8 * a->size + 4)));
    for (int i = 0; i < 3; i++)
        if (y->inputs[i]->needs_gradient)
            rg_add_gradient(t, y->inputs[i], gradient[i]);
}

static const RgOperator attention_operator = {
    .name = "attention", .backward = attention_backward, .fused = true};

/* One head of one sequence in primitives: q [L, size], k and v [L, size], mask [L, L]. */
static RgTensor *attend_expanded(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v, RgTensor *mask) {
    RgReal scale = 1 / (RgReal)sqrt((RgReal)q->shape.size[1]);
    RgTensor *score = rg_scale(t, rg_matmul_transposed(t, q, false, k, true), scale);
    return rg_matmul(t, rg_softmax(t, rg_add(t, score, mask)), v);
}

/* A large negative number above the diagonal, whose exponential is zero; no infinity, which would
 * give NaN in derivatives of higher order. */
static RgTensor *causal_mask(RgTape *t, int64_t length) {
    RgTensor *mask = rg_filled(t, RG_SHAPE(length, length), 0);
    for (int64_t i = 0; i < length; i++)
        for (int64_t j = i + 1; j < length; j++)
            mask->data[i * length + j] = (RgReal)-1e30;
    return mask;
}

static RgTensor *attention_expanded(RgTape *t, const Attention *a, RgTensor *q, RgTensor *k,
                                    RgTensor *v) {
    RgTensor **outputs = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, a->sequences);
    RgTensor **heads = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, a->heads);
    int count = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t start = a->offsets[s], length = a->offsets[s + 1] - start;
        if (!length)
            continue;
        RgTensor *mask = causal_mask(t, length), *rows[3];
        for (int i = 0; i < 3; i++)
            rows[i] = rg_slice(t, ((RgTensor *[]){q, k, v})[i], 0, start, length);
        for (int64_t h = 0; h < a->heads; h++) {
            int64_t kv_head = h / (a->heads / a->kv_heads);
            heads[h] = attend_expanded(t, rg_slice(t, rows[0], 1, h * a->size, a->size),
                                       rg_slice(t, rows[1], 1, kv_head * a->size, a->size),
                                       rg_slice(t, rows[2], 1, kv_head * a->size, a->size), mask);
        }
        outputs[count++] = rg_concatenate(t, 1, heads, (int)a->heads);
    }
    return count ? rg_concatenate(t, 0, outputs, count) : q;
}

RgTensor *rg_attention(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v, const int64_t *offsets,
                       int64_t sequences, int64_t heads, int64_t kv_heads) {
    RG_ASSERT(q->shape.rank == 2 && rg_shape_equal(k->shape, v->shape));
    RG_ASSERT(heads % kv_heads == 0 && q->shape.size[1] % heads == 0);
    RG_ASSERT(k->shape.size[1] * heads == q->shape.size[1] * kv_heads);
    RG_ASSERT(offsets[sequences] == q->shape.size[0] && k->shape.size[0] == q->shape.size[0]);
    RgArena *arena = rg_tape_arena(t);
    Attention *a = RG_ARENA_ARRAY(arena, Attention, 1);
    *a = (Attention){.sequences = sequences, .heads = heads, .kv_heads = kv_heads};
    a->size = q->shape.size[1] / heads;
    a->offsets = rg_arena_copy(arena, offsets, sizeof *offsets * (size_t)(sequences + 1));
    if (rg_tape_is_second_order(t))
        return attention_expanded(t, a, q, k, v);

    RgTensor *inputs[] = {q, k, v}, *y = rg_tensor_new(t, q->shape);
    bool keep = rg_will_record(t, inputs, 3);
    RgArenaMark mark = rg_arena_mark(arena);
    int64_t longest = longest_sequence(a);
    a->probability =
        RG_ARENA_ARRAY(arena, RgReal, keep ? square_lengths(a) * heads : longest * longest);
    attention_forward(a, keep, q->data, k->data, v->data, y->data);
    if (!keep)
        rg_arena_rewind(arena, mark);
    rg_tape_count_flops(t, (double)(square_lengths(a) * heads * (4 * a->size + 10)));
    return rg_record(t, &attention_operator, y, inputs, 3, a);
}
