/* SPDX-License-Identifier: MIT */
/* Is a results store whole? Every page, every value and every curve of it is looked at, and every
 * file of weights beside it; what is wrong is told by experiment and trial, so that the others can
 * be saved. */
#ifndef RG_CORE_RESULTS_STORE_CHECK_H
#define RG_CORE_RESULTS_STORE_CHECK_H

#include "core/results/store.h"

/* A trial, or what could be read of it. */
typedef struct RgTrialCheck {
    int64_t id, seed;               /* seed −1: could not be read */
    char *experiment, *label, *key; /* NULL: could not be read */
    char **findings;                /* sentences; none: the trial is whole */
    int count;
} RgTrialCheck;

typedef struct RgStoreCheck {
    char **findings; /* of the file, of experiments, and of tables that belong to no trial */
    int count;
    RgTrialCheck *trials;
    int trial_count, whole_count;
    char **notes; /* what is no damage: weights that are not beside the store */
    int note_count;
} RgStoreCheck;

/* Refused only where there is nothing that could be looked at: no file, not a store, a trigger in
 * it, or a first page that cannot be read. */
RgStatus rg_store_check(const char *path, RgStoreCheck *check, RgError *error);
void rg_store_check_clear(RgStoreCheck *check);

bool rg_store_check_is_clean(const RgStoreCheck *check);

#endif
