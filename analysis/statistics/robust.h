/* SPDX-License-Identifier: MIT */
/* Aggregates over seeds that one lucky or failed seed does not move far (Agarwal et al. 2021,
 * arXiv:2108.13264): the interquartile mean and the probability of improvement, with intervals that
 * hold with few seeds too. A NaN is a run that is missing. */
#ifndef RG_ANALYSIS_STATISTICS_ROBUST_H
#define RG_ANALYSIS_STATISTICS_ROBUST_H

#include "analysis/statistics/statistics.h"

/* Mean of the middle half of the values; NaN when there is none. A value on the border of a
 * quarter counts by the part of it that is inside, so that half of the weight is kept for every
 * count: of 3 values they weigh 1/6, 2/3, 1/6; of 4 the middle two count alone. For counts that 4
 * divides this is the trimmed mean that the paper's code takes; for others that code cuts whole
 * values, none at all below 4. */
double rg_interquartile_mean(const double *values, int64_t count);

/* Chance that a run of X scores more than one of Y, a tie counting half: the mean over all pairs
 * (Mann & Whitney's U by the number of pairs); NaN when either is empty. */
double rg_probability_of_improvement(const double *x, int64_t x_count, const double *y,
                                     int64_t y_count);

/* The interquartile mean with its interval, value ± t·s. The standard error s is that of a
 * bootstrap which draws n − 1 of n seeds: that makes the variance unbiased for a mean, where
 * drawing n makes it too small by (n − 1)/n. t has n − 1 degrees of freedom; there is no test. */
RgEstimate rg_estimate_interquartile_mean(const double *values, int64_t count);

/* The interquartile mean of x less that of y, tested against 0: values at the same place are of the
 * same seed, which a resample draws or leaves for both, so that what they share counts once. A seed
 * that either lacks is left out. Interval and test go with those of one mean above. */
RgEstimate rg_estimate_interquartile_difference(const double *x, const double *y, int64_t count);

/* The probability of improvement with Wilson's interval for as many trials as give it the variance
 * of Mann & Whitney's statistic (DeLong et al. 1988), but no more than the smaller sample has: a
 * sample that wins every pair has variance 0 by chance. */
RgEstimate rg_estimate_improvement(const double *x, int64_t x_count, const double *y,
                                   int64_t y_count);

#endif
