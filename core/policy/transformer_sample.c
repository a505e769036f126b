/* Sampling from a transformer: prompts are read once, packed, and leave their keys and values in a
 * cache; then all sequences step together, one product per weight and step, and those that are
 * finished leave the batch. How a token is drawn from logits is in token_draw.c. */
#include "core/policy/token_draw.h"
#include "core/policy/transformer_parts.h"

#include <math.h>
#include <stdlib.h>

/* Sequences that step together. A range is cut into waves of so many, to bound the cache. */
enum { WAVE = 128 };

/* Keys lie in blocks of LANES positions, within a block dimension by dimension with the positions
 * side by side, so that a score is a product of vectors with no sum across one; values lie position
 * by position. Either is read from front to back, which is what attention over a cache costs. */
enum { LANES = 16 };
typedef RgReal Lanes
    __attribute__((vector_size(LANES * sizeof(RgReal)), aligned(sizeof(RgReal)), may_alias));

/* Keys and values of one layer. Those of a prompt are shared by the sequences that continue it. */
typedef struct LayerCache {
    RgReal *prompt_key;         /* [prompt blocks, kv_width, LANES] */
    const RgReal *prompt_value; /* [prompt tokens, kv_width], packed */
    RgReal *key;                /* [sequences, blocks of capacity, kv_width, LANES] */
    RgReal *value;              /* [sequences, capacity, kv_width] */
} LayerCache;

/* One wave: sequences [first, first + count) of the prompts. */
typedef struct Wave {
    RgTransformerPass pass;
    const RgSequences *prompts;
    const RgSampling *sampling;
    RgRandom random;
    int64_t first, count;
    int32_t *tokens; /* [count, response_limit] */
    int64_t *length; /* [count] */

    int64_t prompt_count;
    int64_t *prompt_of;     /* [count], which of the different prompts */
    int64_t *prompt_offset; /* [prompt_count + 1], of its first token */
    int64_t *prompt_block;  /* [prompt_count + 1], of its first block of keys */
    LayerCache *cache;      /* [layers] */
    int64_t capacity;       /* response tokens that the cache has room for */
    int64_t *active;        /* [active_count], sequences that go on, in order */
    int64_t active_count;
    RgTokenDraw *draw;
} Wave;

static int64_t kv_width(const RgTransformerPass *pass) {
    return pass->model->rope.size * pass->model->options.kv_heads;
}

static int64_t prompt_length(const Wave *w, int64_t i) {
    return w->prompts->prompt_length[w->first + i];
}

/* Most tokens that sequence i may get. */
static int64_t room(const Wave *w, int64_t i) {
    int64_t left = w->pass.model->options.context - prompt_length(w, i);
    return left < w->sampling->response_limit ? left : w->sampling->response_limit;
}

static int64_t blocks(int64_t positions) {
    return (positions + LANES - 1) / LANES;
}

/* ---- attention over the cache ---- */

/* Put one key [width] at place `at` of blocks of keys. A new block is cleared first: what lies past
 * the last position is computed with, though not used. */
static void key_store(RgReal *key, int64_t at, int64_t width, const RgReal *from) {
    RgReal *block = key + at / LANES * LANES * width;
    if (at % LANES == 0)
        memset(block, 0, sizeof *block * (size_t)(LANES * width));
    for (int64_t d = 0; d < width; d++)
        block[d * LANES + at % LANES] = from[d];
}

/* Heads of the model, as attention needs them. */
typedef struct Heads {
    int64_t count, kv_count, size;
    int64_t stride; /* between the scores of two heads */
} Heads;

/* Keys and values that one row attends to, one after another. */
typedef struct Span {
    const RgReal *key, *value;
    int64_t length;
} Span;

/* score[h, j] = q[h]·k[j] for the blocks of one span; q [heads · size]. */
static inline void span_scores(const Heads *heads, const RgReal *q, const Span *span,
                               RgReal *score) {
    int64_t size = heads->size, group = heads->count / heads->kv_count;
    for (int64_t b = 0; b < blocks(span->length); b++) {
        const RgReal *block = span->key + b * LANES * heads->kv_count * size;
        for (int64_t h = 0; h < heads->count; h++) {
            const Lanes *k = (const Lanes *)block + h / group * size;
            const RgReal *qh = q + h * size;
            Lanes even = {0}, odd = {0}; /* two sums, as one addition waits for the last */
            for (int64_t d = 0; d < size; d += 2) {
                even += qh[d] * k[d];
                odd += qh[d + 1] * k[d + 1];
            }
            even += odd;
            memcpy(score + h * heads->stride + b * LANES, &even, sizeof even);
        }
    }
}

