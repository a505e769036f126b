/* SPDX-License-Identifier: MIT */
/* Closed forms of a transformer's cost. They follow the operators of transformer.c one by one: an
 * operator that allocates more needs one more line here. Small allocations (indices, partial sums)
 * are ignored. */
#include "core/models/transformer_cost.h"

#include "core/models/transformer_decoder.h"
#include "core/models/transformer_internal.h"
#include "core/policy/data_parallel.h"
#include "core/tensor/parallel.h"

#include <math.h>

/* As in core/tensor/head_ops.c and attention_ops.c. */
enum {
    TILE_ROWS = 256,
    TILE_TOKENS = 512,
    TILE_NUMBERS = TILE_ROWS * TILE_TOKENS,
    CHUNK_ROWS = 1024,
    LOGITS = 1 << 23,
    LEAST_ROWS = 32,
    ATTENTION_BLOCK = 64,
};
enum { WIDENED = 64 * 1024, LEAST_COLUMNS = 32 }; /* as in core/tensor/gemm_dispatch.c */
enum { LANES = 16 };                              /* as in core/models/transformer_decoder.c */

/* Numbers and operations of a part of a pass. */
typedef struct Cost {
    double forward, backward; /* numbers allocated */
    double forward_flops, backward_flops;
} Cost;

static void add(Cost *sum, Cost part) {
    sum->forward += part.forward;
    sum->backward += part.backward;
    sum->forward_flops += part.forward_flops;
    sum->backward_flops += part.backward_flops;
}

/* The sizes used by all forms below. */
typedef struct Sizes {
    double width, query_width, kv_width, hidden, vocabulary, layers, heads, kv_heads, head_size;
    double rows;        /* read by layers: prompts once, responses without their last token */
    double predicting;  /* rows that predict a response token */
    double scores;      /* pairs of rows that attention computes, for one head */
    double longest;     /* longest sequence */
    double capped;      /* operations for the cap of a score; 0: none */
    bool rotary, gated; /* else learned, one matrix before the activation */
} Sizes;

static Sizes sizes_of(const RgTransformerCost *plan, const RgPassLoad *load) {
    const RgTransformerOptions *o = &plan->options;
    double p = (double)load->prompt_length, r = (double)load->response_length;
    double own = r > 1 ? r - 1 : 0, prompts = (double)load->prompts;
    double responses = prompts * (double)load->copies;
    return (Sizes){.width = (double)o->width,
                   .query_width = (double)rg_transformer_query_width(o),
                   .kv_width = (double)(rg_transformer_head_size(o) * o->kv_heads),
                   .hidden = (double)o->hidden,
                   .vocabulary = (double)plan->vocabulary,
                   .layers = (double)o->layers,
                   .heads = (double)o->heads,
                   .kv_heads = (double)o->kv_heads,
                   .head_size = (double)rg_transformer_head_size(o),
                   .rows = prompts * p + responses * own,
                   .predicting = responses * r,
                   .scores = prompts * p * (p + 1) / 2 + responses * own * (p + (own + 1) / 2),
                   .longest = p + r,
                   .rotary = o->positions == RG_POSITIONS_ROTARY,
                   .capped = o->attention_cap > 0 ? RG_CAP_FLOPS : 0,
                   .gated = rg_transformer_is_gated(o)};
}

/* ---- parameters ---- */

static bool is_adapted(const RgTransformerCost *plan, enum LayerWeight weight) {
    return plan->adapter.rank > 0 && plan->adapter.targets >> weight & 1;
}

/* A matrix [out, in] of each layer. */
typedef struct Matrix {
    enum LayerWeight weight;
    double out, in;
} Matrix;
enum { MATRICES = 7 };

