/* SPDX-License-Identifier: MIT */
/* How often would the first of two methods win if its responses were as long as the second's? The
 * length-controlled win rate of AlpacaEval 2 (Dubois et al. 2024, arXiv:2404.04475).
 *
 * Of the paper's model (section 3),
 *
 *     P(m beats b on x) = σ( θ_m − θ_b  +  φ·tanh(Δ/s)  +  (ψ_m − ψ_b)·γ_x ),
 *
 * with Δ the length of m's response less that of b's, s its standard deviation over the pair's
 * responses, and σ the logistic function, the first two terms are fitted, by logistic regression
 * for each pair of methods, and the answer is σ(θ_m − θ_b): the prediction at Δ = 0. Like there, an
 * outcome of ½ counts half to either side, and s is taken as known.
 *
 * What differs: the third term, the difficulty γ_x of a prompt, is left out, since the paper takes
 * it from a table of its own 805 prompts that was fitted on its leaderboard's models. For the
 * paper's L1 penalty, chosen by cross-validation, and its two baselines with gamed lengths stand
 * `prior` games, tied, half of them at tanh = −1 and half at +1: they keep the answer finite and
 * fade with the number of games. Lengths are in whatever unit the store has; a unit changes
 * nothing.
 */
#ifndef RG_ANALYSIS_STATISTICS_LENGTH_CONTROL_H
#define RG_ANALYSIS_STATISTICS_LENGTH_CONTROL_H

#include "analysis/statistics/statistics.h"

typedef struct RgLengthControl {
    RgEstimate win_rate; /* at equal length, against ½; NaN where it cannot be told */
    double advantage;    /* θ_m − θ_b, nats */
    double slope;        /* φ, nats: what a much longer response gains by its length */
    double games;        /* that were played */
} RgLengthControl;

/* outcomes     [seeds, items]: 1, ½ or 0; NaN: no game
 * differences  [seeds, items]: length of the first's response less that of the second's; a game
 *              without one is no game
 * cells        out, [seeds, items], may be NULL: as RgGames has them (ratings.h)
 *
 * The interval is of θ_m − θ_b and put through σ, so that it stays within [0, 1]. It comes by the
 * delta method from the part that each cell has in θ_m − θ_b, and is never narrower than that of
 * independent games, the inverse of the curvature. The win rate is NaN without games, and where all
 * differences are one number other than 0: then length and method cannot be told apart. */
RgLengthControl rg_control_length(const double *outcomes, const double *differences, int64_t seeds,
                                  int64_t items, double prior, double *cells);

#endif
