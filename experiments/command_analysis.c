/* regatta table, plot, compare and report: command lines of the folder analysis/. */
#include "analysis/compare.h"
#include "analysis/plot.h"
#include "analysis/report.h"
#include "analysis/table.h"
#include "experiments/command.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_TITLE = 256, KEY_WIDTH, KEY_HEIGHT, KEY_JUDGE, KEY_RESAMPLES, KEY_PROMPTS };

/* What the four share: the store and the experiment in it. */
static const struct argp_option experiment_option = {
    "experiment", 'e', "NAME", 0, "experiment in the store (default: the one worked on last)", 0};

/* The store comes first; `more` further arguments may follow. Returns which argument this is. */
static int take_argument(struct argp_state *state, const char *argument, const char **slots,
                         int count) {
    if ((int)state->arg_num >= count)
        argp_error(state, "%s is one argument too many", argument);
    slots[state->arg_num] = argument;
    return (int)state->arg_num;
}

static void need_arguments(struct argp_state *state, int count, const char *what) {
    if ((int)state->arg_num < count)
        argp_error(state, "expected %s", what);
}

/* ---- table ---- */

typedef struct TableArguments {
    RgTableOptions options;
    const char *format;
    char *names;             /* of metrics, cut at the commas */
    const char *metrics[64]; /* NULL-terminated */
} TableArguments;

static void split_metrics(TableArguments *a, const char *list) {
    int count = 0;
    free(a->names);
    a->names = rg_string_copy(list);
    for (char *next = a->names, *name; (name = strsep(&next, ",")) && count < 63;)
        a->metrics[count++] = name;
    a->metrics[count] = NULL;
    a->options.metrics = a->metrics;
}

