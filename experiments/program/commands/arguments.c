/* SPDX-License-Identifier: MIT */
/* Command lines: parses one by a command's table, and runs the command. argp does the parsing and
 * prints --help. */
#include "analysis/store/swept.h"
#include "core/text/terminal.h"
#include "experiments/program/commands/command.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

RgStatus rg_argument_integer(const char *what, const char *text, int64_t low, int64_t high,
                             int64_t *value, RgError *error) {
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno || end == text || *end || *value < low || *value > high
               ? rg_fail(error, RG_E_USAGE, "%s is \"%s\": expected an integer in [%lld, %lld]",
                         what, text, (long long)low, (long long)high)
               : RG_OK;
}

static RgStatus parse_real(const char *what, const char *text, double low, double high,
                           double *value, RgError *error) {
    char *end;
    *value = strtod(text, &end);
    return end == text || *end || !(*value >= low && *value <= high)
               ? rg_fail(error, RG_E_USAGE, "%s is \"%s\": expected a number in [%g, %g]", what,
                         text, low, high)
               : RG_OK;
}

static RgStatus parse_bytes(const char *what, const char *text, double *value, RgError *error) {
    static const char units[] = "kMGT";
    char *end;
    *value = strtod(text, &end);
    const char *unit = end > text && *end ? strchr(units, *end) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        *value *= 1000;
    end += unit ? 1 : 0;
    return end == text || *end || !(*value > 0 && *value < 1e18)
               ? rg_fail(error, RG_E_USAGE, "%s is \"%s\": expected a size such as 20G or 500M",
                         what, text)
               : RG_OK;
}

char *rg_argument_join(const char *const *texts, int count, const char *separator) {
    char *all = rg_string_copy("");
    for (int i = 0; i < count; i++) {
        char *longer = rg_string_format("%s%s%s", all, i > 0 ? separator : "", texts[i]);
        free(all);
        all = longer;
    }
    return all;
}

/* ---- the table ---- */

/* A row of the command's table or of one that it includes, and the struct that it fills. */
typedef struct Slot {
    const RgArgument *row;
    char *values;
} Slot;

typedef struct Parser {
    const RgCommand *command;
    void *values;
    Slot *slots; /* [count] */
    int count;
} Parser;

static void add_slots(Parser *p, const RgArgument *row, char *values) {
    for (; row && row->kind != RG_ARGUMENTS_END; row++) {
        if (row->kind == RG_ARGUMENTS_INCLUDED) {
            add_slots(p, row->table, values + row->offset);
            continue;
        }
        p->slots = rg_reallocate(p->slots, (size_t)p->count + 1, sizeof *p->slots);
        p->slots[p->count++] = (Slot){row, values};
    }
}

static bool is_option(const RgArgument *row) {
    return row->name || row->key;
}

/* The key of the option by which argp names it: a character, or a number beyond all characters. */
static int option_key(const Parser *p, int i) {
    enum { FIRST_KEY = 256 };
    return p->slots[i].row->key ? p->slots[i].row->key : FIRST_KEY + i;
}

static void append_text(const Slot *slot, const char *text) {
    void *member = slot->values + slot->row->offset;
    const char ***texts = member;
    int *count = (void *)(slot->values + slot->row->count_offset);
    *texts = rg_reallocate(*texts, (size_t)*count + 1, sizeof **texts);
    (*texts)[(*count)++] = text;
}

static RgStatus store_number(const Slot *slot, const char *text, RgError *error) {
    const RgArgument *row = slot->row;
    void *member = slot->values + row->offset;
    int64_t integer = 0, high = row->high < RG_ARGUMENT_NO_LIMIT ? (int64_t)row->high : INT64_MAX;
    char *what = rg_string_format("--%s", row->name);
    RgStatus status;
    if (row->kind == RG_ARGUMENT_REAL)
        status = parse_real(what, text, row->low, row->high, member, error);
    else if (row->kind == RG_ARGUMENT_BYTES)
        status = parse_bytes(what, text, member, error);
    else
        status = rg_argument_integer(what, text, (int64_t)row->low, high, &integer, error);
    if (row->kind == RG_ARGUMENT_COUNT)
        *(int *)member = (int)integer;
    else if (row->kind == RG_ARGUMENT_INTEGER)
        *(int64_t *)member = integer;
    free(what);
    return status;
}

static RgStatus store(const Slot *slot, const char *text, RgError *error) {
    void *member = slot->values + slot->row->offset;
    switch (slot->row->kind) {
    case RG_ARGUMENT_FLAG:
        *(bool *)member = true;
        return RG_OK;
    case RG_ARGUMENT_TEXT:
        *(const char **)member = text;
        return RG_OK;
    case RG_ARGUMENT_TEXTS:
        append_text(slot, text);
        return RG_OK;
    default:
        return store_number(slot, text, error);
    }
}

/* Whether a text was given, or one of several. */
static bool is_given(const Slot *slot) {
    const void *member = slot->values + slot->row->offset;
    return *(const void *const *)member != NULL;
}

/* Stores a positional argument in the first place that is free, or appends it to a list. */
static RgStatus store_positional(const Parser *p, const char *text, RgError *error) {
    const char *single = NULL;
    for (int i = 0; i < p->count; i++) {
        const Slot *slot = &p->slots[i];
        if (is_option(slot->row))
            continue;
        if (slot->row->kind == RG_ARGUMENT_TEXTS || !is_given(slot))
            return store(slot, text, error);
        single = slot->row->single;
    }
    return single ? rg_fail(error, RG_E_USAGE, "one %s at a time: %s is one too many", single, text)
                  : rg_fail(error, RG_E_USAGE, "%s is one argument too many", text);
}

