/* SPDX-License-Identifier: MIT */
/* The transformer policy: its weights, and the full pass over packed sequences for log-probabilities
 * and features. transformer_options.c has its options, transformer_sample.c samples with a key/value
 * cache. The operators are in core/tensor. */
#include "core/models/transformer_internal.h"
#include "core/tensor/parallel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum Size { NOTHING, WIDTH, QUERY_WIDTH, KV_WIDTH, HEAD, HIDDEN };
static const struct {
    const char *name;
    enum Size out, in; /* vectors have one size */
} layer_weights[LAYER_WEIGHTS] = {
    [INPUT_NORM] = {"input_layernorm.weight", WIDTH, NOTHING},
    [INPUT_NORM_BIAS] = {"input_layernorm.bias", WIDTH, NOTHING},
    [QUERY] = {"self_attn.q_proj.weight", QUERY_WIDTH, WIDTH},
    [KEY] = {"self_attn.k_proj.weight", KV_WIDTH, WIDTH},
    [VALUE] = {"self_attn.v_proj.weight", KV_WIDTH, WIDTH},
    [QUERY_BIAS] = {"self_attn.q_proj.bias", QUERY_WIDTH, NOTHING},
    [KEY_BIAS] = {"self_attn.k_proj.bias", KV_WIDTH, NOTHING},
    [VALUE_BIAS] = {"self_attn.v_proj.bias", KV_WIDTH, NOTHING},
    [OUTPUT] = {"self_attn.o_proj.weight", WIDTH, QUERY_WIDTH},
    [OUTPUT_BIAS] = {"self_attn.o_proj.bias", WIDTH, NOTHING},
    [POST_NORM] = {"post_attention_layernorm.weight", WIDTH, NOTHING},
    [POST_NORM_BIAS] = {"post_attention_layernorm.bias", WIDTH, NOTHING},
    [GATE] = {"mlp.gate_proj.weight", HIDDEN, WIDTH},
    [UP] = {"mlp.up_proj.weight", HIDDEN, WIDTH},
    [DOWN] = {"mlp.down_proj.weight", WIDTH, HIDDEN},
    [GATE_BIAS] = {"mlp.gate_proj.bias", HIDDEN, NOTHING},
    [UP_BIAS] = {"mlp.up_proj.bias", HIDDEN, NOTHING},
    [DOWN_BIAS] = {"mlp.down_proj.bias", WIDTH, NOTHING},
    [QUERY_NORM] = {"self_attn.q_norm.weight", HEAD, NOTHING},
    [KEY_NORM] = {"self_attn.k_norm.weight", HEAD, NOTHING},
    [ATTENTION_OUTPUT_NORM] = {"attention_output_norm.weight", WIDTH, NOTHING},
    [FEED_FORWARD_OUTPUT_NORM] = {"feed_forward_output_norm.weight", WIDTH, NOTHING},
};

static bool has_weight(const RgTransformerOptions *o, enum LayerWeight weight) {
    switch (weight) {
    case INPUT_NORM_BIAS:
    case POST_NORM_BIAS:
        return o->norm == RG_NORM_LAYER;
    case QUERY_BIAS:
    case KEY_BIAS:
    case VALUE_BIAS:
        return o->biases != RG_BIASES_NONE;
    case OUTPUT_BIAS:
    case UP_BIAS:
    case DOWN_BIAS:
        return o->biases == RG_BIASES_ALL;
    case GATE:
        return rg_transformer_is_gated(o);
    case GATE_BIAS:
        return rg_transformer_is_gated(o) && o->biases == RG_BIASES_ALL;
    case QUERY_NORM:
    case KEY_NORM:
        return o->query_key_norm;
    case ATTENTION_OUTPUT_NORM:
    case FEED_FORWARD_OUTPUT_NORM:
        return o->output_norms;
    default:
        return true;
    }
}

