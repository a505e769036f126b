/* SPDX-License-Identifier: MIT */
/* regatta export-results: writes the contents of a store for other programs. It is separate from
 * export, which writes a policy, because the two share no options. */
#include "analysis/report/export.h"
#include "experiments/program/commands/command.h"

#include <stdlib.h>

typedef struct ExportArguments {
    RgExportOptions options;
    const char *format;
} ExportArguments;

enum { KEY_WHERE = 256 };

static const struct argp_option options[] = {
    {"experiment", 'e', "NAME", 0, "experiment in the store (default: all)", 0},
    {"where", KEY_WHERE, "OPTION=VALUE", 0,
     "only trials with this setting, such as algorithm.beta=0.2, seed=1 or label=dpo; if repeated, "
     "all conditions must hold (default: all trials of every config that was run)",
     0},
    {"format", 'f', "FORMAT", 0, "csv, safe-csv, jsonl or tensorboard (default: csv)", 0},
    {"output", 'o', "FOLDER", 0, "folder to write to", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    ExportArguments *a = state->input;
    switch (key) {
    case 'e':
        a->options.choice.experiment = argument;
        return 0;
    case KEY_WHERE:
        rg_argument_where(&a->options.choice, argument);
        return 0;
    case 'f':
        a->format = argument;
        return 0;
    case 'o':
        a->options.output = argument;
        return 0;
    case ARGP_KEY_ARG:
        rg_argument_only(state, argument, &a->options.store);
        return 0;
    case ARGP_KEY_END:
        if (!a->options.store || !a->options.output)
            argp_error(state, "expected a results store and -o FOLDER");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "RESULTS.db",
    "Write results for other programs: tables as CSV or JSON lines, curves for TensorBoard.\v"
    "FOLDER gets trials, metrics, items and responses as .csv or .jsonl, one row each: trials with "
    "their settings, metrics by step with the meter's readings, numbers per evaluated item, "
    "sampled responses. The columns experiment and key identify a row's trial. An empty CSV field, "
    "null in JSON, is a missing or non-finite number. safe-csv is CSV for spreadsheets: a text "
    "that they would take for a formula begins with an apostrophe. For TensorBoard, each trial is "
    "a run EXPERIMENT/LABEL/seed-N-KEY with its metrics, the meter's readings and its settings; "
    "times count training only.\n\n"
    "  regatta export-results results/bandit.db -f tensorboard -o runs\n"
    "  tensorboard --logdir runs",
    NULL,
    NULL,
    NULL,
};

int rg_command_export_results(int argc, char **argv) {
    ExportArguments a = {.format = "csv"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgStatus status = rg_export_format(a.format, &a.options.format, &error);
    if (status == RG_OK)
        status = rg_export(&a.options, &error);
    free(a.options.choice.where);
    return rg_command_end(status, &error);
}
