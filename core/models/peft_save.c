/* SPDX-License-Identifier: MIT */
/* Writing a transformer's adapter in the layout of PEFT. */
#include "core/files.h"
#include "core/models/hugging_face_config.h"
#include "core/models/peft.h"
#include "core/models/peft_layout.h"
#include "core/new_file.h"
#include "core/train/safetensors.h"
#include "core/utf8.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- modules ---- */

typedef struct Module {
    char name[192], target[64];
    char *tensor[2]; /* names of A and B */
    float *a, *b;
    int64_t in, out;
    int parts; /* matrices in it */
} Module;

/* The end of a module's name that PEFT looks for: its last word, or its last two where the layer
 * has another module with that word, as GPT-2's c_proj. */
static const char *target_of(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                             const RgPeftMatrix *m) {
    const char *last = strrchr(m->module, '.');
    const RgParameters *base = policy->base;
    bool shared = false;
    for (int v = 0; v < base->view_count; v++) {
        RgHuggingFacePlace place =
            rg_hugging_face_place(a->naming, rg_transformer_options(policy), &base->views[v]);
        char other[sizeof m->module];
        rg_peft_name_module(a, &place, other, sizeof other);
        const char *end = strrchr(other, '.');
        bool same_layer = rg_hugging_face_layer(a->naming, place.name) ==
                          rg_hugging_face_layer(a->naming, m->place.name);
        shared = shared || (base->views[v].rank == 2 && same_layer && end &&
                            strcmp(end, last) == 0 && strcmp(other, m->module) != 0);
    }
    while (shared && last[-1] != '.')
        last--;
    return shared ? last : last + 1;
}

typedef struct Modules {
    Module *module; /* [count] */
    int count;
} Modules;

static Module *module_named(Modules *all, const RgPeftMatrix *m) {
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->module[i].name, m->module) == 0)
            return &all->module[i];
    Module *new = &all->module[all->count++];
    *new = (Module){.in = m->a->size[1], .out = m->place.rows};
    snprintf(new->name, sizeof new->name, "%s", m->module);
    new->tensor[0] = rg_peft_tensor_name(m, 'A');
    new->tensor[1] = rg_peft_tensor_name(m, 'B');
    return new;
}

/* Copies a matrix into its module as part number `module->parts`. */
static void put_matrix(const RgPolicy *policy, const RgPeftMatrix *m, Module *module,
                       int64_t rank) {
    const RgReal *value = policy->parameters->value;
    int64_t own = m->a->size[0], first = own * module->parts++;
    for (int64_t i = 0; i < m->a->count; i++)
        module->a[first * module->in + i] = (float)value[m->a->offset + i];
    for (int64_t row = 0; row < m->b->size[0]; row++)
        for (int64_t k = 0; k < own; k++)
            module->b[rg_peft_row(policy, m, row) * rank + first + k] =
                (float)value[m->b->offset + row * own + k];
}

/* Rank of all modules: as many as the largest needs. */
static int64_t fill_modules(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                            Modules *all) {
    int count = rg_peft_matrix_count(policy);
    int64_t rank = 0;
    all->module = rg_allocate(count, sizeof *all->module);
    for (int i = 0; i < count; i++) {
        RgPeftMatrix m = rg_peft_matrix(policy, a, i);
        Module *module = module_named(all, &m);
        snprintf(module->target, sizeof module->target, "%s", target_of(policy, a, &m));
        module->parts++;
        int64_t needed = policy->adapter.rank * module->parts;
        rank = needed > rank ? needed : rank;
    }
    for (int i = 0; i < all->count; i++) {
        Module *module = &all->module[i];
        module->a = rg_allocate(rank * module->in, sizeof *module->a);
        module->b = rg_allocate(rank * module->out, sizeof *module->b);
        module->parts = 0;
    }
    for (int i = 0; i < count; i++) {
        RgPeftMatrix m = rg_peft_matrix(policy, a, i);
        put_matrix(policy, &m, module_named(all, &m), rank);
    }
    return rank;
}

static void release_modules(Modules *all) {
    for (int i = 0; i < all->count; i++) {
        free(all->module[i].tensor[0]);
        free(all->module[i].tensor[1]);
        free(all->module[i].a);
        free(all->module[i].b);
    }
    free(all->module);
}

/* ---- files ---- */

