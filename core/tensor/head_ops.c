/* The vocabulary head: log-probabilities of target tokens, head and log-softmax in one, in chunks
 * of rows, so that rows × vocabulary is never held at once; backward computes the logits again. */
#include "core/tensor/blas.h"
#include "core/tensor/kernels.h"

enum { CHUNK_ROWS = 256 };

typedef struct TokenLogprob {
    const int32_t *target; /* [n] */
    RgReal *normaliser;    /* [n], log Σ exp(logit) */
} TokenLogprob;

/* Rows of logits [n, v] to their log-sum-exp and the log-probability of their targets. */
RG_KERNEL static void pick_rows(int64_t n, int64_t v, const RgReal *logits, const int32_t *target,
                                RgReal *normaliser, RgReal *y) {
    for (int64_t r = 0; r < n; r++) {
        const RgReal *row = logits + r * v;
        RgReal top = row[0], sum = 0;
#pragma omp simd reduction(max : top)
        for (int64_t c = 0; c < v; c++)
            top = row[c] > top ? row[c] : top;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < v; c++)
            sum += rg_fast_exp(row[c] - top);
        normaliser[r] = top + (RgReal)log(sum);
        y[r] = row[target[r]] - normaliser[r];
    }
}

/* In place: logits to dy[r]·(onehot(target) − softmax(logits)). */
RG_KERNEL static void pick_rows_backward(int64_t n, int64_t v, const int32_t *target,
                                         const RgReal *normaliser, const RgReal *dy,
                                         RgReal *logits) {
    for (int64_t r = 0; r < n; r++) {
        RgReal *row = logits + r * v, shift = normaliser[r], factor = -dy[r];
#pragma omp simd
        for (int64_t c = 0; c < v; c++)
            row[c] = factor * rg_fast_exp(row[c] - shift);
        row[target[r]] += dy[r];
    }
}

static void chunk_logits(const RgTensor *hidden, const RgTensor *head, int64_t first, int64_t rows,
                         RgReal *logits) {
    int64_t d = hidden->shape.size[1], v = head->shape.size[0];
    rg_gemm(false, true, rows, v, d, 1, hidden->data + first * d, d, head->data, d, 0, logits, v);
}

static int64_t chunk_rows(int64_t n, int64_t first) {
    return n - first < CHUNK_ROWS ? n - first : CHUNK_ROWS;
}

static void token_logprob_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *hidden = y->inputs[0], *head = y->inputs[1];
    const TokenLogprob *saved = y->attributes;
    int64_t n = hidden->shape.size[0], d = hidden->shape.size[1], v = head->shape.size[0];
    RgTensor *dhidden = rg_tensor_new(t, hidden->shape);
    RgGradientTarget dhead = {0};
    if (head->needs_gradient)
        dhead = rg_gradient_target(t, head);
    RgArenaMark mark = rg_arena_mark(rg_tape_arena(t));
    RgReal *logits = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, CHUNK_ROWS * v);
    for (int64_t first = 0; first < n; first += CHUNK_ROWS) {
        int64_t rows = chunk_rows(n, first);
        chunk_logits(hidden, head, first, rows, logits);
        pick_rows_backward(rows, v, saved->target + first, saved->normaliser + first,
                           dy->data + first, logits);
        rg_gemm(false, false, rows, d, v, 1, logits, v, head->data, d, 0, dhidden->data + first * d,
                d);
        if (dhead.data)
            rg_gemm(true, false, v, d, rows, 1, logits, v, hidden->data + first * d, d, 1,
                    dhead.data, d);
    }
    rg_arena_rewind(rg_tape_arena(t), mark);
    rg_tape_count_flops(t, (double)(n * v) * ((dhead.data ? 6.0 : 4.0) * (double)d + 18));
    if (hidden->needs_gradient)
        rg_add_gradient(t, hidden, dhidden);
    if (dhead.data)
        rg_gradient_done(t, head, dhead);
}

static const RgOperator token_logprob_operator = {
    .name = "token_logprob", .backward = token_logprob_backward, .fused = true};

RgTensor *rg_token_logprob(RgTape *t, RgTensor *hidden, RgTensor *head, const int32_t *target) {
    RG_ASSERT(hidden->shape.rank == 2 && head->shape.rank == 2);
    RG_ASSERT(hidden->shape.size[1] == head->shape.size[1]);
    RgArena *arena = rg_tape_arena(t);
    int64_t n = hidden->shape.size[0], d = hidden->shape.size[1], v = head->shape.size[0];
    for (int64_t i = 0; i < n; i++)
        RG_ASSERT(target[i] >= 0 && target[i] < v);
    int32_t *kept = rg_arena_copy(arena, target, sizeof *target * (size_t)n);
    if (rg_tape_is_second_order(t)) {
        RgTensor *logits = rg_matmul_transposed(t, hidden, false, head, true);
        return rg_gather(t, rg_log_softmax(t, logits), kept);
    }
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(n));
    TokenLogprob *saved = RG_ARENA_ARRAY(arena, TokenLogprob, 1);
    *saved = (TokenLogprob){.target = kept, .normaliser = RG_ARENA_ARRAY(arena, RgReal, n)};
    RgArenaMark mark = rg_arena_mark(arena);
    RgReal *logits = RG_ARENA_ARRAY(arena, RgReal, CHUNK_ROWS * v);
    for (int64_t first = 0; first < n; first += CHUNK_ROWS) {
        int64_t rows = chunk_rows(n, first);
        chunk_logits(hidden, head, first, rows, logits);
        pick_rows(rows, v, logits, kept + first, saved->normaliser + first, y->data + first);
    }
    rg_arena_rewind(arena, mark);
    rg_tape_count_flops(t, (double)(n * v) * (2.0 * (double)d + 18));
    return rg_record(t, &token_logprob_operator, y, (RgTensor *[]){hidden, head}, 2, saved);
}
