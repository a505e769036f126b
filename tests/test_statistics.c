/* Statistics against closed forms and against scipy: tests/golden/statistics.py prints the golden
 * figures that stand here. */
#include <criterion/criterion.h>

#include "analysis/statistics.h"

#include <math.h>
#include <stdlib.h>

static void check_close(double found, double expected, double tolerance, const char *what) {
    cr_assert(fabs(found - expected) <= tolerance, "%s: %.17g, expected %.17g", what, found,
              expected);
}

static RgBootstrapOptions bootstrap_options(int64_t resamples, uint64_t seed) {
    return (RgBootstrapOptions){resamples, 0.95, 0, rg_random_root(seed)};
}

/* 2, 4, 4, 4, 5, 5, 7, 9: mean 5, squared deviations 32, so s = √(32/7), s.e. = √(32/7/8). */
Test(statistics, summary_is_the_textbooks) {
    double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
    RgSummary summary = rg_summarize(values, 8);
    cr_assert_eq(summary.count, 8);
    check_close(summary.mean, 5, 1e-15, "mean");
    check_close(summary.deviation, sqrt(32.0 / 7), 1e-14, "deviation");
    check_close(summary.standard_error, sqrt(32.0 / 56), 1e-14, "standard error");
}

Test(statistics, summary_leaves_out_what_is_missing) {
    double values[] = {NAN, 1, NAN, 3, NAN};
    RgSummary summary = rg_summarize(values, 5);
    cr_assert_eq(summary.count, 2);
    check_close(summary.mean, 2, 0, "mean");
    check_close(summary.standard_error, 1, 1e-15, "standard error");
}

Test(statistics, summary_of_nothing_and_of_one_claims_nothing) {
    double values[] = {NAN, 7};
    RgSummary none = rg_summarize(values, 1), one = rg_summarize(values, 2);
    cr_assert(none.count == 0 && isnan(none.mean) && isnan(none.standard_error));
    cr_assert(one.count == 1 && one.mean == 7 && isnan(one.standard_error));
    cr_assert(isnan(rg_student_interval(&one, 0.95).low));
}

/* The naive sum of squares would lose all digits here. */
Test(statistics, deviation_survives_a_large_mean) {
    double values[] = {1e9 + 1, 1e9 + 2, 1e9 + 3};
    check_close(rg_summarize(values, 3).deviation, 1, 1e-9, "deviation");
}

