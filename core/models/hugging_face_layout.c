/* SPDX-License-Identifier: MIT */
/* The table of architectures, and where the transformer policy's weights are in the files of each. */
#include "core/models/hugging_face_layout.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The matrices that a stored tensor contains: one below the other, or query, key and value of each
 * head together. */
typedef enum Holds { ONE, QUERY_KEY_VALUE, GATE_UP, BY_HEAD } Holds;

/* A view, and the tensor that it is, or of which it is part number `which`. Names are without
 * .weight and .bias. */
typedef struct Part {
    const char *ours, *theirs;
    Holds holds;
    int which;
    bool transposed; /* stored as [in, out] */
} Part;

struct RgHuggingFaceNaming {
    const char *layer; /* prefix of the layers' names, with %s for the layer's number */
    Part part[16];     /* of a layer; all others have our name */
    Part other[8];     /* outside of layers, likewise */
};

static const RgHuggingFaceNaming llama = {.layer = "model.layers.%s."};
static const RgHuggingFaceNaming phi3 = {
    .layer = "model.layers.%s.",
    .part = {{"self_attn.q_proj", "self_attn.qkv_proj", QUERY_KEY_VALUE, 0, false},
             {"self_attn.k_proj", "self_attn.qkv_proj", QUERY_KEY_VALUE, 1, false},
             {"self_attn.v_proj", "self_attn.qkv_proj", QUERY_KEY_VALUE, 2, false},
             {"mlp.gate_proj", "mlp.gate_up_proj", GATE_UP, 0, false},
             {"mlp.up_proj", "mlp.gate_up_proj", GATE_UP, 1, false}},
};
static const RgHuggingFaceNaming gpt2 = {
    .layer = "h.%s.",
    .part = {{"input_layernorm", "ln_1", ONE, 0, false},
             {"self_attn.q_proj", "attn.c_attn", QUERY_KEY_VALUE, 0, true},
             {"self_attn.k_proj", "attn.c_attn", QUERY_KEY_VALUE, 1, true},
             {"self_attn.v_proj", "attn.c_attn", QUERY_KEY_VALUE, 2, true},
             {"self_attn.o_proj", "attn.c_proj", ONE, 0, true},
             {"post_attention_layernorm", "ln_2", ONE, 0, false},
             {"mlp.up_proj", "mlp.c_fc", ONE, 0, true},
             {"mlp.down_proj", "mlp.c_proj", ONE, 0, true}},
    .other = {{"model.embed_tokens", "wte", ONE, 0, false},
              {"model.embed_positions", "wpe", ONE, 0, false},
              {"model.norm", "ln_f", ONE, 0, false}},
};
static const RgHuggingFaceNaming gpt_neox = {
    .layer = "gpt_neox.layers.%s.",
    .part = {{"self_attn.q_proj", "attention.query_key_value", BY_HEAD, 0, false},
             {"self_attn.k_proj", "attention.query_key_value", BY_HEAD, 1, false},
             {"self_attn.v_proj", "attention.query_key_value", BY_HEAD, 2, false},
             {"self_attn.o_proj", "attention.dense", ONE, 0, false},
             {"mlp.up_proj", "mlp.dense_h_to_4h", ONE, 0, false},
             {"mlp.down_proj", "mlp.dense_4h_to_h", ONE, 0, false}},
    .other = {{"model.embed_tokens", "gpt_neox.embed_in", ONE, 0, false},
              {"model.norm", "gpt_neox.final_layer_norm", ONE, 0, false},
              {"lm_head", "embed_out", ONE, 0, false}},
};
static const RgHuggingFaceNaming gemma = {
    .layer = "model.layers.%s.",
    .part = {{"attention_output_norm", "post_attention_layernorm", ONE, 0, false},
             {"post_attention_layernorm", "pre_feedforward_layernorm", ONE, 0, false},
             {"feed_forward_output_norm", "post_feedforward_layernorm", ONE, 0, false}},
};

/* ---- architectures ---- */

/* Keys and their defaults as in the configurations of transformers 4.x and 5. */
#define LLAMA_SIZES                                                                                \
    {"hidden_size", "width", RG_KEY_REQUIRED}, {"num_hidden_layers", "layers", RG_KEY_REQUIRED},   \
        {"num_attention_heads", "heads", RG_KEY_REQUIRED}, {"num_key_value_heads", "kv_heads", 0}, \
        {"intermediate_size", "hidden", RG_KEY_REQUIRED}, {                                        \
        "max_position_embeddings", "context", RG_KEY_REQUIRED                                      \
    }

