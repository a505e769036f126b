/* SPDX-License-Identifier: MIT */
/* Shared by a paper's figures and its claims. Private to paper.c, paper_claims.c and
 * paper_trials.c. */
#ifndef RG_ANALYSIS_COMPARE_PAPER_PARTS_H
#define RG_ANALYSIS_COMPARE_PAPER_PARTS_H

#include "analysis/compare/paper.h"

/* ---- paper_trials.c ---- */

/* The stores of a paper's experiments, open. */
typedef struct RgPaperResults {
    const RgPaperStore *of;
    const RgResults *const *results; /* [count] NULL: the store is not there */
    int64_t count;
} RgPaperResults;

/* Of the experiment with that name, or of the first if it is ""; NULL: it is not there. */
const RgResults *rg_paper_results(const RgPaperResults *stores, const char *experiment);

/* Index of the group with that label, else with that algorithm; else −1. */
int rg_paper_group(const RgResults *results, const RgPaperTrials *of);

/* Why there is no value: 'no trials of "dpoo" in results/x.db; did you mean "dpo"?'. `group` is that
 * of rg_paper_group. malloc'd. */
char *rg_paper_missing(const RgResults *results, const RgPaperTrials *of, int group,
                       const char *measure);

/* ---- paper_claims.c ---- */

/* What the program finds of a claim. */
typedef struct RgFoundClaim {
    RgMeasure measure; /* where something was found */
    RgMean of, than;   /* of one number alone: without spread */
    RgEstimate difference;
    int64_t seeds;
    RgClaimVerdict verdict;
    char *missing; /* why a store that is there has no figure; NULL: it has, or is not there */
} RgFoundClaim;

RgFoundClaim *rg_paper_find_claims(const RgPaper *paper, const RgPaperResults *stores);
void rg_paper_found_free(const RgPaper *paper, RgFoundClaim *found);

/* The claims as a table; what was found only with results. */
RgGrid rg_paper_claims_grid(const RgPaper *paper, const RgFoundClaim *found, bool here);
RgRecords *rg_paper_claims_records(const RgPaper *paper, const RgFoundClaim *found);

#endif
