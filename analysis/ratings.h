/* Bradley–Terry ratings from wins between pairs (Zermelo 1929; Bradley & Terry 1952): strengths θ
 * with P(i beats j) = 1/(1 + exp(θ_j − θ_i)), by maximum likelihood. Who meets whom, and on what,
 * is not known here. */
#ifndef RG_ANALYSIS_RATINGS_H
#define RG_ANALYSIS_RATINGS_H

#include "analysis/statistics.h"

/* A figure with its 95 % interval (NaN: none). */
typedef struct RgEstimate {
    double value;
    RgInterval interval;
} RgEstimate;

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

/* Fills wins [count, count], as above, where seeds and items count by their weights. */
typedef void RgWinsFunction(const void *context, const double *seed_weight,
                            const double *item_weight, double *wins);

/* Ratings with intervals by the two-level bootstrap (statistics.h): in each resample all methods
 * answer the same drawn seeds and items, and all are rated anew. ratings: out, [count]. */
void rg_ratings_bootstrap(RgWinsFunction *wins_of, const void *context, int count, int64_t seeds,
                          int64_t items, double prior, const RgBootstrapOptions *options,
                          RgEstimate *ratings);

#endif
