/* The report: which sections and figures it has, and in what order. The figures are drawn by
 * gnuplot into a folder of their own, which is gone when the page is written. */
#include "analysis/report.h"
#include "analysis/format.h"
#include "analysis/plot.h"
#include "analysis/report_page.h"
#include "analysis/svg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Small enough that its letters are still read at the width of a telephone. */
enum { FIGURE_WIDTH = 460 };
/* More curves than this are not told apart; a sweep is then shown by its options alone. */
enum { MAXIMUM_CURVES = 10 };

typedef struct Page {
    const RgResults *results;
    const RgReportOptions *options;
    FILE *out;
    char folder[64]; /* of the figures */
    int figures;
} Page;

/* Figures. */

static const char *const figure_suffixes[] = {"svg", "tsv", "gnuplot", NULL};

static RgStatus draw_inline(Page *page, const RgFigure *figure, const char *caption,
                            RgError *error) {
    char *path = rg_string_format("%s/figure.svg", page->folder), *svg = NULL;
    size_t size;
    RgStatus status = rg_figure_draw(figure, path, FIGURE_WIDTH, 0, error);
    if (status == RG_OK)
        status = rg_file_read(path, &svg, &size, error);
    if (status == RG_OK) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "f%d-", ++page->figures);
        fputs("<figure>\n", page->out);
        rg_svg_inline(svg, prefix, caption, page->out);
        fputs("<figcaption>", page->out);
        rg_write_html(page->out, caption);
        fputs("</figcaption>\n</figure>\n", page->out);
    }
    free(svg);
    free(path);
    return status;
}

/* A figure of y against x; what the experiment cannot show is left out. */
static RgStatus add_figure(Page *page, const char *y, const char *x, const char *caption,
                           RgError *error) {
    RgPlotOptions options = {.y = y, .x = x};
    RgFigure *figure;
    if (rg_plot_figure(page->results, &options, &figure, NULL) != RG_OK)
        return RG_OK;
    RgStatus status = draw_inline(page, figure, caption, error);
    rg_figure_destroy(figure);
    return status;
}

/* The metric by which the methods are judged: the first that the experiment has. */
static const char *headline(const RgResults *results) {
    static const char *const names[] = {"win_rate_base", "reward", "regret", NULL};
    RgQuantity quantity;
    for (int i = 0; names[i]; i++)
        if (rg_results_has(results, names[i], &quantity))
            return names[i];
    for (int i = 0; results->metrics[i]; i++)
        if (strncmp(results->metrics[i], "eval/", 5) == 0)
            return results->metrics[i] + 5;
    return NULL;
}

static RgStatus add_swept_figures(Page *page, const char *metric, RgError *error) {
    for (int i = 0; page->results->swept[i]; i++) {
        const char *option = page->results->swept[i];
        char *caption = rg_string_format("At the end, by the swept option %s.", option);
        RgStatus status = add_figure(page, metric, option, caption, error);
        free(caption);
        RG_TRY(status);
    }
    return RG_OK;
}

static RgStatus add_curves(Page *page, const char *metric, RgError *error) {
    RG_TRY(add_figure(page, metric, "flops", "Against the arithmetic spent on training.", error));
    RG_TRY(add_figure(page, metric, "seconds", "Against time; evaluation is not counted.", error));
    RG_TRY(add_figure(page, metric, "kl",
                      "Against the distance from the reference policy: higher at the same KL is "
                      "better.",
                      error));
    if (strcmp(metric, "reward") != 0)
        RG_TRY(add_figure(page, "reward", "step", "Reward over training.", error));
    RG_TRY(add_figure(page, metric, "step", "Over training.", error));
    return add_figure(page, "loss", "step",
                      "Training loss. Losses of different algorithms are different functions.",
                      error);
}

