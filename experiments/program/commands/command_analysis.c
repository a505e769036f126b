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

enum {
    KEY_TITLE = 256,
    KEY_WIDTH,
    KEY_HEIGHT,
    KEY_PROMPTS,
    KEY_STATISTIC,
    KEY_AGAINST,
    KEY_METHOD
};

static const struct argp_child store_child[] = {{&rg_trials_argp, 0, NULL, 0}, {0}};

/* ---- table ---- */

typedef struct TableArguments {
    RgStoreArguments store;
    RgTableOptions options;
    const char *format;
    const char *statistic;   /* NULL: the mean */
    const char *paper;       /* NULL: none */
    char *names;             /* metrics, separated by commas; NULL: not given */
    const char *metrics[64]; /* `names` split at the commas, NULL-terminated */
} TableArguments;

/* Repeated options accumulate. */
static void add_metrics(TableArguments *a, const char *list) {
    char *all = a->names ? rg_string_format("%s,%s", a->names, list) : rg_string_copy(list);
    free(a->names);
    a->names = all;
}

static void split_metrics(TableArguments *a, struct argp_state *state) {
    int count = 0, most = (int)(sizeof a->metrics / sizeof *a->metrics) - 1;
    for (char *next = a->names, *name; (name = strsep(&next, ","));) {
        if (count == most)
            argp_error(state, "--metrics: expected at most %d names", most);
        a->metrics[count++] = name;
    }
    a->options.metrics = a->metrics;
}

