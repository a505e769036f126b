/* SPDX-License-Identifier: MIT */
/* Statistics of experiments: summaries over seeds, the mean over seeds and prompts with its
 * interval and test, families of tests, rank agreement. All functions are pure functions of arrays
 * and thread-safe; a NaN is a missing value and is left out. Nothing here depends on the results
 * store. Quantiles and the interval of a proportion are in core/interval.h, robust aggregates in
 * robust.h, ratings in ratings.h, wins at equal length in length_control.h. */
#ifndef RG_ANALYSIS_STATISTICS_STATISTICS_H
#define RG_ANALYSIS_STATISTICS_STATISTICS_H

#include "core/interval.h"

typedef struct RgSummary {
    int64_t count;         /* values that are not missing */
    double mean;           /* NaN if count is 0 */
    double deviation;      /* sample standard deviation, divisor count − 1; NaN if count < 2 */
    double standard_error; /* deviation / √count */
} RgSummary;

RgSummary rg_summarize(const double *values, int64_t count);

/* An estimate with its 95 % interval and the corresponding two-sided test: p_value is below 0.05 if
 * the interval excludes the null value. All but the value are NaN if the data do not show the
 * uncertainty: a single value, or equal values. */
typedef struct RgEstimate {
    double value;
    double standard_error;
    RgInterval interval;
    double p_value;
    int64_t cells; /* number of cells with a value */
} RgEstimate;

/* The variance of a mean, by its source. */
typedef struct RgSpread {
    double of_seeds; /* from the choice of seeds, for these prompts */
    double of_items; /* additional variance from the choice of prompts */
    int64_t seed_freedom, item_freedom;
} RgSpread;

/* The spread of the mean of all cells of values [seeds, items], row by row. Seeds and prompts are
 * crossed random effects: every seed has the same prompts. With MS the mean squares of the two-way
 * analysis of variance,
 *
 *     of_seeds = MS_seeds/(S·P),    of_items = max(0, MS_items − MS_residual)/(S·P),
 *
 * whose expectations add up to σ²_seeds/S + σ²_items/P + σ²_residual/(S·P), the variance of the
 * mean. If each seed has its own items (`own_items`: equal columns are unrelated), only the seeds
 * count. With one seed, the prompts are the only source; with one item (only the seeds' means are
 * known), the seeds are. With missing cells, sums of squares are about the mean of the present
 * cells, and rows and columns are weighted by their number of cells. */
RgSpread rg_spread(const double *values, int64_t seeds, int64_t items, bool own_items);

/* Half the width of the interval. Each source has its own quantile of Student's t,
 *
 *     margin² = t²(S − 1)·of_seeds + t²(P − 1)·of_items,
 *
 * so that three seeds count as three, however many prompts they have: Banerjee (1960) adds
 * variances in this way, and proves that the coverage is at least nominal if they are
 * independent. */
double rg_spread_margin(const RgSpread *spread, double confidence);

/* Probability of an estimate at least as far from its null value as `distance`: the margin solved
 * for 1 − confidence. NaN without any spread. */
double rg_spread_p_value(const RgSpread *spread, double distance);

/* 95 % interval of the mean of values [seeds, items]: mean ± margin. With several items it is never
 * narrower than the interval from the items alone: from the items' means as samples, or from all
 * cells if each seed has its own items. That estimates (σ²_items + σ²_residual/S)/P, a lower bound
 * of the variance of the mean. It is known better than of_seeds, which is small by chance if few
 * seeds agree. */
RgInterval rg_mean_interval(const double *values, int64_t seeds, int64_t items, bool own_items);

/* 95 % interval of the mean of values of seeds alone, whose distribution may be skewed: Student's,
 * times min(1.5, 1 + 2/S). Without the factor it contains the mean of exponential values, whose
 * skewness is 2, in 88 to 92 % of cases, for S of 2 to 20; with it in 93 to 94 % (tests/test_coverage.c).
 * A difference of two methods is not skewed where both are alike, and needs no factor. */
RgInterval rg_seeds_interval(const double *values, int64_t count);

/* As rg_mean_interval for values in [0, 1], such as a win rate. The interval has Wilson's form (1927),
 *
 *     |mean − μ| ≤ margin·√(μ(1 − μ)/(m(1 − m))),
 *
 * which never leaves [0, 1]; m is the mean. Few outcomes may all agree by chance. So if cells are
 * outcomes (1 won, 0 lost, ½ tied), m is the mean with two more prompts, one won and one lost by
 * all seeds, and the margin is at least that of the prompts' own means together with these two. */
RgInterval rg_rate_interval(const double *values, int64_t seeds, int64_t items, bool own_items);

/* Mean of values [seeds, items] with its interval, and a test against a null value. */
RgEstimate rg_estimate_mean(const double *values, int64_t seeds, int64_t items, bool own_items,
                            double null_value);
RgEstimate rg_estimate_rate(const double *values, int64_t seeds, int64_t items, bool own_items,
                            double null_value);

/* An estimate with a known spread: value ± margin. `least` is a lower bound of the spread: the
 * larger margin and the larger p-value of the two are used. Null value NaN: no test. */
RgEstimate rg_estimate_of_spread(double value, const RgSpread *spread, const RgSpread *least,
                                 double null_value);

/* "3 seeds: …", the note below a comparison with fewer seeds than RG_SEEDS_TO_COMPARE; NULL if
 * there are enough. malloc'd. */
char *rg_few_seeds(int64_t seeds);

/* With fewer seeds than the first, a figure has no band; with fewer than the second, comparisons
 * have a warning. */
enum { RG_SEEDS_FOR_BAND = 3, RG_SEEDS_TO_COMPARE = 5 };

/* P-values adjusted for `count` tests of one family, so that the probability of any false rejection
 * is at most the level: the step-down correction of Holm (1979), adjusted(k) =
 * max over j ≤ k of min(1, (count − j + 1)·p(j)) in ascending order. Valid for any dependence. */
void rg_holm(const double *p_values, int64_t count, double *adjusted);

/* The order q of convergence of errors e(0), e(1), …, from e(k + 1) ≈ C·e(k)^q: the slope of the
 * line of least squares through the points (ln e(k), ln e(k + 1)). 1: each step multiplies the error
 * by a factor; 2: it squares it. The first error at or below `floor`, which rounding sets, ends the
 * sequence. NaN for fewer than three errors above it, and for errors that do not change. */
double rg_convergence_order(const double *errors, int64_t count, double floor);

/* Kendall's τ-b between two rankings of the same items (ties allowed); NaN if either has no two
 * different values. Pairs with a missing value are left out. */
double rg_kendall_tau(const double *x, const double *y, int64_t count);

/* +1 if both order i and j alike, −1 if they differ, 0 if either is tied or missing. */
int rg_concordance(const double *x, const double *y, int64_t i, int64_t j);

#endif
