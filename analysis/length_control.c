/* Logistic regression of wins on the difference in length. Lengths are counts, so that few
 * different differences occur: games are counted by difference, and the fit runs over those. */
#include "analysis/length_control.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct RgLengthGames {
    int64_t seeds, items;
    double *outcomes; /* [seeds, items] */
    int64_t *level;   /* [seeds, items]: which difference; −1: no game */
    double *x;        /* [levels]: tanh(difference / deviation) */
    int64_t levels;
    double prior;
    bool told_apart;       /* not all differences are one number other than 0 */
    RgLengthControl start; /* where a fit begins: at that of all games, resamples being near it */
    double *won, *played;  /* [levels], scratch of a fit */
};

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The differences that occur, ascending, each once, in games->x; returns their deviation. */
static double collect_levels(RgLengthGames *games, const double *differences, int64_t cells) {
    int64_t count = 0;
    for (int64_t i = 0; i < cells; i++)
        if (!isnan(differences[i]) && !isnan(games->outcomes[i]))
            games->x[count++] = differences[i];
    double deviation = rg_summarize(games->x, count).deviation;
    qsort(games->x, (size_t)count, sizeof *games->x, compare_doubles);
    for (int64_t i = 0; i < count; i++)
        if (games->levels == 0 || games->x[games->levels - 1] != games->x[i])
            games->x[games->levels++] = games->x[i];
    return deviation;
}

static void set_start(RgLengthGames *games) {
    int64_t draws = games->seeds + games->items;
    double *ones = rg_allocate((size_t)(draws + 1) * sizeof *ones);
    for (int64_t i = 0; i < draws; i++)
        ones[i] = 1;
    RgLengthControl all = rg_length_games_fit(games, ones, ones + games->seeds, NULL);
    if (!isnan(all.win_rate))
        games->start = all;
    free(ones);
}

RgLengthGames *rg_length_games_create(const double *outcomes, const double *differences,
                                      int64_t seeds, int64_t items, double prior) {
    RgLengthGames *games = rg_allocate(sizeof *games);
    size_t cells = (size_t)(seeds * items);
    *games = (RgLengthGames){.seeds = seeds, .items = items, .prior = prior};
    games->outcomes = rg_allocate((cells + 1) * sizeof *games->outcomes);
    games->level = rg_allocate((cells + 1) * sizeof *games->level);
    games->x = rg_allocate((cells + 1) * sizeof *games->x);
    if (cells > 0)
        memcpy(games->outcomes, outcomes, cells * sizeof *outcomes);
    double deviation = collect_levels(games, differences, (int64_t)cells);
    for (size_t i = 0; i < cells; i++) {
        const double *place = NULL;
        if (!isnan(outcomes[i]) && !isnan(differences[i]))
            place = bsearch(&differences[i], games->x, (size_t)games->levels, sizeof *games->x,
                            compare_doubles);
        games->level[i] = place ? place - games->x : -1;
    }
    games->told_apart = games->levels > 1 || (games->levels == 1 && games->x[0] == 0);
    for (int64_t i = 0; i < games->levels; i++)
        games->x[i] = games->levels > 1 ? tanh(games->x[i] / deviation) : 0;
    games->won = rg_allocate((size_t)(games->levels + 1) * sizeof *games->won);
    games->played = rg_allocate((size_t)(games->levels + 1) * sizeof *games->played);
    set_start(games);
    return games;
}

void rg_length_games_destroy(RgLengthGames *games) {
    if (!games)
        return;
    free(games->outcomes);
    free(games->level);
    free(games->x);
    free(games->won);
    free(games->played);
    free(games);
}

