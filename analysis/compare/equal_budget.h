/* SPDX-License-Identifier: MIT */
/* Methods at equal spending: a metric's curve over a cost, interpolated at spending points that all
 * methods share. Linear between evaluations, never beyond a curve's ends. `rg_budget` is the whole
 * command; the curves as data serve figures too. */
#ifndef RG_ANALYSIS_COMPARE_EQUAL_BUDGET_H
#define RG_ANALYSIS_COMPARE_EQUAL_BUDGET_H

#include "analysis/compare/mean.h"
#include "analysis/compare/table.h"

/* y at x = `at` on the line through points [count] with x not falling; where several points have
 * that x, the last one's y. NaN outside the first and last x. */
double rg_interpolate(const double *x, const double *y, int64_t count, double at);

typedef struct RgBudget {
    const RgResults *results;
    RgMeasure cost, metric;
    double *spent; /* [points], ascending */
    int64_t points;
    const RgGroup **rows; /* [row_count] methods that spend any of this cost */
    int row_count;
    RgMean *cells; /* [row_count, points]: over the method's trials; without a value where one of
                      them has none, so that a curve does not change seeds on its way */
} RgBudget;

/* By name of a cost and a metric. `points` spending points, at least 2, are spread evenly over what
 * all trials of the rows have in common: from the largest first spending to the smallest last one.
 * RG_E_USAGE for unknown names, a cost that no method spends, and trials that have no spending in
 * common. */
RgStatus rg_budget_create(const RgResults *results, const char *cost, const char *metric,
                          int64_t points, RgBudget **budget, RgError *error);
void rg_budget_destroy(RgBudget *budget);
void rg_budget_write(const RgBudget *budget, RgTableFormat format, FILE *out);

typedef struct RgEqualBudgetOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    const char *x, *y; /* cost and metric; NULL: "flops" and "reward" */
    int64_t points;    /* 0: 5 */
    RgTableFormat format;
    FILE *out;
} RgEqualBudgetOptions;

/* The whole command. */
RgStatus rg_budget(const RgEqualBudgetOptions *options, RgError *error);

#endif
