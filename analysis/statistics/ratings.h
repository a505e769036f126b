/* SPDX-License-Identifier: MIT */
/* Bradley–Terry ratings from wins between pairs (Zermelo 1929; Bradley & Terry 1952): strengths θ
 * with P(i beats j) = 1/(1 + exp(θ_j − θ_i)), by maximum likelihood. Who meets whom, and on what,
 * is not known here. */
#ifndef RG_ANALYSIS_STATISTICS_RATINGS_H
#define RG_ANALYSIS_STATISTICS_RATINGS_H

#include "analysis/statistics/statistics.h"

/* wins      [count, count]: wins of row over column, a tie half a win to each; the diagonal is not
 *           looked at
 * prior     games that every two are taken to have played besides, half won by either; 0: none
 * ratings   out, [count], nats, mean 0
 *
 * Without a prior the likelihood has a maximum only where there is no way to part the methods in
 * two so that no one of the first part ever beat one of the second (Ford 1957): else some are
 * infinitely stronger, or never met. Then it returns false, and all ratings are NaN. With a prior
 * above 0 every tournament has ratings: they are finite for one that always wins, and 0 games put
 * nobody ahead; n games of a pair are shrunk by prior/n of the way. */
bool rg_bradley_terry(const double *wins, int count, double prior, double *ratings);

/* On Elo's scale: 400 points are a factor of 10 in the odds. The mean, 0 nats, is at 1000. */
double rg_elo(double nats);
RgEstimate rg_elo_estimate(RgEstimate nats);

/* The games of two methods i < j: the share that i won, a tie counting half, of how many, and what
 * tells how sure that share is: cells [seeds, items], the derivative of games · share in each
 * cell's weight (of plain games outcome − share); NaN: no game. Cells NULL: they did not meet. */
typedef struct RgGames {
    double share, games;
    double *cells;
} RgGames;

/* Ratings with their intervals. pairs: [count, count], row against column, of which those above the
 * diagonal are looked at; ratings: out, [count].
 *
 * By the delta method: the ratings follow the shares, dθ = H⁻¹·Σ d(wins), H the curvature of the
 * log-likelihood, and each share follows its cells. So every cell of seed and prompt has a part in
 * each rating, and the spread of these parts is that of a mean (rg_spread). It is never taken to be
 * less than H⁻¹, that of independent games: a method that wins all of them shows no spread. */
void rg_estimate_ratings(const RgGames *pairs, int count, int64_t seeds, int64_t items,
                         double prior, RgEstimate *ratings);

#endif
