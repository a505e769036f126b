/* SPDX-License-Identifier: MIT */
/* Exact metrics of policies over enumerated responses, as sums over all responses, in double.
 * Policies are tables of log-probabilities [contexts, responses]; contexts are equally likely.
 * Differentiable quantities are in envs/bandit/bandit_exact.h. All functions are thread-safe. */
#ifndef RG_ENVS_BANDIT_BANDIT_METRICS_H
#define RG_ENVS_BANDIT_BANDIT_METRICS_H

#include "core/base.h"

typedef struct RgRewardTable {
    int64_t contexts, responses;
    const double *reward; /* [contexts, responses] */
} RgRewardTable;

/* Each function returns the mean over contexts and fills per_context [contexts] unless it is
 * NULL. */

/* E_{y~π}[r(y)] */
double rg_bandit_expected_reward(const RgRewardTable *table, const double *logprob,
                                 double *per_context);
/* max_y r(y) */
double rg_bandit_best_reward(const RgRewardTable *table, double *per_context);
/* KL(π ‖ ρ), nats */
double rg_bandit_kl(const RgRewardTable *table, const double *logprob, const double *reference,
                    double *per_context);
/* −Σ π log π, nats */
double rg_bandit_entropy(const RgRewardTable *table, const double *logprob, double *per_context);
/* P(r(y) > r(y')) + ½ P(r(y) = r(y')), y ~ π and y' ~ rival, independent */
double rg_bandit_win_rate(const RgRewardTable *table, const double *logprob, const double *rival,
                          double *per_context);
/* J_β(π) = E_π[r] − β KL(π ‖ π_ref) */
double rg_bandit_value(const RgRewardTable *table, const double *logprob, const double *reference,
                       double beta, double *per_context);

/* Mean over pairs of responses of |v_i − v_j|, v = r/T − β·(log π − log π_ref): 0 where the policy's
 * implicit reward is that of Bradley-Terry labels at temperature T. */
double rg_bandit_parameter_difference(const RgRewardTable *table, const double *logprob,
                                      const double *reference, double beta, double temperature);

/* The policy that maximises J_β, π*(y) ∝ π_ref(y) exp(r(y)/β): logprob [contexts, responses] out
 * (or NULL). Returns its value J*_β = E_c[ β log Σ_y π_ref(y) exp(r(y)/β) ]. */
double rg_bandit_optimal(const RgRewardTable *table, const double *reference, double beta,
                         double *logprob);

/* J = E_{y1,y2~π, z~p*}[ log σ(β·Δ_z) ], SAIL's objective under the judge's labels
 * P(y1 preferred) = (1−ε) σ((r1−r2)/T) + ε σ((r2−r1)/T); T = 0: the larger reward. */
double rg_bandit_sail_objective(const RgRewardTable *table, const double *logprob,
                                const double *reference, double beta, double label_temperature,
                                double label_noise);

#endif
