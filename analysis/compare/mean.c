/* SPDX-License-Identifier: MIT */
/* Means over seeds: from values by prompt if there are any, else from the seeds' own values. */
#include "analysis/compare/mean.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool rg_measure_is_rate(const RgMeasure *measure) {
    return measure->unit == RG_UNIT_PERCENT || strstr(measure->name, "win_rate") != NULL;
}

RgReading rg_reading_at(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                        int64_t step) {
    return (RgReading){.trial = trial,
                       .value = rg_trial_value(results, trial, measure, step),
                       .step = step,
                       .next = step};
}

/* Values by prompt of one reading; none if there is no such column. The caller frees. */
static int64_t load_items(const RgResults *results, const RgReading *reading, const char *name,
                          double **values) {
    double *next;
    int64_t count = rg_trial_items_at(results, reading->trial, name, reading->step, values);
    if (reading->next == reading->step)
        return count;
    int64_t other = rg_trial_items_at(results, reading->trial, name, reading->next, &next);
    count = other < count ? other : count;
    for (int64_t i = 0; i < count; i++)
        (*values)[i] += reading->share * (next[i] - (*values)[i]);
    free(next);
    return count;
}

/* [count, items], missing values NaN; 0 items if one of the readings has no values by prompt, so
 * that all seeds are treated alike. The caller frees. */
static int64_t load_matrix(const RgResults *results, const RgReading *readings, int count,
                           const RgMeasure *measure, double **matrix) {
    double **rows = rg_allocate(count, sizeof *rows);
    int64_t *lengths = rg_allocate(count, sizeof *lengths), items = 0;
    bool all = !measure->cost;
    for (int i = 0; i < count && all; i++) {
        if (isnan(readings[i].value))
            continue;
        if (readings[i].step >= 0)
            lengths[i] = load_items(results, &readings[i], measure->name, &rows[i]);
        all = lengths[i] > 0;
        items = lengths[i] > items ? lengths[i] : items;
    }
    items = all ? items : 0;
    *matrix = rg_allocate((size_t)count * (size_t)items, sizeof **matrix);
    for (int i = 0; i < count; i++) {
        for (int64_t j = 0; j < items; j++)
            (*matrix)[i * items + j] = j < lengths[i] ? rows[i][j] : NAN;
        free(rows[i]);
    }
    free(lengths);
    free(rows);
    return items;
}

static bool are_shares(const double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (values[i] < 0 || values[i] > 1)
            return false;
    return true;
}

RgInterval rg_interval_of_rates(RgInterval interval, const RgMeasure *measure, const double *values,
                                int64_t count) {
    if (isnan(interval.low) || !rg_measure_is_rate(measure) || !are_shares(values, count))
        return interval;
    return (RgInterval){fmax(interval.low, 0), fmin(interval.high, 1)};
}

/* Seeds without common prompts may be skewed, which few of them do not show: an interval at least as
 * wide as that of the seeds alone. */
static RgInterval allow_for_skew(RgInterval interval, const double *values, int count) {
    RgInterval alone = rg_seeds_interval(values, count);
    return isnan(alone.low)
               ? interval
               : (RgInterval){fmin(interval.low, alone.low), fmax(interval.high, alone.high)};
}

RgMean rg_mean_of(const RgResults *results, const RgReading *readings, int count,
                  const RgMeasure *measure) {
    double *values = rg_allocate(count, sizeof *values), *matrix;
    for (int i = 0; i < count; i++)
        values[i] = readings[i].value;
    int64_t items = load_matrix(results, readings, count, measure, &matrix);
    const double *cells = items > 0 ? matrix : values;
    bool own = items > 0 && rg_trial_has_own_items(readings[0].trial);
    items = items > 0 ? items : 1;
    bool rate = rg_measure_is_rate(measure) && are_shares(cells, count * items);
    RgMean mean = {.summary = rg_summarize(values, count),
                   .interval = rate ? rg_rate_interval(cells, count, items, own)
                                    : rg_mean_interval(cells, count, items, own)};
    if (!rate && (own || cells == values))
        mean.interval = allow_for_skew(mean.interval, values, count);
    free(matrix);
    free(values);
    return mean;
}
