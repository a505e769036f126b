/* SPDX-License-Identifier: MIT */
/* A policy's weights and description in one safetensors file (core/train/safetensors.c). Folders of
 * Hugging Face are read by core/models/hugging_face.c, checkpoints of llama2.c by
 * core/models/llama2c.c. */
#include "core/models/hugging_face.h"
#include "core/models/llama2c.h"
#include "core/models/transformer.h"
#include "core/models/transformer_decoder.h"
#include "core/policy/policy.h"
#include "core/train/safetensors.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef RG_DOUBLE
static const RgStoredType stored_real = RG_F64;
#else
static const RgStoredType stored_real = RG_F32;
#endif

/* Describes the views of parameters as tensors, with their numbers: tensors [views] out. */
static void describe_views(const RgParameters *parameters, RgStoredTensor *tensors) {
    for (int i = 0; i < parameters->view_count; i++) {
        const RgParameterView *view = &parameters->views[i];
        tensors[i] = (RgStoredTensor){.name = view->name,
                                      .type = stored_real,
                                      .rank = view->rank,
                                      .data = parameters->value + view->offset,
                                      .bytes = (size_t)view->count * sizeof(RgReal)};
        if (view->rounded) {
            tensors[i].type = RG_BF16;
            tensors[i].data = parameters->rounded + view->offset;
            tensors[i].bytes = (size_t)view->count * sizeof(RgBf16);
        }
        memcpy(tensors[i].size, view->size, sizeof tensors[i].size);
    }
}

typedef struct Merging {
    const RgPolicy *policy;
    const RgStoredTensor *tensors; /* of all views of its weights */
} Merging;

static void merge_view(void *context, const RgStoredTensor *tensor, void *out) {
    const Merging *m = context;
    rg_policy_merged_view(m->policy, (int)(tensor - m->tensors), out);
}

/* The views of an adapted policy's weights. What is adapted or stored in bf16 is computed as it is
 * written. */
static void describe_merged(const RgPolicy *policy, RgStoredTensor *tensors) {
    const RgParameters *weights = policy->base;
    describe_views(weights, tensors);
    for (int i = 0; i < weights->view_count; i++) {
        if (!weights->views[i].rounded && !policy->type->merge(policy, i, NULL))
            continue;
        tensors[i].type = stored_real;
        tensors[i].data = NULL;
        tensors[i].bytes = (size_t)weights->views[i].count * sizeof(RgReal);
    }
}

/* `adapter` describes the adapter whose matrices are among `more`; NULL: there is none. */
static RgStatus save(const RgPolicy *policy, const RgStoredTensor *more, int count,
                     const char *adapter, const char *path, RgError *error) {
    const RgParameters *weights = rg_policy_weights(policy);
    int views = weights->view_count, all = views + count;
    RgStoredTensor *tensors = rg_allocate(all, sizeof *tensors);
    if (policy->base)
        describe_merged(policy, tensors);
    else
        describe_views(weights, tensors);
    for (int i = 0; i < count; i++)
        tensors[views + i] = more[i];
    char *description = policy->type->describe(policy);
    const char *metadata[] = {"regatta.policy",
                              policy->type->about.name,
                              "regatta.description",
                              description,
                              adapter ? "regatta.adapter" : NULL,
                              adapter,
                              NULL};
    Merging merging = {policy, tensors};
    RgStatus status =
        rg_safetensors_write_filled(path, tensors, all, metadata, merge_view, &merging, error);
    free(description);
    free(tensors);
    return status;
}

RgStatus rg_policy_save_with(const RgPolicy *policy, const RgStoredTensor *more, int count,
                             const char *path, RgError *error) {
    RG_ASSERT(!policy->base);
    return save(policy, more, count, NULL, path, error);
}

static char *describe_adapter(const RgAdapter *adapter) {
    char *targets = rg_transformer_target_names(adapter);
    json_t *root = json_pack("{s:I, s:f, s:f, s:s}", "rank", (json_int_t)adapter->rank, "alpha",
                             adapter->scale * (double)adapter->rank, "dropout", adapter->dropout,
                             "targets", targets);
    RG_ASSERT(root);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(root);
    free(targets);
    return text;
}

