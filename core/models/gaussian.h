/* SPDX-License-Identifier: MIT */
/* The policy of a continuous process: actions are normal numbers around what a network of tanh
 * layers makes of the observation, with a standard deviation per action that no observation
 * changes:
 *
 *     a = μ(o) + exp(s)·ε,    log π(a|o) = Σ_i −½((a_i − μ_i)/e^{s_i})² − s_i − ½ log 2π
 *
 * The density is that of the action before an environment clips it. An episode's log-probability is
 * that of its actions. */
#ifndef RG_CORE_MODELS_GAUSSIAN_H
#define RG_CORE_MODELS_GAUSSIAN_H

#include "core/policy/policy.h"

extern const RgPolicyType rg_policy_gaussian;

#endif
