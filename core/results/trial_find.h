/* SPDX-License-Identifier: MIT */
/* Finding trials in a store, by what people call them. */
#ifndef RG_CORE_RESULTS_TRIAL_FIND_H
#define RG_CORE_RESULTS_TRIAL_FIND_H

#include "core/results/store.h"

/* A trial's row; texts are malloc'd, and NULL where the store has NULL. */
typedef struct RgTrialRow {
    int64_t id, seed, experiment_id;
    char *experiment, *key, *algorithm, *label, *status, *reason, *swept, *config, *provenance,
        *updated;
} RgTrialRow;

/* The trial whose key or label is `name`: of `experiment`, or of whichever has it where that is
 * NULL; with `seed`, or with any where that is −1. RG_E_USAGE when there is none, or when several
 * answer to it: the message tells what sets them apart. */
RgStatus rg_trial_find(RgStore *store, const char *experiment, const char *name, int64_t seed,
                       RgTrialRow *row, RgError *error);
void rg_trial_row_clear(RgTrialRow *row);

/* All of that name, as many as there are; RG_E_USAGE when there is none. */
typedef struct RgTrialRows {
    RgTrialRow *at;
    int count;
} RgTrialRows;
RgStatus rg_trial_find_all(RgStore *store, const char *experiment, const char *name, int64_t seed,
                           RgTrialRows *rows, RgError *error);
void rg_trial_rows_clear(RgTrialRows *rows);

/* RG_E_USAGE: two trials answer to `name`, and what sets them apart. */
RgStatus rg_trial_refuse_several(RgStore *store, const char *name, const RgTrialRow *a,
                                 const RgTrialRow *b, RgError *error);

/* finished or diverged */
bool rg_trial_row_is_done(const RgTrialRow *row);

#endif
