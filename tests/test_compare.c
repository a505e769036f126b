/* SPDX-License-Identifier: MIT */
/* Paired comparisons: estimates against counts made here, pairing by seed, and the outputs. */
#include "tests/results_fixture.h"

#include "analysis/compare/compare.h"

#include <jansson.h>
#include <sqlite3.h>

TestSuite(compare, .init = scratch_begin);

/* A of the fixture's methods against B; what a test does not set is the default. */
static RgComparison compare(const char *path, RgCompareOptions options) {
    RgError error = {0};
    RgResults *results;
    RgComparison comparison;
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    fixture_check(rg_comparison_make(results, &options, &comparison, &error), &error);
    rg_results_close(results); /* a, b and metric are not looked at by the tests */
    return comparison;
}

/* Count wins over the three seeds that both finished, from the fixture's own formula. */
Test(compare, win_rate_is_the_count_of_pairs_won) {
    char *path = fixture_methods();
    int wins = 0;
    for (int seed = 1; seed <= 3; seed++)
        for (int i = 0; i < FIXTURE_ITEMS; i++) {
            FixtureTrial a = {.label = "SAIL-PR", .seed = seed, .quality = 1.1};
            FixtureTrial b = {.label = "DPO", .seed = seed, .quality = 0.5};
            wins += fixture_reward(&a, FIXTURE_STEPS, i) > fixture_reward(&b, FIXTURE_STEPS, i);
        }
    RgComparison c = compare(path, (RgCompareOptions){.a = "SAIL-PR", .b = "DPO"});
    cr_assert(c.seeds == 3 && c.items == FIXTURE_ITEMS, "seed 4 of SAIL-PR diverged");
    cr_assert_eq(c.wins, wins);
    cr_assert_eq(c.wins + c.ties + c.losses, 3 * FIXTURE_ITEMS);
    cr_assert_float_eq(c.estimate.value, (double)wins / (3 * FIXTURE_ITEMS), 1e-12);
    free(path);
}

/* A has seeds 1, 2, 3 and B has 3, 2: the two in common must meet each other, whatever their
 * places.
 */
Test(compare, pairs_are_of_the_same_seed) {
    char *path = fixture_path("seeds.sqlite");
    int64_t experiment;
    int wins = 0;
    RgStore *store = fixture_open(path, "seeds", &experiment);
    FixtureTrial a = {"sail", "A", "{}", "finished", NULL, 1, 1, 1, 25, false, true};
    FixtureTrial b = {"dpo", "B", "{}", "finished", NULL, 3, 0.8, 1, 25, false, true};
    for (a.seed = 1; a.seed <= 3; a.seed++)
        fixture_trial(store, experiment, &a);
    for (b.seed = 3; b.seed >= 2; b.seed--)
        fixture_trial(store, experiment, &b);
    rg_store_close(store);
    for (a.seed = b.seed = 2; a.seed <= 3; a.seed++, b.seed++)
        for (int i = 0; i < FIXTURE_ITEMS; i++)
            wins += fixture_reward(&a, 25, i) > fixture_reward(&b, 25, i);
    RgComparison c = compare(path, (RgCompareOptions){.a = "A", .b = "B"});
    cr_assert_eq(c.seeds, 2);
    cr_assert_eq(c.wins, wins);
    free(path);
}

Test(compare, turning_the_two_around_turns_the_estimate_around) {
    char *path = fixture_methods();
    RgComparison ab = compare(path, (RgCompareOptions){.a = "SAIL-PR", .b = "DPO"});
    RgComparison ba = compare(path, (RgCompareOptions){.a = "DPO", .b = "SAIL-PR"});
    cr_assert_float_eq(ab.estimate.value + ba.estimate.value, 1, 1e-12);
    cr_assert_float_eq(ab.estimate.interval.low + ba.estimate.interval.high, 1, 1e-12);
    cr_assert_float_eq(ab.estimate.p_value, ba.estimate.p_value, 1e-12);
    free(path);
}

Test(compare, a_method_ties_with_itself) {
    char *path = fixture_methods();
    RgError error = {0};
    RgResults *results;
    RgComparison c;
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    const RgGroup *dpo = &results->groups[0];
    cr_assert(rg_comparison_of_groups(results, dpo, dpo, "reward", true, &c));
    cr_assert_eq(c.ties, 4 * FIXTURE_ITEMS);
    cr_assert_eq(c.estimate.value, 0.5);
    cr_assert_eq(c.estimate.p_value, 1);
    rg_results_close(results);
    free(path);
}

/* Rewards of all methods share the prompt's own level, which pairing removes: the spread of the
 * difference must stay well below that of the rewards. */
Test(compare, pairing_removes_what_prompts_have_in_common) {
    char *path = fixture_methods();
    RgComparison c =
        compare(path, (RgCompareOptions){.a = "SAIL-PR", .b = "DPO", .metric = "reward"});
    cr_assert_not(c.win);
    cr_assert(c.estimate.interval.low > 0, "a gain of 0.57 in reward must show");
    cr_assert(fabs(c.estimate.value - 0.6 * (1 - exp(-3))) < 0.25);
    cr_assert(c.estimate.standard_error < 0.15);
    free(path);
}

