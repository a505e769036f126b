/* SPDX-License-Identifier: MIT */
/* Exact metrics of policies over all sentences of a language that go by the rewards: what the
 * sums over responses of envs/bandit/bandit_metrics.h would take O(n²) operations for. Policies are
 * log-probabilities [n], in double. All functions are thread-safe and use all threads. */
#ifndef RG_ENVS_LANGUAGE_LANGUAGE_METRICS_H
#define RG_ENVS_LANGUAGE_LANGUAGE_METRICS_H

#include "core/base.h"

/* The different rewards of n sentences, ascending. rg_levels_create makes them, rg_levels_clear
 * frees. */
typedef struct RgLevels {
    int64_t sentences, levels;
    int32_t *level; /* [sentences], the number of a sentence's reward */
    double *reward; /* [levels] */
} RgLevels;

/* Levels of reward [n]. */
RgLevels rg_levels_create(const double *reward, int64_t n);
void rg_levels_clear(RgLevels *levels);

/* The probability of each reward: mass [levels] out. */
void rg_levels_mass(const RgLevels *levels, const double *logprob, double *mass);

/* P(r(y) > r(y')) + ½ P(r(y) = r(y')), from the masses of y and of y' [levels]. */
double rg_levels_win_rate(const RgLevels *levels, const double *mass, const double *rival);

/* Changes logprob [n] to that of the best of `count` independent sentences; those of equal reward
 * share the probability F(≤)^count − F(<)^count in proportion to their own. */
void rg_levels_best_of(const RgLevels *levels, int64_t count, double *logprob);

/* The largest reward E_π[r] of any π with KL(π ‖ π_ref) ≤ kl, from the reference's masses: that of
 * π ∝ π_ref exp(r/β) with the β that has this KL; the largest reward of the support beyond that. */
double rg_levels_frontier(const RgLevels *levels, const double *reference_mass, double kl);

/* SAIL's objective J = E_{y1,y2~π, z~p*}[ log σ(β·Δ_z) ] of rg_bandit_sail_objective, equal to
 * rounding, by some hundred sums over the sentences instead of n²/2 pairs. logprob, reference [n]. */
double rg_levels_sail_objective(const RgLevels *levels, const double *logprob,
                                const double *reference, double beta, double label_temperature,
                                double label_noise);

/* P(the judge prefers a reward a to a reward b). Temperature 0: the larger one. */
double rg_levels_prefers(double a, double b, double temperature, double noise);

#endif
