/* SPDX-License-Identifier: MIT */
/* The output head: log-probabilities of target tokens, with the head and log-softmax in one
 * operator. Logits are computed in tiles of rows × tokens that stay in the cache, and are never in
 * memory all at once; backward computes them again. The vocabulary is cut into pieces. Each piece
 * has its own part of the head's gradient, and sums its own share of the hidden states'
 * gradient. */
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"
#include "core/tensor/vector_ops.h"

enum {
    TILE_ROWS = 256,
    TILE_TOKENS = 512,
    CHUNK_ROWS = 1024, /* rows whose gradient shares are in memory for all pieces at once, … */
    CHUNK_SHARES = CHUNK_ROWS * RG_PIECES_MOST, /* … but at most this many shares */
};

typedef struct TokenLogprob {
    const int32_t *target; /* [n] */
    RgReal *normaliser;    /* [n], log Σ exp(logit) */
    RgPrecision precision;
    RgReal cap; /* of the logits; 0: none */
} TokenLogprob;

/* Rows [row, row + rows) and tokens [token, token + tokens). The logits have rows `stride`
 * apart. */
typedef struct Tile {
    int64_t row, rows, token, tokens, stride;
} Tile;

/* Tokens of a tile in a piece of `tokens` tokens. Tiles of a piece have about equal sizes. */
static int64_t tile_tokens(int64_t tokens) {
    int64_t tiles = (tokens + TILE_TOKENS - 1) / TILE_TOKENS;
    return (tokens + tiles - 1) / tiles;
}

static Tile tile_at(int64_t row, int64_t end_row, int64_t token, int64_t tokens, int64_t end) {
    Tile tile = {.row = row,
                 .rows = end_row - row < TILE_ROWS ? end_row - row : TILE_ROWS,
                 .token = token,
                 .tokens = end - token < tokens ? end - token : tokens};
    tile.stride = tile.tokens;
    return tile;
}

/* Tokens [token, token + tokens) of the head. Converted ones are valid until the thread's next
 * call. */
static const RgReal *head_of(const RgTensor *head, int64_t token, int64_t tokens) {
    int64_t d = head->shape.size[1];
    return head->rounded ? rg_bf16_widened(head->rounded + token * d, tokens, d, d)
                         : head->data + token * d;
}

/* `head` is that of the tile's tokens. */
static void tile_logits(const TokenLogprob *saved, const RgTensor *hidden, const RgReal *head,
                        Tile tile, RgReal *logits) {
    int64_t d = hidden->shape.size[1];
    rg_gemm_whole_in(saved->precision, false, true, tile.rows, tile.tokens, d,
                     hidden->data + tile.row * d, d, head, d, false, logits, tile.stride);
    for (int64_t r = 0; saved->cap > 0 && r < tile.rows; r++)
        rg_cap_values(tile.tokens, saved->cap, logits + r * tile.stride);
}

static RgReal *tiles_new(RgTape *t) {
    return RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, rg_threads() * TILE_ROWS * TILE_TOKENS);
}

static RgReal *tile_of_thread(RgReal *tiles) {
    return tiles + rg_thread_number() * TILE_ROWS * TILE_TOKENS;
}

/* ---- forward ---- */

/* A piece's summary of its logits: the largest in each row, and the sum of exp of the differences
 * from it. */
typedef struct Share {
    RgReal *top, *sum; /* [n] */
} Share;

/* Adds a tile's logits to the share, and its targets' logits to y. */
RG_KERNEL(void, take_tile,
          (Tile tile, const RgReal *logits, const int32_t *target, Share share, RgReal *y),
          (tile, logits, target, share, y)) {
    for (int64_t r = 0; r < tile.rows; r++) {
        const RgReal *row = logits + r * tile.stride;
        int64_t at = tile.row + r;
        RgReal top = share.top[at], sum = 0;
#pragma omp simd reduction(max : top)
        for (int64_t c = 0; c < tile.tokens; c++)
            top = row[c] > top ? row[c] : top;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < tile.tokens; c++)
            sum += rg_fast_exp(row[c] - top);
        share.sum[at] = share.sum[at] * rg_fast_exp(share.top[at] - top) + sum;
        share.top[at] = top;
        if (target[at] >= tile.token && target[at] < tile.token + tile.tokens)
            y[at] = row[target[at] - tile.token];
    }
}