Test(statistics, student_quantiles_are_scipys) {
    static const double golden[][3] = {
        {0.975, 1, 12.7062047361747},     {0.975, 2, 4.30265272974946},
        {0.975, 4, 2.77644510519779},     {0.995, 9, 3.24983554159213},
        {0.9, 2.5, 1.73025092880718},     {0.3, 7, -0.549109657947285},
        {0.975, 1e+06, 1.95996635681411},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        check_close(rg_student_quantile(golden[i][0], golden[i][1]), golden[i][2], 1e-9,
                    "t quantile");
}

/* With one degree of freedom t is Cauchy: tan(π(p − ½)). With two: (2p − 1)/√(2p(1 − p)). */
Test(statistics, student_quantiles_have_their_closed_forms) {
    for (double p = 0.01; p < 1; p += 0.07) {
        check_close(rg_student_quantile(p, 1), tan(M_PI * (p - 0.5)), 1e-10, "one degree");
        check_close(rg_student_quantile(p, 2), (2 * p - 1) / sqrt(2 * p * (1 - p)), 1e-10,
                    "two degrees");
    }
}

Test(statistics, normal_quantiles_are_scipys) {
    static const double golden[][2] = {
        {0.975, 1.95996398454005},  {0.5, 0},
        {0.001, -3.09023230616781}, {1e-10, -6.36134090240406},
        {0.9999, 3.71901648545571},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        check_close(rg_normal_quantile(golden[i][0]), golden[i][1], 1e-10, "normal quantile");
}

Test(statistics, student_interval_is_scipys) {
    double values[] = {1, 2.5, 4, 8};
    RgSummary summary = rg_summarize(values, 4);
    RgInterval interval = rg_student_interval(&summary, 0.95);
    check_close(interval.low, -0.915216022126069, 1e-9, "low");
    check_close(interval.high, 8.665216022126069, 1e-9, "high");
}

Test(statistics, wilson_intervals_are_scipys) {
    static const double golden[][5] = {
        {8, 10, 0.95, 0.490162471536642, 0.943317848545625},
        {0, 20, 0.95, 0, 0.161125158052819},
        {20, 20, 0.95, 0.838874841947181, 1},
        {51, 100, 0.99, 0.384680812399241, 0.634074773846443},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        RgInterval found = rg_wilson_interval(golden[i][0], golden[i][1], golden[i][2]);
        check_close(found.low, golden[i][3], 1e-9, "low");
        check_close(found.high, golden[i][4], 1e-9, "high");
    }
    cr_assert(isnan(rg_wilson_interval(0, 0, 0.95).low));
}

Test(statistics, quantiles_are_numpys) {
    double sorted[] = {1, 2.5, 4, 8};
    static const double golden[][2] = {{0, 1},      {0.025, 1.1125}, {0.4, 2.8},
                                       {0.5, 3.25}, {0.975, 7.7},    {1, 8}};
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        check_close(rg_sorted_quantile(sorted, 4, golden[i][0]), golden[i][1], 1e-12, "quantile");
    cr_assert(isnan(rg_sorted_quantile(sorted, 0, 0.5)));
}

Test(statistics, kendalls_tau_is_scipys_with_and_without_ties) {
    double a[] = {1, 2, 3, 4, 5}, b[] = {3, 1, 2, 5, 4};
    double c[] = {1, 2, 2, 3, 4}, d[] = {1, 3, 2, 2, 5};
    double e[] = {1, 1, 2, 2}, f[] = {1, 2, 1, 2};
    check_close(rg_kendall_tau(a, b, 5), 0.4, 1e-12, "no ties");
    check_close(rg_kendall_tau(c, d, 5), 2.0 / 3, 1e-12, "ties");
    check_close(rg_kendall_tau(e, f, 4), 0, 1e-12, "independent");
    check_close(rg_kendall_tau(a, a, 5), 1, 1e-12, "itself");
}

Test(statistics, kendalls_tau_passes_over_missing_values) {
    double x[] = {1, NAN, 2, 3}, y[] = {2, 9, 3, NAN}, flat[] = {1, 1, 1, 1};
    check_close(rg_kendall_tau(x, y, 4), 1, 0, "the one pair left");
    cr_assert(isnan(rg_kendall_tau(x, flat, 4)), "nothing to rank by");
    cr_assert_eq(rg_concordance(x, y, 0, 1), 0);
}

Test(statistics, bootstrap_is_a_function_of_its_stream) {
    double values[60];
    for (int i = 0; i < 60; i++)
        values[i] = rg_random_normal(rg_random_root(5), (uint64_t)i);
    RgBootstrapOptions options = bootstrap_options(500, 1), other = bootstrap_options(500, 2);
    RgBootstrap a = rg_bootstrap(values, 3, 20, &options),
                b = rg_bootstrap(values, 3, 20, &options);
    RgBootstrap c = rg_bootstrap(values, 3, 20, &other);
    cr_assert(a.interval.low == b.interval.low && a.interval.high == b.interval.high);
    cr_assert(a.interval.low != c.interval.low);
    cr_assert_eq(a.estimate, c.estimate);
}

/* One seed: resampling n items of variance v (divisor n) has standard error √(v/n) exactly. */
Test(statistics, bootstrap_over_one_seed_has_the_known_standard_error) {
    enum { ITEMS = 50, RESAMPLES = 20000 };
    double values[ITEMS], squares = 0;
    for (int i = 0; i < ITEMS; i++)
        values[i] = rg_random_normal(rg_random_root(6), (uint64_t)i);
    RgSummary summary = rg_summarize(values, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        squares += (values[i] - summary.mean) * (values[i] - summary.mean);
    double expected = sqrt(squares / ITEMS / ITEMS);
    RgBootstrapOptions options = bootstrap_options(RESAMPLES, 3);
    RgBootstrap bootstrap = rg_bootstrap(values, 1, ITEMS, &options);
    check_close(bootstrap.estimate, summary.mean, 1e-14, "estimate");
    /* the deviation of 20,000 draws is known to 1/√(2·20,000) = 0.5 % */
    check_close(bootstrap.standard_error, expected, 0.025 * expected, "standard error");
    check_close(bootstrap.interval.low, summary.mean - 1.96 * expected, 0.1 * expected, "low");
    check_close(bootstrap.interval.high, summary.mean + 1.96 * expected, 0.1 * expected, "high");
}

/* x[s,i] = a[s] + b[i] has no interaction, and crossed resampling gives exactly
 * Var = Var(a)/S + Var(b)/I with population variances. A bootstrap over the S·I cells as if they
 * were independent would give S or I times less. */
Test(statistics, bootstrap_counts_seeds_and_prompts_as_two_levels) {
    enum { SEEDS = 5, ITEMS = 30 };
    double a[SEEDS], b[ITEMS], values[SEEDS * ITEMS];
    for (int s = 0; s < SEEDS; s++)
        a[s] = rg_random_normal(rg_random_root(7), (uint64_t)s);
    for (int i = 0; i < ITEMS; i++)
        b[i] = 2 * rg_random_normal(rg_random_root(8), (uint64_t)i);
    for (int s = 0; s < SEEDS; s++)
        for (int i = 0; i < ITEMS; i++)
            values[s * ITEMS + i] = a[s] + b[i];
    double of_a = pow(rg_summarize(a, SEEDS).deviation, 2) * (SEEDS - 1) / SEEDS;
    double of_b = pow(rg_summarize(b, ITEMS).deviation, 2) * (ITEMS - 1) / ITEMS;
    double expected = sqrt(of_a / SEEDS + of_b / ITEMS);
    RgBootstrapOptions options = bootstrap_options(20000, 4);
    check_close(rg_bootstrap(values, SEEDS, ITEMS, &options).standard_error, expected,
                0.025 * expected, "standard error");
}

/* Wins 1 and 0 at random against ½: a p-value near 1; all wins: the smallest that the resamples
 * allow. */
Test(statistics, bootstrap_tests_against_the_null_value) {
    double even[40], won[40];
    for (int i = 0; i < 40; i++) {
        even[i] = i % 2;
        won[i] = 1;
    }
    RgBootstrapOptions options = bootstrap_options(999, 5);
    options.null_value = 0.5;
    cr_assert(rg_bootstrap(even, 2, 20, &options).p_value > 0.8);
    check_close(rg_bootstrap(won, 2, 20, &options).p_value, 2.0 / 1000, 1e-15, "p");
}

/* Under the null the test should reject at 5 % about one time in twenty: here prompts only, where
 * the percentile bootstrap is nearly exact. 400 repetitions have standard error 1.1 %. */
Test(statistics, bootstrap_rejects_a_true_null_as_often_as_it_says) {
    enum { REPETITIONS = 400, ITEMS = 60 };
    int rejected = 0;
    for (int r = 0; r < REPETITIONS; r++) {
        double values[ITEMS];
        RgRandom random = rg_random_at(rg_random_root(9), (uint64_t)r);
        for (int i = 0; i < ITEMS; i++)
            values[i] = rg_random_normal(random, (uint64_t)i);
        RgBootstrapOptions options = bootstrap_options(400, (uint64_t)r);
        rejected += rg_bootstrap(values, 1, ITEMS, &options).p_value < 0.05;
    }
    cr_assert(rejected >= 8 && rejected <= 36, "rejected %d of %d", rejected, REPETITIONS);
}

Test(statistics, bootstrap_leaves_out_missing_cells) {
    double values[] = {1, NAN, 1, 1, NAN, NAN, NAN, 1};
    RgBootstrapOptions options = bootstrap_options(200, 6);
    RgBootstrap bootstrap = rg_bootstrap(values, 2, 4, &options);
    cr_assert_eq(bootstrap.cells, 4);
    cr_assert(bootstrap.estimate == 1 && bootstrap.interval.low == 1 &&
              bootstrap.interval.high == 1);
    double nothing[] = {NAN, NAN};
    cr_assert(isnan(rg_bootstrap(nothing, 1, 2, &options).interval.low));
}
