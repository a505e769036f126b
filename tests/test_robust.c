/* Robust aggregates and families of tests: published worked examples, scipy's figures (golden by
 * tests/golden/statistics.py) and enumeration of what is enumerable. */
#include <criterion/criterion.h>

#include "analysis/robust.h"

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

static RgBootstrapOptions bootstrap_options(int64_t resamples) {
    return (RgBootstrapOptions){resamples, 0.95, 0, rg_random_root(11)};
}

/* Two tasks of two runs each, far apart: a stratified resample draws two of either task, 16 equally
 * likely ways. Over all four runs as one stratum it would often draw three of one task. */
Test(robust, stratified_bootstrap_resamples_each_task_on_its_own) {
    const double values[] = {0, 1, 100, 103};
    double sum = 0, squares = 0;
    for (int way = 0; way < 16; way++) {
        const double drawn[] = {values[way & 1], values[way >> 1 & 1], values[2 + (way >> 2 & 1)],
                                values[2 + (way >> 3)]};
        double mean = rg_interquartile_mean(drawn, 4);
        sum += mean;
        squares += mean * mean;
    }
    double exact = sqrt(squares / 16 - pow(sum / 16, 2));
    RgBootstrapOptions options = bootstrap_options(20000);
    RgBootstrap b = rg_interquartile_mean_bootstrap(values, 2, 2, &options);
    check_close(b.estimate, 50.5, 1e-12, "estimate");
    check_close(b.standard_error, exact, 0.02 * exact, "standard error");
    cr_assert(b.interval.low >= 50 && b.interval.high <= 52, "[%g, %g]", b.interval.low,
              b.interval.high);
}

Test(robust, one_run_has_an_estimate_and_no_interval) {
    const double values[] = {NAN, 4};
    RgBootstrapOptions options = bootstrap_options(100);
    RgBootstrap b = rg_interquartile_mean_bootstrap(values, 1, 2, &options);
    cr_assert(b.estimate == 4 && isnan(b.interval.low) && isnan(b.standard_error));
}

/* ---- probability of improvement ---- */

Test(robust, probability_of_improvement_is_scipys_mann_whitney) {
    const double a[] = {1, 4, 2.5, 7}, b[] = {2, 2.5, 3}, c[] = {1, 2}, d[] = {3, 4, NAN};
    check_close(rg_probability_of_improvement(a, 4, b, 3), 0.625, 1e-15, "with a tie");
    check_close(rg_probability_of_improvement(c, 2, d, 3), 0, 0, "always behind");
    check_close(rg_probability_of_improvement(a, 4, a, 4), 0.5, 0, "itself");
    cr_assert(isnan(rg_probability_of_improvement(c, 2, d + 2, 1)));
}

/* Of tasks the mean counts, whatever their scales; and all resamples of runs that never overlap say
 * the same. */
Test(robust, improvement_is_a_mean_over_tasks) {
    const double x[] = {1, 2, 1000, 3000}, y[] = {0, 0.5, -1, 5000, 6000, 7000};
    RgBootstrapOptions options = bootstrap_options(500);
    RgBootstrap b = rg_improvement_bootstrap(x, 2, y, 3, 2, &options);
    check_close(b.estimate, 0.5, 0, "ahead in one task, behind in the other");
    check_close(b.interval.low, 0.5, 0, "low");
    check_close(b.interval.high, 0.5, 0, "high");
}

/* Runs 1 and 3 against 2 and 4: of the 16 resamples, equally likely, the exact deviation. */
Test(robust, improvement_has_the_enumerated_standard_error) {
    const double x[] = {1, 3}, y[] = {2, 4};
    double sum = 0, squares = 0;
    for (int way = 0; way < 16; way++) {
        const double of_x[] = {x[way & 1], x[way >> 1 & 1]};
        const double of_y[] = {y[way >> 2 & 1], y[way >> 3]};
        double chance = rg_probability_of_improvement(of_x, 2, of_y, 2);
        sum += chance;
        squares += chance * chance;
    }
    double exact = sqrt(squares / 16 - pow(sum / 16, 2));
    RgBootstrapOptions options = bootstrap_options(20000);
    RgBootstrap b = rg_improvement_bootstrap(x, 2, y, 2, 1, &options);
    check_close(b.estimate, 0.25, 0, "estimate");
    check_close(b.standard_error, exact, 0.02 * exact, "standard error");
}