/* Tokens [first, last) of all rows. */
static void read_piece(const RgTensor *hidden, const RgTensor *head, int64_t first, int64_t last,
                       const TokenLogprob *saved, Share share, RgReal *logits, RgReal *y) {
    int64_t n = hidden->shape.size[0], tokens = tile_tokens(last - first);
    for (int64_t token = first; token < last; token += tokens) {
        const RgReal *part = head_of(head, token, last - token < tokens ? last - token : tokens);
        for (int64_t row = 0; row < n; row += TILE_ROWS) {
            Tile tile = tile_at(row, n, token, tokens, last);
            tile_logits(saved, hidden, part, tile, logits);
            take_tile(tile, logits, saved->target, share, y);
        }
    }
}

/* Combines the pieces' shares [pieces, n] of rows [first, last): computes the normaliser, and turns
 * y from the target's logit into its log-probability. */
static void join_rows(int64_t n, int64_t pieces, Share share, int64_t first, int64_t last,
                      RgReal *normaliser, RgReal *y) {
    for (int64_t r = first; r < last; r++) {
        RgReal top = share.top[r];
        for (int64_t p = 1; p < pieces; p++)
            top = share.top[p * n + r] > top ? share.top[p * n + r] : top;
        double sum = 0;
        for (int64_t p = 0; p < pieces; p++)
            sum += (double)share.sum[p * n + r] * exp((double)(share.top[p * n + r] - top));
        normaliser[r] = top + (RgReal)log(sum);
        y[r] -= normaliser[r];
    }
}

static void join_shares(int64_t n, int64_t pieces, Share share, RgReal *normaliser, RgReal *y) {
    enum { LEAST_ROWS_JOINED = 32 };
    RG_FOR_PIECES(n, rg_spread(n, LEAST_ROWS_JOINED),
                  join_rows(n, pieces, share, first, last, normaliser, y));
}

static void token_logprob_forward(RgTape *t, const RgTensor *hidden, const RgTensor *head,
                                  const TokenLogprob *saved, RgReal *y) {
    RgArena *arena = rg_tape_arena(t);
    RgArenaMark mark = rg_arena_mark(arena);
    int64_t n = hidden->shape.size[0], v = head->shape.size[0];
    RgPieces pieces = rg_vocabulary_pieces(v);
    RgReal *tiles = tiles_new(t);
    Share all = {.top = RG_ARENA_ARRAY(arena, RgReal, pieces.count * n),
                 .sum = RG_ARENA_ARRAY(arena, RgReal, pieces.count * n)};
    for (int64_t i = 0; i < pieces.count * n; i++) {
        all.top[i] = (RgReal)-1e30;
        all.sum[i] = 0;
    }
    RG_FOR_PIECES(v, pieces,
                  read_piece(hidden, head, first, last, saved,
                             (Share){all.top + piece * n, all.sum + piece * n},
                             tile_of_thread(tiles), y));
    join_shares(n, pieces.count, all, saved->normaliser, y);
    rg_arena_rewind(arena, mark);
}

/* ---- backward ---- */

/* In place: replaces a tile's logits by dy[r]·(onehot(target) − softmax(logits)). */
RG_KERNEL(void, tile_slopes,
          (Tile tile, const TokenLogprob *saved, const RgReal *dy, RgReal *logits),
          (tile, saved, dy, logits)) {
    for (int64_t r = 0; r < tile.rows; r++) {
        int64_t at = tile.row + r, target = saved->target[at] - tile.token;
        RgReal *row = logits + r * tile.stride, shift = saved->normaliser[at], factor = -dy[at];
#pragma omp simd
        for (int64_t c = 0; c < tile.tokens; c++)
            row[c] = factor * rg_fast_exp(row[c] - shift);
        if (target >= 0 && target < tile.tokens)
            row[target] += dy[at];
    }
}

/* The same where the logits are capped: l = cap·tanh(x / cap) has the slope 1 − (l / cap)². */
RG_KERNEL(void, capped_slopes,
          (Tile tile, const TokenLogprob *saved, const RgReal *dy, RgReal *logits),
          (tile, saved, dy, logits)) {
    for (int64_t r = 0; r < tile.rows; r++) {
        int64_t at = tile.row + r, target = saved->target[at] - tile.token;
        RgReal *row = logits + r * tile.stride, shift = saved->normaliser[at], factor = -dy[at];
        bool here = target >= 0 && target < tile.tokens;
        RgReal share = here ? row[target] / saved->cap : 0;
#pragma omp simd
        for (int64_t c = 0; c < tile.tokens; c++) {
            RgReal part = row[c] / saved->cap;
            row[c] = factor * rg_fast_exp(row[c] - shift) * (1 - part * part);
        }
        if (here)
            row[target] += dy[at] * (1 - share * share);
    }
}

