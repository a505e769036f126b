/* SPDX-License-Identifier: MIT */
/* Tables of numbers in text files: rewards, features, counts of pairs. One line per row, numbers
 * separated by white space or commas. Empty lines, and text after a #, are ignored. Errors name file
 * and line. Thread-safe. */
#ifndef RG_ENVS_BANDIT_BANDIT_FILES_H
#define RG_ENVS_BANDIT_BANDIT_FILES_H

#include "core/base.h"

/* Read a table of finite numbers: table [rows, columns] out; lines [rows] out, the line number of
 * each row, or NULL. RG_E_FORMAT for another shape. */
RgStatus rg_bandit_read_table(const char *path, int64_t rows, int64_t columns, double *table,
                              int *lines, RgError *error);
/* The same for counts: RG_E_FORMAT also for a negative number, and for a row of zeros. */
RgStatus rg_bandit_read_counts(const char *path, int64_t rows, int64_t columns, double *table,
                               RgError *error);

#endif
