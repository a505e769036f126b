/* SPDX-License-Identifier: MIT */
/* The policy of a tabular MDP: π(a|s) = softmax over a of logits[s, a]. The logits are the
 * parameters, one row per state. The log-probability of an episode is that of its actions. Threads:
 * policy.h. */
#ifndef RG_CORE_MODELS_TABULAR_H
#define RG_CORE_MODELS_TABULAR_H

#include "core/policy/policy.h"

extern const RgPolicyType rg_policy_markov;

/* log π(a|s) as plain numbers: log_policy [states, actions]. */
void rg_markov_table(const RgPolicy *policy, RgReal *log_policy);

#endif
