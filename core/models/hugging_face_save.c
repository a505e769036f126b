/* SPDX-License-Identifier: MIT */
/* Writing transformer policies in Hugging Face's layout: config.json and model.safetensors. */
#include "core/files.h"
#include "core/models/hugging_face.h"
#include "core/models/hugging_face_layout.h"
#include "core/new_file.h"
#include "core/train/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- config.json ---- */

static const RgHuggingFaceArchitecture *find_architecture(const RgTransformerOptions *o) {
    for (const RgHuggingFaceArchitecture *a = rg_hugging_face_architectures; a->name; a++)
        if (rg_hugging_face_fits(a, o))
            return a;
    return NULL;
}

static json_t *number_or_null(double number) {
    return number > 0 ? json_real(number) : json_null();
}

static void describe_sizes(const RgHuggingFaceArchitecture *a, const RgTransformerOptions *o,
                           json_t *root) {
    for (const RgHuggingFaceKey *key = a->keys; key->name; key++) {
        const RgOption *option = rg_options_find(rg_policy_transformer.about.options, key->option);
        const void *at = (const char *)o + option->offset;
        json_t *value = option->kind == RG_KIND_INTEGER
                            ? json_integer((json_int_t) * (const int64_t *)at)
                        : option->kind == RG_KIND_REAL ? json_real(*(const double *)at)
                                                       : json_boolean(*(const bool *)at);
        json_object_set_new(root, key->name, value);
    }
    if (rg_hugging_face_has_key(a, "head_size") && o->head_size == 0) {
        json_object_del(root, "head_dim");
        if (a->query_key_norm || a->gemma) /* their default is another */
            json_object_set_new(root, "head_dim", json_integer(o->width / o->heads));
    }
    for (const RgHuggingFaceFixed *fixed = a->fixed; fixed->name; fixed++)
        json_object_set_new(root, fixed->name, json_loads(fixed->value, JSON_DECODE_ANY, NULL));
}

static void describe_rope(const RgHuggingFaceArchitecture *a, const RgTransformerOptions *o,
                          json_t *root) {
    if (a->fraction) {
        double size = (double)(o->head_size ? o->head_size : o->width / o->heads);
        double share = o->rotary_size ? (double)o->rotary_size / size : 1;
        json_object_set_new(root, a->fraction, json_real(share));
    }
    if (o->rope_scaling == RG_ROPE_UNSCALED)
        return;
    bool llama3 = o->rope_scaling == RG_ROPE_LLAMA3, yarn = o->rope_scaling == RG_ROPE_YARN;
    json_t *group = json_pack("{s:s, s:f}", "rope_type",
                              llama3 ? "llama3"
                              : yarn ? "yarn"
                                     : "linear",
                              "factor", o->rope_factor);
    double low = o->rope_low_rotations > 0 ? o->rope_low_rotations : 1;
    double high = o->rope_high_rotations > 0 ? o->rope_high_rotations : llama3 ? 4 : 32;
    if (llama3 || yarn) {
        int64_t original = o->rope_original_context ? o->rope_original_context : o->context;
        json_object_set_new(group, "original_max_position_embeddings", json_integer(original));
        json_object_set_new(group, llama3 ? "low_freq_factor" : "beta_slow", json_real(low));
        json_object_set_new(group, llama3 ? "high_freq_factor" : "beta_fast", json_real(high));
    }
    if (yarn && o->rope_amplitude > 0)
        json_object_set_new(group, "attention_factor", json_real(o->rope_amplitude));
    json_object_set_new(root, "rope_scaling", group);
}

static void describe_window(const RgHuggingFaceArchitecture *a, const RgTransformerOptions *o,
                            json_t *root) {
    if (a->window == RG_WINDOW_NONE ||
        (a->window != RG_WINDOW_LATE && a->fallback_window == 0 && o->window == 0))
        return;
    bool late = a->window == RG_WINDOW_LATE;
    if (late && o->window == 0)
        return;
    json_object_set_new(root, "sliding_window", o->window ? json_integer(o->window) : json_null());
    if (late) {
        json_object_set_new(root, "use_sliding_window", json_true());
        json_object_set_new(root, "max_window_layers", json_integer(o->window_first));
    }
    if (a->window == RG_WINDOW_SIXTH && o->window) {
        json_object_set_new(root, "sliding_window_pattern", json_integer(o->full_every));
        json_object_set_new(root, "rope_local_base_freq", json_real(o->window_rope_base));
    }
}

