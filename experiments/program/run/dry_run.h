/* SPDX-License-Identifier: MIT */
/* The preview of a run: its trials, their status in the store and their expected cost. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_DRY_RUN_H
#define RG_EXPERIMENTS_PROGRAM_RUN_DRY_RUN_H

#include "experiments/program/run/forecast.h"

#include <stdio.h>

/* Prints a table, or JSON: an object with `trials`, and their sums in `total` and `to_run`; null is
 * unknown. `store` need not exist. Trials whose inputs are missing are identified by the sums that
 * the store has recorded. Trials that would not find their inputs are listed, too, and then refused:
 * what would end a run is an error here. */
RgStatus rg_dry_run(RgExperiment *experiment, const char *store, bool json, FILE *out,
                    RgError *error);

#endif