int rg_transformer_view(const RgTransformerOptions *o, int64_t layer, enum LayerWeight weight) {
    if (!has_weight(o, weight))
        return -1;
    int before = 0, all = 0;
    for (int w = 0; w < LAYER_WEIGHTS; w++) {
        all += has_weight(o, (enum LayerWeight)w);
        before += w < (int)weight && has_weight(o, (enum LayerWeight)w);
    }
    int first_layer = o->positions == RG_POSITIONS_LEARNED ? POSITION_EMBEDDING + 1 : EMBEDDING + 1;
    return first_layer + (int)layer * all + before;
}

int rg_transformer_last_norm_view(const RgTransformerOptions *o) {
    return rg_transformer_view(o, o->layers, INPUT_NORM); /* it follows the last layer's views */
}

int rg_transformer_head_view(const RgTransformerOptions *o) {
    int norm_views = o->norm == RG_NORM_LAYER ? 2 : 1;
    return o->tied ? EMBEDDING : rg_transformer_last_norm_view(o) + norm_views;
}

/* ---- weights ---- */

static void declare_matrix(RgParameters *parameters, const char *name, int64_t out, int64_t in) {
    rg_parameters_declare(parameters, name, 2, (const int64_t[]){out, in}, true);
}

static void declare_vector(RgParameters *parameters, const char *name, int64_t width) {
    rg_parameters_declare(parameters, name, 1, &width, false);
}

static void declare_layer(RgParameters *parameters, const RgTransformerOptions *o, int64_t layer) {
    const int64_t size[] = {
        [WIDTH] = o->width,
        [QUERY_WIDTH] = rg_transformer_query_width(o),
        [KV_WIDTH] = rg_transformer_head_size(o) * o->kv_heads,
        [HEAD] = rg_transformer_head_size(o),
        [HIDDEN] = o->hidden,
    };
    for (int weight = 0; weight < LAYER_WEIGHTS; weight++) {
        if (!has_weight(o, (enum LayerWeight)weight))
            continue;
        char name[96];
        snprintf(name, sizeof name, "model.layers.%lld.%s", (long long)layer,
                 layer_weights[weight].name);
        int64_t out = size[layer_weights[weight].out];
        if (layer_weights[weight].in == NOTHING)
            declare_vector(parameters, name, out);
        else
            declare_matrix(parameters, name, out, size[layer_weights[weight].in]);
    }
}

static void declare(RgParameters *parameters, const RgTransformerOptions *o, int64_t vocabulary) {
    declare_matrix(parameters, "model.embed_tokens.weight", vocabulary, o->width);
    if (o->positions == RG_POSITIONS_LEARNED)
        declare_matrix(parameters, "model.embed_positions.weight", o->context, o->width);
    for (int64_t layer = 0; layer < o->layers; layer++)
        declare_layer(parameters, o, layer);
    declare_vector(parameters, "model.norm.weight", o->width);
    if (o->norm == RG_NORM_LAYER)
        declare_vector(parameters, "model.norm.bias", o->width);
    if (!o->tied)
        declare_matrix(parameters, "lm_head.weight", vocabulary, o->width);
}

/* ---- life ---- */

/* Creates the state and declares the weights for the given dimensions. */
static RgStatus build(RgPolicy *policy, const RgTransformerOptions *given, int64_t vocabulary,
                      RgError *error) {
    RgTransformerOptions o;
    RG_TRY(rg_transformer_dimensions(given, vocabulary, &o, error));
    RgTransformer *model = rg_allocate(1, sizeof *model);
    model->options = o;
    model->vocabulary = vocabulary;
    policy->state = model;
    declare(policy->parameters, &o, vocabulary);
    return RG_OK;
}

static void make_angles(RgPolicy *policy) {
    rg_transformer_make_ropes(policy->state);
}

