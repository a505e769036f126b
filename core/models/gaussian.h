/* SPDX-License-Identifier: MIT */
/* The policy for continuous control. Actions are normally distributed. A network of tanh layers
 * computes their mean from the observation; the standard deviation of each action is a parameter
 * that does not depend on the observation:
 *
 *     a = μ(o) + exp(s)·ε,    log π(a|o) = Σ_i −½((a_i − μ_i)/e^{s_i})² − s_i − ½ log 2π
 *
 * Without hidden layers the mean is linear, as that of the optimal policy of a linear–quadratic
 * regulator. The density is that of the action before an environment clips it. The log-probability of an
 * episode is that of its actions. Threads: policy.h. */
#ifndef RG_CORE_MODELS_GAUSSIAN_H
#define RG_CORE_MODELS_GAUSSIAN_H

#include "core/policy/policy.h"

extern const RgPolicyType rg_policy_gaussian;

/* Whether the policy is gaussian and has no hidden layers: μ(o) = W·o + b. */
bool rg_gaussian_is_linear(const RgPolicy *policy);
/* Its parameters on a tape: W [actions, observations], b [actions], s [actions]; they lie one after
 * the other. */
void rg_gaussian_linear(RgPolicy *policy, RgTape *tape, RgTensor **weight, RgTensor **bias,
                        RgTensor **log_deviation);

#endif
