/* SPDX-License-Identifier: MIT */
/* Amounts as people read them while they plan and wait. (Results, with their uncertainty, are
 * written by analysis/compare/format.h.) */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_UNITS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_UNITS_H

#include "core/base.h"

/* Each writes into `text` and returns it; NaN is a dash. */
const char *rg_units_text(double value, char text[32]);      /* "1.53 G": three digits */
const char *rg_duration_text(double seconds, char text[32]); /* "42s", "3m07s", "2h05m" */

/* {"exploration": 0.3, "batch": 16} as "batch 16, exploration 0.3"; malloc'd. */
char *rg_swept_text(const char *json);
/* The same with reals that read back to the same bits, as short as they can be. */
char *rg_swept_exact_text(const char *json);

#endif
