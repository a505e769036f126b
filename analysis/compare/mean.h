/* SPDX-License-Identifier: MIT */
/* The mean of a measure over a method's seeds, with its 95 % interval: the one that tables,
 * figures, frontiers, budgets and the report all show. */
#ifndef RG_ANALYSIS_COMPARE_MEAN_H
#define RG_ANALYSIS_COMPARE_MEAN_H

#include "analysis/statistics/statistics.h"
#include "analysis/store/query.h"

/* What a trial has reached: at an evaluation, or between two. */
typedef struct RgReading {
    const RgTrial *trial;
    double value;       /* NaN: none */
    int64_t step, next; /* the evaluations that it is read off; −1: of no single step */
    double share;       /* of the way from `step` to `next` */
} RgReading;

/* At one step. */
RgReading rg_reading_at(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                        int64_t step);

typedef struct RgMean {
    RgSummary summary;   /* over seeds */
    RgInterval interval; /* over seeds and, where the store has the measure by prompt, prompts too
                            (statistics.h); within [0, 1] for a rate */
} RgMean;

RgMean rg_mean_of(const RgResults *results, const RgReading *readings, int count,
                  const RgMeasure *measure);

/* The interval, cut where a rate ends; of what is no rate, as it is. */
RgInterval rg_interval_of_rates(RgInterval interval, const RgMeasure *measure, const double *values,
                                int64_t count);

/* A share in [0, 1]. */
bool rg_measure_is_rate(const RgMeasure *measure);

#endif
