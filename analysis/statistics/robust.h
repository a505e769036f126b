/* SPDX-License-Identifier: MIT */
/* Aggregates over seeds that are robust to single seeds (Agarwal et al. 2021, arXiv:2108.13264):
 * the interquartile mean and the probability of improvement, with intervals that are valid for few
 * seeds. A NaN is a missing run. */
#ifndef RG_ANALYSIS_STATISTICS_ROBUST_H
#define RG_ANALYSIS_STATISTICS_ROBUST_H

#include "analysis/statistics/statistics.h"

/* Mean of the middle half of the values; NaN without values. A value at the border of a quarter
 * counts with its part inside, so that half of the weight is kept for every count: 3 values have
 * weights 1/6, 2/3, 1/6; of 4 only the middle two count. For multiples of 4 this is the trimmed
 * mean of the paper's code. For other counts that code removes whole values, and none below 4. */
double rg_interquartile_mean(const double *values, int64_t count);

/* Probability that a run of X scores more than one of Y, a tie as half: the mean over all pairs
 * (Mann & Whitney's U divided by the number of pairs); NaN if either is empty. */
double rg_probability_of_improvement(const double *x, int64_t x_count, const double *y,
                                     int64_t y_count);

/* The interquartile mean with its interval, value ± t·s. The standard error s is that of a
 * bootstrap with n − 1 of n seeds: this makes the variance unbiased for a mean, while drawing n
 * makes it too small by (n − 1)/n. t has n − 1 degrees of freedom. There is no test. */
RgEstimate rg_estimate_interquartile_mean(const double *values, int64_t count);

/* The interquartile mean of x minus that of y, tested against 0. Values at the same index have the
 * same seed, and a resample draws both or neither, so that their common part cancels. A seed
 * missing in either is left out. Interval and test are as for one mean above. */
RgEstimate rg_estimate_interquartile_difference(const double *x, const double *y, int64_t count);

/* The probability of improvement with Wilson's interval. Its number of trials is the one that gives
 * the variance of Mann & Whitney's statistic (DeLong et al. 1988), but at most the size of the
 * smaller sample: a sample that wins every pair has variance 0 by chance. */
RgEstimate rg_estimate_improvement(const double *x, int64_t x_count, const double *y,
                                   int64_t y_count);

#endif
