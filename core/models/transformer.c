/* SPDX-License-Identifier: MIT */
/* The transformer policy: dimensions, weights, and the full pass over packed sequences for
 * log-probabilities and features. transformer_sample.c samples with a key/value cache. The
 * operators are in core/tensor. */
#include "core/models/transformer_internal.h"
#include "core/tensor/parallel.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const pairing_names[] = {
    [RG_ROPE_NEIGHBOURS] = "neighbours", [RG_ROPE_HALVES] = "halves", NULL};
static const char *const position_names[] = {
    [RG_POSITIONS_ROTARY] = "rotary", [RG_POSITIONS_LEARNED] = "learned", NULL};
static const char *const norm_names[] = {[RG_NORM_RMS] = "rms", [RG_NORM_LAYER] = "layer", NULL};
static const char *const feed_forward_names[] = {
    [RG_FEED_FORWARD_SWIGLU] = "swiglu", [RG_FEED_FORWARD_GELU] = "gelu", NULL};
static const char *const bias_names[] = {[RG_BIASES_NONE] = "none",
                                         [RG_BIASES_QUERY_KEY_VALUE] = "query-key-value",
                                         [RG_BIASES_ALL] = "all",
                                         NULL};

static const RgOption options_table[] = {
    RG_OPTION_INTEGER(RgTransformerOptions, layers, "4", 1, 1000, "number of layers"),
    RG_OPTION_INTEGER(RgTransformerOptions, width, "128", 2, 65536,
                      "width of the residual stream; a multiple of heads"),
    RG_OPTION_INTEGER(RgTransformerOptions, heads, "4", 1, 1024, "attention heads"),
    RG_OPTION_INTEGER(RgTransformerOptions, kv_heads, "0", 0, 1024,
                      "heads of keys and values, a divisor of heads; 0: as many as heads"),
    RG_OPTION_INTEGER(RgTransformerOptions, hidden, "0", 0, 262144,
                      "width of the feed-forward layer; 0: 8/3 width, up to a multiple of 16"),
    RG_OPTION_INTEGER(RgTransformerOptions, context, "128", 1, 1048576,
                      "longest sequence, in tokens"),
    RG_OPTION_BOOLEAN(RgTransformerOptions, tied, "true",
                      "whether the output head shares the weights of the token embedding"),
    RG_OPTION_REAL(RgTransformerOptions, rope_base, "10000", 1, 1e9,
                   "base of the rotary embedding's wavelengths"),
    RG_OPTION_CHOICE(
        RgTransformerOptions, rope_pairing, "halves", pairing_names,
        "dimensions that are rotated together: neighbours as in llama2.c, or halves as in "
        "Hugging Face's models"),
    RG_OPTION_REAL(RgTransformerOptions, norm_epsilon, "1e-5", 1e-12, 1,
                   "epsilon under the square root of the norms"),
    RG_OPTION_CHOICE(RgTransformerOptions, positions, "rotary", position_names,
                     "position encoding: rotary, or a learned embedding as in GPT-2"),
    RG_OPTION_CHOICE(RgTransformerOptions, norm, "rms", norm_names,
                     "RMSNorm, or LayerNorm with biases as in GPT-2"),
    RG_OPTION_CHOICE(RgTransformerOptions, feed_forward, "swiglu", feed_forward_names,
                     "SwiGLU, or GELU without a gate as in GPT-2"),
    RG_OPTION_CHOICE(RgTransformerOptions, biases, "none", bias_names,
                     "matrices of a layer that have a bias: none; query, key and value as in "
                     "Qwen2; or all as in GPT-2"),
    RG_OPTION_REAL(RgTransformerOptions, initial_deviation, "0.02", 0, 1,
                   "standard deviation of initial weights; those of projections onto the residual "
                   "stream are divided by sqrt(2 layers)"),
    RG_OPTION_END,
};