static void slopes_of_tile(Tile tile, const TokenLogprob *saved, const RgReal *dy, RgReal *logits) {
    if (saved->cap > 0)
        capped_slopes(tile, saved, dy, logits);
    else
        tile_slopes(tile, saved, dy, logits);
}

static double cap_flops(const TokenLogprob *saved) {
    return saved->cap > 0 ? RG_CAP_FLOPS : 0;
}

/* Rows [start, end): adds the gradient of tokens [first, last) of the head to dhead (unless NULL),
 * and writes these tokens' share of the hidden states' gradient to dhidden [end − start, d]. */
static void piece_backward(const RgTensor *y, const RgReal *dy, int64_t start, int64_t end,
                           int64_t first, int64_t last, RgReal *logits, RgReal *dhidden,
                           RgReal *dhead) {
    const RgTensor *hidden = y->inputs[0], *head = y->inputs[1];
    const TokenLogprob *saved = y->attributes;
    int64_t d = hidden->shape.size[1], tokens = tile_tokens(last - first);
    for (int64_t token = first; token < last; token += tokens) {
        const RgReal *part = head_of(head, token, last - token < tokens ? last - token : tokens);
        for (int64_t row = start; row < end; row += TILE_ROWS) {
            Tile tile = tile_at(row, end, token, tokens, last);
            tile_logits(saved, hidden, part, tile, logits);
            slopes_of_tile(tile, saved, dy, logits);
            rg_gemm_whole_in(saved->precision, false, false, tile.rows, d, tile.tokens, logits,
                             tile.tokens, part, d, token > first, dhidden + (row - start) * d, d);
            if (dhead)
                rg_gemm_whole_in(saved->precision, true, false, tile.tokens, d, tile.rows, logits,
                                 tile.tokens, hidden->data + row * d, d, true, dhead + token * d,
                                 d);
        }
    }
}

/* sum[i] = Σ share[p, i], in the order of the pieces; i in [first, last) */
static void add_shares(int64_t count, int64_t pieces, const RgReal *share, int64_t first,
                       int64_t last, RgReal *sum) {
    memcpy(sum + first, share + first, sizeof *sum * (size_t)(last - first));
    for (int64_t p = 1; p < pieces; p++)
        for (int64_t i = first; i < last; i++)
            sum[i] += share[p * count + i];
}

static void token_logprob_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *hidden = y->inputs[0], *head = y->inputs[1];
    int64_t n = hidden->shape.size[0], d = hidden->shape.size[1], v = head->shape.size[0];
    RgTensor *dhidden = rg_tensor_new(t, hidden->shape);
    RgGradientTarget dhead = {0};
    if (head->needs_gradient)
        dhead = rg_gradient_target(t, head);
    RgArena *arena = rg_tape_arena(t);
    RgArenaMark mark = rg_arena_mark(arena);
    RgPieces pieces = rg_vocabulary_pieces(v);
    int64_t most = pieces.count > RG_PIECES_MOST ? CHUNK_SHARES / pieces.count : CHUNK_ROWS;
    int64_t chunk = n < most ? n : most;
    RgReal *tiles = tiles_new(t), *shares = RG_ARENA_ARRAY(arena, RgReal, pieces.count * chunk * d);
    for (int64_t start = 0; start < n; start += chunk) {
        int64_t end = start + chunk < n ? start + chunk : n, count = (end - start) * d;
        RG_FOR_PIECES(v, pieces,
                      piece_backward(y, dy->data, start, end, first, last, tile_of_thread(tiles),
                                     shares + piece * count, dhead.data));
        int64_t used = (v + pieces.size - 1) / pieces.size; /* non-empty pieces */
        RG_FOR_PIECES(count, rg_spread(count, RG_LEAST_NUMBERS / 4),
                      add_shares(count, used, shares, first, last, dhidden->data + start * d));
    }
    rg_arena_rewind(arena, mark);
    double each = (dhead.data ? 6.0 : 4.0) * (double)d + 18 + cap_flops(y->attributes);
    rg_tape_count_flops(t, (double)(n * v) * each);
    rg_add_gradient(t, hidden, dhidden);
    if (dhead.data)
        rg_gradient_done(t, head, dhead);
}

static const RgOperator token_logprob_operator = {
    .name = "token_logprob", .backward = token_logprob_backward, .fused = true};

static void check_head(const RgTensor *hidden, const RgTensor *head, const int32_t *target) {
    RG_ASSERT(hidden->shape.rank == 2 && head->shape.rank == 2);
    RG_ASSERT(hidden->shape.size[1] == head->shape.size[1]);
    for (int64_t i = 0; i < hidden->shape.size[0]; i++)
        RG_ASSERT(target[i] >= 0 && target[i] < head->shape.size[0]);
}