static RgStatus transformer_create(RgPolicy *policy, const void *options,
                                   const RgPolicySpace *space, RgRandom random, RgError *error) {
    if (space->vocabulary <= 0)
        return rg_fail(error, RG_E_USAGE,
                       "a transformer policy needs an environment with tokens, such as text");
    RG_TRY(build(policy, options, space->vocabulary, error));
    rg_policy_allocate(policy);
    const RgTransformerOptions *o = rg_transformer_options(policy);
    RgParameters *parameters = policy->parameters;
    for (int view = 0; view < parameters->view_count; view++) {
        const char *suffix = strrchr(parameters->views[view].name, '.');
        if (parameters->views[view].rank == 2)
            rg_parameters_fill_normal(parameters, view, o->initial_deviation, random);
        else
            rg_parameters_fill(parameters, view, strcmp(suffix, ".bias") == 0 ? 0 : 1);
    }
    double onto_stream = o->initial_deviation / sqrt(2.0 * (double)o->layers);
    for (int64_t layer = 0; layer < o->layers; layer++) {
        rg_parameters_fill_normal(parameters, rg_transformer_view(o, layer, OUTPUT), onto_stream,
                                  random);
        rg_parameters_fill_normal(parameters, rg_transformer_view(o, layer, DOWN), onto_stream,
                                  random);
    }
    return RG_OK;
}

static void transformer_destroy(RgPolicy *policy) {
    RgTransformer *model = policy->state;
    free(model->angles);
    free(model);
}

RgStatus rg_transformer_declare(const RgTransformerOptions *options, int64_t vocabulary,
                                RgPolicy **policy, RgError *error) {
    *policy = NULL;
    RgPolicy *made = rg_policy_new(&rg_policy_transformer);
    RgStatus status = build(made, options, vocabulary, error);
    if (status != RG_OK) {
        rg_policy_destroy(made);
        return status;
    }
    *policy = made;
    return RG_OK;
}

RgStatus rg_transformer_create(const RgTransformerOptions *options, int64_t vocabulary,
                               RgPolicy **policy, RgError *error) {
    RG_TRY(rg_transformer_declare(options, vocabulary, policy, error));
    rg_policy_allocate(*policy);
    return RG_OK;
}

const RgTransformerOptions *rg_transformer_options(const RgPolicy *policy) {
    RG_ASSERT(policy->type == &rg_policy_transformer);
    return &((const RgTransformer *)policy->state)->options;
}

int64_t rg_transformer_vocabulary(const RgPolicy *policy) {
    RG_ASSERT(policy->type == &rg_policy_transformer);
    return ((const RgTransformer *)policy->state)->vocabulary;
}

/* ---- the parts of a pass ---- */

/* A pass over a model: the tape and the weights. */
typedef struct Pass {
    const RgTransformer *model;
    RgTape *tape;
    RgParameters *parameters; /* the weights */
    RgParameters *adapted;    /* the adapter, or NULL */
    const RgAdapter *adapter;
    double dropout;
    RgRandom drop;
    bool keeps; /* keep the layers' intermediate values for backward, not only their outputs */
} Pass;

/* `parameters` replace the policy's own. */
static Pass pass_begin(RgPolicy *policy, RgTape *tape, RgParameters *parameters) {
    Pass pass = {.model = policy->state, .tape = tape, .parameters = parameters};
    pass.keeps = rg_tape_is_recording(tape) && !policy->recompute;
    if (policy->base) {
        pass.parameters = policy->base;
        pass.adapted = parameters;
        pass.adapter = &policy->adapter;
    }
    if (policy->base && policy->drops && rg_tape_is_recording(tape)) {
        pass.dropout = policy->adapter.dropout;
        pass.drop = rg_random_at(policy->drop, (uint64_t)policy->drop_pass++);
    }
    return pass;
}

/* Token ids of packed sequences with their positions, in the tape's arena. */
typedef struct PackedTokens {
    int64_t count;
    int32_t *token;    /* [count] */
    int32_t *position; /* [count], within the sequence */
    int64_t sequences;
    int64_t *offset; /* [sequences + 1] */
    int64_t *prefix; /* [sequences], the sequence that each continues, or −1 (rg_attention) */
} PackedTokens;

