/* SPDX-License-Identifier: MIT */
/* Tables of synthetic stores: which rows and columns there are, what stands in them against sums
 * made here, what the notes say, and the formats. */
#include "core/utf8.h"
#include "tests/results_fixture.h"

#include "analysis/compare/compare.h"
#include "analysis/compare/format.h"
#include "analysis/compare/table.h"
#include "analysis/statistics/robust.h"

#include <jansson.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

TestSuite(table, .init = scratch_begin);

static char *table_text(const char *path, RgTableFormat format, const char *const *metrics) {
    char *text;
    size_t size;
    RgError error = {0};
    RgTableOptions options = {
        .store = path, .format = format, .metrics = metrics, .out = open_memstream(&text, &size)};
    fixture_check(rg_table(&options, &error), &error);
    fclose(options.out);
    return text;
}

/* The same with whatever else `options` asks for. */
static char *table_with(const char *path, RgTableOptions options) {
    char *text;
    size_t size;
    RgError error = {0};
    options.store = path;
    options.out = open_memstream(&text, &size);
    fixture_check(rg_table(&options, &error), &error);
    fclose(options.out);
    return text;
}

/* Text of line `row`, comma-separated field `column` of a CSV without quotes; 0 is the first. */
static const char *csv_field(const char *csv, int row, int column, char *field, size_t size) {
    for (int i = 0; i < row; i++)
        csv = strchr(csv, '\n') + 1;
    for (int i = 0; i < column; i++)
        csv = strchr(csv, ',') + 1;
    snprintf(field, size, "%.*s", (int)strcspn(csv, ",\n"), csv);
    return field;
}

static double csv_number(const char *csv, int row, const char *name) {
    char field[64];
    for (int column = 0;; column++) {
        csv_field(csv, 0, column, field, sizeof field);
        if (strcmp(field, name) == 0)
            return atof(csv_field(csv, row, column, field, sizeof field));
        cr_assert(column < 100, "no column %s in %s", name, csv);
    }
}

static void check_contains(const char *text, const char *part) {
    cr_assert(strstr(text, part), "no \"%s\" in:\n%s", part, text);
}

static void check_missing_packages(const char *text, const char *part) {
    cr_assert_not(strstr(text, part), "\"%s\" in:\n%s", part, text);
}

/* The mean over seeds of the mean over items, from the fixture's own formula. */
Test(table, means_and_standard_errors_are_over_seeds) {
    char *path = fixture_methods(), *csv = table_text(path, RG_TABLE_CSV, NULL);
    double means[4] = {0}, sum = 0, squares = 0;
    for (int seed = 1; seed <= 4; seed++) {
        FixtureTrial trial = {.label = "DPO", .seed = seed, .quality = 0.5};
        for (int i = 0; i < FIXTURE_ITEMS; i++)
            means[seed - 1] += fixture_reward(&trial, FIXTURE_STEPS, i) / FIXTURE_ITEMS;
        sum += means[seed - 1];
    }
    for (int i = 0; i < 4; i++)
        squares += pow(means[i] - sum / 4, 2);
    cr_assert_float_eq(csv_number(csv, 1, "reward"), sum / 4, 1e-9);
    cr_assert_float_eq(csv_number(csv, 1, "reward_standard_error"), sqrt(squares / 3 / 4), 1e-9);
    free(csv);
    free(path);
}

Test(table, diverged_trials_are_counted_and_never_averaged) {
    char *path = fixture_methods(), *csv = table_text(path, RG_TABLE_CSV, NULL);
    char *text = table_text(path, RG_TABLE_TEXT, NULL);
    cr_assert_eq(csv_number(csv, 3, "trials"), 3);
    cr_assert_eq(csv_number(csv, 3, "diverged"), 1);
    cr_assert_eq(csv_number(csv, 3, "flops"), 2.5e9 * FIXTURE_STEPS * 1.5); /* not of step 60 */
    check_contains(text, "3 (1 diverged)");
    check_contains(text, "Diverged: SAIL-PR, seed 4, at step 60: the loss is not a number.");
    free(text);
    free(csv);
    free(path);
}

