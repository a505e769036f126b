/* SPDX-License-Identifier: MIT */
/* Statistics against closed forms and against scipy: tests/golden/statistics.py prints the golden
 * figures that stand here. */
#include <criterion/criterion.h>

#include "analysis/statistics/statistics.h"
#include "core/tensor/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void check_close(double found, double expected, double tolerance, const char *what) {
    cr_assert(fabs(found - expected) <= tolerance, "%s: %.17g, expected %.17g", what, found,
              expected);
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
    cr_assert(isnan(rg_mean_interval(values, 2, 1, false).low));
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
    RgInterval interval = rg_mean_interval(values, 4, 1, false);
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

/* ---- means over seeds and prompts ---- */

/* With one way alone it is the t-test of scipy.stats.ttest_1samp([1, 2.5, 4, 8], 1): p by the
 * closed form of three degrees of freedom, ½ + (x/(1 + x²) + atan x)/π, x = t/√3. */
Test(statistics, seeds_alone_or_prompts_alone_are_students_test) {
    double values[] = {1, 2.5, 4, 8};
    RgSummary summary = rg_summarize(values, 4);
    double x = (summary.mean - 1) / summary.standard_error / sqrt(3);
    double p = 2 * (0.5 - (x / (1 + x * x) + atan(x)) / M_PI);
    RgEstimate seeds = rg_estimate_mean(values, 4, 1, false, 1),
               prompts = rg_estimate_mean(values, 1, 4, false, 1);
    check_close(seeds.value, summary.mean, 1e-15, "mean");
    check_close(seeds.standard_error, summary.standard_error, 1e-14, "standard error");
    check_close(seeds.interval.low, -0.915216022126069, 1e-9, "low");
    check_close(seeds.p_value, p, 1e-9, "p");
    check_close(prompts.interval.low, seeds.interval.low, 0, "of prompts");
    check_close(prompts.p_value, seeds.p_value, 0, "of prompts");
}

/* x[s,i] = a[s] + b[i] has no residual, and the parts are the two variances of the means. */
Test(statistics, seeds_and_prompts_are_two_parts_of_the_spread) {
    enum { SEEDS = 5, ITEMS = 30 };
    double a[SEEDS], b[ITEMS], values[SEEDS * ITEMS];
    for (int s = 0; s < SEEDS; s++)
        a[s] = rg_random_normal(rg_random_root(7), (uint64_t)s);
    for (int i = 0; i < ITEMS; i++)
        b[i] = 2 * rg_random_normal(rg_random_root(8), (uint64_t)i);
    for (int s = 0; s < SEEDS; s++)
        for (int i = 0; i < ITEMS; i++)
            values[s * ITEMS + i] = a[s] + b[i];
    RgSpread spread = rg_spread(values, SEEDS, ITEMS, false);
    double of_a = pow(rg_summarize(a, SEEDS).standard_error, 2);
    double of_b = pow(rg_summarize(b, ITEMS).standard_error, 2);
    double t_a = rg_student_quantile(0.975, SEEDS - 1), t_b = rg_student_quantile(0.975, ITEMS - 1);
    check_close(spread.of_seeds, of_a, 1e-12, "of seeds");
    check_close(spread.of_items, of_b, 1e-12, "of prompts");
    check_close(rg_spread_margin(&spread, 0.95), sqrt(t_a * t_a * of_a + t_b * t_b * of_b), 1e-12,
                "margin");
}

/* Rows 1 2 6 and 3 6 6: mean 4, rows' means 3 and 5, so SS_seeds = 6; columns' means 2, 4, 6, so
 * SS_prompts = 16; the sum of squares is 26, so SS_residual = 4. */
Test(statistics, parts_are_the_mean_squares_of_the_analysis_of_variance) {
    double values[] = {1, 2, 6, 3, 6, 6};
    RgSpread spread = rg_spread(values, 2, 3, false);
    check_close(spread.of_seeds, 6.0 / 6, 1e-14, "MS_seeds = 6");
    check_close(spread.of_items, (8.0 - 2.0) / 6, 1e-14, "MS_prompts = 8, MS_residual = 2");
    cr_assert(spread.seed_freedom == 1 && spread.item_freedom == 2);
}