/* out[h] += Σ_j weight[h, j]·v[j] */
static inline void span_mix(const Heads *heads, const RgReal *weight, const Span *span,
                            RgReal *out) {
    int64_t size = heads->size, group = heads->count / heads->kv_count;
    for (int64_t j = 0; j < span->length; j++)
        for (int64_t h = 0; h < heads->count; h++) {
            const RgReal *v = span->value + (j * heads->kv_count + h / group) * size;
            RgReal share = weight[h * heads->stride + j], *mixed = out + h * size;
#pragma omp simd
            for (int64_t d = 0; d < size; d++)
                mixed[d] += share * v[d];
        }
}

/* What stands behind the last position of a run of blocks weighs nothing. */
static inline void hide_rest(RgReal *score, int64_t length) {
    for (int64_t j = length; j < blocks(length) * LANES; j++)
        score[j] = (RgReal)-1e30;
}

/* softmax(scale·score) of n scores, in place. */
static inline void softmax_in_place(RgReal scale, RgReal *score, int64_t n) {
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

/* All heads of one row attend to a prompt and to what followed it: q and out [heads · size], score
 * [heads, stride]. */
RG_KERNEL static void attend_row(const Heads *heads, const Span span[2], const RgReal *q,
                                 RgReal *score, RgReal *out) {
    RgReal scale = 1 / (RgReal)sqrt((RgReal)heads->size);
    int64_t second = blocks(span[0].length) * LANES;
    span_scores(heads, q, &span[0], score);
    span_scores(heads, q, &span[1], score + second);
    for (int64_t h = 0; h < heads->count; h++) {
        RgReal *row = score + h * heads->stride;
        hide_rest(row, span[0].length);
        hide_rest(row + second, span[1].length);
        softmax_in_place(scale, row, second + blocks(span[1].length) * LANES);
    }
    memset(out, 0, sizeof *out * (size_t)(heads->count * heads->size));
    span_mix(heads, score, &span[0], out);
    span_mix(heads, score + second, &span[1], out);
}

/* Put the step's keys and values [active_count, kv_width] at place `step` of the caches, then
 * attend to everything before and including it. Returns [active_count, heads · size]. */
static RgTensor *attend_cached(const Wave *w, LayerCache *cache, RgProjections p, int64_t step) {
    RgTape *t = w->pass.tape;
    const RgTransformerOptions *o = &w->pass.model->options;
    int64_t width = kv_width(&w->pass), own_blocks = blocks(w->capacity) * LANES;
    Heads heads = {.count = o->heads, .kv_count = o->kv_heads, .size = w->pass.model->rope.size};
    heads.stride = (blocks(o->context) + 1) * LANES;
    RgTensor *attended = rg_tensor_new(t, p.query->shape);
    RgReal *score = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, o->heads * heads.stride);
    double pairs = 0;
    for (int64_t a = 0; a < w->active_count; a++) {
        int64_t i = w->active[a], prompt = w->prompt_of[i];
        RgReal *own_key = cache->key + i * own_blocks * width;
        RgReal *own_value = cache->value + i * w->capacity * width;
        key_store(own_key, step, width, p.key->data + a * width);
        memcpy(own_value + step * width, p.value->data + a * width, sizeof(RgReal) * (size_t)width);
        const Span span[2] = {
            {.key = cache->prompt_key + w->prompt_block[prompt] * LANES * width,
             .value = cache->prompt_value + w->prompt_offset[prompt] * width,
             .length = prompt_length(w, i)},
            {.key = own_key, .value = own_value, .length = step + 1},
        };
        attend_row(&heads, span, p.query->data + a * o->width, score,
                   attended->data + a * o->width);
        pairs += (double)(span[0].length + span[1].length);
    }
    rg_tape_count_flops(t, pairs * (double)(o->heads * (4 * heads.size + 10)));
    return attended;
}

/* ---- prompts ---- */

/* Pack the different prompts of the wave (copies stand next to each other) and note which sequence
 * has which. */
