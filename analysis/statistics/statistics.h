/* SPDX-License-Identifier: MIT */
/* Statistics of experiments: summaries over seeds, the estimate of a mean over seeds and prompts
 * with its interval and test, families of tests, rank agreement. Pure functions of arrays; a NaN is
 * a missing value and is left out. Nothing here knows of the results store. Quantiles and the
 * interval of a proportion are in core/interval.h, robust aggregates in robust.h, ratings in
 * ratings.h, wins at equal length in length_control.h. */
#ifndef RG_ANALYSIS_STATISTICS_STATISTICS_H
#define RG_ANALYSIS_STATISTICS_STATISTICS_H

#include "core/interval.h"

typedef struct RgSummary {
    int64_t count;         /* values that are there */
    double mean;           /* NaN when count is 0 */
    double deviation;      /* sample standard deviation, divisor count − 1; NaN when count < 2 */
    double standard_error; /* deviation / √count */
} RgSummary;

RgSummary rg_summarize(const double *values, int64_t count);

/* An estimate with its 95 % interval and the two-sided test that goes with it: p_value is below
 * 0.05 where the interval leaves the null value out. All but the value are NaN where nothing in the
 * data tells how sure it is: a single value, or values that are all alike. */
typedef struct RgEstimate {
    double value;
    double standard_error;
    RgInterval interval;
    double p_value;
    int64_t cells; /* that hold a value */
} RgEstimate;

/* The variance of a mean, by where it comes from. */
typedef struct RgSpread {
    double of_seeds; /* other seeds, answering these prompts */
    double of_items; /* what other prompts add to it */
    int64_t seed_freedom, item_freedom;
} RgSpread;

/* Of the mean of all cells of values [seeds, items], row by row. Seeds and prompts are crossed
 * random effects: every seed answers the same prompts. With MS the mean squares of the two-way
 * analysis of variance,
 *
 *     of_seeds = MS_seeds/(S·P),    of_items = max(0, MS_items − MS_residual)/(S·P),
 *
 * whose expectations add up to σ²_seeds/S + σ²_items/P + σ²_residual/(S·P), the variance of the
 * mean. Where each seed has items of its own (`own_items`: the same column means nothing), the
 * seeds alone count. With one seed all of it is of the prompts; with one item (the seeds' means are
 * all that is known), of the seeds. Missing cells: sums of squares about the mean of the cells that
 * are there, rows and columns counting by their cells. */
RgSpread rg_spread(const double *values, int64_t seeds, int64_t items, bool own_items);

/* Half of the interval's width. Each part counts with its own quantile of Student's t,
 *
 *     margin² = t²(S − 1)·of_seeds + t²(P − 1)·of_items,
 *
 * so that three seeds are taken for the three that they are, however many prompts they answered:
 * Banerjee (1960) adds up variances so, and shows that the interval covers no less than it says
 * where they are independent. */
double rg_spread_margin(const RgSpread *spread, double confidence);

/* Chance of an estimate as far from its null value as `distance`, or farther: the margin solved for
 * 1 − confidence. NaN without any spread. */
double rg_spread_p_value(const RgSpread *spread, double distance);

/* 95 % interval of the mean of values [seeds, items]: mean ± margin. Where there are several items
 * it is never narrower than what these alone give: the items' means as draws, or, where each seed
 * has items of its own, all cells. That tells of (σ²_items + σ²_residual/S)/P, which the variance
 * of the mean is never below, and is known better than of_seeds, which is small by chance where few
 * seeds agree. */
RgInterval rg_mean_interval(const double *values, int64_t seeds, int64_t items, bool own_items);

/* The same of values in [0, 1]: a win rate. The interval has Wilson's form (1927),
 *
 *     |mean − μ| ≤ margin·√(μ(1 − μ)/(m(1 − m))),
 *
 * which never leaves [0, 1]; m is the mean. Few outcomes may all agree by chance: so where cells
 * are outcomes (1 won, 0 lost, ½ tied), m is the mean with two more prompts, one won and one lost
 * by all seeds, and the margin is no less than what the prompts' own means give together with these
 * two. */
RgInterval rg_rate_interval(const double *values, int64_t seeds, int64_t items, bool own_items);

/* Mean of values [seeds, items] with its interval, and tested against a null value. */
RgEstimate rg_estimate_mean(const double *values, int64_t seeds, int64_t items, bool own_items,
                            double null_value);
RgEstimate rg_estimate_rate(const double *values, int64_t seeds, int64_t items, bool own_items,
                            double null_value);

/* An estimate of which the spread is known: value ± margin. Of `least`, a spread that is always
 * there, the larger margin and the larger p-value count. Null value NaN: no test. */
RgEstimate rg_estimate_of_spread(double value, const RgSpread *spread, const RgSpread *least,
                                 double null_value);

/* "3 seeds: …", the sentence that stands under a comparison of fewer seeds than
 * RG_SEEDS_TO_COMPARE; NULL where there are enough. malloc'd. */
char *rg_few_seeds(int64_t seeds);

/* Fewer seeds than this give no band in a figure; fewer than the second are warned of wherever
 * methods are compared. */
enum { RG_SEEDS_FOR_BAND = 3, RG_SEEDS_TO_COMPARE = 5 };

/* P-values adjusted for being `count` tests of one family, so that the chance of even one false
 * rejection stays below the level: the step-down correction of Holm (1979), adjusted(k) =
 * max over j ≤ k of min(1, (count − j + 1)·p(j)) in ascending order. Any dependence is allowed. */
void rg_holm(const double *p_values, int64_t count, double *adjusted);

/* Kendall's τ-b between two rankings of the same things (ties allowed); NaN when either has no two
 * different values. Pairs with a missing value are left out. */
double rg_kendall_tau(const double *x, const double *y, int64_t count);

/* +1 where both order i and j alike, −1 where they differ, 0 where either ties or is missing. */
int rg_concordance(const double *x, const double *y, int64_t i, int64_t j);

#endif
