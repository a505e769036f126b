/* SPDX-License-Identifier: MIT */
/* Ratings and length-controlled win rates: published worked examples, closed forms, and scipy's
 * maximum likelihood (golden by tests/golden/ratings.py). */
#include <criterion/criterion.h>

#include "analysis/statistics/length_control.h"
#include "analysis/statistics/ratings.h"
#include "core/tensor/random.h"

#include <math.h>

static void check_close(double found, double expected, double tolerance, const char *what) {
    cr_assert(fabs(found - expected) <= tolerance, "%s: %.12g, expected %.12g", what, found,
              expected);
}

static void check_ratings(const double *wins, int count, double prior, const double *expected,
                          double tolerance) {
    double ratings[8], sum = 0;
    cr_assert(rg_bradley_terry(wins, count, prior, ratings));
    for (int i = 0; i < count; i++) {
        check_close(ratings[i], expected[i], tolerance, "rating");
        sum += ratings[i];
    }
    check_close(sum, 0, 1e-10, "sum of ratings");
}

/* ---- Bradley–Terry ---- */

/* Four players, 22 games; strengths with geometric mean 1 as the worked example in Wikipedia's
 * article gives them, to three digits. */
Test(ratings, worked_example_of_four_players) {
    const double wins[] = {0, 2, 0, 1, 3, 0, 5, 0, 0, 3, 0, 1, 4, 0, 3, 0};
    const double strengths[] = {0.640, 1.043, 0.660, 2.270};
    double expected[4];
    for (int i = 0; i < 4; i++)
        expected[i] = log(strengths[i]);
    check_ratings(wins, 4, 0, expected, 1.5e-3);
}

/* Citations between four journals of statistics (Stigler 1994), as fitted in the paper on the R
 * package BradleyTerry (Firth 2005): relative to Biometrika −2.94907, −0.47957, 0.26895. */
Test(ratings, journals_are_rated_as_published) {
    const double cited[] = {714, 730, 498,  221, 33,  425, 68,  17,
                            320, 813, 1072, 142, 284, 276, 325, 188};
    const double published[] = {0, -2.94907, -0.47957, 0.26895};
    double expected[4], mean = 0;
    for (int i = 0; i < 4; i++)
        mean += published[i] / 4;
    for (int i = 0; i < 4; i++)
        expected[i] = published[i] - mean;
    check_ratings(cited, 4, 0, expected, 1e-5);
}

Test(ratings, are_scipys_with_ties_and_with_a_prior) {
    const double wins[] = {0, 7.5, 3, 11, 4.5, 0, 6, 9.5, 9, 6, 0, 8, 1, 2.5, 4, 0};
    check_ratings(wins, 4, 0, (double[]){0.334003330, 0.197790981, 0.472200376, -1.003994687},
                  1e-7);
    check_ratings(wins, 4, 2, (double[]){0.274761533, 0.160800512, 0.390039041, -0.825601086},
                  1e-7);
}

/* Two alone: the rating's difference is the logarithm of the odds, with half the prior on each
 * side.
 */
Test(ratings, two_methods_have_the_logarithm_of_their_odds) {
    const double wins[] = {0, 30, 10, 0};
    check_ratings(wins, 2, 0, (double[]){log(3) / 2, -log(3) / 2}, 1e-12);
    check_ratings(wins, 2, 4, (double[]){log(32.0 / 12) / 2, -log(32.0 / 12) / 2}, 1e-12);
}

Test(ratings, who_always_wins_has_no_rating_without_a_prior_and_a_finite_one_with_it) {
    const double wins[] = {0, 20, 20, 0, 0, 12, 0, 8, 0};
    double ratings[3];
    cr_assert_not(rg_bradley_terry(wins, 3, 0, ratings));
    cr_assert(isnan(ratings[0]) && isnan(ratings[2]));
    check_ratings(wins, 3, 1, (double[]){2.486417727, -1.059149191, -1.427268536}, 1e-7);
}