static void matrices_of(const Sizes *s, Matrix matrices[MATRICES]) {
    const Matrix all[MATRICES] = {
        {QUERY, s->query_width, s->width}, {KEY, s->kv_width, s->width},
        {VALUE, s->kv_width, s->width},    {OUTPUT, s->width, s->query_width},
        {GATE, s->hidden, s->width},       {UP, s->hidden, s->width},
        {DOWN, s->width, s->hidden}};
    for (int i = 0; i < MATRICES; i++)
        matrices[i] = all[i];
}

RgStatus rg_transformer_cost(const RgTransformerOptions *options, int64_t vocabulary,
                             const RgAdapterOptions *adapter, RgTransformerCost *plan,
                             RgError *error) {
    *plan = (RgTransformerCost){.vocabulary = vocabulary};
    RG_TRY(rg_transformer_dimensions(options, vocabulary, &plan->options, error));
    plan->adapter.rank = adapter->rank;
    plan->adapter.dropout = adapter->dropout;
    if (adapter->rank > 0)
        RG_TRY(rg_transformer_targets(&plan->options, adapter->targets, &plan->adapter, error));
    return RG_OK;
}

int64_t rg_transformer_cost_matrices(const RgTransformerCost *plan) {
    const RgTransformerOptions *o = &plan->options;
    RgPassLoad none = {0};
    Sizes s = sizes_of(plan, &none);
    Matrix matrices[MATRICES];
    matrices_of(&s, matrices);
    double layer = 0, tables = s.vocabulary * s.width * (o->tied ? 1 : 2);
    for (int i = 0; i < MATRICES; i++)
        if (rg_transformer_view(o, 0, matrices[i].weight) >= 0)
            layer += matrices[i].out * matrices[i].in;
    return (int64_t)(tables + (s.rotary ? 0 : (double)o->context * s.width) + s.layers * layer);
}

int64_t rg_transformer_cost_weights(const RgTransformerCost *plan) {
    const RgTransformerOptions *o = &plan->options;
    RgPassLoad none = {0};
    Sizes s = sizes_of(plan, &none);
    Matrix matrices[MATRICES];
    matrices_of(&s, matrices);
    double norm = o->norm == RG_NORM_LAYER ? 2 * s.width : s.width, layer = 2 * norm;
    static const enum LayerWeight bias[] = {QUERY_BIAS, KEY_BIAS, VALUE_BIAS, OUTPUT_BIAS,
                                            GATE_BIAS,  UP_BIAS,  DOWN_BIAS};
    for (int i = 0; i < MATRICES; i++)
        if (rg_transformer_view(o, 0, bias[i]) >= 0)
            layer += matrices[i].out;
    layer += (o->query_key_norm ? 2 * s.head_size : 0) + (o->output_norms ? 2 * s.width : 0);
    return rg_transformer_cost_matrices(plan) + (int64_t)(s.layers * layer + norm);
}

int64_t rg_transformer_cost_trained(const RgTransformerCost *plan) {
    if (plan->adapter.rank == 0)
        return rg_transformer_cost_weights(plan);
    RgPassLoad none = {0};
    Sizes s = sizes_of(plan, &none);
    Matrix matrices[MATRICES];
    matrices_of(&s, matrices);
    double layer = 0;
    for (int i = 0; i < MATRICES; i++)
        if (is_adapted(plan, matrices[i].weight))
            layer += (double)plan->adapter.rank * (matrices[i].out + matrices[i].in);
    return (int64_t)(s.layers * layer);
}

/* ---- passes ---- */

/* Whether the gradient of a product's input is shared. The second product that adds to it needs a
 * sum. */
enum Sharing {
    NO_INPUT_GRADIENT, /* nothing before it is trained, so there is no such gradient */
    ALONE,
    FIRST,
    SECOND,
    LATER
};