static const RgHuggingFaceKey llama_keys[] = {LLAMA_SIZES,
                                              {"rms_norm_eps", "norm_epsilon", 1e-6},
                                              {"rope_theta", "rope_base", 10000},
                                              {"tie_word_embeddings", "tied", false},
                                              {"head_dim", "head_size", 0},
                                              {0}};
static const RgHuggingFaceKey phi3_keys[] = {LLAMA_SIZES,
                                             {"rms_norm_eps", "norm_epsilon", 1e-5},
                                             {"rope_theta", "rope_base", 10000},
                                             {"tie_word_embeddings", "tied", false},
                                             {"head_dim", "head_size", 0},
                                             {0}};
static const RgHuggingFaceKey qwen3_keys[] = {LLAMA_SIZES,
                                              {"rms_norm_eps", "norm_epsilon", 1e-6},
                                              {"rope_theta", "rope_base", 10000},
                                              {"tie_word_embeddings", "tied", false},
                                              {"head_dim", "head_size", 128},
                                              {0}};
static const RgHuggingFaceKey gemma2_keys[] = {LLAMA_SIZES,
                                               {"rms_norm_eps", "norm_epsilon", 1e-6},
                                               {"rope_theta", "rope_base", 10000},
                                               {"tie_word_embeddings", "tied", true},
                                               {"head_dim", "head_size", 256},
                                               {0}};
static const RgHuggingFaceKey gemma3_keys[] = {LLAMA_SIZES,
                                               {"rms_norm_eps", "norm_epsilon", 1e-6},
                                               {"rope_theta", "rope_base", 1e6},
                                               {"tie_word_embeddings", "tied", true},
                                               {"head_dim", "head_size", 256},
                                               {0}};
static const RgHuggingFaceKey gpt2_keys[] = {{"n_embd", "width", RG_KEY_REQUIRED},
                                             {"n_layer", "layers", RG_KEY_REQUIRED},
                                             {"n_head", "heads", RG_KEY_REQUIRED},
                                             {"n_positions", "context", RG_KEY_REQUIRED},
                                             {"n_inner", "hidden", 0},
                                             {"layer_norm_epsilon", "norm_epsilon", 1e-5},
                                             {"tie_word_embeddings", "tied", true},
                                             {0}};
static const RgHuggingFaceKey gpt_neox_keys[] = {
    {"hidden_size", "width", RG_KEY_REQUIRED},
    {"num_hidden_layers", "layers", RG_KEY_REQUIRED},
    {"num_attention_heads", "heads", RG_KEY_REQUIRED},
    {"intermediate_size", "hidden", RG_KEY_REQUIRED},
    {"max_position_embeddings", "context", RG_KEY_REQUIRED},
    {"layer_norm_eps", "norm_epsilon", 1e-5},
    {"rotary_emb_base", "rope_base", 10000},
    {"tie_word_embeddings", "tied", false},
    {0}};

static const RgHuggingFaceFixed llama_fixed[] = {{"hidden_act", "\"silu\"", "\"swish\""}, {0}};
static const RgHuggingFaceFixed gpt2_fixed[] = {
    {"activation_function", "\"gelu_new\"", "\"gelu_pytorch_tanh\""},
    {"scale_attn_by_inverse_layer_idx", "false", NULL},
    {"scale_attn_weights", "true", NULL},
    {0}};
static const RgHuggingFaceFixed gpt_neox_fixed[] = {
    {"hidden_act", "\"gelu\"", NULL}, {"attention_bias", "true", NULL}, {0}};
static const RgHuggingFaceFixed gemma_fixed[] = {
    {"hidden_activation", "\"gelu_pytorch_tanh\"", NULL},
    {"hidden_act", "\"gelu_pytorch_tanh\"", NULL},
    {"use_bidirectional_attention", "false", NULL},
    {0}};

