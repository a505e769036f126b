/* SPDX-License-Identifier: MIT */
/* Is one method better than another? A paired test over the prompts and seeds that both answered,
 * of two methods or of a family of pairs. `rg_compare` is the whole command. */
#ifndef RG_ANALYSIS_COMPARE_COMPARE_H
#define RG_ANALYSIS_COMPARE_COMPARE_H

#include "analysis/compare/table.h"
#include "analysis/statistics/statistics.h"
#include "analysis/store/query.h"

#include <stdio.h>

typedef struct RgCompareOptions {
    const char *store;   /* path */
    RgChoice choice;     /* of its trials */
    const char *a, *b;   /* labels, with swept values where those tell rows apart; NULL: a family
                            of comparisons is asked for */
    const char *against; /* of a family: each method against this one; NULL: all pairs */
    const char *metric;  /* "win" or NULL: P(A's response beats B's); else the name of a per-item
                            metric, whose difference A − B is estimated */
    const char *judge;   /* per-item metric that decides a win; NULL: "reward" */
    RgTableFormat format;
    FILE *out;
} RgCompareOptions;

RgStatus rg_compare(const RgCompareOptions *options, RgError *error);

/* Values of two methods side by side: row s of both is of the same seed, which both finished,
 * column i of the same prompt. */
typedef struct RgPairing {
    int seeds;
    int64_t items;
    bool own_items; /* each seed's are its own (query.h) */
    int64_t *seed;  /* [seeds] */
    double *a, *b;  /* [seeds, items]; a missing value is NaN */
} RgPairing;

/* Trials of A and B with the same seed that both finished; how many. Each has room for
 * a->count·b->count. */
int rg_pair_trials(const RgGroup *a, const RgGroup *b, const RgTrial **from_a,
                   const RgTrial **from_b);

/* By a per-item metric at the trials' last evaluations. 0 seeds or items where nothing is shared.
 */
RgPairing rg_pairing_make(const RgResults *results, const RgGroup *a, const RgGroup *b,
                          const char *metric);
void rg_pairing_free(RgPairing *pairing);

/* 1 where a is larger, 0 where b is, ½ on a tie; NaN where either is missing. */
double rg_outcome(double a, double b);

/* The comparison as data. */
typedef struct RgComparison {
    const RgGroup *a, *b;
    const char *metric;         /* per-item metric compared */
    bool win;                   /* a win rate (1, ½ on a tie, 0); else a difference */
    double null_value;          /* of no difference: ½ or 0 */
    int seeds;                  /* that both finished */
    int64_t items;              /* prompts */
    int64_t wins, ties, losses; /* of A, over seeds and prompts; filled for differences too */
    RgEstimate estimate;
    RgEstimate improvement; /* chance that the mean of a seed of A is above that of a seed of B,
                                any with any (robust.h) */
    double adjusted_p;      /* Holm's, in a family; NaN of a comparison alone */
} RgComparison;

RgStatus rg_comparison_make(const RgResults *results, const RgCompareOptions *options,
                            RgComparison *comparison, RgError *error);

/* The same of groups and a per-item metric that are known to exist. False: the two share no seed
 * that both finished, or no prompt; then estimate.cells is 0. */
bool rg_comparison_of_groups(const RgResults *results, const RgGroup *a, const RgGroup *b,
                             const char *metric, bool win, RgComparison *comparison);

/* RG_E_USAGE, with the nearest, where no trial has such a per-item metric. */
RgStatus rg_results_item_metric(const RgResults *results, const char *name, RgError *error);

/* A family of comparisons by the same metric. */
typedef struct RgFamily {
    RgComparison *comparisons;
    int count;
    char **notes; /* sentences to stand under it */
    int note_count;
} RgFamily;

/* All methods against options->against, or all pairs. Pairs that share nothing are told in a note;
 * RG_E_USAGE where no pair is left. */
RgStatus rg_family_make(const RgResults *results, const RgCompareOptions *options, RgFamily *family,
                        RgError *error);
void rg_family_free(RgFamily *family);

void rg_comparison_write(const RgResults *results, const RgComparison *comparison,
                         const RgCompareOptions *options);
void rg_family_write(const RgFamily *family, const RgCompareOptions *options);

#endif
