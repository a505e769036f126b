/* SPDX-License-Identifier: MIT */
/* Reward against divergence: every evaluation of every method as a point, with intervals over
 * seeds, and which points are Pareto-optimal. `rg_frontier` is the whole command; figures use the
 * points as data. */
#ifndef RG_ANALYSIS_COMPARE_FRONTIER_H
#define RG_ANALYSIS_COMPARE_FRONTIER_H

#include "analysis/compare/by_cell.h"
#include "analysis/compare/mean.h"
#include "analysis/compare/table.h"

typedef struct RgFrontierPoint {
    const RgGroup *group;
    int64_t step;
    RgMean x, y;  /* over the method's trials; only at steps where all of them were evaluated */
    bool last;    /* the method's last point */
    bool optimal; /* no other point has less x and no less y, or more y and no more x */
} RgFrontierPoint;

typedef struct RgFrontier {
    const RgResults *results;
    RgMeasure x, y;
    RgFrontierPoint *points; /* by method, then step */
    int64_t count;
} RgFrontier;

/* Which points are Pareto-optimal for small x and large y: optimal [count] out. Equal points do not
 * dominate each other; a point with a NaN is not optimal. */
void rg_pareto(const double *x, const double *y, int64_t count, bool *optimal);

/* From names of x and y; NULL: "kl" and "reward". RG_E_USAGE if the experiment lacks one. */
RgStatus rg_frontier_create(const RgResults *results, const char *x, const char *y,
                            RgFrontier **frontier, RgError *error);
void rg_frontier_destroy(RgFrontier *frontier);

typedef struct RgFrontierOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    RgBy by;           /* one frontier for each cell of these swept options */
    const char *x, *y; /* NULL: "kl" and "reward" */
    RgTableFormat format;
    FILE *out;
} RgFrontierOptions;

/* The whole command. */
RgStatus rg_frontier(const RgFrontierOptions *options, RgError *error);

#endif
