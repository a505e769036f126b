/* SPDX-License-Identifier: MIT */
/* A tabular decision process, known exactly, and what is exact about it: values and returns as
 * scalars on a tape, which can be differentiated to any order, and the policy that is optimal for a
 * regularised value.
 *
 *     V(π) = Σ_t γ^t E[ r(s_t, a_t) − β·log(π(a_t|s_t) / π_ref(a_t|s_t)) ] = d·(1 − γP_π)⁻¹ r_π
 *
 * The optimal policy solves the soft Bellman equation (Thoma et al. 2024, arXiv:2406.01575; with
 * π_ref left out, the regulariser is the entropy):
 *
 *     Q = r + γ P v,   v = β log Σ_a π_ref exp(Q/β),   π* = π_ref exp((Q − v)/β) */
#ifndef RG_CORE_TASK_MDP_H
#define RG_CORE_TASK_MDP_H

#include "core/tensor/tensor.h"

typedef struct RgMdp RgMdp;
struct RgMdp {
    int64_t states, actions;
    const RgReal *transition; /* [states, actions, states] P(s'|s,a); what a row lacks to 1 is the
                                 chance that the episode ends */
    const RgReal *initial;    /* [states], sums to 1 */
    const RgReal *reward;     /* [states, actions], the judge's */
    double discount;          /* γ; 1 only where every episode ends */

    /* What an upper level may design here: the lower level's reward as a function of `parameters`
     * [design_count], and the reward that the upper level has of the lower one's behaviour; both
     * [states, actions]. NULL: the reward is a table of parameters, design_count is states ·
     * actions, and the upper level's is the judge's. */
    int64_t design_count;
    RgTensor *(*design)(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
    RgTensor *(*utility)(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
    const void *environment; /* for the two */
};

/* The two, whether they are NULL or not. parameters [design_count] → [states, actions] */
RgTensor *rg_mdp_design(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
RgTensor *rg_mdp_utility(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);

/* V above, a scalar. reward and logits of π [states, actions]; log_reference [states, actions] is
 * log π_ref, NULL for the entropy. β = 0 gives the return. */
RgTensor *rg_mdp_value(RgTape *tape, const RgMdp *mdp, RgTensor *reward, RgTensor *logits,
                       RgTensor *log_reference, double beta);

/* Q of π in V: [states, actions], with that step's own regulariser left out. Same arguments. */
RgTensor *rg_mdp_action_value(RgTape *tape, const RgMdp *mdp, RgTensor *reward, RgTensor *logits,
                              RgTensor *log_reference, double beta);

/* The optimal policy's log-probabilities by soft policy iteration from what is in `logits` (zeros
 * do), which converges as Newton's method does: reward, log_reference (or NULL) and logits [states,
 * actions], β > 0. Returns the largest change of a probability in the last sweep, less the
 * 100·ε·max|Q|/β that rounding in double may make: above `tolerance` when `sweeps` did not do. */
double rg_mdp_solve(const RgMdp *mdp, const RgReal *reward, const RgReal *log_reference,
                    double beta, double tolerance, int64_t sweeps, RgReal *logits);

/* The largest return that any policy has (β = 0), by policy iteration; its actions in action
 * [states], which may be NULL. */
double rg_mdp_best_return(const RgMdp *mdp, const RgReal *reward, int32_t *action);

/* Discounted visits Σ_t γ^t P(s_t = s, a_t = a) under the policy with the given log-probabilities:
 * visits [states, actions], sums to 1/(1 − γ) where no episode ends. */
void rg_mdp_visits(const RgMdp *mdp, const RgReal *log_policy, double *visits);

#endif
