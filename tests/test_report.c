/* SPDX-License-Identifier: MIT */
/* The report's page: it needs nothing else, is well-formed, escapes what comes from the store, and
 * shows what the store holds. */
#include "tests/results_fixture.h"

#include "analysis/figures/svg.h"
#include "analysis/report/report.h"
#include "analysis/report/report_page.h"

#include <sqlite3.h>

TestSuite(report, .init = scratch_begin);

static char *report_of(const char *store, const char *title) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
    RgError error = {0};
    char *path = fixture_path("report.html");
    RgReportOptions options = {.store = store, .output = path, .title = title, .prompts = 3};
    fixture_check(rg_report(&options, &error), &error);
    char *page = fixture_read(path);
    free(path);
    return page;
}

static void check_contains(const char *page, const char *part) {
    cr_assert(strstr(page, part), "the page lacks %s", part);
}

static int count_of(const char *page, const char *part) {
    int count = 0;
    for (const char *at = page; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

Test(report, page_needs_no_network_and_forbids_it) {
    char *store = fixture_methods(), *page = report_of(store, NULL);
    const char *outside[] = {"http:", "https:", "src=", "@import", "url(", "<link", "xlink", NULL};
    for (int i = 0; outside[i]; i++)
        cr_assert_not(strstr(page, outside[i]), "the page has %s", outside[i]);
    check_contains(page, "content=\"default-src 'none'; style-src 'unsafe-inline'; ");
    cr_assert_eq(count_of(page, "<script"), 1);
    free(page);
    free(store);
}

/* Every element that is opened is closed in order; elements without content close themselves. */
static void check_nesting(const char *page) {
    enum { DEPTH = 64, NAME = 32 };
    char open[DEPTH][NAME];
    int depth = 0;
    for (const char *c = strchr(page, '<'); c; c = strchr(c + 1, '<')) {
        size_t length = strcspn(c + 1 + (c[1] == '/'), " \t\n/>");
        const char *end = strchr(c, '>');
        cr_assert(end && length < NAME && depth < DEPTH);
        if (c[1] == '!' || end[-1] == '/')
            continue;
        if (c[1] == '/') {
            cr_assert(depth > 0);
            depth--;
            cr_assert(strlen(open[depth]) == length && strncmp(open[depth], c + 2, length) == 0,
                      "<%s> is closed by %.20s", open[depth], c);
        } else {
            snprintf(open[depth++], NAME, "%.*s", (int)length, c + 1);
        }
    }
    cr_assert_eq(depth, 0);
}

Test(report, page_is_well_formed) {
    char *store = fixture_methods(), *page = report_of(store, NULL);
    cr_assert_eq(strncmp(page, "<!DOCTYPE html>", 15), 0);
    check_nesting(page);
    if (system("xmllint --version >/dev/null 2>&1") == 0) {
        char *path = fixture_path("report.html");
        char *command = rg_string_format("xmllint --noout '%s'", path);
        cr_assert_eq(system(command), 0);
        free(command);
        free(path);
    }
    free(page);
    free(store);
}

Test(report, ids_are_unique) {
    char *store = fixture_methods(), *page = report_of(store, NULL);
    for (char *at = page; (at = strstr(at, " id=")); at++) {
        char attribute[80];
        const char *end = strchr(at + 5, at[4]);
        snprintf(attribute, sizeof attribute, "%.*s", (int)(end - at) + 1, at);
        cr_assert_eq(count_of(page, attribute), 1, "%s occurs more than once", attribute);
    }
    free(page);
    free(store);
}

Test(report, page_shows_figures_costs_responses_and_what_diverged) {
    char *store = fixture_methods(), *page = report_of(store, "A title");
    cr_assert_geq(count_of(page, "<svg "), 5);
    cr_assert_eq(count_of(page, "<svg "), count_of(page, "</svg>"));
    cr_assert_eq(count_of(page, "<article "), 9, "three methods, three prompts");
    check_contains(page, "<h1>A title</h1>");
    check_contains(page, "12 trials: 11 finished, 1 diverged");
    check_contains(page, "the loss is not a number");
    check_contains(page, "training compute, TFLOP");
    check_contains(page, "environment.kind");
    check_contains(page, "Haswell");
    check_contains(page, "97.1 ± 0.4 ");
    free(page);
    free(store);
}

static void change_store(const char *store, const char *statements) {
    sqlite3 *database;
    cr_assert_eq(sqlite3_open(store, &database), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(database, statements, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

/* The script is part of a page that is XML: nothing in it may need escaping. */
Test(report, script_needs_no_escaping) {
    cr_assert_eq(strcspn(rg_report_script, "<&"), strlen(rg_report_script));
    cr_assert_not(strstr(rg_report_script, "]]>"));
}

Test(report, every_figure_has_words_and_numbers) {
    char *store = fixture_methods(), *page = report_of(store, NULL);
    int figures = count_of(page, "<figure");
    cr_assert_geq(figures, 9);
    cr_assert_eq(count_of(page, "<summary>The numbers"), figures);
    cr_assert_eq(count_of(page, "The numbers are in the table below.\""), figures);
    check_contains(page, "Win rates of the methods against each other. A matrix of 3 rows by 3 "
                         "columns.");
    check_contains(page, "Against judge queries.");
    check_contains(page, "DPO (none)");
    check_contains(page, "DPO, independent judge</th>");
    check_contains(page, ", thinned to at most 41 a curve");
    cr_assert_eq(count_of(page, "rating, Elo"), 1);
    free(page);
    free(store);
}

/* The last point of DPO's reward, as the table of the figure has it. */
Test(report, numbers_of_a_figure_are_the_means) {
    char *store = fixture_methods(), *page = report_of(store, NULL);
    double mean = 0;
    for (int seed = 1; seed <= 4; seed++)
        for (int i = 0; i < FIXTURE_ITEMS; i++) {
            FixtureTrial trial = {.label = "DPO", .seed = seed, .quality = 0.5};
            mean += fixture_reward(&trial, FIXTURE_STEPS, i) / (4 * FIXTURE_ITEMS);
        }
    char *row = rg_string_format("<th scope=\"row\">DPO</th><td>200</td><td>%.4g</td><td>[", mean);
    check_contains(page, row);
    free(row);
    free(page);
    free(store);
}

Test(report, heat_maps_are_tables_too) {
    char *store = fixture_grid(), *page = report_of(store, NULL);
    check_contains(
        page, "At the end of training, over two swept options. A matrix of 3 rows by 2 columns.");
    check_contains(page, "<td>all diverged</td>");
    check_contains(page, " <span class=\"bad\">1 diverged</span>");
    free(page);
    free(store);
}

/* The fixture keeps five responses a trial; three prompts were asked for. */
Test(report, responses_have_all_scores_and_can_be_searched) {
    char *store = fixture_methods(), *page = report_of(store, NULL);
    cr_assert_eq(count_of(page, "<details class=\"item\""), 3);
    cr_assert_eq(count_of(page, "<summary>All scores"), 3);
    check_contains(page, "<form id=\"filter\" role=\"search\" hidden=\"hidden\">");
    cr_assert_eq(count_of(page, "name=\"method\""), 3);
    FixtureTrial trial = {.label = "DPO", .seed = 1, .quality = 0.5};
    double reward = fixture_reward(&trial, FIXTURE_STEPS, 0);
    char *own = rg_string_format("<span>reward <b>%.4g</b></span>", reward);
    char *other = rg_string_format("<span>reward, independent judge <b>%.4g</b></span>",
                                   0.7 * reward + 0.2 * 0.25);
    check_contains(page, own);
    check_contains(page, other);
    free(other);
    free(own);
    free(page);
    free(store);
}

Test(report, without_a_number_all_stored_prompts_are_shown) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
    char *store = fixture_methods(), *path = fixture_path("report.html");
    RgError error = {0};
    RgReportOptions options = {.store = store, .output = path};
    fixture_check(rg_report(&options, &error), &error);
    char *page = fixture_read(path);
    cr_assert_eq(count_of(page, "<details class=\"item\""), 5);
    free(page);
    free(path);
    free(store);
}

Test(report, settings_tell_where_they_come_from) {
    char *store = fixture_methods();
    change_store(store,
                 "UPDATE experiments SET config = '{\"algorithms.0.beta\": 0.1, \"seeds.0\": 1,"
                 " \"algorithms.0.label\": \"DPO\", \"algorithms.1.label\": \"online DPO\","
                 " \"seeds.1\": 2, \"budget.steps\": 200}';"
                 "UPDATE trials SET config = '{\"algorithm.beta\": 0.1, \"budget.steps\": 200,"
                 " \"training.batch\": 64, \"algorithm.type\": \"' || algorithm || '\"}',"
                 " provenance = '{\"version\": \"1.0\", \"blas_core\": \"Haswell\", \"threads\": 2,"
                 " \"overrides\": {\"budget.steps\": \"200\"}}';"
                 "UPDATE trials SET provenance = '{\"version\": \"1.0\", \"blas_core\": \"Zen\"}'"
                 " WHERE seed = 4");
    char *page = report_of(store, NULL);
    check_contains(page, "seeds</th><td>1, 2</td><td>config</td>");
    check_contains(page, "budget.steps</th><td>200</td><td>command line</td>");
    check_contains(page, "algorithm.beta</th><td>0.1</td><td>config</td>");
    check_contains(page, "<tr class=\"default\"><th scope=\"row\">training.batch</th><td>64</td>"
                         "<td>default</td>");
    check_contains(page, "algorithm.type</th><td>dpo</td><td>online_dpo</td><td>sail</td>");
    check_contains(page, "kernels</th><td>Haswell; Zen</td>");
    check_contains(page, "seeds</th><td>1, 2, 3, 4</td>");
    check_contains(page, "11 finished, 1 diverged, 0 failed, 0 running");
    free(page);
    free(store);
}

Test(report, trials_are_listed_by_outcome_and_seed) {
    char *store = fixture_methods(), *page = report_of(store, NULL);
    check_contains(page, "SAIL-PR</th><td>1, 2, 3</td><td class=\"bad\">4</td><td>–</td>");
    free(page);
    free(store);
}

Test(report, what_comes_from_the_store_is_escaped) {
    char *store = fixture_methods();
    const char *poison = "UPDATE trials SET label = '<script>&\"''' WHERE label = 'DPO';"
                         "UPDATE trials SET reason = '</td><b>' WHERE reason IS NOT NULL;"
                         "UPDATE responses SET response = '</p><img src=x>', prompt = '<h1>\x01';"
                         "UPDATE experiments SET name = '<title>', config = '{\"<k>\": \"<v>\"}'";
    change_store(store, poison);
    char *page = report_of(store, NULL);
    cr_assert_eq(count_of(page, "<script"), 1, "the page's own");
    const char *raw[] = {"<script>&", "</td><b>", "<img", "<h1>\x01", "<k>", "<v>", NULL};
    for (int i = 0; raw[i]; i++)
        cr_assert_not(strstr(page, raw[i]), "the page has %s", raw[i]);
    check_contains(page, "&lt;script&gt;&amp;&quot;&#39;");
    check_contains(page, "&lt;/p&gt;&lt;img src=x&gt;");
    check_nesting(page);
    free(page);
    free(store);
}

Test(report, sweeps_are_drawn_against_their_option) {
    char *store = fixture_sweep(), *page = report_of(store, NULL);
    check_contains(page, "by the swept option algorithms.1.exploration");
    check_contains(page, "SAIL-PP, exploration 0.3");
    free(page);
    free(store);
}

Test(report, page_of_an_experiment_without_trials_says_so) {
    char *path = fixture_path("empty.sqlite");
    int64_t experiment;
    rg_store_close(fixture_open(path, "empty", &experiment));
    char *page = report_of(path, NULL);
    check_contains(page, "0 methods, 0 trials");
    check_nesting(page);
    free(page);
    free(path);
}

Test(report, an_output_that_cannot_be_written_is_named) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
    char *store = fixture_methods(), *below = rg_string_format("%s/a/report.html", store);
    RgError error = {0};
    RgReportOptions options = {.store = store, .output = below}; /* the store is no folder */
    cr_assert_eq(rg_report(&options, &error), RG_E_FILE);
    cr_assert(strstr(error.text, store), "%s", error.text);
    options.output = scratch_path;
    cr_assert_eq(rg_report(&options, &error), RG_E_FILE);
    cr_assert(strstr(error.text, ": is a folder, expected a file"), "%s", error.text);
    free(below);
    free(store);
}

Test(svg, inline_figures_take_the_pages_colour_and_their_own_ids) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    rg_svg_inline("<?xml?><svg width=\"9\" viewBox=\"0 0 9 9\" xmlns=\"x\"><title>t</title>"
                  "<g id=\"a\" color=\"black\" stroke='rgb( 68,  68,  68)'/>"
                  "<use xlink:href='#a'/><text>id='a' rgb(0,0,0)</text></svg>",
                  "f1-", "a < b", out);
    fclose(out);
    cr_assert_str_eq(text, "<svg role=\"img\" viewBox=\"0 0 9 9\" aria-label=\"a &lt; b\">"
                           "<g id=\"f1-a\" stroke='currentColor'/><use href='#f1-a'/>"
                           "<text>id='a' rgb(0,0,0)</text></svg>");
    free(text);
}
