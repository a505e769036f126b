/* SPDX-License-Identifier: MIT */
/* Statistics of experiments; the header defines them. */
#include "analysis/statistics/statistics.h"

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

/* Seeds and prompts. */

/* Sums of the cells' deviations from the mean, by row and by column, and their number of cells. */
typedef struct Margins {
    double *of_seed, *of_item;
    double *seed_cells, *item_cells;
    double squares, cells; /* totals */
} Margins;

static Margins sum_margins(const double *values, int64_t seeds, int64_t items, double mean) {
    Margins m = {.of_seed = rg_allocate(2 * (size_t)(seeds + items), sizeof *m.of_seed)};
    m.of_item = m.of_seed + seeds;
    m.seed_cells = m.of_item + items;
    m.item_cells = m.seed_cells + seeds;
    for (int64_t s = 0; s < seeds; s++)
        for (int64_t i = 0; i < items; i++) {
            double distance = values[s * items + i] - mean;
            if (isnan(distance))
                continue;
            m.of_seed[s] += distance;
            m.of_item[i] += distance;
            m.seed_cells[s]++;
            m.item_cells[i]++;
            m.squares += distance * distance;
            m.cells++;
        }
    return m;
}

/* One way of the analysis: the number of levels with cells, the variance of the mean estimated from
 * their sums (each level as one sample), and their sum of squares. */
typedef struct Way {
    int64_t levels;
    double variance, squares;
} Way;

static Way sum_way(const double *sums, const double *cells, int64_t count, double all_cells) {
    Way way = {0};
    double squares = 0;
    for (int64_t i = 0; i < count; i++)
        if (cells[i] > 0) {
            way.levels++;
            way.squares += sums[i] * sums[i] / cells[i];
            squares += sums[i] * sums[i];
        }
    double levels = (double)way.levels;
    if (way.levels > 1)
        way.variance = levels / (levels - 1) * squares / (all_cells * all_cells);
    return way;
}

/* Equal values differ only by rounding: 0. */
static double more_than_rounding(double variance, double mean) {
    return variance > 1e-24 * mean * mean ? variance : 0;
}

RgSpread rg_spread(const double *values, int64_t seeds, int64_t items, bool own_items) {
    RgSummary all = rg_summarize(values, seeds * items);
    Margins m = sum_margins(values, seeds, items, all.mean);
    Way by_seed = sum_way(m.of_seed, m.seed_cells, seeds, m.cells);
    Way by_item = sum_way(m.of_item, m.item_cells, items, m.cells);
    RgSpread spread = {.seed_freedom = by_seed.levels - 1, .item_freedom = by_item.levels - 1};
    free(m.of_seed);
    if (all.count < 2)
        return spread;
    spread.of_seeds = by_seed.variance;
    double freedom = m.cells - (double)(by_seed.levels + by_item.levels - 1);
    if (by_seed.levels == 1)
        spread.of_items = by_item.variance;
    else if (freedom > 0 && !own_items) /* else prompts and seeds cannot be separated */
        spread.of_items =
            fmax(0, by_item.variance - fmax(0, m.squares - by_seed.squares - by_item.squares) /
                                           (freedom * m.cells));
    if (more_than_rounding(spread.of_seeds + spread.of_items, all.mean) == 0)
        spread.of_seeds = spread.of_items = 0;
    return spread;
}

/* The spread from the items alone, a lower bound; see rg_mean_interval. */
static RgSpread least_spread(const double *values, int64_t seeds, int64_t items, bool own_items) {
    if (items < 2)
        return (RgSpread){0};
    int64_t rows = own_items ? 1 : seeds, columns = own_items ? seeds * items : items;
    RgSummary all = rg_summarize(values, seeds * items);
    Margins m = sum_margins(values, rows, columns, all.mean);
    Way by_item = sum_way(m.of_item, m.item_cells, columns, m.cells);
    free(m.of_seed);
    return (RgSpread){.of_items = more_than_rounding(by_item.variance, all.mean),
                      .item_freedom = by_item.levels - 1};
}

static double margin_at(const RgSpread *spread, double p_value) {
    double square = 0;
    if (spread->of_seeds > 0)
        square += spread->of_seeds *
                  pow(rg_student_quantile(p_value / 2, (double)spread->seed_freedom), 2);
    if (spread->of_items > 0)
        square += spread->of_items *
                  pow(rg_student_quantile(p_value / 2, (double)spread->item_freedom), 2);
    return square > 0 ? sqrt(square) : NAN;
}

double rg_spread_margin(const RgSpread *spread, double confidence) {
    return margin_at(spread, 1 - confidence);
}

