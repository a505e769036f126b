/* SPDX-License-Identifier: MIT */
/* Cells of a swept experiment, comparisons within them, and maps: a store of two methods over two
 * options, in which what a cell has to give is that of the same methods named in full. */
#include "tests/results_fixture.h"

#include "analysis/compare/compare.h"
#include "analysis/compare/difference.h"
#include "analysis/figures/figure_map.h"
#include "analysis/figures/plot.h"
#include "analysis/store/swept.h"

TestSuite(swept, .init = scratch_begin);

static const double sizes[] = {200, 1000}, betas[] = {0.5, 0.1, 1};

static void add_trials(RgStore *store, int64_t experiment, const char *algorithm, const char *label,
                       const char *swept, double quality) {
    for (int seed = 1; seed <= 3; seed++) {
        FixtureTrial trial = {.algorithm = algorithm,
                              .label = label,
                              .swept = swept,
                              .status = "finished",
                              .seed = seed,
                              .quality = quality,
                              .speed = 1,
                              .steps = 50,
                              .items = true};
        fixture_trial(store, experiment, &trial);
    }
}

/* DPO and SAIL-PR over pairs and beta, and a base that was not swept. */
static char *write_store(void) {
    char *path = fixture_path("swept.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "swept", &experiment);
    for (int s = 0; s < 2; s++)
        for (int b = 0; b < 3; b++) {
            char swept[80];
            snprintf(swept, sizeof swept, "{\"environment.pairs\": %g, \"algorithm.beta\": %g}",
                     sizes[s], betas[b]);
            add_trials(store, experiment, "dpo", "DPO", swept, 0.3 + 0.1 * s);
            add_trials(store, experiment, "sail", "SAIL-PR", swept, 0.3 + 0.4 * b * s);
        }
    add_trials(store, experiment, "base", "base", "{}", 0);
    rg_store_close(store);
    return path;
}

static RgResults *open_store(char **path) {
    RgResults *results;
    RgError error = {0};
    *path = write_store();
    fixture_check(rg_results_open(*path, NULL, &results, &error), &error);
    return results;
}

static void close_store(RgResults *results, char *path) {
    rg_results_close(results);
    free(path);
}

static RgSweptCells *cells_by(const RgResults *results, const char *list) {
    RgSweptCells *cells;
    RgError error = {0};
    const RgBy by = {(const char *[]){list}, 1};
    fixture_check(rg_swept_cells_create(results, &by, &cells, &error), &error);
    return cells;
}

static void refused(const RgResults *results, const char *list, const char *words) {
    RgSweptCells *cells;
    RgError error = {0};
    const RgBy by = {(const char *[]){list}, 1};
    cr_expect_eq(rg_swept_cells_create(results, &by, &cells, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, words), "%s", error.text);
    cr_expect_null(cells);
}

/* ---- cells ---- */

Test(swept, cells_are_the_combinations_in_the_order_of_their_values) {
    char *path;
    RgResults *results = open_store(&path);
    RgSweptCells *cells = cells_by(results, "pairs,beta");
    static const char *const names[] = {"pairs 200, beta 0.1",  "pairs 200, beta 0.5",
                                        "pairs 200, beta 1",    "pairs 1000, beta 0.1",
                                        "pairs 1000, beta 0.5", "pairs 1000, beta 1"};
    cr_assert_eq(cells->count, 6);
    for (int i = 0; i < 6; i++) {
        const RgResults *cell = cells->at[i].results;
        cr_expect_str_eq(cells->at[i].name, names[i]);
        cr_assert_eq(cell->group_count, 3, "two methods, and one that was not swept");
        cr_expect_str_eq(cell->groups[0].name, "DPO");
        cr_expect_str_eq(cell->groups[1].name, "SAIL-PR");
        cr_expect_str_eq(cell->groups[2].name, "base");
    }
    rg_swept_cells_destroy(cells);
    close_store(results, path);
}

Test(swept, options_that_are_not_asked_for_stay_in_the_names) {
    char *path;
    RgResults *results = open_store(&path);
    RgSweptCells *cells = cells_by(results, "environment.pairs");
    cr_assert_eq(cells->count, 2);
    cr_assert_eq(cells->at[0].results->group_count, 7);
    cr_expect_str_eq(cells->at[0].results->groups[0].name, "DPO, beta 0.1");
    rg_swept_cells_destroy(cells);
    cells = NULL;
    RgError error = {0};
    fixture_check(rg_swept_cells_create(results, &(const RgBy){0}, &cells, &error), &error);
    cr_assert_eq(cells->count, 1);
    cr_expect_eq(cells->at[0].results, results, "the experiment itself");
    rg_swept_cells_destroy(cells);
    close_store(results, path);
}

Test(swept, unknown_and_repeated_options_are_refused) {
    char *path;
    RgResults *results = open_store(&path);
    refused(results, "pear", "unknown swept option \"pear\"");
    refused(results, "beta,beta", "twice");
    refused(results, "beta,", "unknown swept option \"\"");
    close_store(results, path);
    path = fixture_methods();
    RgError error = {0};
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    refused(results, "beta", "nothing was swept");
    close_store(results, path);
}

Test(swept, options_that_no_method_has_together_make_no_cell) {
    char *path = fixture_path("apart.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "apart", &experiment);
    add_trials(store, experiment, "dpo", "DPO", "{\"beta\": 1}", 0.3);
    add_trials(store, experiment, "sail", "SAIL-PR", "{\"mixture\": 1}", 0.3);
    rg_store_close(store);
    RgResults *results;
    RgError error = {0};
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    refused(results, "beta,mixture", "no method was swept over all options");
    close_store(results, path);
}

/* ---- comparisons ---- */

static RgComparison compare_full(const RgResults *results, const char *a, const char *b) {
    RgComparison c;
    RgError error = {0};
    RgCompareOptions options = {.a = a, .b = b, .metric = "reward"};
    fixture_check(rg_comparison_make(results, &options, &c, &error), &error);
    return c;
}

static RgFamily family_of(const RgSweptCell *cell) {
    RgFamily family;
    RgError error = {0};
    RgCompareOptions options = {.against = "DPO", .metric = "reward"};
    fixture_check(rg_family_make(cell->results, &options, &family, &error), &error);
    return family;
}

Test(swept, comparisons_within_a_cell_are_those_of_the_methods_named_in_full) {
    char *path;
    RgResults *results = open_store(&path);
    RgSweptCells *cells = cells_by(results, "beta,pairs");
    for (int i = 0; i < cells->count; i++) {
        char a[80], b[80];
        snprintf(a, sizeof a, "SAIL-PR, beta %s, pairs %s", cells->at[i].values[0],
                 cells->at[i].values[1]);
        snprintf(b, sizeof b, "DPO, beta %s, pairs %s", cells->at[i].values[0],
                 cells->at[i].values[1]);
        const RgGroup *group;
        RgError error = {0};
        if (rg_results_group(results, a, &group, &error) != RG_OK) { /* in the store's order */
            snprintf(a, sizeof a, "SAIL-PR, pairs %s, beta %s", cells->at[i].values[1],
                     cells->at[i].values[0]);
            snprintf(b, sizeof b, "DPO, pairs %s, beta %s", cells->at[i].values[1],
                     cells->at[i].values[0]);
        }
        RgFamily family = family_of(&cells->at[i]);
        RgComparison full = compare_full(results, a, b);
        cr_assert_eq(family.count, 2);
        cr_expect_eq(family.comparisons[0].estimate.value, full.estimate.value);
        cr_expect_eq(family.comparisons[0].estimate.p_value, full.estimate.p_value);
        rg_family_free(&family);
    }
    rg_swept_cells_destroy(cells);
    close_store(results, path);
}

/* Holm's smallest adjusted p-value is the smallest of all cells times the number of all tests. */
Test(swept, holms_correction_is_over_all_cells) {
    enum { CELLS = 6 };
    char *path;
    RgResults *results = open_store(&path);
    RgSweptCells *cells = cells_by(results, "beta,pairs");
    RgFamily families[CELLS];
    double smallest = 1, adjusted = 1;
    int tests = 0;
    cr_assert_eq(cells->count, CELLS);
    for (int i = 0; i < CELLS; i++) {
        families[i] = family_of(&cells->at[i]);
        for (int k = 0; k < families[i].count; k++) {
            double p = families[i].comparisons[k].estimate.p_value;
            tests += !isnan(p);
            smallest = fmin(smallest, p);
        }
    }
    rg_families_adjust(families, CELLS);
    for (int i = 0; i < CELLS; i++) {
        for (int k = 0; k < families[i].count; k++)
            adjusted = fmin(adjusted, families[i].comparisons[k].adjusted_p);
        rg_family_free(&families[i]);
    }
    cr_expect_eq(tests, 2 * CELLS);
    cr_expect_float_eq(adjusted, fmin(1, tests * smallest), 1e-15);
    rg_swept_cells_destroy(cells);
    close_store(results, path);
}

Test(swept, a_label_that_was_swept_is_refused_with_the_options_to_compare_by) {
    char *path;
    RgResults *results = open_store(&path);
    RgFamily family;
    RgError error = {0};
    RgCompareOptions options = {.against = "DPO"};
    cr_expect_eq(rg_family_make(results, &options, &family, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "label \"DPO\" was swept") && strstr(error.text, "--by "), "%s",
              error.text);
    close_store(results, path);
}

/* ---- differences of any metric ---- */

/* kl is 4·quality·step/200 for all seeds, without values by prompt. */
Test(swept, metrics_without_values_by_prompt_differ_by_seeds) {
    char *path = fixture_methods();
    RgResults *results;
    RgError error = {0};
    RgMeasure kl;
    int64_t seeds;
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    fixture_check(rg_results_measure(results, "kl", &kl, &error), &error);
    RgReadOf sail = {.group = &results->groups[2]}, dpo = {.group = &results->groups[0]};
    cr_assert_str_eq(sail.group->label, "SAIL-PR");
    RgEstimate e = rg_difference_read(results, &sail, &dpo, 0, &kl, &seeds);
    cr_expect_float_eq(e.value, 4 * (1.1 - 0.5), 1e-12);
    cr_expect_eq(seeds, 3, "the seed that diverged is left out");
    cr_expect(isnan(e.interval.low), "equal differences show no spread");
    e = rg_difference_read(results, &sail, NULL, 1, &kl, &seeds);
    cr_expect_float_eq(e.value, 4 * 1.1 - 1, 1e-12);
    sail.as = dpo.as = RG_READ_STEP;
    sail.step = 100;
    dpo.step = 50;
    e = rg_difference_read(results, &sail, &dpo, 0, &kl, &seeds);
    cr_expect_float_eq(e.value, 4 * (1.1 * 100 - 0.5 * 50) / 200, 1e-12);
    close_store(results, path);
}

/* ---- maps ---- */

static RgMapFigure *map_of(const RgResults *results, const RgPlotOptions *options) {
    RgMapFigure *figure;
    RgError error = {0};
    fixture_check(rg_plot_map_figure(results, options, &figure, &error), &error);
    return figure;
}

Test(swept, a_map_has_the_differences_to_the_baseline_in_its_cells) {
    char *path;
    RgResults *results = open_store(&path);
    RgPlotOptions options = {.map = "beta,pairs", .against = "DPO", .mark = "pairs=200,beta=0.5"};
    RgMapFigure *f = map_of(results, &options);
    cr_assert_eq(f->panel_count, 2);
    cr_expect_str_eq(f->panels[0].name, "SAIL-PR");
    cr_expect_str_eq(f->panels[1].name, "base");
    cr_assert(f->column_count == 3 && f->row_count == 2);
    cr_expect_str_eq(f->columns[0], "0.1");
    cr_expect_str_eq(f->rows[0], "1000", "the largest on top");
    cr_expect(f->column == 1 && f->row == 1, "beta 0.5, pairs 200");
    cr_expect_eq(f->tests, 12);
    RgSweptCells *cells = cells_by(results, "beta,pairs");
    double p[12], adjusted[12];
    for (int i = 0; i < cells->count; i++) {
        RgFamily family = family_of(&cells->at[i]);
        int column = i / 2, row = 1 - i % 2; /* of cells by beta, then by pairs */
        for (int k = 0; k < 2; k++) {
            const RgMapCell *cell = &f->panels[k].cells[3 * row + column];
            cr_expect_eq(cell->value, family.comparisons[k].estimate.value);
            cr_expect_eq(cell->low, family.comparisons[k].estimate.interval.low);
            cr_expect_eq(cell->seeds, 3);
            p[2 * i + k] = family.comparisons[k].estimate.p_value;
        }
        rg_family_free(&family);
    }
    rg_holm(p, 12, adjusted);
    for (int i = 0; i < 12; i++) {
        int column = i / 4, row = 1 - i / 2 % 2;
        cr_expect_float_eq(f->panels[i % 2].cells[3 * row + column].p_value, adjusted[i], 1e-15);
    }
    rg_swept_cells_destroy(cells);
    rg_map_figure_destroy(f);
    close_store(results, path);
}

Test(swept, a_map_without_a_baseline_has_the_means) {
    char *path;
    RgResults *results = open_store(&path);
    RgPlotOptions options = {.map = "pairs,beta", .y = "kl", .method = "SAIL-PR"};
    RgMapFigure *f = map_of(results, &options);
    cr_assert_eq(f->panel_count, 1);
    cr_assert(f->column_count == 2 && f->row_count == 3);
    for (int s = 0; s < 2; s++)
        for (int b = 0; b < 3; b++) {
            int row = betas[b] == 1 ? 0 : betas[b] == 0.5 ? 1 : 2;
            double quality = 0.3 + 0.4 * b * s;
            cr_expect_float_eq(f->panels[0].cells[2 * row + s].value, 4 * quality * 50 / 200,
                               1e-12);
        }
    cr_expect(!f->differences && f->tests == 0);
    rg_map_figure_destroy(f);
    options.method = NULL;
    f = map_of(results, &options);
    cr_expect_eq(f->panel_count, 2, "base, which does not vary, has no panel");
    rg_map_figure_destroy(f);
    close_store(results, path);
}

/* The text of a cell: a star below 0.05, a dagger where a trial diverged, one sign for minus. */
Test(swept, the_data_of_a_map_have_the_texts_of_its_cells) {
    RgMapCell cells[] = {{-0.254, -0.3, -0.2, 0.04, 3, 0},
                         {0.254, -0.3, 0.8, 0.06, 3, 1},
                         {-0.0001, -0.3, 0.3, 1, 3, 0},
                         {NAN, NAN, NAN, NAN, 0, 3}};
    char *columns[] = {"a", "b"}, *rows[] = {"2", "1"};
    RgMapPanel panel = {"SAIL-PR", cells};
    RgMapFigure f = {.columns = columns,
                     .rows = rows,
                     .column_count = 2,
                     .row_count = 2,
                     .panels = &panel,
                     .panel_count = 1,
                     .factor = 1,
                     .differences = true};
    char *data = rg_map_figure_data(&f);
    cr_expect_str_eq(
        data, "mean\tlow\thigh\tp_holm\tseeds\tdiverged\tpanel\tx\ty\ttext\tmethod\trow\tcolumn\n"
              "-0.254\t-0.3\t-0.2\t0.04\t3\t0\t0\t0\t1\t\u22120.254*\tSAIL-PR\t2\ta\n"
              "0.254\t-0.3\t0.8\t0.06\t3\t1\t0\t1\t1\t0.254†\tSAIL-PR\t2\tb\n"
              "-0.0001\t-0.3\t0.3\t1\t3\t0\t0\t0\t0\t0.000\tSAIL-PR\t1\ta\n"
              "nan\tnan\tnan\tnan\t0\t3\t0\t1\t0\tdiv.\tSAIL-PR\t1\tb\n");
    free(data);
}

static void map_refused(const RgResults *results, RgPlotOptions options, const char *words) {
    RgMapFigure *figure;
    RgError error = {0};
    cr_expect_eq(rg_plot_map_figure(results, &options, &figure, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, words), "%s", error.text);
}

Test(swept, what_is_no_map_is_refused) {
    char *path;
    RgResults *results = open_store(&path);
    map_refused(results, (RgPlotOptions){.map = "beta"}, "expected two swept options");
    map_refused(results, (RgPlotOptions){.map = "beta,pairs,beta"}, "expected two swept options");
    map_refused(results, (RgPlotOptions){.map = "beta,pear"}, "unknown swept option \"pear\"");
    map_refused(results, (RgPlotOptions){.map = "beta,pairs", .against = "DPOO"}, "DPOO");
    map_refused(results, (RgPlotOptions){.map = "beta,pairs", .y = "rewardz"}, "rewardz");
    map_refused(results, (RgPlotOptions){.map = "beta,pairs", .method = "nobody"}, "nobody");
    static const char *const marks[] = {"beta=0.5", "beta", "beta=0.5,beta=1",
                                        "beta=0.5,pairs=200,pairs=200", "beta=0.5,pear=200"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        map_refused(results, (RgPlotOptions){.map = "beta,pairs", .mark = marks[i]},
                    "expected a value of each option of the map");
    map_refused(results, (RgPlotOptions){.map = "beta,pairs", .mark = "beta=0.2,pairs=200"},
                "expected one of 0.1, 0.5, 1");
    close_store(results, path);
}
