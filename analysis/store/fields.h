/* SPDX-License-Identifier: MIT */
/* Fields, names with values, in flat lists: as the store keeps swept options, settings and
 * provenance. */
#ifndef RG_ANALYSIS_STORE_FIELDS_H
#define RG_ANALYSIS_STORE_FIELDS_H

#include "core/base.h"

/* A member of a flat JSON object: a swept option, a setting, a line of provenance. */
typedef struct RgField {
    char *name;
    char *text;
    double number; /* NaN when the value is not a number */
} RgField;

typedef struct RgFields {
    RgField *at;
    int count;
} RgFields;

/* A JSON object as fields, nested ones flattened to dotted names; freed by rg_fields_free. */
RgFields rg_fields_parse(const char *json);
void rg_fields_free(RgFields *fields);
const RgField *rg_fields_find(const RgFields *fields, const char *name);

bool rg_fields_equal(const RgFields *a, const RgFields *b); /* in any order */
/* Sign of a − b by the values in their order: numbers by size, others by letter. */
int rg_fields_order(const RgFields *a, const RgFields *b);

/* "algorithms.0.exploration" is shown as "exploration". */
const char *rg_last_part(const char *path);

#endif