static RgStatus check(const Parser *p, RgError *error) {
    for (int i = 0; i < p->count; i++)
        if (p->slots[i].row->expected && !is_given(&p->slots[i]))
            return rg_fail(error, RG_E_USAGE, "%s", p->slots[i].row->expected);
    return p->command->check ? p->command->check(p->values, error) : RG_OK;
}

/* ---- argp ---- */

static error_t parse(int key, char *text, struct argp_state *state) {
    const Parser *p = state->input;
    RgError error = {0};
    RgStatus status = RG_OK;
    int i = 0;
    if (key == ARGP_KEY_ARG) {
        status = store_positional(p, text, &error);
    } else if (key == ARGP_KEY_END) {
        status = check(p, &error);
    } else {
        while (i < p->count && !(is_option(p->slots[i].row) && option_key(p, i) == key))
            i++;
        if (i == p->count)
            return ARGP_ERR_UNKNOWN;
        status = store(&p->slots[i], text, &error);
    }
    if (status != RG_OK)
        argp_error(state, "%s", error.text);
    return 0;
}

/* Parses the command line into p->values. */
static void parse_all(const Parser *p, int argc, char **argv) {
    const RgCommand *command = p->command;
    struct argp_option *options = rg_allocate(p->count + 1, sizeof *options);
    for (int i = 0, used = 0; i < p->count; i++) {
        const RgArgument *row = p->slots[i].row;
        if (is_option(row))
            options[used++] =
                (struct argp_option){row->name, option_key(p, i), row->value, 0, row->help, 0};
    }
    char *help = command->details ? rg_string_format("%s\v%s", command->purpose, command->details)
                                  : rg_string_copy(command->purpose);
    /* Of an empty table --help would leak in the C library. */
    const struct argp_option *table = options[0].name || options[0].key ? options : NULL;
    const struct argp argp = {table, parse, command->usage, help, NULL, NULL, NULL};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, (void *)p);
    free(help);
    free(options);
}

int rg_command_execute(const RgCommand *command, int argc, char **argv) {
    Parser p = {.command = command, .values = rg_allocate(1, command->size)};
    RgError error = {0};
    if (command->defaults)
        memcpy(p.values, command->defaults, command->size);
    add_slots(&p, command->arguments, p.values);
    parse_all(&p, argc, argv);
    RgStatus status = command->run(p.values, &error);
    for (int i = 0; i < p.count; i++)
        if (p.slots[i].row->kind == RG_ARGUMENT_TEXTS)
            free(*(void **)(void *)(p.slots[i].values + p.slots[i].row->offset));
    free(p.slots);
    free(p.values);
    return rg_command_end(status, &error);
}

int rg_command_end(RgStatus status, const RgError *error) {
    if (status == RG_OK)
        return 0;
    if (error->text[0])
        fprintf(stderr, "regatta: %s\n", error->text);
    return status == RG_E_USAGE ? 2 : 1;
}

/* ---- arguments of several commands ---- */

const RgArgument rg_config_arguments[] = {
    RG_ARGUMENT_POSITIONAL(RgConfigArguments, path, "expected a config file", .single = "config"),
    RG_ARGUMENT_REPEATED(
        RgConfigArguments, overrides, override_count, "set", 's', "PATH=VALUE",
        "override a setting of the config, e.g. -s seeds=[1,2] -s algorithms.0.beta=0.3; may be "
        "repeated"),
    RG_ARGUMENT_END,
};

const RgArgument rg_experiment_arguments[] = {
    RG_ARGUMENT_OPTION(RgChoice, experiment, "experiment", 'e', "NAME",
                       "experiment in the store (default: the most recent one)"),
    RG_ARGUMENT_END,
};

const RgArgument rg_choice_arguments[] = {
    RG_ARGUMENT_REPEATED(
        RgChoice, where, where_count, "where", 0, "OPTION=VALUE",
        "only trials with this setting, such as algorithm.beta=0.2, seed=1 or label=dpo; if "
        "repeated, all conditions must hold. If no trial of the latest config matches, trials of "
        "all configs are searched"),
    RG_ARGUMENT_OPTION(RgChoice, all, "all", 0, NULL,
                       "trials of every config that was run (default: only those of the latest "
                       "config)"),
    RG_ARGUMENT_END,
};

const RgArgument rg_trials_arguments[] = {
    RG_ARGUMENT_EXTEND(rg_experiment_arguments),
    RG_ARGUMENT_EXTEND(rg_choice_arguments),
    RG_ARGUMENT_END,
};

const RgArgument rg_by_arguments[] = {
    RG_ARGUMENT_REPEATED(RgBy, lists, count, "by", 0, "A,B,…",
                         "swept options: compare within each cell, one table for each combination "
                         "of their values; if repeated, further options"),
    RG_ARGUMENT_END,
};

const RgArgument rg_format_arguments[] = {
    RG_ARGUMENT_OPTION(RgFormatArguments, name, "format", 'f', "FORMAT",
                       "text, markdown, latex, csv, safe-csv or json (default: text)"),
    RG_ARGUMENT_END,
};

RgStatus rg_command_table_format(const RgFormatArguments *arguments, RgTableFormat *format,
                                 RgError *error) {
    RG_TRY(rg_table_format(arguments->name ? arguments->name : "text", format, error));
    if (rg_table_format_is_raw(*format))
        rg_terminal_data();
    return RG_OK;
}
