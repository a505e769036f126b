/* SPDX-License-Identifier: MIT */
/* The report: its sections and figures, and their order. gnuplot plots the figures in a temporary
 * folder, which is removed when the page is written. */
#include "analysis/report/report.h"
#include "analysis/compare/format.h"
#include "analysis/figures/plot.h"
#include "analysis/figures/svg.h"
#include "analysis/report/report_page.h"
#include "core/files.h"
#include "core/new_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Small enough that its letters are readable at the width of a telephone. */
enum { FIGURE_WIDTH = 400 };
/* More curves are not distinguishable; a sweep is then shown only by its options. More methods do
 * not fit a matrix. */
enum { MAXIMUM_CURVES = 10, MAXIMUM_DUELISTS = 24 };

typedef struct Page {
    const RgResults *results;
    const RgReportOptions *options;
    FILE *out;
    char *folder; /* of the figures */
    int figures;
} Page;

/* Figures. */

static RgStatus draw_inline(Page *page, const RgFigure *figure, const char *caption,
                            RgError *error) {
    char *path = rg_string_format("%s/figure.svg", page->folder), *svg = NULL;
    size_t size;
    int width = figure->cells ? rg_figure_natural_width(figure) : FIGURE_WIDTH;
    RgStatus status = rg_figure_draw(figure, path, width, 0, error);
    if (status == RG_OK)
        status = rg_file_read(path, &svg, &size, error);
    if (status == RG_OK) {
        char prefix[16], *words = rg_page_describe(figure, caption);
        snprintf(prefix, sizeof prefix, "f%d-", ++page->figures);
        if (figure->cells) /* letters as large as in the other figures */
            fprintf(page->out, "<figure class=\"wide\" style=\"max-width:%dpx\">\n", width + 60);
        else
            fputs("<figure>\n", page->out);
        rg_svg_inline(svg, prefix, words, page->out);
        fputs("<figcaption>", page->out);
        rg_write_html(page->out, caption);
        fputs("</figcaption>\n", page->out);
        rg_page_figure_data(page->out, figure);
        fputs("</figure>\n", page->out);
        free(words);
    }
    free(svg);
    free(path);
    return status;
}

static int64_t longest_curve(const RgFigure *figure) {
    int64_t longest = 0;
    for (int i = 0; i < figure->curve_count; i++)
        longest = figure->curves[i].count > longest ? figure->curves[i].count : longest;
    return longest;
}

/* A figure, if the experiment has data over training, not only the last evaluation. */
static RgStatus add_figure(Page *page, RgPlotOptions options, const char *caption, RgError *error) {
    RgFigure *figure;
    if (rg_plot_figure(page->results, &options, &figure, NULL) != RG_OK)
        return RG_OK;
    bool over_training = options.x && strcmp(options.x, "step") == 0;
    RgStatus status = over_training && longest_curve(figure) < 2
                          ? RG_OK
                          : draw_inline(page, figure, caption, error);
    rg_figure_destroy(figure);
    return status;
}

/* The primary metric: the first in this list that the experiment has. */
static const char *primary_metric(const RgResults *results) {
    static const char *const names[] = {"win_rate_base", "reward", "regret", NULL};
    RgMeasure measure;
    for (int i = 0; names[i]; i++)
        if (rg_results_has(results, names[i], &measure))
            return names[i];
    for (int i = 0; results->metrics[i]; i++)
        if (strncmp(results->metrics[i], "eval/", 5) == 0)
            return results->metrics[i] + 5;
    return NULL;
}

static RgStatus add_swept_figures(Page *page, const char *metric, RgError *error) {
    for (int i = 0; page->results->swept[i]; i++) {
        const char *option = page->results->swept[i];
        char *caption = rg_string_format("At the end of training, by the swept option %s.", option);
        RgStatus status =
            add_figure(page, (RgPlotOptions){.y = metric, .x = option}, caption, error);
        free(caption);
        RG_TRY(status);
    }
    return RG_OK;
}

/* For every method with two swept options, a heat map over each pair of them. A method with further
 * swept options has no such map. */
static RgStatus add_heat_maps(Page *page, const char *metric, RgError *error) {
    const RgResults *results = page->results;
    for (int g = 0; g < results->group_count; g++) {
        const char *label = results->groups[g].label;
        if (g > 0 && strcmp(results->groups[g - 1].label, label) == 0)
            continue; /* groups of a label are adjacent */
        for (int i = 0; results->swept[i]; i++)
            for (int j = i + 1; results->swept[j]; j++) {
                RgPlotOptions options = {.kind = RG_PLOT_HEATMAP,
                                         .x = results->swept[i],
                                         .y = results->swept[j],
                                         .z = metric,
                                         .method = label};
                RG_TRY(add_figure(page, options, "At the end of training, over two swept options.",
                                  error));
            }
    }
    return RG_OK;
}

