/* SPDX-License-Identifier: MIT */
/* Logistic regression of wins on the difference in length, and the uncertainty of its
 * prediction. */
#include "analysis/statistics/length_control.h"

#include <math.h>
#include <stdlib.h>

/* The games of a pair. */
typedef struct Games {
    int64_t seeds, items;
    const double *outcomes; /* [seeds, items] */
    double *x;              /* [seeds, items]: tanh(difference / deviation); NaN: no game */
    double played, prior;
    bool identifiable; /* identifiable: the differences are not all equal to one nonzero number */
} Games;

static Games make_games(const double *outcomes, const double *differences, int64_t seeds,
                        int64_t items, double prior) {
    int64_t cells = seeds * items;
    Games games = {.seeds = seeds, .items = items, .outcomes = outcomes, .prior = prior};
    games.x = rg_allocate(cells, sizeof *games.x);
    for (int64_t i = 0; i < cells; i++)
        games.x[i] = isnan(outcomes[i]) ? NAN : differences[i];
    RgSummary all = rg_summarize(games.x, cells);
    games.played = (double)all.count;
    games.identifiable = all.deviation > 0 || all.mean == 0;
    for (int64_t i = 0; i < cells; i++)
        if (!isnan(games.x[i]))
            games.x[i] = all.deviation > 0 ? tanh(games.x[i] / all.deviation) : 0;
    return games;
}

/* Gradient and negative curvature of the log-likelihood by the advantage (0) and the slope (1). */
typedef struct Derivatives {
    double gradient[2], curvature[3]; /* 00, 01, 11 */
} Derivatives;

static double chance_of(const RgLengthControl *at, double x) {
    return 1 / (1 + exp(-at->advantage - at->slope * x));
}

static void add_games(Derivatives *d, const RgLengthControl *at, double x, double won,
                      double played) {
    double chance = chance_of(at, x);
    double surplus = won - played * chance, weight = played * chance * (1 - chance);
    d->gradient[0] += surplus;
    d->gradient[1] += surplus * x;
    d->curvature[0] += weight;
    d->curvature[1] += weight * x;
    d->curvature[2] += weight * x * x;
}

static Derivatives sum_games(const Games *games, const RgLengthControl *at) {
    Derivatives d = {0};
    for (int64_t i = 0; i < games->seeds * games->items; i++)
        if (!isnan(games->x[i]))
            add_games(&d, at, games->x[i], games->outcomes[i], 1);
    add_games(&d, at, -1, games->prior / 4, games->prior / 2);
    add_games(&d, at, 1, games->prior / 4, games->prior / 2);
    return d;
}

/* The inverse of the curvature: 00, 01, 11. */
static void invert(const double *curvature, double *inverse) {
    double determinant = curvature[0] * curvature[2] - curvature[1] * curvature[1];
    inverse[0] = curvature[2] / determinant;
    inverse[1] = -curvature[1] / determinant;
    inverse[2] = curvature[0] / determinant;
}

/* Newton's method; `inverse` out: of the curvature at the maximum. */
static RgLengthControl fit_games(const Games *games, double *inverse) {
    RgLengthControl fit = {.games = games->played};
    double largest = INFINITY;
    for (int turn = 0; turn < 500 && largest > 1e-11; turn++) {
        Derivatives d = sum_games(games, &fit);
        invert(d.curvature, inverse);
        double advantage = inverse[0] * d.gradient[0] + inverse[1] * d.gradient[1];
        double slope = inverse[1] * d.gradient[0] + inverse[2] * d.gradient[1];
        largest = fmax(fabs(advantage), fabs(slope));
        double length = largest > 1 ? 1 / largest : 1; /* at most one nat per step */
        fit.advantage += length * advantage;
        fit.slope += length * slope;
    }
    return fit;
}

/* The influence of each cell on the advantage, scaled so that their mean is its error. The games
 * count with share σ(advantage), so `cells` are games · σ′ times that. */
static RgSpread spread_of(const Games *games, const RgLengthControl *fit, const double *inverse,
                          double *cells) {
    int64_t count = games->seeds * games->items;
    double chance = chance_of(fit, 0);
    double *parts = rg_allocate(count, sizeof *parts);
    for (int64_t i = 0; i < count; i++) {
        double x = games->x[i], surplus = games->outcomes[i] - chance_of(fit, x);
        parts[i] = games->played * surplus * (inverse[0] + inverse[1] * x);
        if (cells)
            cells[i] = parts[i] * chance * (1 - chance);
    }
    RgSpread spread = rg_spread(parts, games->seeds, games->items, false);
    free(parts);
    return spread;
}

/* From nats to rates; the interval is mapped, too. */
static RgEstimate rate_of(RgEstimate advantage) {
    RgEstimate rate = advantage;
    rate.value = 1 / (1 + exp(-advantage.value));
    rate.interval.low = 1 / (1 + exp(-advantage.interval.low));
    rate.interval.high = 1 / (1 + exp(-advantage.interval.high));
    rate.standard_error *= rate.value * (1 - rate.value);
    return rate;
}

RgLengthControl rg_control_length(const double *outcomes, const double *differences, int64_t seeds,
                                  int64_t items, double prior, double *cells) {
    Games games = make_games(outcomes, differences, seeds, items, prior);
    RgLengthControl fit = {.win_rate = {NAN, NAN, {NAN, NAN}, NAN, (int64_t)games.played},
                           .advantage = NAN,
                           .slope = NAN,
                           .games = games.played};
    for (int64_t i = 0; cells && i < seeds * items; i++)
        cells[i] = NAN;
    if (games.played > 0 && games.identifiable) {
        double inverse[3] = {0};
        fit = fit_games(&games, inverse);
        RgSpread spread = spread_of(&games, &fit, inverse, cells);
        RgSpread least = {.of_items = inverse[0],
                          .item_freedom = (int64_t)fmax(1, games.played - 2)};
        fit.win_rate = rate_of(rg_estimate_of_spread(fit.advantage, &spread, &least, 0));
        fit.win_rate.cells = (int64_t)games.played;
    }
    free(games.x);
    return fit;
}
