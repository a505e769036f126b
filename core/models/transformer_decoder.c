/* SPDX-License-Identifier: MIT */
/* The decoder: weights in panels, caches of keys and values, and one step of all layers. Which
 * tokens are read when is transformer_sample.c's business. */
#include "core/models/transformer_decoder.h"

#include "core/models/transformer_internal.h"
#include "core/tensor/cache_attention.h"
#include "core/tensor/panels.h"
#include "core/tensor/parallel.h"

#include <math.h>
#include <stdlib.h>

/* ---- the decoder ---- */

typedef struct Layer {
    RgPanels query_key_value, output, up, down; /* `up`: gate and up, where there is a gate */
    RgCache prompts, slots;
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
    RgPrecision precision; /* of panels and caches */
    Layer *layers;
    RgPanels head;
    Work work;
    RgCacheHeads heads;
    bool small; /* threads share rows, not weights */
    int threads;
    RgTransformerOptions options; /* the model's, which may be gone when the memory is used again */
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

static RgPanels stack_create(const Decoder *d, int64_t layer, Stack stack) {
    int64_t in = 0, out = 0;
    for (int i = 0; i < stack.count; i++) {
        int view = rg_transformer_view(&d->model->options, layer, stack.weight[i]);
        out += d->parameters->views[view].size[0];
        in = d->parameters->views[view].size[1];
    }
    return rg_panels_create(in, out, weight_of(d, layer, stack.bias[0]) != NULL, d->precision);
}

static void stack_fill(const Decoder *d, int64_t layer, Stack stack, const RgPanels *p) {
    int64_t in = p->in, out = 0, first[3] = {0};
    const RgReal *value[3] = {NULL}, *bias[3] = {NULL};
    RgReal *copied[3] = {NULL};
    for (int i = 0; i < stack.count; i++) {
        int view = rg_transformer_view(&d->model->options, layer, stack.weight[i]);
        copied[i] = copied_matrix(d, layer, stack.weight[i]);
        value[i] = copied[i] ? copied[i] : weight_of(d, layer, stack.weight[i]);
        bias[i] = weight_of(d, layer, stack.bias[i]);
        first[i] = out;
        out += d->parameters->views[view].size[0];
    }
    for (int64_t panel = 0; panel < p->count; panel++) {
        const RgReal *row[RG_PANEL] = {NULL};
        for (int64_t o = panel * RG_PANEL; o < out && o < (panel + 1) * RG_PANEL; o++) {
            int which = stack.count - 1;
            while (o < first[which])
                which--;
            row[o % RG_PANEL] = value[which] + (o - first[which]) * in;
            if (p->bias)
                p->bias[o] = bias[which][o - first[which]];
        }
        rg_panels_fill(p, panel, row);
    }
    for (int i = 0; i < stack.count; i++)
        free(copied[i]);
}

static void head_fill(const Decoder *d) {
    const RgPanels *p = &d->head;
    int view = rg_transformer_head_view(&d->model->options);
    RG_FOR_PIECES(
        p->count, rg_pieces(p->count, 64), for (int64_t i = first; i < last; i++) {
            const RgReal *row[RG_PANEL] = {NULL};
            int64_t start = i * RG_PANEL,
                    count = p->out - start < RG_PANEL ? p->out - start : RG_PANEL;
            const RgReal *value = rg_parameters_rows(d->parameters, view, start, count);
            for (int64_t o = 0; o < count; o++)
                row[o] = value + o * p->in;
            rg_panels_fill(p, i, row);
        });
}

/* The matrices of a layer that are multiplied at once. */
static const Stack query_key_value = {3, {QUERY, KEY, VALUE}, {QUERY_BIAS, KEY_BIAS, VALUE_BIAS}},
                   output = {1, {OUTPUT}, {OUTPUT_BIAS}},
                   gate_up = {2, {GATE, UP}, {GATE_BIAS, UP_BIAS}}, only_up = {1, {UP}, {UP_BIAS}},
                   down = {1, {DOWN}, {DOWN_BIAS}};

static Stack up_stack(const Decoder *d) {
    return d->model->options.feed_forward == RG_FEED_FORWARD_SWIGLU ? gate_up : only_up;
}

static void layer_create(Decoder *d, int64_t index) {
    Layer *layer = &d->layers[index];
    layer->query_key_value = stack_create(d, index, query_key_value);
    layer->output = stack_create(d, index, output);
    layer->up = stack_create(d, index, up_stack(d));
    layer->down = stack_create(d, index, down);
    int64_t heads = d->heads.kv_count, size = d->heads.size;
    layer->prompts =
        rg_cache_create(d->room.prompts, d->room.prompt_length, heads, size, d->precision);
    layer->slots =
        rg_cache_create(d->room.slots, d->room.response_length, heads, size, d->precision);
}

static void layer_fill(const Decoder *d, int64_t index) {
    const Layer *layer = &d->layers[index];
    stack_fill(d, index, query_key_value, &layer->query_key_value);
    stack_fill(d, index, output, &layer->output);
    stack_fill(d, index, up_stack(d), &layer->up);
    stack_fill(d, index, down, &layer->down);
}

static RgReal *numbers(int64_t count) {
    return rg_allocate_aligned(sizeof(RgReal) * (size_t)(count > 0 ? count : 1));
}

static void work_create(Decoder *d) {
    const RgTransformerOptions *o = &d->model->options;
    int64_t rows = d->room.rows;
    d->work = (Work){
        .x = numbers(rows * rg_panels_stride(&d->layers[0].output)),
        .normed = numbers(rows * o->width),
        .qkv = numbers(rows * rg_panels_stride(&d->layers[0].query_key_value)),
        .mixed = numbers(rows * o->width),
        .up = numbers(rows * rg_panels_stride(&d->layers[0].up)),
        .hidden = numbers(rows * o->hidden),
        .scale = numbers(2 * rows),
        .score = numbers(d->threads * d->heads.count * d->heads.stride),
    };
}

bool rg_transformer_decoder_is_small(const RgTransformerOptions *o) {
    const int64_t small = 1 << 21; /* numbers */
    return o->layers * o->width * (4 * o->width + 3 * o->hidden) < small;
}

static void use_policy(Decoder *d, const RgPolicy *policy) {
    d->model = policy->state;
    d->policy = policy;
    d->parameters = rg_policy_weights(policy);
    d->flops = 0;
}

static Decoder *decoder_create(const RgPolicy *policy, RgDecoderRoom room) {
    Decoder *d = rg_allocate(1, sizeof *d);
    use_policy(d, policy);
    d->room = room;
    d->precision = policy->sampling;
    d->threads = rg_threads();
    const RgTransformerOptions *o = &d->model->options;
    d->options = *o;
    d->heads =
        (RgCacheHeads){.count = o->heads, .kv_count = o->kv_heads, .size = o->width / o->heads};
    d->heads.stride =
        (rg_cache_blocks(room.prompt_length) + rg_cache_blocks(room.response_length)) *
        RG_CACHE_BLOCK;
    d->small = rg_transformer_decoder_is_small(o);
    d->layers = rg_allocate(o->layers, sizeof *d->layers);
    for (int64_t i = 0; i < o->layers; i++)
        layer_create(d, i);
    d->head = rg_panels_create(o->width, d->model->vocabulary, false, d->precision);
    work_create(d);
    return d;
}

static void decoder_destroy(Decoder *d) {
    if (!d)
        return;
    for (int64_t i = 0; i < d->options.layers; i++) {
        Layer *layer = &d->layers[i];
        rg_panels_release(&layer->query_key_value);
        rg_panels_release(&layer->output);
        rg_panels_release(&layer->up);
        rg_panels_release(&layer->down);
        rg_cache_release(&layer->prompts);
        rg_cache_release(&layer->slots);
    }
    rg_panels_release(&d->head);
    RgReal *const work[] = {d->work.x,  d->work.normed, d->work.qkv,   d->work.mixed,
                            d->work.up, d->work.hidden, d->work.scale, d->work.score};
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        free(work[i]);
    free(d->layers);
    free(d);
}

/* ---- memory from one decoder to the next ---- */

/* The last decoder that was given back. Fresh memory comes from the system page by page, and as
 * zeros, which took 5 to 8 % of sampling. */
static Decoder *spare;

static bool same_shape(const RgTransformerOptions *a, const RgTransformerOptions *b) {
    return a->layers == b->layers && a->width == b->width && a->heads == b->heads &&
           a->kv_heads == b->kv_heads && a->hidden == b->hidden &&
           a->feed_forward == b->feed_forward && a->biases == b->biases;
}

static bool fits(const Decoder *d, const RgPolicy *policy, RgDecoderRoom room) {
    const RgTransformer *model = policy->state;
    return d->precision == policy->sampling && same_shape(&d->options, &model->options) &&
           d->head.out == model->vocabulary && d->threads >= rg_threads() &&
           d->room.prompts >= room.prompts && d->room.prompt_length >= room.prompt_length &&
           d->room.slots >= room.slots && d->room.response_length >= room.response_length &&
           d->room.rows >= room.rows;
}

Decoder *rg_transformer_decoder_create(const RgPolicy *policy, RgDecoderRoom room) {
    Decoder *d = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL);
    if (d && fits(d, policy, room)) {
        use_policy(d, policy);
    } else {
        decoder_destroy(d);
        d = decoder_create(policy, room);
    }
    RG_FOR_TASKS(d->model->options.layers, true, layer_fill(d, task));
    head_fill(d);
    return d;
}