/* Queries [n, heads · size], keys and values [n, kv_heads · size] of a layer. Queries and keys are
 * rotated to their positions. */
typedef struct Projections {
    RgTensor *query, *key, *value;
} Projections;

/* Dropout of x, scaled to keep the expected value. */
static RgTensor *drop_some(const Pass *pass, RgTensor *x, int64_t layer, enum LayerWeight weight) {
    if (pass->dropout == 0)
        return x;
    const int64_t streams = 18; /* of a layer; changing it would change results */
    RgRandom stream = rg_random_at(pass->drop, (uint64_t)(layer * streams + (int)weight));
    RgTensor *kept = rg_tensor_new(pass->tape, x->shape);
    RgReal factor = (RgReal)(1 / (1 - pass->dropout));
    RG_FOR_PIECES(kept->count, rg_spread(kept->count, RG_LEAST_NUMBERS / 16),
                  for (int64_t i = first; i < last; i++) kept->data[i] =
                      rg_random_uniform(stream, (uint64_t)i) < pass->dropout ? 0 : factor);
    return rg_mul(pass->tape, x, kept);
}

/* onto + alpha / rank · dropout(x)·Aᵀ·Bᵀ if the matrix is adapted, else `onto`, possibly NULL. */
static RgTensor *adapter_update(const Pass *pass, RgTensor *x, int64_t layer,
                                enum LayerWeight weight, RgTensor *onto) {
    int view = pass->adapted ? rg_transformer_adapter_view(pass->adapter, layer, weight) : -1;
    if (view < 0)
        return onto;
    RgTape *t = pass->tape;
    RgTensor *a = rg_parameter(t, pass->adapted, view);
    RgTensor *b = rg_parameter(t, pass->adapted, view + 1);
    RgTensor *thin = rg_linear(t, drop_some(pass, x, layer, weight), a, NULL, NULL);
    return rg_linear(t, rg_scale(t, thin, (RgReal)pass->adapter->scale), b, NULL, onto);
}

/* x·Wᵀ + bias, if the model has one, + onto, if it is not NULL. */
static RgTensor *linear(const Pass *pass, RgTensor *x, int64_t layer, enum LayerWeight weight,
                        enum LayerWeight bias, RgTensor *onto) {
    const RgTransformerOptions *o = &pass->model->options;
    RgTape *t = pass->tape;
    RgTensor *added = NULL;
    if (has_weight(o, bias))
        added = rg_parameter(t, pass->parameters, rg_transformer_view(o, layer, bias));
    RgTensor *w = rg_parameter(t, pass->parameters, rg_transformer_view(o, layer, weight));
    return rg_linear(t, x, w, added, adapter_update(pass, x, layer, weight, onto));
}

/* A norm's weights are one view, and its biases the next. */
static RgTensor *norm(const Pass *pass, RgTensor *x, int view) {
    const RgTransformerOptions *o = &pass->model->options;
    RgTensor *weight = rg_parameter(pass->tape, pass->parameters, view);
    if (o->norm == RG_NORM_RMS)
        return rg_rms_norm(pass->tape, x, weight, (RgReal)o->norm_epsilon);
    RgTensor *bias = rg_parameter(pass->tape, pass->parameters, view + 1);
    return rg_layer_norm(pass->tape, x, weight, bias, (RgReal)o->norm_epsilon);
}

static RgTensor *embed(const Pass *pass, const int32_t *token, const int32_t *position, int64_t n) {
    RgTape *t = pass->tape;
    RgTensor *table = rg_parameter(t, pass->parameters, EMBEDDING);
    RgTensor *x = rg_embedding(t, table, token, n);
    double scale = pass->model->options.embedding_scale;
    if (scale != 1)
        x = rg_scale(t, x, (RgReal)scale);
    if (pass->model->options.positions == RG_POSITIONS_ROTARY)
        return x;
    RgTensor *positions = rg_parameter(t, pass->parameters, POSITION_EMBEDDING);
    return rg_add(t, x, rg_embedding(t, positions, position, n));
}

