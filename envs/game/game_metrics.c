/* SPDX-License-Identifier: MIT */
/* Sums over all responses of a preference game. The equilibrium is in game_equilibrium.c. */
#include "envs/game/game_metrics.h"

#include <math.h>
#include <stdlib.h>

static double mean_into(double value, int64_t context, const RgPreferenceTable *t,
                        double *per_context) {
    if (per_context)
        per_context[context] = value;
    return value / (double)t->contexts;
}

/* Σ_b P[a, b]·exp(rival[b]) in context c: how often response a beats the rival. */
static double beats(const RgPreferenceTable *t, int64_t c, int64_t a, const double *rival) {
    const double *row = t->preference + (c * t->responses + a) * t->responses;
    double sum = 0;
    for (int64_t b = 0; b < t->responses; b++)
        sum += row[b] * exp(rival[c * t->responses + b]);
    return sum;
}

double rg_game_win_rate(const RgPreferenceTable *t, const double *logprob, const double *rival,
                        double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        double wins = 0;
        for (int64_t a = 0; a < t->responses; a++)
            wins += exp(logprob[c * t->responses + a]) * beats(t, c, a, rival);
        mean += mean_into(wins, c, t, per_context);
    }
    return mean;
}

double rg_game_worst_win_rate(const RgPreferenceTable *t, const double *logprob,
                              double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        double most = 0; /* wins of a response against the policy */
        for (int64_t b = 0; b < t->responses; b++)
            most = fmax(most, beats(t, c, b, logprob));
        mean += mean_into(1 - most, c, t, per_context);
    }
    return mean;
}

void rg_game_best_response(const RgPreferenceTable *t, const double *rival, const double *reference,
                           double beta, double *reply) {
    int64_t n = t->responses;
    for (int64_t c = 0; c < t->contexts; c++) {
        double most = -INFINITY, sum = 0;
        for (int64_t a = 0; a < n; a++) {
            reply[c * n + a] = reference[c * n + a] + beats(t, c, a, rival) / beta;
            most = fmax(most, reply[c * n + a]);
        }
        for (int64_t a = 0; a < n; a++)
            sum += exp(reply[c * n + a] - most);
        for (int64_t a = 0; a < n; a++)
            reply[c * n + a] -= most + log(sum);
    }
}

/* p·log(p/q) − p + q ≥ 0, of log p and log q: these terms sum to the divergence, and do not cancel
 * where p is near q. */
static double divergence_term(double log_p, double log_q) {
    double p = exp(log_p), x = log_p - log_q;
    if (!(p > 0))
        return exp(log_q);
    return fabs(x) < 1 ? p * (x + expm1(-x)) : p * x - p + exp(log_q);
}

double rg_game_divergence(const RgPreferenceTable *t, const double *rho, const double *logprob,
                          double *per_context) {
    double mean = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        double sum = 0;
        for (int64_t i = c * t->responses; i < (c + 1) * t->responses; i++)
            sum += divergence_term(rho[i], logprob[i]);
        mean += mean_into(sum, c, t, per_context);
    }
    return mean;
}

/* With the best response ρ ∝ π_ref exp(P·π/β) and its normaliser Z, πᵀPπ = ½ gives
 * KL(π ‖ ρ) = KL(π ‖ π_ref) − 1/(2β) + log Z, and V(ρ, π) = β log Z + β KL(π ‖ π_ref). The gap is
 * V(ρ, π) − V(π, ρ) = 2 V(ρ, π) − 1. */
double rg_game_duality_gap(const RgPreferenceTable *t, const double *logprob,
                           const double *reference, double beta, double *per_context) {
    double *reply = rg_allocate(t->contexts * t->responses, sizeof *reply);
    rg_game_best_response(t, logprob, reference, beta, reply);
    double mean = 2 * beta * rg_game_divergence(t, logprob, reply, per_context);
    for (int64_t c = 0; per_context && c < t->contexts; c++)
        per_context[c] *= 2 * beta;
    free(reply);
    return mean;
}
