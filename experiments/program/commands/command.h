/* SPDX-License-Identifier: MIT */
/* The commands of the program. Each parses its own command line and returns the exit status:
 * 0 success, 1 a failed run, 2 bad usage or a bad config. Commands run on the main thread. */
#ifndef RG_EXPERIMENTS_PROGRAM_COMMANDS_COMMAND_H
#define RG_EXPERIMENTS_PROGRAM_COMMANDS_COMMAND_H

#include "analysis/compare/table.h"
#include "core/base.h"

#include <argp.h>

typedef struct RgCommand {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is "regatta NAME" */
} RgCommand;

int rg_command_run(int argc, char **argv);
int rg_command_status(int argc, char **argv);
int rg_command_submit(int argc, char **argv);
int rg_command_plan(int argc, char **argv);
int rg_command_list(int argc, char **argv);
int rg_command_show(int argc, char **argv);
int rg_command_table(int argc, char **argv);
int rg_command_plot(int argc, char **argv);
int rg_command_report(int argc, char **argv);
int rg_command_compare(int argc, char **argv);
int rg_command_tournament(int argc, char **argv);
int rg_command_frontier(int argc, char **argv);
int rg_command_budget(int argc, char **argv);
int rg_command_sample(int argc, char **argv);
int rg_command_score(int argc, char **argv);
int rg_command_export(int argc, char **argv);
int rg_command_export_results(int argc, char **argv);
int rg_command_export_trial(int argc, char **argv);
int rg_command_rerun(int argc, char **argv);
int rg_command_verify(int argc, char **argv);
int rg_command_forget(int argc, char **argv);
int rg_command_merge(int argc, char **argv);
int rg_command_check_store(int argc, char **argv);
int rg_command_tokenize(int argc, char **argv);
int rg_command_train_tokenizer(int argc, char **argv);
int rg_command_check_gradients(int argc, char **argv);
int rg_command_new(int argc, char **argv);
int rg_command_check_plugin(int argc, char **argv);

/* The exit status for `status`. For anything but RG_OK, prints the error to stderr in one line. */
int rg_command_end(RgStatus status, const RgError *error);

/* Option -f of tables. safe-csv puts an apostrophe before a text that a spreadsheet would take for
 * a formula. */
#define RG_FORMAT_OPTION                                                                           \
    {                                                                                              \
        "format", 'f', "FORMAT", 0,                                                                \
            "text, markdown, latex, csv, safe-csv or json (default: text)", 0                      \
    }

/* Parses the format of a table printed to stdout. With csv and json, switches stdout to raw data
 * (rg_terminal_data). */
RgStatus rg_command_table_format(const char *name, RgTableFormat *format, RgError *error);

/* For argp parsers: the number in `text`. On a bad number the program ends with a usage message
 * that names `what`. */
int64_t rg_argument_integer(const struct argp_state *state, const char *what, const char *text,
                            int64_t low, int64_t high);
double rg_argument_real(const struct argp_state *state, const char *what, const char *text,
                        double low, double high);

/* Stores the only argument of a command in `place`. A second argument ends the program. */
void rg_argument_only(const struct argp_state *state, const char *argument, const char **place);

/* A size in bytes: a positive number, optionally with one of the suffixes k, M, G, T for a power
 * of 1000. */
double rg_argument_bytes(const struct argp_state *state, const char *what, const char *text);

/* Parsers shared by commands, as argp children. At ARGP_KEY_INIT a command sets
 * `state->child_inputs` to the struct that the child fills. */

/* A config and its overrides (-s). The caller frees `overrides`. */
typedef struct RgConfigArguments {
    const char *path;
    const char **overrides;
    int override_count;
} RgConfigArguments;

extern const struct argp rg_config_argp;

/* A results store, an experiment in it (-e) and the labels of `labels` methods. */
typedef struct RgStoreArguments {
    bool optional;        /* the store may be omitted */
    int labels;           /* set by the command */
    bool labels_optional; /* all labels or none */
    const char *path;
    RgChoice choice;
    const char *label[2];
} RgStoreArguments;

extern const struct argp rg_store_argp;

/* Selects trials (--where, --all), into an RgChoice. The caller frees `where`. */
extern const struct argp rg_choice_argp;
void rg_argument_where(RgChoice *choice, const char *argument); /* adds a condition */

/* A results store and a choice of its trials: rg_store_argp and rg_choice_argp together. The
 * caller frees `choice.where`. */
extern const struct argp rg_trials_argp;

#endif
