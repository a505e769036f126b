/* SPDX-License-Identifier: MIT */
/* Figures: the data behind the curves against means made here, axes, and files by gnuplot. */
#include "tests/results_fixture.h"

#include "analysis/figures/plot_parts.h"
#include "analysis/statistics/statistics.h"
#include "core/new_file.h"
#include "core/registry.h"

#include <sys/stat.h>
#include <unistd.h>

TestSuite(plot, .init = scratch_begin);

static void need_gnuplot(void) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
}

static RgFigure *figure_with(const char *path, RgPlotOptions options) {
    RgError error = {0};
    RgResults *results;
    RgFigure *figure;
    fixture_check(rg_results_open(path, NULL, &results, &error), &error);
    fixture_check(rg_plot_figure(results, &options, &figure, &error), &error);
    rg_results_close(results);
    return figure;
}

static RgFigure *figure_of(const char *path, const char *y, const char *x) {
    return figure_with(path, (RgPlotOptions){.y = y, .x = x});
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

/* Mean reward of a trial over prompts, from the fixture's own function. */
static double mean_reward(const char *label, int seed, double quality, int step) {
    FixtureTrial trial = {.label = label, .seed = seed, .quality = quality};
    double mean = 0;
    for (int i = 0; i < FIXTURE_ITEMS; i++)
        mean += fixture_reward(&trial, step, i) / FIXTURE_ITEMS;
    return mean;
}

/* Of 40 curves: those of registered methods have their own colours wherever they stand, others what is
 * left, and beyond the palette the same colours come with other dashes. */
Test(plot, each_method_has_a_colour_of_its_own) {
    bool seen[RG_FIGURE_COLORS] = {0};
    const RgDescriptor *about;
    int methods = 0;
    for (int i = 0; (about = rg_registered(RG_ALGORITHM, i)); i++, methods++) {
        int color = rg_plot_method_color(about->name);
        cr_assert(color >= 0 && color < RG_FIGURE_COLORS, "%s has no colour", about->name);
        cr_assert_not(seen[color], "%s has another's colour", about->name);
        seen[color] = true;
    }
    cr_assert(methods > 20);
    for (int a = 0; a < RG_FIGURE_COLORS; a++)
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(rg_figure_color[a], rg_figure_color[b]);
    RgGroup groups[] = {{.algorithm = (char *)"mine"},
                        {.algorithm = (char *)"parl"},
                        {.algorithm = (char *)"base"},
                        {.algorithm = (char *)"parl"},
                        {.algorithm = (char *)"dpo"}};
    RgResults results = {.groups = groups, .group_count = 5};
    int *colors = rg_plot_group_colors(&results);
    cr_assert_eq(colors[1], rg_plot_method_color("parl"));
    cr_assert_eq(colors[2], rg_plot_method_color("base"));
    cr_assert_eq(colors[4], rg_plot_method_color("dpo"));
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < a; b++)
            cr_assert_neq(colors[a], colors[b]);
    free(colors);
    RgPlotColors all = rg_plot_colors(&(RgResults){0});
    for (int i = 0; i < 40; i++)
        cr_assert_eq(rg_plot_color(&all, "mine"), i);
}