static RgPackedTokens pack_prompts(Wave *w) {
    RgArena *arena = rg_tape_arena(w->pass.tape);
    int64_t total = 0;
    for (int64_t i = 0; i < w->count; i++)
        total += prompt_length(w, i);
    RgPackedTokens packed = {.token = RG_ARENA_ARRAY(arena, int32_t, total),
                             .position = RG_ARENA_ARRAY(arena, int32_t, total),
                             .offset = RG_ARENA_ARRAY(arena, int64_t, w->count + 1)};
    w->prompt_of = RG_ARENA_ARRAY(arena, int64_t, w->count);
    for (int64_t i = 0; i < w->count; i++) {
        RG_ASSERT(prompt_length(w, i) > 0);
        if (i == 0 || !rg_transformer_same_prompt(w->prompts, w->first + i - 1, w->first + i)) {
            packed.offset[packed.sequences++] = packed.count;
            for (int64_t j = 0; j < prompt_length(w, i); j++) {
                packed.token[packed.count] = rg_sequence_prompt(w->prompts, w->first + i)[j];
                packed.position[packed.count++] = (int32_t)j;
            }
        }
        w->prompt_of[i] = packed.sequences - 1;
    }
    packed.offset[packed.sequences] = packed.count;
    w->prompt_count = packed.sequences;
    w->prompt_offset = packed.offset;
    w->prompt_block = RG_ARENA_ARRAY(arena, int64_t, w->prompt_count + 1);
    w->prompt_block[0] = 0;
    for (int64_t p = 0; p < w->prompt_count; p++)
        w->prompt_block[p + 1] =
            w->prompt_block[p] + blocks(packed.offset[p + 1] - packed.offset[p]);
    return packed;
}

/* The cache of a layer with the prompts' part filled. */
static LayerCache make_cache(const Wave *w, const RgProjections *p) {
    RgArena *arena = rg_tape_arena(w->pass.tape);
    int64_t width = kv_width(&w->pass), own_blocks = blocks(w->capacity) * LANES;
    int64_t prompt_blocks = w->prompt_block[w->prompt_count] * LANES;
    LayerCache cache = {.prompt_key = RG_ARENA_ARRAY(arena, RgReal, prompt_blocks * width),
                        .prompt_value = p->value->data,
                        .key = RG_ARENA_ARRAY(arena, RgReal, w->count * own_blocks * width),
                        .value = RG_ARENA_ARRAY(arena, RgReal, w->count * w->capacity * width)};
    for (int64_t prompt = 0; prompt < w->prompt_count; prompt++) {
        int64_t start = w->prompt_offset[prompt], length = w->prompt_offset[prompt + 1] - start;
        RgReal *key = cache.prompt_key + w->prompt_block[prompt] * LANES * width;
        for (int64_t j = 0; j < length; j++)
            key_store(key, j, width, p->key->data + (start + j) * width);
    }
    return cache;
}

/* Read all prompts, fill the caches' prompt part, and return the hidden states that predict the
 * first response tokens: [active_count, width]. */
static RgTensor *read_prompts(Wave *w) {
    RgTape *t = w->pass.tape;
    RgArena *arena = rg_tape_arena(t);
    int64_t layers = w->pass.model->options.layers;
    RgPackedTokens packed = pack_prompts(w);
    int32_t *last = RG_ARENA_ARRAY(arena, int32_t, w->prompt_count);
    for (int64_t p = 0; p < w->prompt_count; p++)
        last[p] = (int32_t)packed.offset[p + 1] - 1;
    RgProjections *kept = RG_ARENA_ARRAY(arena, RgProjections, layers);
    RgTensor *hidden = rg_transformer_hidden(&w->pass, &packed, last, w->prompt_count, kept);
    w->cache = RG_ARENA_ARRAY(arena, LayerCache, layers);
    for (int64_t layer = 0; layer < layers; layer++)
        w->cache[layer] = make_cache(w, &kept[layer]);
    int32_t *rows = RG_ARENA_ARRAY(arena, int32_t, w->active_count);
    for (int64_t a = 0; a < w->active_count; a++)
        rows[a] = (int32_t)w->prompt_of[w->active[a]];
    return rg_embedding(t, hidden, rows, w->active_count);
}

/* ---- steps ---- */

/* Draw token `step` of every active sequence from hidden [active_count, width], and keep those
 * active that go on. */
