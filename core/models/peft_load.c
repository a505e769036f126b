/* SPDX-License-Identifier: MIT */
/* Reading an adapter in the layout of PEFT. */
#include "core/files.h"
#include "core/models/peft.h"
#include "core/models/peft_layout.h"
#include "core/notice.h"
#include "core/train/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- adapter_config.json ---- */

/* A key of the config, and the values that it may have, as JSON. */
typedef struct Key {
    const char *name;
    const char *values[6]; /* up to a NULL; none: any, without effect here */
} Key;

/* null is always fine. What is not in `values` computes another update. */
static const Key keys[] = {
    {"peft_type", {"\"LORA\""}},
    {"task_type", {"\"CAUSAL_LM\""}},
    {"bias", {"\"none\""}},
    {"use_dora", {"false"}},
    {"use_rslora", {"false"}},
    {"use_qalora", {"false"}},
    {"use_bdlora", {"false"}},
    {"lora_bias", {"false"}},
    {"modules_to_save", {"[]"}},
    {"rank_pattern", {"{}"}},
    {"alpha_pattern", {"{}"}},
    {"layer_replication", {"[]"}},
    {"target_parameters", {"[]"}},
    {"trainable_token_indices", {"[]", "{}"}},
    {"alora_invocation_tokens", {"[]"}},
    {"arrow_config", {"{}"}},
    /* Others change the weights of the model, too. */
    {"init_lora_weights", {"true", "false", "\"gaussian\"", "\"eva\"", "\"orthogonal\"", NULL}},
    {"auto_mapping", {NULL}},
    {"base_model_name_or_path", {NULL}},
    {"corda_config", {NULL}},
    {"ensure_weight_tying", {NULL}},
    {"eva_config", {NULL}},
    {"exclude_modules", {NULL}},
    {"inference_mode", {NULL}},
    {"layers_pattern", {NULL}},
    {"layers_to_transform", {NULL}}, /* the tensors show which are adapted */
    {"loftq_config", {NULL}},
    {"lora_dropout", {NULL}}, /* policy.adapter.dropout */
    {"megatron_config", {NULL}},
    {"megatron_core", {NULL}},
    {"peft_version", {NULL}},
    {"qalora_group_size", {NULL}},
    {"revision", {NULL}},
    {"runtime_config", {NULL}},
    {"target_modules", {NULL}},
};

static bool is_json(const json_t *value, const char *text) {
    json_t *other = json_loads(text, JSON_DECODE_ANY, NULL);
    bool same = json_equal(value, other);
    json_decref(other);
    return same;
}

static RgStatus refuse(const char *path, const char *key, const json_t *value,
                       const char *supported, RgError *error) {
    char *found = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    RgStatus status = rg_fail(error, RG_E_FORMAT, "%s: %s = %.200s is not supported; only %s", path,
                              key, found ? found : "?", supported);
    free(found);
    return status;
}

static RgStatus check_key(const char *path, const char *name, const json_t *value, bool *known,
                          RgError *error) {
    *known = true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(keys[i].name, name) != 0)
            continue;
        bool fits = !keys[i].values[0] || json_is_null(value);
        for (int k = 0; keys[i].values[k]; k++)
            fits = fits || is_json(value, keys[i].values[k]);
        return fits ? RG_OK : refuse(path, name, value, keys[i].values[0], error);
    }
    *known = false;
    return RG_OK;
}

/* Whether a path has a component of this name. */
static bool has_component(const char *path, const char *name, size_t length) {
    while (*path) {
        size_t size = strcspn(path, "/");
        if (size == length && memcmp(path, name, size) == 0)
            return true;
        path += size + (path[size] == '/');
    }
    return false;
}

/* Models go by the last component of their name: a folder may be a copy of one from elsewhere. */
static void compare_base(const char *path, const json_t *root, const char *base) {
    const char *name = json_string_value(json_object_get(root, "base_model_name_or_path"));
    size_t end = name ? strlen(name) : 0, start;
    while (end > 0 && name[end - 1] == '/')
        end--;
    for (start = end; start > 0 && name[start - 1] != '/';)
        start--;
    if (end > start && base && !has_component(base, name + start, end - start))
        rg_notice_once("%s: an adapter of %.200s, and policy.weights is \"%s\"", path, name, base);
}