/* RMSNorm of every head of x [n, heads · size]. */
static RgTensor *norm_heads(const Pass *pass, int64_t layer, RgTensor *x, int64_t heads,
                            enum LayerWeight weight) {
    const RgTransformerOptions *o = &pass->model->options;
    if (!o->query_key_norm)
        return x;
    RgTape *t = pass->tape;
    RgShape shape = x->shape, by_head = RG_SHAPE(shape.size[0] * heads, shape.size[1] / heads);
    RgTensor *w = rg_parameter(t, pass->parameters, rg_transformer_view(o, layer, weight));
    RgTensor *y = rg_rms_norm(t, rg_reshape(t, x, by_head), w, (RgReal)o->norm_epsilon);
    return rg_reshape(t, y, shape);
}

static Projections project(const Pass *pass, int64_t layer, RgTensor *x, const int32_t *position) {
    const RgTransformer *m = pass->model;
    const RgTransformerOptions *o = &m->options;
    RgTensor *normed = norm(pass, x, rg_transformer_view(o, layer, INPUT_NORM));
    Projections p = {
        .query = linear(pass, normed, layer, QUERY, QUERY_BIAS, NULL),
        .key = linear(pass, normed, layer, KEY, KEY_BIAS, NULL),
    };
    p.query = norm_heads(pass, layer, p.query, o->heads, QUERY_NORM);
    p.key = norm_heads(pass, layer, p.key, o->kv_heads, KEY_NORM);
    if (o->positions == RG_POSITIONS_ROTARY) {
        RgRopePairing pairing = (RgRopePairing)o->rope_pairing;
        const RgRopeTable *rope = rg_transformer_rope(m, layer);
        p.query = rg_rope_by_table(pass->tape, p.query, position, o->heads, rope, pairing);
        p.key = rg_rope_by_table(pass->tape, p.key, position, o->kv_heads, rope, pairing);
    }
    p.value = linear(pass, normed, layer, VALUE, VALUE_BIAS, NULL);
    return p;
}

/* Activations of the feed-forward layer [n, hidden]. */
static RgTensor *activate(const Pass *pass, int64_t layer, RgTensor *x) {
    RgTape *t = pass->tape;
    const RgTransformerOptions *o = &pass->model->options;
    RgTensor *gate = NULL;
    if (rg_transformer_is_gated(o))
        gate = linear(pass, x, layer, GATE, GATE_BIAS, NULL);
    RgTensor *up = linear(pass, x, layer, UP, UP_BIAS, NULL);
    switch (o->feed_forward) {
    case RG_FEED_FORWARD_GELU:
        return rg_gelu(t, up);
    case RG_FEED_FORWARD_GELU_EXACT:
        return rg_gelu_exact(t, up);
    case RG_FEED_FORWARD_GEGLU:
        return rg_mul(t, rg_gelu(t, gate), up);
    default:
        return rg_swiglu(t, gate, up);
    }
}

/* The residual stream x plus a product, normed first if the model does so. */
static RgTensor *onto_stream(const Pass *pass, int64_t layer, RgTensor *y, enum LayerWeight weight,
                             enum LayerWeight bias, enum LayerWeight output_norm, RgTensor *x) {
    const RgTransformerOptions *o = &pass->model->options;
    if (!o->output_norms)
        return linear(pass, y, layer, weight, bias, x);
    RgTensor *product = linear(pass, y, layer, weight, bias, NULL);
    return rg_add(pass->tape, x, norm(pass, product, rg_transformer_view(o, layer, output_norm)));
}

