/* Aggregates over seeds that one lucky or failed seed does not move far (Agarwal et al. 2021,
 * arXiv:2108.13264): the interquartile mean and the probability of improvement, with the stratified
 * bootstrap, which resamples the runs of each task on its own. A NaN is a run that is missing. */
#ifndef RG_ANALYSIS_ROBUST_H
#define RG_ANALYSIS_ROBUST_H

#include "analysis/statistics.h"

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

/* The same of several tasks with stratified bootstrap intervals: values [tasks, runs]. The
 * interquartile mean pools all tasks' runs; the probability of improvement is its mean over tasks.
 * No interval where all tasks together have fewer than two runs (of X and of Y). */
RgBootstrap rg_interquartile_mean_bootstrap(const double *values, int64_t tasks, int64_t runs,
                                            const RgBootstrapOptions *options);
RgBootstrap rg_improvement_bootstrap(const double *x, int64_t x_runs, const double *y,
                                     int64_t y_runs, int64_t tasks,
                                     const RgBootstrapOptions *options);

#endif
