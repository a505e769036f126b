/* SPDX-License-Identifier: MIT */
/* Reading and writing generation_config.json. */
#include "core/models/generation_config.h"

#include "core/files.h"
#include "core/new_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rg_model_ends_add(RgModelEnds *ends, int32_t id) {
    for (int64_t i = 0; i < ends->count; i++)
        if (ends->end[i] == id)
            return;
    if (id < 0)
        return;
    ends->end = rg_reallocate(ends->end, (size_t)ends->count + 1, sizeof *ends->end);
    ends->end[ends->count++] = id;
}

void rg_model_ends_release(RgModelEnds *ends) {
    free(ends->end);
    *ends = (RgModelEnds){.begin = -1};
}

/* ---- reading ---- */

static RgStatus read_id(const char *path, const char *key, const json_t *value, int32_t *id,
                        RgError *error) {
    json_int_t number = json_integer_value(value);
    *id = (int32_t)number;
    return json_is_integer(value) && number >= 0 && number <= INT32_MAX
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT, "%s: %s: expected the id of a token", path, key);
}

static RgStatus read_ids(const char *path, const json_t *root, RgModelEnds *ends, RgError *error) {
    const json_t *begin = json_object_get(root, "bos_token_id");
    const json_t *end = json_object_get(root, "eos_token_id");
    size_t count = json_is_array(end) ? json_array_size(end) : end && !json_is_null(end);
    if (!json_is_object(root))
        return rg_fail(error, RG_E_FORMAT, "%s: expected an object", path);
    if (begin && !json_is_null(begin))
        RG_TRY(read_id(path, "bos_token_id", begin, &ends->begin, error));
    for (size_t i = 0; i < count; i++) {
        int32_t id;
        RG_TRY(read_id(path, "eos_token_id", json_is_array(end) ? json_array_get(end, i) : end, &id,
                       error));
        rg_model_ends_add(ends, id);
    }
    return RG_OK;
}

static RgStatus read_file(const char *path, RgModelEnds *ends, RgError *error) {
    char *content;
    size_t size;
    json_error_t where;
    RG_TRY(rg_file_read(path, &content, &size, error));
    json_t *root = json_loadb(content, size, 0, &where);
    free(content);
    RgStatus status = root ? read_ids(path, root, ends, error)
                           : rg_fail(error, RG_E_FORMAT, "%s:%d: %s", path, where.line, where.text);
    json_decref(root);
    return status;
}

RgStatus rg_generation_config_read(const char *folder, RgModelEnds *ends, RgError *error) {
    *ends = (RgModelEnds){.begin = -1};
    char *path = rg_string_format("%s/generation_config.json", folder);
    RgStatus status = access(path, F_OK) == 0 ? read_file(path, ends, error) : RG_OK;
    free(path);
    return status;
}

/* ---- writing ---- */

void rg_model_ends_describe(const RgModelEnds *ends, json_t *root) {
    if (ends->begin >= 0)
        json_object_set_new(root, "bos_token_id", json_integer(ends->begin));
    if (ends->count == 0)
        return;
    json_t *list = json_array();
    for (int64_t i = 0; i < ends->count; i++)
        json_array_append_new(list, json_integer(ends->end[i]));
    json_object_set(root, "eos_token_id", ends->count == 1 ? json_array_get(list, 0) : list);
    json_decref(list);
}

RgStatus rg_generation_config_write(const RgModelEnds *ends, const char *folder, RgError *error) {
    json_t *root = json_object();
    rg_model_ends_describe(ends, root);
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    char *path = rg_string_format("%s/generation_config.json", folder);
    RgStatus status = rg_file_write(path, text, strlen(text), error);
    free(path);
    free(text);
    json_decref(root);
    return status;
}