/* The rest of a layer after attention: output projection, feed-forward layer, both residuals. */
static RgTensor *finish(const Pass *pass, int64_t layer, RgTensor *x, RgTensor *attended) {
    const RgTransformerOptions *o = &pass->model->options;
    RgTensor *sum =
        onto_stream(pass, layer, attended, OUTPUT, OUTPUT_BIAS, ATTENTION_OUTPUT_NORM, x);
    RgTensor *input = o->residual == RG_RESIDUAL_PARALLEL ? x : sum;
    RgTensor *normed = norm(pass, input, rg_transformer_view(o, layer, POST_NORM));
    RgTensor *hidden = activate(pass, layer, normed);
    return onto_stream(pass, layer, hidden, DOWN, DOWN_BIAS, FEED_FORWARD_OUTPUT_NORM, sum);
}

/* A layer of a pass. Only attention mixes rows. So after the attention of the last layer, only the
 * requested rows are computed. */
typedef struct LayerPass {
    Pass pass;
    PackedTokens packed;
    int64_t layer;
    const int32_t *rows; /* [row_count], in the last layer; else NULL */
    int64_t row_count;
} LayerPass;

static RgTensor *run_layer(RgTape *t, const void *context, RgTensor *const *inputs) {
    const LayerPass *l = context;
    const RgTransformerOptions *o = &l->pass.model->options;
    RgTensor *x = inputs[0];
    Projections p = project(&l->pass, l->layer, x, l->packed.position);
    RgAttentionForm form = {.scale = o->attention_scale,
                            .cap = o->attention_cap,
                            .window = rg_transformer_window(o, l->layer)};
    RgTensor *attended =
        rg_attention_in_form(t, p.query, p.key, p.value, l->packed.offset, l->packed.prefix,
                             l->packed.sequences, o->heads, o->kv_heads, form);
    if (l->rows) {
        x = rg_embedding(t, x, l->rows, l->row_count);
        attended = rg_embedding(t, attended, l->rows, l->row_count);
    }
    return finish(&l->pass, l->layer, x, attended);
}

/* Hidden states after the last norm at `rows` [row_count] of the packed tokens: [row_count,
 * width]. */
static RgTensor *hidden_states(const Pass *pass, const PackedTokens *packed, const int32_t *rows,
                               int64_t row_count) {
    const RgTransformerOptions *o = &pass->model->options;
    RgTape *t = pass->tape;
    RgTensor *x = embed(pass, packed->token, packed->position, packed->count);
    for (int64_t layer = 0; layer < o->layers; layer++) {
        bool last = layer == o->layers - 1;
        LayerPass l = {*pass, *packed, layer, last ? rows : NULL, row_count};
        const void *context = rg_arena_copy(rg_tape_arena(t), &l, sizeof l);
        RgShape shape = RG_SHAPE(last ? row_count : packed->count, o->width);
        x = pass->keeps ? run_layer(t, context, &x)
                        : rg_recompute(t, run_layer, context, &x, 1, shape);
    }
    return norm(pass, x, rg_transformer_last_norm_view(o));
}

/* ---- log-probabilities and features ---- */

/* The rows of a packed batch that belong to response tokens. */
typedef struct ResponseRows {
    int64_t count;
    int32_t *row;      /* [count] */
    int32_t *target;   /* [count], the response token */
    int32_t *sequence; /* [count] */
    int64_t *offset;   /* [sequences + 1] */
} ResponseRows;

/* Appends `count` tokens that start at `position` and continue sequence `prefix`. Returns its
 * number. */
static int64_t pack_run(PackedTokens *p, const int32_t *token, int64_t count, int64_t position,
                        int64_t prefix) {
    for (int64_t j = 0; j < count; j++) {
        p->token[p->count] = token[j];
        p->position[p->count++] = (int32_t)(position + j);
    }
    p->prefix[p->sequences] = prefix;
    p->offset[++p->sequences] = p->count;
    return p->sequences - 1;
}

/* Packs prompts and responses as separate runs, so that a prompt shared by consecutive sequences
 * occurs once. The rows are those `before` places before the response tokens: 1 for the rows that
 * predict them. A response's last tokens are omitted if no row of them is requested. */