static RgStatus write_figures(Page *page, RgError *error) {
    const char *metric = headline(page->results);
    if (!metric)
        return RG_OK;
    rg_page_section(page->out, "figures", "Figures");
    fputs("<p class=\"soft\">Means over seeds; bands and bars are 95 % intervals of the mean "
          "(Student's t).</p>\n<div class=\"figures\">\n",
          page->out);
    RG_TRY(add_swept_figures(page, metric, error));
    if (strcmp(metric, "reward") != 0)
        RG_TRY(add_swept_figures(page, "reward", error));
    RG_TRY(add_swept_figures(page, "kl", error));
    if (page->results->group_count <= MAXIMUM_CURVES || !page->results->swept[0])
        RG_TRY(add_curves(page, metric, error));
    fputs("</div>\n</section>\n", page->out);
    return RG_OK;
}

/* The page. */

static const char *plural(int count) {
    return count == 1 ? "" : "s";
}

static void write_head(Page *page, const char *title) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
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

/* Links to the sections that the body turned out to have. */
static void write_navigation(Page *page, const char *body) {
    static const char *const sections[][2] = {
        {"results", "Results"},
        {"duels", "Head to head"},
        {"figures", "Figures"},
        {"cost", "Cost"},
        {"responses", "Responses"},
        {"unfinished", "Unfinished trials"},
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

static RgStatus write_body(Page *page, const RgTable *table, RgError *error) {
    FILE *out = page->out;
    fputs("<main>\n", out);
    int64_t resamples = page->options->resamples;
    rg_page_section(out, "results", "Results");
    write_part(page, table, 0, table->result_columns);
    rg_page_notes(out, table);
    fputs("</section>\n", out);
    rg_page_duels(out, page->results, resamples);
    RG_TRY(write_figures(page, error));
    rg_page_section(out, "cost", "Cost");
    fputs("<p class=\"soft\">What training took up to the last evaluation. FLOP are those of all "
          "operators and of sampling; time leaves evaluation out; memory is the largest resident "
          "set of the process.</p>\n",
          out);
    write_part(page, table, table->result_columns, table->column_count);
    fputs("</section>\n", out);
    rg_page_responses(out, page->results, page->options->prompts > 0 ? page->options->prompts : 8);
    rg_page_trials(out, page->results);
    rg_page_configuration(out, page->results);
    rg_page_provenance(out, page->results);
    fputs("</main>\n", out);
    return RG_OK;
}

static RgStatus write_page(Page *page, RgError *error) {
    RgTable *table;
    RG_TRY(rg_table_create(page->results, NULL, page->options->resamples, &table, error));
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
    fputs(".</footer>\n</body>\n</html>\n", out);
    free(body);
    rg_table_destroy(table);
    return status;
}

static RgStatus open_folder(Page *page, RgError *error) {
    const char *base = getenv("TMPDIR");
    int length = snprintf(page->folder, sizeof page->folder, "%s/regatta-report-XXXXXX",
                          base && base[0] ? base : "/tmp");
    if (length >= (int)sizeof page->folder)
        strcpy(page->folder, "/tmp/regatta-report-XXXXXX");
    return mkdtemp(page->folder) ? RG_OK
                                 : rg_fail(error, RG_E_FILE, "%s: cannot create the folder: %s",
                                           page->folder, strerror(errno));
}

static void remove_folder(const Page *page) {
    for (int i = 0; figure_suffixes[i]; i++) {
        char *path = rg_string_format("%s/figure.%s", page->folder, figure_suffixes[i]);
        unlink(path);
        free(path);
    }
    rmdir(page->folder);
}

RgStatus rg_report(const RgReportOptions *options, RgError *error) {
    RgResults *results;
    RG_TRY(rg_results_open(options->store, options->experiment, &results, error));
    char *text = NULL;
    size_t size;
    Page page = {.results = results, .options = options};
    RgStatus status = open_folder(&page, error);
    if (status == RG_OK) {
        page.out = open_memstream(&text, &size);
        status = write_page(&page, error);
        fclose(page.out);
        remove_folder(&page);
    }
    if (status == RG_OK)
        status = rg_file_write(options->output, text, size, error);
    free(text);
    rg_results_close(results);
    return status;
}