static error_t parse_table(int key, char *argument, struct argp_state *state) {
    TableArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->store;
        return 0;
    case 'f':
        a->format = argument;
        return 0;
    case 'm':
        add_metrics(a, argument);
        return 0;
    case 'p':
        a->paper = argument;
        a->store.optional = true;
        return 0;
    case ARGP_KEY_END:
        if (a->paper && a->names)
            argp_error(state, "--paper cannot be combined with --metrics: it has its own metrics");
        if (a->names)
            split_metrics(a, state);
        if (a->paper && (a->statistic || a->options.against))
            argp_error(state, "--paper cannot be combined with --statistic or --against: it shows "
                              "means without tests");
        return 0;
    case KEY_STATISTIC:
        a->statistic = argument;
        return 0;
    case KEY_AGAINST:
        a->options.against = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static RgStatus paper_table(const TableArguments *a, RgError *error) {
    RgPaperFile *file;
    RG_TRY(rg_paper_read(a->paper, &file, error));
    RgStatus status = rg_paper_table(rg_paper_of(file), &a->options, error);
    rg_paper_close(file);
    return status;
}

int rg_command_table(int argc, char **argv) {
    static const struct argp_option options[] = {
        RG_FORMAT_OPTION,
        {"metrics", 'm', "A,B,…", 0,
         "columns; if repeated, further columns (default: the usual metrics, where recorded)", 0},
        {"paper", 'p', "NAME", 0,
         "the figures reported by a paper (dpo, hpgd, parl, sail, or a file of your own); with "
         "RESULTS.db, the experiment's figures beside them",
         0},
        {"statistic", KEY_STATISTIC, "NAME", 0,
         "aggregate over seeds: mean, or iqm, the interquartile mean (default: mean)", 0},
        {"against", KEY_AGAINST, "LABEL", 0,
         "mark figures that differ from this method's, by Holm-adjusted p-values", 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_table,
        "RESULTS.db\n--paper NAME [RESULTS.db]",
        "Print an experiment's results: one row per method, mean ± standard error over seeds.\v"
        "Win rates have a 95 % interval over seeds and prompts; in csv and json, all metrics have "
        "one. Costs are shown beside the results; time and memory are also given relative to "
        "DPO's. Diverged trials are counted and excluded from averages. A legend under the table "
        "explains the figures.",
        store_child,
        NULL,
        NULL};
    TableArguments a = {.options = {.out = stdout}, .format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.options.store = a.store.path;
    a.options.choice = a.store.choice;
    RgError error = {0};
    RgStatus status = rg_command_table_format(a.format, &a.options.format, &error);
    if (status == RG_OK && a.statistic)
        status = rg_table_statistic(a.statistic, &a.options.statistic, &error);
    if (status == RG_OK)
        status = a.paper ? paper_table(&a, &error) : rg_table(&a.options, &error);
    free(a.names);
    free(a.store.choice.where);
    return rg_command_end(status, &error);
}

/* ---- plot ---- */

typedef struct PlotArguments {
    RgStoreArguments store;
    RgPlotOptions options;
    const char *kind;
} PlotArguments;

static error_t parse_plot(int key, char *argument, struct argp_state *state) {
    PlotArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->store;
        return 0;
    case 'x':
        a->options.x = argument;
        return 0;
    case 'y':
        a->options.y = argument;
        return 0;
    case 'z':
        a->options.z = argument;
        return 0;
    case 'k':
        a->kind = argument;
        return 0;
    case KEY_METHOD:
        a->options.method = argument;
        return 0;
    case 'o':
        a->options.output = argument;
        return 0;
    case KEY_TITLE:
        a->options.title = argument;
        return 0;
    case KEY_WIDTH:
        a->options.width = (int)rg_argument_integer(state, "--width", argument, 100, 20000);
        return 0;
    case KEY_HEIGHT:
        a->options.height = (int)rg_argument_integer(state, "--height", argument, 100, 20000);
        return 0;
    case ARGP_KEY_END:
        if (!a->options.output)
            argp_error(state, "expected -o FILE.svg, FILE.png or FILE.pdf");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_plot(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"kind", 'k', "KIND", 0,
         "curve; budget: y of all methods at equal spending x; heatmap: z over the swept options "
         "x and y; frontier: y against the divergence x, with the Pareto frontier; "
         "overoptimisation: y by both judges against the divergence; tournament: "
         "all methods against each other (default: heatmap if -x and -y are swept options, else "
         "curve)",
         0},
        {NULL, 'x', "NAME", 0,
         "cost (step, flops, seconds, trained_tokens, generated_tokens, judge_queries, "
         "labelled_responses), metric, or swept option (default: step; kl for frontier and "
         "overoptimisation, flops for budget)",
         0},
        {NULL, 'y', "NAME", 0,
         "metric, or the second option of a heat map; for a tournament, the per-prompt metric that "
         "decides a win (default: reward)",
         0},
        {NULL, 'z', "NAME", 0, "metric of a heat map (default: reward)", 0},
        {"method", KEY_METHOD, "LABEL", 0,
         "method of a heat map (default: the method that has both options)", 0},
        {"output", 'o', "FILE", 0, "figure to write: .svg, .png or .pdf, by its suffix", 0},
        {"title", KEY_TITLE, "TEXT", 0, "title (default: none)", 0},
        {"width", KEY_WIDTH, "PIXELS", 0, "width at 96 pixels per inch (default: 480)", 0},
        {"height", KEY_HEIGHT, "PIXELS", 0, "height (default: derived from the width)", 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_plot,
        "RESULTS.db",
        "Plot any metric against any cost, another metric, or swept options.\v"
        "One curve per method: the mean over seeds, with a 95 % band for three seeds or more. The "
        "data (.tsv) and the gnuplot script are written beside the figure. Figures have their true "
        "size on paper, with 9-point text: a width of 336 is one column of a two-column paper. "
        "Examples:\n\n"
        "  regatta plot results/verses-head-to-head.db -x flops -y win_rate_base -o win.svg\n"
        "  regatta plot results/bandit-exploration.db -x exploration -y reward -o ablation.png\n"
        "  regatta plot results/bandit-grid.db -x exploration -y mixture -z reward -o map.pdf\n"
        "  regatta plot results/verses-head-to-head.db -k overoptimisation -o over.pdf",
        store_child,
        NULL,
        NULL};
    PlotArguments a = {.options = {.notes = stderr}, .kind = "auto"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.options.store = a.store.path;
    a.options.choice = a.store.choice;
    RgError error = {0};
    RgStatus status = rg_plot_kind(a.kind, &a.options.kind, &error);
    if (status == RG_OK)
        status = rg_plot(&a.options, &error);
    free(a.store.choice.where);
    return rg_command_end(status, &error);
}

/* ---- report ---- */

typedef struct ReportArguments {
    RgStoreArguments store;
    RgReportOptions options;
} ReportArguments;

static error_t parse_report(int key, char *argument, struct argp_state *state) {
    ReportArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->store;
        return 0;
    case 'o':
        a->options.output = argument;
        return 0;
    case KEY_TITLE:
        a->options.title = argument;
        return 0;
    case KEY_PROMPTS:
        a->options.prompts = rg_argument_integer(state, "--prompts", argument, 1, 1000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_report(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"output", 'o', "FILE", 0, "page to write (default: report.html)", 0},
        {"title", KEY_TITLE, "TEXT", 0, "title (default: the experiment's name)", 0},
        {"prompts", KEY_PROMPTS, "N", 0,
         "prompts whose responses are shown (default: all, at most 50, fewer with many methods)",
         0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_report,
        "RESULTS.db",
        "Write one self-contained HTML page: configuration, table, figures, sample responses side "
        "by side, costs and provenance.",
        store_child,
        NULL,
        NULL};
    ReportArguments a = {.options = {.output = "report.html"}};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.options.store = a.store.path;
    a.options.choice = a.store.choice;
    RgError error = {0};
    RgStatus status = rg_report(&a.options, &error);
    free(a.store.choice.where);
    return rg_command_end(status, &error);
}
