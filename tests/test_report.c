/* The report's page: it needs nothing else, is well-formed, escapes what comes from the store, and
 * shows what the store holds. */
#include "tests/results_fixture.h"

#include "analysis/report.h"
#include "analysis/svg.h"

#include <sqlite3.h>

TestSuite(report, .init = scratch_begin, .fini = scratch_remove);

static char *report_of(const char *store, const char *title) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
    RgError error = {0};
    char *path = fixture_path("report.html");
    RgReportOptions options = {
        .store = store, .output = path, .title = title, .prompts = 3, .resamples = 200};
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

Test(report, what_comes_from_the_store_is_escaped) {
    char *store = fixture_methods();
    sqlite3 *database;
    cr_assert_eq(sqlite3_open(store, &database), SQLITE_OK);
    const char *poison = "UPDATE trials SET label = '<script>&\"''' WHERE label = 'DPO';"
                         "UPDATE trials SET reason = '</td><b>' WHERE reason IS NOT NULL;"
                         "UPDATE responses SET response = '</p><img src=x>', prompt = '<h1>\x01';"
                         "UPDATE experiments SET name = '</title>', config = '{\"<k>\": \"<v>\"}'";
    cr_assert_eq(sqlite3_exec(database, poison, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
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
    char *store = fixture_methods();
    RgError error = {0};
    RgReportOptions options = {
        .store = store, .output = "/nonexistent/report.html", .resamples = 10};
    cr_assert_eq(rg_report(&options, &error), RG_E_FILE);
    cr_assert(strstr(error.text, "/nonexistent/"), "%s", error.text);
    free(store);
}

Test(svg, inline_figures_take_the_pages_colour_and_their_own_ids) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    rg_svg_inline("<?xml?><svg width=\"9\" viewBox=\"0 0 9 9\" xmlns=\"x\"><title>t</title>"
                  "<g id=\"a\" color=\"black\" stroke='rgb( 68,  68,  68)'/>"
                  "<use xlink:href='#a'/></svg>",
                  "f1-", "a < b", out);
    fclose(out);
    cr_assert_str_eq(text, "<svg role=\"img\" viewBox=\"0 0 9 9\" aria-label=\"a &lt; b\">"
                           "<g id=\"f1-a\" stroke='currentColor'/><use href='#f1-a'/></svg>");
    free(text);
}