RgTensor *rg_token_logprob(RgTape *t, RgTensor *hidden, RgTensor *head, const int32_t *target) {
    return rg_token_logprob_capped(t, hidden, head, target, 0);
}

RgTensor *rg_token_logprob_capped(RgTape *t, RgTensor *hidden, RgTensor *head,
                                  const int32_t *target, double cap) {
    check_head(hidden, head, target);
    RgArena *arena = rg_tape_arena(t);
    int64_t n = hidden->shape.size[0], d = hidden->shape.size[1], v = head->shape.size[0];
    int32_t *kept = rg_arena_copy(arena, target, sizeof *target * (size_t)n);
    if (rg_tape_is_second_order(t)) {
        RgTensor *logits = rg_matmul_transposed(t, hidden, false, head, true);
        if (cap > 0)
            logits = rg_scale(t, rg_tanh(t, rg_scale(t, logits, (RgReal)(1 / cap))), (RgReal)cap);
        return rg_gather(t, rg_log_softmax(t, logits), kept);
    }
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(n));
    TokenLogprob *saved = RG_ARENA_ARRAY(arena, TokenLogprob, 1);
    *saved = (TokenLogprob){.target = kept,
                            .normaliser = RG_ARENA_ARRAY(arena, RgReal, n),
                            .precision = rg_tape_precision(t),
                            .cap = (RgReal)cap};
    token_logprob_forward(t, hidden, head, saved, y->data);
    rg_tape_count_flops(t, (double)(n * v) * (2.0 * (double)d + 18 + cap_flops(saved)));
    return rg_record(t, &token_logprob_operator, y, (RgTensor *[]){hidden, head}, 2, saved);
}

/* ---- the sum of all, with its gradient in the same pass ---- */

enum { LOGITS = 1 << 23, LEAST_ROWS = 32 }; /* logits in memory at once, in whole rows */

/* d Σ log-probability / d hidden and / d head (or NULL). */
typedef struct LogLikelihood {
    RgReal *dhidden, *dhead;
} LogLikelihood;

static void log_likelihood_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *hidden = y->inputs[0], *head = y->inputs[1];
    const LogLikelihood *saved = y->attributes;
    if (hidden->needs_gradient) {
        RgTensor *all = rg_borrow(t, hidden->shape, saved->dhidden);
        rg_add_gradient(t, hidden, rg_scale(t, all, dy->data[0]));
    }
    if (saved->dhead) {
        RgGradientTarget target = rg_gradient_target(t, head);
        rg_axpy(head->count, dy->data[0], saved->dhead, target.data);
        rg_gradient_done(t, head, target);
    }
}

static const RgOperator log_likelihood_operator = {
    .name = "log_likelihood", .backward = log_likelihood_backward, .fused = true};

/* What the rows of a chunk need while iterating over the vocabulary. */
typedef struct Chunk {
    int64_t start, rows;
    RgReal *logits;   /* [rows, v] */
    Share share;      /* [pieces, rows] */
    RgReal *dhidden;  /* [pieces, rows, d] */
    const RgReal *dy; /* ones */
} Chunk;

static Tile chunk_tile(const Chunk *c, int64_t v, int64_t first, int64_t last) {
    return (Tile){
        .row = c->start, .rows = c->rows, .token = first, .tokens = last - first, .stride = v};
}

/* The logits of tokens [first, last), and piece `piece`'s summary of them. */
static void chunk_forward(const RgTensor *hidden, const RgTensor *head, const TokenLogprob *saved,
                          const Chunk *c, int64_t piece, int64_t first, int64_t last, RgReal *y) {
    Tile tile = chunk_tile(c, head->shape.size[0], first, last);
    Share share = {c->share.top + piece * c->rows - c->start,
                   c->share.sum + piece * c->rows - c->start};
    tile_logits(saved, hidden, head->data + first * head->shape.size[1], tile, c->logits + first);
    take_tile(tile, c->logits + first, saved->target, share, y);
}

static void chunk_backward(const RgTensor *hidden, const RgTensor *head, const TokenLogprob *saved,
                           const Chunk *c, int64_t piece, int64_t first, int64_t last,
                           RgReal *dhead) {
    int64_t d = hidden->shape.size[1], v = head->shape.size[0];
    Tile tile = chunk_tile(c, v, first, last);
    slopes_of_tile(tile, saved, c->dy, c->logits + first);
    rg_gemm_whole_in(saved->precision, false, false, tile.rows, d, tile.tokens, c->logits + first,
                     v, head->data + first * d, d, false, c->dhidden + piece * c->rows * d, d);
    if (dhead)
        rg_gemm_whole_in(saved->precision, true, false, tile.tokens, d, tile.rows,
                         c->logits + first, v, hidden->data + c->start * d, d, c->start > 0,
                         dhead + first * d, d);
}