Test(ratings, leagues_that_never_met_cannot_be_rated_without_a_prior) {
    const double wins[] = {0, 3, 0, 0, 5, 0, 0, 0, 0, 0, 0, 2, 0, 0, 4, 0};
    double ratings[4];
    cr_assert_not(rg_bradley_terry(wins, 4, 0, ratings));
    check_ratings(wins, 4, 0.5, (double[]){-0.22610416, 0.22610416, -0.2937026, 0.2937026}, 1e-7);
}

/* Everybody beat somebody stronger by way of others: a ring is enough. */
Test(ratings, a_ring_of_wins_rates_all_alike) {
    const double wins[] = {0, 5, 0, 0, 0, 5, 5, 0, 0};
    check_ratings(wins, 3, 0, (double[]){0, 0, 0}, 1e-12);
}

/* A method that wins 10⁶ games of 10⁶ against each of two: Newton's steps must not overshoot. */
Test(ratings, extreme_odds_converge) {
    const double wins[] = {0, 1e6, 1e6, 0, 0, 5e5, 0, 5e5, 0};
    double gap = log((1e6 + 0.5) / 0.5);
    check_ratings(wins, 3, 1, (double[]){gap * 2 / 3, -gap / 3, -gap / 3}, 1e-8);
}

Test(ratings, elo_counts_400_points_for_a_factor_of_ten) {
    check_close(rg_elo(0), 1000, 0, "the mean");
    check_close(rg_elo(log(10)), 1400, 1e-12, "ten times");
    check_close(rg_elo(-log(10)), 600, 1e-12, "a tenth");
}

/* ---- intervals of ratings ---- */

/* Games of one pair by seed and prompt, as the tournament makes them of outcomes. */
static RgGames games_of(double *outcomes, int64_t cells) {
    RgSummary all = rg_summarize(outcomes, cells);
    for (int64_t i = 0; i < cells; i++)
        outcomes[i] -= all.mean;
    return (RgGames){all.mean, (double)all.count, outcomes};
}

/* With two methods, θ is half the logarithm of the odds, whose derivative in the rate p is
 * 1/(2p(1 − p)): the margin is the rate's times that. */
Test(ratings, interval_of_two_methods_is_that_of_their_win_rate) {
    enum { SEEDS = 3, ITEMS = 40 };
    double outcomes[SEEDS * ITEMS];
    for (int i = 0; i < SEEDS * ITEMS; i++)
        outcomes[i] = rg_random_uniform(rg_random_root(21), (uint64_t)i) <
                      (i < ITEMS ? 0.9 : 0.6); /* the first seed wins more */
    RgEstimate rate = rg_estimate_mean(outcomes, SEEDS, ITEMS, false, 0.5), ratings[2];
    RgGames pairs[4] = {{0}, games_of(outcomes, SEEDS * ITEMS)};
    rg_estimate_ratings(pairs, 2, SEEDS, ITEMS, 0, ratings);
    double p = rate.value, slope = 1 / (2 * p * (1 - p));
    double margin = slope * (rate.interval.high - p);
    check_close(ratings[0].value, 0.5 * log(p / (1 - p)), 1e-10, "rating");
    check_close(ratings[0].interval.high, ratings[0].value + margin, 1e-9, "high");
    check_close(ratings[0].standard_error, slope * rate.standard_error, 1e-9, "error");
    check_close(ratings[1].interval.low, ratings[1].value - margin, 1e-9, "the other's low");
}

/* Ratings of three from games of all pairs: the error that the delta method gives is that of the
 * jackknife over seeds, up to terms of its second order, where prompts add nothing. */
