/* SPDX-License-Identifier: MIT */
/* Numbers with units, durations and swept values as text. */
#include "experiments/program/config/units.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char dash[] = "\u2013";

const char *rg_units_text(double value, char text[32]) {
    static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
    int unit = 0;
    if (isnan(value)) {
        snprintf(text, 32, "%s", dash);
        return text;
    }
    for (; value >= 999.5 && unit < 6; unit++)
        value /= 1000;
    int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, 32, "%.*f%s", decimals, value, units[unit]);
    return text;
}

const char *rg_duration_text(double seconds, char text[32]) {
    long s = isnan(seconds) ? 0 : lround(fmin(seconds, 1e9));
    if (isnan(seconds))
        snprintf(text, 32, "%s", dash);
    else if (s < 60)
        snprintf(text, 32, "%lds", s);
    else if (s < 3600)
        snprintf(text, 32, "%ldm%02lds", s / 60, s % 60);
    else
        snprintf(text, 32, "%ldh%02ldm", s / 3600, s / 60 % 60);
    return text;
}

static char *value_text(const json_t *value, bool exact) {
    char real[RG_REAL_TEXT];
    if (json_is_string(value))
        return rg_string_copy(json_string_value(value));
    if (json_is_real(value) && exact)
        return rg_string_copy(rg_real_text(json_real_value(value), 6, real));
    char *json = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    RG_ASSERT(json);
    return json;
}

static char *swept_text(const char *json, bool exact) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    RG_ASSERT(stream);
    json_t *object = json_loads(json, 0, NULL), *value;
    const char *name;
    json_object_foreach(object, name, value) {
        char *one = value_text(value, exact);
        fprintf(stream, "%s%s %s", ftell(stream) > 0 ? ", " : "", name, one);
        free(one);
    }
    json_decref(object);
    fclose(stream);
    return text;
}

char *rg_swept_text(const char *json) {
    return swept_text(json, false);
}

char *rg_swept_exact_text(const char *json) {
    return swept_text(json, true);
}