/* Which failed before the first reading: all of a row, or some. */
Test(table, trials_that_ended_before_a_step_are_at_none) {
    char *path = fixture_path("ended.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "ended", &experiment);
    FixtureTrial base = {"base", "base", "{}", "failed", "no judge", 1, 0, 1, -1, false, false};
    FixtureTrial dpo = {"dpo", "DPO", "{}", "failed", "no disk", 1, 0.5, 1, 20, false, false};
    fixture_trial(store, experiment, &base);
    fixture_trial(store, experiment, &dpo);
    dpo.seed = 2;
    dpo.steps = -1;
    fixture_trial(store, experiment, &dpo);
    rg_store_close(store);
    char *text = table_text(path, RG_TABLE_TEXT, NULL);
    check_contains(text, "Failed: base, seed 1: no judge.");
    check_contains(text, "Failed: DPO, seeds 1, 2, at steps 20, –: no disk.");
    check_missing_packages(text, "-1");
    free(text);
    free(path);
}

Test(table, overheads_are_ratios_to_the_dpo_row) {
    char *path = fixture_methods(), *csv = table_text(path, RG_TABLE_CSV, NULL);
    cr_assert_float_eq(csv_number(csv, 1, "seconds_ratio"), 1, 1e-12);
    cr_assert_float_eq(csv_number(csv, 2, "seconds_ratio"), 2.6, 1e-9);
    cr_assert_float_eq(csv_number(csv, 3, "peak_memory_ratio"), 1.5, 1e-9);
    free(csv);
    free(path);
}

Test(table, win_rate_interval_holds_the_mean_and_stays_in_range) {
    char *path = fixture_methods(), *csv = table_text(path, RG_TABLE_CSV, NULL);
    for (int row = 1; row <= 3; row++) {
        double low = csv_number(csv, row, "win_rate_base_low");
        double high = csv_number(csv, row, "win_rate_base_high");
        double mean = csv_number(csv, row, "win_rate_base");
        cr_assert(0 <= low && low < mean && mean < high && high <= 1, "[%g, %g] %g", low, high,
                  mean);
    }
    free(csv);
    free(path);
}

Test(table, columns_that_no_row_has_are_left_out) {
    char *path = fixture_methods(), *sweep = fixture_sweep();
    char *text = table_text(path, RG_TABLE_TEXT, NULL), *other = table_text(sweep, 0, NULL);
    check_missing_packages(text, "data set");
    check_missing_packages(text, "Hessian");
    check_contains(text, "independent judge");
    check_missing_packages(other, "independent judge");
    free(other);
    free(text);
    free(sweep);
    free(path);
}

Test(table, a_metric_that_some_rows_lack_is_a_dash_there) {
    const char *metrics[] = {"win_rate_base", NULL};
    char *path = fixture_sweep(), *text = table_text(path, RG_TABLE_MARKDOWN, metrics);
    check_contains(text, "| DPO | " RG_DASH " | 3 | " RG_DASH " |");
    free(text);
    free(path);
}

Test(table, swept_values_make_rows_in_order_of_size) {
    char *path = fixture_sweep(), *csv = table_text(path, RG_TABLE_CSV, NULL), field[64];
    const char *expected[] = {"0", "0.1", "0.3", "1", ""};
    cr_assert_str_eq(csv_field(csv, 0, 1, field, sizeof field), "algorithms.1.exploration");
    for (int row = 0; row < 5; row++)
        cr_assert_str_eq(csv_field(csv, row + 1, 1, field, sizeof field), expected[row]);
    free(csv);
    free(path);
}

Test(table, independent_judge_that_agrees_is_said_to) {
    char *path = fixture_methods(), *text = table_text(path, RG_TABLE_TEXT, NULL);
    check_contains(text, "ranks the methods as the gold judge does (Kendall's τ 1.00, 3 pairs)");
    free(text);
    free(path);
}

static void write_statement(const char *path, const char *statement) {
    sqlite3 *database;
    char *message = NULL;
    cr_assert_eq(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_exec(database, statement, NULL, NULL, &message);
    cr_assert_null(message, "%s", message);
    sqlite3_close(database);
}

/* Trials of one label and seed that differ in the last of so many swept values. */
static void write_trials(const char *path, int count) {
    enum { SWEPT = 24 };
    int64_t experiment;
    rg_store_close(fixture_open(path, "many", &experiment));
    char *swept = rg_string_copy("");
    for (int i = 0; i < SWEPT; i++) {
        char *longer = rg_string_format("%s\"option.%d\":1,", swept, i);
        free(swept);
        swept = longer;
    }
    char *statement = rg_string_format(
        "INSERT INTO trials (experiment, key, algorithm, label, seed, status, swept, config,"
        " provenance, updated) WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT"
        " %d) SELECT %d, printf('%%016x', n), 'dpo', 'DPO', 1, 'finished', '{%s\"last\":' || n ||"
        " '}', '{}', '{}', '2026-01-01' FROM n",
        count, (int)experiment, swept);
    write_statement(path, statement);
    free(statement);
    free(swept);
}

/* Processor time of reading them. */
static double seconds_of(int count) {
    RgResults *results;
    RgError error = {0};
    char *path = fixture_path("many.sqlite");
    write_trials(path, count);
    clock_t start = clock();
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    cr_expect_eq(results->trial_count, count);
    cr_expect_eq(results->group_count, count);
    cr_expect_eq(results->superseded, 0);
    rg_results_close(results);
    unlink(path);
    free(path);
    return seconds;
}

/* Four times as many take four times as long; where each is held against all others, sixteen. */
Test(table, reading_takes_time_by_the_number_of_trials) {
    double some = seconds_of(1000), more = seconds_of(4000);
    cr_expect(more < 9 * some, "1000 trials: %.3f s, 4000: %.3f s", some, more);
}

/* The order of swept values is of no matter to what is the same method. */
Test(table, newer_trials_stand_for_older_ones) {
    char *path = fixture_path("newer.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "newer", &experiment);
    static const char *const swept[] = {"{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}",
                                        "{\"a\": 2, \"b\": 1}", "{\"a\": 1}"};
    for (int i = 0; i < 4; i++)
        fixture_trial(
            store, experiment,
            &(FixtureTrial){"dpo", "DPO", swept[i], "finished", NULL, 1, 0.5, 1, 20, false, false});
    rg_store_close(store);
    RgResults *results;
    RgError error = {0};
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    cr_expect_eq(results->trial_count, 3);
    cr_expect_eq(results->superseded, 1);
    rg_results_close(results);
    free(path);
}

/* Neither a failed trial nor a config of which all failed hides what finished before. */
Test(table, a_failed_trial_stands_for_no_older_one) {
    char *path = fixture_path("failed.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "failed", &experiment);
    static const char *const status[] = {"finished", "failed", "failed", "diverged", "failed"};
    static const char *const swept[] = {"{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}",
                                        "{\"a\": 2, \"b\": 1}", "{\"b\": 1, \"a\": 2}",
                                        "{\"a\": 3}"};
    for (int i = 0; i < 5; i++)
        fixture_trial(
            store, experiment,
            &(FixtureTrial){"dpo", "DPO", swept[i], status[i], "why", 1, 0.5, 1, 20, false, false});
    rg_store_close(store);
    RgResults *results;
    RgError error = {0};
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    cr_assert_eq(results->trial_count, 3);
    cr_assert_eq(results->superseded, 2);
    cr_assert_eq(results->trials[0].status, RG_TRIAL_FINISHED);
    cr_assert_eq(results->trials[1].status, RG_TRIAL_DIVERGED);
    cr_assert_eq(results->trials[2].status, RG_TRIAL_FAILED);
    rg_results_close(results);
    free(path);
}

/* Their metrics are missing for another reason than a slip in a name. */
Test(table, metrics_of_failed_trials_alone_are_not_called_unknown) {
    char *path = fixture_path("all-failed.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "all-failed", &experiment);
    FixtureTrial dpo = {"dpo", "DPO", "{}", "failed", "no disk", 1, 0.5, 1, -1, false, false};
    for (int count = 1; count <= 2; count++) {
        dpo.seed = count;
        fixture_trial(store, experiment, &dpo);
        RgResults *results;
        RgMeasure measure;
        RgError error = {0};
        fixture_check(rg_results_open(path, NULL, &results, &error), &error);
        cr_expect_eq(rg_results_measure(results, "nll", &measure, &error), RG_E_USAGE);
        cr_expect_str_eq(
            error.text, count == 1
                            ? "no value of \"nll\", as the only trial failed (DPO, seed 1: no disk)"
                            : "no value of \"nll\", as all 2 trials failed (DPO, seed 1: no disk)");
        rg_results_close(results);
    }
    rg_store_close(store);
    free(path);
}

/* Turn the independent judge's opinion around: every pair is then discordant, and named. */
Test(table, independent_judge_that_disagrees_names_the_pairs) {
    char *path = fixture_methods();
    write_statement(path,
                    "UPDATE metrics SET value = -value WHERE name = 'eval/independent_reward'");
    char *text = table_text(path, RG_TABLE_TEXT, NULL);
    check_contains(text, "reverses 3 of 3 pairs of methods (Kendall's τ -1.00): "
                         "DPO / online DPO; DPO / SAIL-PR; online DPO / SAIL-PR.");
    free(text);
    free(path);
}

Test(table, numbers_that_are_not_count_as_missing) {
    char *path = fixture_methods();
    write_statement(path, "UPDATE metrics SET value = NULL WHERE name = 'eval/kl' AND trial = 1");
    const char *metrics[] = {"kl", NULL};
    char *csv = table_text(path, RG_TABLE_CSV, metrics);
    cr_assert_float_eq(csv_number(csv, 1, "kl"), 2, 1e-12); /* the other three */
    free(csv);
    free(path);
}

Test(table, markdown_has_a_rule_and_as_many_cells_in_each_row) {
    char *path = fixture_methods(), *text = table_text(path, RG_TABLE_MARKDOWN, NULL);
    int bars = 0, first = 0;
    check_contains(text, "|:--|--:");
    for (const char *c = text; strncmp(c, "\n\n", 2) != 0; c++) {
        bars += *c == '|' && (c == text || c[-1] != '\\');
        if (*c == '\n') {
            first = first ? first : bars;
            cr_assert_eq(bars, first);
            bars = 0;
        }
    }
    free(text);
    free(path);
}

/* Each line is as long as COLUMNS at most, and each block has the labels. */
Test(table, a_table_wider_than_the_terminal_comes_in_blocks) {
    char *path = fixture_methods();
    setenv("COLUMNS", "72", true);
    char *text = table_text(path, RG_TABLE_TEXT, NULL), *notes = strstr(text, "Each figure");
    unsetenv("COLUMNS");
    cr_assert_not_null(notes);
    int blocks = 0;
    for (char *line = text, *end; line < notes; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        cr_expect_leq(rg_utf8_width(line), 72, "%s", line);
        blocks += strncmp(line, "method ", 7) == 0;
    }
    cr_expect_gt(blocks, 2);
    free(text);
    text = table_text(path, RG_TABLE_TEXT, NULL);
    cr_expect_not_null(strstr(text, "test prompts."), "%s", text);
    free(text);
    free(path);
}

Test(table, latex_is_booktabs_and_escapes_what_is_special) {
    char *path = fixture_methods();
    write_statement(path, "UPDATE trials SET label = 'a_b & 50%' WHERE label = 'DPO'");
    char *text = table_text(path, RG_TABLE_LATEX, NULL);
    check_contains(text, "a\\_b \\& 50\\% & 4 &");
    check_contains(text, "\\toprule");
    check_contains(text, "$\\pm$");
    check_missing_packages(text, " ± 0");
    free(text);
    write_statement(path, "UPDATE trials SET label = '[5pt]*<b>' WHERE label = 'a_b & 50%'");
    text = table_text(path, RG_TABLE_LATEX, NULL);
    check_contains(text, "\n{[}5pt]{*}\\textless{}b\\textgreater{} & 4 &");
    free(text);
    text = table_text(path, RG_TABLE_MARKDOWN, NULL);
    check_contains(text, "| \\[5pt\\]\\*\\<b\\> |");
    free(text);
    free(path);
}

Test(table, csv_quotes_a_label_with_a_comma) {
    char *path = fixture_methods();
    write_statement(path, "UPDATE trials SET label = 'say \"a\", b' WHERE label = 'DPO'");
    char *text = table_text(path, RG_TABLE_CSV, NULL);
    check_contains(text, "\n\"say \"\"a\"\", b\",4,");
    free(text);
    free(path);
}

/* A spreadsheet may take off blanks, and full-width signs are signs. */
Test(table, no_label_of_safe_csv_is_a_formula) {
    const char *formulas[] = {"=1+1",     " =1+1",    "\u00a0\u3000@A1", "\uff1d1+1",
                              "\uff0bA1", "\uff0dA1", " \uff20A1",       "-x"};
    const char *others[] = {" -0.5", "1=1", " a=1", "\u2212x", "+3e-4"};
    char *path = fixture_methods();
    for (size_t i = 0; i < 13; i++) {
        const char *label = i < 8 ? formulas[i] : others[i - 8];
        char *statement = rg_string_format("UPDATE trials SET label = '%s' WHERE id <= 4", label);
        write_statement(path, statement);
        char *text = table_text(path, RG_TABLE_SAFE_CSV, NULL);
        char *row = rg_string_format("\n%s%s,4,", i < 8 ? "'" : "", label);
        check_contains(text, row);
        free(row);
        free(text);
        free(statement);
    }
    free(path);
}

Test(table, unknown_names_are_refused_with_the_nearest) {
    char *path = fixture_methods();
    const char *metrics[] = {"rewrad", NULL};
    RgError error = {0};
    RgTableOptions options = {.store = path, .metrics = metrics, .out = stdout};
    cr_assert_eq(rg_table(&options, &error), RG_E_USAGE);
    check_contains(error.text, "\"rewrad\"");
    check_contains(error.text, "did you mean \"reward\"?");
    options.metrics = NULL;
    options.choice.experiment = "method";
    cr_assert_eq(rg_table(&options, &error), RG_E_USAGE);
    check_contains(error.text, "did you mean \"methods\"?");
    RgTableFormat format;
    cr_assert_eq(rg_table_format("latx", &format, &error), RG_E_USAGE);
    check_contains(error.text, "latex");
    free(path);
}

/* All of the names, the nearest first; of more than a message holds, how many are left. */
Test(table, unknown_names_are_told_with_all_that_there_are) {
    const char *few[] = {"abcdefgh", "zzzz", "length", "zzzzzzzzz", NULL}, *many[501] = {NULL};
    RgError error = {0};
    cr_assert_eq(rg_unknown_name(&error, "metric", "zzz", few), RG_E_USAGE);
    check_contains(error.text, "did you mean \"zzzz\"?");
    cr_assert_eq(rg_unknown_name(&error, "metric", "zzzzzz", few + 2), RG_E_USAGE);
    check_contains(error.text, "there is \"zzzzzzzzz\", \"length\"");
    for (int i = 0; i < 500; i++)
        many[i] = "eval/some_metric";
    cr_assert_eq(rg_unknown_name(&error, "metric", "x", many), RG_E_USAGE);
    check_contains(error.text, " and 4");
    check_contains(error.text, " more");
}

Test(table, few_seeds_are_told) {
    char *grid = fixture_grid(), *methods = fixture_methods();
    char *two = table_text(grid, RG_TABLE_TEXT, NULL);
    char *four = table_with(methods, (RgTableOptions){.against = "DPO"});
    check_contains(two, "Fewer than three seeds");
    check_missing_packages(four, "Fewer than three seeds");
    check_contains(four, "3 seeds: the spread over seeds is hardly known");
    free(four);
    free(two);
    free(methods);
    free(grid);
}

Test(table, a_store_that_is_not_there_is_an_error_that_names_it) {
    RgError error = {0};
    char *path = fixture_path("absent.sqlite");
    RgTableOptions options = {.store = path, .out = stdout};
    cr_assert_eq(rg_table(&options, &error), RG_E_STORE);
    check_contains(error.text, "absent.sqlite");
    free(path);
}

Test(table, an_experiment_without_trials_gives_an_empty_table) {
    char *path = fixture_path("empty.sqlite");
    int64_t experiment;
    rg_store_close(fixture_open(path, "empty", &experiment));
    char *text = table_text(path, RG_TABLE_TEXT, NULL);
    check_contains(text, "method  trials");
    free(text);
    free(path);
}

Test(table, the_newest_trial_of_a_method_and_seed_stands_for_it) {
    char *path = fixture_path("twice.sqlite"), *csv;
    int64_t experiment;
    RgStore *store = fixture_open(path, "twice", &experiment);
    FixtureTrial trial = {"dpo", "DPO", "{}",          "finished", NULL, 1,
                          0.5,   1,     FIXTURE_STEPS, false,      true};
    int64_t older = fixture_trial(store, experiment, &trial);
    rg_store_close(store);
    char *statement =
        rg_string_format("UPDATE trials SET key = '00000000000000aa', updated = '2000-01-01' "
                         "WHERE id = %lld",
                         (long long)older);
    write_statement(path, statement);
    RgError error = {0};
    fixture_check(rg_store_open(path, true, &store, &error), &error);
    trial.quality = 2;
    fixture_trial(store, experiment, &trial);
    rg_store_close(store);
    csv = table_text(path, RG_TABLE_CSV, NULL);
    cr_assert_eq(csv_number(csv, 1, "trials"), 1);
    cr_assert_float_eq(csv_number(csv, 1, "kl"), 8, 1e-12);
    free(csv);
    csv = table_text(path, RG_TABLE_TEXT, NULL);
    check_contains(csv, "1 older trial of the same method and seed");
    free(csv);
    free(statement);
    free(path);
}

Test(table, running_trials_stand_in_only_while_none_has_finished) {
    char *path = fixture_path("running.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "running", &experiment);
    for (int seed = 1; seed <= 2; seed++) {
        FixtureTrial trial = {"dpo", "DPO", "{}", "running", NULL, seed, 0.5, 1, 100, false, true};
        fixture_trial(store, experiment, &trial);
        trial.label = "other";
        trial.status = seed == 1 ? "finished" : "running";
        fixture_trial(store, experiment, &trial);
    }
    rg_store_close(store);
    char *text = table_text(path, RG_TABLE_MARKDOWN, NULL);
    check_contains(text, "| DPO | 2 running |");
    check_contains(text, "| other | 1 (1 running) |");
    free(text);
    free(path);
}

/* Of four seeds the middle two count. */
Test(table, interquartile_mean_is_over_the_middle_seeds) {
    char *path = fixture_methods();
    char *csv =
        table_with(path, (RgTableOptions){.format = RG_TABLE_CSV, .statistic = RG_STATISTIC_IQM});
    char *text = table_with(path, (RgTableOptions){.statistic = RG_STATISTIC_IQM});
    double means[4] = {0}, sum = 0, low = INFINITY, high = -INFINITY;
    double margin = csv_number(csv, 1, "reward_high") - csv_number(csv, 1, "reward");
    for (int seed = 1; seed <= 4; seed++) {
        FixtureTrial trial = {.label = "DPO", .seed = seed, .quality = 0.5};
        for (int i = 0; i < FIXTURE_ITEMS; i++)
            means[seed - 1] += fixture_reward(&trial, FIXTURE_STEPS, i) / FIXTURE_ITEMS;
        sum += means[seed - 1];
        low = fmin(low, means[seed - 1]);
        high = fmax(high, means[seed - 1]);
    }
    cr_assert_float_eq(csv_number(csv, 1, "reward"), (sum - low - high) / 2, 1e-9);
    cr_assert_float_eq(margin / csv_number(csv, 1, "reward_standard_error"),
                       rg_student_quantile(0.975, 3), 1e-6);
    check_contains(text, "interquartile mean over the finished trials");
    check_missing_packages(text, "is the mean over");
    free(text);
    free(csv);
    free(path);
}

/* Each column is a family of two tests, of the other methods' differences by prompt. */
Test(table, marks_against_a_method_are_holms_of_the_comparisons) {
    const char *metrics[] = {"kl", "reward", NULL}, *others[] = {"online DPO", "SAIL-PR"};
    char *path = fixture_methods();
    RgTableOptions options = {.format = RG_TABLE_CSV, .metrics = metrics, .against = "DPO"};
    char *csv = table_with(path, options), field[64];
    double p[2], adjusted[2];
    RgError error = {0};
    RgResults *results;
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    for (int i = 0; i < 2; i++) {
        RgComparison c;
        RgCompareOptions one = {.a = others[i], .b = "DPO", .metric = "reward"};
        fixture_check(rg_comparison_make(results, &one, &c, &error), &error);
        p[i] = c.estimate.p_value;
    }
    rg_results_close(results);
    rg_holm(p, 2, adjusted);
    for (int i = 0; i < 2; i++)
        cr_assert_float_eq(csv_number(csv, i + 2, "reward_p_holm"), adjusted[i], 1e-9);
    cr_assert_str_eq(csv_field(csv, 1, 15, field, sizeof field), "", "DPO against itself");
    cr_assert_str_eq(csv_field(csv, 0, 10, field, sizeof field), "kl_p_holm");
    cr_assert_str_eq(csv_field(csv, 2, 10, field, sizeof field), "", "kl is not known by prompt");
    options.format = RG_TABLE_TEXT;
    char *text = table_with(path, options);
    check_contains(text, "***: differs from DPO");
    check_contains(text, adjusted[1] < 0.01 ? "**\n" : "*\n"); /* at the end of SAIL-PR's row */
    free(text);
    free(csv);
    free(path);
}

/* What is tested is what is shown: not the means, which SAIL-PR's seed 1 moves far. */
Test(table, marks_of_interquartile_means_are_of_their_differences) {
    const char *metrics[] = {"reward", "kl", NULL};
    const double dpo[] = {0.01, 0.02, 0.03, 0}, online[] = {1.01, 1.02, 1.03, 1.1};
    const double sail[] = {1001.01, 1.02, 1.03};
    char *path = fixture_methods();
    write_statement(path, "UPDATE metrics SET value = 0.01 * (trial % 4) + (trial > 4) + 0.1 *"
                          " (trial = 8) + 1000 * (trial = 9) WHERE name = 'eval/reward'");
    RgTableOptions options = {.format = RG_TABLE_CSV,
                              .metrics = metrics,
                              .statistic = RG_STATISTIC_IQM,
                              .against = "DPO"};
    char *csv = table_with(path, options);
    double p[2], adjusted[2];
    p[0] = rg_estimate_interquartile_difference(online, dpo, 4).p_value;
    p[1] = rg_estimate_interquartile_difference(sail, dpo, 3).p_value;
    rg_holm(p, 2, adjusted);
    for (int i = 0; i < 2; i++)
        cr_assert_float_eq(csv_number(csv, i + 2, "reward_p_holm"), adjusted[i], 1e-9);
    cr_assert(adjusted[0] < 0.01 && adjusted[1] > 0.3);
    options.format = RG_TABLE_TEXT;
    char *text = table_with(path, options);
    check_contains(text, "by Student's t for the difference of interquartile means over seeds");
    check_contains(text, "3 seeds: the spread over seeds is hardly known");
    check_missing_packages(text, "are not tested");
    free(text);
    free(csv);
    free(path);
}

Test(table, what_is_equal_is_not_marked) {
    const char *metrics[] = {"reward", NULL};
    char *path = fixture_methods();
    write_statement(path, "UPDATE evaluations AS e SET value = (SELECT value FROM evaluations WHERE"
                          " trial = 4 AND step = 200 AND item = e.item AND name = 'reward')"
                          " WHERE name = 'reward'");
    char *text = table_with(path, (RgTableOptions){.metrics = metrics, .against = "DPO"});
    cr_assert(strchr(text, '*') > strstr(text, "\n\n"), "only in the notes: %s", text);
    free(text);
    free(path);
}

Test(table, json_has_the_numbers_of_csv_and_the_notes) {
    char *path = fixture_methods(), *csv = table_text(path, RG_TABLE_CSV, NULL);
    char *text = table_text(path, RG_TABLE_JSON, NULL);
    json_t *root = json_loads(text, 0, NULL), *rows = json_object_get(root, "rows");
    cr_assert_eq(json_array_size(rows), 3, "%s", text);
    for (int row = 0; row < 3; row++) {
        const json_t *object = json_array_get(rows, (size_t)row);
        double reward = json_number_value(json_object_get(object, "reward"));
        double low = csv_number(csv, row + 1, "win_rate_base_low");
        const json_t *interval = json_object_get(object, "win_rate_base_95");
        cr_assert_float_eq(reward, csv_number(csv, row + 1, "reward"), 1e-9);
        cr_assert_float_eq(json_number_value(json_array_get(interval, 0)), low, 1e-9);
    }
    cr_assert(json_array_size(json_object_get(root, "notes")) >= 4);
    json_decref(root);
    free(text);
    free(csv);
    free(path);
}

Test(table, an_unknown_statistic_or_method_is_refused) {
    char *path = fixture_methods();
    RgError error = {0};
    RgStatistic statistic;
    RgTableOptions options = {.store = path, .against = "DPOO", .out = stdout};
    cr_assert_eq(rg_table(&options, &error), RG_E_USAGE);
    check_contains(error.text, "did you mean \"DPO\"?");
    cr_assert_eq(rg_table_statistic("median", &statistic, &error), RG_E_USAGE);
    check_contains(error.text, "did you mean \"mean\"?");
    free(path);
}

Test(format, digits_follow_the_standard_error) {
    static const struct {
        double value, error;
        RgUnit unit;
        const char *expected;
    } cases[] = {
        {0.61234, 0.01432, RG_UNIT_PLAIN, "0.612 ± 0.014"},
        {123.456, 7.7, RG_UNIT_PLAIN, "123.5 ± 7.7"},
        {-0.5, NAN, RG_UNIT_PLAIN, "\u22120.5"},
        {-0.0001, 0.02, RG_UNIT_PLAIN, "0.000 ± 0.020"},
        {0.61234, 0.01432, RG_UNIT_PERCENT, "61.2 ± 1.4"},
        {1.234e12, NAN, RG_UNIT_COUNT, "1.23 T"},
        {4.56e10, 1e8, RG_UNIT_COUNT, "45.60 ± 0.10 G"},
        {1600, 0, RG_UNIT_COUNT, "1600"},
        {128000, 0, RG_UNIT_COUNT, "128 k"},
        {1.5e8, 0, RG_UNIT_BYTES, "150 MB"},
        {1.65, 1e-16, RG_UNIT_PLAIN, "1.65"},                      /* rounding is no spread */
        {4.4451e-13, 1.9e-13, RG_UNIT_PLAIN, "4.4e-13 ± 1.9e-13"}, /* not zeros */
        {-3e-7, NAN, RG_UNIT_PLAIN, "\u22123e-07"},
        {3e-7, 0.1, RG_UNIT_PLAIN, "0.00 ± 0.10"},
        {NAN, NAN, RG_UNIT_PLAIN, RG_DASH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = rg_format_value(cases[i].value, cases[i].error, cases[i].unit);
        cr_assert_str_eq(text, cases[i].expected);
        free(text);
    }
}

Test(format, broken_text_never_leaves_as_broken_html) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    rg_write_html(out, "<b>\"x\" & 'y'\x01\xff\xc3(é\xed\xa0\x80");
    fclose(out);
    cr_assert_str_eq(text, "&lt;b&gt;&quot;x&quot; &amp; &#39;y&#39;\uFFFD\uFFFD\uFFFD(é"
                           "\uFFFD\uFFFD\uFFFD");
    free(text);
}
