/* SPDX-License-Identifier: MIT */
/* regatta table, plot and report: command lines for analysis/. The commands that test and rank
 * methods are in command_statistics.c. */
#include "analysis/compare/table.h"
#include "analysis/figures/plot.h"
#include "analysis/report/report.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/paper_file.h"

#include <stdlib.h>
#include <string.h>

/* ---- table ---- */

typedef struct TableArguments {
    RgTableOptions options;
    RgFormatArguments format;
    const char *statistic; /* NULL: the mean */
    const char *paper;     /* NULL: none */
    bool claims;           /* of the paper, alone */
    const char **lists;    /* [list_count] of metrics, separated by commas */
    int list_count;
    char *names;             /* the lists, joined */
    const char *metrics[64]; /* `names` split at the commas, NULL-terminated */
} TableArguments;

static RgStatus paper_table(const TableArguments *a, RgError *error) {
    RgPaperFile *file;
    RG_TRY(rg_paper_read(a->paper, &file, error));
    const RgPaperStore store = {.store = a->options.store};
    RgStatus status =
        rg_paper_table(rg_paper_of(file), &store, store.store ? 1 : 0,
                       a->claims ? RG_PAPER_CLAIMS : RG_PAPER_ALL, &a->options, NULL, error);
    rg_paper_close(file);
    return status;
}

static RgStatus split_metrics(TableArguments *a, RgError *error) {
    int count = 0, most = (int)(sizeof a->metrics / sizeof *a->metrics) - 1;
    a->names = rg_argument_join(a->lists, a->list_count, ",");
    for (char *next = a->names, *name; (name = strsep(&next, ","));) {
        if (count == most)
            return rg_fail(error, RG_E_USAGE, "--metrics: expected at most %d names", most);
        a->metrics[count++] = name;
    }
    a->options.metrics = a->metrics;
    return RG_OK;
}

static RgStatus check_table(void *arguments, RgError *error) {
    TableArguments *a = arguments;
    if (!a->options.store && !a->paper)
        return rg_fail(error, RG_E_USAGE, RG_EXPECTED_STORE);
    if (a->claims && !a->paper)
        return rg_fail(error, RG_E_USAGE, "--claims: expected --paper NAME, whose claims to print");
    if (a->paper && a->lists)
        return rg_fail(error, RG_E_USAGE,
                       "--paper cannot be combined with --metrics: it has its own metrics");
    if (a->paper && (a->statistic || a->options.against))
        return rg_fail(error, RG_E_USAGE,
                       "--paper cannot be combined with --statistic or --against: it shows "
                       "means without tests");
    return a->lists ? split_metrics(a, error) : RG_OK;
}

static RgStatus print_table(void *arguments, RgError *error) {
    TableArguments *a = arguments;
    a->options.out = stdout;
    RgStatus status = rg_command_table_format(&a->format, &a->options.format, error);
    if (status == RG_OK && a->statistic)
        status = rg_table_statistic(a->statistic, &a->options.statistic, error);
    if (status == RG_OK)
        status = a->paper ? paper_table(a, error) : rg_table(&a->options, error);
    free(a->names);
    return status;
}

