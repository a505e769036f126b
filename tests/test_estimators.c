/* SPDX-License-Identifier: MIT */
/* Bias of every stochastic gradient against the exact one: what `regatta check-gradients` prints.
 */
#include "experiments/program/gradients/gradient_rows.h"
#include "language.h"

#include <math.h>
#include <string.h>

TestSuite(estimators, .init = scratch_begin, .timeout = 120);

static const char config[] = "name = \"estimators\";\nseeds = [3];\n"
                             "environment: { type = \"bandit\"; contexts = 2; responses = 4; "
                             "pairs = 160; label_noise = 0.1; };\n"
                             "policy: { type = \"tabular\"; };\n"
                             "optimizer: { learning_rate = 0.1; };\n"
                             "training: { batch = 16; };\nbudget: { steps = 1; };\n"
                             "algorithms = ( { type = \"%s\"; %s } );\n";

typedef struct Rows {
    RgGradientRow row[8];
    int count;
} Rows;

static void keep(const RgGradientRow *row, void *context) {
    Rows *rows = context;
    rows->row[rows->count++] = *row;
}

static Rows measure_config(const char *text, int64_t samples, double deviation) {
    RgError error = {0};
    RgExperiment *experiment;
    Rows rows = {0};
    const char *path = scratch_write("estimators.cfg", text);
    cr_assert(rg_experiment_open(path, NULL, 0, &experiment, &error) == RG_OK, "%s", error.text);
    cr_assert(rg_gradient_rows(experiment, samples, deviation, keep, &rows, &error) == RG_OK, "%s",
              error.text);
    rg_experiment_close(experiment);
    return rows;
}

static Rows measure_at(const char *algorithm, int64_t samples, double deviation) {
    char text[1024];
    bool trains = strcmp(algorithm, "base") != 0;
    snprintf(text, sizeof text, config, algorithm, trains ? "beta = 0.5;" : "");
    return measure_config(text, samples, deviation);
}

static Rows measure(const char *algorithm, int64_t samples) {
    return measure_at(algorithm, samples, 0.7);
}

static const RgGradientRow *variant(const Rows *rows, const char *name) {
    for (int i = 0; i < rows->count; i++)
        if (strcmp(rows->row[i].variant, name) == 0)
            return &rows->row[i];
    cr_assert_fail("no row %s", name);
    return NULL;
}

/* The mean of N gradients lies within 4 standard errors of the exact one in every coordinate. */
static void check_unbiased(const RgGradientRow *row) {
    cr_assert_lt(row->worst, 4, "%s %s: a coordinate is %g standard errors off", row->algorithm,
                 row->variant, row->worst);
}

static void check_biased(const RgGradientRow *row) {
    cr_assert_gt(row->worst, 6, "%s %s: only %g standard errors off", row->algorithm, row->variant,
                 row->worst);
}

Test(estimators, dpo_is_unbiased) {
    Rows rows = measure("dpo", 2000);
    cr_assert_eq(rows.count, 1);
    check_unbiased(&rows.row[0]);
}

Test(estimators, online_dpo_drops_the_response_term) {
    Rows rows = measure("online-dpo", 20000);
    check_biased(&rows.row[0]);
}

Test(estimators, sail_dp_exact_and_baseline_are_unbiased) {
    Rows rows = measure("sail-dp", 20000);
    check_unbiased(variant(&rows, "exact"));
    check_unbiased(variant(&rows, "baseline"));
    check_biased(variant(&rows, "none"));
}

Test(estimators, sail_pp_exact_and_baseline_are_unbiased_and_released_is_not) {
    Rows rows = measure("sail-pp", 20000);
    check_unbiased(variant(&rows, "exact"));
    check_unbiased(variant(&rows, "baseline"));
    check_biased(variant(&rows, "released"));
}

Test(estimators, sail_pr_exact_and_baseline_are_unbiased_and_released_is_not) {
    Rows rows = measure("sail-pr", 20000);
    check_unbiased(variant(&rows, "exact"));
    check_unbiased(variant(&rows, "baseline"));
    check_biased(variant(&rows, "released"));
    check_biased(variant(&rows, "none"));
}

Test(estimators, a_baseline_takes_variance_away) {
    Rows rows = measure("sail-pr", 2000);
    cr_assert_lt(variant(&rows, "baseline")->variance, 0.5 * variant(&rows, "exact")->variance);
}