/* Then the seeds' means are all there is, and of outcomes every cell is a prompt. */
Test(statistics, prompts_of_each_seeds_own_leave_the_seeds_alone) {
    double values[] = {1, 2, 6, 3, 6, 6, 0, 2, 4}, rows[] = {3, 5, 2}, won[40];
    RgEstimate own = rg_estimate_mean(values, 3, 3, true, 0);
    RgEstimate seeds = rg_estimate_mean(rows, 3, 1, false, 0);
    check_close(own.interval.low, seeds.interval.low, 1e-12, "low");
    check_close(own.p_value, seeds.p_value, 1e-9, "p");
    for (int i = 0; i < 40; i++)
        won[i] = 1;
    check_close(rg_rate_interval(won, 5, 8, true).low, rg_rate_interval(won, 1, 40, false).low, 0,
                "all won");
}

Test(statistics, the_p_value_is_where_the_margin_reaches) {
    RgSpread spread = {.of_seeds = 1, .of_items = 0.5, .seed_freedom = 2, .item_freedom = 49};
    for (double p = 1e-8; p < 0.9; p *= 7)
        check_close(rg_spread_p_value(&spread, rg_spread_margin(&spread, 1 - p)), p, 1e-6 * p, "p");
    check_close(rg_spread_p_value(&spread, 0), 1, 0, "no distance");
}

Test(statistics, missing_cells_are_left_out) {
    double values[] = {1, NAN, 3, NAN, NAN, NAN, 5, 5, NAN};
    RgEstimate estimate = rg_estimate_mean(values, 3, 3, false, 0);
    double rows[] = {2, 5};
    cr_assert_eq(estimate.cells, 4);
    check_close(estimate.value, 3.5, 1e-15, "mean");
    /* no prompt tells itself from a seed: two seeds of two cells each are left */
    check_close(estimate.standard_error, rg_summarize(rows, 2).standard_error, 1e-14, "error");
    double nothing[] = {NAN, NAN};
    cr_assert(isnan(rg_estimate_mean(nothing, 1, 2, false, 0).interval.low));
}

/* Both seeds have nearly the mean 2: Student's t over the cells, which are draws of their own, or
 * over the prompts' means, is wider than over seeds. */
Test(statistics, seeds_that_agree_are_as_sure_as_their_prompts_at_most) {
    const double values[] = {1, 3, 0, 4, 2, 2, 5.02, 1, 1, 1, 2, 2}, null_value = 3.5;
    double means[6];
    for (int i = 0; i < 6; i++)
        means[i] = (values[i] + values[6 + i]) / 2;
    RgEstimate own = rg_estimate_mean(values, 2, 6, true, null_value);
    RgEstimate shared = rg_estimate_mean(values, 2, 6, false, null_value);
    RgEstimate cells = rg_estimate_mean(values, 12, 1, false, null_value);
    RgEstimate prompts = rg_estimate_mean(means, 6, 1, false, null_value);
    RgInterval interval = rg_mean_interval(values, 2, 6, true);
    check_close(own.interval.low, cells.interval.low, 1e-12, "low");
    check_close(own.interval.high, cells.interval.high, 1e-12, "high");
    check_close(own.p_value, cells.p_value, 1e-9, "p");
    check_close(interval.low, own.interval.low, 1e-12, "the interval alone");
    check_close(shared.interval.low, prompts.interval.low, 1e-12, "low, shared prompts");
    check_close(shared.p_value, prompts.p_value, 1e-9, "p, shared prompts");
}

