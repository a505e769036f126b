/* SPDX-License-Identifier: MIT */
/* Writing transformer policies in Hugging Face's layout: config.json and model.safetensors. */
#include "core/files.h"
#include "core/models/hugging_face.h"
#include "core/models/hugging_face_layout.h"
#include "core/new_file.h"
#include "core/train/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- config.json ---- */

typedef struct Architecture {
    const char *name, *kind;
    const RgHuggingFaceNaming *naming;
    int positions, norm, feed_forward, biases;
} Architecture;

/* The minimum of the architectures that can be read: Mistral and Phi-3 without their special
 * features are Llamas. */
static const Architecture architectures[] = {
    {"LlamaForCausalLM", "llama", &rg_hugging_face_llama, RG_POSITIONS_ROTARY, RG_NORM_RMS,
     RG_FEED_FORWARD_SWIGLU, RG_BIASES_NONE},
    {"Qwen2ForCausalLM", "qwen2", &rg_hugging_face_llama, RG_POSITIONS_ROTARY, RG_NORM_RMS,
     RG_FEED_FORWARD_SWIGLU, RG_BIASES_QUERY_KEY_VALUE},
    {"GPT2LMHeadModel", "gpt2", &rg_hugging_face_gpt2, RG_POSITIONS_LEARNED, RG_NORM_LAYER,
     RG_FEED_FORWARD_GELU, RG_BIASES_ALL},
};

static const Architecture *find_architecture(const RgTransformerOptions *o) {
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        const Architecture *a = &architectures[i];
        bool heads_fit = a->positions == RG_POSITIONS_ROTARY || o->heads == o->kv_heads;
        if (a->positions == o->positions && a->norm == o->norm &&
            a->feed_forward == o->feed_forward && a->biases == o->biases && heads_fit)
            return a;
    }
    return NULL;
}

static json_t *describe_gpt2(const RgTransformerOptions *o) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:s}", "n_embd", (json_int_t)o->width,
                     "n_layer", (json_int_t)o->layers, "n_head", (json_int_t)o->heads,
                     "n_positions", (json_int_t)o->context, "n_inner", (json_int_t)o->hidden,
                     "layer_norm_epsilon", o->norm_epsilon, "activation_function", "gelu_new");
}

static json_t *describe_llama(const RgTransformerOptions *o) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:s}", "hidden_size",
                     (json_int_t)o->width, "num_hidden_layers", (json_int_t)o->layers,
                     "num_attention_heads", (json_int_t)o->heads, "num_key_value_heads",
                     (json_int_t)o->kv_heads, "intermediate_size", (json_int_t)o->hidden,
                     "max_position_embeddings", (json_int_t)o->context, "rms_norm_eps",
                     o->norm_epsilon, "rope_theta", o->rope_base, "hidden_act", "silu");
}

static RgStatus write_config(const RgPolicy *policy, const Architecture *architecture,
                             const char *folder, RgError *error) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    json_t *root = architecture->norm == RG_NORM_LAYER ? describe_gpt2(o) : describe_llama(o);
    json_object_set_new(root, "architectures", json_pack("[s]", architecture->name));
    json_object_set_new(root, "model_type", json_string(architecture->kind));
    json_object_set_new(root, "vocab_size", json_integer(rg_transformer_vocabulary(policy)));
    json_object_set_new(root, "tie_word_embeddings", json_boolean(o->tied));
    json_object_set_new(root, "torch_dtype", json_string("float32"));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    char *path = rg_string_format("%s/config.json", folder);
    RgStatus status = rg_file_write(path, text, strlen(text), error);
    free(path);
    free(text);
    json_decref(root);
    return status;
}

/* ---- weights ---- */

/* The tensors of the file, which own their names and numbers. */
typedef struct Tensors {
    RgStoredTensor *tensor; /* [count] */
    int count;
} Tensors;

/* The numbers of the tensor that contains a view, allocated for the first view in it. */
static float *numbers_of(Tensors *all, const RgHuggingFacePlace *place, int rank) {
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->tensor[i].name, place->name) == 0)
            return (float *)all->tensor[i].data;
    size_t bytes = sizeof(float) * (size_t)(place->rows * place->columns);
    float *numbers = rg_allocate(1, bytes);
    RgStoredTensor *tensor = &all->tensor[all->count++];
    *tensor = (RgStoredTensor){.name = rg_string_copy(place->name),
                               .type = RG_F32,
                               .rank = rank,
                               .data = numbers,
                               .bytes = bytes};
    tensor->size[place->transposed] = place->rows;
    if (rank == 2)
        tensor->size[!place->transposed] = place->columns;
    return numbers;
}

/* Hugging Face rotates dimension d of a head together with dimension d + size/2. If our pairs are
 * neighbours, the even dimensions form the first half there. */
static int64_t rope_row(const RgTransformerOptions *o, const RgParameterView *view, int64_t row) {
    bool rotates = strstr(view->name, ".q_proj.") || strstr(view->name, ".k_proj.");
    if (!rotates || o->positions != RG_POSITIONS_ROTARY || o->rope_pairing != RG_ROPE_NEIGHBOURS)
        return row;
    int64_t size = o->width / o->heads, d = row % size;
    return row - d + d % 2 * (size / 2) + d / 2;
}

static void put_view(Tensors *all, const RgPolicy *policy, const Architecture *architecture,
                     const RgParameterView *view) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    RgHuggingFacePlace place = rg_hugging_face_place(architecture->naming, o, view);
    float *numbers = numbers_of(all, &place, view->rank);
    const RgReal *value = policy->parameters->value + view->offset;
    for (int64_t i = 0; i < view->count; i++) {
        int64_t row = rope_row(o, view, i / place.columns);
        numbers[rg_hugging_face_index(&place, row, i % place.columns)] = (float)value[i];
    }
}

static RgStatus write_weights(const RgPolicy *policy, const Architecture *architecture,
                              const char *folder, RgError *error) {
    static const char *const metadata[] = {"format", "pt", NULL};
    const RgParameters *parameters = policy->parameters;
    Tensors all = {rg_allocate(parameters->view_count, sizeof *all.tensor), 0};
    for (int i = 0; i < parameters->view_count; i++)
        put_view(&all, policy, architecture, &parameters->views[i]);
    char *path = rg_string_format("%s/model.safetensors", folder);
    RgStatus status = rg_safetensors_write(path, all.tensor, all.count, metadata, error);
    for (int i = 0; i < all.count; i++) {
        free((char *)all.tensor[i].name);
        free((float *)all.tensor[i].data);
    }
    free(all.tensor);
    free(path);
    return status;
}

RgStatus rg_hugging_face_save(const RgPolicy *policy, const char *folder, RgError *error) {
    if (policy->type != &rg_policy_transformer)
        return rg_fail(error, RG_E_USAGE, "a %s policy cannot be saved in Hugging Face's layout",
                       policy->type->about.name);
    const Architecture *architecture = find_architecture(rg_transformer_options(policy));
    if (!architecture)
        return rg_fail(error, RG_E_USAGE,
                       "no Hugging Face architecture combines this transformer's positions, norm, "
                       "feed_forward and biases");
    RG_TRY(rg_folders_make_above(folder, error));
    RG_TRY(rg_folder_make(folder, error));
    RgPolicy *merged = policy->base ? rg_policy_merged(policy) : NULL;
    RgStatus status = write_weights(merged ? merged : policy, architecture, folder, error);
    rg_policy_destroy(merged);
    RG_TRY(status);
    return write_config(policy, architecture, folder, error);
}