RgStatus rg_policy_save(const RgPolicy *policy, const char *path, RgError *error) {
    if (!policy->base)
        return save(policy, NULL, 0, NULL, path, error);
    rg_transformer_decoder_release(NULL); /* makes room for a matrix */
    int views = policy->type == &rg_policy_transformer ? policy->parameters->view_count : 0;
    RgStoredTensor *matrices = rg_allocate((size_t)views + 1, sizeof *matrices);
    char *adapter = NULL;
    if (views > 0) {
        describe_views(policy->parameters, matrices);
        adapter = describe_adapter(&policy->adapter);
    }
    RgStatus status = save(policy, matrices, views, adapter, path, error);
    free(adapter);
    free(matrices);
    return status;
}

/* Checks the tensors before memory is allocated for the sizes in a description. */
static RgStatus check_parameters(const RgParameters *parameters, const RgSafetensors *file,
                                 const char *path, RgError *error) {
    for (int i = 0; i < parameters->view_count; i++) {
        const RgParameterView *view = &parameters->views[i];
        const RgStoredTensor *stored = rg_safetensors_find(file, view->name);
        if (!stored)
            return rg_fail(error, RG_E_FORMAT, "%s: no tensor \"%s\"", path, view->name);
        bool same = stored->rank == view->rank;
        for (int axis = 0; same && axis < view->rank; axis++)
            same = stored->size[axis] == view->size[axis];
        if (!same)
            return rg_fail(
                error, RG_E_FORMAT,
                "%s: tensor \"%s\" does not have the shape given by the file's description", path,
                view->name);
    }
    return RG_OK;
}

static RgStatus fill_parameters(RgParameters *parameters, const RgSafetensors *file,
                                const char *path, RgError *error) {
    for (int i = 0; i < parameters->view_count; i++) {
        const RgParameterView *view = &parameters->views[i];
        const RgStoredTensor *stored = rg_safetensors_find(file, view->name);
        RgStatus status = rg_safetensors_read(file, stored, 0, view->count,
                                              parameters->value + view->offset, error);
        if (status != RG_OK)
            return rg_fail_in(error, status, "%s", path);
    }
    return RG_OK;
}

static RgStatus load_safetensors(const RgSafetensors *file, const char *path, RgPolicy **policy,
                                 RgError *error) {
    const char *kind = rg_safetensors_metadata(file, "regatta.policy");
    const char *description = rg_safetensors_metadata(file, "regatta.description");
    if (!kind || !description)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: not a policy: its metadata has no \"regatta.policy\" or no "
                       "\"regatta.description\"",
                       path);
    const RgPolicyType *type = rg_policy_type(kind);
    if (!type)
        return rg_fail(error, RG_E_FORMAT, "%s: no policy is called \"%s\"", path, kind);
    RG_TRY(rg_policy_type_check(type, error));
    RgPolicy *new = rg_policy_new(type);
    RgStatus status = type->restore(new, description, error);
    if (status != RG_OK)
        rg_fail_in(error, status, "%s", path);
    else
        status = check_parameters(new->parameters, file, path, error);
    if (status == RG_OK) {
        rg_policy_allocate(new);
        status = fill_parameters(new->parameters, file, path, error);
    }
    if (status != RG_OK) {
        rg_policy_destroy(new);
        return status;
    }
    *policy = new;
    return RG_OK;
}

const char *const rg_policy_files[] = {"config.json", "generation_config.json",
                                       "model.safetensors.index.json", "*.safetensors", NULL};

static bool is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* By the file's name, or by its content: a JSON object after an 8-byte length. */
static RgStatus looks_like_safetensors(const char *path, bool *answer, RgError *error) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return rg_fail(error, RG_E_FILE, "%s: cannot open: %s", path, strerror(errno));
    char start[9] = {0};
    const char *suffix = strrchr(path, '.');
    *answer = (suffix && strcmp(suffix, ".safetensors") == 0) ||
              (fread(start, 1, sizeof start, file) == sizeof start && start[8] == '{');
    fclose(file);
    return RG_OK;
}

