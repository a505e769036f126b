/* SPDX-License-Identifier: MIT */
/* Which trials the config of an experiment that was run last asks for: what its tables and figures
 * are of. A store keeps the trials of every config that was run into it.
 *
 * Table last_run: experiment, key: a row for each trial that the config unfolds to, whether it has
 * been run or not. Stores before schema version 5 have no record, and then all trials are asked
 * for; so they are of an experiment that has no row. */
#ifndef RG_CORE_RESULTS_LAST_RUN_H
#define RG_CORE_RESULTS_LAST_RUN_H

#include "core/lookup.h"
#include "core/results/store.h"

/* Replace the record of an experiment by `count` keys. The store is open for writing. */
RgStatus rg_last_run_record(RgStore *store, int64_t experiment, const char *const *keys,
                            int64_t count, RgError *error);

/* The keys of the record, each with a number of 0 or more; NULL where there is none. */
RgStatus rg_last_run_keys(RgStore *store, int64_t experiment, RgLookup **keys, RgError *error);

/* For merging: before the trials of `source` are put into `target`, and after it. Where either has
 * a record, the target's is then of both: of a store without one, of all its trials. Part of the
 * caller's transaction. */
RgStatus rg_last_run_merge_before(RgStore *target, RgStore *source, RgError *error);
RgStatus rg_last_run_merge_after(RgStore *target, RgStore *source, RgError *error);
/* The same after one trial of the source, by its row: what the source asks for, the target does. */
RgStatus rg_last_run_merge_trial(RgStore *target, RgStore *source, int64_t trial, RgError *error);

#endif