/* The adapter's update of a product of `rows` rows. */
static Cost update_cost(const RgTransformerCost *plan, double rows, const Matrix *m,
                        enum Sharing sharing) {
    if (!is_adapted(plan, m->weight))
        return (Cost){0};
    double rank = (double)plan->adapter.rank, thin = rows * rank, wide = rows * m->in;
    bool drops = plan->adapter.dropout > 0, input_gradient = sharing != NO_INPUT_GRADIENT;
    return (Cost){.forward = 2 * thin + rows * m->out + (drops ? 2 * wide : 0),
                  .backward =
                      2 * thin + (input_gradient ? wide * (1 + drops + (sharing == ALONE)) : 0),
                  .forward_flops = 2 * thin * (m->in + m->out) + rows * m->out,
                  .backward_flops = 2 * thin * ((input_gradient ? 2 : 1) * m->in + 2 * m->out)};
}

/* y = x·Wᵀ with `rows` rows. */
static Cost linear_cost(const RgTransformerCost *plan, double rows, const Matrix *m,
                        enum Sharing sharing) {
    bool trained = plan->adapter.rank == 0, input_gradient = sharing != NO_INPUT_GRADIENT;
    double product = 2 * rows * m->in * m->out;
    Cost cost = {.forward = rows * m->out,
                 .backward = input_gradient ? rows * m->in * (sharing == SECOND ? 2 : 1) : 0,
                 .forward_flops = product,
                 .backward_flops = product * (trained + input_gradient)};
    add(&cost, update_cost(plan, rows, m, sharing));
    return cost;
}

static Cost norm_cost(const RgTransformerCost *plan, double rows, double width, bool joins) {
    bool rms = plan->options.norm == RG_NORM_RMS;
    return (Cost){.forward = rows * (width + (rms ? 1 : 2)),
                  .backward = rows * width * (joins ? 2 : 1),
                  .forward_flops = rows * width * (rms ? 4 : 8),
                  .backward_flops = rows * width * (rms ? 9 : 15)};
}

static Cost rms_norm_cost(double numbers, double rows) {
    return (Cost){.forward = numbers + rows,
                  .backward = numbers,
                  .forward_flops = 4 * numbers,
                  .backward_flops = 9 * numbers};
}

/* The part of a layer for all rows: norm, query, key and value, and attention itself. With an
 * adapter, nothing before the first layer is trained. */
static Cost attention_cost(const RgTransformerCost *plan, const Sizes *s, bool first) {
    bool input_gradient = !first || plan->adapter.rank == 0;
    Matrix m[MATRICES];
    matrices_of(s, m);
    double both = s->rows * (s->query_width + s->kv_width);
    Cost cost = norm_cost(plan, s->rows, s->width, true);
    if (!input_gradient)
        cost.backward = cost.backward_flops = 0;
    add(&cost, linear_cost(plan, s->rows, &m[2], input_gradient ? FIRST : NO_INPUT_GRADIENT));
    add(&cost, linear_cost(plan, s->rows, &m[1], input_gradient ? SECOND : NO_INPUT_GRADIENT));
    add(&cost, linear_cost(plan, s->rows, &m[0], input_gradient ? LATER : NO_INPUT_GRADIENT));
    if (plan->options.query_key_norm)
        add(&cost, rms_norm_cost(both, s->rows * (s->heads + s->kv_heads)));
    if (s->rotary)
        add(&cost, (Cost){both, both, 3 * both, 3 * both});
    double scores = s->scores * s->heads;
    add(&cost, (Cost){.forward = s->rows * (s->query_width + s->heads),
                      .backward = s->rows * (s->query_width + 2 * s->kv_width),
                      .forward_flops = scores * (4 * s->head_size + 10 + s->capped),
                      .backward_flops = scores * (10 * s->head_size + 14 + s->capped)});
    return cost;
}

