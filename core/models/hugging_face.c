/* SPDX-License-Identifier: MIT */
/* Reading Hugging Face checkpoints: translating a config to the transformer policy's options, and
 * reading the files of weights. hugging_face_layout.c locates a weight in them. */
#include "core/models/hugging_face.h"

#include "core/files.h"
#include "core/models/hugging_face_layout.h"
#include "core/train/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- config.json ---- */

typedef struct Config {
    const char *path;
    json_t *root;
    RgError *error;
    RgTransformerOptions options;
    int64_t vocabulary;
} Config;

/* From 1 to `most`. */
static RgStatus read_integer(Config *config, const char *key, int64_t most, int64_t *out) {
    const json_t *value = json_object_get(config->root, key);
    if (!json_is_integer(value))
        return rg_fail(config->error, RG_E_FORMAT, "%s: %s: expected an integer", config->path,
                       key);
    *out = json_integer_value(value);
    return *out >= 1 && *out <= most
               ? RG_OK
               : rg_fail(config->error, RG_E_FORMAT, "%s: %s = %lld, expected 1 to %lld",
                         config->path, key, (long long)*out, (long long)most);
}

/* The same with the limit of the transformer's `size`. */
static RgStatus read_size(Config *config, const char *key, const char *size, int64_t *out) {
    return read_integer(config, key, rg_transformer_most(size), out);
}

/* null counts as absent, here and below. */
static bool has(const Config *config, const char *key) {
    const json_t *value = json_object_get(config->root, key);
    return value && !json_is_null(value);
}

static RgStatus read_size_or(Config *config, const char *key, const char *size, int64_t fallback,
                             int64_t *out) {
    *out = fallback;
    return has(config, key) ? read_size(config, key, size, out) : RG_OK;
}

/* A number that may be absent, leaving `out` unchanged. `key` is its location. */
static RgStatus read_number(Config *config, const json_t *value, const char *key, double *out) {
    if (!value || json_is_null(value))
        return RG_OK;
    if (!json_is_number(value))
        return rg_fail(config->error, RG_E_FORMAT, "%s: %s: expected a number", config->path, key);
    *out = json_number_value(value);
    return RG_OK;
}

static RgStatus read_real_or(Config *config, const char *key, double fallback, double *out) {
    *out = fallback;
    return read_number(config, json_object_get(config->root, key), key, out);
}

static bool read_flag_or(const Config *config, const char *key, bool fallback) {
    return has(config, key) ? json_is_true(json_object_get(config->root, key)) : fallback;
}

static RgStatus refuse(Config *config, const char *key, const char *supported) {
    char *found = json_dumps(json_object_get(config->root, key), JSON_COMPACT | JSON_ENCODE_ANY);
    RgStatus status = rg_fail(config->error, RG_E_FORMAT, "%s: %s = %s is not supported; only %s",
                              config->path, key, found ? found : "?", supported);
    free(found);
    return status;
}

static RgStatus expect_one_of(Config *config, const char *key, const char *first,
                              const char *second) {
    const char *value = json_string_value(json_object_get(config->root, key));
    if (!has(config, key) || (value && (strcmp(value, first) == 0 || strcmp(value, second) == 0)))
        return RG_OK;
    return refuse(config, key, first);
}

/* The rotated dimensions and the base. Their number is the same at the top level and in a group. */
static RgStatus read_turning(Config *config, const json_t *group, const char *theta,
                             const char *factor) {
    double share = 1;
    RG_TRY(read_number(config, json_object_get(group, "rope_theta"), theta,
                       &config->options.rope_base));
    RG_TRY(read_number(config, json_object_get(group, "partial_rotary_factor"), factor, &share));
    return share == 1 ? RG_OK
                      : rg_fail(config->error, RG_E_FORMAT, "%s: %s = %g is not supported; only 1",
                                config->path, factor, share);
}

/* Newer files have all of it in rope_parameters. In both cases scaling is refused. */
static RgStatus read_rotary(Config *config) {
    static const struct {
        const char *key, *theta, *factor;
    } groups[] = {
        {"rope_scaling", "rope_scaling.rope_theta", "rope_scaling.partial_rotary_factor"},
        {"rope_parameters", "rope_parameters.rope_theta", "rope_parameters.partial_rotary_factor"},
    };
    config->options.rope_base = 10000;
    RG_TRY(read_turning(config, config->root, "rope_theta", "partial_rotary_factor"));
    for (int i = 0; i < 2; i++) {
        const json_t *rope = json_object_get(config->root, groups[i].key);
        const char *type = json_string_value(json_object_get(rope, "rope_type"));
        if (!type)
            type = json_string_value(json_object_get(rope, "type"));
        if (has(config, groups[i].key) && (!type || strcmp(type, "default") != 0))
            return refuse(config, groups[i].key, "null, or the type default");
        RG_TRY(read_turning(config, rope, groups[i].theta, groups[i].factor));
    }
    return RG_OK;
}

