/* SPDX-License-Identifier: MIT */
/* The mean of a measure over a method's seeds, with its 95 % interval, as used by tables, figures,
 * frontiers, budgets and the report. */
#ifndef RG_ANALYSIS_COMPARE_MEAN_H
#define RG_ANALYSIS_COMPARE_MEAN_H

#include "analysis/statistics/statistics.h"
#include "analysis/store/query.h"

/* The value of a measure for a trial: at an evaluation, or interpolated between two. */
typedef struct RgReading {
    const RgTrial *trial;
    double value;       /* NaN: missing */
    int64_t step, next; /* the evaluations it comes from; −1: not of a single step */
    double share;       /* position between `step` and `next`, in [0, 1] */
} RgReading;

/* The reading at one step. */
RgReading rg_reading_at(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                        int64_t step);

typedef struct RgMean {
    RgSummary summary; /* over seeds */
    RgInterval
        interval; /* over seeds, and over prompts if the store has the measure by prompt; over
                            seeds alone with the allowance for skew (rg_seeds_interval); within
                            [0, 1] for a rate */
} RgMean;

RgMean rg_mean_of(const RgResults *results, const RgReading *readings, int count,
                  const RgMeasure *measure);

/* The interval, clipped to the range of a rate; unchanged if the measure is not a rate. */
RgInterval rg_interval_of_rates(RgInterval interval, const RgMeasure *measure, const double *values,
                                int64_t count);

/* Whether the measure is a share in [0, 1]. */
bool rg_measure_is_rate(const RgMeasure *measure);

#endif