static const double LEAST_P = 1e-12; /* smaller p-values are reported as this */

/* The margin falls with p; its logarithm is almost linear in log p. Each iteration takes the point
 * where the line between both ends crosses the distance; every other one takes the middle, so that
 * neither end remains. */
double rg_spread_p_value(const RgSpread *spread, double distance) {
    if (!(spread->of_seeds + spread->of_items > 0) || isnan(distance))
        return NAN;
    double target = log(fabs(distance)), low = log(LEAST_P), high = log(0.999);
    double above = log(margin_at(spread, exp(low))) - target;
    double below = log(margin_at(spread, exp(high))) - target;
    if (above <= 0 || below >= 0)
        return above <= 0 ? LEAST_P : 1;
    double middle = low;
    for (int turn = 0; turn < 100; turn++) {
        middle = turn % 2 ? 0.5 * (low + high) : (low * below - high * above) / (below - above);
        double surplus = log(margin_at(spread, exp(middle))) - target;
        if (fabs(surplus) < 1e-12)
            break;
        if (surplus > 0) {
            low = middle;
            above = surplus;
        } else {
            high = middle;
            below = surplus;
        }
    }
    return exp(middle);
}

RgEstimate rg_estimate_of_spread(double value, const RgSpread *spread, const RgSpread *least,
                                 double null_value) {
    double variance = fmax(spread->of_seeds + spread->of_items, least->of_seeds + least->of_items);
    double margin = fmax(rg_spread_margin(spread, 0.95), rg_spread_margin(least, 0.95));
    double distance = value - null_value;
    return (RgEstimate){
        .value = value,
        .standard_error = variance > 0 ? sqrt(variance) : NAN,
        .interval = {value - margin, value + margin},
        .p_value = fmax(rg_spread_p_value(spread, distance), rg_spread_p_value(least, distance))};
}

RgInterval rg_mean_interval(const double *values, int64_t seeds, int64_t items, bool own_items) {
    double mean = rg_summarize(values, seeds * items).mean;
    RgSpread spread = rg_spread(values, seeds, items, own_items);
    RgSpread least = least_spread(values, seeds, items, own_items);
    double margin = fmax(rg_spread_margin(&spread, 0.95), rg_spread_margin(&least, 0.95));
    return (RgInterval){mean - margin, mean + margin};
}

RgInterval rg_seeds_interval(const double *values, int64_t count) {
    RgSummary all = rg_summarize(values, count);
    double seeds = (double)all.count, factor = fmin(1.5, 1 + 2 / seeds);
    if (!(more_than_rounding(all.standard_error * all.standard_error, all.mean) > 0))
        return (RgInterval){NAN, NAN}; /* one value, or equal ones */
    double margin = factor * rg_student_quantile(0.975, seeds - 1) * all.standard_error;
    return (RgInterval){all.mean - margin, all.mean + margin};
}

RgEstimate rg_estimate_mean(const double *values, int64_t seeds, int64_t items, bool own_items,
                            double null_value) {
    RgSummary all = rg_summarize(values, seeds * items);
    RgSpread spread = rg_spread(values, seeds, items, own_items);
    RgSpread least = least_spread(values, seeds, items, own_items);
    RgEstimate estimate = rg_estimate_of_spread(all.mean, &spread, &least, null_value);
    estimate.cells = all.count;
    return estimate;
}

/* Rates. */

/* Mean of a rate, kept off 0 and 1, and a lower bound of its spread. */
typedef struct Caution {
    double mean;
    RgSpread least;
} Caution;

/* Whether all cells are outcomes: won, lost or tied. Else they are expectations, which do not agree
 * by chance. */
static bool are_outcomes(const double *values, int64_t cells) {
    for (int64_t i = 0; i < cells; i++)
        if (!isnan(values[i]) && values[i] != 0 && values[i] != 0.5 && values[i] != 1)
            return false;
    return true;
}

/* Add two prompts to the present ones: one lost and one won by all seeds. */
static Caution be_cautious(const double *values, int64_t seeds, int64_t items, double mean) {
    Margins m = sum_margins(values, seeds, items, mean);
    double prompts = 0, sum = 1, squares = 0;
    for (int64_t i = 0; i < items; i++)
        if (m.item_cells[i] > 0) {
            double rate = mean + m.of_item[i] / m.item_cells[i];
            prompts++;
            sum += rate;
            squares += rate * rate;
        }
    free(m.of_seed);
    double all = prompts + 2, center = sum / all;
    squares += 1 - all * center * center; /* about the center; 1 is the prompt that is won */
    return (Caution){center,
                     {.of_items = squares / (all * all), .item_freedom = (int64_t)prompts + 1}};
}

