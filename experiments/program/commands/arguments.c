/* SPDX-License-Identifier: MIT */
/* Code shared by commands: argp parsers, and the exit status of a command. */
#include "core/text/terminal.h"
#include "experiments/program/commands/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RgStatus rg_command_table_format(const char *name, RgTableFormat *format, RgError *error) {
    RG_TRY(rg_table_format(name, format, error));
    if (rg_table_format_is_raw(*format))
        rg_terminal_data();
    return RG_OK;
}

int64_t rg_argument_integer(const struct argp_state *state, const char *what, const char *text,
                            int64_t low, int64_t high) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high)
        argp_error(state, "%s is \"%s\": expected an integer in [%lld, %lld]", what, text,
                   (long long)low, (long long)high);
    return value;
}

double rg_argument_real(const struct argp_state *state, const char *what, const char *text,
                        double low, double high) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        argp_error(state, "%s is \"%s\": expected a number in [%g, %g]", what, text, low, high);
    return value;
}

void rg_argument_only(const struct argp_state *state, const char *argument, const char **place) {
    if (*place)
        argp_error(state, "%s is one argument too many", argument);
    *place = argument;
}

double rg_argument_bytes(const struct argp_state *state, const char *what, const char *text) {
    static const char units[] = "kMGT";
    char *end;
    double value = strtod(text, &end);
    const char *unit = end > text && *end ? strchr(units, *end) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        value *= 1000;
    end += unit ? 1 : 0;
    if (end == text || *end || !(value > 0 && value < 1e18))
        argp_error(state, "%s is \"%s\": expected a size such as 20G or 500M", what, text);
    return value;
}

/* ---- a config ---- */

static const struct argp_option config_options[] = {
    {"set", 's', "PATH=VALUE", 0,
     "override a setting of the config, e.g. -s seeds=[1,2] -s algorithms.0.beta=0.3; may be "
     "repeated",
     0},
    {0},
};

static error_t parse_config(int key, char *argument, struct argp_state *state) {
    RgConfigArguments *a = state->input;
    switch (key) {
    case 's':
        a->overrides =
            rg_reallocate(a->overrides, (size_t)a->override_count + 1, sizeof *a->overrides);
        a->overrides[a->override_count++] = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (a->path)
            argp_error(state, "one config at a time: %s is one too many", argument);
        a->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (!a->path)
            argp_error(state, "expected a config file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp rg_config_argp = {config_options, parse_config, NULL, NULL, NULL, NULL, NULL};

/* ---- a results store ---- */

static const struct argp_option store_options[] = {
    {"experiment", 'e', "NAME", 0, "experiment in the store (default: the most recent one)", 0},
    {0},
};

static error_t parse_store(int key, char *argument, struct argp_state *state) {
    RgStoreArguments *a = state->input;
    switch (key) {
    case 'e':
        a->choice.experiment = argument;
        return 0;
    case ARGP_KEY_ARG:
        if ((int)state->arg_num > a->labels)
            argp_error(state, "%s is one argument too many", argument);
        *(state->arg_num == 0 ? &a->path : &a->label[state->arg_num - 1]) = argument;
        return 0;
    case ARGP_KEY_END:
        if ((int)state->arg_num <= a->labels && !(a->optional && state->arg_num == 0) &&
            !(a->labels_optional && state->arg_num == 1))
            argp_error(state, "expected a results store such as results/NAME.db%s",
                       a->labels > 0 ? " and the labels of two methods" : "");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp rg_store_argp = {store_options, parse_store, NULL, NULL, NULL, NULL, NULL};

/* ---- its trials ---- */

void rg_argument_where(RgChoice *choice, const char *argument) {
    choice->where =
        rg_reallocate(choice->where, (size_t)choice->where_count + 1, sizeof *choice->where);
    choice->where[choice->where_count++] = argument;
}

enum { KEY_WHERE = 1024, KEY_ALL };

static const struct argp_option choice_options[] = {
    {"where", KEY_WHERE, "OPTION=VALUE", 0,
     "only trials with this setting, such as algorithm.beta=0.2, seed=1 or label=dpo; if repeated, "
     "all conditions must hold. If no trial of the latest config matches, trials of all configs "
     "are searched",
     0},
    {"all", KEY_ALL, NULL, 0,
     "trials of every config that was run (default: only those of the latest config)", 0},
    {0},
};

static error_t parse_choice(int key, char *argument, struct argp_state *state) {
    RgChoice *choice = state->input;
    switch (key) {
    case KEY_WHERE:
        rg_argument_where(choice, argument);
        return 0;
    case KEY_ALL:
        choice->all = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp rg_choice_argp = {choice_options, parse_choice, NULL, NULL, NULL, NULL, NULL};

static error_t parse_trials(int key, char *argument, struct argp_state *state) {
    RgStoreArguments *a = state->input;
    (void)argument;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = &a->choice;
    state->child_inputs[1] = a;
    return 0;
}

static const struct argp_child trials_children[] = {
    {&rg_choice_argp, 0, NULL, 0}, {&rg_store_argp, 0, NULL, 0}, {0}};

const struct argp rg_trials_argp = {NULL, parse_trials, NULL, NULL, trials_children, NULL, NULL};

int rg_command_end(RgStatus status, const RgError *error) {
    if (status == RG_OK)
        return 0;
    fprintf(stderr, "regatta: %s\n", error->text);
    return status == RG_E_USAGE ? 2 : 1;
}
