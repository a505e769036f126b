/* Sampling from a transformer: prompts are read once, packed, and leave their keys and values in a
 * cache; then all sequences step together, one product per weight and step, and those that are
 * finished leave the batch. How a token is drawn from logits is in token_draw.c. */
#include "core/policy/token_draw.h"
#include "core/policy/transformer_parts.h"

#include <math.h>
#include <stdlib.h>

/* Sequences that step together. A range is cut into waves of so many, to bound the cache. */
enum { WAVE = 128 };

/* Keys and values of one layer. Those of a prompt are shared by the sequences that continue it. */
typedef struct LayerCache {
    const RgReal *prompt_key, *prompt_value; /* [prompt tokens, kv_width], packed */
    RgReal *key, *value;                     /* [sequences, capacity, kv_width] */
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
    int64_t *prompt_offset; /* [prompt_count + 1] */
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

/* ---- attention over the cache ---- */

/* Keys and values that one row attends to, one after another. */
typedef struct Span {
    const RgReal *key, *value;
    int64_t length;
} Span;

/* score[j] = q·k[j], for one head; keys are `stride` apart. */
static inline void span_scores(const RgReal *q, const RgReal *key, int64_t length, int64_t stride,
                               int64_t size, RgReal *score) {
    for (int64_t j = 0; j < length; j++) {
        const RgReal *k = key + j * stride;
        RgReal dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t d = 0; d < size; d++)
            dot += q[d] * k[d];
        score[j] = dot;
    }
}

/* out += Σ_j weight[j]·v[j] */
static inline void span_mix(const RgReal *weight, const RgReal *value, int64_t length,
                            int64_t stride, int64_t size, RgReal *out) {
    for (int64_t j = 0; j < length; j++) {
        const RgReal *v = value + j * stride;
#pragma omp simd
        for (int64_t d = 0; d < size; d++)
            out[d] += weight[j] * v[d];
    }
}

/* weight = exp(scale·(score − max)), in place; returns their sum. */
static inline RgReal exponentials(int64_t n, RgReal scale, RgReal *score) {
    RgReal top = score[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++)
        top = score[j] > top ? score[j] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        score[j] = rg_fast_exp(scale * (score[j] - top));
        sum += score[j];
    }
    return sum;
}

/* All heads of one row: q and out [heads · size], keys and values […, kv_heads · size]. */
RG_KERNEL static void attend_row(const Span span[2], const RgReal *q, int64_t heads,
                                 int64_t kv_heads, int64_t size, RgReal *score, RgReal *out) {
    int64_t stride = kv_heads * size, n = span[0].length + span[1].length;
    RgReal scale = 1 / (RgReal)sqrt((RgReal)size);
    for (int64_t h = 0; h < heads; h++) {
        int64_t at = h / (heads / kv_heads) * size;
        RgReal *mixed = out + h * size;
        for (int s = 0; s < 2; s++)
            span_scores(q + h * size, span[s].key + at, span[s].length, stride, size,
                        score + s * span[0].length);
        RgReal inverse = 1 / exponentials(n, scale, score);
        memset(mixed, 0, sizeof *mixed * (size_t)size);
        for (int s = 0; s < 2; s++)
            span_mix(score + s * span[0].length, span[s].value + at, span[s].length, stride, size,
                     mixed);
        for (int64_t d = 0; d < size; d++)
            mixed[d] *= inverse;
    }
}

/* Put the step's keys and values [active_count, kv_width] at place `step` of the caches, then
 * attend to everything before and including it. Returns [active_count, heads · size]. */
