/* SPDX-License-Identifier: MIT */
/* Missing rows of a trial's curves. If a store was lost during a run and continued from a
 * checkpoint, it has no rows for the steps before the checkpoint, and the remaining curve still
 * looks complete.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_CURVE_GAPS_H
#define RG_CORE_RESULTS_CURVE_GAPS_H

#include "core/results/store.h"

/* Compares the recorded and evaluated steps with those that the trial's config (evaluation.start,
 * every, per, log_every) implies up to the last one recorded. *steps lists the missing ones: "steps
 * 0 to 20, 35", malloc'd. NULL if none is missing, or the config does not say. */
RgStatus rg_curve_gaps(RgStore *store, int64_t trial, char **steps, RgError *error);

#endif
