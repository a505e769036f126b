/* SPDX-License-Identifier: MIT */
/* Methods at equal cost: a metric's curve over a cost, interpolated at points that all methods
 * share. Interpolation is linear between evaluations, without extrapolation. `rg_budget` is the
 * whole command; figures use the curves as data. */
#ifndef RG_ANALYSIS_COMPARE_EQUAL_BUDGET_H
#define RG_ANALYSIS_COMPARE_EQUAL_BUDGET_H

#include "analysis/compare/by_cell.h"
#include "analysis/compare/mean.h"
#include "analysis/compare/table.h"

/* y at x = `at` by linear interpolation of points [count] with nondecreasing x; if several points
 * have this x, the last one's y. NaN outside the first and last x. */
double rg_interpolate(const double *x, const double *y, int64_t count, double at);

typedef struct RgBudget {
    const RgResults *results;
    RgMeasure cost, metric;
    double *spent; /* [points], ascending */
    int64_t points;
    const RgGroup **rows; /* [row_count] methods with a nonzero cost */
    int row_count;
    RgMean *cells; /* [row_count, points]: over the method's trials; no value if one of them has
                      none, so that all points of a curve have the same seeds */
} RgBudget;

/* From names of a cost and a metric. The `points` costs (at least 2) are evenly spaced over the
 * range common to all trials of the rows: from the largest first cost to the smallest last one.
 * RG_E_USAGE for unknown names, a cost that is 0 for every method, and an empty common range. */
RgStatus rg_budget_create(const RgResults *results, const char *cost, const char *metric,
                          int64_t points, RgBudget **budget, RgError *error);
void rg_budget_destroy(RgBudget *budget);

typedef struct RgEqualBudgetOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    RgBy by;           /* within each cell of these swept options */
    const char *x, *y; /* cost and metric; NULL: "flops" and "reward" */
    int64_t points;    /* 0: 5 */
    RgTableFormat format;
    FILE *out;
} RgEqualBudgetOptions;

/* The whole command. */
RgStatus rg_budget(const RgEqualBudgetOptions *options, RgError *error);

#endif
