/* SPDX-License-Identifier: MIT */
/* What a run would do: its trials, where each stands in the store and what it is expected to take.
 */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_DRY_RUN_H
#define RG_EXPERIMENTS_PROGRAM_RUN_DRY_RUN_H

#include "experiments/program/run/forecast.h"

#include <stdio.h>

/* `store` need not be there. A table, or JSON: an object with `trials`, and their sums in `total`
 * and `to_run`, where null is what is not known. An experiment whose inputs are missing is told of
 * by what the store has recorded of them. */
RgStatus rg_dry_run(RgExperiment *experiment, const char *store, bool json, FILE *out,
                    RgError *error);

#endif
