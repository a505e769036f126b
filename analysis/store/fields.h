/* SPDX-License-Identifier: MIT */
/* Fields: flat lists of names with values, the store's form of swept options, settings and
 * provenance. */
#ifndef RG_ANALYSIS_STORE_FIELDS_H
#define RG_ANALYSIS_STORE_FIELDS_H

#include "core/base.h"

/* A member of a flat JSON object: a swept option, a setting, a line of provenance. */
typedef struct RgField {
    char *name;
    char *text;
    double number; /* NaN if the value is not a number */
} RgField;

typedef struct RgFields {
    RgField *at;
    int count;
} RgFields;

/* Parse a JSON object into fields; nested objects get dotted names. Free with rg_fields_free. */
RgFields rg_fields_parse(const char *json);
void rg_fields_free(RgFields *fields);
const RgField *rg_fields_find(const RgFields *fields, const char *name);

bool rg_fields_equal(const RgFields *a, const RgFields *b); /* in any order */
/* Sign of a − b by the values in their order: numbers by value, others as text. */
int rg_fields_order(const RgFields *a, const RgFields *b);

/* "algorithms.0.exploration" is shown as "exploration". */
const char *rg_last_part(const char *path);

#endif
