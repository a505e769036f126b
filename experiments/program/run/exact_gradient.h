/* SPDX-License-Identifier: MIT */
/* Exact gradients in the parameters of a policy, where all responses are enumerated: on the bandit
 * and on a language. They are what stochastic gradients of DPO and SAIL estimate, by term, and the
 * gradient of the reward with a KL penalty. One thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_EXACT_GRADIENT_H
#define RG_EXPERIMENTS_PROGRAM_RUN_EXACT_GRADIENT_H

#include "envs/language/language_gradient.h"
#include "experiments/program/run/trial_setup.h"

/* Whether the environment has them. */
bool rg_exact_gradient_known(const RgEnvironment *environment);

/* The sources of a recipe's pairs. */
RgExactSources rg_exact_sources(const RgRecipe *recipe);

/* The terms of ∇J, J = E[F] with pairs from these sources, through responses, labels and F:
 * term [RG_SAIL_TERMS][parameters] out. A distribution that is not the policy's has no term: zeros.
 * The policy's gradient buffer is left zero. */
void rg_exact_sail_gradients(const RgTrialSetup *setup, RgPolicy *policy, RgExactSources sources,
                             double beta, double *const term[RG_SAIL_TERMS]);

/* ∇(E[r] − β·KL(π ‖ π_ref)): gradient [parameters] out. The same otherwise. */
void rg_exact_value_gradient(const RgTrialSetup *setup, RgPolicy *policy, double beta,
                             double *gradient);

#endif
