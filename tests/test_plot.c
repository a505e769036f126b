/* Figures: the data behind the curves against means made here, axes, and files by gnuplot. */
#include "tests/results_fixture.h"

#include "analysis/plot.h"
#include "analysis/statistics.h"

#include <sys/stat.h>

TestSuite(plot, .init = scratch_begin, .fini = scratch_remove);

static void need_gnuplot(void) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
}

static RgFigure *figure_of(const char *path, const char *y, const char *x) {
    RgError error = {0};
    RgResults *results;
    RgFigure *figure;
    RgPlotOptions options = {.y = y, .x = x};
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    fixture_check(rg_plot_figure(results, &options, &figure, &error), &error);
    rg_results_close(results);
    return figure;
}

/* The last point of DPO's reward: mean and t interval of four seeds, t(0.975, 3) = 3.18245. */
Test(plot, points_are_means_with_students_band) {
    char *path = fixture_methods();
    RgFigure *figure = figure_of(path, "reward", "flops");
    double means[4] = {0};
    for (int seed = 1; seed <= 4; seed++) {
        FixtureTrial trial = {.label = "DPO", .seed = seed, .quality = 0.5};
        for (int i = 0; i < FIXTURE_ITEMS; i++)
            means[seed - 1] += fixture_reward(&trial, FIXTURE_STEPS, i) / FIXTURE_ITEMS;
    }
    RgSummary summary = rg_summarize(means, 4);
    const RgFigureCurve *curve = &figure->curves[0];
    cr_assert_str_eq(curve->name, "DPO");
    cr_assert_eq(curve->count, FIXTURE_STEPS / FIXTURE_EVERY + 1);
    const RgFigurePoint *last = &curve->points[curve->count - 1];
    cr_assert_float_eq(last->x, 2.5e9 * FIXTURE_STEPS, 1);
    cr_assert_float_eq(last->y, summary.mean, 1e-9);
    cr_assert_float_eq(last->high - last->y, 3.182446305 * summary.standard_error, 1e-7);
    cr_assert_eq(last->seeds, 4);
    rg_figure_destroy(figure);
    free(path);
}

Test(plot, costs_choose_a_readable_unit) {
    char *path = fixture_methods();
    RgFigure *flops = figure_of(path, "win_rate_base", "flops");
    cr_assert_str_eq(flops->x_label, "training compute, TFLOP");
    cr_assert_float_eq(flops->x_factor, 1e-12, 1e-18);
    cr_assert_str_eq(flops->y_label, "win rate against base, %");
    cr_assert_eq(flops->y_factor, 100);
    rg_figure_destroy(flops);
    free(path);
}

