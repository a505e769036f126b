/* SPDX-License-Identifier: MIT */
/* Reading the parts of a tokenizer.json. */
#include "core/text/json_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static RgStatus read_element(const RgJsonPart *sequence, const char *elements, RgJsonRead read,
                             void *context) {
    json_t *list = json_object_get(sequence->json, elements), *element = NULL;
    size_t index = 0;
    if (!json_is_array(list))
        return rg_json_refuse_option(sequence, elements);
    json_array_foreach(list, index, element) {
        char *key = rg_string_format("%s.%s[%zu]", sequence->key, elements, index);
        RgStatus status = rg_json_read_parts(sequence->path, key, elements, element, read, context,
                                             sequence->error);
        free(key);
        RG_TRY(status);
    }
    return RG_OK;
}

RgStatus rg_json_read_parts(const char *path, const char *key, const char *elements, json_t *json,
                            RgJsonRead read, void *context, RgError *error) {
    if (!json || json_is_null(json))
        return RG_OK;
    const char *type = json_string_value(json_object_get(json, "type"));
    RgJsonPart part = {.path = path, .key = key, .type = type, .json = json, .error = error};
    if (!type)
        return rg_fail(error, RG_E_FORMAT, "%s: %s has no type", path, key);
    if (strcmp(type, "Sequence") == 0)
        return read_element(&part, elements, read, context);
    return read(context, &part);
}

RgStatus rg_json_refuse(const RgJsonPart *part, const char *expected) {
    return rg_fail(part->error, RG_E_FORMAT, "%s: %s %s is not supported, only %s", part->path,
                   part->key, part->type, expected);
}

RgStatus rg_json_refuse_option(const RgJsonPart *part, const char *option) {
    json_t *value = json_object_get(part->json, option);
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    RgStatus status = rg_fail(part->error, RG_E_FORMAT, "%s: %s %s: %s %.100s is not supported",
                              part->path, part->key, part->type, option, text ? text : "missing");
    free(text);
    return status;
}

RgStatus rg_json_flag(const RgJsonPart *part, const char *option, bool otherwise, bool *value) {
    json_t *json = json_object_get(part->json, option);
    *value = json ? json_is_true(json) : otherwise;
    return !json || json_is_boolean(json) ? RG_OK : rg_json_refuse_option(part, option);
}

RgStatus rg_json_text(const RgJsonPart *part, const char *option, const char **value) {
    json_t *json = json_object_get(part->json, option);
    *value = json_string_value(json);
    return json_string_length(json) > 0 ? RG_OK : rg_json_refuse_option(part, option);
}
