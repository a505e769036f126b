/* SPDX-License-Identifier: MIT */
/* Robust aggregates and families of tests: published worked examples, scipy's figures (golden by
 * tests/golden/statistics.py) and enumeration of what is enumerable. */
#include <criterion/criterion.h>

#include "analysis/statistics/robust.h"
#include "core/tensor/random.h"

#include <math.h>

static void check_close(double found, double expected, double tolerance, const char *what) {
    cr_assert(fabs(found - expected) <= tolerance, "%s: %.17g, expected %.17g", what, found,
              expected);
}

/* ---- Holm ---- */

/* The worked example of the encyclopaedias: four hypotheses, of which H1 and H4 are rejected at
 * 5 %. */
Test(holm, worked_example_is_adjusted_as_published) {
    const double p[] = {0.01, 0.04, 0.03, 0.005}, expected[] = {0.03, 0.06, 0.06, 0.02};
    double adjusted[4];
    rg_holm(p, 4, adjusted);
    for (int i = 0; i < 4; i++)
        check_close(adjusted[i], expected[i], 1e-15, "adjusted");
}

/* By definition Holm's test is the closed test of Bonferroni tests: hypothesis i is rejected where
 * every set of hypotheses with i in it is, and a set's p-value is its size times its smallest p. */
Test(holm, is_the_closed_test_of_bonferronis_tests) {
    enum { COUNT = 6 };
    for (uint64_t turn = 0; turn < 50; turn++) {
        double p[COUNT], adjusted[COUNT];
        RgRandom random = rg_random_at(rg_random_root(3), turn);
        for (int i = 0; i < COUNT; i++) /* ties among them */
            p[i] = 0.01 * (double)rg_random_below(random, (uint64_t)i, turn % 2 ? 8 : 60);
        rg_holm(p, COUNT, adjusted);
        for (int i = 0; i < COUNT; i++) {
            double expected = 0;
            for (unsigned set = 0; set < 1u << COUNT; set++) {
                double smallest = INFINITY;
                for (int j = 0; j < COUNT; j++)
                    if (set >> j & 1)
                        smallest = fmin(smallest, p[j]);
                if (set >> i & 1)
                    expected = fmax(expected, fmin(1, __builtin_popcount(set) * smallest));
            }
            check_close(adjusted[i], expected, 1e-15, "adjusted");
        }
    }
}

Test(holm, missing_tests_are_no_part_of_the_family) {
    const double p[] = {NAN, 0.02, NAN, 0.04};
    double adjusted[4];
    rg_holm(p, 4, adjusted);
    cr_assert(isnan(adjusted[0]) && isnan(adjusted[2]));
    check_close(adjusted[1], 0.04, 1e-15, "two tests");
    check_close(adjusted[3], 0.04, 1e-15, "two tests");
    rg_holm(p, 1, adjusted);
    cr_assert(isnan(adjusted[0]));
}

/* ---- interquartile mean ---- */

Test(robust, interquartile_mean_is_scipys_where_four_divides_the_count) {
    const double four[] = {3.1, -2, 8, 0.5}, twelve[] = {5, 8, 4, 38, 8, 6, 9, 7, 7, 3, 1, 6};
    double twenty[20];
    for (int k = 0; k < 20; k++)
        twenty[k] = 0.1 * k * k - k;
    check_close(rg_interquartile_mean(four, 4), 1.8, 1e-15, "four");
    check_close(rg_interquartile_mean(twelve, 12), 6.5, 1e-15, "twelve");
    check_close(rg_interquartile_mean(twenty, 20), 0.8, 1e-14, "twenty");
}

/* Of nine values the middle 4.5: the third and the seventh count three quarters. */
Test(robust, interquartile_mean_weighs_values_on_the_border_by_their_part) {
    const double nine[] = {17, 1, 15, 3, 100, 5, 11, 7, 9}, three[] = {0, 6, 30};
    check_close(rg_interquartile_mean(nine, 9), (0.75 * 5 + 7 + 9 + 11 + 0.75 * 15) / 4.5, 1e-14,
                "nine");
    check_close(rg_interquartile_mean(three, 3), 30.0 / 6 + 6 * 2.0 / 3, 1e-14, "three");
}

Test(robust, interquartile_mean_leaves_out_what_is_missing) {
    const double values[] = {NAN, 2, NAN, 4}, one[] = {7};
    check_close(rg_interquartile_mean(values, 4), 3, 0, "two left");
    check_close(rg_interquartile_mean(one, 1), 7, 0, "one");
    cr_assert(isnan(rg_interquartile_mean(values, 1)));
}

Test(robust, one_wild_seed_does_not_move_the_interquartile_mean) {
    double values[] = {1, 2, 3, 4, 5, 6, 7, 8}, before = rg_interquartile_mean(values, 8);
    values[7] = 1e9;
    check_close(rg_interquartile_mean(values, 8), before, 0, "with a wild seed");
}