static RgTensor *attend_cached(const Wave *w, LayerCache *cache, RgProjections p, int64_t step) {
    RgTape *t = w->pass.tape;
    const RgTransformer *m = w->pass.model;
    int64_t width = kv_width(&w->pass), query_width = m->options.width;
    RgTensor *attended = rg_tensor_new(t, p.query->shape);
    RgReal *score = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, m->options.context);
    double pairs = 0;
    for (int64_t a = 0; a < w->active_count; a++) {
        int64_t i = w->active[a], prompt = w->prompt_of[i];
        int64_t start = w->prompt_offset[prompt] * width, own = i * w->capacity * width;
        memcpy(cache->key + own + step * width, p.key->data + a * width, sizeof(RgReal) * width);
        memcpy(cache->value + own + step * width, p.value->data + a * width,
               sizeof(RgReal) * width);
        const Span span[2] = {
            {cache->prompt_key + start, cache->prompt_value + start, prompt_length(w, i)},
            {cache->key + own, cache->value + own, step + 1},
        };
        attend_row(span, p.query->data + a * query_width, m->options.heads, m->options.kv_heads,
                   m->rope.size, score, attended->data + a * query_width);
        pairs += (double)(span[0].length + span[1].length);
    }
    rg_tape_count_flops(t, pairs * (double)m->options.heads * (4.0 * (double)m->rope.size + 10));
    return attended;
}

/* ---- prompts ---- */

static bool same_prompt(const RgSequences *s, int64_t a, int64_t b) {
    return s->prompt_length[a] == s->prompt_length[b] &&
           memcmp(rg_sequence_prompt(s, a), rg_sequence_prompt(s, b),
                  sizeof(int32_t) * (size_t)s->prompt_length[a]) == 0;
}

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
        if (i == 0 || !same_prompt(w->prompts, w->first + i - 1, w->first + i)) {
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
    return packed;
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
    int64_t numbers = w->count * w->capacity * kv_width(&w->pass);
    for (int64_t layer = 0; layer < layers; layer++)
        w->cache[layer] = (LayerCache){.prompt_key = kept[layer].key->data,
                                       .prompt_value = kept[layer].value->data,
                                       .key = RG_ARENA_ARRAY(arena, RgReal, numbers),
                                       .value = RG_ARENA_ARRAY(arena, RgReal, numbers)};
    int32_t *rows = RG_ARENA_ARRAY(arena, int32_t, w->active_count);
    for (int64_t a = 0; a < w->active_count; a++)
        rows[a] = (int32_t)w->prompt_of[w->active[a]];
    return rg_embedding(t, hidden, rows, w->active_count);
}

/* ---- steps ---- */

/* Draw token `step` of every active sequence from hidden [active_count, width], and keep those
 * active that go on. */
static void draw_tokens(Wave *w, RgTensor *hidden, int64_t step) {
    RgTensor *head = rg_transformer_head(&w->pass);
    RgTensor *logits = rg_matmul_transposed(w->pass.tape, hidden, false, head, true);
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
    RgTensor *x = rg_transformer_embed(&w->pass, token, w->active_count);
    for (int64_t layer = 0; layer < w->pass.model->options.layers; layer++) {
        RgProjections p = rg_transformer_project(&w->pass, layer, x, position);
        RgTensor *attended = attend_cached(w, &w->cache[layer], p, step);
        x = rg_transformer_finish(&w->pass, layer, x, attended);
    }
    return rg_transformer_last_norm(&w->pass, x);
}

/* Weights as leaves before the first mark, so that rewinding a step does not forget them. */
static void make_leaves(const RgTransformerPass *pass) {
    for (int view = 0; view < pass->parameters->view_count; view++)
        rg_parameter(pass->tape, pass->parameters, view);
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
    make_leaves(&w->pass);
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

double rg_transformer_sample(RgPolicy *policy, const RgSequences *prompts, int64_t first,
                             int64_t last, const RgSampling *sampling, RgRandom random,
                             int32_t *tokens, int64_t *length) {
    RgTape *tape = rg_tape_create();
    rg_tape_record(tape, false);
    const RgTransformer *model = policy->state;
    RgTokenDraw *draw = rg_token_draw_create(sampling, model->vocabulary);
    for (int64_t start = first; start < last; start += WAVE) {
        Wave wave = {
            .pass = {model, tape, policy->parameters},
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
        rg_tape_reset(tape);
    }
    double flops = rg_tape_flops(tape);
    rg_token_draw_destroy(draw);
    rg_tape_destroy(tape);
    return flops;
}
