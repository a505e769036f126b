/* SPDX-License-Identifier: MIT */
/* Rows that a trial's curves lack. A store that was lost under a run, and is written on from a
 * checkpoint, has none of the steps before it, and what is left of a curve looks like a curve. */
#ifndef RG_CORE_RESULTS_CURVE_GAPS_H
#define RG_CORE_RESULTS_CURVE_GAPS_H

#include "core/results/store.h"

/* Which steps its own config (evaluation.start, every, per, log_every) says were recorded or
 * evaluated up to the last that is there, and which were not: "steps 0 to 20, 35", malloc'd; NULL
 * where there are all, or where the config does not say. */
RgStatus rg_curve_gaps(RgStore *store, int64_t trial, char **steps, RgError *error);

#endif
