/* SPDX-License-Identifier: MIT */
/* Bradley–Terry ratings from wins between pairs (Zermelo 1929; Bradley & Terry 1952): strengths θ
 * with P(i beats j) = 1/(1 + exp(θ_j − θ_i)), by maximum likelihood. Nothing here depends on what
 * the games are. */
#ifndef RG_ANALYSIS_STATISTICS_RATINGS_H
#define RG_ANALYSIS_STATISTICS_RATINGS_H

#include "analysis/statistics/statistics.h"

/* wins      [count, count]: wins of row over column, a tie is half a win for each; the diagonal is
 *           ignored
 * prior     games added to every pair, half won by either; 0: none
 * ratings   out, [count], nats, mean 0
 *
 * Without a prior the likelihood has a maximum unless the methods can be split in two parts such
 * that none of the first part ever beat one of the second (Ford 1957). Otherwise some methods are
 * infinitely stronger, or were never compared: the function returns false, and all ratings are NaN.
 * With a prior above 0 ratings always exist: they are finite for a method that always wins, and
 * equal without games; the share of a pair with n games is shrunk towards ½ by prior/(n +
 * prior). */
bool rg_bradley_terry(const double *wins, int count, double prior, double *ratings);

/* On Elo's scale: 400 points are a factor of 10 in the odds. The mean, 0 nats, is at 1000. */
double rg_elo(double nats);
RgEstimate rg_elo_estimate(RgEstimate nats);

/* The games of two methods i < j: the share won by i, a tie as half a win; the number of games; and
 * the data for the share's uncertainty: cells [seeds, items], the derivative of games · share by
 * each cell's weight (for plain games outcome − share); NaN: no game. Cells NULL: not compared. */
typedef struct RgGames {
    double share, games;
    double *cells;
} RgGames;

/* Ratings with their intervals. pairs: [count, count], row against column, used above the diagonal;
 * ratings: out, [count].
 *
 * By the delta method: ratings depend on shares, dθ = H⁻¹·Σ d(wins), with H the curvature of the
 * log-likelihood, and shares depend on cells. So every cell of seed and prompt has an influence on
 * each rating, and the spread of these influences is that of a mean (rg_spread). It is bounded
 * below by H⁻¹, that of independent games, because a method that wins all games shows no spread. */
void rg_estimate_ratings(const RgGames *pairs, int count, int64_t seeds, int64_t items,
                         double prior, RgEstimate *ratings);

#endif