static RgStatus load(const char *path, RgPolicy **policy, RgError *error) {
    if (is_folder(path))
        return rg_hugging_face_load(path, policy, error);
    bool safetensors = false;
    RG_TRY(looks_like_safetensors(path, &safetensors, error));
    if (!safetensors)
        return rg_llama2c_load(path, policy, error);
    RgSafetensors *file = NULL;
    RG_TRY(rg_safetensors_open(path, &file, error));
    RgStatus status = load_safetensors(file, path, policy, error);
    rg_safetensors_close(file);
    return status;
}

RgStatus rg_policy_load(const char *path, RgPolicy **policy, RgError *error) {
    *policy = NULL;
    const char *before = rg_memory_for(path);
    RgStatus status = load(path, policy, error);
    rg_memory_for(before);
    return status;
}

/* ---- adapters ---- */

/* Options from a description; `root` owns the text. */
static RgStatus read_adapter(const json_t *root, const char *path, RgAdapterOptions *options,
                             RgError *error) {
    const json_t *rank = json_object_get(root, "rank"), *alpha = json_object_get(root, "alpha");
    const json_t *dropout = json_object_get(root, "dropout");
    *options = (RgAdapterOptions){.rank = json_integer_value(rank),
                                  .alpha = json_number_value(alpha),
                                  .dropout = json_number_value(dropout),
                                  .targets = json_string_value(json_object_get(root, "targets"))};
    bool good = options->rank >= 1 && options->targets && json_is_number(alpha) &&
                options->alpha >= 0 && options->dropout >= 0 && options->dropout < 1;
    return good ? RG_OK
                : rg_fail(error, RG_E_FORMAT, "%s: regatta.adapter: not a description", path);
}

/* Whether the file has matrices of this rank, before memory is allocated for them. */
static bool has_rank(const RgSafetensors *file, int64_t rank) {
    static const char ending[] = ".lora_A";
    for (int i = 0; i < rg_safetensors_count(file); i++) {
        const RgStoredTensor *tensor = rg_safetensors_at(file, i);
        const char *last = strrchr(tensor->name, '.');
        if (last && strcmp(last, ending) == 0 && tensor->rank == 2 && tensor->size[0] == rank)
            return true;
    }
    return false;
}

static RgStatus load_adapter(const RgSafetensors *file, const char *path, RgPolicy *original,
                             RgPolicy **adapted, RgError *error) {
    const char *description = rg_safetensors_metadata(file, "regatta.adapter");
    if (!description)
        return rg_fail(error, RG_E_USAGE,
                       "%s: the file has no adapter: it was not trained with policy.adapter", path);
    json_t *root = json_loads(description, 0, NULL);
    RgAdapterOptions options;
    RgStatus status = read_adapter(root, path, &options, error);
    if (status == RG_OK && !has_rank(file, options.rank))
        status = rg_fail(error, RG_E_FORMAT, "%s: no matrix of the adapter has rank %lld", path,
                         (long long)options.rank);
    if (status == RG_OK)
        status = rg_policy_adapt(original, &options, rg_random_root(0), adapted, error);
    json_decref(root);
    if (status == RG_OK)
        status = check_parameters((*adapted)->parameters, file, path, error);
    if (status == RG_OK)
        status = fill_parameters((*adapted)->parameters, file, path, error);
    return status;
}

RgStatus rg_policy_load_adapter(const char *path, RgPolicy *original, RgPolicy **adapted,
                                RgError *error) {
    *adapted = NULL;
    RgSafetensors *file = NULL;
    bool safetensors = false;
    if (!is_folder(path))
        RG_TRY(looks_like_safetensors(path, &safetensors, error));
    if (!safetensors)
        return rg_fail(error, RG_E_USAGE, "%s: not a file of this program, which has adapters",
                       path);
    RG_TRY(rg_safetensors_open(path, &file, error));
    RgStatus status = load_adapter(file, path, original, adapted, error);
    rg_safetensors_close(file);
    if (status != RG_OK) {
        rg_policy_destroy(*adapted);
        *adapted = NULL;
    }
    return status;
}