/* The rest of a layer, for `rows` rows. */
static Cost finish_cost(const RgTransformerCost *plan, const Sizes *s, double rows) {
    Matrix m[MATRICES];
    matrices_of(s, m);
    double inner = rows * s->hidden;
    Cost cost = linear_cost(plan, rows, &m[3], ALONE);
    add(&cost, norm_cost(plan, rows, s->width, true));
    if (s->gated) {
        bool swiglu =
            plan->options.feed_forward == RG_FEED_FORWARD_SWIGLU; /* one operator, not two */
        add(&cost, linear_cost(plan, rows, &m[4], FIRST));
        add(&cost, linear_cost(plan, rows, &m[5], SECOND));
        add(&cost, swiglu ? (Cost){inner, 2 * inner, 18 * inner, 24 * inner}
                          : (Cost){2 * inner, 4 * inner, 2 * inner, 4 * inner});
    } else {
        add(&cost, linear_cost(plan, rows, &m[5], ALONE));
        add(&cost, (Cost){inner, 2 * inner, inner, 2 * inner});
    }
    add(&cost, linear_cost(plan, rows, &m[6], ALONE));
    for (int i = 0; plan->options.output_norms && i < 2; i++) {
        add(&cost, rms_norm_cost(rows * s->width, rows));
        add(&cost, (Cost){.forward = rows * s->width, .forward_flops = rows * s->width});
    }
    return cost;
}

static Cost layer_cost(const RgTransformerCost *plan, const Sizes *s, bool first, bool last) {
    double rows = last ? s->predicting : s->rows, width = s->width + s->query_width;
    double picked = s->predicting * width;
    Cost cost = attention_cost(plan, s, first);
    add(&cost, finish_cost(plan, s, rows));
    if (last)
        add(&cost,
            (Cost){.forward = picked, .backward = s->rows * width, .backward_flops = picked});
    return cost;
}

/* The number of pieces into which the head cuts the vocabulary. */
static double head_pieces(const Sizes *s) {
    return (double)rg_vocabulary_pieces((int64_t)s->vocabulary).count;
}

/* Last norm and output head. `temporary` is the head's own scratch. */
static Cost head_cost(const RgTransformerCost *plan, const Sizes *s, double *temporary) {
    double pieces = head_pieces(s), most = fmin(CHUNK_ROWS, CHUNK_ROWS * RG_PIECES_MOST / pieces);
    double shares = pieces * fmin(s->predicting, most) * s->width,
           all = s->predicting * s->vocabulary;
    bool trained = plan->adapter.rank == 0;
    double capped = plan->options.logit_cap > 0 ? RG_CAP_FLOPS : 0;
    *temporary = (double)rg_threads() * TILE_NUMBERS + shares;
    Cost cost = norm_cost(plan, s->predicting, s->width, false);
    add(&cost, (Cost){.forward = 3 * s->predicting,
                      .backward = s->predicting * s->width,
                      .forward_flops = all * (2 * s->width + 18 + capped),
                      .backward_flops = all * ((trained ? 6 : 4) * s->width + 18 + capped)});
    return cost;
}

/* The same if only the sum is requested, so that the gradient is computed in the forward pass. */
static Cost likelihood_cost(const RgTransformerCost *plan, const Sizes *s, double *temporary) {
    double rows = floor(LOGITS / s->vocabulary), all = s->predicting * s->vocabulary;
    rows = rows < LEAST_ROWS ? LEAST_ROWS : rows > TILE_ROWS ? TILE_ROWS : rows;
    bool trained = plan->adapter.rank == 0;
    double capped = plan->options.logit_cap > 0 ? RG_CAP_FLOPS : 0;
    *temporary = rows * (s->vocabulary + head_pieces(s) * (s->width + 2)) + 3 * s->predicting;
    Cost cost = norm_cost(plan, s->predicting, s->width, false);
    add(&cost,
        (Cost){.forward = s->predicting * s->width + (trained ? s->vocabulary * s->width : 0),
               .backward = s->predicting * s->width,
               .forward_flops = all * ((trained ? 6 : 4) * s->width + 36 + capped),
               .backward_flops = s->predicting * s->width});
    return cost;
}

