/* Interquartile mean and probability of improvement, and their stratified bootstrap. */
#include "analysis/robust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Values that are there, moved to the front; how many. */
static int64_t compact(double *values, int64_t count) {
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[kept++] = values[i];
    return kept;
}

/* Of `count` values without NaN, which are sorted. */
static double middle_mean(double *values, int64_t count) {
    if (count == 0)
        return NAN;
    double sum = 0, low = 0.25 * (double)count, high = 0.75 * (double)count;
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    for (int64_t i = 0; i < count; i++) { /* value i takes the place from i to i + 1 */
        double inside = fmin((double)(i + 1), high) - fmax((double)i, low);
        if (inside > 0)
            sum += inside * values[i];
    }
    return sum / (high - low);
}

double rg_interquartile_mean(const double *values, int64_t count) {
    double *copy = rg_allocate((size_t)(count + 1) * sizeof *copy);
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

/* The stratified bootstrap. */

/* The runs of each task that are there, one task after the other. */
typedef struct Strata {
    double *values;
    int64_t *start; /* [tasks + 1] */
    int64_t tasks;
} Strata;

static Strata make_strata(const double *values, int64_t tasks, int64_t runs) {
    Strata strata = {.tasks = tasks};
    strata.values = rg_allocate((size_t)(tasks * runs + 1) * sizeof *strata.values);
    strata.start = rg_allocate((size_t)(tasks + 1) * sizeof *strata.start);
    for (int64_t t = 0; t < tasks; t++) {
        double *row = strata.values + strata.start[t];
        memcpy(row, values + t * runs, (size_t)runs * sizeof *row);
        strata.start[t + 1] = strata.start[t] + compact(row, runs);
    }
    return strata;
}

static void strata_free(Strata *strata) {
    free(strata->values);
    free(strata->start);
}

/* As many runs of each task as it has, drawn with replacement; `drawn` has the same layout. */
static void draw_strata(const Strata *strata, RgRandom resample, double *drawn) {
    for (int64_t t = 0; t < strata->tasks; t++) {
        int64_t start = strata->start[t], count = strata->start[t + 1] - start;
        for (int64_t i = 0; i < count; i++)
            drawn[start + i] =
                strata->values[start + rg_random_below(resample, (uint64_t)(start + i), count)];
    }
}

static RgBootstrap no_bootstrap(double estimate, int64_t cells) {
    return (RgBootstrap){.estimate = estimate,
                         .standard_error = NAN,
                         .interval = {NAN, NAN},
                         .p_value = NAN,
                         .cells = cells};
}

RgBootstrap rg_interquartile_mean_bootstrap(const double *values, int64_t tasks, int64_t runs,
                                            const RgBootstrapOptions *options) {
    Strata strata = make_strata(values, tasks, runs);
    int64_t count = strata.start[tasks];
    RgBootstrap result = no_bootstrap(rg_interquartile_mean(strata.values, count), count);
    if (count > 1) {
        double *means = rg_allocate((size_t)options->resamples * sizeof *means);
        double *drawn = rg_allocate((size_t)count * sizeof *drawn);
        for (int64_t r = 0; r < options->resamples; r++) {
            draw_strata(&strata, rg_random_at(options->random, (uint64_t)r), drawn);
            means[r] = middle_mean(drawn, count);
        }
        rg_bootstrap_summarize(means, options->resamples, options, &result);
        free(drawn);
        free(means);
    }
    strata_free(&strata);
    return result;
}

/* Mean over the tasks that both have runs of; `x` and `y` are laid out as the strata are. */
static double mean_improvement(const Strata *of_x, const double *x, const Strata *of_y,
                               const double *y) {
    double sum = 0, tasks = 0;
    for (int64_t t = 0; t < of_x->tasks; t++) {
        double chance =
            rg_probability_of_improvement(x + of_x->start[t], of_x->start[t + 1] - of_x->start[t],
                                          y + of_y->start[t], of_y->start[t + 1] - of_y->start[t]);
        if (!isnan(chance)) {
            sum += chance;
            tasks++;
        }
    }
    return tasks > 0 ? sum / tasks : NAN;
}

RgBootstrap rg_improvement_bootstrap(const double *x, int64_t x_runs, const double *y,
                                     int64_t y_runs, int64_t tasks,
                                     const RgBootstrapOptions *options) {
    Strata of_x = make_strata(x, tasks, x_runs), of_y = make_strata(y, tasks, y_runs);
    int64_t x_count = of_x.start[tasks], y_count = of_y.start[tasks];
    RgBootstrap result =
        no_bootstrap(mean_improvement(&of_x, of_x.values, &of_y, of_y.values), x_count + y_count);
    if (x_count > 1 && y_count > 1) {
        double *chances = rg_allocate((size_t)options->resamples * sizeof *chances);
        double *drawn = rg_allocate((size_t)(x_count + y_count) * sizeof *drawn);
        for (int64_t r = 0; r < options->resamples; r++) {
            RgRandom resample = rg_random_at(options->random, (uint64_t)r);
            draw_strata(&of_x, rg_random_at(resample, 0), drawn);
            draw_strata(&of_y, rg_random_at(resample, 1), drawn + x_count);
            chances[r] = mean_improvement(&of_x, drawn, &of_y, drawn + x_count);
        }
        rg_bootstrap_summarize(chances, options->resamples, options, &result);
        free(drawn);
        free(chances);
    }
    strata_free(&of_x);
    strata_free(&of_y);
    return result;
}
