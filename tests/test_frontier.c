/* SPDX-License-Identifier: MIT */
/* Frontiers and equal budgets of synthetic stores, whose divergence is linear in the step and whose
 * cost is too: every figure has a closed form. */
#include "tests/results_fixture.h"

#include "analysis/compare/equal_budget.h"
#include "analysis/compare/frontier.h"

#include <sqlite3.h>

TestSuite(frontier, .init = scratch_begin);
TestSuite(budget, .init = scratch_begin);

static RgResults *open_results(const char *path) {
    RgResults *results;
    RgError error = {0};
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    return results;
}

static void write_statement(const char *path, const char *statement) {
    sqlite3 *database;
    char *message = NULL;
    cr_assert_eq(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_exec(database, statement, NULL, NULL, &message);
    cr_assert_null(message, "%s", message);
    sqlite3_close(database);
}

/* ---- the frontier ---- */

Test(frontier, optimal_points_are_those_that_nothing_beats) {
    const double x[] = {0, 1, 2, 2, 3, 1, NAN, 4}, y[] = {0, 2, 2, 3, 3, 2, 9, 1};
    const bool expected[] = {true, true, false, true, false, true, false, false};
    bool optimal[8];
    rg_pareto(x, y, 8, optimal);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(optimal[i], expected[i], "point %d", i);
}

/* The fixture's divergence is 4·quality·step/200 for every seed, its rewards grow with the quality:
 * all steps of all methods, SAIL-PR over its three finished seeds. */
Test(frontier, points_are_means_over_seeds_at_every_evaluation) {
    char *path = fixture_methods();
    RgResults *results = open_results(path);
    RgFrontier *frontier;
    RgError error = {0};
    fixture_check(rg_frontier_create(results, NULL, NULL, &frontier, &error), &error);
    enum { STEPS = FIXTURE_STEPS / FIXTURE_EVERY + 1 };
    cr_assert_eq(frontier->count, 3 * STEPS);
    const double qualities[] = {0.5, 0.9, 1.1};
    bool some = false, all = true;
    for (int i = 0; i < frontier->count; i++) {
        const RgFrontierPoint *p = &frontier->points[i];
        double mean = 0;
        int seeds = i / STEPS == 2 ? 3 : 4;
        for (int seed = 1; seed <= seeds; seed++) {
            FixtureTrial trial = {
                .label = p->group->label, .seed = seed, .quality = qualities[i / STEPS]};
            for (int item = 0; item < FIXTURE_ITEMS; item++)
                mean += fixture_reward(&trial, (int)p->step, item) / (seeds * FIXTURE_ITEMS);
        }
        cr_assert_eq(p->step, i % STEPS * FIXTURE_EVERY);
        cr_assert_eq(p->y.summary.count, seeds);
        cr_assert_float_eq(p->x.summary.mean, 4 * qualities[i / STEPS] * (double)p->step / 200,
                           1e-12);
        cr_assert_float_eq(p->y.summary.mean, mean, 1e-9);
        cr_assert(p->y.interval.low < mean && mean < p->y.interval.high);
        cr_assert_eq(p->last, i % STEPS == STEPS - 1);
        some |= p->optimal;
        all &= p->optimal;
    }
    cr_assert(some && !all);
    rg_frontier_destroy(frontier);
    rg_results_close(results);
    free(path);
}

Test(frontier, a_step_that_one_seed_lacks_is_no_point) {
    char *path = fixture_methods();
    write_statement(path, "DELETE FROM metrics WHERE trial = 1 AND step = 50 AND name = 'eval/kl'");
    RgResults *results = open_results(path);
    RgFrontier *frontier;
    RgError error = {0};
    fixture_check(rg_frontier_create(results, "kl", "reward", &frontier, &error), &error);
    for (int i = 0; i < frontier->count; i++)
        cr_assert(strcmp(frontier->points[i].group->label, "DPO") != 0 ||
                  frontier->points[i].step != 50);
    rg_frontier_destroy(frontier);
    cr_assert_eq(rg_frontier_create(results, "kll", NULL, &frontier, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "did you mean \"kl\"?"), "%s", error.text);
    rg_results_close(results);
    free(path);
}

static char *frontier_text(const char *path, RgTableFormat format) {
    char *text;
    size_t size;
    RgError error = {0};
    RgFrontierOptions options = {
        .store = path, .format = format, .out = open_memstream(&text, &size)};
    fixture_check(rg_frontier(&options, &error), &error);
    fclose(options.out);
    return text;
}

Test(frontier, csv_and_text_tell_the_points) {
    char *path = fixture_methods(), *csv = frontier_text(path, RG_TABLE_CSV);
    char *text = frontier_text(path, RG_TABLE_MARKDOWN);
    cr_assert(strstr(csv, "method,step,seeds,kl,kl_low,kl_high,reward,"), "%s", csv);
    cr_assert(strstr(csv, "\nDPO,200,4,2,,,"), "%s", csv);
    cr_assert(strstr(text, "| DPO | 200 | 4 | 2 |"), "%s", text);
    cr_assert(strstr(text, "| yes |"), "%s", text);
    free(text);
    free(csv);
    free(path);
}

Test(frontier, few_seeds_are_told) {
    char *methods = fixture_methods(), *text = frontier_text(methods, RG_TABLE_TEXT);
    char *grid = fixture_grid(), *json = frontier_text(grid, RG_TABLE_JSON);
    cr_assert(strstr(text, "\n3 seeds: the spread over seeds is hardly known"), "%s", text);
    cr_assert(strstr(json, "\"One seed: the intervals and p-values cover other prompts"), "%s",
              json);
    free(json);
    free(grid);
    free(text);
    free(methods);
}

/* ---- equal budgets ---- */

Test(budget, curves_are_linear_between_evaluations_and_end_where_they_end) {
    const double x[] = {1, 2, 2, 4}, y[] = {10, 20, 30, 50};
    cr_assert_float_eq(rg_interpolate(x, y, 4, 1.25), 12.5, 1e-15);
    cr_assert_float_eq(rg_interpolate(x, y, 4, 3), 40, 1e-15);
    cr_assert_eq(rg_interpolate(x, y, 4, 1), 10);
    cr_assert_eq(rg_interpolate(x, y, 4, 2), 30, "the last evaluation of that spending");
    cr_assert_eq(rg_interpolate(x, y, 4, 4), 50);
    cr_assert(isnan(rg_interpolate(x, y, 4, 0.99)));
    cr_assert(isnan(rg_interpolate(x, y, 4, 4.01)));
    cr_assert(isnan(rg_interpolate(x, y, 0, 1)));
}

/* Spending is 2.5·10⁹·speed a step and the divergence 0.02·quality a step: at spending s it is
 * s·0.02·quality/(2.5·10⁹·speed), and DPO, the cheapest, sets the common end, 5·10¹¹. */
Test(budget, methods_are_read_off_at_what_the_cheapest_spends) {
    char *path = fixture_methods();
    RgResults *results = open_results(path);
    RgBudget *budget;
    RgError error = {0};
    fixture_check(rg_budget_create(results, "flops", "kl", 4, &budget, &error), &error);
    const double qualities[] = {0.5, 0.9, 1.1}, speeds[] = {1, 2.6, 1.5};
    cr_assert_eq(budget->row_count, 3);
    for (int row = 0; row < 3; row++)
        for (int p = 0; p < 4; p++) {
            const RgMean *cell = &budget->cells[row * 4 + p];
            double spent = 5e11 * p / 3;
            cr_assert_float_eq(budget->spent[p], spent, 1e-3);
            cr_assert_float_eq(cell->summary.mean,
                               spent * 0.02 * qualities[row] / (2.5e9 * speeds[row]), 1e-9);
            cr_assert_eq(cell->summary.count, row == 2 ? 3 : 4);
            cr_assert(isnan(cell->interval.low), "seeds that are all alike tell of no spread");
        }
    rg_budget_destroy(budget);
    rg_results_close(results);
    free(path);
}

/* DPO asks no judge: it has no curve over judge queries. */
Test(budget, a_method_that_spends_nothing_has_no_row) {
    char *path = fixture_methods();
    RgResults *results = open_results(path);
    RgBudget *budget;
    RgError error = {0};
    fixture_check(rg_budget_create(results, "judge_queries", "reward", 2, &budget, &error), &error);
    cr_assert_eq(budget->row_count, 2);
    cr_assert_str_eq(budget->rows[0]->label, "online DPO");
    cr_assert_eq(budget->spent[1], 8 * FIXTURE_STEPS);
    rg_budget_destroy(budget);
    rg_results_close(results);
    free(path);
}

Test(budget, a_method_without_a_curve_is_named) {
    char *path = fixture_methods(), *text;
    size_t size;
    RgError error = {0};
    RgEqualBudgetOptions options = {
        .store = path, .x = "judge_queries", .out = open_memstream(&text, &size)};
    fixture_check(rg_budget(&options, &error), &error);
    fclose(options.out);
    cr_assert(strstr(text, "without a curve of reward over judge_queries: DPO\n"), "%s", text);
    cr_assert(strstr(text, "\n3 seeds: the spread over seeds is hardly known"), "%s", text);
    free(text);
    free(path);
}

static void refused(const RgResults *results, const char *cost, const char *metric,
                    const char *part) {
    RgBudget *budget;
    RgError error = {0};
    cr_assert_eq(rg_budget_create(results, cost, metric, 2, &budget, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, part), "no \"%s\" in: %s", part, error.text);
}

Test(budget, what_has_no_common_spending_is_refused) {
    char *path = fixture_methods();
    RgResults *results = open_results(path);
    refused(results, "hessian_products", "reward", "no method spends any Hessian products");
    refused(results, "flop", "reward", "did you mean \"flops\"?");
    refused(results, "kl", "reward", "is a metric, expected a cost");
    rg_results_close(results);
    write_statement(path, "UPDATE readings SET flops = flops + 1e15 WHERE trial <= 4");
    results = open_results(path);
    refused(results, "flops", "reward", "no common range");
    rg_results_close(results);
    free(path);
}

Test(budget, table_has_a_column_for_each_spending_point) {
    char *path = fixture_methods(), *text;
    size_t size;
    RgError error = {0};
    RgEqualBudgetOptions options = {.store = path,
                                    .x = "step",
                                    .y = "kl",
                                    .points = 3,
                                    .format = RG_TABLE_MARKDOWN,
                                    .out = open_memstream(&text, &size)};
    fixture_check(rg_budget(&options, &error), &error);
    fclose(options.out);
    cr_assert(strstr(text, "nats, at step | 0 | 100 | 200 |"), "%s", text);
    cr_assert(strstr(text, "| DPO | 0 | 1 | 2 |"), "%s", text);
    free(text);
    free(path);
}
