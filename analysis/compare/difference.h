/* SPDX-License-Identifier: MIT */
/* How far a metric of one method is from that of another, or from a number: differences of pairs of
 * trials with the same seed, for any metric, at the end, at a step, or of its order of convergence.
 * compare.h has the comparisons of per-prompt metrics; where such a metric is read at the end, the
 * difference here is the same. */
#ifndef RG_ANALYSIS_COMPARE_DIFFERENCE_H
#define RG_ANALYSIS_COMPARE_DIFFERENCE_H

#include "analysis/compare/compare.h"
#include "analysis/compare/mean.h"

typedef enum RgReadAs {
    RG_READ_END,   /* the value at the trial's result */
    RG_READ_STEP,  /* at a step */
    RG_READ_ORDER, /* the order of convergence of its curve (rg_convergence_order) */
} RgReadAs;

/* What is read of each trial of a method. */
typedef struct RgReadOf {
    const RgGroup *group;
    RgReadAs as;
    int64_t step; /* for RG_READ_STEP */
    double floor; /* for RG_READ_ORDER: values at or below it end the curve */
} RgReadOf;

/* The mean of a method's figure over its finished trials. */
RgMean rg_mean_read(const RgResults *results, const RgReadOf *of, const RgMeasure *measure);

/* The mean difference a − b over the seeds that both finished, with its 95 % interval and its test
 * against 0; `b` NULL: against `number`. `seeds` out: in the difference. No value without such a
 * seed. */
RgEstimate rg_difference_read(const RgResults *results, const RgReadOf *a, const RgReadOf *b,
                              double number, const RgMeasure *measure, int64_t *seeds);

#endif