/* Whether any method has this cost. */
static bool is_spent(const Page *page, const char *cost) {
    RgMeasure measure;
    if (!rg_results_has(page->results, cost, &measure))
        return false;
    for (int i = 0; i < page->results->trial_count; i++) {
        const RgTrial *trial = &page->results->trials[i];
        if (rg_trial_value(page->results, trial, &measure, trial->evaluated_step) > 0)
            return true;
    }
    return false;
}

static RgStatus add_curves(Page *page, const char *metric, RgError *error) {
    static const char *const costs[][2] = {
        {"flops", "Against training compute."},
        {"seconds", "Against time; evaluation is not counted."},
        {"judge_queries", "Against judge queries."},
        {"generated_tokens", "Against tokens that the policy sampled in training."},
        {NULL, NULL}};
    for (int i = 0; costs[i][0]; i++)
        if (is_spent(page, costs[i][0]))
            RG_TRY(add_figure(page, (RgPlotOptions){.y = metric, .x = costs[i][0]}, costs[i][1],
                              error));
    RG_TRY(add_figure(
        page, (RgPlotOptions){.kind = RG_PLOT_BUDGET, .y = metric},
        "At equal compute, as far as all methods go: linear interpolation between evaluations.",
        error));
    RG_TRY(add_figure(page, (RgPlotOptions){.y = metric, .x = "step"}, "Over training.", error));
    if (strcmp(metric, "reward") != 0)
        RG_TRY(add_figure(page, (RgPlotOptions){.y = "reward", .x = "step"},
                          "Reward over training.", error));
    return add_figure(page, (RgPlotOptions){.y = "loss", .x = "step"},
                      "Training loss. Losses of different algorithms are different functions.",
                      error);
}

/* For a metric that the independent judge gives, too. */
static RgStatus add_overoptimisation(Page *page, const char *metric, RgError *error) {
    RgMeasure measure;
    char *independent = rg_string_format("independent_%s", metric);
    if (!rg_results_has(page->results, independent, &measure))
        metric = "reward";
    free(independent);
    return add_figure(page, (RgPlotOptions){.kind = RG_PLOT_OVEROPTIMISATION, .y = metric},
                      "Over-optimisation: where the training judge's value keeps rising and the "
                      "independent judge's does not.",
                      error);
}

/* Metric against divergence. */
static RgStatus add_tradeoffs(Page *page, const char *metric, bool few, RgError *error) {
    if (few || page->results->swept[0])
        RG_TRY(add_figure(
            page, (RgPlotOptions){.kind = RG_PLOT_FRONTIER, .y = metric},
            "Against the divergence from the reference policy: higher at the same divergence is "
            "better. The grey line is the best value reached up to that divergence.",
            error));
    return few ? add_overoptimisation(page, metric, error) : RG_OK;
}

static RgStatus write_figures(Page *page, RgError *error) {
    const char *metric = primary_metric(page->results);
    if (!metric)
        return RG_OK;
    bool few = page->results->group_count <= MAXIMUM_CURVES;
    rg_page_section(page->out, "figures", "Figures");
    fprintf(
        page->out,
        "<p class=\"soft\">Means over seeds; bands and bars are 95 %% intervals of the mean over "
        "%s, and methods with fewer than three seeds have none. A mean ends where its first "
        "seed ends; thin lines are means of the seeds that go on. A method marked (none) has "
        "no cost of the kind on the axis: its level is that of its last evaluation.</p>\n"
        "<div class=\"figures\">\n",
        rg_results_sources(page->results));
    RG_TRY(add_heat_maps(page, metric, error));
    RG_TRY(add_swept_figures(page, metric, error));
    if (strcmp(metric, "reward") != 0)
        RG_TRY(add_swept_figures(page, "reward", error));
    RG_TRY(add_swept_figures(page, "kl", error));
    if (few || !page->results->swept[0])
        RG_TRY(add_curves(page, metric, error));
    RG_TRY(add_tradeoffs(page, metric, few, error));
    fputs("</div>\n</section>\n", page->out);
    return RG_OK;
}

static void write_ratings(Page *page, const RgTournament *tournament) {
    RgGrid grid = rg_tournament_ratings_grid(tournament);
    rg_page_grid(page->out, &grid);
    rg_grid_free(&grid);
    rg_page_notes(page->out, tournament->notes.at, tournament->notes.count);
}

