/* SPDX-License-Identifier: MIT */
/* Exact quantities of policies in preference games, as sums over all responses, in double.
 *
 * Policies are tables of log-probabilities [contexts, responses]; contexts are equally likely. A
 * game is regularised by a reference π_ref with strength β (Munos et al. 2023, arXiv:2312.00886):
 *
 *     V(π1, π2) = π1ᵀ·P·π2 − β KL(π1 ‖ π_ref) + β KL(π2 ‖ π_ref)
 *
 * The first player maximises V, the second minimises it. As P + Pᵀ = 1, V(π1, π2) + V(π2, π1) = 1:
 * the players have the same best responses, and the only equilibrium is symmetric.
 *
 * Threads: any. */
#ifndef RG_ENVS_GAME_GAME_METRICS_H
#define RG_ENVS_GAME_GAME_METRICS_H

#include "core/base.h"

typedef struct RgPreferenceTable {
    int64_t contexts, responses;
    /* [contexts, responses, responses] P(the first is preferred to the second). The entry of the
     * reverse is 1 minus it, and the diagonal ½. */
    const double *preference;
} RgPreferenceTable;

/* The functions that return a number return its mean over contexts and fill per_context [contexts]
 * unless it is NULL. */

/* P(π ≻ rival) = πᵀ·P·rival */
double rg_game_win_rate(const RgPreferenceTable *table, const double *logprob, const double *rival,
                        double *per_context);
/* min_b P(π ≻ b), against the single response that beats the policy most often */
double rg_game_worst_win_rate(const RgPreferenceTable *table, const double *logprob,
                              double *per_context);

/* The reply that maximises V(·, rival), π_ref·exp(P·rival/β) normalised: reply [contexts,
 * responses] out. */
void rg_game_best_response(const RgPreferenceTable *table, const double *rival,
                           const double *reference, double beta, double *reply);

/* max_π1 V(π1, π) − min_π2 V(π, π2), 0 at the equilibrium alone. It is 2β KL(π ‖ best response to
 * π), which is computed without cancellation. */
double rg_game_duality_gap(const RgPreferenceTable *table, const double *logprob,
                           const double *reference, double beta, double *per_context);

/* KL(ρ ‖ π), nats, without cancellation where they are close. */
double rg_game_divergence(const RgPreferenceTable *table, const double *rho, const double *logprob,
                          double *per_context);

/* The regularised Nash equilibrium: logprob [contexts, responses] out. Its duality gap is at most
 * 1e-12 in every context. RG_E_RANGE if a thousand steps do not suffice, which takes a β below
 * 1e-4. */
RgStatus rg_game_equilibrium(const RgPreferenceTable *table, const double *reference, double beta,
                             double *logprob, RgError *error);

#endif