Test(compare, another_judge_can_decide_the_win) {
    char *path = fixture_methods();
    RgComparison c = compare(
        path, (RgCompareOptions){.a = "SAIL-PR", .b = "DPO", .judge = "independent_reward"});
    RgComparison gold = compare(path, (RgCompareOptions){.a = "SAIL-PR", .b = "DPO"});
    cr_assert(c.win && c.wins > gold.wins, "it rewards quality twice");
    free(path);
}

static char *output(const char *path, RgTableFormat format) {
    char *text;
    size_t size;
    RgError error = {0};
    RgCompareOptions options = {.store = path,
                                .a = "SAIL-PR",
                                .b = "DPO",
                                .format = format,
                                .out = open_memstream(&text, &size)};
    fixture_check(rg_compare(&options, &error), &error);
    fclose(options.out);
    return text;
}

Test(compare, json_holds_what_the_text_says) {
    char *path = fixture_methods(), *text = output(path, RG_TABLE_TEXT);
    char *json = output(path, RG_TABLE_JSON), wins[64];
    json_t *root = json_loads(json, 0, NULL);
    cr_assert(root, "%s", json);
    cr_assert_eq(json_array_size(json_object_get(root, "interval_95")), 2);
    snprintf(wins, sizeof wins, "%d wins, ",
             (int)json_integer_value(json_object_get(root, "wins")));
    cr_assert(strstr(text, wins), "%s", text);
    cr_assert(strstr(text, "P(SAIL-PR beats DPO)"), "%s", text);
    json_decref(root);
    free(json);
    free(text);
    free(path);
}

static void refused(const char *path, RgCompareOptions options, const char *part) {
    RgError error = {0};
    options.store = path;
    options.out = stdout;
    cr_assert_eq(rg_compare(&options, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, part), "no \"%s\" in: %s", part, error.text);
}

Test(compare, what_cannot_be_compared_is_refused_with_a_hint) {
    char *path = fixture_methods(), *sweep = fixture_sweep();
    refused(path, (RgCompareOptions){.a = "SAIL-RP", .b = "DPO"}, "did you mean \"SAIL-PR\"?");
    refused(path, (RgCompareOptions){.a = "DPO", .b = "DPO"},
            "\"DPO\" cannot be compared with itself");
    refused(path, (RgCompareOptions){.a = "SAIL-PR", .b = "DPO", .metric = "rewards"},
            "did you mean \"reward\"?");
    refused(sweep, (RgCompareOptions){.a = "SAIL-PP", .b = "DPO"}, "was swept");
    refused(sweep, (RgCompareOptions){.a = "SAIL-PP, exploration 0.3", .b = "DPO"},
            "share no prompt");
    free(sweep);
    free(path);
}

Test(compare, a_swept_row_is_named_in_full) {
    char *path = fixture_sweep();
    RgComparison c = compare(
        path, (RgCompareOptions){.a = "SAIL-PP, exploration 0.3", .b = "SAIL-PP, exploration 0"});
    cr_assert_eq(c.seeds, 3);
    cr_assert_eq(c.estimate.value, 1, "same noise, higher quality");
    free(path);
}

/* ---- families ---- */

static RgFamily family(const RgResults *results, const char *against) {
    RgFamily family;
    RgError error = {0};
    RgCompareOptions options = {.against = against};
    fixture_check(rg_family_make(results, &options, &family, &error), &error);
    return family;
}

/* Each p-value is that of the comparison alone, and the adjusted ones are the smallest times the
 * number of tests and so on, worked out here for two. */
Test(compare, family_against_one_adjusts_the_p_values_of_its_comparisons) {
    char *path = fixture_methods();
    RgError error = {0};
    RgResults *results;
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    RgFamily f = family(results, "SAIL-PR");
    cr_assert_eq(f.count, 2);
    double p[2];
    for (int i = 0; i < 2; i++) {
        const char *a = i == 0 ? "DPO" : "online DPO";
        RgComparison c = compare(path, (RgCompareOptions){.a = a, .b = "SAIL-PR"});
        cr_assert_str_eq(f.comparisons[i].a->name, a);
        cr_assert_str_eq(f.comparisons[i].b->name, "SAIL-PR");
        cr_assert_eq(f.comparisons[i].estimate.p_value, c.estimate.p_value);
        p[i] = c.estimate.p_value;
    }
    int first = p[0] <= p[1] ? 0 : 1;
    cr_assert_neq(p[0], p[1]);
    cr_assert_float_eq(f.comparisons[first].adjusted_p, fmin(1, 2 * p[first]), 1e-15);
    cr_assert_float_eq(f.comparisons[1 - first].adjusted_p,
                       fmax(fmin(1, 2 * p[first]), p[1 - first]), 1e-15);
    rg_family_free(&f);
    f = family(results, NULL);
    cr_assert_eq(f.count, 3, "all pairs");
    rg_family_free(&f);
    rg_results_close(results);
    free(path);
}

