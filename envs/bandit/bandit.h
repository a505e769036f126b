/* SPDX-License-Identifier: MIT */
/* The bandit environment: a table of hidden rewards over contexts and responses, small enough that
 * every property of a policy is computed exactly. This header is for tests and programs that need
 * the rewards; algorithms see only the task. */
#ifndef RG_ENVS_BANDIT_BANDIT_H
#define RG_ENVS_BANDIT_BANDIT_H

#include "envs/bandit/bandit_metrics.h"
#include "envs/environment.h"

extern const RgEnvironmentType rg_environment_bandit;

/* Hidden rewards; borrowed from the environment. */
RgRewardTable rg_bandit_rewards(const RgEnvironment *environment);

/* Which responses the offline pairs may contain: [contexts, responses]; borrowed. */
const bool *rg_bandit_covered(const RgEnvironment *environment);

/* Share of the offline pairs in which a was preferred to b in context c: share [contexts,
 * responses, responses] out, sums to 1. */
void rg_bandit_pair_shares(const RgEnvironment *environment, double *share);

/* Read a table of numbers from a text file: one line per row, numbers separated by white space.
 * Empty lines, and text after a #, are ignored. table [rows, columns] out; lines [rows] out, the
 * line number of each row, or NULL. The message of an error names file and line. */
RgStatus rg_bandit_read_table(const char *path, int64_t rows, int64_t columns, double *table,
                              int *lines, RgError *error);

#endif