static void draw_tokens(Wave *w, RgTensor *hidden, int64_t step) {
    RgTensor *logits = rg_transformer_logits(&w->pass, hidden);
    int64_t vocabulary = w->pass.model->vocabulary, limit = w->sampling->response_limit, kept = 0;
    for (int64_t a = 0; a < w->active_count; a++) {
        int64_t i = w->active[a];
        RgRandom stream = rg_random_at(w->random, (uint64_t)(w->first + i));
        int32_t token = rg_token_draw(w->draw, logits->data + a * vocabulary,
                                      rg_random_uniform(stream, (uint64_t)step));
        w->tokens[i * limit + step] = token;
        w->length[i] = step + 1;
        if (token != w->sampling->end_token && step + 1 < room(w, i))
            w->active[kept++] = i;
    }
    w->active_count = kept;
}

/* Feed token `step` of the active sequences: the hidden states [active_count, width] that predict
 * the next. */
static RgTensor *feed_tokens(Wave *w, int64_t step) {
    RgArena *arena = rg_tape_arena(w->pass.tape);
    int32_t *token = RG_ARENA_ARRAY(arena, int32_t, w->active_count);
    int32_t *position = RG_ARENA_ARRAY(arena, int32_t, w->active_count);
    for (int64_t a = 0; a < w->active_count; a++) {
        int64_t i = w->active[a];
        token[a] = w->tokens[i * w->sampling->response_limit + step];
        position[a] = (int32_t)(prompt_length(w, i) + step);
    }
    RgTensor *x = rg_transformer_embed(&w->pass, token, position, w->active_count);
    for (int64_t layer = 0; layer < w->pass.model->options.layers; layer++) {
        RgProjections p = rg_transformer_project(&w->pass, layer, x, position);
        RgTensor *attended = attend_cached(w, &w->cache[layer], p, step);
        x = rg_transformer_finish(&w->pass, layer, x, attended);
    }
    return rg_transformer_last_norm(&w->pass, x);
}

static void run_wave(Wave *w) {
    RgTape *t = w->pass.tape;
    w->active = RG_ARENA_ARRAY(rg_tape_arena(t), int64_t, w->count);
    for (int64_t i = 0; i < w->count; i++) {
        w->length[i] = 0;
        if (room(w, i) > 0)
            w->active[w->active_count++] = i;
        w->capacity = room(w, i) > w->capacity ? room(w, i) : w->capacity;
    }
    if (w->active_count == 0)
        return;
    RgTensor *hidden = read_prompts(w);
    RgTapeMark mark = rg_tape_mark(t);
    for (int64_t step = 0;; step++) {
        draw_tokens(w, hidden, step);
        if (w->active_count == 0)
            return;
        rg_tape_rewind(t, mark);
        hidden = feed_tokens(w, step);
    }
}

/* With few rows at a time, a product with Wᵀ spends as long on turning W around as on multiplying:
 * do it once for all steps. Leaves made here are before any mark, and no rewind forgets them. */
static RgTensor **transpose_weights(const RgTransformerPass *pass) {
    int views = pass->parameters->view_count;
    RgTensor **transposed = RG_ARENA_ARRAY(rg_tape_arena(pass->tape), RgTensor *, views);
    for (int view = 0; view < views; view++) {
        RgTensor *weight = rg_parameter(pass->tape, pass->parameters, view);
        transposed[view] = weight->shape.rank == 2 ? rg_transpose(pass->tape, weight) : NULL;
    }
    return transposed;
}

double rg_transformer_sample(RgPolicy *policy, const RgSequences *prompts, int64_t first,
                             int64_t last, const RgSampling *sampling, RgRandom random,
                             int32_t *tokens, int64_t *length) {
    RgTransformer *model = policy->state;
    RgTape *tape = rg_transformer_take_tape(model);
    double flops_before = rg_tape_flops(tape);
    rg_tape_record(tape, false);
    RgTransformerPass pass = {model, tape, policy->parameters, NULL};
    pass.transposed = transpose_weights(&pass);
    RgTapeMark mark = rg_tape_mark(tape);
    RgTokenDraw *draw = rg_token_draw_create(sampling, model->vocabulary);
    for (int64_t start = first; start < last; start += WAVE) {
        Wave wave = {
            .pass = pass,
            .prompts = prompts,
            .sampling = sampling,
            .random = random,
            .first = start,
            .count = last - start < WAVE ? last - start : WAVE,
            .tokens = tokens + (start - first) * sampling->response_limit,
            .length = length + (start - first),
            .draw = draw,
        };
        run_wave(&wave);
        rg_tape_rewind(tape, mark);
    }
    double flops = rg_tape_flops(tape) - flops_before;
    rg_token_draw_destroy(draw);
    rg_transformer_give_tape(model, tape);
    return flops;
}
