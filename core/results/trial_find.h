/* SPDX-License-Identifier: MIT */
/* Finding trials in a store by label or key.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_TRIAL_FIND_H
#define RG_CORE_RESULTS_TRIAL_FIND_H

#include "core/results/store.h"

/* A trial's row. Texts are malloc'd, and NULL if NULL in the store. */
typedef struct RgTrialRow {
    int64_t id, seed, experiment_id;
    char *experiment, *key, *algorithm, *label, *status, *reason, *swept, *config, *provenance,
        *updated;
} RgTrialRow;

/* The trial with key or label `name`, in `experiment` (NULL: any) and with `seed` (−1: any).
 * RG_E_USAGE if there is none, or several; the message gives their difference. */
RgStatus rg_trial_find(RgStore *store, const char *experiment, const char *name, int64_t seed,
                       RgTrialRow *row, RgError *error);
void rg_trial_row_clear(RgTrialRow *row);

/* All trials with that name; RG_E_USAGE if there is none. */
typedef struct RgTrialRows {
    RgTrialRow *at;
    int count;
} RgTrialRows;
RgStatus rg_trial_find_all(RgStore *store, const char *experiment, const char *name, int64_t seed,
                           RgTrialRows *rows, RgError *error);
void rg_trial_rows_clear(RgTrialRows *rows);

/* RG_E_USAGE: two trials match `name`; the message gives their difference. */
RgStatus rg_trial_refuse_several(RgStore *store, const char *name, const RgTrialRow *a,
                                 const RgTrialRow *b, RgError *error);

/* Whether it is finished or diverged. */
bool rg_trial_row_is_done(const RgTrialRow *row);

#endif
