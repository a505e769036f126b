/* SPDX-License-Identifier: MIT */
/* Tabular leader–follower processes: in each step the leader draws an action l from f(l|s), the
 * follower observes it and draws b from π(b|s,l). The leader's policy is the design of the mdp
 * environment, ν its logits [states, leader_actions]. So the follower's transitions and its rewards
 * depend on ν. The follower's optimum, for an entropy regulariser of strength τ, is
 *
 *     π(b|s,l) = softmax_b(Q(s,l,b)/τ),   Q(s,l,b) = r(s,l,b) + γ Σ_s' P(s'|s,l,b) V(s')
 *     observed:  V(s) = Σ_l f(l|s) τ log Σ_b exp(Q(s,l,b)/τ)
 *     averaged:  V(s) = τ log Σ_b exp(Σ_l f(l|s) Q(s,l,b)/τ)
 *
 * "Observed" is the value of the policy that acts. "Averaged" is the value that BC-HG
 * (arXiv:2603.14867) uses: that of a follower who observes the leader's action now, and none from
 * the next step on.
 *
 * Both are Markov decision processes. A state is (s, l), number s·leader_actions + l; "averaged"
 * has the states s besides, after them, which are those without an observation. Episodes start in
 * every state (s, l) equally often, so that the follower's optimum is one in all of them.
 *
 * The leader's value is that of `horizon` steps from `start`, discounted by `leader_discount`. */
#ifndef RG_ENVS_MDP_LEADER_FOLLOWER_H
#define RG_ENVS_MDP_LEADER_FOLLOWER_H

#include "core/task/mdp.h"

enum { RG_FOLLOWER_OBSERVED, RG_FOLLOWER_AVERAGED }; /* follower_value */

typedef struct RgLeaderFollower {
    int64_t states, leader_actions, follower_actions;
    RgReal *transition; /* [states, leader_actions, follower_actions, states], rows sum to 1 */
    RgReal *follower_reward, *leader_reward; /* [states, leader_actions, follower_actions] */
    int64_t start;                           /* a state */
    double follower_discount, leader_discount;
    int64_t horizon;
    int follower_value;
} RgLeaderFollower;

/* Allocate the arrays for the sizes that are set: every action leaves the state as it is, and every
 * reward is 0. */
void rg_leader_follower_allocate(RgLeaderFollower *process);
void rg_leader_follower_free(RgLeaderFollower *process);

/* The process with three states of BC-HG. The follower goes from S to A or to B, each with reward 1;
 * in A the leader's action 1 sends it back to S with reward −1, and under action 0 it may go on to B
 * with reward R. The leader gets 1 when the follower goes to A. */
void rg_leader_follower_bc_hg(double reward, RgLeaderFollower *process);

/* Read a problem file (doc/bilevel.md). RG_E_USAGE with file, line and key if it is not valid. Free
 * the process also after an error. */
RgStatus rg_leader_follower_read(const char *path, RgLeaderFollower *process, RgError *error);

/* The follower's process: states, and RgMdp's functions. `mdp->environment` leads to the process by
 * `rg_leader_follower_of`. */
int64_t rg_leader_follower_states(const RgLeaderFollower *process);
RgTensor *rg_leader_follower_design(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
RgTensor *rg_leader_follower_dynamics(RgTape *tape, const RgMdp *mdp, RgTensor *parameters);
RgTensor *rg_leader_follower_upper_value(RgTape *tape, const RgMdp *mdp, RgTensor *parameters,
                                         RgTensor *logits);
/* Known if the leader's action matters in one state alone, and there are two: the largest of a fine
 * grid of probabilities, refined by golden-section search. Otherwise NAN. */
double rg_leader_follower_best(const RgMdp *mdp, const RgReal *log_reference, double beta);
const RgLeaderFollower *rg_leader_follower_of(const RgMdp *mdp);

/* Fill the follower's process as episodes see it, whose leader draws every action equally often:
 * transition [states, actions, states] and reward [states, actions]. */
void rg_leader_follower_uniform(const RgLeaderFollower *process, RgReal *transition,
                                RgReal *reward);

#endif