/* A window of the context's length has no effect, so a longer context is truncated to it. */
static RgStatus read_window(Config *config) {
    int64_t window = INT64_MAX;
    if (has(config, "sliding_window"))
        RG_TRY(read_integer(config, "sliding_window", INT64_MAX, &window));
    if (read_flag_or(config, "use_sliding_window", true) && window < config->options.context)
        config->options.context = window;
    return RG_OK;
}

static RgStatus read_llama(Config *config) {
    RgTransformerOptions *o = &config->options;
    RG_TRY(read_size(config, "hidden_size", "width", &o->width));
    RG_TRY(read_size(config, "num_hidden_layers", "layers", &o->layers));
    RG_TRY(read_size(config, "num_attention_heads", "heads", &o->heads));
    RG_TRY(read_size_or(config, "num_key_value_heads", "kv_heads", o->heads, &o->kv_heads));
    RG_TRY(read_size(config, "intermediate_size", "hidden", &o->hidden));
    RG_TRY(read_size(config, "max_position_embeddings", "context", &o->context));
    RG_TRY(read_real_or(config, "rms_norm_eps", 1e-6, &o->norm_epsilon));
    RG_TRY(read_rotary(config));
    RG_TRY(read_window(config));
    RG_TRY(expect_one_of(config, "hidden_act", "silu", "swish"));
    o->tied = read_flag_or(config, "tie_word_embeddings", false);
    o->rope_pairing = RG_ROPE_HALVES;
    static const char *const biases[] = {"attention_bias", "mlp_bias"};
    for (int i = 0; i < 2; i++)
        if (read_flag_or(config, biases[i], false))
            return refuse(config, biases[i], "false");
    int64_t size;
    RG_TRY(read_size_or(config, "head_dim", "width", o->width / o->heads, &size));
    if (size * o->heads != o->width)
        return refuse(config, "head_dim", "hidden_size / num_attention_heads");
    return RG_OK;
}

static RgStatus read_qwen2(Config *config) {
    /* Unlike Mistral's, its window is off by default. */
    if (!has(config, "use_sliding_window"))
        json_object_set_new(config->root, "use_sliding_window", json_false());
    config->options.biases = RG_BIASES_QUERY_KEY_VALUE;
    return read_llama(config);
}

static RgStatus read_gpt2(Config *config) {
    RgTransformerOptions *o = &config->options;
    RG_TRY(read_size(config, "n_embd", "width", &o->width));
    RG_TRY(read_size(config, "n_layer", "layers", &o->layers));
    RG_TRY(read_size(config, "n_head", "heads", &o->heads));
    RG_TRY(read_size(config, "n_positions", "context", &o->context));
    RG_TRY(read_size_or(config, "n_inner", "hidden", 4 * o->width, &o->hidden));
    RG_TRY(read_real_or(config, "layer_norm_epsilon", 1e-5, &o->norm_epsilon));
    RG_TRY(expect_one_of(config, "activation_function", "gelu_new", "gelu_pytorch_tanh"));
    if (read_flag_or(config, "scale_attn_by_inverse_layer_idx", false))
        return refuse(config, "scale_attn_by_inverse_layer_idx", "false");
    if (!read_flag_or(config, "scale_attn_weights", true))
        return refuse(config, "scale_attn_weights", "true");
    o->tied = read_flag_or(config, "tie_word_embeddings", true);
    o->kv_heads = o->heads;
    o->rope_base = 10000; /* unused */
    o->positions = RG_POSITIONS_LEARNED;
    o->norm = RG_NORM_LAYER;
    o->feed_forward = RG_FEED_FORWARD_GELU;
    o->biases = RG_BIASES_ALL;
    return RG_OK;
}

/* ---- architectures ---- */

