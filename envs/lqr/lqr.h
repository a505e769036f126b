/* SPDX-License-Identifier: MIT */
/* A linear–quadratic regulator with a leader: the bilevel LQR of BC-HG (arXiv:2603.14867). In each
 * step the leader draws an action a from N(K·x, w²), the follower observes it and answers with u.
 *
 *     x' = A·x + B·u + C·a,    follower's cost of a step: xᵀQx + uᵀRu
 *
 * ν is K [leader_actions, states]. The follower minimises its cost, discounted by γ, minus β times
 * the entropy of its actions. Its optimum is a linear policy with normally distributed actions: with
 * A_K = A + C·K, from the Riccati equation
 *
 *     P = Q + γ A_KᵀPA_K − γ² A_KᵀPB S⁻¹ BᵀPA_K,    S = R + γ BᵀPB
 *     u = −γ S⁻¹BᵀP (A·x + C·a) + σ∘ε,               σ_i² = β / (2 S_ii)
 *
 * which is the best policy with independent noise, and with one action the best of all. It is that
 * for every start. V is therefore the mean over (x, a) ~ N(0, 1), where θ* is the only optimum: from
 * one start, the follower would see a only near K·x, and not tell its dependences on x and a apart.
 *
 * The leader's value is that of `horizon` steps from one state: U = Σ_t γ_Lᵗ E[exp(−½ Σ_i ((x_i −
 * target_i)/width_i)²)], exact because x_t is normally distributed for a linear policy.
 *
 * This header has the problem and its solution; the environment is in lqr.c. */
#ifndef RG_ENVS_LQR_LQR_H
#define RG_ENVS_LQR_LQR_H

#include "core/policy/policy.h"
#include "core/task/bilevel.h"
#include "envs/environment.h"

enum { RG_LQR_STATES = 4, RG_LQR_ACTIONS = 2 }; /* at most, of each player */

/* Matrices are stored by rows. */
typedef struct RgLqr {
    int64_t states, leader_actions, actions;
    double a[RG_LQR_STATES * RG_LQR_STATES];  /* [states, states] */
    double b[RG_LQR_STATES * RG_LQR_ACTIONS]; /* [states, actions] */
    double c[RG_LQR_STATES * RG_LQR_ACTIONS]; /* [states, leader_actions] */
    double q[RG_LQR_STATES * RG_LQR_STATES];  /* [states, states], positive semidefinite */
    double r[RG_LQR_ACTIONS];                 /* [actions] the diagonal of R, positive */
    double discount, leader_discount;         /* γ below 1, γ_L */
    double leader_deviation;                  /* w */
    double start[RG_LQR_STATES], target[RG_LQR_STATES], width[RG_LQR_STATES]; /* of the leader */
    int64_t horizon;
} RgLqr;

/* The problem of BC-HG: two states, one action of each player. */
RgLqr rg_lqr_bc_hg(void);

/* The functions of an RgBilevelTask whose environment is an RgLqr. */
RgBilevelTask rg_lqr_task(const RgLqr *lqr);

/* P [states, states] of the Riccati equation for K = leader [leader_actions, states], by iterating
 * it. False: it does not converge. */
bool rg_lqr_riccati(const RgLqr *lqr, const double *leader, double *p);
/* The follower's optimum: weight [actions, states + leader_actions] of (x, a), and deviation
 * [actions]. */
bool rg_lqr_solve(const RgLqr *lqr, const double *leader, double beta, double *weight,
                  double *deviation);
/* U for K and the follower's optimum; NAN if there is none. */
double rg_lqr_leader_value(const RgLqr *lqr, const double *leader, double beta);

typedef struct RgLqrOptions {
    double discount, leader_discount, leader_deviation;
    double target, target_width;
    int64_t horizon, conditions, pairs, test_episodes;
    double label_temperature, label_noise;
} RgLqrOptions;

extern const RgEnvironmentType rg_environment_lqr;

#endif