/* The last point of DPO's reward, of cells that are made here. */
Test(plot, points_are_means_with_a_band_over_seeds_and_prompts) {
    char *path = fixture_methods();
    RgFigure *figure = figure_of(path, "reward", "flops");
    double cells[4 * FIXTURE_ITEMS];
    for (int seed = 1; seed <= 4; seed++) {
        FixtureTrial trial = {.label = "DPO", .seed = seed, .quality = 0.5};
        for (int i = 0; i < FIXTURE_ITEMS; i++)
            cells[(seed - 1) * FIXTURE_ITEMS + i] = fixture_reward(&trial, FIXTURE_STEPS, i);
    }
    RgEstimate expected = rg_estimate_mean(cells, 4, FIXTURE_ITEMS, false, 0);
    const RgFigureCurve *curve = &figure->curves[0];
    cr_assert_str_eq(curve->name, "DPO");
    cr_assert_eq(curve->count, FIXTURE_STEPS / FIXTURE_EVERY + 1);
    const RgFigurePoint *last = &curve->points[curve->count - 1];
    cr_assert_float_eq(last->x, 2.5e9 * FIXTURE_STEPS, 1);
    cr_assert_float_eq(last->y, expected.value, 1e-9);
    cr_assert_float_eq(last->low, expected.interval.low, 1e-9);
    cr_assert_float_eq(last->high, expected.interval.high, 1e-9);
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

/* Of seeds that end at 100, 150 and 200 the mean ends at 100; two and then one go on apart. */
Test(plot, a_mean_ends_where_its_first_seed_ends) {
    char *path = fixture_path("uneven.sqlite"), *svg = fixture_path("uneven.svg");
    int64_t experiment;
    RgStore *store = fixture_open(path, "uneven", &experiment);
    FixtureTrial trial = {"dpo", "DPO", "{}", "finished", NULL, 1, 0.5, 1, 100, false, true};
    for (; trial.seed <= 3; trial.seed++, trial.steps += 50)
        fixture_trial(store, experiment, &trial);
    rg_store_close(store);
    RgFigure *figure = figure_of(path, "reward", "step");
    cr_assert_eq(figure->curve_count, 3);
    const RgFigureCurve *c = figure->curves;
    static const int64_t counts[] = {5, 2, 2}, ends[] = {100, 150, 200};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(c[i].form, i ? RG_CURVE_REST : RG_CURVE_LINE);
        cr_assert_eq(c[i].style, c[0].style);
        cr_assert_eq(c[i].count, counts[i]);
        cr_assert_eq(c[i].points[c[i].count - 1].x, (double)ends[i]);
        for (int64_t j = 0; j < c[i].count; j++)
            cr_assert_eq(c[i].points[j].seeds, 3 - i);
    }
    cr_assert_float_eq(c[2].points[1].y, mean_reward("DPO", 3, 0.5, 200), 1e-12);
    cr_assert(c[0].seeds == 3 && c[0].going_on == 2);
    rg_figure_destroy(figure);
    figure = figure_of(path, "loss", "step");
    cr_assert(figure->curve_count == 3 && figure->curves[0].count == 21);
    rg_figure_destroy(figure);
    need_gnuplot();
    plot(path, svg, "step");
    char *text = fixture_read(svg);
    cr_assert(strstr(text, "DPO (thin: at most 2 of 3 seeds)"), "%s", text);
    free(text);
    free(svg);
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

/* DPO asks no judge: it has no place on the axis of judge queries but as a level, which leads from
 * the least of the others' points above 0 to the largest. */
Test(plot, a_method_that_spends_nothing_is_a_level) {
    char *path = fixture_methods();
    RgFigure *figure = figure_of(path, "reward", "judge_queries");
    const RgFigureCurve *level = &figure->curves[0];
    cr_assert_str_eq(level->name, "DPO (none)");
    cr_assert_eq(level->form, RG_CURVE_LEVEL);
    cr_assert_eq(level->count, 2);
    cr_assert_eq(level->points[0].x, 8 * FIXTURE_EVERY);
    cr_assert_eq(level->points[1].x, 8 * FIXTURE_STEPS);
    double mean = 0;
    for (int seed = 1; seed <= 4; seed++)
        mean += mean_reward("DPO", seed, 0.5, FIXTURE_STEPS) / 4;
    cr_assert_float_eq(level->points[1].y, mean, 1e-9);
    cr_assert_eq(figure->curves[1].form, RG_CURVE_LINE);
    rg_figure_destroy(figure);
    free(path);
}

/* A step of online DPO costs 2.6 of DPO's, one of SAIL-PR 1.5: what DPO spends in all is the last
 * point that they share. */
Test(plot, budgets_are_points_that_all_methods_share) {
    char *path = fixture_methods();
    RgFigure *figure =
        figure_with(path, (RgPlotOptions){.kind = RG_PLOT_BUDGET, .y = "reward", .x = "flops"});
    cr_assert_eq(figure->curve_count, 3);
    const RgFigureCurve *dpo = &figure->curves[0], *sail = &figure->curves[2];
    for (int64_t i = 0; i < dpo->count; i++)
        cr_assert_eq(dpo->points[i].x, sail->points[i].x);
    cr_assert_float_eq(dpo->points[dpo->count - 1].x, 2.5e9 * FIXTURE_STEPS, 1);
    /* 200 steps of DPO pay for 133⅓ of SAIL-PR: a third of the way from 125 to 150 */
    double mean = 0;
    for (int seed = 1; seed <= 3; seed++)
        mean +=
            (2 * mean_reward("SAIL-PR", seed, 1.1, 125) + mean_reward("SAIL-PR", seed, 1.1, 150)) /
            9;
    cr_assert_float_eq(sail->points[sail->count - 1].y, mean, 1e-9);
    cr_assert_eq(sail->points[0].seeds, 3);
    cr_assert_gt(sail->points[3].high, sail->points[3].low);
    rg_figure_destroy(figure);
    figure = figure_with(
        path, (RgPlotOptions){.kind = RG_PLOT_BUDGET, .y = "reward", .x = "judge_queries"});
    cr_assert_str_eq(figure->curves[2].name, "DPO (none)");
    cr_assert_eq(figure->curves[2].form, RG_CURVE_LEVEL);
    cr_assert_eq(figure->curves[2].style, 0, "DPO's colour is that of the other figures");
    rg_figure_destroy(figure);
    free(path);
}

Test(plot, over_optimisation_has_two_curves_of_a_method_in_one_colour) {
    char *path = fixture_methods();
    RgFigure *figure = figure_with(path, (RgPlotOptions){.kind = RG_PLOT_OVEROPTIMISATION});
    cr_assert_eq(figure->curve_count, 6);
    cr_assert_str_eq(figure->measures[1], "independent judge");
    for (int i = 0; i < 3; i++) {
        const RgFigureCurve *own = &figure->curves[i], *other = &figure->curves[i + 3];
        cr_assert_str_eq(own->name, other->name);
        cr_assert_eq(own->style, other->style);
        cr_assert(!own->second && other->second);
    }
    /* the second judge gives 0.7 of the reward and a fifth of quality²; KL is 4 · quality at the
     * end
     */
    const RgFigurePoint *own = &figure->curves[0].points[8], *other = &figure->curves[3].points[8];
    cr_assert_float_eq(other->y, 0.7 * own->y + 0.2 * 0.25, 1e-9);
    cr_assert_float_eq(other->x, 2, 1e-12);
    rg_figure_destroy(figure);
    free(path);
}

/* Every point of the figure is on or under the line of steps, and the line's own are the figure's.
 */
Test(plot, the_frontier_is_the_best_reached_by_then) {
    char *path = fixture_methods();
    RgFigure *figure = figure_with(path, (RgPlotOptions){.kind = RG_PLOT_FRONTIER});
    const RgFigureCurve *best = &figure->curves[figure->curve_count - 1];
    double farthest = 0;
    cr_assert_eq(best->form, RG_CURVE_STEPS);
    for (int c = 0; c + 1 < figure->curve_count; c++)
        for (int64_t i = 0; i < figure->curves[c].count; i++) {
            const RgFigurePoint *point = &figure->curves[c].points[i];
            double reached = -INFINITY;
            farthest = fmax(farthest, point->x);
            for (int64_t j = 0; j < best->count && best->points[j].x <= point->x; j++)
                reached = best->points[j].y;
            cr_assert_leq(point->y, reached);
        }
    for (int64_t j = 1; j < best->count; j++)
        cr_assert(best->points[j].x > best->points[j - 1].x &&
                  best->points[j].y >= best->points[j - 1].y);
    cr_assert_eq(best->points[best->count - 1].x, farthest);
    rg_figure_destroy(figure);
    free(path);
}

Test(plot, the_frontier_of_a_sweep_is_a_cloud_by_method) {
    char *path = fixture_sweep();
    RgFigure *figure = figure_with(path, (RgPlotOptions){.kind = RG_PLOT_FRONTIER});
    cr_assert_eq(figure->curve_count, 3);
    cr_assert_str_eq(figure->curves[0].name, "SAIL-PP");
    cr_assert_eq(figure->curves[0].form, RG_CURVE_POINTS);
    cr_assert_eq(figure->curves[0].count, 4 * (FIXTURE_STEPS / FIXTURE_EVERY + 1));
    int bars = 0;
    for (int64_t i = 0; i < figure->curves[0].count; i++)
        bars += isfinite(figure->curves[0].points[i].low);
    cr_assert_eq(bars, 4, "the ends alone have bars, not %d", bars);
    rg_figure_destroy(figure);
    free(path);
}

/* Columns are the values of x rising to the right, rows those of y rising upwards. */
Test(plot, heat_maps_are_inferred_and_hold_the_means_at_the_end) {
    char *path = fixture_grid();
    RgFigure *figure =
        figure_with(path, (RgPlotOptions){.x = "exploration", .y = "mixture", .z = "reward"});
    cr_assert_eq(figure->row_count, 3);
    cr_assert_eq(figure->category_count, 2);
    cr_assert_str_eq(figure->categories[0], "0");
    cr_assert_str_eq(figure->rows[0], "1");
    cr_assert_str_eq(figure->rows[2], "0.25");
    const RgFigureCell *cell = &figure->cells[2 * 2 + 1];
    double mean = (mean_reward("SAIL-PR", 1, 0.35, 50) + mean_reward("SAIL-PR", 2, 0.35, 50)) / 2;
    cr_assert_float_eq(cell->value, mean, 1e-9);
    cr_assert_eq(cell->seeds, 2);
    cr_assert(isnan(cell->low), "of two seeds");
    cr_assert_float_eq(figure->cells[0].value, mean_reward("SAIL-PR", 1, 1, 50), 1e-9);
    cr_assert_eq(figure->cells[0].diverged, 1);
    cr_assert(isnan(figure->cells[1].value));
    cr_assert_eq(figure->cells[1].diverged, 2);
    char *data = rg_figure_data(figure);
    cr_assert_eq(strncmp(data, "mean\tlow\thigh\tseeds\tdiverged\tx\ty\ttext\trow\t", 42), 0);
    cr_assert(strstr(data, "\t1\t1\t0\t2\t"), "one seed, one diverged, left on top: %s", data);
    cr_assert(strstr(data, "*\t1\t0\n"), "a mean without its diverged trials is marked: %s", data);
    cr_assert(strstr(data, "\nnan\tnan\tnan\t0\t2\t1\t2\tdiv.\t"), "%s", data);
    free(data);
    rg_figure_destroy(figure);
    free(path);
}

/* By a win on each prompt, as the fixture gives it; two win rates make 1. */
Test(plot, a_tournament_is_a_matrix_of_win_rates) {
    char *path = fixture_methods();
    RgFigure *figure = figure_with(path, (RgPlotOptions){.kind = RG_PLOT_TOURNAMENT});
    int n = figure->row_count;
    cr_assert_eq(n, 3);
    cr_assert_eq(figure->middle, 0.5);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            const RgFigureCell *cell = &figure->cells[i * n + j];
            cr_assert_str_eq(figure->rows[i], figure->categories[i]);
            cr_assert_eq(isnan(cell->value), i == j);
            if (i != j)
                cr_assert_float_eq(cell->value + figure->cells[j * n + i].value, 1, 1e-12);
        }
    cr_assert_str_eq(figure->rows[0], "SAIL-PR", "the strongest is first");
    cr_assert_str_eq(figure->rows[2], "DPO");
    double wins = 0; /* over the three seeds that SAIL-PR finished */
    for (int seed = 1; seed <= 3; seed++)
        for (int i = 0; i < FIXTURE_ITEMS; i++) {
            FixtureTrial sail = {.label = "SAIL-PR", .seed = seed, .quality = 1.1};
            FixtureTrial dpo = {.label = "DPO", .seed = seed, .quality = 0.5};
            wins +=
                fixture_reward(&sail, FIXTURE_STEPS, i) > fixture_reward(&dpo, FIXTURE_STEPS, i);
        }
    cr_assert_float_eq(figure->cells[2].value, wins / (3 * FIXTURE_ITEMS), 1e-12);
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
    check_start(tsv, "x\tmean\tlow\t", 11);
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

/* A store with a method of as many seeds; the caller frees. */
static char *fixture_seeds(int seeds) {
    char *path = fixture_path("seeds.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "seeds", &experiment);
    FixtureTrial trial = {"dpo", "DPO", "{}", "finished", NULL, 1, 1, 1, 50, false, true};
    for (trial.seed = 1; trial.seed <= seeds; trial.seed++)
        fixture_trial(store, experiment, &trial);
    rg_store_close(store);
    return path;
}

Test(plot, two_seeds_are_drawn_without_a_band_and_the_legend_says_so) {
    need_gnuplot();
    char *path = fixture_seeds(2), *svg = fixture_path("seeds.svg");
    plot(path, svg, "step");
    char *text = fixture_read(svg);
    cr_assert_not(strstr(text, "polygon"));
    cr_assert(strstr(text, "DPO (2 seeds: no band)"), "%s", text);
    RgFigure *figure = figure_of(path, "reward", "step");
    for (int64_t i = 0; i < figure->curves[0].count; i++)
        cr_assert(isnan(figure->curves[0].points[i].low));
    rg_figure_destroy(figure);
    free(text);
    free(svg);
    free(path);
}

/* The script cuts at the y range, which is from `least` to `most`, in the figure's units. */
static void check_cut(const char *script, double least, double most) {
    double low = NAN, high = NAN, cut[4];
    int cuts = 0;
    for (; *script; script++) {
        sscanf(script, "set yrange [%lf:%lf]", &low, &high);
        if (sscanf(script, "cut(v) = v*yf < %lf ? %lf : v*yf > %lf ? %lf", &cut[0], &cut[1],
                   &cut[2], &cut[3]) == 4)
            cuts++;
    }
    cr_assert_eq(cuts, 1);
    cr_assert(cut[0] == low && cut[1] == low && cut[2] == high && cut[3] == high);
    cr_assert(low <= least && low > least - 5 && high >= most && high < most + 5, "[%g, %g]", low,
              high);
}

/* Of three points the band has six corners; one that was clipped would have others. */
static void check_corners(const char *svg) {
    int corners = 0;
    while (*svg && strncmp(svg, "<polygon ", 9) != 0)
        svg++;
    while (*svg && strncmp(svg, " points", 7) != 0)
        svg++;
    for (; *svg && *svg != '>'; svg++)
        corners += *svg == ',';
    cr_assert_eq(corners, 6, "%d corners", corners);
}

/* A band that reaches far is whole in the frame; of a share it is cut where no share can be, and
 * every corner that gnuplot gets lies in the frame, so that it has nothing to clip. */
Test(plot, bands_are_whole_in_the_frame_but_for_shares_that_cannot_be) {
    need_gnuplot();
    char *svg = fixture_path("cut.svg"), *script = fixture_path("cut.gnuplot");
    RgFigurePoint points[] = {{.x = 0, .y = 1, .low = -90, .high = 1.1, .seeds = 3},
                              {.x = 1, .y = 2, .low = 1.9, .high = 80, .seeds = 3},
                              {.x = 2, .y = 1.5, .low = -50, .high = 50, .seeds = 3}};
    RgFigurePoint shares[] = {{.x = 0, .y = 0.3, .low = -0.5, .high = 0.9, .seeds = 3},
                              {.x = 1, .y = 0.6, .low = 0.2, .high = 1.4, .seeds = 3},
                              {.x = 2, .y = 0.5, .low = -0.1, .high = 1.2, .seeds = 3}};
    RgFigureCurve curve = {.name = (char *)"A", .points = points, .count = 3};
    RgFigure figure = {.x_label = (char *)"x",
                       .y_label = (char *)"y",
                       .x_factor = 1,
                       .y_factor = 10,
                       .z_factor = 1,
                       .curves = &curve,
                       .curve_count = 1};
    for (int share = 0; share < 2; share++) {
        RgError error = {0};
        figure.share = share;
        curve.points = share ? shares : points;
        fixture_check(rg_figure_draw(&figure, svg, 0, 0, &error), &error);
        char *written = fixture_read(script), *drawn = fixture_read(svg);
        check_cut(written, share ? -0.1 : -900, share ? 10.1 : 800);
        check_corners(drawn);
        free(drawn);
        free(written);
    }
    free(script);
    free(svg);
}

/* Left out are the point of step 0, whose divergence is 0, and offline methods, which ask nobody. */
Test(plot, a_log_y_axis_leaves_out_what_is_not_above_zero) {
    char *store = fixture_methods();
    RgFigure *linear = figure_of(store, "kl", "step");
    RgFigure *log_y = figure_with(store, (RgPlotOptions){.y = "kl", .y_log = true});
    cr_expect(log_y->y_log && !linear->y_log);
    cr_assert_eq(log_y->curve_count, linear->curve_count);
    for (int i = 0; i < linear->curve_count; i++) {
        cr_assert_eq(linear->curves[i].points[0].y, 0);
        cr_assert_eq(log_y->curves[i].count, linear->curves[i].count - 1);
        cr_expect_eq(log_y->curves[i].points[0].y, linear->curves[i].points[1].y);
    }
    rg_figure_destroy(linear);
    rg_figure_destroy(log_y);
    linear = figure_of(store, "judge_queries", "step");
    log_y = figure_with(store, (RgPlotOptions){.y = "judge_queries", .y_log = true});
    cr_expect_str_eq(linear->curves[0].name, "DPO");
    cr_expect_str_neq(log_y->curves[0].name, "DPO");
    cr_expect_gt(log_y->curve_count, 0);
    rg_figure_destroy(linear);
    rg_figure_destroy(log_y);
    free(store);
}

/* The lower end of gnuplot's y range in a script. */
static double lower_end(const char *script) {
    const char *at = strstr(script, "set yrange [");
    cr_assert(at && strstr(script, "set logscale y"));
    return atof(at + strlen("set yrange ["));
}

Test(plot, a_log_y_axis_shows_bands_as_far_as_a_decade_from_the_means) {
    need_gnuplot();
    char *svg = fixture_path("log.svg"), *script = fixture_path("log.gnuplot");
    const struct {
        double low, expected;
    } cases[] = {{0.02, 0.02}, {1e-5, 0.01}, {-1, 0.08}}; /* the last is narrow */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgFigurePoint points[] = {{.x = 0, .y = 1, .low = 0.5, .high = 2, .seeds = 3},
                                  {.x = 1, .y = 0.1, .low = cases[i].low, .high = 3, .seeds = 3}};
        RgFigureCurve curve = {.name = (char *)"A", .points = points, .count = 2};
        RgFigure figure = {.x_label = (char *)"x",
                           .y_label = (char *)"y",
                           .x_factor = 1,
                           .y_factor = 1,
                           .y_log = true,
                           .curves = &curve,
                           .curve_count = 1};
        RgError error = {0};
        fixture_check(rg_figure_draw(&figure, svg, 0, 0, &error), &error);
        char *written = fixture_read(script);
        cr_expect_float_eq(lower_end(written), cases[i].expected, 1e-12);
        cr_expect_eq(strstr(written, "set ytics (0.1, 0.2, 0.5, 1, 2)") != NULL, i == 2);
        free(written);
    }
    free(script);
    free(svg);
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

static void kind_refused(const char *store, RgPlotOptions options, const char *part) {
    char *svg = fixture_path("x.svg");
    options.store = store;
    options.output = svg;
    refused(options, RG_E_USAGE, part);
    free(svg);
}

Test(plot, what_a_kind_cannot_show_is_refused_with_a_hint) {
    char *grid = fixture_grid(), *sweep = fixture_sweep();
    kind_refused(grid, (RgPlotOptions){.kind = RG_PLOT_HEATMAP, .x = "mixture"},
                 "expected -y NAME");
    kind_refused(grid, (RgPlotOptions){.kind = RG_PLOT_HEATMAP, .x = "mixture", .y = "explortion"},
                 "did you mean \"exploration\"?");
    kind_refused(grid, (RgPlotOptions){.x = "mixture", .y = "mixture"},
                 "both axes of a heat map are \"mixture\"");
    kind_refused(grid, (RgPlotOptions){.x = "mixture", .y = "exploration", .method = "SAIL-PP"},
                 "did you mean \"SAIL-PR\"?");
    kind_refused(grid, (RgPlotOptions){.x = "mixture", .y = "exploration", .z = "rewad"},
                 "did you mean \"reward\"?");
    kind_refused(sweep, (RgPlotOptions){.kind = RG_PLOT_OVEROPTIMISATION},
                 "no metric \"independent_reward\"");
    kind_refused(sweep, (RgPlotOptions){.kind = RG_PLOT_FRONTIER, .x = "kll"},
                 "did you mean \"kl\"?");
    kind_refused(grid, (RgPlotOptions){.x = "mixture", .y = "exploration", .y_log = true},
                 "--log-y: a heat map or tournament has no axis of values");
    kind_refused(sweep, (RgPlotOptions){.y = "hessian_products", .y_log = true},
                 "--log-y: no value of \"hessian_products\" is above 0");
    RgError error = {0};
    RgPlotKind kind;
    cr_assert_eq(rg_plot_kind("heat-map", &kind, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "did you mean \"heatmap\"?"), "%s", error.text);
    free(sweep);
    free(grid);
}

Test(plot, two_methods_with_both_options_have_to_be_told_apart) {
    char *path = fixture_grid();
    RgError error = {0};
    RgStore *store;
    int64_t experiment;
    fixture_check(rg_store_open(path, true, &store, &error), &error);
    fixture_check(rg_store_experiment(store, "grid", "{}", &experiment, &error), &error);
    FixtureTrial trial = {.algorithm = "sail",
                          .label = "SAIL-PP",
                          .swept = "{\"exploration\": 0, \"mixture\": 1}",
                          .status = "finished",
                          .seed = 1,
                          .quality = 1,
                          .speed = 1,
                          .steps = 50,
                          .items = true};
    fixture_trial(store, experiment, &trial);
    rg_store_close(store);
    kind_refused(path, (RgPlotOptions){.x = "mixture", .y = "exploration"},
                 "choose one by --method");
    RgFigure *figure =
        figure_with(path, (RgPlotOptions){.x = "mixture", .y = "exploration", .method = "SAIL-PP"});
    int values = 0;
    for (int i = 0; i < figure->row_count * figure->category_count; i++)
        values += !isnan(figure->cells[i].value);
    cr_assert_eq(values, 1);
    rg_figure_destroy(figure);
    free(path);
}

Test(plot, every_kind_is_drawn_in_every_format) {
    need_gnuplot();
    char *grid = fixture_grid(), *methods = fixture_methods(), *sweep = fixture_sweep();
    const struct {
        const char *store;
        RgPlotOptions options;
    } figures[] = {
        {grid, {.x = "mixture", .y = "exploration"}},
        {methods, {.kind = RG_PLOT_TOURNAMENT}},
        {methods, {.kind = RG_PLOT_FRONTIER, .title = "A title"}},
        {sweep, {.kind = RG_PLOT_FRONTIER}},
        {methods, {.kind = RG_PLOT_OVEROPTIMISATION, .width = 336}},
        {methods, {.kind = RG_PLOT_BUDGET, .x = "judge_queries"}},
        {methods, {.y = "kl", .y_log = true}},
    };
    const char *outputs[] = {"kind.svg", "kind.png", "kind.pdf"};
    const char *magic[] = {"<?xml", "\x89PNG\r", "%PDF-"};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        for (int j = 0; j < 3; j++) {
            RgError error = {0};
            char *output = fixture_path(outputs[j]);
            RgPlotOptions options = figures[i].options;
            options.store = figures[i].store;
            options.output = output;
            fixture_check(rg_plot(&options, &error), &error);
            check_start(output, magic[j], 5);
            cr_assert_eq(unlink(output), 0);
            free(output);
        }
    free(sweep);
    free(methods);
    free(grid);
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
    cr_assert(strstr(text, "seeds\tcategory\tcurve\n"), "%s", text);
    cr_assert(strstr(text, "\t0.1\tSAIL-PP\n2\t"), "%s", text);
    free(text);
    free(tsv);
    free(svg);
    free(store);
}

/* Two seeds that were evaluated at every 10 FLOPs, at steps of their own: points are of multiples,
 * not of steps. */
Test(plot, evaluations_by_cost_are_averaged_by_multiples_of_it) {
    char *path = fixture_path("spending.sqlite");
    RgError error = {0};
    int64_t experiment;
    RgStore *store = fixture_open(path, "spending", &experiment);
    for (int seed = 1; seed <= 2; seed++) {
        char key[17];
        bool finished;
        snprintf(key, sizeof key, "%016d", seed);
        RgTrialRecord record = {.experiment = experiment,
                                .key = key,
                                .algorithm = "dpo",
                                .label = "DPO",
                                .seed = seed,
                                .swept_json = "{}",
                                .config_json =
                                    "{\"evaluation.per\": \"flops\", \"evaluation.every\": 10.0}",
                                .provenance_json = "{}"};
        fixture_check(rg_store_trial(store, &record, &finished, &error), &error);
        for (int k = 1; k <= 3; k++) {
            RgMeter meter = {.flops = 10 * k + seed};
            RgEvaluation *evaluation = rg_evaluation_create();
            rg_evaluation_metric(evaluation, "reward", k + seed);
            fixture_check(rg_store_step(store, record.id, (seed + 2) * k, &meter, NULL, NULL, 0,
                                        evaluation, &error),
                          &error);
            rg_evaluation_destroy(evaluation);
        }
        fixture_check(rg_store_trial_status(store, record.id, "finished", NULL, &error), &error);
    }
    rg_store_close(store);
    RgFigure *figure = figure_of(path, "reward", "flops");
    cr_assert_eq(figure->curves[0].count, 3);
    for (int k = 1; k <= 3; k++) {
        const RgFigurePoint *point = &figure->curves[0].points[k - 1];
        cr_assert_eq(point->seeds, 2);
        cr_assert_float_eq(point->x, 10 * k + 1.5, 1e-9);
        cr_assert_float_eq(point->y, k + 1.5, 1e-9);
    }
    rg_figure_destroy(figure);
    free(path);
}