Test(ratings, error_is_that_of_leaving_out_each_seed) {
    enum { SEEDS = 12, ITEMS = 200, N = 3 };
    static double outcomes[N][SEEDS * ITEMS], cells[N][SEEDS * ITEMS];
    static const int first[N] = {0, 0, 1}, second[N] = {1, 2, 2};
    double left[SEEDS], sum = 0, squares = 0;
    for (uint64_t pair = 0; pair < N; pair++)
        for (uint64_t i = 0; i < SEEDS * ITEMS; i++) {
            double chance = 0.6 + 0.1 * (double)(i / ITEMS % 3) - 0.1 * (double)pair;
            RgRandom random = rg_random_at(rg_random_root(23), pair);
            outcomes[pair][i] = cells[pair][i] = rg_random_uniform(random, i) < chance;
        }
    RgGames pairs[N * N] = {{0}};
    for (int pair = 0; pair < N; pair++)
        pairs[first[pair] * N + second[pair]] = games_of(cells[pair], SEEDS * ITEMS);
    RgEstimate ratings[N];
    rg_estimate_ratings(pairs, N, SEEDS, ITEMS, 1, ratings);
    for (int s = 0; s < SEEDS; s++) {
        double wins[N * N] = {0}, rated[N];
        for (int pair = 0; pair < N; pair++)
            for (int i = 0; i < SEEDS * ITEMS; i++)
                if (i / ITEMS != s) {
                    wins[first[pair] * N + second[pair]] += outcomes[pair][i];
                    wins[second[pair] * N + first[pair]] += 1 - outcomes[pair][i];
                }
        cr_assert(rg_bradley_terry(wins, N, 1, rated));
        left[s] = rated[0];
        sum += left[s] / SEEDS;
    }
    for (int s = 0; s < SEEDS; s++)
        squares += pow(left[s] - sum, 2);
    double jackknife = sqrt(squares * (SEEDS - 1) / SEEDS);
    check_close(ratings[0].standard_error, jackknife, 0.1 * jackknife, "error");
}

Test(ratings, who_wins_every_game_is_not_rated_for_certain) {
    double outcomes[60];
    for (int i = 0; i < 60; i++)
        outcomes[i] = 1;
    RgGames pairs[4] = {{0}, games_of(outcomes, 60)};
    RgEstimate ratings[2];
    rg_estimate_ratings(pairs, 2, 3, 20, 1, ratings);
    cr_assert(ratings[0].interval.low < ratings[0].value - 0.5, "[%g, %g]", ratings[0].interval.low,
              ratings[0].interval.high);
}

/* ---- win rates at equal length ---- */

static RgLengthControl fit(const double *outcomes, const double *differences, int64_t count,
                           double prior) {
    return rg_control_length(outcomes, differences, 1, count, prior, NULL);
}

static const double outcomes_12[] = {1, 1, 0, 1, 0.5, 0, 1, 1, 0, 1, 1, 0};
static const double differences_12[] = {12, 3, -4, 25, 0, -9, 7, -2, -15, 3, 12, 5};

Test(length_control, fit_is_scipys) {
    RgLengthControl weak = fit(outcomes_12, differences_12, 12, 1);
    RgLengthControl strong = fit(outcomes_12, differences_12, 12, 4);
    check_close(weak.win_rate.value, 0.562866383, 1e-7, "win rate");
    check_close(weak.advantage, 0.252803363, 1e-7, "advantage");
    check_close(weak.slope, 2.389940398, 1e-7, "slope");
    check_close(strong.win_rate.value, 0.567877976, 1e-7, "win rate, strong prior");
    check_close(strong.slope, 1.294201312, 1e-7, "slope, strong prior");
}

Test(length_control, a_method_that_always_wins_has_a_finite_rate) {
    const double won[] = {1, 1, 1, 1, 1, 1}, longer[] = {1, 2, 3, 4, 5, 9};
    RgLengthControl control = fit(won, longer, 6, 1);
    check_close(control.win_rate.value, 0.870494908, 1e-7, "win rate");
    check_close(control.slope, 1.540483276, 1e-7, "slope");
}

/* At equal lengths there is nothing to control for: (wins + prior/2) / (games + prior). */
Test(length_control, equal_lengths_leave_the_win_rate_as_it_is) {
    const double none[12] = {0};
    double won = 0;
    for (int i = 0; i < 12; i++)
        won += outcomes_12[i];
    check_close(fit(outcomes_12, none, 12, 1e-9).win_rate.value, won / 12, 1e-9,
                "no prior to speak of");
    check_close(fit(outcomes_12, none, 12, 4).win_rate.value, (won + 2) / 16, 1e-12, "prior");
}

Test(length_control, a_constant_difference_cannot_be_told_from_the_method) {
    const double constant[] = {3, 3, 3, 3};
    cr_assert(isnan(fit(outcomes_12, constant, 4, 1).win_rate.value));
    const double missing[] = {NAN, NAN, NAN, NAN};
    cr_assert(isnan(fit(outcomes_12, missing, 4, 1).win_rate.value));
}