static void log_likelihood_run(RgTape *t, const RgTensor *hidden, const RgTensor *head,
                               const TokenLogprob *saved, const LogLikelihood *gradient,
                               RgReal *y) {
    RgArena *arena = rg_tape_arena(t);
    RgArenaMark mark = rg_arena_mark(arena);
    int64_t n = hidden->shape.size[0], d = hidden->shape.size[1], v = head->shape.size[0];
    RgPieces pieces = rg_vocabulary_pieces(v);
    int64_t used = (v + pieces.size - 1) / pieces.size, most = LOGITS / v;
    most = most < LEAST_ROWS ? LEAST_ROWS : most > TILE_ROWS ? TILE_ROWS : most;
    Chunk c = {.logits = RG_ARENA_ARRAY(arena, RgReal, most * v),
               .share = {.top = RG_ARENA_ARRAY(arena, RgReal, used * most),
                         .sum = RG_ARENA_ARRAY(arena, RgReal, used * most)},
               .dhidden = RG_ARENA_ARRAY(arena, RgReal, used * most * d),
               .dy = rg_filled(t, RG_SHAPE(n), 1)->data};
    for (c.start = 0; c.start < n; c.start += most) {
        c.rows = n - c.start < most ? n - c.start : most;
        for (int64_t i = 0; i < used * c.rows; i++) {
            c.share.top[i] = (RgReal)-1e30;
            c.share.sum[i] = 0;
        }
        RG_FOR_PIECES(v, pieces, chunk_forward(hidden, head, saved, &c, piece, first, last, y));
        join_shares(c.rows, used, c.share, saved->normaliser + c.start, y + c.start);
        RG_FOR_PIECES(v, pieces,
                      chunk_backward(hidden, head, saved, &c, piece, first, last, gradient->dhead));
        RG_FOR_PIECES(
            c.rows * d, rg_spread(c.rows * d, RG_LEAST_NUMBERS / 4),
            add_shares(c.rows * d, used, c.dhidden, first, last, gradient->dhidden + c.start * d));
    }
    rg_arena_rewind(arena, mark);
}

RgTensor *rg_log_likelihood(RgTape *t, RgTensor *hidden, RgTensor *head, const int32_t *target) {
    return rg_log_likelihood_capped(t, hidden, head, target, 0);
}

RgTensor *rg_log_likelihood_capped(RgTape *t, RgTensor *hidden, RgTensor *head,
                                   const int32_t *target, double cap) {
    RgTensor *inputs[] = {hidden, head};
    /* Here whole shares of a bf16 head would be converted; the other operator's tiles need less. */
    if (rg_tape_is_second_order(t) || !rg_will_record(t, inputs, 2) || head->rounded)
        return rg_sum(t, rg_token_logprob_capped(t, hidden, head, target, cap));
    check_head(hidden, head, target);
    RgArena *arena = rg_tape_arena(t);
    int64_t n = hidden->shape.size[0], d = hidden->shape.size[1], v = head->shape.size[0];
    LogLikelihood *gradient = rg_arena_allocate_zeroed(arena, sizeof *gradient);
    gradient->dhidden = RG_ARENA_ARRAY(arena, RgReal, n * d);
    if (head->needs_gradient) /* the first chunk initialises it */
        gradient->dhead =
            n > 0 ? RG_ARENA_ARRAY(arena, RgReal, head->count) : rg_filled(t, head->shape, 0)->data;
    RgTensor *y = rg_tensor_new(t, RG_SCALAR);
    RgArenaMark mark = rg_arena_mark(arena);
    const TokenLogprob saved = {.target = target,
                                .normaliser = RG_ARENA_ARRAY(arena, RgReal, n),
                                .precision = rg_tape_precision(t),
                                .cap = (RgReal)cap};
    RgReal *each = RG_ARENA_ARRAY(arena, RgReal, n);
    log_likelihood_run(t, hidden, head, &saved, gradient, each);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)each[i];
    y->data[0] = (RgReal)sum;
    rg_arena_rewind(arena, mark);
    double flops = (gradient->dhead ? 6.0 : 4.0) * (double)d + 36 + cap_flops(&saved);
    rg_tape_count_flops(t, (double)(n * v) * flops);
    return rg_record(t, &log_likelihood_operator, y, inputs, 2, gradient);
}