static RgStatus write_tournament(Page *page, RgError *error) {
    RgTournament *tournament;
    RgTournamentOptions options = {0};
    if (page->results->group_count > MAXIMUM_DUELISTS ||
        rg_tournament_create(page->results, &options, &tournament, NULL) != RG_OK)
        return RG_OK;
    rg_page_section(page->out, "duels", "Head to head");
    fprintf(page->out,
            "<p class=\"soft\">How often the row's response gets a higher reward than the column's "
            "for the same prompt and seed, in percent. A tie counts as half. The numbers have a 95 "
            "%% interval over %s.</p>\n",
            rg_results_sources(page->results));
    RgFigure *figure = rg_plot_tournament_figure(tournament);
    RgStatus status =
        draw_inline(page, figure, "Win rates of the methods against each other.", error);
    write_ratings(page, tournament);
    fputs("</section>\n", page->out);
    rg_figure_destroy(figure);
    rg_tournament_destroy(tournament);
    return status;
}

/* The page. */

static const char *plural(int count) {
    return count == 1 ? "" : "s";
}

static void write_head(Page *page, const char *title) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
          /* nothing is loaded from elsewhere, whatever the store contains */
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'; script-src 'unsafe-inline'\"/>\n<title>",
          page->out);
    rg_write_html(page->out, title);
    fprintf(page->out, "</title>\n<style>%s</style>\n</head>\n<body>\n<header>\n<h1>",
            rg_report_style);
    rg_write_html(page->out, title);
    fputs("</h1>\n", page->out);
}

static void write_summary(Page *page) {
    const RgResults *results = page->results;
    int by_status[RG_TRIAL_STATUSES] = {0};
    for (int i = 0; i < results->trial_count; i++)
        by_status[results->trials[i].status]++;
    fprintf(page->out, "<p class=\"soft\">%d %s%s, %d trial%s: %d finished, %d diverged",
            results->group_count, results->swept[0] ? "setting" : "method",
            plural(results->group_count), results->trial_count, plural(results->trial_count),
            by_status[RG_TRIAL_FINISHED], by_status[RG_TRIAL_DIVERGED]);
    if (by_status[RG_TRIAL_FAILED])
        fprintf(page->out, ", %d failed", by_status[RG_TRIAL_FAILED]);
    if (by_status[RG_TRIAL_RUNNING])
        fprintf(page->out, ", %d running or interrupted", by_status[RG_TRIAL_RUNNING]);
    fputs(". Experiment <b>", page->out);
    rg_write_html(page->out, results->name);
    fputs("</b>", page->out);
    if (results->created) { /* 2024-05-01T12:30:59Z */
        fputs(", begun ", page->out);
        char *date = rg_string_copy(results->created);
        date[strcspn(date, "T")] = '\0';
        rg_write_html(page->out, date);
        free(date);
    }
    fputs(".</p>\n", page->out);
}

/* Links to the sections that the body has. */
static void write_navigation(Page *page, const char *body) {
    static const char *const sections[][2] = {
        {"results", "Results"},
        {"duels", "Head to head"},
        {"figures", "Figures"},
        {"reported", "Reported figures"},
        {"cost", "Cost"},
        {"responses", "Responses"},
        {"trials", "Trials"},
        {"configuration", "Configuration"},
        {"provenance", "Provenance"},
    };
    fputs("<nav aria-label=\"sections\">", page->out);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        char *tag = rg_string_format("<section id=\"%s\">", sections[i][0]);
        if (strstr(body, tag))
            fprintf(page->out, "<a href=\"#%s\">%s</a>", sections[i][0], sections[i][1]);
        free(tag);
    }
    fputs("</nav>\n</header>\n", page->out);
}

static void write_part(Page *page, const RgTable *table, int from, int to) {
    RgGrid grid = rg_table_grid(table, from, to);
    rg_page_grid(page->out, &grid);
    rg_grid_free(&grid);
}

/* The cost of the whole experiment, including trials outside all means. */
static void write_total(Page *page) {
    static const char *const costs[] = {"flops", "seconds", "generated_tokens", "judge_queries"};
    fputs("<p class=\"soft\">All trials together, including those that did not finish:", page->out);
    for (size_t c = 0; c < sizeof costs / sizeof *costs; c++) {
        RgMeasure measure;
        double total = 0;
        if (!rg_results_has(page->results, costs[c], &measure))
            continue;
        for (int i = 0; i < page->results->trial_count; i++) {
            const RgTrial *trial = &page->results->trials[i];
            double value = rg_trial_value(page->results, trial, &measure, trial->last_step);
            total += isnan(value) ? 0 : value;
        }
        char *text = rg_format_value(total, NAN, measure.unit);
        fprintf(page->out, "%s %s <b>%s%s</b>", c ? "," : "", measure.heading, text,
                measure.unit == RG_UNIT_SECONDS ? " s" : "");
        free(text);
    }
    fputs(".</p>\n", page->out);
}