/* What most have: rotary positions, RMSNorm, SwiGLU, no biases. */
const RgHuggingFaceArchitecture rg_hugging_face_architectures[] = {
    {.name = "LlamaForCausalLM",
     .kind = "llama",
     .naming = &llama,
     .keys = llama_keys,
     .fixed = llama_fixed},
    {.name = "MistralForCausalLM",
     .kind = "mistral",
     .naming = &llama,
     .keys = llama_keys,
     .fixed = llama_fixed,
     .window = RG_WINDOW_ALL,
     .fallback_window = 4096},
    {.name = "Qwen2ForCausalLM",
     .kind = "qwen2",
     .naming = &llama,
     .keys = llama_keys,
     .fixed = llama_fixed,
     .biases = RG_BIASES_QUERY_KEY_VALUE,
     .window = RG_WINDOW_LATE,
     .fallback_window = 4096},
    {.name = "Qwen3ForCausalLM",
     .kind = "qwen3",
     .naming = &llama,
     .keys = qwen3_keys,
     .fixed = llama_fixed,
     .query_key_norm = true,
     .window = RG_WINDOW_LATE,
     .fallback_window = 4096},
    {.name = "Phi3ForCausalLM",
     .kind = "phi3",
     .naming = &phi3,
     .keys = phi3_keys,
     .fixed = llama_fixed,
     .window = RG_WINDOW_ALL,
     .fraction = "partial_rotary_factor",
     .fallback_fraction = 1},
    {.name = "GPT2LMHeadModel",
     .kind = "gpt2",
     .naming = &gpt2,
     .keys = gpt2_keys,
     .fixed = gpt2_fixed,
     .positions = RG_POSITIONS_LEARNED,
     .norm = RG_NORM_LAYER,
     .feed_forward = RG_FEED_FORWARD_GELU,
     .biases = RG_BIASES_ALL},
    {.name = "GPTNeoXForCausalLM",
     .kind = "gpt_neox",
     .naming = &gpt_neox,
     .keys = gpt_neox_keys,
     .fixed = gpt_neox_fixed,
     .norm = RG_NORM_LAYER,
     .feed_forward = RG_FEED_FORWARD_GELU_EXACT,
     .biases = RG_BIASES_ALL,
     .fraction = "rotary_pct",
     .fallback_fraction = 0.25,
     .parallel = true},
    {.name = "Gemma2ForCausalLM",
     .kind = "gemma2",
     .naming = &gemma,
     .keys = gemma2_keys,
     .fixed = gemma_fixed,
     .feed_forward = RG_FEED_FORWARD_GEGLU,
     .output_norms = true,
     .window = RG_WINDOW_SECOND,
     .fallback_window = 4096,
     .gemma = true,
     .fallback_caps = {50, 30}},
    {.name = "Gemma3ForCausalLM",
     .kind = "gemma3_text",
     .naming = &gemma,
     .keys = gemma3_keys,
     .fixed = gemma_fixed,
     .feed_forward = RG_FEED_FORWARD_GEGLU,
     .query_key_norm = true,
     .output_norms = true,
     .window = RG_WINDOW_SIXTH,
     .fallback_window = 4096,
     .gemma = true,
     .fallback_window_base = 10000},
    {0},
};

bool rg_hugging_face_has_key(const RgHuggingFaceArchitecture *a, const char *option) {
    for (const RgHuggingFaceKey *key = a->keys; key->name; key++)
        if (strcmp(key->option, option) == 0)
            return true;
    return false;
}

static bool window_fits(const RgHuggingFaceArchitecture *a, const RgTransformerOptions *o) {
    bool local_base = o->window_rope_base > 0;
    if (o->window == 0)
        return true;
    switch (a->window) {
    case RG_WINDOW_ALL:
        return o->window_first == 0 && o->full_every == 0 && !local_base;
    case RG_WINDOW_LATE:
        return o->full_every == 0 && !local_base;
    case RG_WINDOW_SECOND:
        return o->window_first == 0 && o->full_every == 2 && !local_base;
    case RG_WINDOW_SIXTH:
        return o->window_first == 0 && o->full_every > 0 && local_base;
    default:
        return false;
    }
}

static bool has_gemmas_form(const RgTransformerOptions *o) {
    return o->embedding_scale == sqrt((double)o->width) && o->attention_scale > 0;
}

static bool has_plain_form(const RgTransformerOptions *o) {
    return o->embedding_scale == 1 && o->attention_scale == 0 && o->attention_cap == 0 &&
           o->logit_cap == 0;
}

bool rg_hugging_face_fits(const RgHuggingFaceArchitecture *a, const RgTransformerOptions *o) {
    return a->positions == o->positions && a->norm == o->norm &&
           a->feed_forward == o->feed_forward && a->biases == o->biases &&
           a->query_key_norm == o->query_key_norm && a->output_norms == o->output_norms &&
           (rg_hugging_face_has_key(a, "kv_heads") || o->heads == o->kv_heads) &&
           (rg_hugging_face_has_key(a, "head_size") || o->head_size == 0) &&
           (a->fraction || !o->rotary_size) &&
           (a->parallel || o->residual == RG_RESIDUAL_SEQUENTIAL) && window_fits(a, o) &&
           (a->gemma ? has_gemmas_form(o) : has_plain_form(o));
}

/* ---- places ---- */

