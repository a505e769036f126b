/* Statistics of experiments; see the header for what each one means. */
#include "analysis/statistics.h"

#include <math.h>
#include <stdlib.h>

RgSummary rg_summarize(const double *values, int64_t count) {
    RgSummary summary = {.mean = NAN, .deviation = NAN, .standard_error = NAN};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            summary.count++;
        }
    if (summary.count == 0)
        return summary;
    summary.mean = sum / (double)summary.count;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            squares += (values[i] - summary.mean) * (values[i] - summary.mean);
    if (summary.count > 1) {
        summary.deviation = sqrt(squares / (double)(summary.count - 1));
        summary.standard_error = summary.deviation / sqrt((double)summary.count);
    }
    return summary;
}

RgInterval rg_student_interval(const RgSummary *summary, double confidence) {
    if (summary->count < 2)
        return (RgInterval){NAN, NAN};
    double t = rg_student_quantile(0.5 + confidence / 2, (double)(summary->count - 1));
    double half = t * summary->standard_error;
    return (RgInterval){summary->mean - half, summary->mean + half};
}

double rg_sorted_quantile(const double *sorted, int64_t count, double probability) {
    if (count == 0)
        return NAN;
    double position = probability * (double)(count - 1);
    int64_t below = (int64_t)floor(position);
    if (below >= count - 1)
        return sorted[count - 1];
    return sorted[below] + (position - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* The bootstrap. */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void rg_bootstrap_draw(RgRandom resample, int64_t seeds, int64_t items, double *seed_weight,
                       double *item_weight) {
    for (int64_t s = 0; s < seeds; s++)
        seed_weight[s] = 0;
    for (int64_t i = 0; i < items; i++)
        item_weight[i] = 0;
    for (int64_t s = 0; s < seeds; s++)
        seed_weight[rg_random_below(resample, (uint64_t)s, seeds)] += 1;
    for (int64_t i = 0; i < items; i++)
        item_weight[rg_random_below(resample, (uint64_t)(seeds + i), items)] += 1;
}

/* Mean of the cells of one resample; NaN when it drew only missing ones. */
static double resample_mean(const double *values, int64_t seeds, int64_t items,
                            const double *seed_weight, const double *item_weight) {
    double sum = 0, weight = 0;
    for (int64_t s = 0; s < seeds; s++) {
        const double *row = values + items * s;
        double row_sum = 0, row_weight = 0;
        for (int64_t i = 0; i < items && seed_weight[s] > 0; i++)
            if (!isnan(row[i])) {
                row_sum += item_weight[i] * row[i];
                row_weight += item_weight[i];
            }
        sum += seed_weight[s] * row_sum;
        weight += seed_weight[s] * row_weight;
    }
    return sum / weight;
}

void rg_bootstrap_summarize(double *resampled, int64_t count, const RgBootstrapOptions *options,
                            RgBootstrap *result) {
    int64_t below = 0, above = 0, kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(resampled[i])) {
            below += resampled[i] <= options->null_value;
            above += resampled[i] >= options->null_value;
            resampled[kept++] = resampled[i];
        }
    if (kept < 2)
        return;
    int64_t tail = below < above ? below : above;
    result->p_value = fmin(1, 2 * (double)(tail + 1) / (double)(kept + 1));
    result->standard_error = rg_summarize(resampled, kept).deviation;
    qsort(resampled, (size_t)kept, sizeof *resampled, compare_doubles);
    double outside = (1 - options->confidence) / 2;
    result->interval.low = rg_sorted_quantile(resampled, kept, outside);
    result->interval.high = rg_sorted_quantile(resampled, kept, 1 - outside);
}

RgBootstrap rg_bootstrap(const double *values, int64_t seeds, int64_t items,
                         const RgBootstrapOptions *options) {
    RgSummary all = rg_summarize(values, seeds * items);
    RgBootstrap result = {.estimate = all.mean,
                          .standard_error = NAN,
                          .interval = {NAN, NAN},
                          .p_value = NAN,
                          .cells = all.count};
    if (all.count < 2)
        return result;
    double *means = rg_allocate((size_t)options->resamples * sizeof *means);
    double *weights = rg_allocate((size_t)(seeds + items) * sizeof *weights);
    for (int64_t r = 0; r < options->resamples; r++) {
        rg_bootstrap_draw(rg_random_at(options->random, (uint64_t)r), seeds, items, weights,
                          weights + seeds);
        means[r] = resample_mean(values, seeds, items, weights, weights + seeds);
    }
    rg_bootstrap_summarize(means, options->resamples, options, &result);
    free(weights);
    free(means);
    return result;
}

/* Families of tests. */

void rg_holm(const double *p_values, int64_t count, double *adjusted) {
    double *sorted = rg_allocate(2 * (size_t)(count + 1) * sizeof *sorted);
    double *bound = sorted + count + 1, largest = 0;
    int64_t tests = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(p_values[i]))
            sorted[tests++] = p_values[i];
    qsort(sorted, (size_t)tests, sizeof *sorted, compare_doubles);
    for (int64_t k = 0; k < tests; k++)
        bound[k] = largest = fmax(largest, fmin(1, (double)(tests - k) * sorted[k]));
    for (int64_t i = 0; i < count; i++) {
        const double *place = /* any of equal ones: their bounds are equal */
            bsearch(&p_values[i], sorted, (size_t)tests, sizeof *sorted, compare_doubles);
        adjusted[i] = isnan(p_values[i]) || !place ? NAN : bound[place - sorted];
    }
    free(sorted);
}

/* Rank agreement. */

static int sign(double x) {
    return (x > 0) - (x < 0);
}

int rg_concordance(const double *x, const double *y, int64_t i, int64_t j) {
    if (isnan(x[i]) || isnan(y[i]) || isnan(x[j]) || isnan(y[j]))
        return 0;
    return sign(x[i] - x[j]) * sign(y[i] - y[j]);
}

double rg_kendall_tau(const double *x, const double *y, int64_t count) {
    double score = 0, untied_x = 0, untied_y = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < i; j++) {
            if (isnan(x[i]) || isnan(y[i]) || isnan(x[j]) || isnan(y[j]))
                continue;
            score += rg_concordance(x, y, i, j);
            untied_x += x[i] != x[j];
            untied_y += y[i] != y[j];
        }
    return untied_x > 0 && untied_y > 0 ? score / sqrt(untied_x * untied_y) : NAN;
}