/* RgPaperNotes: the context is the page's stream. */
static void write_paper_notes(void *context, const char *heading, const char *const *sentence) {
    FILE *out = context;
    fputs("<h3>", out);
    rg_write_html(out, heading);
    fputs("</h3>\n<ul>\n", out);
    for (; *sentence; sentence++) {
        fputs("<li>", out);
        rg_write_html(out, *sentence);
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
}

/* A paper's reported figures and claims beside those of the experiment. */
static void write_reported(Page *page) {
    const RgPaper *paper = page->options->paper;
    FILE *out = page->out;
    if (!paper)
        return;
    char *notes;
    size_t size;
    FILE *below = open_memstream(&notes, &size);
    RG_ASSERT(below);
    RgPaperGrids grids = rg_paper_grids(paper, page->results, write_paper_notes, below);
    fclose(below);
    rg_page_section(out, "reported", "Reported figures");
    fputs("<p class=\"soft\">", out);
    rg_write_html(out, paper->title);
    fputs(" (", out);
    rg_write_html(out, paper->reference);
    fputs(").</p>\n", out);
    rg_page_grid(out, &grids.figures);
    if (grids.claims.rows > 0) {
        fputs("<h3>Claims</h3>\n", out);
        rg_page_grid(out, &grids.claims);
    }
    fputs(notes, out);
    fputs("</section>\n", out);
    rg_grid_free(&grids.figures);
    rg_grid_free(&grids.claims);
    free(notes);
}

static RgStatus write_body(Page *page, const RgTable *table, RgError *error) {
    FILE *out = page->out;
    fputs("<main>\n", out);
    rg_page_section(out, "results", "Results");
    write_part(page, table, 0, table->result_columns);
    rg_page_notes(out, table->notes, table->note_count);
    fputs("</section>\n", out);
    RG_TRY(write_tournament(page, error));
    RG_TRY(write_figures(page, error));
    write_reported(page);
    rg_page_section(out, "cost", "Cost");
    fputs("<p class=\"soft\">Cost of training up to the last evaluation. FLOP are those of all "
          "operators and of sampling; time excludes evaluation; memory is the largest resident set "
          "of the process.</p>\n",
          out);
    write_part(page, table, table->result_columns, table->column_count);
    write_total(page);
    fputs("</section>\n", out);
    rg_page_responses(out, page->results, page->options->prompts);
    rg_page_trials(out, page->results);
    rg_page_configuration(out, page->results);
    rg_page_provenance(out, page->results);
    fputs("</main>\n", out);
    return RG_OK;
}

static RgStatus write_page(Page *page, RgError *error) {
    RgTable *table;
    RG_TRY(rg_table_create(page->results, NULL, &table, error));
    char *body;
    size_t size;
    FILE *out = page->out;
    page->out = open_memstream(&body, &size);
    RgStatus status = write_body(page, table, error);
    fclose(page->out);
    page->out = out;
    write_head(page, page->options->title ? page->options->title : page->results->name);
    write_summary(page);
    write_navigation(page, body);
    fputs(body, out);
    fputs("<footer>Made by regatta from ", out);
    rg_write_html(out, page->results->path);
    fprintf(out, ".</footer>\n<script>%s</script>\n</body>\n</html>\n", rg_report_script);
    free(body);
    rg_table_destroy(table);
    return status;
}

RgStatus rg_report(const RgReportOptions *options, RgError *error) {
    RgResults *results;
    RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    char *text = NULL;
    size_t size = 0;
    Page page = {.results = results, .options = options};
    RgStatus status = rg_scratch_folder("report", &page.folder, error);
    if (status == RG_OK) {
        page.out = open_memstream(&text, &size);
        status = write_page(&page, error);
        fclose(page.out);
        rg_folder_remove(page.folder);
        free(page.folder);
    }
    status = rg_results_status(results, status, error);
    if (status == RG_OK)
        status = rg_folders_make_above(options->output, error);
    if (status == RG_OK)
        status = rg_file_write(options->output, text, size, error);
    free(text);
    rg_results_close(results);
    return status;
}