static RgStatus write_matrices(const Modules *all, int64_t rank, const char *folder,
                               RgError *error) {
    static const char *const metadata[] = {"format", "pt", NULL};
    RgStoredTensor *tensors = rg_allocate((size_t)all->count * 2, sizeof *tensors);
    for (int i = 0; i < all->count; i++) {
        const Module *m = &all->module[i];
        tensors[2 * i] = (RgStoredTensor){.name = m->tensor[0],
                                          .type = RG_F32,
                                          .rank = 2,
                                          .size = {rank, m->in},
                                          .data = m->a,
                                          .bytes = sizeof(float) * (size_t)(rank * m->in)};
        tensors[2 * i + 1] = (RgStoredTensor){.name = m->tensor[1],
                                              .type = RG_F32,
                                              .rank = 2,
                                              .size = {m->out, rank},
                                              .data = m->b,
                                              .bytes = sizeof(float) * (size_t)(rank * m->out)};
    }
    char *path = rg_string_format("%s/adapter_model.safetensors", folder);
    RgStatus status = rg_safetensors_write(path, tensors, 2 * all->count, metadata, error);
    free(path);
    free(tensors);
    return status;
}

/* Names of the targets, each once. */
static json_t *targets_of(const Modules *all) {
    json_t *targets = json_array();
    for (int i = 0; i < all->count; i++) {
        bool listed = false;
        for (size_t k = 0; k < json_array_size(targets); k++)
            listed = listed || strcmp(json_string_value(json_array_get(targets, k)),
                                      all->module[i].target) == 0;
        if (!listed)
            json_array_append_new(targets, json_string(all->module[i].target));
    }
    return targets;
}

static json_t *number(double value) {
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

static RgStatus write_config(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                             const Modules *all, int64_t rank, const char *base, const char *folder,
                             RgError *error) {
    bool transposed = rg_peft_matrix(policy, a, 0).place.transposed;
    RgBuffer name = {0}; /* of the model, in valid UTF-8 */
    if (base) {
        rg_utf8_repair(base, strlen(base), &name);
        rg_buffer_append(&name, "", 1);
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s?, s:I, s:o, s:f, s:o, s:s, s:b, s:b, s:n, s:b, s:b, s:{}, s:{}, s:b}",
        "peft_type", "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path", name.bytes, "r",
        (json_int_t)rank, "lora_alpha", number(policy->adapter.scale * (double)rank),
        "lora_dropout", policy->adapter.dropout, "target_modules", targets_of(all), "bias", "none",
        "fan_in_fan_out", transposed, "inference_mode", 1, "modules_to_save", "use_rslora", 0,
        "use_dora", 0, "rank_pattern", "alpha_pattern", "init_lora_weights", 1);
    RG_ASSERT(root);
    rg_buffer_release(&name);
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    char *path = rg_string_format("%s/adapter_config.json", folder);
    RgStatus status = rg_file_write(path, text, strlen(text), error);
    free(path);
    free(text);
    json_decref(root);
    return status;
}

/* The architecture whose names the modules get. */
static RgStatus find_architecture(const RgPolicy *policy, const char *base,
                                  const RgHuggingFaceArchitecture **found, RgError *error) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    if (base) {
        RgHuggingFaceConfig config;
        char *path = rg_string_format("%s/config.json", base);
        RgStatus status = rg_hugging_face_config_read(path, &config, error);
        const RgTransformerOptions *other = &config.options;
        *found = config.architecture;
        if (status == RG_OK &&
            (!rg_hugging_face_fits(config.architecture, o) || other->layers != o->layers ||
             other->width != o->width || other->heads != o->heads || other->hidden != o->hidden))
            status =
                rg_fail(error, RG_E_USAGE, "%s: not the model that this adapter belongs to", path);
        free(path);
        return status;
    }
    *found = rg_hugging_face_architectures;
    while ((*found)->name && !rg_hugging_face_fits(*found, o))
        (*found)++;
    return (*found)->name
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "no Hugging Face architecture combines this transformer's positions, "
                         "norm, feed_forward, biases and variants");
}

RgStatus rg_peft_save(const RgPolicy *policy, const char *base, const char *folder,
                      RgError *error) {
    const RgHuggingFaceArchitecture *a;
    if (!policy->base || policy->type != &rg_policy_transformer)
        return rg_fail(error, RG_E_USAGE, "the policy has no adapter");
    RG_TRY(find_architecture(policy, base, &a, error));
    RG_TRY(rg_folders_make_above(folder, error));
    RG_TRY(rg_folder_make(folder, error));
    Modules all = {0};
    int64_t rank = fill_modules(policy, a, &all);
    RgStatus status = write_matrices(&all, rank, folder, error);
    if (status == RG_OK)
        status = write_config(policy, a, &all, rank, base, folder, error);
    release_modules(&all);
    return status;
}
