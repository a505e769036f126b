/* The decoder: weights in panels, a product for few rows, attention over a cache, and one step of
 * all layers. Which tokens are read when is transformer_sample.c's business. */
#include "core/policy/transformer_decoder.h"

#include "core/policy/transformer_parts.h"
#include "core/tensor/parallel.h"

#include <math.h>
#include <stdlib.h>

enum { LANES = 16 };
typedef RgReal Lanes
    __attribute__((vector_size(LANES * sizeof(RgReal)), aligned(sizeof(RgReal)), may_alias));

/* ---- products ---- */

/* W [out, in] as panels of LANES outputs, [panels, in, LANES]: read from front to back, and a sum
 * over `in` stays within one lane. What the last panel has too much is zero. */
typedef struct Panels {
    RgReal *weight;
    RgReal *bias; /* [panels, LANES] or NULL */
    int64_t in, out, count;
} Panels;

static int64_t panels_stride(const Panels *p) {
    return p->count * LANES;
}

static Panels panels_new(int64_t in, int64_t out, bool bias) {
    Panels p = {.in = in, .out = out, .count = (out + LANES - 1) / LANES};
    p.weight = rg_allocate_aligned(sizeof(RgReal) * (size_t)(panels_stride(&p) * in));
    if (bias)
        p.bias = rg_allocate(sizeof(RgReal) * (size_t)panels_stride(&p));
    return p;
}

static void panels_release(Panels *p) {
    free(p->weight);
    free(p->bias);
}

/* Fill a panel from the weights of its outputs: row [LANES], each [in] or NULL. */
static void panel_fill(const Panels *p, int64_t panel, const RgReal *const *row) {
    RgReal *to = p->weight + panel * p->in * LANES;
    for (int lane = 0; lane < LANES; lane++)
        for (int64_t k = 0; k < p->in; k++)
            to[k * LANES + lane] = row[lane] ? row[lane][k] : 0;
}

/* One product: y = x·Wᵀ + bias + onto, where `onto` is NULL or laid out like y, or y itself. */
typedef struct RowsProduct {
    const Panels *w;
    const RgReal *x;
    const RgReal *onto;
    RgReal *y;
    int64_t x_row, y_row;
} RowsProduct;

/* Some rows and panels. Both numbers are constants wherever this is inlined, so that the sums stay
 * in registers; and every sum runs over k from the first to the last, whatever they are. Meanwhile
 * the panel so many panels ahead comes from memory. */
static inline __attribute__((always_inline)) void block(const RowsProduct *f, int rows, int panels,
                                                        int64_t row, int64_t panel, int64_t ahead) {
    int64_t in = f->w->in, size = in * LANES, stride = f->x_row, distance = ahead * size;
    const RgReal *weight = f->w->weight + panel * size;
    const RgReal *low = f->x + row * stride, *high = low + 4 * stride;
    Lanes sum[16];
    for (int i = 0; i < rows * panels; i++)
        sum[i] = (Lanes){0};
    for (int64_t k = 0; k < in; k++, weight += LANES, low++, high++) {
        if (rows * panels == 16)
            __builtin_prefetch(weight + distance, 0, 2);
        for (int p = 0; p < panels; p++) {
            Lanes w = *(const Lanes *)(weight + p * size);
            for (int r = 0; r < rows; r++)
                sum[p * rows + r] += (r < 4 ? low[r * stride] : high[(r - 4) * stride]) * w;
        }
    }
    for (int p = 0; p < panels; p++)
        for (int r = 0; r < rows; r++) {
            int64_t column = (panel + p) * LANES, at = (row + r) * f->y_row + column;
            Lanes y = sum[p * rows + r];
            if (f->w->bias)
                y += *(const Lanes *)(f->w->bias + column);
            if (f->onto)
                y += *(const Lanes *)(f->onto + at);
            *(Lanes *)(f->y + at) = y;
        }
}

/* The rest of the rows of panels [first, last). Few rows take several panels at once, so that there
 * are always some sums that need not wait for one another. */