/* At the reference SAIL-PP's objective, and SAIL-DP's, are at a stationary point. */
Test(estimators, of_a_gradient_that_is_none_nothing_is_a_multiple) {
    static const char *const still[] = {"sail-dp", "sail-pp"};
    for (int k = 0; k < 2; k++) {
        Rows rows = measure_at(still[k], 50, 0);
        for (int i = 0; i < rows.count; i++) {
            const RgGradientRow *row = &rows.row[i];
            cr_expect(isnan(row->bias) && isnan(row->noise) && isnan(row->variance) &&
                          isnan(row->cosine),
                      "%s %s: %g %g %g %g", row->algorithm, row->variant, row->bias, row->noise,
                      row->variance, row->cosine);
            cr_expect(isfinite(row->worst) && isfinite(row->norm));
        }
    }
    cr_expect(isfinite(measure_at("dpo", 50, 0).row[0].bias), "this has a gradient there");
}

Test(estimators, algorithms_without_a_gradient_have_no_row) {
    cr_assert_eq(measure("base", 2).count, 0);
}

/* ---- on a language ---- */

static const char language_config[] =
    "name = \"estimators\";\nseeds = [3];\n"
    "environment: { type = \"language\"; language = \"%s\"; groups = 30; label_noise = 0.1; };\n"
    "policy: { %s };\n"
    "optimizer: { learning_rate = 0.1; };\n"
    "training: { batch = 16; };\nbudget: { steps = 1; };\n"
    "algorithms = ( { type = \"%s\"; beta = 0.5; }%s );\n";
static const char bigram[] = "type = \"bigram\";";
static const char transformer[] =
    "type = \"transformer\"; layers = 1; width = 8; heads = 2; hidden = 8; context = 4; "
    "positions = \"learned\"; initial_deviation = 0.4;";

static Rows measure_language(const char *policy, const char *algorithm, const char *others,
                             int64_t samples, double deviation) {
    char text[2048];
    const char *path = scratch_write("small.language", small_language);
    snprintf(text, sizeof text, language_config, path, policy, algorithm, others);
    return measure_config(text, samples, deviation);
}

Test(estimators, of_a_bigram_are_as_biased_as_of_a_table) {
    Rows rows = measure_language(bigram, "sail-dp", "", 20000, 0.7);
    check_unbiased(variant(&rows, "exact"));
    check_unbiased(variant(&rows, "baseline"));
    check_biased(variant(&rows, "none"));
    rows = measure_language(bigram, "sail-pp", "", 20000, 0.7);
    check_unbiased(variant(&rows, "baseline"));
    check_biased(variant(&rows, "released"));
    rows = measure_language(bigram, "sail-pr", "", 20000, 0.7);
    check_unbiased(variant(&rows, "exact"));
    check_unbiased(variant(&rows, "baseline"));
    check_biased(variant(&rows, "released"));
    check_biased(variant(&rows, "none"));
    rows = measure_language(bigram, "dpo", "", 2000, 0.7);
    check_unbiased(&rows.row[0]);
}

/* Its coordinates are hundreds, of which some are far off by chance: the whole is looked at. */
Test(estimators, of_a_transformer_are_as_biased_as_of_a_table) {
    Rows rows = measure_language(transformer, "sail-pr", "", 10000, 0.3);
    const RgGradientRow *baseline = variant(&rows, "baseline"), *none = variant(&rows, "none");
    cr_expect_lt(baseline->bias, 2 * baseline->noise);
    cr_expect_gt(baseline->cosine, 0.99);
    cr_expect_gt(none->bias, 5 * none->noise);
    rows = measure_language(transformer, "dpo", "", 2000, 0.3);
    cr_expect_lt(rows.row[0].bias, 2 * rows.row[0].noise);
    cr_expect_gt(rows.row[0].cosine, 0.99);
}

Test(estimators, of_parl_are_left_out_on_a_language_and_refused_alone) {
    Rows rows = measure_language(bigram, "dpo", ", { type = \"parl\"; }", 2, 0.7);
    cr_expect_eq(rows.count, 1);
    char text[2048];
    RgError error = {0};
    RgExperiment *experiment;
    snprintf(text, sizeof text, language_config, scratch("small.language"), bigram, "parl", "");
    cr_assert_eq(rg_experiment_open(scratch_write("parl.cfg", text), NULL, 0, &experiment, &error),
                 RG_OK, "%s", error.text);
    cr_expect_eq(rg_gradient_rows(experiment, 2, 0.7, keep, &rows, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "\"bandit\" or \"mdp\""), "%s", error.text);
    rg_experiment_close(experiment);
}