/* Attention's scores, for all threads. */
static double scores_temporary(const Sizes *s) {
    return (double)rg_threads() * (s->capped > 0 ? 3 : 2) * ATTENTION_BLOCK * s->longest;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* All layers together, and the largest one. */
static Cost layers_cost(const RgTransformerCost *plan, const Sizes *s, Cost *largest) {
    Cost all = {0}, between = layer_cost(plan, s, false, false);
    *largest = (Cost){0};
    for (int64_t i = 0; i < plan->options.layers; i++) {
        bool first = i == 0, last = i == plan->options.layers - 1;
        Cost layer = first || last ? layer_cost(plan, s, first, last) : between;
        add(&all, layer);
        if (layer.forward + layer.backward > largest->forward + largest->backward)
            *largest = layer;
    }
    return all;
}

/* Embeddings; scaled, and added to those of positions. */
static double embedded(const RgTransformerCost *plan, const Sizes *s) {
    int scaled = plan->options.embedding_scale != 1;
    return s->rows * s->width * ((s->rotary ? 1 : 3) + scaled);
}

/* Inputs of the layers and of the last norm. */
static double inputs_of_layers(const RgTransformerCost *plan, const Sizes *s) {
    return embedded(plan, s) + ((s->layers - 1) * s->rows + s->predicting) * s->width;
}

/* A pass with its gradient, given the head's cost. */
static RgPassCost recorded_cost(const RgTransformerCost *plan, const Sizes *s, Cost head,
                                double head_temporary) {
    Cost largest, layers = layers_cost(plan, s, &largest);
    double kept = head.forward, backward = head.backward;
    if (plan->recompute) { /* one layer at a time, and the gradients of the layers' inputs */
        kept += inputs_of_layers(plan, s);
        backward += s->layers * s->rows * s->width + largest.forward + largest.backward;
    } else {
        kept += embedded(plan, s) + layers.forward;
        backward += layers.backward;
    }
    double peak = kept + larger(head.backward + head_temporary, backward);
    return (RgPassCost){.kept = sizeof(RgReal) * kept,
                        .peak = sizeof(RgReal) * peak,
                        .flops = layers.forward_flops * (plan->recompute ? 2 : 1) +
                                 layers.backward_flops + head.forward_flops + head.backward_flops};
}

typedef Cost (*HeadCost)(const RgTransformerCost *plan, const Sizes *s, double *temporary);

/* Sizes of the average slice, which repeats prompts shared with other slices. */
static Sizes sizes_in_shards(const RgTransformerCost *plan, const RgPassLoad *load,
                             const RgSliceCut *cut) {
    Sizes s = sizes_of(plan, load);
    double p = (double)load->prompt_length, shards = (double)cut->count;
    double once =
        (double)load->prompts * (p + (double)load->copies * (double)load->response_length);
    double again = (double)rg_slice_cut_tokens(cut) - once;
    s.rows = (s.rows + again) / shards;
    s.scores = (s.scores + again * (p + 1) / 2) / shards;
    s.predicting /= shards;
    return s;
}

/* Small models run in slices, each with a gradient of its own. */
static RgPassCost recorded_in_shards(const RgTransformerCost *plan, const RgPassLoad *load,
                                     HeadCost head_cost_of) {
    int64_t sequences = load->prompts * load->copies;
    RgSliceCut cut = rg_slice_cut_evenly(load->prompts, load->copies, load->prompt_length,
                                         load->response_length);
    bool apart =
        plan->adapter.dropout == 0 &&
        rg_data_parallel_suits_sizes(rg_transformer_cost_weights(plan),
                                     sequences * (load->prompt_length + load->response_length)) &&
        rg_data_parallel_suits_cut(&cut);
    double shards = apart ? (double)cut.count : 1, temporary;
    Sizes s = apart ? sizes_in_shards(plan, load, &cut) : sizes_of(plan, load);
    Cost head = head_cost_of(plan, &s, &temporary);
    RgPassCost cost = recorded_cost(plan, &s, head, temporary);
    double gradient = apart ? sizeof(RgReal) * (double)rg_transformer_cost_trained(plan) : 0;
    return (RgPassCost){.kept = shards * (cost.kept + gradient),
                        .peak = shards * (cost.peak + gradient),
                        .flops = shards * cost.flops,
                        .in_shards = apart};
}

RgPassCost rg_transformer_training_cost(const RgTransformerCost *plan, const RgPassLoad *load) {
    return recorded_in_shards(plan, load, head_cost);
}

RgPassCost rg_transformer_likelihood_cost(const RgTransformerCost *plan, const RgPassLoad *load) {
    if (plan->adapter.rank > 0 && plan->storage == RG_PRECISION_BF16)
        return rg_transformer_training_cost(plan, load); /* see rg_log_likelihood */
    return recorded_in_shards(plan, load, likelihood_cost);
}

RgPassCost rg_transformer_values_cost(const RgTransformerCost *plan, const RgPassLoad *load) {
    RgTransformerCost still = *plan;
    still.adapter.dropout = 0;
    Sizes s = sizes_of(plan, load);
    double head_temporary;
    Cost largest, layers = layers_cost(&still, &s, &largest);
    Cost head = head_cost(plan, &s, &head_temporary);
    double tiles = (double)rg_threads() * TILE_NUMBERS + 2 * head_pieces(&s) * s.predicting;
    double one = largest.forward + scores_temporary(&s);
    return (RgPassCost){.peak = sizeof(RgReal) *
                                (inputs_of_layers(plan, &s) + larger(one, head.forward + tiles)),
                        .flops = layers.forward_flops + head.forward_flops};
}

double rg_transformer_states_flops(const RgTransformerCost *plan, const RgPassLoad *load,
                                   bool whole) {
    RgTransformerCost still = *plan;
    still.adapter.dropout = 0;
    Sizes s = sizes_of(plan, load);
    double responses = (double)(load->prompts * load->copies), mean = 2 * s.predicting * s.width;
    if (whole) {
        s.rows += responses;
        s.scores += responses * s.longest;
    }
    Cost largest, layers = layers_cost(&still, &s, &largest);
    return layers.forward_flops + norm_cost(plan, s.predicting, s.width, false).forward_flops +
           (whole ? mean : 0);
}

/* ---- second derivatives ---- */

static void curve(RgCurvatureCost *sum, double count, double linearised, double product) {
    sum->linearised += count * linearised;
    sum->product += count * product;
}

/* A product of inputs and weights becomes three with its gradient, and each of these becomes two in
 * the Hessian-vector product. Frozen weights, and inputs that depend on nothing trained, have no
 * gradient. */
static void curve_product(RgCurvatureCost *sum, double flops, bool input_gradient, bool trained) {
    curve(sum, flops, 1 + input_gradient + trained,
          input_gradient && trained   ? 6
          : input_gradient || trained ? 2
                                      : 0);
}

static void curve_norm(RgCurvatureCost *sum, const RgTransformerCost *plan, double numbers) {
    bool rms = plan->options.norm == RG_NORM_RMS;
    curve(sum, numbers, rms ? 15 : 24, rms ? 28 : 44);
}

static void curve_linear(RgCurvatureCost *sum, const RgTransformerCost *plan, double rows,
                         const Matrix *m, bool input_gradient) {
    if (rg_transformer_view(&plan->options, 0, m->weight) < 0)
        return;
    double rank = is_adapted(plan, m->weight) ? (double)plan->adapter.rank : 0;
    curve_product(sum, 2 * rows * m->in * m->out, input_gradient, plan->adapter.rank == 0);
    curve_product(sum, 2 * rows * rank * m->in, input_gradient, true);
    curve_product(sum, 2 * rows * rank * m->out, true, true);
    curve(sum, rows * (m->in + m->out), 2, 3); /* sums of its inputs and outputs */
}

/* Scores are complete here, masked above the diagonal. The gradient of a part (one head of a run of
 * tokens) is padded with zeros to the whole and then summed. */
static void curve_attention(RgCurvatureCost *sum, const Sizes *s, const RgPassLoad *load) {
    double p = (double)load->prompt_length, prompts = (double)load->prompts;
    double responses = prompts * (double)load->copies, runs = prompts + responses;
    double own = (s->rows - prompts * p) / responses, read = s->rows + responses * p;
    double scores = prompts * p * p + responses * own * (p + own);
    curve(sum, scores * s->heads, 12 * s->head_size + 11, 24 * s->head_size + 16);
    if (s->capped > 0)
        curve(sum, scores * s->heads, 9, 16);
    curve(sum, s->rows * s->query_width, runs + s->heads, 4);
    curve(sum, 2 * s->kv_width, s->rows * (runs + responses) + read * s->heads,
          4 * (s->rows + read));
    if (s->rotary)
        curve(sum, s->rows * (s->query_width + s->kv_width), 6, 6);
}

static void curve_layer(RgCurvatureCost *sum, const RgTransformerCost *plan, const Sizes *s,
                        const RgPassLoad *load, int64_t layer) {
    bool last = layer == plan->options.layers - 1,
         input_gradient = layer > 0 || plan->adapter.rank == 0;
    double rows = last ? s->predicting : s->rows;
    Matrix m[MATRICES];
    matrices_of(s, m);
    for (int i = 0; i < MATRICES; i++)
        curve_linear(sum, plan, i < 3 ? s->rows : rows, &m[i], input_gradient || i >= 3);
    curve_norm(sum, plan, (s->rows + rows) * s->width);
    curve_attention(sum, s, load);
    curve(sum, rows * s->hidden, s->gated ? 6 : 3, s->gated ? 22 : 26);
    if (plan->options.query_key_norm)
        curve_norm(sum, plan, s->rows * (s->query_width + s->kv_width));
    if (plan->options.output_norms)
        curve_norm(sum, plan, 2 * rows * s->width);
    if (last)
        curve(sum, s->predicting * s->width, 2, 4);
}

RgCurvatureCost rg_transformer_curvature_cost(const RgTransformerCost *plan,
                                              const RgPassLoad *load) {
    Sizes s = sizes_of(plan, load);
    RgCurvatureCost sum = {0};
    for (int64_t i = 0; i < plan->options.layers; i++)
        curve_layer(&sum, plan, &s, load, i);
    curve_norm(&sum, plan, s.predicting * s.width);
    double logits = s.predicting * s.vocabulary;
    if (plan->options.logit_cap > 0)
        curve(&sum, logits, 9, 16);
    curve_product(&sum, 2 * logits * s.width, true, plan->adapter.rank == 0);
    curve(&sum, logits, 11, 17);
    return sum;
}

/* Both operands of the largest product on the caller's thread, and of a head's tile on every other
 * thread; see core/tensor/gemm_dispatch.c. */
static double rounded_bytes(const RgTransformerCost *plan, const Sizes *all) {
    if (plan->precision != RG_PRECISION_BF16)
        return 0;
    Sizes s = *all;
    double widest = larger(s.width, s.hidden), rows = s.rows * widest;
    double tokens = larger(TILE_TOKENS, ceil(s.vocabulary / head_pieces(&s)));
    double tile = larger(tokens, TILE_ROWS) * s.width + TILE_ROWS * larger(tokens, s.width);
    double own = rows + larger(rows, s.width * widest);
    return sizeof(RgBf16) * (larger(own, tile) + ((double)rg_threads() - 1) * tile);
}

/* For every thread: a tile of the head, or columns of a product by BLAS. */
static double widened_bytes(const RgTransformerCost *plan, const Sizes *s) {
    if (plan->storage != RG_PRECISION_BF16)
        return 0;
    double block = larger(WIDENED, LEAST_COLUMNS * larger(s->width, s->hidden));
    return sizeof(RgReal) * (double)rg_threads() * larger(block, TILE_TOKENS * s->width);
}

double rg_transformer_copies_bytes(const RgTransformerCost *plan, const RgPassLoad *load) {
    Sizes s = sizes_of(plan, load);
    return rounded_bytes(plan, &s) + widened_bytes(plan, &s);
}

/* ---- sampling ---- */

static double up_to_lanes(double n) {
    return (double)(((int64_t)n + LANES - 1) / LANES * LANES);
}

double rg_transformer_sampling_bytes(const RgTransformerCost *plan, const RgPassLoad *load) {
    Sizes s = sizes_of(plan, load);
    RgDecoderRoom room = rg_transformer_sampling_room(&plan->options, load->prompts * load->copies,
                                                      load->prompt_length, load->response_length);
    double qkv = up_to_lanes(s.query_width + 2 * s.kv_width), stream = up_to_lanes(s.width);
    double up = up_to_lanes(s.hidden * (s.gated ? 2 : 1)), tokens = up_to_lanes(s.vocabulary);
    double panels = s.layers * (s.width * (qkv + up) + stream * (s.query_width + s.hidden));
    double slots = (double)room.slots, prompts = (double)room.prompts, rows = (double)room.rows;
    double positions = 2 * up_to_lanes((double)room.prompt_length);
    double own = 2 * up_to_lanes((double)room.response_length);
    double cache = s.layers * s.kv_width * (prompts * positions + slots * own);
    double added = plan->options.output_norms ? stream : 0;
    double work = rows * (stream + s.width + s.query_width + qkv + up + s.hidden + added);
    double draws = slots * tokens + s.width * (3 * slots + 2 * prompts);
    const double draw_bytes = 28; /* bytes per token of the vocabulary and thread */
    double number = plan->sampling == RG_PRECISION_BF16 ? sizeof(RgBf16) : sizeof(RgReal);
    return number * (panels + tokens * s.width + cache) + sizeof(RgReal) * (work + draws) +
           draw_bytes * (double)rg_threads() * s.vocabulary;
}

/* Σ min(i, window) for i = first … last */
static double seen_in_window(double first, double last, double window) {
    double whole = fmin(last, window); /* up to here all are seen */
    double sum = whole < first ? 0 : (whole * (whole + 1) - first * (first - 1)) / 2;
    return sum + (last > whole ? (last - fmax(whole, first - 1)) * window : 0);
}

/* Pairs of rows that attention over a cache computes for one head, in all layers. */
static double cached_scores(const RgTransformerCost *plan, const Sizes *s, const RgPassLoad *load) {
    double p = (double)load->prompt_length, prompts = (double)load->prompts, sum = 0;
    double own = load->response_length > 1 ? (double)load->response_length - 1 : 0;
    for (int64_t i = 0; i < plan->options.layers; i++) {
        double window = (double)rg_transformer_window(&plan->options, i);
        sum += window == 0
                   ? s->scores
                   : prompts * (seen_in_window(1, p, window) +
                                (double)load->copies * seen_in_window(p + 1, p + own, window));
    }
    return sum;
}

double rg_transformer_sampling_flops(const RgTransformerCost *plan, const RgPassLoad *load) {
    Sizes s = sizes_of(plan, load);
    Matrix m[MATRICES];
    matrices_of(&s, m);
    double first = 0, rest = 0; /* numbers of a layer before and after attention */
    for (int i = 0; i < MATRICES; i++)
        if (rg_transformer_view(&plan->options, 0, m[i].weight) >= 0)
            *(i < 3 ? &first : &rest) += m[i].out * m[i].in;
    double wanted = s.rows - (double)(load->prompts * (load->prompt_length - 1));
    return 2 * s.rows * (s.layers * first + (s.layers - 1) * rest) + 2 * wanted * rest +
           cached_scores(plan, &s, load) * s.heads * (4 * s.head_size + 10 + s.capped) +
           s.layers * s.rows * (8 * s.width + 18 * s.hidden) +
           s.predicting * s.vocabulary *
               (2 * s.width + (plan->options.logit_cap > 0 ? RG_CAP_FLOPS : 0));
}
