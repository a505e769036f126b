/* SPDX-License-Identifier: MIT */
/* Differences of what is read of two methods' trials, paired by seed. */
#include "analysis/compare/difference.h"

#include <math.h>
#include <stdlib.h>

static double order_of(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                       double floor) {
    RgPoint *points;
    int64_t count = rg_trial_curve(results, trial, measure, &points);
    double *values = rg_allocate(count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = points[i].value;
    double order = rg_convergence_order(values, count, floor);
    free(values);
    free(points);
    return order;
}

static RgReading read_trial(const RgResults *results, const RgReadOf *of, const RgTrial *trial,
                            const RgMeasure *measure) {
    if (of->as == RG_READ_ORDER)
        return (RgReading){.trial = trial,
                           .value = order_of(results, trial, measure, of->floor),
                           .step = -1,
                           .next = -1};
    int64_t step = of->as == RG_READ_STEP ? of->step : rg_trial_result(trial, measure);
    return rg_reading_at(results, trial, measure, step);
}

/* A mean of values that are no readings of the measure itself is over seeds alone. */
static RgMean mean_of_values(const RgReading *readings, int count) {
    double *values = rg_allocate(count, sizeof *values);
    for (int i = 0; i < count; i++)
        values[i] = readings[i].value;
    RgMean mean = {rg_summarize(values, count), rg_seeds_interval(values, count)};
    free(values);
    return mean;
}

RgMean rg_mean_read(const RgResults *results, const RgReadOf *of, const RgMeasure *measure) {
    RgReading *readings = rg_allocate(of->group->count, sizeof *readings);
    int count = 0;
    for (int i = 0; i < of->group->count; i++)
        if (of->group->trials[i]->status == RG_TRIAL_FINISHED)
            readings[count++] = read_trial(results, of, of->group->trials[i], measure);
    RgMean mean = of->as == RG_READ_ORDER ? mean_of_values(readings, count)
                                          : rg_mean_of(results, readings, count, measure);
    free(readings);
    return mean;
}

/* Differences of the seeds' own values. */
static RgEstimate difference_of_seeds(const RgResults *results, const RgReadOf *a,
                                      const RgReadOf *b, const RgMeasure *measure) {
    size_t room = (size_t)a->group->count * (size_t)b->group->count;
    const RgTrial **from_a = rg_allocate(2 * room, sizeof *from_a), **from_b = from_a + room;
    double *values = rg_allocate(room, sizeof *values);
    int count = rg_pair_trials(a->group, b->group, from_a, from_b);
    for (int i = 0; i < count; i++)
        values[i] = read_trial(results, a, from_a[i], measure).value -
                    read_trial(results, b, from_b[i], measure).value;
    RgEstimate estimate = rg_estimate_mean(values, count, 1, false, 0);
    free(values);
    free(from_a);
    return estimate;
}

static RgEstimate difference_to_number(const RgResults *results, const RgReadOf *a, double number,
                                       const RgMeasure *measure) {
    RgMean mean = rg_mean_read(results, a, measure);
    return (RgEstimate){
        .value = mean.summary.mean - number,
        .standard_error = mean.summary.standard_error,
        .interval = {mean.interval.low - number, mean.interval.high - number},
        .p_value = NAN,
        .cells = mean.summary.count,
    };
}

RgEstimate rg_difference_read(const RgResults *results, const RgReadOf *a, const RgReadOf *b,
                              double number, const RgMeasure *measure, int64_t *seeds) {
    RgComparison c;
    if (b && a->group != b->group && a->as == RG_READ_END && b->as == RG_READ_END &&
        !measure->cost &&
        rg_comparison_of_groups(results, a->group, b->group, measure->name, false, &c)) {
        *seeds = c.seeds;
        return c.estimate;
    }
    RgEstimate estimate = b ? difference_of_seeds(results, a, b, measure)
                            : difference_to_number(results, a, number, measure);
    *seeds = estimate.cells;
    return estimate;
}