static error_t parse_table(int key, char *argument, struct argp_state *state) {
    TableArguments *a = state->input;
    switch (key) {
    case 'e':
        a->options.experiment = argument;
        return 0;
    case 'f':
        a->format = argument;
        return 0;
    case 'm':
        split_metrics(a, argument);
        return 0;
    case KEY_RESAMPLES:
        a->options.resamples = rg_argument_integer(state, "--resamples", argument, 100, 10000000);
        return 0;
    case ARGP_KEY_ARG:
        take_argument(state, argument, &a->options.store, 1);
        return 0;
    case ARGP_KEY_END:
        need_arguments(state, 1, "a results store such as results/NAME.db");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_table(int argc, char **argv) {
    static const struct argp_option options[] = {
        experiment_option,
        {"format", 'f', "FORMAT", 0, "text, markdown, latex or csv (default: text)", 0},
        {"metrics", 'm', "A,B,…", 0, "columns (default: the usual ones that there are)", 0},
        {"resamples", KEY_RESAMPLES, "N", 0, "of the bootstrap (default: 10000)", 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_table,
        "RESULTS.db",
        "Print an experiment's results: one row per method, mean ± standard error over seeds.\v"
        "Win rates have a 95 % interval by a bootstrap over seeds and prompts. Costs are beside "
        "the "
        "results, time and memory also relative to DPO's. Trials that diverged are counted, never "
        "averaged in. What the figures mean stands under the table.",
        NULL,
        NULL,
        NULL};
    TableArguments a = {.options = {.out = stdout}, .format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgStatus status = rg_table_format(a.format, &a.options.format, &error);
    if (status == RG_OK)
        status = rg_table(&a.options, &error);
    free(a.names);
    return rg_command_end(status, &error);
}

/* ---- plot ---- */

static error_t parse_plot(int key, char *argument, struct argp_state *state) {
    RgPlotOptions *o = state->input;
    switch (key) {
    case 'e':
        o->experiment = argument;
        return 0;
    case 'x':
        o->x = argument;
        return 0;
    case 'y':
        o->y = argument;
        return 0;
    case 'o':
        o->output = argument;
        return 0;
    case KEY_TITLE:
        o->title = argument;
        return 0;
    case KEY_WIDTH:
        o->width = (int)rg_argument_integer(state, "--width", argument, 100, 20000);
        return 0;
    case KEY_HEIGHT:
        o->height = (int)rg_argument_integer(state, "--height", argument, 100, 20000);
        return 0;
    case ARGP_KEY_ARG:
        take_argument(state, argument, &o->store, 1);
        return 0;
    case ARGP_KEY_END:
        need_arguments(state, 1, "a results store such as results/NAME.db");
        if (!o->output)
            argp_error(state, "expected -o FILE.svg, FILE.png or FILE.pdf");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_plot(int argc, char **argv) {
    static const struct argp_option options[] = {
        experiment_option,
        {NULL, 'x', "NAME", 0,
         "cost (step, flops, seconds, trained_tokens, generated_tokens, judge_queries), metric, or "
         "swept option (default: step)",
         0},
        {NULL, 'y', "NAME", 0, "metric (default: reward)", 0},
        {"output", 'o', "FILE", 0, "figure to write: .svg, .png or .pdf by its suffix", 0},
        {"title", KEY_TITLE, "TEXT", 0, "title (default: none)", 0},
        {"width", KEY_WIDTH, "PIXELS", 0, "width (default: 720)", 0},
        {"height", KEY_HEIGHT, "PIXELS", 0, "height (default: 460)", 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_plot,
        "RESULTS.db",
        "Plot any metric against any cost, another metric, or a swept option.\v"
        "One curve per method, the mean over seeds with a 95 % band. The numbers are left beside "
        "the figure as .tsv. Examples:\n\n"
        "  regatta plot results/verses-head-to-head.db -x flops -y win_rate_base -o win.svg\n"
        "  regatta plot results/bandit-exploration.db -x exploration -y reward -o ablation.png",
        NULL,
        NULL,
        NULL};
    RgPlotOptions o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    RgError error = {0};
    return rg_command_end(rg_plot(&o, &error), &error);
}

/* ---- compare ---- */

typedef struct CompareArguments {
    RgCompareOptions options;
    const char *slots[3];
    const char *format;
} CompareArguments;

static error_t parse_compare(int key, char *argument, struct argp_state *state) {
    CompareArguments *a = state->input;
    switch (key) {
    case 'e':
        a->options.experiment = argument;
        return 0;
    case 'm':
        a->options.metric = argument;
        return 0;
    case 'f':
        a->format = argument;
        return 0;
    case KEY_JUDGE:
        a->options.judge = argument;
        return 0;
    case KEY_RESAMPLES:
        a->options.resamples = rg_argument_integer(state, "--resamples", argument, 100, 10000000);
        return 0;
    case ARGP_KEY_ARG:
        take_argument(state, argument, a->slots, 3);
        return 0;
    case ARGP_KEY_END:
        need_arguments(state, 3, "a results store and the labels of two methods");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_compare(int argc, char **argv) {
    static const struct argp_option options[] = {
        experiment_option,
        {"metric", 'm', "NAME", 0,
         "win: how often A's response beats B's on the same prompt; else a per-prompt metric whose "
         "difference A − B is estimated (default: win)",
         0},
        {"judge", KEY_JUDGE, "NAME", 0, "per-prompt metric that decides a win (default: reward)",
         0},
        {"resamples", KEY_RESAMPLES, "N", 0, "of the bootstrap (default: 10000)", 0},
        {"format", 'f', "FORMAT", 0, "text or json (default: text)", 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_compare,
        "RESULTS.db A B",
        "Compare two methods of an experiment by a paired bootstrap over seeds and prompts.\v"
        "A and B are labels as the table prints them.",
        NULL,
        NULL,
        NULL};
    CompareArguments a = {.options = {.out = stdout}, .format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.options.store = a.slots[0];
    a.options.a = a.slots[1];
    a.options.b = a.slots[2];
    RgError error = {0};
    RgStatus status = rg_compare_format(a.format, &a.options.format, &error);
    if (status == RG_OK)
        status = rg_compare(&a.options, &error);
    return rg_command_end(status, &error);
}

/* ---- report ---- */

static error_t parse_report(int key, char *argument, struct argp_state *state) {
    RgReportOptions *o = state->input;
    switch (key) {
    case 'e':
        o->experiment = argument;
        return 0;
    case 'o':
        o->output = argument;
        return 0;
    case KEY_TITLE:
        o->title = argument;
        return 0;
    case KEY_PROMPTS:
        o->prompts = rg_argument_integer(state, "--prompts", argument, 1, 1000);
        return 0;
    case ARGP_KEY_ARG:
        take_argument(state, argument, &o->store, 1);
        return 0;
    case ARGP_KEY_END:
        need_arguments(state, 1, "a results store such as results/NAME.db");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_report(int argc, char **argv) {
    static const struct argp_option options[] = {
        experiment_option,
        {"output", 'o', "FILE", 0, "page to write (default: report.html)", 0},
        {"title", KEY_TITLE, "TEXT", 0, "title (default: the experiment's name)", 0},
        {"prompts", KEY_PROMPTS, "N", 0, "prompts whose responses are shown (default: 8)", 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_report,
        "RESULTS.db",
        "Write one self-contained HTML page: configuration, table, figures, sample responses side "
        "by side, costs and provenance.",
        NULL,
        NULL,
        NULL};
    RgReportOptions o = {.output = "report.html"};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    RgError error = {0};
    return rg_command_end(rg_report(&o, &error), &error);
}
