/* SPDX-License-Identifier: MIT */
/* The policy of a tabular process: π(a|s) = softmax over a of logits[s, a], which are the
 * parameters themselves, one row per state. An episode's log-probability is that of its actions. */
#ifndef RG_CORE_MODELS_TABULAR_H
#define RG_CORE_MODELS_TABULAR_H

#include "core/policy/policy.h"

extern const RgPolicyType rg_policy_markov;

/* log π(a|s) as plain numbers: log_policy [states, actions]. */
void rg_markov_table(const RgPolicy *policy, RgReal *log_policy);

#endif
