/* SPDX-License-Identifier: MIT */
/* PPO's formulas, for other methods and for tests. The functions have no state. */
#ifndef RG_ALGORITHMS_PPO_H
#define RG_ALGORITHMS_PPO_H

#include "core/tensor/tensor.h"

/* Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438, eq. 16) over one
 * episode of `steps` steps: A_t = Σ_l (γλ)^l·(r_{t+l} + γ·V_{t+l+1} − V_{t+l}); V after the last
 * step is 0. reward, value [steps]; advantage [steps] out. */
void rg_ppo_advantages(int64_t steps, const double *reward, const double *value, double discount,
                       double lambda, double *advantage);

/* min(ρ·A, clip(ρ, 1 − ε, 1 + ε)·A) of each step, ρ = exp(logprob − old) (Schulman et al. 2017,
 * arXiv:1707.06347, eq. 7): [steps], differentiable only in `logprob`. */
RgTensor *rg_ppo_surrogate(RgTape *tape, RgTensor *logprob, RgTensor *old, RgTensor *advantage,
                           double clip);

/* β after a step whose responses had this divergence from the reference: Ziegler et al. 2019,
 * arXiv:1909.08593, section 2.2. */
double rg_ppo_adapted(double beta, double kl, double target);

/* Whether the clipped term is the smaller one, so that the step has no gradient. */
bool rg_ppo_clips(double ratio, double advantage, double clip);

#endif