static inline __attribute__((always_inline)) void
few_rows(const RowsProduct *f, int64_t row, int64_t count, int64_t first, int64_t last) {
    int64_t panel;
    if (count - row >= 4) {
        for (panel = first; panel + 2 <= last; panel += 2)
            block(f, 4, 2, row, panel, 0);
        for (; panel < last; panel++)
            block(f, 4, 1, row, panel, 0);
        row += 4;
    }
    if (count - row >= 2) {
        for (panel = first; panel + 4 <= last; panel += 4)
            block(f, 2, 4, row, panel, 0);
        for (; panel < last; panel++)
            block(f, 2, 1, row, panel, 0);
        row += 2;
    }
    if (count - row >= 1) {
        for (panel = first; panel + 4 <= last; panel += 4)
            block(f, 1, 4, row, panel, 0);
        for (; panel < last; panel++)
            block(f, 1, 1, row, panel, 0);
    }
}

/* All rows of panels [first, last). */
RG_KERNEL static void product_panels(const RowsProduct *f, int64_t count, int64_t first,
                                     int64_t last) {
    int64_t eights = count / 8 * 8;
    for (int64_t panel = first; panel < last; panel++)
        for (int64_t r = 0; r < eights; r += 8)
            block(f, 8, 1, r, panel, 0);
    few_rows(f, eights, count, first, last);
}

/* The same where there are registers for twice as many sums. */
RG_WIDE static void product_panels_wide(const RowsProduct *f, int64_t count, int64_t first,
                                        int64_t last) {
    int64_t eights = count / 8 * 8, panel = first;
    for (; panel + 2 <= last; panel += 2)
        for (int64_t r = 0; r < eights; r += 8)
            block(f, 8, 2, r, panel, r < 16 && panel + 4 <= last ? 2 + r / 8 : 0);
    for (; panel < last; panel++)
        for (int64_t r = 0; r < eights; r += 8)
            block(f, 8, 1, r, panel, 0);
    few_rows(f, eights, count, first, last);
}

static void product(RowsProduct f, int64_t count) {
    int64_t of_panel = f.w->in * LANES * (count < 4 ? 4 : count) / 4;
    RgPieces pieces = rg_pieces_of_rows(f.w->count, of_panel);
    if (rg_has_wide_vectors())
        RG_FOR_PIECES(f.w->count, pieces, product_panels_wide(&f, count, first, last));
    else
        RG_FOR_PIECES(f.w->count, pieces, product_panels(&f, count, first, last));
}

/* ---- the cache ---- */

/* Keys lie in blocks of LANES positions, within a block dimension by dimension with the positions
 * side by side, so that a score is a product of vectors with no sum across one; values lie position
 * by position. Either is read from front to back, which is what attention over a cache costs. */
typedef struct Cache {
    RgReal *key;   /* [entries, blocks, kv_width, LANES] */
    RgReal *value; /* [entries, positions, kv_width] */
    int64_t blocks, positions;
} Cache;

static int64_t blocks_of(int64_t positions) {
    return (positions + LANES - 1) / LANES;
}

static Cache cache_new(int64_t entries, int64_t positions, int64_t width) {
    Cache c = {.blocks = blocks_of(positions), .positions = positions};
    c.key = rg_allocate_aligned(sizeof(RgReal) * (size_t)(entries * c.blocks * width * LANES));
    c.value = rg_allocate_aligned(sizeof(RgReal) * (size_t)(entries * positions * width));
    return c;
}

static void cache_release(Cache *c) {
    free(c->key);
    free(c->value);
}

static RgReal *cache_key(const Cache *c, int64_t entry, int64_t width) {
    return c->key + entry * c->blocks * width * LANES;
}

static RgReal *cache_value(const Cache *c, int64_t entry, int64_t width) {
    return c->value + entry * c->positions * width;
}

/* Put a key and a value [width] at place `at` of an entry. What lies past the last position of a
 * block is computed with, though not used. */
static void cache_store(const Cache *c, int64_t entry, int64_t at, int64_t width, const RgReal *key,
                        const RgReal *value) {
    RgReal *block = cache_key(c, entry, width) + at / LANES * LANES * width;
    for (int64_t d = 0; d < width; d++)
        block[d * LANES + at % LANES] = key[d];
    memcpy(cache_value(c, entry, width) + at * width, value, sizeof *value * (size_t)width);
}