static double count_games(const RgLengthGames *games, const double *seed_weight,
                          const double *item_weight) {
    double total = 0;
    for (int64_t i = 0; i < games->levels; i++)
        games->won[i] = games->played[i] = 0;
    for (int64_t s = 0; s < games->seeds; s++)
        for (int64_t i = 0; i < games->items && seed_weight[s] > 0; i++) {
            int64_t cell = s * games->items + i, level = games->level[cell];
            if (level < 0)
                continue;
            double weight = seed_weight[s] * item_weight[i];
            games->won[level] += weight * games->outcomes[cell];
            games->played[level] += weight;
            total += weight;
        }
    return total;
}

/* Gradient and negative curvature of the log-likelihood in the advantage (0) and the slope (1). */
typedef struct Derivatives {
    double gradient[2], curvature[3]; /* 00, 01, 11 */
} Derivatives;

static void add_games(Derivatives *d, const RgLengthControl *at, double x, double won,
                      double played) {
    double chance = 1 / (1 + exp(-at->advantage - at->slope * x));
    double surplus = won - played * chance, weight = played * chance * (1 - chance);
    d->gradient[0] += surplus;
    d->gradient[1] += surplus * x;
    d->curvature[0] += weight;
    d->curvature[1] += weight * x;
    d->curvature[2] += weight * x * x;
}

RgLengthControl rg_length_games_fit(const RgLengthGames *games, const double *seed_weight,
                                    const double *item_weight, double *total) {
    RgLengthControl fit = games->start;
    double weight = count_games(games, seed_weight, item_weight), largest = INFINITY;
    if (total)
        *total = weight;
    if (weight <= 0 || !games->told_apart)
        return (RgLengthControl){NAN, NAN, NAN};
    for (int turn = 0; turn < 500 && largest > 1e-11; turn++) {
        Derivatives d = {0};
        for (int64_t i = 0; i < games->levels; i++)
            if (games->played[i] > 0)
                add_games(&d, &fit, games->x[i], games->won[i], games->played[i]);
        add_games(&d, &fit, -1, games->prior / 4, games->prior / 2);
        add_games(&d, &fit, 1, games->prior / 4, games->prior / 2);
        double determinant = d.curvature[0] * d.curvature[2] - d.curvature[1] * d.curvature[1];
        double advantage =
            (d.curvature[2] * d.gradient[0] - d.curvature[1] * d.gradient[1]) / determinant;
        double slope =
            (d.curvature[0] * d.gradient[1] - d.curvature[1] * d.gradient[0]) / determinant;
        largest = fmax(fabs(advantage), fabs(slope));
        double length = largest > 1 ? 1 / largest : 1; /* one nat at a time */
        fit.advantage += length * advantage;
        fit.slope += length * slope;
    }
    fit.win_rate = 1 / (1 + exp(-fit.advantage));
    return fit;
}

RgLengthControl rg_length_games_bootstrap(const RgLengthGames *games,
                                          const RgBootstrapOptions *options,
                                          RgBootstrap *bootstrap) {
    int64_t draws = games->seeds + games->items;
    double *weights = rg_allocate((size_t)(draws + 1) * sizeof *weights), total;
    double *rates = rg_allocate((size_t)(options->resamples + 1) * sizeof *rates);
    for (int64_t i = 0; i < draws; i++)
        weights[i] = 1;
    RgLengthControl fit = rg_length_games_fit(games, weights, weights + games->seeds, &total);
    *bootstrap = (RgBootstrap){.estimate = fit.win_rate,
                               .standard_error = NAN,
                               .interval = {NAN, NAN},
                               .p_value = NAN,
                               .cells = (int64_t)total};
    for (int64_t r = 0; r < options->resamples; r++) {
        rg_bootstrap_draw(rg_random_at(options->random, (uint64_t)r), games->seeds, games->items,
                          weights, weights + games->seeds);
        rates[r] = rg_length_games_fit(games, weights, weights + games->seeds, NULL).win_rate;
    }
    if (total > 1)
        rg_bootstrap_summarize(rates, options->resamples, options, bootstrap);
    free(rates);
    free(weights);
    return fit;
}
