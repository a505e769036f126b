/* SPDX-License-Identifier: MIT */
/* Comparing two records of one trial, number by number: are they the same result?
 *
 * Ignored is what depends on the machine: seconds, memory, dates, provenance. Everything else
 * counts: the outcome, every metric and evaluated item of every step, every response, and every
 * cost of the meter that is counted rather than measured.
 *
 * Threads: as the stores. */
#ifndef RG_CORE_RESULTS_TRIAL_COMPARE_H
#define RG_CORE_RESULTS_TRIAL_COMPARE_H

#include "core/results/store.h"

/* One measure over all its steps (and items): "loss", "eval/reward", "flops", "items reward",
 * "responses", "outcome". */
typedef struct RgMeasureDifference {
    char *name;
    int64_t rows;      /* in either record */
    int64_t missing;   /* rows that only one record has */
    int64_t differing; /* rows that both have, with different bits */
    double largest; /* of |a − b|, relative to the measure's largest magnitude in either record, so
                     * that differences of values near zero weigh little; ∞ for texts, and for NaN
                     * or ∞ against another number */
    int64_t step;   /* of the largest, or of the first missing row; −1: all the same */
} RgMeasureDifference;

typedef struct RgTrialComparison {
    RgMeasureDifference *measures; /* sorted by name */
    int count;
    const RgMeasureDifference *worst; /* missing rows first, then the largest; NULL: identical */
} RgTrialComparison;

/* Compares trial `a_trial` of store `a` with `b_trial` of `b`, which may be the same store. */
RgStatus rg_trial_compare(RgStore *a, int64_t a_trial, RgStore *b, int64_t b_trial,
                          RgTrialComparison *comparison, RgError *error);
void rg_trial_comparison_clear(RgTrialComparison *comparison);

#endif
