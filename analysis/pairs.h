/* Flat lists of names and values, as the store keeps swept options, settings and provenance. */
#ifndef RG_ANALYSIS_PAIRS_H
#define RG_ANALYSIS_PAIRS_H

#include "core/base.h"

/* A name → value pair of a flat JSON object: a swept option, a setting, a line of provenance. */
typedef struct RgPair {
    char *name;
    char *text;
    double number; /* NaN when the value is not a number */
} RgPair;

typedef struct RgPairs {
    RgPair *at;
    int count;
} RgPairs;

/* A JSON object as pairs, nested ones flattened to dotted names; freed by rg_pairs_free. */
RgPairs rg_pairs_parse(const char *json);
void rg_pairs_free(RgPairs *pairs);
const RgPair *rg_pairs_find(const RgPairs *pairs, const char *name);

bool rg_pairs_equal(const RgPairs *a, const RgPairs *b); /* in any order */
/* Sign of a − b by the values in their order: numbers by size, others by letter. */
int rg_pairs_order(const RgPairs *a, const RgPairs *b);

/* "algorithms.0.exploration" is shown as "exploration". */
const char *rg_last_part(const char *path);

#endif
