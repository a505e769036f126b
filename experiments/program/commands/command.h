/* SPDX-License-Identifier: MIT */
/* The commands of the program. A command is data: its name, its help, a table of its arguments and
 * the function that runs it. rg_command_execute parses a command line into the command's struct by
 * the table, and runs the command:
 *
 *     typedef struct PlanArguments { RgConfigArguments config; int threads; } PlanArguments;
 *     static const RgArgument arguments[] = {
 *         RG_ARGUMENT_INCLUDE(PlanArguments, config, rg_config_arguments),
 *         RG_ARGUMENT_OPTION(PlanArguments, threads, "threads", 't', "N", "threads", .low = 1,
 *                            .high = 4096),
 *         RG_ARGUMENT_END,
 *     };
 *
 * Exit status: 0 success, 1 a failed run, 2 bad usage or a bad config.
 *
 * Threads: commands run on the main thread. */
#ifndef RG_EXPERIMENTS_PROGRAM_COMMANDS_COMMAND_H
#define RG_EXPERIMENTS_PROGRAM_COMMANDS_COMMAND_H

#include "analysis/compare/table.h"
#include "core/base.h"

/* ---- tables of arguments ---- */

typedef enum RgArgumentKind {
    RG_ARGUMENTS_END,
    RG_ARGUMENT_FLAG,      /* bool */
    RG_ARGUMENT_TEXT,      /* const char *, part of the command line; NULL: not given */
    RG_ARGUMENT_TEXTS,     /* const char **, and an int that counts them */
    RG_ARGUMENT_COUNT,     /* int */
    RG_ARGUMENT_INTEGER,   /* int64_t */
    RG_ARGUMENT_REAL,      /* double */
    RG_ARGUMENT_BYTES,     /* double: a positive number, optionally with k, M, G or T for a power of
                            1000 */
    RG_ARGUMENTS_INCLUDED, /* the rows of another table, for the struct at the offset */
} RgArgumentKind;

/* An option, or a positional argument, which has neither name nor key. Positional arguments are
 * taken in the order of their rows. */
typedef struct RgArgument {
    const char *name;  /* of the option: --name; NULL: it has a key only */
    int key;           /* of the option: -k; 0: it has a name only */
    const char *value; /* what follows the option, for --help; NULL for a flag */
    const char *help;
    RgArgumentKind kind;
    size_t offset, count_offset; /* of the members; the second is that of RG_ARGUMENT_TEXTS */
    double low, high;            /* inclusive range of a number */
    const char *expected; /* of a required text: the message if it is missing; NULL: optional */
    const char *single;   /* of the last positional argument: what it is, for the message about one
                             argument too many; NULL: not named there */
    const struct RgArgument *table; /* included */
} RgArgument;

#define RG_ARGUMENT_NO_LIMIT 0x1p63 /* `high` of an integer with no upper limit */

#define RG_ARGUMENT_KIND_(type, member)                                                            \
    _Generic(((type *)0)->member, bool                                                             \
             : RG_ARGUMENT_FLAG, const char *                                                      \
             : RG_ARGUMENT_TEXT, int                                                               \
             : RG_ARGUMENT_COUNT, int64_t                                                          \
             : RG_ARGUMENT_INTEGER, double                                                         \
             : RG_ARGUMENT_REAL)

/* An option of the kind that fits the member. Help is the last; a range or `expected` may follow
 * it: `.low = 1`. */
#define RG_ARGUMENT_OPTION(type, member, name_, key_, value_, ...)                                 \
    {                                                                                              \
        .kind = RG_ARGUMENT_KIND_(type, member), .offset = offsetof(type, member),                 \
        .name = (name_), .key = (key_), .value = (value_), .help = __VA_ARGS__                     \
    }
/* A size in bytes, into a double. */
#define RG_ARGUMENT_SIZE(type, member, name_, key_, value_, help_)                                 \
    {                                                                                              \
        .kind = RG_ARGUMENT_BYTES, .offset = offsetof(type, member), .name = (name_),              \
        .key = (key_), .value = (value_), .help = (help_)                                          \
    }
/* An option that may be repeated. */
#define RG_ARGUMENT_REPEATED(type, member, count, name_, key_, value_, help_)                      \
    {                                                                                              \
        .kind = RG_ARGUMENT_TEXTS, .offset = offsetof(type, member),                               \
        .count_offset = offsetof(type, count), .name = (name_), .key = (key_), .value = (value_),  \
        .help = (help_)                                                                            \
    }
