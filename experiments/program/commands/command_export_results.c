/* SPDX-License-Identifier: MIT */
/* regatta export-results: writes the contents of a store for other programs. It is separate from
 * export, which writes a policy, because the two share no options. */
#include "analysis/report/export.h"
#include "experiments/program/commands/command.h"

typedef struct ExportArguments {
    RgExportOptions options;
    const char *format;
} ExportArguments;

static RgStatus export_results(void *arguments, RgError *error) {
    ExportArguments *a = arguments;
    RG_TRY(rg_export_format(a->format, &a->options.format, error));
    return rg_export(&a->options, error);
}

static const char expected[] = "expected a results store and -o FOLDER";

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(ExportArguments, options.store, expected),
    RG_ARGUMENT_OPTION(ExportArguments, options.choice.experiment, "experiment", 'e', "NAME",
                       "experiment in the store (default: all)"),
    RG_ARGUMENT_REPEATED(
        ExportArguments, options.choice.where, options.choice.where_count, "where", 0,
        "OPTION=VALUE",
        "only trials with this setting, such as algorithm.beta=0.2, seed=1 or label=dpo; if "
        "repeated, all conditions must hold (default: all trials of every config that was run)"),
    RG_ARGUMENT_OPTION(ExportArguments, format, "format", 'f', "FORMAT",
                       "csv, safe-csv, jsonl or tensorboard (default: csv)"),
    RG_ARGUMENT_OPTION(ExportArguments, options.output, "output", 'o', "FOLDER",
                       "folder to write to", .expected = expected),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_export_results = {
    .name = "export-results",
    .summary = "write results as CSV, JSON lines or for TensorBoard",
    .usage = "RESULTS.db",
    .purpose =
        "Write results for other programs: tables as CSV or JSON lines, curves for TensorBoard.",
    .details =
        "FOLDER gets trials, metrics, items and responses as .csv or .jsonl, one row each: trials "
        "with their settings, metrics by step with the meter's readings, numbers per evaluated "
        "item, sampled responses. The columns experiment and key identify a row's trial. An empty "
        "CSV field, null in JSON, is a missing or non-finite number. safe-csv is CSV for "
        "spreadsheets: a text that they would take for a formula begins with an apostrophe. For "
        "TensorBoard, each trial is a run EXPERIMENT/LABEL/seed-N-KEY with its metrics, the "
        "meter's readings and its settings; times count training only.\n\n"
        "  regatta export-results results/bandit.db -f tensorboard -o runs\n"
        "  tensorboard --logdir runs",
    .arguments = arguments,
    .size = sizeof(ExportArguments),
    .defaults = &(const ExportArguments){.format = "csv"},
    .run = export_results,
};