void rg_transformer_decoder_release(Decoder *d) {
    decoder_destroy(__atomic_exchange_n(&spare, d, __ATOMIC_ACQ_REL));
}

double rg_transformer_decoder_flops(const Decoder *d) {
    return d->flops;
}

int64_t rg_transformer_decoder_stride(const Decoder *d) {
    return rg_panels_stride(&d->head);
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
    int64_t stride = rg_panels_stride(&d->layers[0].output);
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
    int64_t width = o->width, stride = rg_panels_stride(&d->layers[0].output);
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
    int64_t stride = rg_panels_stride(&layer->query_key_value);
    RgRopePairing pairing = (RgRopePairing)o->rope_pairing;
    for (int64_t r = start; r < end; r++) {
        const RgDecoderRow *row = &g->rows[r];
        RgReal *query = d->work.qkv + (g->first + r) * stride, *key = query + o->width;
        if (o->positions == RG_POSITIONS_ROTARY) /* heads of keys follow those of queries */
            rg_rope_row(&d->model->rope, row->position, o->heads + o->kv_heads, pairing, query);
        if (row->slot < 0)
            rg_cache_store(&layer->prompts, row->prompt, row->position, key, key + width);
        else
            rg_cache_store(&layer->slots, row->slot, row->position - row->prompt_length, key,
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
    int64_t stride = rg_panels_stride(&layer->query_key_value);
    for (int64_t r = first; r < last; r++) {
        const RgDecoderRow *row = &g->rows[r];
        bool own = row->slot >= 0;
        const RgCacheSpan span[2] = {
            rg_cache_span(&layer->prompts, row->prompt,
                          own ? row->prompt_length : row->position + 1),
            rg_cache_span(&layer->slots, own ? row->slot : 0,
                          own ? row->position - row->prompt_length + 1 : 0),
        };
        rg_cache_attend(&d->heads, span, d->work.qkv + (g->first + r) * stride, score,
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
    int64_t width = d->model->options.width, stride = rg_panels_stride(&d->layers[0].output);
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
    int64_t stride = rg_panels_stride(&layer->up);
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
static void group_product(const Group *g, const RgPanels *w, const RgReal *x, int64_t x_row,
                          RgReal *y, bool onto) {
    int64_t y_row = rg_panels_stride(w);
    RgPanelsProduct f = {.w = w,
                         .x = x + g->first * x_row,
                         .y = y + g->first * y_row,
                         .rows = g->count,
                         .x_row = x_row,
                         .y_row = y_row};
    f.onto = onto ? f.y : NULL;
    rg_panels_product(&f);
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
        const RgPanels *const all[] = {&l->query_key_value, &l->output, &l->up, &l->down};
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
    rg_panels_product(&(RgPanelsProduct){.w = &d->head,
                                         .x = hidden,
                                         .y = logits,
                                         .rows = count,
                                         .x_row = d->model->options.width,
                                         .y_row = rg_panels_stride(&d->head)});
    d->flops += 2 * (double)count * (double)(d->head.in * d->head.out);
}