Test(length_control, turning_the_two_around_turns_the_rate_around_and_units_change_nothing) {
    double lost[12], shorter[12], characters[12];
    for (int i = 0; i < 12; i++) {
        lost[i] = 1 - outcomes_12[i];
        shorter[i] = -differences_12[i];
        characters[i] = 4.5 * differences_12[i];
    }
    double rate = fit(outcomes_12, differences_12, 12, 1).win_rate.value;
    check_close(fit(lost, shorter, 12, 1).win_rate.value, 1 - rate, 1e-12, "turned");
    check_close(fit(outcomes_12, characters, 12, 1).win_rate.value, rate, 1e-12, "another unit");
}

/* A judge that likes length, and two methods of the same worth of which one writes more: the plain
 * rate calls it better, the controlled one does not. 4000 games know a rate to 1 %. */
Test(length_control, a_judge_that_likes_length_is_seen_through) {
    enum { GAMES = 4000 };
    double outcomes[GAMES], differences[GAMES], plain = 0;
    RgRandom random = rg_random_root(31);
    for (uint64_t i = 0; i < GAMES; i++) {
        double gap = rint(20 + 25 * rg_random_normal(rg_random_named(random, "length"), i));
        double chance = 1 / (1 + exp(-1.5 * tanh(gap / 25)));
        differences[i] = gap;
        outcomes[i] = rg_random_uniform(rg_random_named(random, "judge"), i) < chance;
        plain += outcomes[i] / GAMES;
    }
    RgLengthControl control = fit(outcomes, differences, GAMES, 1);
    cr_assert(plain > 0.62, "plain %g", plain);
    check_close(control.win_rate.value, 0.5, 0.04, "controlled");
    check_close(control.slope, 1.5, 0.25, "slope");
}

Test(length_control, lengths_that_say_nothing_cost_next_to_nothing) {
    enum { SEEDS = 3, ITEMS = 60 };
    double outcomes[SEEDS * ITEMS], differences[SEEDS * ITEMS];
    RgRandom random = rg_random_root(41);
    for (uint64_t i = 0; i < SEEDS * ITEMS; i++) {
        differences[i] = rint(10 * rg_random_normal(rg_random_named(random, "length"), i));
        outcomes[i] = rg_random_uniform(rg_random_named(random, "judge"), i) < 0.65;
    }
    RgEstimate equal = rg_control_length(outcomes, differences, SEEDS, ITEMS, 1, NULL).win_rate;
    RgEstimate plain = rg_estimate_rate(outcomes, SEEDS, ITEMS, false, 0.5);
    cr_assert_eq(equal.cells, SEEDS * ITEMS);
    cr_assert(0 <= equal.interval.low && equal.interval.low < equal.value);
    cr_assert(equal.value < equal.interval.high && equal.interval.high <= 1);
    check_close(equal.standard_error, plain.standard_error, 0.25 * plain.standard_error, "spread");
}

/* At equal lengths the log odds have the rate's error over p(1 − p), which their interval keeps. */
Test(length_control, equal_lengths_leave_the_error_as_it_is) {
    enum { SEEDS = 4, ITEMS = 50 };
    double outcomes[SEEDS * ITEMS];
    const double none[SEEDS * ITEMS] = {0};
    for (uint64_t i = 0; i < SEEDS * ITEMS; i++)
        outcomes[i] = rg_random_uniform(rg_random_root(43), i) < (i < 2 * ITEMS ? 0.8 : 0.5);
    RgEstimate plain = rg_estimate_mean(outcomes, SEEDS, ITEMS, false, 0.5);
    RgEstimate equal = rg_control_length(outcomes, none, SEEDS, ITEMS, 1e-9, NULL).win_rate;
    double p = plain.value, margin = (plain.interval.high - p) / (p * (1 - p));
    check_close(equal.standard_error, plain.standard_error, 1e-9, "error");
    check_close(log(equal.interval.high / (1 - equal.interval.high)), log(p / (1 - p)) + margin,
                1e-8, "high");
}
