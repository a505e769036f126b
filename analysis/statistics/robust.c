/* SPDX-License-Identifier: MIT */
/* Interquartile mean and probability of improvement. */
#include "analysis/statistics/robust.h"
#include "core/tensor/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Move present values to the front; returns their number. */
static int64_t compact(double *values, int64_t count) {
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[kept++] = values[i];
    return kept;
}

/* The interquartile mean of `count` values without NaN; sorts them. */
static double middle_mean(double *values, int64_t count) {
    if (count == 0)
        return NAN;
    double sum = 0, low = 0.25 * (double)count, high = 0.75 * (double)count;
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    for (int64_t i = 0; i < count; i++) { /* value i covers the interval from i to i + 1 */
        double inside = fmin((double)(i + 1), high) - fmax((double)i, low);
        if (inside > 0)
            sum += inside * values[i];
    }
    return sum / (high - low);
}

double rg_interquartile_mean(const double *values, int64_t count) {
    double *copy = rg_allocate(count, sizeof *copy);
    memcpy(copy, values, (size_t)count * sizeof *copy);
    double mean = middle_mean(copy, compact(copy, count));
    free(copy);
    return mean;
}

double rg_probability_of_improvement(const double *x, int64_t x_count, const double *y,
                                     int64_t y_count) {
    double won = 0, pairs = 0;
    for (int64_t i = 0; i < x_count; i++)
        for (int64_t j = 0; j < y_count; j++)
            if (!isnan(x[i]) && !isnan(y[j])) {
                won += x[i] > y[j] ? 1 : x[i] < y[j] ? 0 : 0.5;
                pairs++;
            }
    return pairs > 0 ? won / pairs : NAN;
}

/* Intervals. */

enum { RESAMPLES = 10000 };

/* Interquartile mean of the count − 1 values of one resample. */
static double resampled_mean(const double *values, int64_t count, RgRandom resample,
                             double *drawn) {
    for (int64_t i = 0; i < count - 1; i++)
        drawn[i] = values[rg_random_below(resample, (uint64_t)i, count)];
    return middle_mean(drawn, count - 1);
}

/* Standard deviation over resamples of the interquartile mean of x, or of its difference to that of
 * y (NULL: none) on the same seeds. */
static double resampled_deviation(const double *x, const double *y, int64_t count) {
    RgRandom random = rg_random_named(rg_random_root(0), "analysis/robust");
    double *means = rg_allocate(RESAMPLES, sizeof *means);
    double *drawn = rg_allocate(count, sizeof *drawn);
    for (int64_t r = 0; r < RESAMPLES; r++) {
        RgRandom resample = rg_random_at(random, (uint64_t)r);
        means[r] = resampled_mean(x, count, resample, drawn) -
                   (y ? resampled_mean(y, count, resample, drawn) : 0);
    }
    double deviation = rg_summarize(means, RESAMPLES).deviation;
    free(drawn);
    free(means);
    return deviation;
}

/* 0 if the values are equal up to rounding. */
static RgSpread resampled_spread(const double *x, const double *y, int64_t count) {
    RgSpread spread = {.seed_freedom = count - 1};
    double size = fabs(rg_summarize(x, count).mean) + (y ? fabs(rg_summarize(y, count).mean) : 0);
    double deviation = count > 1 ? resampled_deviation(x, y, count) : 0;
    if (deviation > 1e-12 * size)
        spread.of_seeds = deviation * deviation;
    return spread;
}

RgEstimate rg_estimate_interquartile_mean(const double *values, int64_t count) {
    double *there = rg_allocate(count, sizeof *there);
    memcpy(there, values, (size_t)count * sizeof *there);
    int64_t kept = compact(there, count);
    RgSpread spread = resampled_spread(there, NULL, kept);
    RgEstimate estimate =
        rg_estimate_of_spread(rg_interquartile_mean(there, kept), &spread, &(RgSpread){0}, NAN);
    estimate.cells = kept;
    free(there);
    return estimate;
}

RgEstimate rg_estimate_interquartile_difference(const double *x, const double *y, int64_t count) {
    double *of_x = rg_allocate(2 * (size_t)count, sizeof *of_x), *of_y = of_x + count;
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(x[i]) && !isnan(y[i])) {
            of_x[kept] = x[i];
            of_y[kept++] = y[i];
        }
    RgSpread spread = resampled_spread(of_x, of_y, kept);
    double value = rg_interquartile_mean(of_x, kept) - rg_interquartile_mean(of_y, kept);
    RgEstimate estimate = rg_estimate_of_spread(value, &spread, &(RgSpread){0}, 0);
    estimate.cells = kept;
    free(of_x);
    return estimate;
}

/* Variance of the mean over x of its probability to beat a value of y. */
static double variance_of_chances(const double *x, int64_t x_count, const double *y,
                                  int64_t y_count) {
    double *chances = rg_allocate(x_count, sizeof *chances);
    for (int64_t i = 0; i < x_count; i++)
        chances[i] = rg_probability_of_improvement(&x[i], 1, y, y_count);
    double error = rg_summarize(chances, x_count).standard_error;
    free(chances);
    return error * error;
}

RgEstimate rg_estimate_improvement(const double *x, int64_t x_count, const double *y,
                                   int64_t y_count) {
    RgEstimate estimate = {.value = rg_probability_of_improvement(x, x_count, y, y_count),
                           .standard_error = NAN,
                           .interval = {NAN, NAN},
                           .p_value = NAN};
    int64_t of_x = rg_summarize(x, x_count).count, of_y = rg_summarize(y, y_count).count;
    estimate.cells = of_x + of_y;
    if (of_x < 2 || of_y < 2)
        return estimate;
    double p = estimate.value, trials = (double)(of_x < of_y ? of_x : of_y);
    double variance =
        variance_of_chances(x, x_count, y, y_count) + variance_of_chances(y, y_count, x, x_count);
    if (variance * trials > p * (1 - p))
        trials = p * (1 - p) / variance;
    estimate.standard_error = sqrt(variance);
    estimate.interval = rg_wilson_interval(p * trials, trials, 0.95);
    return estimate;
}