static const RgArgument table_arguments[] = {
    RG_ARGUMENT_INCLUDE(TableArguments, options.choice, rg_trials_arguments),
    RG_ARGUMENT_POSITIONAL(TableArguments, options.store, NULL),
    RG_ARGUMENT_INCLUDE(TableArguments, format, rg_format_arguments),
    RG_ARGUMENT_REPEATED(
        TableArguments, lists, list_count, "metrics", 'm', "A,B,…",
        "columns; if repeated, further columns (default: the usual metrics, where recorded)"),
    RG_ARGUMENT_OPTION(
        TableArguments, paper, "paper", 'p', "NAME",
        "the figures and claims of a paper (a name of analysis/papers, or a file of your "
        "own); with RESULTS.db, the experiment's figures beside them"),
    RG_ARGUMENT_OPTION(TableArguments, claims, "claims", 0, NULL,
                       "with --paper, the claims alone; in csv and json with unrounded numbers"),
    RG_ARGUMENT_OPTION(
        TableArguments, statistic, "statistic", 0, "NAME",
        "aggregate over seeds: mean, or iqm, the interquartile mean (default: mean)"),
    RG_ARGUMENT_OPTION(TableArguments, options.against, "against", 0, "LABEL",
                       "mark figures that differ from this method's, by Holm-adjusted p-values"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_table = {
    .name = "table",
    .summary = "results as a table: mean and standard error over seeds",
    .usage = "RESULTS.db\n--paper NAME [RESULTS.db]",
    .purpose =
        "Print an experiment's results: one row per method, mean ± standard error over seeds.",
    .details = "Win rates have a 95 % interval over seeds and prompts; in csv and json, all "
               "metrics have one. Costs are shown beside the results; time and memory are also "
               "given relative to DPO's. Diverged trials are counted and excluded from averages. A "
               "legend under the table explains the figures.",
    .arguments = table_arguments,
    .size = sizeof(TableArguments),
    .check = check_table,
    .run = print_table,
};

/* ---- plot ---- */

typedef struct PlotArguments {
    RgPlotOptions options;
    const char *kind;
} PlotArguments;

static RgStatus plot(void *arguments, RgError *error) {
    PlotArguments *a = arguments;
    a->options.notes = stderr;
    RG_TRY(rg_plot_kind(a->kind, &a->options.kind, error));
    return rg_plot(&a->options, error);
}

static const RgArgument plot_arguments[] = {
    RG_ARGUMENT_INCLUDE(PlotArguments, options.choice, rg_trials_arguments),
    RG_ARGUMENT_POSITIONAL(PlotArguments, options.store, RG_EXPECTED_STORE),
    RG_ARGUMENT_OPTION(
        PlotArguments, kind, "kind", 'k', "KIND",
        "curve; budget: y of all methods at equal spending x; heatmap: z over the swept options x "
        "and y; frontier: y against the divergence x, with the Pareto frontier; overoptimisation: "
        "y by both judges against the divergence; tournament: all methods against each other "
        "(default: heatmap if -x and -y are swept options, else curve)"),
    RG_ARGUMENT_OPTION(PlotArguments, options.x, NULL, 'x', "NAME",
                       "cost (step, flops, seconds, trained_tokens, generated_tokens, "
                       "judge_queries, labelled_responses), metric, or swept option (default: "
                       "step; kl for frontier and overoptimisation, flops for budget)"),
    RG_ARGUMENT_OPTION(PlotArguments, options.y, NULL, 'y', "NAME",
                       "metric, or the second option of a heat map; for a tournament, the "
                       "per-prompt metric that decides a win (default: reward)"),
    RG_ARGUMENT_OPTION(PlotArguments, options.z, NULL, 'z', "NAME",
                       "metric of a heat map (default: reward)"),
    RG_ARGUMENT_OPTION(PlotArguments, options.method, "method", 0, "LABEL",
                       "method of a heat map (default: the method that has both options), or of a "
                       "map (default: all)"),
    RG_ARGUMENT_OPTION(PlotArguments, options.map, "map", 0, "COLUMNS,ROWS",
                       "a map of y over two swept options, one panel for each method, with the "
                       "values in the cells"),
    RG_ARGUMENT_OPTION(PlotArguments, options.against, "against", 0, "LABEL",
                       "of a map: the differences to this method in each cell; *: beyond chance, "
                       "by Holm's correction over all cells and methods"),
    RG_ARGUMENT_OPTION(PlotArguments, options.mark, "mark", 0, "A=VALUE,B=VALUE",
                       "of a map: a cell to frame, such as a published setting"),
    RG_ARGUMENT_OPTION(PlotArguments, options.output, "output", 'o', "FILE",
                       "figure to write: .svg, .png or .pdf, by its suffix",
                       .expected = "expected -o FILE.svg, FILE.png or FILE.pdf"),
    RG_ARGUMENT_OPTION(
        PlotArguments, options.y_log, "log-y", 0, NULL,
        "logarithmic y axis, for kinds with curves; values of 0 or less are left out"),
    RG_ARGUMENT_OPTION(PlotArguments, options.title, "title", 0, "TEXT", "title (default: none)"),
    RG_ARGUMENT_OPTION(PlotArguments, options.width, "width", 0, "PIXELS",
                       "width at 96 pixels per inch (default: 480)", .low = 100, .high = 20000),
    RG_ARGUMENT_OPTION(PlotArguments, options.height, "height", 0, "PIXELS",
                       "height (default: derived from the width)", .low = 100, .high = 20000),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_plot = {
    .name = "plot",
    .summary = "any metric against any cost or swept option",
    .usage = "RESULTS.db",
    .purpose = "Plot any metric against any cost, another metric, or swept options.",
    .details =
        "One curve per method: the mean over seeds, with a 95 % band for three seeds or more. The "
        "data (.tsv) and the gnuplot script are written beside the figure. Figures have their true "
        "size on paper, with 9-point text: a width of 336 is one column of a two-column paper. "
        "Examples:\n\n"
        "  regatta plot results/verses-head-to-head.db -x flops -y win_rate_base -o win.svg\n"
        "  regatta plot results/bandit-exploration.db -x exploration -y reward -o ablation.png\n"
        "  regatta plot results/bandit-grid.db -x exploration -y mixture -z reward -o map.pdf\n"
        "  regatta plot results/bandit-grid.db --map exploration,mixture --against dpo -o map.svg\n"
        "  regatta plot results/verses-head-to-head.db -k overoptimisation -o over.pdf",
    .arguments = plot_arguments,
    .size = sizeof(PlotArguments),
    .defaults = &(const PlotArguments){.kind = "auto"},
    .run = plot,
};

/* ---- report ---- */

typedef struct ReportArguments {
    RgReportOptions options;
    const char *paper; /* NULL: none */
} ReportArguments;

static RgStatus report(void *arguments, RgError *error) {
    ReportArguments *a = arguments;
    RgPaperFile *file = NULL;
    if (a->paper) {
        RG_TRY(rg_paper_read(a->paper, &file, error));
        a->options.paper = rg_paper_of(file);
    }
    RgStatus status = rg_report(&a->options, error);
    rg_paper_close(file);
    return status;
}

static const RgArgument report_arguments[] = {
    RG_ARGUMENT_INCLUDE(ReportArguments, options.choice, rg_trials_arguments),
    RG_ARGUMENT_POSITIONAL(ReportArguments, options.store, RG_EXPECTED_STORE),
    RG_ARGUMENT_OPTION(ReportArguments, options.output, "output", 'o', "FILE",
                       "page to write (default: report.html)"),
    RG_ARGUMENT_OPTION(ReportArguments, options.title, "title", 0, "TEXT",
                       "title (default: the experiment's name)"),
    RG_ARGUMENT_OPTION(ReportArguments, paper, "paper", 'p', "NAME",
                       "a section with the figures and claims of a paper beside the experiment's "
                       "figures, as `regatta table --paper` prints them"),
    RG_ARGUMENT_OPTION(
        ReportArguments, options.prompts, "prompts", 0, "N",
        "prompts whose responses are shown (default: all, at most 50, fewer with many methods)",
        .low = 1, .high = 1000),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_report = {
    .name = "report",
    .summary = "one self-contained HTML page",
    .usage = "RESULTS.db",
    .purpose = "Write one self-contained HTML page: configuration, table, figures, sample "
               "responses side by side, costs and provenance.",
    .arguments = report_arguments,
    .size = sizeof(ReportArguments),
    .defaults = &(const ReportArguments){.options = {.output = "report.html"}},
    .run = report,
};