enum Size { NOTHING, WIDTH, KV_WIDTH, HIDDEN };
static const struct {
    const char *name;
    enum Size out, in; /* vectors have one size */
} layer_weights[LAYER_WEIGHTS] = {
    [INPUT_NORM] = {"input_layernorm.weight", WIDTH, NOTHING},
    [INPUT_NORM_BIAS] = {"input_layernorm.bias", WIDTH, NOTHING},
    [QUERY] = {"self_attn.q_proj.weight", WIDTH, WIDTH},
    [KEY] = {"self_attn.k_proj.weight", KV_WIDTH, WIDTH},
    [VALUE] = {"self_attn.v_proj.weight", KV_WIDTH, WIDTH},
    [QUERY_BIAS] = {"self_attn.q_proj.bias", WIDTH, NOTHING},
    [KEY_BIAS] = {"self_attn.k_proj.bias", KV_WIDTH, NOTHING},
    [VALUE_BIAS] = {"self_attn.v_proj.bias", KV_WIDTH, NOTHING},
    [OUTPUT] = {"self_attn.o_proj.weight", WIDTH, WIDTH},
    [OUTPUT_BIAS] = {"self_attn.o_proj.bias", WIDTH, NOTHING},
    [POST_NORM] = {"post_attention_layernorm.weight", WIDTH, NOTHING},
    [POST_NORM_BIAS] = {"post_attention_layernorm.bias", WIDTH, NOTHING},
    [GATE] = {"mlp.gate_proj.weight", HIDDEN, WIDTH},
    [UP] = {"mlp.up_proj.weight", HIDDEN, WIDTH},
    [DOWN] = {"mlp.down_proj.weight", WIDTH, HIDDEN},
    [GATE_BIAS] = {"mlp.gate_proj.bias", HIDDEN, NOTHING},
    [UP_BIAS] = {"mlp.up_proj.bias", HIDDEN, NOTHING},
    [DOWN_BIAS] = {"mlp.down_proj.bias", WIDTH, NOTHING},
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
        return o->feed_forward == RG_FEED_FORWARD_SWIGLU;
    case GATE_BIAS:
        return o->feed_forward == RG_FEED_FORWARD_SWIGLU && o->biases == RG_BIASES_ALL;
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

/* ---- dimensions ---- */

static RgTransformerOptions resolve(const RgTransformerOptions *given) {
    RgTransformerOptions o = *given;
    if (o.kv_heads == 0)
        o.kv_heads = o.heads;
    if (o.hidden == 0)
        o.hidden = (o.width * 8 / 3 + 15) / 16 * 16;
    return o;
}

int64_t rg_transformer_most(const char *size) {
    const RgOption *option = rg_options_find(options_table, size);
    return option ? (int64_t)option->high : 1 << 24; /* the vocabulary is not an option */
}

/* The range of each option is checked when it is read. Here all are checked again, for descriptions
 * and loaders, together with their consistency. */
static RgStatus check_dimensions(const RgTransformerOptions *o, int64_t vocabulary,
                                 RgError *error) {
    const struct {
        const char *name;
        int64_t size;
    } sizes[] = {{"layers", o->layers},     {"width", o->width},   {"heads", o->heads},
                 {"kv_heads", o->kv_heads}, {"hidden", o->hidden}, {"context", o->context},
                 {"vocabulary", vocabulary}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t most = rg_transformer_most(sizes[i].name);
        if (sizes[i].size < 1 || sizes[i].size > most)
            return rg_fail(error, RG_E_RANGE, "transformer: %s is %lld, expected 1 to %lld",
                           sizes[i].name, (long long)sizes[i].size, (long long)most);
    }
    if (o->width % (2 * o->heads) != 0)
        return rg_fail(error, RG_E_RANGE,
                       "transformer: width %lld does not divide into %lld heads of even size",
                       (long long)o->width, (long long)o->heads);
    if (o->heads % o->kv_heads != 0)
        return rg_fail(error, RG_E_RANGE, "transformer: kv_heads %lld does not divide heads %lld",
                       (long long)o->kv_heads, (long long)o->heads);
    if (!(o->rope_base > 0) || !(o->norm_epsilon > 0))
        return rg_fail(error, RG_E_RANGE,
                       "transformer: rope_base %g and norm_epsilon %g, expected above 0",
                       o->rope_base, o->norm_epsilon);
    if (o->rope_pairing < 0 || o->positions < 0 || o->norm < 0 || o->feed_forward < 0 ||
        o->biases < 0)
        return rg_fail(
            error, RG_E_RANGE,
            "transformer: unknown rope_pairing, positions, norm, feed_forward or biases");
    return RG_OK;
}

RgStatus rg_transformer_dimensions(const RgTransformerOptions *given, int64_t vocabulary,
                                   RgTransformerOptions *options, RgError *error) {
    *options = resolve(given);
    return check_dimensions(options, vocabulary, error);
}

static void declare_matrix(RgParameters *parameters, const char *name, int64_t out, int64_t in) {
    rg_parameters_declare(parameters, name, 2, (const int64_t[]){out, in}, true);
}

static void declare_vector(RgParameters *parameters, const char *name, int64_t width) {
    rg_parameters_declare(parameters, name, 1, &width, false);
}

static void declare_layer(RgParameters *parameters, const RgTransformerOptions *o, int64_t layer) {
    const int64_t size[] = {
        [WIDTH] = o->width, [KV_WIDTH] = o->width / o->heads * o->kv_heads, [HIDDEN] = o->hidden};
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
    RgTransformer *model = policy->state;
    const RgTransformerOptions *o = &model->options;
    int64_t size = o->width / o->heads, count = o->context * size / 2;
    model->angles = rg_allocate(2 * (size_t)count, sizeof(RgReal));
    rg_rope_angles(o->context, size, (RgReal)o->rope_base, model->angles, model->angles + count);
    model->rope = (RgRopeTable){
        .cosine = model->angles, .sine = model->angles + count, .rows = o->context, .size = size};
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
    RgRandom stream = rg_random_at(pass->drop, (uint64_t)(layer * LAYER_WEIGHTS + (int)weight));
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
    if (pass->model->options.positions == RG_POSITIONS_ROTARY)
        return x;
    RgTensor *positions = rg_parameter(t, pass->parameters, POSITION_EMBEDDING);
    return rg_add(t, x, rg_embedding(t, positions, position, n));
}

static Projections project(const Pass *pass, int64_t layer, RgTensor *x, const int32_t *position) {
    const RgTransformer *m = pass->model;
    const RgTransformerOptions *o = &m->options;
    RgTensor *normed = norm(pass, x, rg_transformer_view(o, layer, INPUT_NORM));
    Projections p = {
        .query = linear(pass, normed, layer, QUERY, QUERY_BIAS, NULL),
        .key = linear(pass, normed, layer, KEY, KEY_BIAS, NULL),
    };
    if (o->positions == RG_POSITIONS_ROTARY) {
        RgRopePairing pairing = (RgRopePairing)o->rope_pairing;
        p.query = rg_rope_by_table(pass->tape, p.query, position, o->heads, &m->rope, pairing);
        p.key = rg_rope_by_table(pass->tape, p.key, position, o->kv_heads, &m->rope, pairing);
    }
    p.value = linear(pass, normed, layer, VALUE, VALUE_BIAS, NULL);
    return p;
}

/* The rest of a layer after attention: output projection, feed-forward layer, both residuals. */
static RgTensor *finish(const Pass *pass, int64_t layer, RgTensor *x, RgTensor *attended) {
    RgTape *t = pass->tape;
    const RgTransformerOptions *o = &pass->model->options;
    x = linear(pass, attended, layer, OUTPUT, OUTPUT_BIAS, x);
    RgTensor *normed = norm(pass, x, rg_transformer_view(o, layer, POST_NORM));
    RgTensor *hidden = o->feed_forward == RG_FEED_FORWARD_GELU
                           ? rg_gelu(t, linear(pass, normed, layer, UP, UP_BIAS, NULL))
                           : rg_swiglu(t, linear(pass, normed, layer, GATE, GATE_BIAS, NULL),
                                       linear(pass, normed, layer, UP, UP_BIAS, NULL));
    return linear(pass, hidden, layer, DOWN, DOWN_BIAS, x);
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
    RgTensor *attended = rg_attention(t, p.query, p.key, p.value, l->packed.offset,
                                      l->packed.prefix, l->packed.sequences, o->heads, o->kv_heads);
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
    return rg_token_logprob(tape, hidden, head, rows->target);
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
    return rg_log_likelihood(tape, hidden, head, rows.target);
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

/* ---- description ---- */

static char *describe(const RgPolicy *policy) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    json_t *root = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f, s:s, s:f, s:f, s:s, s:s, s:s, s:s}",
        "vocabulary", (json_int_t)rg_transformer_vocabulary(policy), "layers",
        (json_int_t)o->layers, "width", (json_int_t)o->width, "heads", (json_int_t)o->heads,
        "kv_heads", (json_int_t)o->kv_heads, "hidden", (json_int_t)o->hidden, "context",
        (json_int_t)o->context, "tied", (int)o->tied, "rope_base", o->rope_base, "rope_pairing",
        pairing_names[o->rope_pairing], "norm_epsilon", o->norm_epsilon, "initial_deviation",
        o->initial_deviation, "positions", position_names[o->positions], "norm",
        norm_names[o->norm], "feed_forward", feed_forward_names[o->feed_forward], "biases",
        bias_names[o->biases]);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(root);
    return text;
}

