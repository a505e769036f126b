/* SPDX-License-Identifier: MIT */
/* How much reward for how much divergence? Every evaluation of every method as a point, with
 * intervals over seeds, and which points no other beats on both counts. `rg_frontier` is the whole
 * command; the points as data serve figures too. */
#ifndef RG_ANALYSIS_COMPARE_FRONTIER_H
#define RG_ANALYSIS_COMPARE_FRONTIER_H

#include "analysis/compare/mean.h"
#include "analysis/compare/table.h"

typedef struct RgFrontierPoint {
    const RgGroup *group;
    int64_t step;
    RgMean x, y;  /* over the method's trials; only where all of them were evaluated at the step */
    bool last;    /* the method's last */
    bool optimal; /* no other point has less x and no less y, or more y and no more x */
} RgFrontierPoint;

typedef struct RgFrontier {
    const RgResults *results;
    RgMeasure x, y;
    RgFrontierPoint *points; /* by method, then step */
    int64_t count;
} RgFrontier;

/* Which of the points are Pareto-optimal, small x and large y being good. Equal points do not beat
 * each other; one with a NaN is not optimal. */
void rg_pareto(const double *x, const double *y, int64_t count, bool *optimal);

/* x and y by name; NULL: "kl" and "reward". RG_E_USAGE when the experiment lacks one. */
RgStatus rg_frontier_create(const RgResults *results, const char *x, const char *y,
                            RgFrontier **frontier, RgError *error);
void rg_frontier_destroy(RgFrontier *frontier);
void rg_frontier_write(const RgFrontier *frontier, RgTableFormat format, FILE *out);

typedef struct RgFrontierOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    const char *x, *y; /* NULL: "kl" and "reward" */
    RgTableFormat format;
    FILE *out;
} RgFrontierOptions;

/* The whole command. */
RgStatus rg_frontier(const RgFrontierOptions *options, RgError *error);

#endif
