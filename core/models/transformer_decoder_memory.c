/* SPDX-License-Identifier: MIT */
/* A decoder's memory: weights in panels, caches of keys and values, scratch for the rows of a step;
 * and the memory kept from one decoder to the next. */
#include "core/models/transformer_decoder_internal.h"
#include "core/tensor/parallel.h"

#include <stdlib.h>

typedef RgTransformerDecoder Decoder;

const RgReal *rg_decoder_weight(const Decoder *d, int64_t layer, enum LayerWeight weight) {
    int view = rg_transformer_view(&d->model->options, layer, weight);
    return view < 0 ? NULL : d->parameters->value + d->parameters->views[view].offset;
}

/* A copy of a matrix with its adapter added, which the caller frees; NULL if the matrix can be used
 * in place. */
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
    return rg_panels_create(in, out, rg_decoder_weight(d, layer, stack.bias[0]) != NULL,
                            d->precision);
}

static void stack_fill(const Decoder *d, int64_t layer, Stack stack, const RgPanels *p) {
    int64_t in = p->in, out = 0, first[3] = {0};
    const RgReal *value[3] = {NULL}, *bias[3] = {NULL};
    RgReal *copied[3] = {NULL};
    for (int i = 0; i < stack.count; i++) {
        int view = rg_transformer_view(&d->model->options, layer, stack.weight[i]);
        copied[i] = copied_matrix(d, layer, stack.weight[i]);
        value[i] = copied[i] ? copied[i] : rg_decoder_weight(d, layer, stack.weight[i]);
        bias[i] = rg_decoder_weight(d, layer, stack.bias[i]);
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

/* The matrices of a layer that are multiplied together. */
static const Stack query_key_value = {3, {QUERY, KEY, VALUE}, {QUERY_BIAS, KEY_BIAS, VALUE_BIAS}},
                   output = {1, {OUTPUT}, {OUTPUT_BIAS}},
                   gate_up = {2, {GATE, UP}, {GATE_BIAS, UP_BIAS}}, only_up = {1, {UP}, {UP_BIAS}},
                   down = {1, {DOWN}, {DOWN_BIAS}};

static Stack up_stack(const Decoder *d) {
    return rg_transformer_is_gated(&d->model->options) ? gate_up : only_up;
}

static void layer_create(Decoder *d, int64_t index) {
    RgDecoderLayer *layer = &d->layers[index];
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
    const RgDecoderLayer *layer = &d->layers[index];
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
    d->work = (RgDecoderWork){
        .x = numbers(rows * rg_panels_stride(&d->layers[0].output)),
        .normed = numbers(rows * o->width),
        .qkv = numbers(rows * rg_panels_stride(&d->layers[0].query_key_value)),
        .mixed = numbers(rows * rg_transformer_query_width(o)),
        .up = numbers(rows * rg_panels_stride(&d->layers[0].up)),
        .hidden = numbers(rows * o->hidden),
        .scale = numbers(2 * rows),
        .added = o->output_norms ? numbers(rows * rg_panels_stride(&d->layers[0].output)) : NULL,
        .score = numbers(d->threads * d->heads.count * d->heads.stride),
    };
}

bool rg_transformer_decoder_is_small(const RgTransformerOptions *o) {
    const int64_t small = 1 << 21; /* numbers */
    return o->layers * o->width * (4 * rg_transformer_query_width(o) + 3 * o->hidden) < small;
}

static void use_policy(Decoder *d, const RgPolicy *policy) {
    d->model = policy->state;
    d->policy = policy;
    d->parameters = rg_policy_weights(policy);
    const RgTransformerOptions *o = &d->model->options;
    d->heads.scale = (RgReal)o->attention_scale;
    d->heads.cap = (RgReal)o->attention_cap;
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
    d->heads.count = o->heads;
    d->heads.kv_count = o->kv_heads;
    d->heads.size = rg_transformer_head_size(o);
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
        RgDecoderLayer *layer = &d->layers[i];
        rg_panels_release(&layer->query_key_value);
        rg_panels_release(&layer->output);
        rg_panels_release(&layer->up);
        rg_panels_release(&layer->down);
        rg_cache_release(&layer->prompts);
        rg_cache_release(&layer->slots);
    }
    rg_panels_release(&d->head);
    RgReal *const work[] = {d->work.x,     d->work.normed, d->work.qkv,
                            d->work.mixed, d->work.up,     d->work.hidden,
                            d->work.scale, d->work.added,  d->work.score};
    for (size_t i = 0; i < sizeof work / sizeof *work; i++)
        free(work[i]);
    free(d->layers);
    free(d);
}

/* ---- memory from one decoder to the next ---- */

/* The last released decoder. New memory comes from the system page by page and zeroed, which took 5
 * to 8 % of the sampling time. */
static Decoder *spare;

static bool same_shape(const RgTransformerOptions *a, const RgTransformerOptions *b) {
    return a->layers == b->layers && a->width == b->width && a->heads == b->heads &&
           a->kv_heads == b->kv_heads && a->hidden == b->hidden &&
           rg_transformer_head_size(a) == rg_transformer_head_size(b) &&
           rg_transformer_is_gated(a) == rg_transformer_is_gated(b) && a->biases == b->biases &&
           a->output_norms == b->output_norms;
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
