/* SPDX-License-Identifier: MIT */
/* A known tabular Markov decision process (MDP) and its exact solution: values and returns as
 * scalars on a tape, differentiable to any order, and the optimal policy of a regularised value.
 *
 *     V(π) = Σ_t γ^t E[ r(s_t, a_t) − β·log(π(a_t|s_t) / π_ref(a_t|s_t)) ] = d·(1 − γP_π)⁻¹ r_π
 *
 * The optimal policy solves the soft Bellman equation (Thoma et al. 2024, arXiv:2406.01575; without
 * π_ref, the regulariser is the entropy):
 *
 *     Q = r + γ P v,   v = β log Σ_a π_ref exp(Q/β),   π* = π_ref exp((Q − v)/β)
 *
 * Threads: any, with a tape and output of their own. The MDP is not changed. */
#ifndef RG_CORE_TASK_MDP_H
#define RG_CORE_TASK_MDP_H

#include "core/tensor/tensor.h"

typedef struct RgMdp RgMdp;
struct RgMdp {
    int64_t states, actions;
    const RgReal *transition; /* [states, actions, states] P(s'|s,a); the probability missing from a
                               * row's sum of 1 is that of the episode ending */
    const RgReal *initial;    /* [states], sums to 1 */
    const RgReal *reward;     /* [states, actions], the judge's */
    double discount;          /* γ; 1 only if every episode ends */

    /* The upper level of a bilevel problem. `design` is the reward of the lower level as a function
     * of `parameters` [design_count]. `utility` is the upper level's reward for the lower level's
     * behaviour. Both are [states, actions]. NULL: `design` is a table of parameters with
     * design_count = states · actions, and `utility` is the judge's reward. */
    int64_t design_count;
    RgTensor *(*design)(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
    RgTensor *(*utility)(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);

    /* For parameters that also change the transitions. `dynamics` is P of the lower level as a
     * function of them, [states, actions, states]. `upper_value` is the upper level's value of the
     * policy with these logits [states, actions], a scalar: for an upper level with a process of
     * its own. NULL: `transition`, and the return of `utility` in the lower level's process. */
    RgTensor *(*dynamics)(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
    RgTensor *(*upper_value)(RgTape *tape, const RgMdp *mdp, RgTensor *parameters,
                             RgTensor *logits);
    /* The largest upper value for any parameters, with the optimal policy of the lower level for
     * log_reference (or NULL) and β; NAN if it is not known. NULL: it is not known. */
    double (*best_upper_value)(const RgMdp *mdp, const RgReal *log_reference, double beta);
    const void *environment; /* passed to all of them through `mdp` */
};

/* Evaluate `design`, `utility`, `dynamics` and `upper_value`, NULL included: parameters
 * [design_count] → [states, actions], the same, [states, actions, states], and a scalar. */
RgTensor *rg_mdp_design(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
RgTensor *rg_mdp_utility(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
RgTensor *rg_mdp_dynamics(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
RgTensor *rg_mdp_upper_value(RgTape *tape, const RgMdp *mdp, RgTensor *parameters,
                             RgTensor *logits);

/* V above, a scalar. transition [states, actions, states], as from rg_mdp_dynamics; reward and
 * logits of π: [states, actions]. log_reference [states, actions] is log π_ref; NULL for the
 * entropy. β = 0 gives the return. */
RgTensor *rg_mdp_value(RgTape *tape, const RgMdp *mdp, RgTensor *transition, RgTensor *reward,
                       RgTensor *logits, RgTensor *log_reference, double beta);

/* Q of π in V, without the regulariser of the step itself: [states, actions]. Arguments as
 * above. */
RgTensor *rg_mdp_action_value(RgTape *tape, const RgMdp *mdp, RgTensor *transition,
                              RgTensor *reward, RgTensor *logits, RgTensor *log_reference,
                              double beta);

/* The log-probabilities of the optimal policy, by soft policy iteration. It starts from `logits`
 * (zeros will do) and converges like Newton's method. transition [states, actions, states]; reward,
 * log_reference (or NULL) and logits [states, actions]; β > 0. Returns the largest change of a
 * probability in the last sweep, minus the 100·ε·max|Q|/β that rounding in double may cause. The
 * result exceeds `tolerance` if `sweeps` sweeps were not enough. */
double rg_mdp_solve(const RgMdp *mdp, const RgReal *transition, const RgReal *reward,
                    const RgReal *log_reference, double beta, double tolerance, int64_t sweeps,
                    RgReal *logits);

/* The largest return of any policy (β = 0), by policy iteration. Its actions go to action [states],
 * unless that is NULL. */
double rg_mdp_best_return(const RgMdp *mdp, const RgReal *reward, int32_t *action);

/* Discounted visits Σ_t γ^t P(s_t = s, a_t = a) of the policy with the given log-probabilities:
 * visits [states, actions]. They sum to 1/(1 − γ) if no episode ends. */
void rg_mdp_visits(const RgMdp *mdp, const RgReal *log_policy, double *visits);

#endif