Test(statistics, values_that_are_all_alike_claim_nothing) {
    double same[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
    RgEstimate mean = rg_estimate_mean(same, 2, 3, false, 0),
               rate = rg_estimate_rate(same, 6, 1, false, 0.5);
    cr_assert(isnan(mean.interval.low) && isnan(mean.p_value) && isnan(mean.standard_error));
    cr_assert(isnan(rate.interval.low) && isnan(rate.p_value));
}

/* ---- rates ---- */

static void check_rate(const RgEstimate *e) {
    cr_assert(0 <= e->interval.low && e->interval.low <= e->value, "[%g, %g]", e->interval.low,
              e->interval.high);
    cr_assert(e->value <= e->interval.high && e->interval.high <= 1);
    cr_assert(e->interval.high - e->interval.low > 0);
    cr_assert_eq(e->p_value<0.05, e->interval.low> 0.5 || e->interval.high < 0.5);
}

/* Of 0 to all of 20 prompts won, by one seed, by two alike and by three that differ. */
Test(statistics, intervals_of_rates_stay_in_range_have_width_and_go_with_their_test) {
    enum { ITEMS = 20 };
    for (int seeds = 1; seeds <= 3; seeds++)
        for (int won = 0; won <= ITEMS; won++) {
            double values[3 * ITEMS];
            for (int i = 0; i < seeds * ITEMS; i++)
                values[i] = i % ITEMS < (i / ITEMS == 2 ? won / 2 : won);
            RgEstimate e = rg_estimate_rate(values, seeds, ITEMS, false, 0.5);
            check_rate(&e);
        }
}

/* n prompts won by all, one lost and one won more: the variance of their mean is (n + 1)/(n + 2)³,
 * m(1 − m) = (n + 1)/(n + 2)², so that Wilson's form has n + 2 trials, all of them won. */
Test(statistics, winning_all_has_wilsons_interval) {
    double won[40];
    for (int i = 0; i < 40; i++)
        won[i] = 1;
    for (int seeds = 1; seeds <= 2; seeds++) {
        double t = rg_student_quantile(0.975, 40 / seeds + 1), n = 40.0 / seeds + 2;
        check_close(rg_rate_interval(won, seeds, 40 / seeds, false).low, n / (n + t * t), 1e-9,
                    "low");
        check_close(rg_rate_interval(won, seeds, 40 / seeds, false).high, 1, 0, "high");
    }
}

/* Many prompts, a rate in the middle, and no seeds: Wilson's interval of the count. */
Test(statistics, one_seeds_rate_is_wilsons) {
    enum { ITEMS = 4000 };
    double values[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        values[i] = i % 10 < 3;
    RgInterval found = rg_rate_interval(values, 1, ITEMS, false),
               wilson = rg_wilson_interval(1200, 4000, 0.95);
    check_close(found.low, wilson.low, 2e-5, "low");
    check_close(found.high, wilson.high, 2e-5, "high");
}

Test(statistics, few_seeds_are_told_by_their_number) {
    char *one = rg_few_seeds(1), *three = rg_few_seeds(3);
    cr_assert(strncmp(one, "One seed", 8) == 0 && strncmp(three, "3 seeds", 7) == 0);
    cr_assert_null(rg_few_seeds(5));
    free(three);
    free(one);
}

/* ±1.5·t(2)·s/√3 and ±1.2·t(9)·s/√10, with t from tables. */
Test(statistics, seeds_alone_have_students_interval_with_an_allowance_for_skew) {
    const double three[] = {1, 2, 3}, equal[] = {2, 2, 2};
    double ten[10];
    RgInterval interval = rg_seeds_interval(three, 3);
    double margin = 1.5 * 4.302652730 * 1 / sqrt(3);
    cr_expect_float_eq(interval.low, 2 - margin, 1e-8);
    cr_expect_float_eq(interval.high, 2 + margin, 1e-8);
    for (int i = 0; i < 10; i++)
        ten[i] = i; /* deviation √(55/6) */
    margin = 1.2 * 2.262157163 * sqrt(55.0 / 6) / sqrt(10);
    cr_expect_float_eq(rg_seeds_interval(ten, 10).high, 4.5 + margin, 1e-8);
    cr_expect(isnan(rg_seeds_interval(equal, 3).low), "equal values show no spread");
    cr_expect(isnan(rg_seeds_interval(three, 1).low), "nor does one");
    cr_expect(isnan(rg_seeds_interval(three, 0).low));
}