static PackedTokens pack(RgArena *arena, const RgSequences *s, int64_t before, ResponseRows *r) {
    int64_t tokens = s->start[s->count], count = rg_sequences_response_tokens(s);
    PackedTokens p = {.token = RG_ARENA_ARRAY(arena, int32_t, tokens),
                      .position = RG_ARENA_ARRAY(arena, int32_t, tokens),
                      .offset = RG_ARENA_ARRAY(arena, int64_t, 2 * s->count + 1),
                      .prefix = RG_ARENA_ARRAY(arena, int64_t, 2 * s->count)};
    *r = (ResponseRows){.row = RG_ARENA_ARRAY(arena, int32_t, count),
                        .target = RG_ARENA_ARRAY(arena, int32_t, count),
                        .sequence = RG_ARENA_ARRAY(arena, int32_t, count),
                        .offset = RG_ARENA_ARRAY(arena, int64_t, s->count + 1)};
    p.offset[0] = r->offset[0] = 0;
    int64_t prompt = -1, read_last = -1; /* the run of the last prompt, and its sequence */
    for (int64_t i = 0; i < s->count; i++) {
        int64_t length = rg_sequence_response_length(s, i), at = s->prompt_length[i];
        const int32_t *response = rg_sequence_response(s, i);
        r->offset[i + 1] = r->offset[i] + length;
        if (length == 0)
            continue;
        RG_ASSERT(at >= before); /* nothing predicts the very first token */
        if (read_last < 0 || !rg_sequences_same_prompt(s, read_last, i))
            prompt = pack_run(&p, rg_sequence_prompt(s, i), at, 0, -1);
        read_last = i;
        int64_t own = pack_run(&p, response, length - before, at, prompt);
        for (int64_t j = 0; j < length; j++) {
            int64_t row =
                j < before ? p.offset[prompt + 1] - before + j : p.offset[own] + j - before;
            r->row[r->count] = (int32_t)row;
            r->target[r->count] = response[j];
            r->sequence[r->count++] = (int32_t)i;
        }
    }
    return p;
}

/* Log-probabilities of all response tokens in a row. Sets *rows to their rows. */
static RgTensor *token_logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                               const RgSequences *sequences, ResponseRows *rows) {
    Pass pass = pass_begin(policy, tape, parameters);
    PackedTokens packed = pack(rg_tape_arena(tape), sequences, 1, rows);
    RgTensor *hidden = hidden_states(&pass, &packed, rows->row, rows->count);
    RgTensor *head =
        rg_parameter(tape, pass.parameters, rg_transformer_head_view(&pass.model->options));
    return rg_token_logprob_capped(tape, hidden, head, rows->target, pass.model->options.logit_cap);
}

static RgTensor *transformer_logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                     const RgSequences *sequences) {
    ResponseRows rows;
    RgTensor *logprob = token_logprob(policy, tape, parameters, sequences, &rows);
    return rg_segment_sum(tape, logprob, rows.offset, sequences->count);
}

static RgTensor *transformer_step_logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                          const RgSequences *sequences) {
    ResponseRows rows;
    return token_logprob(policy, tape, parameters, sequences, &rows);
}

/* The hidden states that predict the response's tokens. */
static RgTensor *transformer_state_features(RgPolicy *policy, RgTape *tape,
                                            RgParameters *parameters,
                                            const RgSequences *sequences) {
    Pass pass = pass_begin(policy, tape, parameters);
    ResponseRows rows;
    PackedTokens packed = pack(rg_tape_arena(tape), sequences, 1, &rows);
    return hidden_states(&pass, &packed, rows.row, rows.count);
}