static const struct {
    const char *name;
    RgStatus (*read)(Config *config);
    const RgHuggingFaceNaming *naming;
} architectures[] = {
    {"LlamaForCausalLM", read_llama, &rg_hugging_face_llama},
    {"MistralForCausalLM", read_llama, &rg_hugging_face_llama},
    {"Qwen2ForCausalLM", read_qwen2, &rg_hugging_face_llama},
    {"Phi3ForCausalLM", read_llama, &rg_hugging_face_phi3},
    {"GPT2LMHeadModel", read_gpt2, &rg_hugging_face_gpt2},
};
enum { ARCHITECTURES = sizeof architectures / sizeof *architectures };

/* ---- weights ---- */

/* The safetensors files of a checkpoint. */
typedef struct Shards {
    const char *folder;
    RgSafetensors **file; /* [count] */
    char **name;          /* [count] */
    int count;
} Shards;

static RgStatus add_shard(Shards *shards, const char *name, RgError *error) {
    for (int i = 0; i < shards->count; i++)
        if (strcmp(shards->name[i], name) == 0)
            return RG_OK;
    shards->file = rg_reallocate(shards->file, (size_t)shards->count + 1, sizeof *shards->file);
    shards->name = rg_reallocate(shards->name, (size_t)shards->count + 1, sizeof *shards->name);
    char *path = rg_string_format("%s/%s", shards->folder, name);
    RgStatus status = rg_safetensors_open(path, &shards->file[shards->count], error);
    if (status == RG_OK)
        shards->name[shards->count++] = rg_string_copy(name);
    free(path);
    return status;
}

static RgStatus load_json(const char *path, json_t **root, RgError *error) {
    char *content;
    size_t size;
    RG_TRY(rg_file_read(path, &content, &size, error));
    json_error_t where;
    *root = json_loadb(content, size, 0, &where);
    free(content);
    return *root ? RG_OK : rg_fail(error, RG_E_FORMAT, "%s:%d: %s", path, where.line, where.text);
}

static RgStatus open_indexed(Shards *shards, const char *index, RgError *error) {
    json_t *root;
    RG_TRY(load_json(index, &root, error));
    json_t *map = json_object_get(root, "weight_map"), *file;
    RgStatus status = RG_OK;
    if (!json_is_object(map))
        status = rg_fail(error, RG_E_FORMAT, "%s: weight_map: expected an object", index);
    const char *tensor;
    json_object_foreach(map, tensor, file) {
        if (status != RG_OK)
            break;
        const char *name = json_string_value(file);
        status = name && !strchr(name, '/')
                     ? add_shard(shards, name, error)
                     : rg_fail(error, RG_E_FORMAT, "%s: weight_map: %s: expected a file's name",
                               index, tensor);
    }
    json_decref(root);
    return status;
}

static RgStatus open_shards(Shards *shards, RgError *error) {
    char *index = rg_string_format("%s/model.safetensors.index.json", shards->folder);
    FILE *probe = fopen(index, "r");
    RgStatus status =
        probe ? open_indexed(shards, index, error) : add_shard(shards, "model.safetensors", error);
    if (probe)
        fclose(probe);
    free(index);
    return status;
}

static void close_shards(Shards *shards) {
    for (int i = 0; i < shards->count; i++) {
        rg_safetensors_close(shards->file[i]);
        free(shards->name[i]);
    }
    free(shards->file);
    free(shards->name);
}

/* A tensor, and the file that contains it. */
typedef struct Source {
    const RgSafetensors *file;
    const RgStoredTensor *tensor; /* NULL: not found */
} Source;

/* GPT-2's files name their tensors with or without the name of the module. */
static Source find_tensor(const Shards *shards, const char *name) {
    char *longer = rg_string_format("transformer.%s", name);
    Source source = {NULL, NULL};
    for (int i = 0; i < shards->count && !source.tensor; i++) {
        source.file = shards->file[i];
        source.tensor = rg_safetensors_find(source.file, name);
        if (!source.tensor)
            source.tensor = rg_safetensors_find(source.file, longer);
    }
    free(longer);
    return source;
}

/* Fills a view that is stored transposed, some stored rows at a time. */
static RgStatus fill_transposed(Source source, const RgHuggingFacePlace *place,
                                const RgParameterView *view, RgReal *out, RgError *error) {
    enum { AT_ONCE = 32 };
    RgReal *stored = rg_allocate(AT_ONCE * place->rows, sizeof *stored);
    RgStatus status = RG_OK;
    for (int64_t first = 0; first < place->columns && status == RG_OK; first += AT_ONCE) {
        int64_t count = place->columns - first < AT_ONCE ? place->columns - first : AT_ONCE;
        status = rg_safetensors_read(source.file, source.tensor, first * place->rows,
                                     count * place->rows, stored, error);
        for (int64_t row = 0; row < view->size[0] && status == RG_OK; row++)
            for (int64_t i = 0; i < count; i++)
                out[row * place->columns + first + i] =
                    stored[i * place->rows + place->first + row];
    }
    free(stored);
    return status;
}

