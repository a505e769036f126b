/* SPDX-License-Identifier: MIT */
/* Numbers with units, and durations, for people who plan and wait. (analysis/compare/format.h
 * writes results with their uncertainty.) Reentrant. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_UNITS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_UNITS_H

#include "core/base.h"

/* Each writes into `text` and returns it. NaN is a dash. */
const char *rg_units_text(double value, char text[32]);      /* "1.53 G": three digits */
const char *rg_duration_text(double seconds, char text[32]); /* "42s", "3m07s", "2h05m" */

/* {"exploration": 0.3, "batch": 16} as "batch 16, exploration 0.3". The caller frees it. */
char *rg_swept_text(const char *json);
/* The same, with each real in the shortest form that reads back to the same bits. */
char *rg_swept_exact_text(const char *json);

#endif