/* Of three values two are drawn, 9 ways: the interquartile mean of two is their mean, whose
 * variance is s²/3, so that the interval is Student's for the mean, about another center. */
Test(robust, interval_of_three_seeds_has_the_width_of_students) {
    const double values[] = {2, 3, 7};
    RgSummary summary = rg_summarize(values, 3);
    RgEstimate e = rg_estimate_interquartile_mean(values, 3);
    double t = rg_student_quantile(0.975, 2);
    check_close(e.value, 2.0 / 6 + 3 * 2.0 / 3 + 7.0 / 6, 1e-12, "value");
    /* the deviation of 10,000 draws is known to 1 % */
    check_close(e.standard_error, summary.standard_error, 0.04 * summary.standard_error, "error");
    check_close(e.interval.high - e.value, t * e.standard_error, 1e-9, "margin");
}

/* Of two seeds one is drawn: the difference is that of this seed, whose deviation over both is half
 * of how far they are apart, and n − 1 = 1 is the interval of Student's t for the mean. */
Test(robust, difference_of_interquartile_means_is_paired) {
    const double x[] = {5, NAN, 9, 1}, y[] = {1, 3, 4, NAN}, shifted[] = {6, NAN, 10, 2};
    RgEstimate e = rg_estimate_interquartile_difference(x, y, 4);
    RgEstimate swapped = rg_estimate_interquartile_difference(y, x, 4);
    RgEstimate same = rg_estimate_interquartile_difference(x, x, 4);
    RgEstimate constant = rg_estimate_interquartile_difference(shifted, x, 4);
    double margin = rg_student_quantile(0.975, 1) * e.standard_error;
    cr_assert_eq(e.cells, 2);
    check_close(e.value, 4.5, 1e-12, "value");
    check_close(e.standard_error, 0.5, 0.01, "error"); /* 10,000 draws */
    check_close(e.interval.high - e.value, margin, 1e-9, "margin");
    check_close(e.p_value, 2 / acos(-1) * atan(e.standard_error / 4.5), 1e-9, "Cauchy's tail");
    check_close(swapped.p_value, e.p_value, 1e-9, "the other way round");
    cr_assert(isnan(same.p_value) && same.value == 0, "no spread");
    cr_assert(isnan(constant.p_value) && constant.value == 1, "no spread");
}

Test(robust, one_run_has_an_estimate_and_no_interval) {
    const double values[] = {NAN, 4}, same[] = {4, 4, 4};
    RgEstimate one = rg_estimate_interquartile_mean(values, 2);
    RgEstimate alike = rg_estimate_interquartile_mean(same, 3);
    cr_assert(one.value == 4 && isnan(one.interval.low) && isnan(one.standard_error));
    cr_assert(alike.value == 4 && isnan(alike.interval.low), "three alike tell of no spread");
}

/* ---- probability of improvement ---- */

Test(robust, probability_of_improvement_is_scipys_mann_whitney) {
    const double a[] = {1, 4, 2.5, 7}, b[] = {2, 2.5, 3}, c[] = {1, 2}, d[] = {3, 4, NAN};
    check_close(rg_probability_of_improvement(a, 4, b, 3), 0.625, 1e-15, "with a tie");
    check_close(rg_probability_of_improvement(c, 2, d, 3), 0, 0, "always behind");
    check_close(rg_probability_of_improvement(a, 4, a, 4), 0.5, 0, "itself");
    cr_assert(isnan(rg_probability_of_improvement(c, 2, d + 2, 1)));
}

/* Runs 1, 3, 6 against 2, 4: chances of the first {0, ½, 1}, of the second to be beaten {⅔, ⅓}. */
Test(robust, improvement_has_the_variance_of_mann_and_whitney) {
    const double x[] = {1, 3, 6}, y[] = {2, 4};
    RgEstimate e = rg_estimate_improvement(x, 3, y, 2);
    check_close(e.value, 0.5, 1e-15, "value");
    check_close(e.standard_error, sqrt(0.25 / 3 + 1.0 / 18 / 2), 1e-12, "error");
}

/* Who wins every pair has no spread, and by as many runs is as sure as Wilson is of n wins of n. */
Test(robust, winning_every_pair_of_few_is_no_certainty) {
    const double x[] = {4, 5, 6}, y[] = {1, 2, 3};
    RgEstimate e = rg_estimate_improvement(x, 3, y, 3);
    RgInterval wilson = rg_wilson_interval(3, 3, 0.95);
    check_close(e.value, 1, 0, "value");
    check_close(e.interval.low, wilson.low, 1e-12, "low");
    check_close(e.interval.high, 1, 1e-12, "high");
}