static RgStatus check_numbers(const RgPolicy *policy, const char *path, const json_t *root,
                              RgError *error) {
    const json_t *rank = json_object_get(root, "r"), *alpha = json_object_get(root, "lora_alpha");
    double own_alpha = policy->adapter.scale * (double)policy->adapter.rank;
    if (!json_is_integer(rank))
        return rg_fail(error, RG_E_FORMAT, "%s: r: expected an integer", path);
    if (!json_is_number(alpha))
        return rg_fail(error, RG_E_FORMAT, "%s: lora_alpha: expected a number", path);
    if (json_integer_value(rank) != policy->adapter.rank)
        return rg_fail(error, RG_E_USAGE, "%s: r = %lld, expected policy.adapter.rank = %lld", path,
                       (long long)json_integer_value(rank), (long long)policy->adapter.rank);
    if (fabs(json_number_value(alpha) - own_alpha) > 1e-12 * own_alpha)
        return rg_fail(error, RG_E_USAGE, "%s: lora_alpha = %g, expected policy.adapter.alpha = %g",
                       path, json_number_value(alpha), own_alpha);
    return RG_OK;
}

/* fan_in_fan_out transposes a module's matrix, as GPT-2's are stored. false is fine for them too: PEFT
 * corrects it. */
static RgStatus check_config(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                             const char *path, const json_t *root, RgError *error) {
    const char *name;
    json_t *value;
    if (!json_is_object(root))
        return rg_fail(error, RG_E_FORMAT, "%s: expected an object", path);
    if (!json_object_get(root, "peft_type"))
        return rg_fail(error, RG_E_FORMAT, "%s: peft_type: expected \"LORA\"", path);
    bool transposed = rg_peft_matrix(policy, a, 0).place.transposed;
    json_object_foreach((json_t *)root, name, value) {
        bool known;
        RG_TRY(check_key(path, name, value, &known, error));
        if (strcmp(name, "fan_in_fan_out") == 0) {
            if (json_is_true(value) && !transposed)
                return refuse(path, name, value, "false", error);
        } else if (!known && strcmp(name, "r") != 0 && strcmp(name, "lora_alpha") != 0) {
            rg_notice("%s: not known, and without effect here: %s", path, name);
        }
    }
    return check_numbers(policy, path, root, error);
}

/* ---- adapter_model.safetensors ---- */

/* The architecture, among those that the policy is of, whose modules the file has. */
static const RgHuggingFaceArchitecture *architecture_of(const RgPolicy *policy,
                                                        const RgSafetensors *file) {
    const RgHuggingFaceArchitecture *first = NULL;
    for (const RgHuggingFaceArchitecture *a = rg_hugging_face_architectures; a->name; a++) {
        if (!rg_hugging_face_fits(a, rg_transformer_options(policy)))
            continue;
        first = first ? first : a;
        for (int i = 0; i < rg_peft_matrix_count(policy); i++) {
            RgPeftMatrix m = rg_peft_matrix(policy, a, i);
            char *name = rg_peft_tensor_name(&m, 'A');
            bool there = rg_safetensors_find(file, name) != NULL;
            free(name);
            if (there)
                return a;
        }
    }
    return first;
}

static RgStatus read_tensor(const RgSafetensors *file, const char *path, const char *name,
                            int64_t rows, int64_t columns, RgReal **out, RgError *error) {
    const RgStoredTensor *tensor = rg_safetensors_find(file, name);
    *out = NULL;
    if (!tensor)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: no tensor \"%s\", which policy.adapter.targets needs", path, name);
    if (tensor->rank != 2 || tensor->size[0] != rows || tensor->size[1] != columns)
        return rg_fail(error, RG_E_FORMAT, "%s: tensor \"%s\": expected %lld rows of %lld", path,
                       name, (long long)rows, (long long)columns);
    *out = rg_allocate(rows * columns, sizeof **out);
    RgStatus status = rg_safetensors_read(file, tensor, 0, rows * columns, *out, error);
    if (status == RG_OK)
        return RG_OK;
    free(*out);
    *out = NULL;
    return rg_fail_in(error, status, "%s", path);
}

