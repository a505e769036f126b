/* SPDX-License-Identifier: MIT */
/* Fields of flat JSON objects stored as text in one column. */
#include "analysis/store/fields.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *value_text(const json_t *value) {
    char real[RG_REAL_TEXT];
    if (json_is_real(value))
        return rg_string_copy(rg_real_text(json_real_value(value), 6, real));
    char *json = json_dumps(value, JSON_ENCODE_ANY), *text = rg_string_copy(json ? json : "");
    free(json);
    return text;
}

static void fields_add(RgFields *fields, const char *prefix, const char *name, json_t *value) {
    char *path = prefix ? rg_string_format("%s.%s", prefix, name) : rg_string_copy(name);
    if (json_is_object(value)) {
        for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
            fields_add(fields, path, json_object_iter_key(at), json_object_iter_value(at));
        free(path);
        return;
    }
    RgField field = {.name = path, .number = NAN};
    if (json_is_string(value)) { /* stored settings are text, but may be numbers */
        char *end;
        field.text = rg_string_copy(json_string_value(value));
        double number = strtod(field.text, &end);
        if (end != field.text && *end == '\0')
            field.number = number;
    } else {
        field.text = value_text(value);
        if (json_is_number(value))
            field.number = json_number_value(value);
    }
    fields->at = rg_reallocate(fields->at, (size_t)fields->count + 1, sizeof *fields->at);
    fields->at[fields->count++] = field;
}

RgFields rg_fields_parse(const char *json) {
    RgFields fields = {0};
    json_t *root = json ? json_loads(json, 0, NULL) : NULL;
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at))
        fields_add(&fields, NULL, json_object_iter_key(at), json_object_iter_value(at));
    json_decref(root);
    return fields;
}

void rg_fields_free(RgFields *fields) {
    for (int i = 0; i < fields->count; i++) {
        free(fields->at[i].name);
        free(fields->at[i].text);
    }
    free(fields->at);
    *fields = (RgFields){0};
}

const RgField *rg_fields_find(const RgFields *fields, const char *name) {
    for (int i = 0; i < fields->count; i++)
        if (strcmp(fields->at[i].name, name) == 0)
            return &fields->at[i];
    return NULL;
}

bool rg_fields_equal(const RgFields *a, const RgFields *b) {
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++) {
        const RgField *other = rg_fields_find(b, a->at[i].name);
        if (!other || strcmp(a->at[i].text, other->text) != 0)
            return false;
    }
    return true;
}

int rg_fields_order(const RgFields *a, const RgFields *b) {
    for (int i = 0; i < a->count && i < b->count; i++) {
        double x = a->at[i].number, y = b->at[i].number;
        int order = isnan(x) || isnan(y) ? strcmp(a->at[i].text, b->at[i].text) : (x > y) - (x < y);
        if (order != 0)
            return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

const char *rg_last_part(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}
