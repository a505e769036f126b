/* SPDX-License-Identifier: MIT */
/* The decoder's step: tokens through all layers, with attention over the cache.
 * transformer_decoder_memory.c defines the layout of weights and caches; transformer_sample.c
 * decides which tokens are read when. */
#include "core/models/transformer_decoder.h"

#include "core/models/transformer_decoder_internal.h"
#include "core/tensor/parallel.h"

#include <string.h>

typedef RgTransformerDecoder Decoder;

double rg_transformer_decoder_flops(const Decoder *d) {
    return d->flops;
}

int64_t rg_transformer_decoder_stride(const Decoder *d) {
    return rg_panels_stride(&d->head);
}

/* Rows [first, first + count) of a step, read by one group of threads. */
typedef struct Group {
    const RgDecoderRow *rows; /* the group's rows */
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
        for (int64_t c = 0; o->embedding_scale != 1 && c < o->width; c++)
            x[c] *= (RgReal)o->embedding_scale;
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

/* RMSNorm of some heads of a row, in place. */
static void norm_heads(const Decoder *d, int64_t row, const RgReal *weight, int64_t heads,
                       RgReal *x) {
    RgReal epsilon = (RgReal)d->model->options.norm_epsilon;
    for (int64_t h = 0; h < heads; h++, x += d->heads.size)
        rg_rms_norm_rows(1, d->heads.size, x, weight, epsilon, d->work.scale + 2 * row, x);
}

/* Norms queries and keys if the model does so, rotates them to their positions, and stores keys and
 * values in the cache. */
static void store_rows(const Decoder *d, int64_t index, const Group *g, int64_t start,
                       int64_t end) {
    const RgTransformerOptions *o = &d->model->options;
    const RgDecoderLayer *layer = &d->layers[index];
    int64_t width = d->heads.kv_count * d->heads.size;
    int64_t stride = rg_panels_stride(&layer->query_key_value);
    RgRopePairing pairing = (RgRopePairing)o->rope_pairing;
    for (int64_t r = start; r < end; r++) {
        const RgDecoderRow *row = &g->rows[r];
        RgReal *query = d->work.qkv + (g->first + r) * stride;
        RgReal *key = query + o->heads * d->heads.size;
        if (o->query_key_norm) {
            norm_heads(d, g->first + r, rg_decoder_weight(d, index, QUERY_NORM), o->heads, query);
            norm_heads(d, g->first + r, rg_decoder_weight(d, index, KEY_NORM), o->kv_heads, key);
        }
        if (o->positions == RG_POSITIONS_ROTARY) /* the heads of keys follow those of queries */
            rg_rope_row(rg_transformer_rope(d->model, index), row->position, o->heads + o->kv_heads,
                        pairing, query);
        if (row->slot < 0)
            rg_cache_store(&layer->prompts, row->prompt, row->position, key, key + width);
        else
            rg_cache_store(&layer->slots, row->slot, row->position - row->prompt_length, key,
                           key + width);
    }
}

static void store_keys(const Decoder *d, int64_t index, const Group *g) {
    const int64_t scattered = 16; /* cost relative to writing in order */
    RG_FOR_PIECES(g->count,
                  rg_pieces_of_rows(g->count, scattered * d->heads.kv_count * d->heads.size),
                  store_rows(d, index, g, first, last));
}

static void attend_rows(const Decoder *d, int64_t index, const Group *g, int64_t first,
                        int64_t last, RgReal *score) {
    const RgDecoderLayer *layer = &d->layers[index];
    int64_t stride = rg_panels_stride(&layer->query_key_value);
    int64_t window = rg_transformer_window(&d->model->options, index);
    for (int64_t r = first; r < last; r++) {
        const RgDecoderRow *row = &g->rows[r];
        bool own = row->slot >= 0;
        int64_t seen = window > 0 ? row->position + 1 - window : 0; /* the first position */
        const RgCacheSpan span[2] = {
            rg_cache_span_from(&layer->prompts, row->prompt, seen,
                               own ? row->prompt_length : row->position + 1),
            rg_cache_span_from(&layer->slots, own ? row->slot : 0, seen - row->prompt_length,
                               own ? row->position - row->prompt_length + 1 : 0),
        };
        rg_cache_attend(&d->heads, span, d->work.qkv + (g->first + r) * stride, score,
                        d->work.mixed + (g->first + r) * d->heads.count * d->heads.size);
    }
}

static void attend(const Decoder *d, int64_t index, const Group *g) {
    int64_t scores = d->heads.count * d->heads.stride;
    RG_FOR_PIECES(
        g->count, rg_pieces(g->count, 1),
        attend_rows(d, index, g, first, last, d->work.score + rg_thread_number() * scores));
}

/* After attention only the wanted rows are needed. Moves them to the front of the group. */
static void keep_wanted(const Decoder *d, Group *g) {
    int64_t width = d->model->options.width, stride = rg_panels_stride(&d->layers[0].output);
    int64_t query_width = d->heads.count * d->heads.size;
    int64_t kept = 0;
    for (int64_t r = 0; r < g->count; r++) {
        if (!g->rows[r].wanted)
            continue;
        int64_t from = g->first + r, to = g->first + kept++;
        memmove(d->work.x + to * stride, d->work.x + from * stride, sizeof(RgReal) * (size_t)width);
        memmove(d->work.mixed + to * query_width, d->work.mixed + from * query_width,
                sizeof(RgReal) * (size_t)query_width);
    }
    g->count = kept;
}

static void activate_rows(const Decoder *d, const RgDecoderLayer *layer, const Group *g,
                          int64_t first, int64_t last) {
    const RgTransformerOptions *o = &d->model->options;
    int64_t stride = rg_panels_stride(&layer->up);
    for (int64_t r = g->first + first; r < g->first + last; r++) {
        const RgReal *up = d->work.up + r * stride;
        RgReal *hidden = d->work.hidden + r * o->hidden;
        if (o->feed_forward == RG_FEED_FORWARD_SWIGLU)
            rg_swiglu_values(o->hidden, up, up + o->hidden, hidden);
        else if (o->feed_forward == RG_FEED_FORWARD_GELU_EXACT)
            rg_gelu_exact_values(o->hidden, up, hidden);
        else
            rg_gelu_values(o->hidden, up, hidden);
        bool geglu = o->feed_forward == RG_FEED_FORWARD_GEGLU;
        for (int64_t i = 0; geglu && i < o->hidden; i++)
            hidden[i] *= up[o->hidden + i];
    }
}

/* Multiplies a group's rows by a matrix. `x` and `y` are arrays of all rows. */
static void group_product(const Group *g, const RgPanels *w, const RgReal *x, int64_t x_row,
                          RgReal *y, bool onto) {
    int64_t y_row = rg_panels_stride(w);
    RgPanelsGemm f = {.w = w,
                      .x = x + g->first * x_row,
                      .y = y + g->first * y_row,
                      .rows = g->count,
                      .x_row = x_row,
                      .y_row = y_row};
    f.onto = onto ? f.y : NULL;
    rg_panels_gemm(&f);
}

/* work.x += norm(work.added) */
static void add_normed_rows(const Decoder *d, int64_t start, int64_t end, const RgReal *weight) {
    const RgTransformerOptions *o = &d->model->options;
    int64_t stride = rg_panels_stride(&d->layers[0].output);
    for (int64_t r = start; r < end; r++) {
        RgReal *added = d->work.added + r * stride, *x = d->work.x + r * stride;
        rg_rms_norm_rows(1, o->width, added, weight, (RgReal)o->norm_epsilon, d->work.scale + 2 * r,
                         added);
        for (int64_t c = 0; c < o->width; c++)
            x[c] += added[c];
    }
}

/* Adds a product to the residual stream, normed first if the model does so. */
static void onto_stream(const Decoder *d, const Group *g, const RgPanels *w, const RgReal *x,
                        const RgReal *output_norm) {
    if (!output_norm) {
        group_product(g, w, x, w->in, d->work.x, true);
        return;
    }
    group_product(g, w, x, w->in, d->work.added, false);
    RG_FOR_PIECES(g->count, rg_pieces_of_rows(g->count, 8 * w->out),
                  add_normed_rows(d, g->first + first, g->first + last, output_norm));
}

static void read_layer(const Decoder *d, int64_t index, Group *g) {
    const RgTransformerOptions *o = &d->model->options;
    const RgDecoderLayer *layer = &d->layers[index];
    const RgDecoderWork *w = &d->work;
    norm(d, g, rg_decoder_weight(d, index, INPUT_NORM),
         rg_decoder_weight(d, index, INPUT_NORM_BIAS));
    group_product(g, &layer->query_key_value, w->normed, o->width, w->qkv, false);
    store_keys(d, index, g);
    attend(d, index, g);
    if (index == o->layers - 1)
        keep_wanted(d, g);
    bool parallel = o->residual == RG_RESIDUAL_PARALLEL;
    if (!parallel)
        onto_stream(d, g, &layer->output, w->mixed,
                    rg_decoder_weight(d, index, ATTENTION_OUTPUT_NORM));
    norm(d, g, rg_decoder_weight(d, index, POST_NORM), rg_decoder_weight(d, index, POST_NORM_BIAS));
    if (parallel) /* the norm before it has read the layer's input */
        onto_stream(d, g, &layer->output, w->mixed, NULL);
    group_product(g, &layer->up, w->normed, o->width, w->up, false);
    RG_FOR_PIECES(g->count, rg_pieces_of_rows(g->count, 4 * o->hidden),
                  activate_rows(d, layer, g, first, last));
    onto_stream(d, g, &layer->down, w->hidden,
                rg_decoder_weight(d, index, FEED_FORWARD_OUTPUT_NORM));
}

/* `hidden` receives the group's wanted rows, from row `place` on. */
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

/* The first row of group `g` of `groups`: even shares, except that tokens of a prompt stay
 * together. */
static int64_t group_start(const RgDecoderRow *rows, int64_t count, int64_t groups, int64_t g) {
    int64_t start = count * g / groups;
    while (start > 0 && start < count && rows[start].slot < 0 && rows[start - 1].slot < 0 &&
           rows[start].prompt == rows[start - 1].prompt)
        start++;
    return start;
}

static double row_flops(const Decoder *d, const RgDecoderRow *row) {
    const RgTransformerOptions *o = &d->model->options;
    double matrices = 0, seen = 0;
    for (int64_t i = 0; i < o->layers; i++) {
        int64_t window = rg_transformer_window(o, i), before = row->position + 1;
        seen += (double)(window > 0 && window < before ? window : before);
        const RgDecoderLayer *l = &d->layers[i];
        const RgPanels *const all[] = {&l->query_key_value, &l->output, &l->up, &l->down};
        for (int k = 0; k < 4; k++)
            if (k == 0 || i < o->layers - 1 || row->wanted)
                matrices += (double)(all[k]->in * all[k]->out);
    }
    double pair =
        (double)(o->heads * (4 * d->heads.size + 10 + (d->heads.cap > 0 ? RG_CAP_FLOPS : 0)));
    return 2 * matrices + seen * pair + (double)(o->layers * (8 * o->width + 18 * o->hidden));
}

/* Whether threads read separate rows, each with all weights, without waiting for one another. This
 * pays off if weights are small, or rows are many and can be divided evenly. */
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
    rg_panels_gemm(&(RgPanelsGemm){.w = &d->head,
                                   .x = hidden,
                                   .y = logits,
                                   .rows = count,
                                   .x_row = d->model->options.width,
                                   .y_row = rg_panels_stride(&d->head)});
    double cap = d->model->options.logit_cap;
    if (cap > 0)
        RG_FOR_PIECES(count, rg_pieces(count, 1),
                      for (int64_t i = first; i < last; i++) rg_cap_values(
                          d->head.out, (RgReal)cap, logits + i * rg_panels_stride(&d->head)));
    double each = 2 * (double)d->head.in + (cap > 0 ? RG_CAP_FLOPS : 0);
    d->flops += (double)count * (double)d->head.out * each;
}