static RgStatus write_config(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                             const RgModelEnds *ends, const char *folder, RgError *error) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    json_t *root = json_object();
    describe_sizes(a, o, root);
    describe_rope(a, o, root);
    describe_window(a, o, root);
    if (a->parallel)
        json_object_set_new(root, "use_parallel_residual",
                            json_boolean(o->residual == RG_RESIDUAL_PARALLEL));
    if (a->gemma) {
        json_object_set_new(root, "query_pre_attn_scalar",
                            json_real(1 / (o->attention_scale * o->attention_scale)));
        json_object_set_new(root, "attn_logit_softcapping", number_or_null(o->attention_cap));
        json_object_set_new(root, "final_logit_softcapping", number_or_null(o->logit_cap));
    }
    json_object_set_new(root, "architectures", json_pack("[s]", a->name));
    json_object_set_new(root, "model_type", json_string(a->kind));
    json_object_set_new(root, "vocab_size", json_integer(rg_transformer_vocabulary(policy)));
    json_object_set_new(root, "torch_dtype", json_string("float32"));
    rg_model_ends_describe(ends, root);
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

/* `value` [view->count]: the view's numbers, with the adapter's. */
static void put_view(Tensors *all, const RgPolicy *policy,
                     const RgHuggingFaceArchitecture *architecture, const RgParameterView *view,
                     const RgReal *value) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    RgHuggingFacePlace place = rg_hugging_face_place(architecture->naming, o, view);
    float *numbers = numbers_of(all, &place, view->rank);
    for (int64_t i = 0; i < view->count; i++) {
        int64_t row = rg_hugging_face_rope_row(o, view, i / place.columns);
        numbers[rg_hugging_face_index(&place, row, i % place.columns)] =
            (float)(value[i] - rg_hugging_face_offset(architecture, view));
    }
}

static RgStatus write_weights(const RgPolicy *policy, const RgHuggingFaceArchitecture *architecture,
                              const char *folder, RgError *error) {
    static const char *const metadata[] = {"format", "pt", NULL};
    const RgParameters *weights = rg_policy_weights(policy);
    Tensors all = {rg_allocate(weights->view_count, sizeof *all.tensor), 0};
    for (int i = 0; i < weights->view_count; i++) {
        RgReal *value = rg_allocate(weights->views[i].count, sizeof *value);
        rg_policy_merged_view(policy, i, value);
        put_view(&all, policy, architecture, &weights->views[i], value);
        free(value);
    }
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

RgStatus rg_hugging_face_save_with(const RgPolicy *policy, const RgModelEnds *ends,
                                   const char *folder, RgError *error) {
    if (policy->type != &rg_policy_transformer)
        return rg_fail(error, RG_E_USAGE, "a %s policy cannot be saved in Hugging Face's layout",
                       policy->type->about.name);
    const RgHuggingFaceArchitecture *architecture =
        find_architecture(rg_transformer_options(policy));
    if (!architecture)
        return rg_fail(error, RG_E_USAGE,
                       "no Hugging Face architecture combines this transformer's positions, norm, "
                       "feed_forward, biases and variants");
    RG_TRY(rg_folders_make_above(folder, error));
    RG_TRY(rg_folder_make(folder, error));
    RG_TRY(write_weights(policy, architecture, folder, error));
    RG_TRY(write_config(policy, architecture, ends, folder, error));
    return ends->begin >= 0 || ends->count > 0 ? rg_generation_config_write(ends, folder, error)
                                               : RG_OK;
}

RgStatus rg_hugging_face_save(const RgPolicy *policy, const char *folder, RgError *error) {
    const RgModelEnds none = {.begin = -1};
    return rg_hugging_face_save_with(policy, &none, folder, error);
}