/* ---- attention over the cache ---- */

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
    for (int64_t b = 0; b < blocks_of(span->length); b++) {
        const RgReal *keys = span->key + b * LANES * heads->kv_count * size;
        for (int64_t h = 0; h < heads->count; h++) {
            const Lanes *k = (const Lanes *)keys + h / group * size;
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

/* out[h] += Σ_j weight[h, j]·v[j], two vectors of the head at a time, which stay in registers. */
static inline void span_mix(const Heads *heads, const RgReal *weight, const Span *span,
                            RgReal *out) {
    int64_t size = heads->size, group = heads->count / heads->kv_count;
    int64_t row = heads->kv_count * size;
    for (int64_t h = 0; h < heads->count; h++, weight += heads->stride, out += size) {
        const RgReal *v = span->value + h / group * size;
        int64_t d = 0;
        for (; d + 2 * LANES <= size; d += 2 * LANES) {
            Lanes *to = (Lanes *)(out + d), low = to[0], high = to[1];
            for (int64_t j = 0; j < span->length; j++) {
                const Lanes *from = (const Lanes *)(v + j * row + d);
                low += weight[j] * from[0];
                high += weight[j] * from[1];
            }
            to[0] = low;
            to[1] = high;
        }
        for (int64_t j = 0; d < size && j < span->length; j++)
#pragma omp simd
            for (int64_t e = d; e < size; e++)
                out[e] += weight[j] * v[j * row + e];
    }
}

/* What stands behind the last position of a run of blocks weighs nothing. */
static inline void hide_rest(RgReal *score, int64_t length) {
    for (int64_t j = length; j < blocks_of(length) * LANES; j++)
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
    int64_t second = blocks_of(span[0].length) * LANES;
    span_scores(heads, q, &span[0], score);
    span_scores(heads, q, &span[1], score + second);
    for (int64_t h = 0; h < heads->count; h++) {
        RgReal *row = score + h * heads->stride;
        hide_rest(row, span[0].length);
        hide_rest(row + second, span[1].length);
        softmax_in_place(scale, row, second + blocks_of(span[1].length) * LANES);
    }
    memset(out, 0, sizeof *out * (size_t)(heads->count * heads->size));
    span_mix(heads, score, &span[0], out);
    span_mix(heads, score + second, &span[1], out);
}

/* ---- the decoder ---- */

typedef struct Layer {
    Panels query_key_value, output, up, down; /* `up`: gate and up, where there is a gate */
    Cache prompts, slots;
} Layer;

/* Room for the rows of a step, one after another. */
typedef struct Work {
    RgReal *x;      /* [rows, stride of output], the residual stream */
    RgReal *normed; /* [rows, width] */
    RgReal *qkv;    /* [rows, stride of query_key_value] */
    RgReal *mixed;  /* [rows, width], what attention gives */
    RgReal *up;     /* [rows, stride of up] */
    RgReal *hidden; /* [rows, hidden] */
    RgReal *scale;  /* [rows, 2], what norms leave */
    RgReal *score;  /* [threads, heads, scores of a row] */
} Work;

struct RgTransformerDecoder {
    const RgTransformer *model;
    const RgPolicy *policy;
    const RgParameters *parameters; /* without the adapter, which is merged into the panels */
    RgDecoderRoom room;
    Layer *layers;
    Panels head;
    Work work;
    Heads heads;
    bool small; /* threads share rows, not weights */
    double flops;
};

typedef RgTransformerDecoder Decoder;

static const RgReal *weight_of(const Decoder *d, int64_t layer, enum LayerWeight weight) {
    int view = rg_transformer_view(&d->model->options, layer, weight);
    return view < 0 ? NULL : d->parameters->value + d->parameters->views[view].offset;
}

/* A copy of a matrix with what the adapter adds to it, to be freed; NULL where the matrix can be
 * read as it lies. */
static RgReal *copied_matrix(const Decoder *d, int64_t layer, enum LayerWeight weight) {
    int view = rg_transformer_view(&d->model->options, layer, weight);
    bool adapted = rg_transformer_adapter_view(&d->policy->adapter, layer, weight) >= 0;
    if (!adapted && !d->parameters->views[view].rounded)
        return NULL;
    RgReal *matrix = rg_allocate_aligned(sizeof *matrix * (size_t)d->parameters->views[view].count);
    rg_parameters_read(d->parameters, view, matrix);
    rg_transformer_add_adapter(d->policy, layer, weight, matrix);
    return matrix;
}

/* Some of a layer's matrices, one below the other, with their biases. */
typedef struct Stack {
    int count;
    enum LayerWeight weight[3], bias[3];
} Stack;

static Panels layer_panels(const Decoder *d, int64_t layer, Stack stack) {
    int64_t in = 0, out = 0, first[3] = {0};
    const RgReal *value[3] = {NULL}, *bias[3] = {NULL};
    RgReal *copied[3] = {NULL};
    for (int i = 0; i < stack.count; i++) {
        int view = rg_transformer_view(&d->model->options, layer, stack.weight[i]);
        copied[i] = copied_matrix(d, layer, stack.weight[i]);
        value[i] = copied[i] ? copied[i] : weight_of(d, layer, stack.weight[i]);
        bias[i] = weight_of(d, layer, stack.bias[i]);
        first[i] = out;
        out += d->parameters->views[view].size[0];
        in = d->parameters->views[view].size[1];
    }
    Panels p = panels_new(in, out, bias[0] != NULL);
    for (int64_t panel = 0; panel < p.count; panel++) {
        const RgReal *row[LANES] = {NULL};
        for (int64_t o = panel * LANES; o < out && o < (panel + 1) * LANES; o++) {
            int which = stack.count - 1;
            while (o < first[which])
                which--;
            row[o % LANES] = value[which] + (o - first[which]) * in;
            if (p.bias)
                p.bias[o] = bias[which][o - first[which]];
        }
        panel_fill(&p, panel, row);
    }
    for (int i = 0; i < stack.count; i++)
        free(copied[i]);
    return p;
}

static Panels head_panels(const Decoder *d) {
    int view = rg_transformer_head_view(&d->model->options);
    Panels p = panels_new(d->model->options.width, d->model->vocabulary, false);
    RG_FOR_PIECES(
        p.count, rg_pieces(p.count, 64), for (int64_t i = first; i < last; i++) {
            const RgReal *row[LANES] = {NULL};
            int64_t start = i * LANES, count = p.out - start < LANES ? p.out - start : LANES;
            const RgReal *value = rg_parameters_rows(d->parameters, view, start, count);
            for (int64_t o = 0; o < count; o++)
                row[o] = value + o * p.in;
            panel_fill(&p, i, row);
        });
    return p;
}

static void layer_create(Decoder *d, int64_t index) {
    static const Stack qkv = {3, {QUERY, KEY, VALUE}, {QUERY_BIAS, KEY_BIAS, VALUE_BIAS}},
                       output = {1, {OUTPUT}, {OUTPUT_BIAS}},
                       gate_up = {2, {GATE, UP}, {GATE_BIAS, UP_BIAS}}, up = {1, {UP}, {UP_BIAS}},
                       down = {1, {DOWN}, {DOWN_BIAS}};
    Layer *layer = &d->layers[index];
    bool gate = d->model->options.feed_forward == RG_FEED_FORWARD_SWIGLU;
    layer->query_key_value = layer_panels(d, index, qkv);
    layer->output = layer_panels(d, index, output);
    layer->up = layer_panels(d, index, gate ? gate_up : up);
    layer->down = layer_panels(d, index, down);
    int64_t width = d->heads.kv_count * d->heads.size;
    layer->prompts = cache_new(d->room.prompts, d->room.prompt_length, width);
    layer->slots = cache_new(d->room.slots, d->room.response_length, width);
}

static RgReal *numbers(int64_t count) {
    return rg_allocate_aligned(sizeof(RgReal) * (size_t)(count > 0 ? count : 1));
}

static void work_create(Decoder *d) {
    const RgTransformerOptions *o = &d->model->options;
    int64_t rows = d->room.rows;
    d->work = (Work){
        .x = numbers(rows * panels_stride(&d->layers[0].output)),
        .normed = numbers(rows * o->width),
        .qkv = numbers(rows * panels_stride(&d->layers[0].query_key_value)),
        .mixed = numbers(rows * o->width),
        .up = numbers(rows * panels_stride(&d->layers[0].up)),
        .hidden = numbers(rows * o->hidden),
        .scale = numbers(2 * rows),
        .score = numbers(rg_threads() * d->heads.count * d->heads.stride),
    };
}

bool rg_transformer_decoder_is_small(const RgTransformerOptions *o) {
    const int64_t small = 1 << 21; /* numbers */
    return o->layers * o->width * (4 * o->width + 3 * o->hidden) < small;
}

Decoder *rg_transformer_decoder_create(const RgPolicy *policy, RgDecoderRoom room) {
    Decoder *d = rg_allocate(sizeof *d);
    d->model = policy->state;
    d->policy = policy;
    d->parameters = rg_policy_weights(policy);
    d->room = room;
    const RgTransformerOptions *o = &d->model->options;
    d->heads = (Heads){.count = o->heads, .kv_count = o->kv_heads, .size = o->width / o->heads};
    d->heads.stride = (blocks_of(room.prompt_length) + blocks_of(room.response_length)) * LANES;
    d->small = rg_transformer_decoder_is_small(o);
    d->layers = rg_allocate(sizeof *d->layers * (size_t)o->layers);
    RG_FOR_TASKS(o->layers, true, layer_create(d, task));
    d->head = head_panels(d);
    work_create(d);
    return d;
}

void rg_transformer_decoder_destroy(Decoder *d) {
    if (!d)
        return;
    for (int64_t i = 0; i < d->model->options.layers; i++) {
        Layer *layer = &d->layers[i];
        panels_release(&layer->query_key_value);
        panels_release(&layer->output);
        panels_release(&layer->up);
        panels_release(&layer->down);
        cache_release(&layer->prompts);
        cache_release(&layer->slots);
    }
    panels_release(&d->head);
    RgReal *const work[] = {d->work.x,  d->work.normed, d->work.qkv,   d->work.mixed,
                            d->work.up, d->work.hidden, d->work.scale, d->work.score};
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        free(work[i]);
    free(d->layers);
    free(d);
}

double rg_transformer_decoder_flops(const Decoder *d) {
    return d->flops;
}

int64_t rg_transformer_decoder_stride(const Decoder *d) {
    return panels_stride(&d->head);
}

/* ---- a step ---- */

/* Rows [first, first + count) of a step, which one group of threads reads. */
typedef struct Group {
    const RgDecoderRow *rows; /* of the group */
    int64_t first, count;
} Group;

static void embed(const Decoder *d, const Group *g) {
    const RgTransformerOptions *o = &d->model->options;
    const RgParameters *p = d->parameters;
    int64_t stride = panels_stride(&d->layers[0].output);
    bool learned = o->positions == RG_POSITIONS_LEARNED;
    for (int64_t r = 0; r < g->count; r++) {
        RgReal *x = d->work.x + (g->first + r) * stride;
        memcpy(x, rg_parameters_rows(p, EMBEDDING, g->rows[r].token, 1),
               sizeof *x * (size_t)o->width);
        const RgReal *place =
            learned ? rg_parameters_rows(p, POSITION_EMBEDDING, g->rows[r].position, 1) : NULL;
        for (int64_t c = 0; learned && c < o->width; c++)
            x[c] += place[c];
    }
}

/* work.normed = norm(work.x); `bias` is for LayerNorm. */
static void norm_rows(const Decoder *d, int64_t start, int64_t end, const RgReal *weight,
                      const RgReal *bias) {
    const RgTransformerOptions *o = &d->model->options;
    int64_t width = o->width, stride = panels_stride(&d->layers[0].output);
    RgReal epsilon = (RgReal)o->norm_epsilon;
    for (int64_t r = start; r < end; r++) {
        const RgReal *x = d->work.x + r * stride;
        RgReal *y = d->work.normed + r * width, *scale = d->work.scale + 2 * r;
        if (o->norm == RG_NORM_RMS)
            rg_rms_norm_rows(1, width, x, weight, epsilon, scale, y);
        else
            rg_layer_norm_rows(1, width, x, weight, bias, epsilon, scale, scale + 1, y);
    }
}

static void norm(const Decoder *d, const Group *g, const RgReal *weight, const RgReal *bias) {
    RG_FOR_PIECES(g->count, rg_pieces_of_rows(g->count, 8 * d->model->options.width),
                  norm_rows(d, g->first + first, g->first + last, weight, bias));
}

/* Turn queries and keys to their positions and put keys and values into the cache. */
static void store_rows(const Decoder *d, const Layer *layer, const Group *g, int64_t start,
                       int64_t end) {
    const RgTransformerOptions *o = &d->model->options;
    int64_t width = d->heads.kv_count * d->heads.size;
    int64_t stride = panels_stride(&layer->query_key_value);
    RgRopePairing pairing = (RgRopePairing)o->rope_pairing;
    for (int64_t r = start; r < end; r++) {
        const RgDecoderRow *row = &g->rows[r];
        RgReal *query = d->work.qkv + (g->first + r) * stride, *key = query + o->width;
        if (o->positions == RG_POSITIONS_ROTARY) /* heads of keys follow those of queries */
            rg_rope_row(&d->model->rope, row->position, o->heads + o->kv_heads, pairing, query);
        if (row->slot < 0)
            cache_store(&layer->prompts, row->prompt, row->position, width, key, key + width);
        else
            cache_store(&layer->slots, row->slot, row->position - row->prompt_length, width, key,
                        key + width);
    }
}

static void store_keys(const Decoder *d, const Layer *layer, const Group *g) {
    const int64_t scattered = 16; /* times what writing in order costs */
    RG_FOR_PIECES(g->count,
                  rg_pieces_of_rows(g->count, scattered * d->heads.kv_count * d->heads.size),
                  store_rows(d, layer, g, first, last));
}

static void attend_rows(const Decoder *d, const Layer *layer, const Group *g, int64_t first,
                        int64_t last, RgReal *score) {
    int64_t width = d->heads.kv_count * d->heads.size;
    int64_t stride = panels_stride(&layer->query_key_value);
    for (int64_t r = first; r < last; r++) {
        const RgDecoderRow *row = &g->rows[r];
        bool own = row->slot >= 0;
        const Span span[2] = {
            {.key = cache_key(&layer->prompts, row->prompt, width),
             .value = cache_value(&layer->prompts, row->prompt, width),
             .length = own ? row->prompt_length : row->position + 1},
            {.key = cache_key(&layer->slots, own ? row->slot : 0, width),
             .value = cache_value(&layer->slots, own ? row->slot : 0, width),
             .length = own ? row->position - row->prompt_length + 1 : 0},
        };
        attend_row(&d->heads, span, d->work.qkv + (g->first + r) * stride, score,
                   d->work.mixed + (g->first + r) * d->model->options.width);
    }
}

static void attend(const Decoder *d, const Layer *layer, const Group *g) {
    int64_t scores = d->heads.count * d->heads.stride;
    RG_FOR_PIECES(
        g->count, rg_pieces(g->count, 1),
        attend_rows(d, layer, g, first, last, d->work.score + rg_thread_number() * scores));
}

/* After attention only the wanted rows matter: move them to the front of the group. */
static void keep_wanted(const Decoder *d, Group *g) {
    int64_t width = d->model->options.width, stride = panels_stride(&d->layers[0].output);
    size_t bytes = sizeof(RgReal) * (size_t)width;
    int64_t kept = 0;
    for (int64_t r = 0; r < g->count; r++) {
        if (!g->rows[r].wanted)
            continue;
        int64_t from = g->first + r, to = g->first + kept++;
        memmove(d->work.x + to * stride, d->work.x + from * stride, bytes);
        memmove(d->work.mixed + to * width, d->work.mixed + from * width, bytes);
    }
    g->count = kept;
}

static void activate_rows(const Decoder *d, const Layer *layer, const Group *g, int64_t first,
                          int64_t last) {
    const RgTransformerOptions *o = &d->model->options;
    int64_t stride = panels_stride(&layer->up);
    for (int64_t r = g->first + first; r < g->first + last; r++) {
        const RgReal *up = d->work.up + r * stride;
        RgReal *hidden = d->work.hidden + r * o->hidden;
        if (o->feed_forward == RG_FEED_FORWARD_SWIGLU)
            rg_swiglu_values(o->hidden, up, up + o->hidden, hidden);
        else
            rg_gelu_values(o->hidden, up, hidden);
    }
}

/* The product of a group's rows with a matrix; `x` and `y` are arrays of all rows. */
static void group_product(const Group *g, const Panels *w, const RgReal *x, int64_t x_row,
                          RgReal *y, bool onto) {
    int64_t y_row = panels_stride(w);
    RowsProduct f = {.w = w,
                     .x = x + g->first * x_row,
                     .y = y + g->first * y_row,
                     .x_row = x_row,
                     .y_row = y_row};
    f.onto = onto ? f.y : NULL;
    product(f, g->count);
}

static void read_layer(const Decoder *d, int64_t index, Group *g) {
    const RgTransformerOptions *o = &d->model->options;
    const Layer *layer = &d->layers[index];
    const Work *w = &d->work;
    norm(d, g, weight_of(d, index, INPUT_NORM), weight_of(d, index, INPUT_NORM_BIAS));
    group_product(g, &layer->query_key_value, w->normed, o->width, w->qkv, false);
    store_keys(d, layer, g);
    attend(d, layer, g);
    if (index == o->layers - 1)
        keep_wanted(d, g);
    group_product(g, &layer->output, w->mixed, o->width, w->x, true);
    norm(d, g, weight_of(d, index, POST_NORM), weight_of(d, index, POST_NORM_BIAS));
    group_product(g, &layer->up, w->normed, o->width, w->up, false);
    RG_FOR_PIECES(g->count, rg_pieces_of_rows(g->count, 4 * o->hidden),
                  activate_rows(d, layer, g, first, last));
    group_product(g, &layer->down, w->hidden, o->hidden, w->x, true);
}

/* `hidden` gets the group's wanted rows, from row `place` on. */
static void read_group(const Decoder *d, Group g, int64_t place, RgReal *hidden) {
    const RgTransformerOptions *o = &d->model->options;
    embed(d, &g);
    for (int64_t layer = 0; layer < o->layers; layer++)
        read_layer(d, layer, &g);
    const RgParameters *p = d->parameters;
    int view = rg_transformer_last_norm_view(o);
    const RgReal *bias = o->norm == RG_NORM_LAYER ? p->value + p->views[view + 1].offset : NULL;
    norm(d, &g, p->value + p->views[view].offset, bias);
    memcpy(hidden + place * o->width, d->work.normed + g.first * o->width,
           sizeof *hidden * (size_t)(g.count * o->width));
}

/* Where group `g` of `groups` begins: an even share, but the tokens of a prompt stay together. */
static int64_t group_start(const RgDecoderRow *rows, int64_t count, int64_t groups, int64_t g) {
    int64_t start = count * g / groups;
    while (start > 0 && start < count && rows[start].slot < 0 && rows[start - 1].slot < 0 &&
           rows[start].prompt == rows[start - 1].prompt)
        start++;
    return start;
}

static double row_flops(const Decoder *d, const RgDecoderRow *row) {
    const RgTransformerOptions *o = &d->model->options;
    double matrices = 0;
    for (int64_t i = 0; i < o->layers; i++) {
        const Layer *l = &d->layers[i];
        const Panels *const all[] = {&l->query_key_value, &l->output, &l->up, &l->down};
        for (int k = 0; k < 4; k++)
            if (k == 0 || i < o->layers - 1 || row->wanted)
                matrices += (double)(all[k]->in * all[k]->out);
    }
    double pair = (double)(o->heads * (4 * d->heads.size + 10));
    return 2 * matrices + (double)(o->layers * (row->position + 1)) * pair +
           (double)(o->layers * (8 * o->width + 18 * o->hidden));
}

/* Whether threads read rows apart, each with all weights, and need not wait for one another: where
 * weights are small or rows are many, and fall into even shares. */
static bool reads_apart(const Decoder *d, const RgDecoderRow *rows, int64_t count) {
    enum { MANY = 24 };
    int64_t groups = rg_threads(), largest = 0;
    for (int64_t g = 0; g < groups; g++) {
        int64_t share =
            group_start(rows, count, groups, g + 1) - group_start(rows, count, groups, g);
        largest = share > largest ? share : largest;
    }
    return (d->small || count >= MANY * groups) && 4 * largest * groups <= 5 * count;
}

void rg_transformer_decoder_read(Decoder *d, const RgDecoderRow *rows, int64_t count,
                                 RgReal *hidden) {
    RG_ASSERT(count <= d->room.rows);
    int64_t groups = reads_apart(d, rows, count) ? rg_threads() : 1;
    RG_FOR_TASKS(groups, groups > 1, {
        int64_t first = group_start(rows, count, groups, task), place = 0;
        int64_t last = group_start(rows, count, groups, task + 1);
        for (int64_t r = 0; r < first; r++)
            place += rows[r].wanted;
        if (first < last)
            read_group(d, (Group){rows + first, first, last - first}, place, hidden);
    });
    for (int64_t r = 0; r < count; r++)
        d->flops += row_flops(d, &rows[r]);
}

void rg_transformer_decoder_logits(Decoder *d, const RgReal *hidden, int64_t count,
                                   RgReal *logits) {
    product((RowsProduct){.w = &d->head,
                          .x = hidden,
                          .y = logits,
                          .x_row = d->model->options.width,
                          .y_row = panels_stride(&d->head)},
            count);
    d->flops += 2 * (double)count * (double)(d->head.in * d->head.out);
}
