/* SPDX-License-Identifier: MIT */
/* The bandit environment: a table of hidden rewards over contexts and responses, so small that
 * everything about a policy is known exactly. For tests and programs that look inside; algorithms
 * see the task alone. */
#ifndef RG_ENVS_BANDIT_BANDIT_H
#define RG_ENVS_BANDIT_BANDIT_H

#include "envs/bandit/bandit_metrics.h"
#include "envs/environment.h"

extern const RgEnvironmentType rg_environment_bandit;

/* Hidden rewards; borrowed from the environment. */
RgRewardTable rg_bandit_rewards(const RgEnvironment *environment);

/* Which responses the offline pairs may show: [contexts, responses]. */
const bool *rg_bandit_covered(const RgEnvironment *environment);

/* Share of the offline pairs in which a was preferred to b in context c: share [contexts,
 * responses, responses], sums to 1. */
void rg_bandit_pair_shares(const RgEnvironment *environment, double *share);

/* A table of numbers as text: one line per row, numbers between white space; empty lines and what
 * follows a # are skipped. table [rows, columns] out. The message of an error names file and line.
 */
RgStatus rg_bandit_read_table(const char *path, int64_t rows, int64_t columns, double *table,
                              RgError *error);

#endif
