/* SPDX-License-Identifier: MIT */
/* The trials of the config that was run last for an experiment. Tables and figures show these
 * trials, while the store keeps the trials of every config that was ever run.
 *
 * Table last_run: experiment, key. It has one row for each trial of the config, run or not. Stores
 * before schema version 5 have no record. Then, and for an experiment without rows, all trials
 * count.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_LAST_RUN_H
#define RG_CORE_RESULTS_LAST_RUN_H

#include "core/lookup.h"
#include "core/results/store.h"

/* Replaces the record of an experiment by `count` keys. The store is open for writing. */
RgStatus rg_last_run_record(RgStore *store, int64_t experiment, const char *const *keys,
                            int64_t count, RgError *error);

/* The keys of the record, each with a number of 0 or more; NULL if there is no record. */
RgStatus rg_last_run_keys(RgStore *store, int64_t experiment, RgLookup **keys, RgError *error);

/* For merging: call these before and after the trials of `source` are merged into `target`. If
 * either store has a record, the target's record becomes the union of both; a store without one
 * contributes all its trials. Part of the caller's transaction. */
RgStatus rg_last_run_merge_before(RgStore *target, RgStore *source, RgError *error);
RgStatus rg_last_run_merge_after(RgStore *target, RgStore *source, RgError *error);
/* The same after merging one trial of the source, given by its row. */
RgStatus rg_last_run_merge_trial(RgStore *target, RgStore *source, int64_t trial, RgError *error);

#endif