/* Costs of 1 and 20 per step share a log axis, which has no place for step 0. */
Test(plot, costs_that_differ_by_decades_share_a_log_axis) {
    char *path = fixture_path("decades.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "decades", &experiment);
    FixtureTrial trial = {"dpo", "DPO", "{}", "finished", NULL, 1, 1, 1, 50, false, true};
    fixture_trial(store, experiment, &trial);
    trial.label = "PARL";
    trial.speed = 20;
    fixture_trial(store, experiment, &trial);
    rg_store_close(store);
    RgFigure *flops = figure_of(path, "reward", "flops"), *step = figure_of(path, "reward", "step");
    cr_assert_eq(flops->x_scale, RG_AXIS_LOG);
    cr_assert_eq(flops->curves[1].count, 2);
    cr_assert_gt(flops->curves[1].points[0].x, 0);
    cr_assert_eq(step->x_scale, RG_AXIS_LINEAR);
    cr_assert_eq(step->curves[1].count, 3);
    rg_figure_destroy(step);
    rg_figure_destroy(flops);
    free(path);
}

Test(plot, metric_against_metric_is_a_path) {
    char *path = fixture_methods();
    RgFigure *figure = figure_of(path, "reward", "kl");
    cr_assert(figure->path);
    cr_assert_float_eq(figure->curves[0].points[8].x, 2, 1e-12);
    rg_figure_destroy(figure);
    free(path);
}

Test(plot, training_metrics_have_every_step) {
    char *path = fixture_methods();
    RgFigure *figure = figure_of(path, "loss", "step");
    cr_assert_eq(figure->curves[0].count, FIXTURE_STEPS / 5 + 1);
    rg_figure_destroy(figure);
    free(path);
}

/* 0 has no place on a log axis, and 0, 0.1, 0.3, 1 crowd on a linear one. */
Test(plot, irregular_swept_values_are_evenly_spaced_categories) {
    char *path = fixture_sweep();
    RgFigure *figure = figure_of(path, "reward", "exploration");
    cr_assert_eq(figure->x_scale, RG_AXIS_CATEGORIES);
    cr_assert_eq(figure->category_count, 4);
    cr_assert_str_eq(figure->categories[1], "0.1");
    cr_assert_eq(figure->curve_count, 2);
    cr_assert_str_eq(figure->curves[0].name, "SAIL-PP");
    cr_assert_eq(figure->curves[0].count, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(figure->curves[0].points[i].x, i);
    cr_assert_eq(figure->curves[1].form, RG_CURVE_LEVEL, "DPO has no exploration: a level");
    rg_figure_destroy(figure);
    free(path);
}

static RgAxisScale scale_of(const char *const *values) {
    static int stores;
    char name[32];
    int64_t experiment;
    snprintf(name, sizeof name, "scale%d.sqlite", stores++);
    char *path = fixture_path(name);
    RgStore *store = fixture_open(path, "scale", &experiment);
    for (int i = 0; values[i]; i++) {
        char swept[64];
        snprintf(swept, sizeof swept, "{\"beta\": %s}", values[i]);
        FixtureTrial trial = {"dpo", "DPO", swept, "finished", NULL, 1, 1, 1, 25, false, true};
        fixture_trial(store, experiment, &trial);
    }
    rg_store_close(store);
    RgFigure *figure = figure_of(path, "reward", "beta");
    RgAxisScale scale = figure->x_scale;
    rg_figure_destroy(figure);
    free(path);
    return scale;
}

Test(plot, swept_values_choose_their_axis) {
    const char *even[] = {"0", "0.25", "0.5", NULL}, *decades[] = {"0.01", "0.1", "1", NULL};
    const char *words[] = {"\"adam\"", "\"sgd\"", NULL};
    cr_assert_eq(scale_of(even), RG_AXIS_LINEAR);
    cr_assert_eq(scale_of(decades), RG_AXIS_LOG);
    cr_assert_eq(scale_of(words), RG_AXIS_CATEGORIES);
}

static void plot(const char *store, const char *output, const char *x) {
    RgError error = {0};
    RgPlotOptions options = {.store = store,
                             .y = "win_rate_base",
                             .x = x,
                             .output = output,
                             .title = "It's 100 % \"quoted\" `date` $HOME"};
    fixture_check(rg_plot(&options, &error), &error);
}

static void check_start(const char *path, const char *magic, size_t size) {
    FILE *file = fopen(path, "rb");
    char start[16] = {0};
    cr_assert(file, "%s is missing", path);
    cr_assert_eq(fread(start, 1, size, file), size);
    fclose(file);
    cr_assert(memcmp(start, magic, size) == 0, "%s starts otherwise", path);
}

Test(plot, gnuplot_draws_each_format_and_leaves_data_and_script) {
    need_gnuplot();
    char *store = fixture_methods(), *svg = fixture_path("figure.svg");
    char *png = fixture_path("figure.png"), *pdf = fixture_path("figure.pdf");
    char *tsv = fixture_path("figure.tsv"), *script = fixture_path("figure.gnuplot");
    plot(store, svg, "flops");
    plot(store, png, "kl");
    plot(store, pdf, "seconds");
    check_start(svg, "<?xml", 5);
    check_start(png, "\x89PNG\r\n\x1a\n", 8);
    check_start(pdf, "%PDF-", 5);
    check_start(tsv, "curve\tx\tmean\t", 13);
    check_start(script, "# gnuplot", 9);
    char *text = fixture_read(svg);
    for (const char *const *label =
             (const char *const[]){"DPO", "online DPO", "SAIL-PR (1 diverged)", "It's 100 %",
                                   "`date` $HOME", NULL};
         *label; label++)
        cr_assert(strstr(text, *label), "%s is not in the figure", *label);
    cr_assert(strstr(text, "</svg>"));
    free(text);
    free(script);
    free(tsv);
    free(pdf);
    free(png);
    free(svg);
    free(store);
}

Test(plot, a_single_seed_is_drawn_without_a_band) {
    need_gnuplot();
    char *path = fixture_path("single.sqlite"), *svg = fixture_path("single.svg");
    int64_t experiment;
    RgStore *store = fixture_open(path, "single", &experiment);
    FixtureTrial trial = {"dpo", "DPO", "{}", "finished", NULL, 1, 1, 1, 50, false, true};
    fixture_trial(store, experiment, &trial);
    rg_store_close(store);
    plot(path, svg, "step");
    char *text = fixture_read(svg);
    cr_assert_not(strstr(text, "polygon"));
    free(text);
    free(svg);
    free(path);
}

static void refused(RgPlotOptions options, RgStatus status, const char *part) {
    RgError error = {0};
    cr_assert_eq(rg_plot(&options, &error), status);
    cr_assert(strstr(error.text, part), "no \"%s\" in: %s", part, error.text);
}

Test(plot, unknown_names_and_suffixes_are_refused_with_a_hint) {
    char *store = fixture_sweep(), *svg = fixture_path("x.svg"), *jpg = fixture_path("x.jpg");
    refused((RgPlotOptions){.store = store, .y = "rewad", .output = svg}, RG_E_USAGE,
            "did you mean \"reward\"?");
    refused((RgPlotOptions){.store = store, .x = "flop", .output = svg}, RG_E_USAGE,
            "did you mean \"flops\"?");
    refused((RgPlotOptions){.store = store, .output = jpg}, RG_E_USAGE, ".svg, .png or .pdf");
    free(jpg);
    free(svg);
    free(store);
}

Test(plot, a_missing_gnuplot_is_named) {
    char *store = fixture_methods(), *svg = fixture_path("x.svg");
    setenv("PATH", "/nonexistent", 1);
    refused((RgPlotOptions){.store = store, .output = svg}, RG_E_FILE, "gnuplot is not installed");
    free(svg);
    free(store);
}

Test(plot, a_gnuplot_that_fails_is_quoted) {
    char *store = fixture_methods(), *svg = fixture_path("x.svg"), *fake = fixture_path("gnuplot");
    const char script[] = "#!/bin/sh\necho 'line 3: it hurts' >&2\nexit 1\n";
    RgError error = {0};
    fixture_check(rg_file_write(fake, script, strlen(script), &error), &error);
    cr_assert_eq(chmod(fake, 0755), 0);
    *strrchr(fake, '/') = '\0';
    char *search = rg_string_format("%s:%s", fake, getenv("PATH"));
    setenv("PATH", search, 1);
    refused((RgPlotOptions){.store = store, .output = svg}, RG_E_FILE, "it hurts");
    free(search);
    free(fake);
    free(svg);
    free(store);
}

Test(plot, data_files_name_the_categories) {
    need_gnuplot();
    char *store = fixture_sweep(), *svg = fixture_path("sweep.svg");
    char *tsv = fixture_path("sweep.tsv");
    plot(store, svg, "exploration");
    char *text = fixture_read(tsv);
    cr_assert(strstr(text, "seeds\tcategory\n"), "%s", text);
    cr_assert(strstr(text, "\t0.1\nSAIL-PP\t2\t"), "%s", text);
    free(text);
    free(tsv);
    free(svg);
    free(store);
}
