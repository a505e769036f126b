/* SPDX-License-Identifier: MIT */
/* The bandit environment: a table of hidden rewards over contexts and responses, small enough that
 * every property of a policy is computed exactly. This header is for tests and programs that need
 * the rewards; algorithms see only the task. */
#ifndef RG_ENVS_BANDIT_BANDIT_H
#define RG_ENVS_BANDIT_BANDIT_H

#include "envs/bandit/bandit_metrics.h"
#include "envs/environment.h"

extern const RgEnvironmentType rg_environment_bandit;

/* The judge's rewards, which are the hidden ones plus its error (judge_error); borrowed from the
 * environment. */
RgRewardTable rg_bandit_rewards(const RgEnvironment *environment);

/* Which responses the offline pairs may contain: [contexts, responses]; borrowed. */
const bool *rg_bandit_covered(const RgEnvironment *environment);

/* Share of the offline pairs in which a was preferred to b in context c: share [contexts,
 * responses, responses] out, sums to 1. */
void rg_bandit_pair_shares(const RgEnvironment *environment, double *share);

#endif