static const Part *find_part(const Part *parts, int count, const char *name, size_t length) {
    for (int i = 0; i < count && parts[i].ours; i++)
        if (strlen(parts[i].ours) == length && strncmp(parts[i].ours, name, length) == 0)
            return &parts[i];
    return NULL;
}

/* The name of the stored tensor for a view, and the part that the view is of it. */
static Part place_of(const RgHuggingFaceNaming *naming, const char *view, char *name, size_t size) {
    static const char ours[] = "model.layers.";
    const char *suffix = strrchr(view, '.');
    if (strncmp(view, ours, strlen(ours)) != 0) {
        const Part *part = find_part(naming->other, 8, view, (size_t)(suffix - view));
        Part own = {.theirs = view};
        snprintf(name, size, "%s%s", part ? part->theirs : view, part ? suffix : "");
        return part ? *part : own;
    }
    const char *number = view + strlen(ours), *rest = strchr(number, '.') + 1;
    char layer[24], start[64];
    snprintf(layer, sizeof layer, "%.*s", (int)(rest - 1 - number), number);
    const char *place = strchr(naming->layer, '%');
    snprintf(start, sizeof start, "%.*s%s%s", (int)(place - naming->layer), naming->layer, layer,
             place + 2);
    const Part *part = find_part(naming->part, 16, rest, (size_t)(suffix - rest));
    Part own = {.theirs = rest};
    snprintf(name, size, "%s%s%s", start, part ? part->theirs : rest, part ? suffix : "");
    return part ? *part : own;
}

/* Where the rows of a part are within its tensor. */
static void find_rows(const RgTransformerOptions *o, const Part *part, const RgParameterView *view,
                      RgHuggingFacePlace *place) {
    int64_t size = o->head_size ? o->head_size : o->width / o->heads;
    int64_t query = size * o->heads, key = size * o->kv_heads;
    const int64_t sizes[][3] = {[ONE] = {view->size[0], 0, 0},
                                [QUERY_KEY_VALUE] = {query, key, key},
                                [GATE_UP] = {o->hidden, o->hidden, 0},
                                [BY_HEAD] = {query, key, key}};
    const int64_t *rows = sizes[part->holds];
    place->rows = rows[0] + rows[1] + rows[2];
    place->block = place->stride = rows[part->which];
    for (int i = 0; i < part->which; i++)
        place->first += rows[i];
    if (part->holds == BY_HEAD) {
        place->block = size;
        place->stride = 3 * size;
        place->first = part->which * size;
    }
}

RgHuggingFacePlace rg_hugging_face_place(const RgHuggingFaceNaming *naming,
                                         const RgTransformerOptions *options,
                                         const RgParameterView *view) {
    RgHuggingFacePlace place = {.columns = view->rank == 2 ? view->size[1] : 1};
    Part part = place_of(naming, view->name, place.name, sizeof place.name);
    find_rows(options, &part, view, &place);
    place.transposed = part.transposed && view->rank == 2;
    return place;
}

int64_t rg_hugging_face_row(const RgHuggingFacePlace *place, int64_t row) {
    return place->first + row / place->block * place->stride + row % place->block;
}

int64_t rg_hugging_face_index(const RgHuggingFacePlace *place, int64_t row, int64_t column) {
    row = rg_hugging_face_row(place, row);
    return place->transposed ? column * place->rows + row : row * place->columns + column;
}

int64_t rg_hugging_face_rope_row(const RgTransformerOptions *o, const RgParameterView *view,
                                 int64_t row) {
    bool rotates = strstr(view->name, ".q_proj.") || strstr(view->name, ".k_proj.") ||
                   strstr(view->name, ".q_norm.") || strstr(view->name, ".k_norm.");
    if (!rotates || o->positions != RG_POSITIONS_ROTARY || o->rope_pairing != RG_ROPE_NEIGHBOURS)
        return row;
    int64_t size = o->head_size ? o->head_size : o->width / o->heads, d = row % size;
    int64_t rotated = o->rotary_size ? o->rotary_size : size;
    return d >= rotated ? row : row - d + d % 2 * (rotated / 2) + d / 2;
}

int64_t rg_hugging_face_layer(const RgHuggingFaceNaming *naming, const char *tensor) {
    size_t length = strcspn(naming->layer, "%");
    if (strncmp(tensor, naming->layer, length) != 0 || !isdigit((unsigned char)tensor[length]))
        return -1;
    return strtoll(tensor + length, NULL, 10);
}

RgReal rg_hugging_face_offset(const RgHuggingFaceArchitecture *architecture,
                              const RgParameterView *view) {
    return architecture->gemma && view->rank == 1 ? 1 : 0;
}