static Caution caution_of(const double *values, int64_t seeds, int64_t items, bool own_items,
                          double mean) {
    if (items > 1 && are_outcomes(values, seeds * items))
        return own_items ? be_cautious(values, 1, seeds * items, mean)
                         : be_cautious(values, seeds, items, mean);
    return (Caution){.mean = mean, .least = least_spread(values, seeds, items, own_items)};
}

/* Where |mean − μ| = margin·√(μ(1 − μ)/(m(1 − m))): both roots of a quadratic in μ. */
static RgInterval wilson_of_margin(double mean, double margin, const Caution *caution) {
    if (isnan(margin))
        return (RgInterval){NAN, NAN};
    double k = margin * margin / (caution->mean * (1 - caution->mean));
    double center = (mean + k / 2) / (1 + k);
    double half = sqrt(k * mean * (1 - mean) + k * k / 4) / (1 + k);
    return (RgInterval){fmax(0, fmin(mean, center - half)), fmin(1, fmax(mean, center + half))};
}

RgInterval rg_rate_interval(const double *values, int64_t seeds, int64_t items, bool own_items) {
    double mean = rg_summarize(values, seeds * items).mean;
    RgSpread spread = rg_spread(values, seeds, items, own_items);
    Caution caution = caution_of(values, seeds, items, own_items, mean);
    double margin = fmax(rg_spread_margin(&spread, 0.95), rg_spread_margin(&caution.least, 0.95));
    return wilson_of_margin(mean, margin, &caution);
}

RgEstimate rg_estimate_rate(const double *values, int64_t seeds, int64_t items, bool own_items,
                            double null_value) {
    RgSummary all = rg_summarize(values, seeds * items);
    RgSpread spread = rg_spread(values, seeds, items, own_items);
    Caution caution = caution_of(values, seeds, items, own_items, all.mean);
    /* Under the null value the margin is multiplied by the root of this. */
    double scale = null_value * (1 - null_value) / (caution.mean * (1 - caution.mean));
    double value = null_value + (all.mean - null_value) / sqrt(scale);
    RgEstimate rate = rg_estimate_of_spread(value, &spread, &caution.least, null_value);
    rate.value = all.mean;
    rate.interval = rg_rate_interval(values, seeds, items, own_items);
    rate.cells = all.count;
    return rate;
}

char *rg_few_seeds(int64_t seeds) {
    if (seeds >= RG_SEEDS_TO_COMPARE)
        return NULL;
    if (seeds == 1)
        return rg_string_copy("One seed: the intervals and p-values cover other prompts only; "
                              "another seed may reverse the result.");
    return rg_string_format(
        "%lld seeds: the spread over seeds is hardly known, so only large differences are "
        "significant; use five or more seeds to find smaller ones.",
        (long long)seeds);
}

/* Families of tests. */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void rg_holm(const double *p_values, int64_t count, double *adjusted) {
    double *sorted = rg_allocate(2 * (size_t)count, sizeof *sorted);
    double *bound = sorted + count, largest = 0;
    int64_t tests = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(p_values[i]))
            sorted[tests++] = p_values[i];
    qsort(sorted, (size_t)tests, sizeof *sorted, compare_doubles);
    for (int64_t k = 0; k < tests; k++)
        bound[k] = largest = fmax(largest, fmin(1, (double)(tests - k) * sorted[k]));
    for (int64_t i = 0; i < count; i++) {
        const double *place = /* any of equal ones, which have equal bounds */
            bsearch(&p_values[i], sorted, (size_t)tests, sizeof *sorted, compare_doubles);
        adjusted[i] = isnan(p_values[i]) || !place ? NAN : bound[place - sorted];
    }
    free(sorted);
}

/* Convergence. */

double rg_convergence_order(const double *errors, int64_t count, double floor) {
    int64_t above = 0;
    while (above < count && errors[above] > fmax(floor, 0))
        above++;
    int64_t pairs = above - 1;
    if (pairs < 2)
        return NAN;
    double x_mean = 0, y_mean = 0, xx = 0, xy = 0;
    for (int64_t k = 0; k < pairs; k++) {
        x_mean += log(errors[k]) / (double)pairs;
        y_mean += log(errors[k + 1]) / (double)pairs;
    }
    for (int64_t k = 0; k < pairs; k++) {
        double x = log(errors[k]) - x_mean;
        xx += x * x;
        xy += x * (log(errors[k + 1]) - y_mean);
    }
    return xx > 1e-20 ? xy / xx : NAN;
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