static RgTensor *transformer_log_likelihood(RgPolicy *policy, RgTape *tape,
                                            RgParameters *parameters,
                                            const RgSequences *sequences) {
    Pass pass = pass_begin(policy, tape, parameters);
    ResponseRows rows;
    PackedTokens packed = pack(rg_tape_arena(tape), sequences, 1, &rows);
    RgTensor *hidden = hidden_states(&pass, &packed, rows.row, rows.count);
    RgTensor *head =
        rg_parameter(tape, pass.parameters, rg_transformer_head_view(&pass.model->options));
    return rg_log_likelihood_capped(tape, hidden, head, rows.target, pass.model->options.logit_cap);
}

/* Mean over the response's tokens of the hidden state after the last norm; zeros for an empty
 * response. */
static RgTensor *transformer_features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                      const RgSequences *sequences) {
    Pass pass = pass_begin(policy, tape, parameters);
    ResponseRows rows;
    PackedTokens packed = pack(rg_tape_arena(tape), sequences, 0, &rows);
    RgTensor *hidden = hidden_states(&pass, &packed, rows.row, rows.count);
    RgTensor *share = rg_filled(tape, RG_SHAPE(sequences->count, 1), 0);
    for (int64_t i = 0; i < sequences->count; i++)
        if (rows.offset[i + 1] > rows.offset[i])
            share->data[i] = 1 / (RgReal)(rows.offset[i + 1] - rows.offset[i]);
    return rg_mul(tape, rg_scatter_rows(tape, hidden, rows.sequence, sequences->count), share);
}

RgTensor *rg_transformer_last_states(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                     const RgSequences *sequences) {
    Pass pass = pass_begin(policy, tape, parameters);
    ResponseRows rows;
    PackedTokens packed = pack(rg_tape_arena(tape), sequences, 0, &rows);
    int64_t count = 0; /* number of rows that are last ones; only these are kept */
    for (int64_t i = 0; i < sequences->count; i++)
        if (rows.offset[i + 1] > rows.offset[i]) {
            rows.row[count] = rows.row[rows.offset[i + 1] - 1];
            rows.sequence[count++] = (int32_t)i;
        }
    RgTensor *hidden = hidden_states(&pass, &packed, rows.row, count);
    return rg_scatter_rows(tape, hidden, rows.sequence, sequences->count);
}

static int64_t feature_count(const RgPolicy *policy) {
    return rg_transformer_options(policy)->width;
}

static int64_t context_limit(const RgPolicy *policy) {
    return rg_transformer_options(policy)->context;
}

static int64_t vocabulary(const RgPolicy *policy, bool in_response) {
    (void)in_response;
    return rg_transformer_vocabulary(policy);
}

/* ---- the type ---- */

static RgStatus restore(RgPolicy *policy, const char *description, RgError *error) {
    RgTransformerOptions o;
    int64_t size;
    RG_TRY(rg_transformer_read_description(description, &o, &size, error));
    return build(policy, &o, size, error);
}

const RgPolicyType rg_policy_transformer = {
    .about = {.name = "transformer",
              .summary = "Llama architecture and variants (Qwen, GPT-2, GPT-NeoX, Gemma): causal "
                         "attention over tokens",
              .reference = "Touvron et al. 2023, arXiv:2302.13971",
              .options = rg_transformer_option_table,
              .options_size = sizeof(RgTransformerOptions)},
    .create = transformer_create,
    .destroy = transformer_destroy,
    .logprob = transformer_logprob,
    .log_likelihood = transformer_log_likelihood,
    .features = transformer_features,
    .feature_count = feature_count,
    .step_logprob = transformer_step_logprob,
    .state_features = transformer_state_features,
    .state_feature_count = feature_count,
    .sample = rg_transformer_sample,
    .mixes = true,
    .context_limit = context_limit,
    .vocabulary = vocabulary,
    .describe = rg_transformer_describe,
    .restore = restore,
    .allocate = make_angles,
    .adapt = rg_transformer_adapt,
    .merge = rg_transformer_merge,
    .takes_precision = true,
    .takes_storage = true,
    .shards = true,
    .keeps_values = true,
};