/* Checks a view's tensor before memory is allocated for the sizes in config.json. */
static RgStatus check_view(const Shards *shards, const RgHuggingFaceNaming *naming,
                           const RgPolicy *policy, const RgParameterView *view, RgError *error) {
    RgHuggingFacePlace place = rg_hugging_face_place(naming, rg_transformer_options(policy), view);
    const RgStoredTensor *stored = find_tensor(shards, place.name).tensor;
    if (!stored)
        return rg_fail(error, RG_E_FORMAT, "%s: no tensor \"%s\"", shards->folder, place.name);
    int64_t rows = stored->size[place.transposed], columns = stored->size[!place.transposed];
    if (stored->rank == view->rank && rows == place.rows &&
        (view->rank == 1 || columns == place.columns))
        return RG_OK;
    return rg_fail(error, RG_E_FORMAT,
                   "%s: tensor \"%s\" does not have the shape given by config.json: %lld "
                   "rows of %lld, expected %lld of %lld",
                   shards->folder, place.name, (long long)rows,
                   (long long)(stored->rank > 1 ? columns : 1), (long long)place.rows,
                   (long long)place.columns);
}

static RgStatus fill_view(const Shards *shards, const RgHuggingFaceNaming *naming,
                          const RgPolicy *policy, const RgParameterView *view, RgError *error) {
    RgHuggingFacePlace place = rg_hugging_face_place(naming, rg_transformer_options(policy), view);
    Source source = find_tensor(shards, place.name);
    RgReal *out = policy->parameters->value + view->offset;
    RgStatus status = place.transposed ? fill_transposed(source, &place, view, out, error)
                                       : rg_safetensors_read(source.file, source.tensor,
                                                             place.first * place.columns,
                                                             view->count, out, error);
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, "%s", shards->folder);
}

static RgStatus fill(const char *folder, const RgHuggingFaceNaming *naming, RgPolicy *policy,
                     RgError *error) {
    Shards shards = {.folder = folder};
    const RgParameters *parameters = policy->parameters;
    RgStatus status = open_shards(&shards, error);
    for (int i = 0; i < parameters->view_count && status == RG_OK; i++)
        status = check_view(&shards, naming, policy, &parameters->views[i], error);
    if (status == RG_OK)
        rg_policy_allocate(policy);
    for (int i = 0; i < parameters->view_count && status == RG_OK; i++)
        status = fill_view(&shards, naming, policy, &parameters->views[i], error);
    close_shards(&shards);
    return status;
}

/* ---- the whole ---- */

static RgStatus find_architecture(Config *config, int *found) {
    const char *name =
        json_string_value(json_array_get(json_object_get(config->root, "architectures"), 0));
    if (!name)
        return rg_fail(config->error, RG_E_FORMAT,
                       "%s: architectures: expected an array with a name", config->path);
    for (int i = 0; i < ARCHITECTURES; i++)
        if (strcmp(architectures[i].name, name) == 0) {
            *found = i;
            return RG_OK;
        }
    return refuse(config, "architectures",
                  "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Phi3ForCausalLM and "
                  "GPT2LMHeadModel");
}

static RgStatus load(Config *config, const char *folder, RgPolicy **policy) {
    int architecture = 0;
    RG_TRY(find_architecture(config, &architecture));
    RG_TRY(architectures[architecture].read(config));
    RG_TRY(read_size(config, "vocab_size", "vocabulary", &config->vocabulary));
    RgStatus status =
        rg_transformer_declare(&config->options, config->vocabulary, policy, config->error);
    if (status != RG_OK)
        return rg_fail_in(config->error, status, "%s", config->path);
    return fill(folder, architectures[architecture].naming, *policy, config->error);
}

RgStatus rg_hugging_face_load(const char *folder, RgPolicy **policy, RgError *error) {
    *policy = NULL;
    char *path = rg_string_format("%s/config.json", folder);
    Config config = {.path = path, .error = error, .options.initial_deviation = 0.02};
    RgStatus status = load_json(path, &config.root, error);
    if (status == RG_OK)
        status = load(&config, folder, policy);
    if (status != RG_OK) {
        rg_policy_destroy(*policy);
        *policy = NULL;
    }
    json_decref(config.root);
    free(path);
    return status;
}
