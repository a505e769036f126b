/* SPDX-License-Identifier: MIT */
/* A policy's weights and description in one safetensors file (core/train/safetensors.c). Folders of
 * Hugging Face are read by core/models/hugging_face.c, checkpoints of llama2.c by
 * core/models/llama2c.c. */
#include "core/models/hugging_face.h"
#include "core/models/llama2c.h"
#include "core/models/transformer_decoder.h"
#include "core/policy/policy.h"
#include "core/train/safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef RG_DOUBLE
static const RgStoredType stored_real = RG_F64;
#else
static const RgStoredType stored_real = RG_F32;
#endif

RgStatus rg_policy_save_with(const RgPolicy *policy, const RgStoredTensor *more, int count,
                             const char *path, RgError *error) {
    RG_ASSERT(!policy->base);
    const RgParameters *parameters = policy->parameters;
    int all = parameters->view_count + count;
    RgStoredTensor *tensors = rg_allocate(all, sizeof *tensors);
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
    for (int i = 0; i < count; i++)
        tensors[parameters->view_count + i] = more[i];
    char *description = policy->type->describe(policy);
    const char *metadata[] = {"regatta.policy", policy->type->about.name, "regatta.description",
                              description, NULL};
    RgStatus status = rg_safetensors_write(path, tensors, all, metadata, error);
    free(description);
    free(tensors);
    return status;
}

RgStatus rg_policy_save(const RgPolicy *policy, const char *path, RgError *error) {
    if (!policy->base)
        return rg_policy_save_with(policy, NULL, 0, path, error);
    rg_transformer_decoder_release(NULL); /* makes room for the merged weights */
    RgPolicy *merged = rg_policy_merged(policy);
    RgStatus status = rg_policy_save_with(merged, NULL, 0, path, error);
    rg_policy_destroy(merged);
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

const char *const rg_policy_files[] = {"config.json", "model.safetensors.index.json",
                                       "*.safetensors", NULL};

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