/* A positional argument. What is expected is the last, or NULL; `single` may follow it. */
#define RG_ARGUMENT_POSITIONAL(type, member, ...)                                                  \
    { .kind = RG_ARGUMENT_TEXT, .offset = offsetof(type, member), .expected = __VA_ARGS__ }
/* All further positional arguments. */
#define RG_ARGUMENT_REST(type, member, count, expected_)                                           \
    {                                                                                              \
        .kind = RG_ARGUMENT_TEXTS, .offset = offsetof(type, member),                               \
        .count_offset = offsetof(type, count), .expected = (expected_)                             \
    }
/* The rows of another table: for the struct in a member, or for this struct. */
#define RG_ARGUMENT_INCLUDE(type, member, table_)                                                  \
    { .kind = RG_ARGUMENTS_INCLUDED, .offset = offsetof(type, member), .table = (table_) }
#define RG_ARGUMENT_EXTEND(table_)                                                                 \
    { .kind = RG_ARGUMENTS_INCLUDED, .table = (table_) }
#define RG_ARGUMENT_END                                                                            \
    { .kind = RG_ARGUMENTS_END }

/* ---- commands ---- */

typedef struct RgCommand {
    const char *name;
    const char *summary;         /* for regatta --help */
    const char *usage;           /* the arguments, one form per line */
    const char *purpose;         /* --help before the options */
    const char *details;         /* --help after them; NULL: none */
    const RgArgument *arguments; /* NULL: none */
    size_t size;                 /* of the struct that they fill */
    const void *defaults;        /* that struct before the first argument; NULL: all zero */
    /* Checks and completes the arguments together, after each was checked by its row. The message
     * of an error is that of bad usage. NULL: nothing to check. */
    RgStatus (*check)(void *arguments, RgError *error);
    /* Runs the command. An error with an empty message ends the program without one. */
    RgStatus (*run)(void *arguments, RgError *error);
} RgCommand;

extern const RgCommand rg_command_run, rg_command_status, rg_command_submit, rg_command_plan,
    rg_command_list, rg_command_show, rg_command_table, rg_command_plot, rg_command_report,
    rg_command_compare, rg_command_tournament, rg_command_frontier, rg_command_budget,
    rg_command_sample, rg_command_score, rg_command_export, rg_command_export_results,
    rg_command_export_trial, rg_command_reproduce, rg_command_rerun, rg_command_verify,
    rg_command_merge, rg_command_forget, rg_command_check_store, rg_command_tokenize,
    rg_command_train_tokenizer, rg_command_check_gradients, rg_command_new, rg_command_check_plugin;

/* Parses the command line and runs the command. argv[0] is "regatta NAME". Returns the exit status.
 * Bad usage and --help end the program. */
int rg_command_execute(const RgCommand *command, int argc, char **argv);

/* The exit status for `status`. For anything but RG_OK, prints the error to stderr in one line,
 * unless its message is empty. */
int rg_command_end(RgStatus status, const RgError *error);

/* ---- arguments of several commands ---- */

/* A config and its overrides (-s). */
typedef struct RgConfigArguments {
    const char *path;
    const char **overrides; /* [override_count] */
    int override_count;
} RgConfigArguments;

extern const RgArgument rg_config_arguments[];

/* Which trials (--where, --all), into an RgChoice; the second table with the experiment (-e). */
extern const RgArgument rg_choice_arguments[], rg_trials_arguments[];

/* Swept options to work cell by cell (--by), into an RgBy. */
extern const RgArgument rg_by_arguments[];

/* Option -e of rg_trials_arguments by itself, into an RgChoice. */
extern const RgArgument rg_experiment_arguments[];

/* The message for a missing results store. */
#define RG_EXPECTED_STORE "expected a results store such as results/NAME.db"

/* The format of a table on the standard output (-f). safe-csv puts an apostrophe before a text that
 * a spreadsheet would take for a formula. */
typedef struct RgFormatArguments {
    const char *name;
} RgFormatArguments;

extern const RgArgument rg_format_arguments[];

/* Parses the format; text if none was given. With csv and json, switches stdout to raw data
 * (rg_terminal_data). */
RgStatus rg_command_table_format(const RgFormatArguments *arguments, RgTableFormat *format,
                                 RgError *error);

/* Parses an integer in [low, high]. RG_E_USAGE: the message names `what`. */
RgStatus rg_argument_integer(const char *what, const char *text, int64_t low, int64_t high,
                             int64_t *value, RgError *error);

/* The texts in one, with `separator` between them. The caller frees it. */
char *rg_argument_join(const char *const *texts, int count, const char *separator);

#endif
