/* Flat lists of names and values, as the store keeps swept options, settings and provenance: JSON
 * objects in one column of text. */
#include "analysis/pairs.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void pairs_add(RgPairs *pairs, const char *prefix, const char *name, json_t *value) {
    char *path = prefix ? rg_string_format("%s.%s", prefix, name) : rg_string_copy(name);
    if (json_is_object(value)) {
        for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
            pairs_add(pairs, path, json_object_iter_key(at), json_object_iter_value(at));
        free(path);
        return;
    }
    RgPair pair = {.name = path, .number = NAN};
    if (json_is_string(value)) { /* a stored setting is text: a number all the same */
        char *end;
        pair.text = rg_string_copy(json_string_value(value));
        double number = strtod(pair.text, &end);
        if (end != pair.text && *end == '\0')
            pair.number = number;
    } else {
        if (json_is_real(value)) /* the shortest text that reads back to the same number */
            for (int digits = 6; digits <= 17; digits++) {
                free(pair.text);
                pair.text = rg_string_format("%.*g", digits, json_real_value(value));
                if (strtod(pair.text, NULL) == json_real_value(value))
                    break;
            }
        else {
            char *text = json_dumps(value, JSON_ENCODE_ANY);
            pair.text = rg_string_copy(text ? text : "");
            free(text);
        }
        if (json_is_number(value))
            pair.number = json_number_value(value);
    }
    pairs->at = rg_reallocate(pairs->at, (size_t)pairs->count + 1, sizeof *pairs->at);
    pairs->at[pairs->count++] = pair;
}

RgPairs rg_pairs_parse(const char *json) {
    RgPairs pairs = {0};
    json_t *root = json ? json_loads(json, 0, NULL) : NULL;
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at))
        pairs_add(&pairs, NULL, json_object_iter_key(at), json_object_iter_value(at));
    json_decref(root);
    return pairs;
}

void rg_pairs_free(RgPairs *pairs) {
    for (int i = 0; i < pairs->count; i++) {
        free(pairs->at[i].name);
        free(pairs->at[i].text);
    }
    free(pairs->at);
    *pairs = (RgPairs){0};
}

const RgPair *rg_pairs_find(const RgPairs *pairs, const char *name) {
    for (int i = 0; i < pairs->count; i++)
        if (strcmp(pairs->at[i].name, name) == 0)
            return &pairs->at[i];
    return NULL;
}

bool rg_pairs_equal(const RgPairs *a, const RgPairs *b) {
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++) {
        const RgPair *other = rg_pairs_find(b, a->at[i].name);
        if (!other || strcmp(a->at[i].text, other->text) != 0)
            return false;
    }
    return true;
}

int rg_pairs_order(const RgPairs *a, const RgPairs *b) {
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
