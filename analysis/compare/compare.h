/* SPDX-License-Identifier: MIT */
/* Comparing methods: a paired test over the prompts and seeds that both have, for two methods or
 * for a family of pairs. `rg_compare` is the whole command. */
#ifndef RG_ANALYSIS_COMPARE_COMPARE_H
#define RG_ANALYSIS_COMPARE_COMPARE_H

#include "analysis/compare/by_cell.h"
#include "analysis/compare/table.h"
#include "analysis/statistics/statistics.h"
#include "analysis/store/query.h"

#include <stdio.h>

typedef struct RgCompareOptions {
    const char *store;   /* path */
    RgChoice choice;     /* of its trials */
    RgBy by;             /* compare within each cell of these swept options */
    const char *a, *b;   /* labels, with swept values if rows differ in them; NULL: a family of
                            comparisons */
    const char *against; /* for a family: each method against this one; NULL: all pairs */
    const char *metric;  /* "win" or NULL: P(A's response beats B's); else the name of a per-item
                            metric, whose difference A − B is estimated */
    const char *judge;   /* per-item metric that decides a win; NULL: "reward" */
    RgTableFormat format;
    FILE *out;
} RgCompareOptions;

RgStatus rg_compare(const RgCompareOptions *options, RgError *error);

/* Values of two methods, paired: row s of both has the same seed, which both finished; column i has
 * the same prompt. */
typedef struct RgPairing {
    int seeds;
    int64_t items;
    bool own_items; /* each seed has its own items (query.h) */
    int64_t *seed;  /* [seeds] */
    double *a, *b;  /* [seeds, items]; a missing value is NaN */
} RgPairing;

/* Pairs of trials of A and B with the same seed, both finished; returns their number. Each array
 * has space for a->count·b->count. */
int rg_pair_trials(const RgGroup *a, const RgGroup *b, const RgTrial **from_a,
                   const RgTrial **from_b);

/* Pair the values of a per-item metric at the trials' last evaluations. 0 seeds or items if nothing
 * is shared. Free with rg_pairing_free. */
RgPairing rg_pairing_make(const RgResults *results, const RgGroup *a, const RgGroup *b,
                          const char *metric);
void rg_pairing_free(RgPairing *pairing);

/* 1 if a is larger, 0 if b is larger, ½ for a tie; NaN if either is missing. */
double rg_outcome(double a, double b);

/* The comparison as data. */
typedef struct RgComparison {
    const RgGroup *a, *b;
    const char *metric;         /* per-item metric compared */
    bool win;                   /* a win rate (1, ½ for a tie, 0); else a difference */
    double null_value;          /* the value of no difference: ½ or 0 */
    int seeds;                  /* finished by both */
    int64_t items;              /* prompts */
    bool own_items;             /* each seed has its own (query.h) */
    int64_t wins, ties, losses; /* of A, over seeds and prompts; also set for differences */
    RgEstimate estimate;
    RgEstimate improvement; /* probability that the mean of a seed of A is above that of a seed of
                               B, over all pairs of seeds (robust.h) */
    double adjusted_p;      /* by Holm within a family; NaN for a single comparison */
} RgComparison;

RgStatus rg_comparison_make(const RgResults *results, const RgCompareOptions *options,
                            RgComparison *comparison, RgError *error);

/* The same for groups and a per-item metric known to exist. False: the two share no finished seed
 * or no prompt; estimate.cells is then 0. */
bool rg_comparison_of_groups(const RgResults *results, const RgGroup *a, const RgGroup *b,
                             const char *metric, bool win, RgComparison *comparison);

/* RG_E_USAGE, suggesting the nearest name, if no trial has this per-item metric. */
RgStatus rg_results_item_metric(const RgResults *results, const char *name, RgError *error);

/* A family of comparisons by the same metric. */
typedef struct RgFamily {
    RgComparison *comparisons;
    int count;
    RgNotes notes; /* sentences printed below it */
} RgFamily;

/* All methods against options->against, or all pairs. A note lists pairs that share nothing;
 * RG_E_USAGE if no pair is left. */
RgStatus rg_family_make(const RgResults *results, const RgCompareOptions *options, RgFamily *family,
                        RgError *error);
void rg_family_free(RgFamily *family);

/* Adjust the p-values of several families [count] as one. */
void rg_families_adjust(RgFamily *families, int count);

void rg_comparison_write(const RgResults *results, const RgComparison *comparison,
                         const RgCompareOptions *options);
/* The families of all cells [cells->count], adjusted together. */
void rg_families_write(const RgSweptCells *cells, const RgFamily *families,
                       const RgCompareOptions *options);

#endif
