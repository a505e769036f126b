/* SPDX-License-Identifier: MIT */
/* Two records of one trial, held against each other number by number: are they the same result?
 *
 * What a machine does to a trial without changing its result is left out: seconds, memory, dates,
 * provenance. Everything else counts: how it ended, every metric and evaluated item of every step,
 * every response, every cost of the meter that is counted rather than measured. */
#ifndef RG_CORE_RESULTS_TRIAL_COMPARE_H
#define RG_CORE_RESULTS_TRIAL_COMPARE_H

#include "core/results/store.h"

/* One measure over all its steps (and items): "loss", "eval/reward", "flops", "items reward",
 * "responses", "outcome". */
typedef struct RgMeasureDifference {
    char *name;
    int64_t rows;      /* in either record */
    int64_t missing;   /* rows that only one of the two has */
    int64_t differing; /* rows that both have, with other bits */
    double largest; /* of |a − b|, relative to the measure's largest magnitude in either record,
                       as what is near zero only in passing means little there; ∞ for texts,
                       and for NaN or ∞ beside another number */
    int64_t step;   /* of the largest, or of the first row that is missing; −1: all the same */
} RgMeasureDifference;

typedef struct RgTrialComparison {
    RgMeasureDifference *measures; /* sorted by name */
    int count;
    const RgMeasureDifference *worst; /* missing rows first, then the largest; NULL: identical */
} RgTrialComparison;

/* Compare trial `a_trial` of store `a` with `b_trial` of `b`, which may be the same store. */
RgStatus rg_trial_compare(RgStore *a, int64_t a_trial, RgStore *b, int64_t b_trial,
                          RgTrialComparison *comparison, RgError *error);
void rg_trial_comparison_clear(RgTrialComparison *comparison);

#endif