/* Index of a name among the choices; −1 if it is none. */
static int choice(const char *const *names, const char *name) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static RgStatus restore(RgPolicy *policy, const char *description, RgError *error) {
    json_error_t where;
    json_t *root = json_loads(description, 0, &where);
    if (!root)
        return rg_fail(error, RG_E_FORMAT, "description of a transformer: %s", where.text);
    json_int_t vocabulary_size, layers, width, heads, kv_heads, hidden, context;
    RgTransformerOptions o = {0};
    /* Defaults for old descriptions without these options, which were Llamas. */
    const char *pairing, *positions = "rotary", *norms = "rms", *feed_forward = "swiglu",
                         *biases = "none";
    int tied;
    int bad = json_unpack_ex(
        root, &where, 0,
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:F, s:s, s:F, s:F, s?s, s?s, s?s, s?s}",
        "vocabulary", &vocabulary_size, "layers", &layers, "width", &width, "heads", &heads,
        "kv_heads", &kv_heads, "hidden", &hidden, "context", &context, "tied", &tied, "rope_base",
        &o.rope_base, "rope_pairing", &pairing, "norm_epsilon", &o.norm_epsilon,
        "initial_deviation", &o.initial_deviation, "positions", &positions, "norm", &norms,
        "feed_forward", &feed_forward, "biases", &biases);
    if (bad) {
        json_decref(root);
        return rg_fail(error, RG_E_FORMAT, "description of a transformer: %s", where.text);
    }
    o.layers = layers;
    o.width = width;
    o.heads = heads;
    o.kv_heads = kv_heads;
    o.hidden = hidden;
    o.context = context;
    o.tied = tied;
    o.rope_pairing = choice(pairing_names, pairing);
    o.positions = choice(position_names, positions);
    o.norm = choice(norm_names, norms);
    o.feed_forward = choice(feed_forward_names, feed_forward);
    o.biases = choice(bias_names, biases);
    json_decref(root);
    return build(policy, &o, vocabulary_size, error);
}

const RgPolicyType rg_policy_transformer = {
    .about = {.name = "transformer",
              .summary =
                  "Llama architecture and variants (Qwen2, GPT-2): causal attention over tokens",
              .reference = "Touvron et al. 2023, arXiv:2302.13971",
              .options = options_table,
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
    .describe = describe,
    .restore = restore,
    .allocate = make_angles,
    .adapt = rg_transformer_adapt,
    .merge = rg_transformer_merge,
    .takes_precision = true,
    .takes_storage = true,
    .shards = true,
    .keeps_values = true,
};
