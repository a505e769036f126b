/* SPDX-License-Identifier: MIT */
/* Checking a results store: every page, every value, every curve, and every file of weights next to
 * it. Findings are reported by experiment and trial, so the intact trials can be saved.
 *
 * Threads: any, each with its own check. */
#ifndef RG_CORE_RESULTS_STORE_CHECK_H
#define RG_CORE_RESULTS_STORE_CHECK_H

#include "core/results/store.h"

/* A trial, or the readable part of it. */
typedef struct RgTrialCheck {
    int64_t id, seed;               /* seed −1: unreadable */
    char *experiment, *label, *key; /* NULL: unreadable */
    char **findings;                /* sentences; none: the trial is intact */
    int count;
} RgTrialCheck;

typedef struct RgStoreCheck {
    char **findings; /* about the file, experiments, and tables without a trial */
    int count;
    RgTrialCheck *trials;
    int trial_count, whole_count;
    char **notes; /* not damage: weights that are not next to the store */
    int note_count;
} RgStoreCheck;

/* Fails only if nothing can be checked: there is no file, it is not a store, it has a trigger, or
 * its first page is unreadable. */
RgStatus rg_store_check(const char *path, RgStoreCheck *check, RgError *error);
void rg_store_check_clear(RgStoreCheck *check);

bool rg_store_check_is_clean(const RgStoreCheck *check);

#endif