static RgStatus read_matrix(RgPolicy *policy, const RgPeftMatrix *m, const RgSafetensors *file,
                            const char *path, RgError *error) {
    int64_t rank = m->a->size[0];
    char *name[2] = {rg_peft_tensor_name(m, 'A'), rg_peft_tensor_name(m, 'B')};
    RgReal *a, *b = NULL, *value = policy->parameters->value;
    RgStatus status = read_tensor(file, path, name[0], rank, m->a->size[1], &a, error);
    if (status == RG_OK)
        status = read_tensor(file, path, name[1], m->place.rows, rank, &b, error);
    if (status == RG_OK) {
        RG_ASSERT(a && b);
        memcpy(value + m->a->offset, a, sizeof *a * (size_t)m->a->count);
        for (int64_t row = 0; row < m->b->size[0]; row++)
            memcpy(value + m->b->offset + row * rank, b + rg_peft_row(policy, m, row) * rank,
                   sizeof *b * (size_t)rank);
    }
    free(name[0]);
    free(name[1]);
    free(a);
    free(b);
    return status;
}

/* A tensor that no target has would be left out of the update. */
static RgStatus check_all_used(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                               const RgSafetensors *file, const char *path, RgError *error) {
    for (int k = 0; k < rg_safetensors_count(file); k++) {
        const char *name = rg_safetensors_at(file, k)->name;
        bool used = false;
        for (int i = 0; i < rg_peft_matrix_count(policy) && !used; i++) {
            RgPeftMatrix m = rg_peft_matrix(policy, a, i);
            char *one = rg_peft_tensor_name(&m, 'A'), *other = rg_peft_tensor_name(&m, 'B');
            used = strcmp(name, one) == 0 || strcmp(name, other) == 0;
            free(one);
            free(other);
        }
        if (!used)
            return rg_fail(error, RG_E_FORMAT,
                           "%s: tensor \"%s\" is of none of policy.adapter.targets", path, name);
    }
    return RG_OK;
}

/* A module that has several matrices has to be adapted as a whole. */
static RgStatus check_modules(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                              const char *path, RgError *error) {
    for (int i = 0; i < rg_peft_matrix_count(policy); i++) {
        RgPeftMatrix m = rg_peft_matrix(policy, a, i);
        int64_t rows = 0;
        for (int k = 0; k < rg_peft_matrix_count(policy); k++) {
            RgPeftMatrix other = rg_peft_matrix(policy, a, k);
            rows += strcmp(other.module, m.module) == 0 ? other.b->size[0] : 0;
        }
        if (rows != m.place.rows)
            return rg_fail(error, RG_E_USAGE,
                           "%s: module %s: policy.adapter.targets has a part of it, expected all",
                           path, m.module);
    }
    return RG_OK;
}

static RgStatus read_config(const RgPolicy *policy, const RgHuggingFaceArchitecture *a,
                            const char *base, const char *folder, RgError *error) {
    char *path = rg_string_format("%s/adapter_config.json", folder), *content = NULL;
    size_t size;
    json_error_t where;
    RgStatus status = rg_file_read(path, &content, &size, error);
    if (status == RG_OK) {
        json_t *root = json_loadb(content, size, 0, &where);
        status = root ? check_config(policy, a, path, root, error)
                      : rg_fail(error, RG_E_FORMAT, "%s:%d: %s", path, where.line, where.text);
        if (status == RG_OK)
            compare_base(path, root, base);
        json_decref(root);
    }
    free(content);
    free(path);
    return status;
}

static RgStatus load(RgPolicy *policy, const char *base, const char *folder, const char *path,
                     RgError *error) {
    RgSafetensors *file;
    RG_TRY(rg_safetensors_open(path, &file, error));
    const RgHuggingFaceArchitecture *a = architecture_of(policy, file);
    RgStatus status = a ? read_config(policy, a, base, folder, error)
                        : rg_fail(error, RG_E_USAGE,
                                  "%s: no Hugging Face architecture is like this policy", folder);
    if (status == RG_OK)
        status = check_modules(policy, a, path, error);
    if (status == RG_OK)
        status = check_all_used(policy, a, file, path, error);
    for (int i = 0; i < rg_peft_matrix_count(policy) && status == RG_OK; i++) {
        RgPeftMatrix m = rg_peft_matrix(policy, a, i);
        status = read_matrix(policy, &m, file, path, error);
    }
    rg_safetensors_close(file);
    return status;
}

RgStatus rg_peft_load(RgPolicy *policy, const char *base, const char *folder, RgError *error) {
    RG_ASSERT(policy->base);
    if (policy->type != &rg_policy_transformer)
        return rg_fail(error, RG_E_USAGE, "%s: adapters of a %s policy cannot be read", folder,
                       policy->type->about.name);
    char *path = rg_string_format("%s/adapter_model.safetensors", folder);
    RgStatus status = load(policy, base, folder, path, error);
    free(path);
    return status;
}
