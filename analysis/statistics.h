/* Statistics of experiments: summaries over seeds, intervals, the two-level bootstrap over seeds
 * and prompts, families of tests, rank agreement. Pure functions of arrays; a NaN is a missing
 * value and is left out. Nothing here knows of the results store. Quantiles and the interval of a
 * proportion are in core/interval.h, robust aggregates in robust.h, ratings in ratings.h, wins at
 * equal length in length_control.h. */
#ifndef RG_ANALYSIS_STATISTICS_H
#define RG_ANALYSIS_STATISTICS_H

#include "core/interval.h"
#include "core/tensor/random.h"

typedef struct RgSummary {
    int64_t count;         /* values that are there */
    double mean;           /* NaN when count is 0 */
    double deviation;      /* sample standard deviation, divisor count − 1; NaN when count < 2 */
    double standard_error; /* deviation / √count */
} RgSummary;

RgSummary rg_summarize(const double *values, int64_t count);

/* mean ± t · standard error, t with count − 1 degrees of freedom. */
RgInterval rg_student_interval(const RgSummary *summary, double confidence);

/* Quantile of sorted values, linear between order statistics (type 7 of Hyndman & Fan 1996). */
double rg_sorted_quantile(const double *sorted, int64_t count, double probability);

/* The two-level bootstrap. Every seed answers the same prompts, so seeds and prompts are crossed:
 * each resample draws rows (seeds) and columns (prompts) with replacement, independently, and
 * averages the cells where they meet (the pigeonhole bootstrap: McCullagh 2000; Owen 2007). The
 * interval then speaks of new seeds and new prompts, not only of those that were run. It is a
 * paired bootstrap when the cells are differences or wins of two methods on the same seed and
 * prompt. */
enum { RG_RESAMPLES = 10000 }; /* unless the user asks for others */

typedef struct RgBootstrapOptions {
    int64_t resamples;
    double confidence;
    double null_value; /* of the two-sided test */
    RgRandom random;
} RgBootstrapOptions;

typedef struct RgBootstrap {
    double estimate;       /* mean of all cells */
    double standard_error; /* standard deviation over resamples */
    RgInterval interval;   /* percentiles of the resamples */
    double p_value;        /* twice the smaller tail beyond null_value, (k + 1) / (resamples + 1) */
    int64_t cells;         /* that hold a value */
} RgBootstrap;

/* values [seeds, items], row by row. */
RgBootstrap rg_bootstrap(const double *values, int64_t seeds, int64_t items,
                         const RgBootstrapOptions *options);

/* One resample: how often each of `seeds` rows and each of `items` columns is drawn. The weights
 * sum to `seeds` and to `items`. */
void rg_bootstrap_draw(RgRandom resample, int64_t seeds, int64_t items, double *seed_weight,
                       double *item_weight);

/* Standard error, percentile interval and p-value from the statistic's value in each resample, of
 * which NaNs are left out; sorts `resampled`. The other fields of `result` stay. */
void rg_bootstrap_summarize(double *resampled, int64_t count, const RgBootstrapOptions *options,
                            RgBootstrap *result);

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