Test(compare, family_names_the_pairs_that_share_nothing) {
    char *path = fixture_sweep();
    RgError error = {0};
    RgResults *results;
    RgFamily f;
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    f = family(results, NULL);
    cr_assert_eq(f.count, 6, "of four settings");
    cr_assert_eq(f.notes.count, 5, "each of them and DPO, which has nothing by prompt; few seeds");
    cr_assert(strstr(f.notes.at[0], "DPO"), "%s", f.notes.at[0]);
    rg_family_free(&f);
    rg_results_close(results);
    refused(path, (RgCompareOptions){.against = "DPO"}, "nothing to compare");
    refused(path, (RgCompareOptions){.against = "DPOO"}, "did you mean \"DPO\"?");
    free(path);
}

/* Of the nine pairs of a seed with a seed, how often is SAIL-PR's mean reward larger? */
Test(compare, improvement_compares_every_seed_with_every_seed) {
    char *path = fixture_methods();
    double means[2][3] = {{0}}, above = 0;
    for (int seed = 1; seed <= 3; seed++)
        for (int i = 0; i < FIXTURE_ITEMS; i++) {
            FixtureTrial a = {.label = "SAIL-PR", .seed = seed, .quality = 1.1};
            FixtureTrial b = {.label = "online DPO", .seed = seed, .quality = 0.9};
            means[0][seed - 1] += fixture_reward(&a, FIXTURE_STEPS, i);
            means[1][seed - 1] += fixture_reward(&b, FIXTURE_STEPS, i);
        }
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            above += means[0][i] > means[1][j];
    RgComparison c = compare(path, (RgCompareOptions){.a = "SAIL-PR", .b = "online DPO"});
    cr_assert_float_eq(c.improvement.value, above / 9, 1e-12);
    free(path);
}

static char *family_output(const char *path, RgTableFormat format) {
    char *text;
    size_t size;
    RgError error = {0};
    RgCompareOptions options = {
        .store = path, .against = "DPO", .format = format, .out = open_memstream(&text, &size)};
    fixture_check(rg_compare(&options, &error), &error);
    fclose(options.out);
    return text;
}

Test(compare, family_is_written_as_table_and_as_records) {
    char *path = fixture_methods(), *markdown = family_output(path, RG_TABLE_MARKDOWN);
    char *json = family_output(path, RG_TABLE_JSON), *csv = family_output(path, RG_TABLE_CSV);
    cr_assert(strstr(markdown, "| p, Holm |"), "%s", markdown);
    cr_assert(strstr(markdown, "| online DPO | DPO |"), "%s", markdown);
    cr_assert(strstr(csv, ",p_value,p_holm,"), "%s", csv);
    json_t *root = json_loads(json, 0, NULL), *rows = json_object_get(root, "rows");
    cr_assert_eq(json_array_size(rows), 2, "%s", json);
    for (size_t i = 0; i < 2; i++) {
        const json_t *row = json_array_get(rows, i);
        cr_assert(json_number_value(json_object_get(row, "p_holm")) >=
                  json_number_value(json_object_get(row, "p_value")));
    }
    json_decref(root);
    free(csv);
    free(json);
    free(markdown);
    free(path);
}

Test(compare, few_seeds_are_warned_of) {
    char *path = fixture_methods(), *text = output(path, RG_TABLE_TEXT);
    char *markdown = family_output(path, RG_TABLE_MARKDOWN);
    cr_assert(strstr(text, "\n3 seeds: the spread over seeds is hardly known"), "%s", text);
    cr_assert(strstr(markdown, "3 seeds: the spread over seeds is hardly known"), "%s", markdown);
    free(markdown);
    free(text);
    free(path);
}

/* Where each seed draws its own environment, prompts are not crossed with seeds: the interval is
 * Student's over the three seeds' means. */
Test(compare, prompts_of_each_seeds_own_leave_the_test_to_the_seeds) {
    char *path = fixture_methods();
    double means[3] = {0};
    sqlite3 *database;
    cr_assert_eq(sqlite3_open(path, &database), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(database,
                              "UPDATE trials SET config = "
                              "'{\"environment.type\": \"bandit\", \"environment.seed\": -1}'",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(database);
    for (int seed = 1; seed <= 3; seed++)
        for (int i = 0; i < FIXTURE_ITEMS; i++) {
            FixtureTrial a = {.label = "SAIL-PR", .seed = seed, .quality = 1.1};
            FixtureTrial b = {.label = "DPO", .seed = seed, .quality = 0.5};
            means[seed - 1] +=
                (fixture_reward(&a, FIXTURE_STEPS, i) - fixture_reward(&b, FIXTURE_STEPS, i)) /
                FIXTURE_ITEMS;
        }
    RgEstimate expected = rg_estimate_mean(means, 3, 1, false, 0);
    RgComparison c =
        compare(path, (RgCompareOptions){.a = "SAIL-PR", .b = "DPO", .metric = "reward"});
    cr_assert_float_eq(c.estimate.interval.low, expected.interval.low, 1e-9);
    cr_assert_float_eq(c.estimate.p_value, expected.p_value, 1e-9);
    free(path);
}
