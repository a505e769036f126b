/* SPDX-License-Identifier: MIT */
/* The win rate of the first of two methods if its responses were as long as the second's: the
 * length-controlled win rate of AlpacaEval 2 (Dubois et al. 2024, arXiv:2404.04475).
 *
 * The paper's model (section 3) is
 *
 *     P(m beats b on x) = σ( θ_m − θ_b  +  φ·tanh(Δ/s)  +  (ψ_m − ψ_b)·γ_x ),
 *
 * with Δ the length of m's response minus that of b's, s its standard deviation over the pair's
 * responses, and σ the logistic function. Logistic regression fits the first two terms for each
 * pair of methods; the result is σ(θ_m − θ_b), the prediction at Δ = 0. As in the paper, an outcome
 * of ½ counts half for either side, and s is taken as known.
 *
 * Two things differ. The third term, the difficulty γ_x of a prompt, is left out: the paper takes
 * it from a table of its own 805 prompts, fitted on its leaderboard's models. A prior replaces the
 * paper's L1 penalty (chosen by cross-validation) and its two baselines with manipulated lengths:
 * `prior` tied games, half of them at tanh = −1 and half at +1. They keep the result finite, and
 * their weight falls with the number of games. The unit of lengths has no effect. */
#ifndef RG_ANALYSIS_STATISTICS_LENGTH_CONTROL_H
#define RG_ANALYSIS_STATISTICS_LENGTH_CONTROL_H

#include "analysis/statistics/statistics.h"

typedef struct RgLengthControl {
    RgEstimate win_rate; /* at equal length, tested against ½; NaN if not identifiable */
    double advantage;    /* θ_m − θ_b, nats */
    double slope;        /* φ, nats: the advantage of a much longer response */
    double games;        /* number of games */
} RgLengthControl;

/* outcomes     [seeds, items]: 1, ½ or 0; NaN: no game
 * differences  [seeds, items]: length of the first's response minus that of the second's; a game
 *              without a difference is ignored
 * cells        out, [seeds, items], may be NULL: as in RgGames (ratings.h)
 *
 * The interval is that of θ_m − θ_b, mapped by σ so that it stays within [0, 1]. It follows by the
 * delta method from each cell's influence on θ_m − θ_b, and is never narrower than that of
 * independent games, the inverse of the curvature. The win rate is NaN without games, and if all
 * differences are equal and not 0: length and method cannot be separated then. */
RgLengthControl rg_control_length(const double *outcomes, const double *differences, int64_t seeds,
                                  int64_t items, double prior, double *cells);

#endif
