/* SPDX-License-Identifier: MIT */
/* regatta export: writes a policy for other programs. */
#include "analysis/store/choice.h"
#include "core/models/hugging_face.h"
#include "core/results/weights.h"
#include "core/text/tokenizer.h"
#include "experiments/program/commands/command.h"

#include <stdlib.h>
#include <unistd.h>

enum { KEY_SEED = 256 };

typedef struct ExportArguments {
    const char *policy; /* a file of weights; NULL: the policy of a trial */
    const char *store, *trial;
    RgChoice choice;
    int64_t seed;
    const char *tokenizer, *folder;
} ExportArguments;

static const struct argp_option options[] = {
    {"policy", 'p', "WEIGHTS", 0, "a transformer policy, as for sample and score", 0},
    {"tokenizer", 't', "FILE", 0, "its tokenizer.json, copied into the folder", 0},
    {"output", 'o', "FOLDER", 0, "folder to write", 0},
    {"experiment", 'e', "NAME", 0, "experiment in the store (default: whichever has the trial)", 0},
    {"seed", KEY_SEED, "N", 0, "seed, if several trials have the label", 0},
    {0},
};

static void parse_argument(ExportArguments *a, char *argument, struct argp_state *state) {
    const char **places[] = {&a->store, &a->trial};
    if (state->arg_num > 1)
        argp_error(state, "%s is one argument too many", argument);
    *places[state->arg_num] = argument;
}

/* With --policy the only argument is the folder, which -o may name instead. */
static void check(ExportArguments *a, struct argp_state *state) {
    if (a->policy && !a->folder) {
        a->folder = a->store;
        a->store = NULL;
    }
    if (a->policy && (a->store || a->trial))
        argp_error(state, "--policy cannot be combined with a trial: it names a file of weights");
    const RgChoice *c = &a->choice;
    if (a->policy && (a->seed >= 0 || c->experiment || c->where_count > 0 || c->all))
        argp_error(state, "--policy cannot be combined with --seed, --experiment, --where or "
                          "--all: they choose a trial");
    if (a->policy ? !a->folder : !a->trial || !a->folder)
        argp_error(state, "expected --policy WEIGHTS and a folder to write, or a results store, a "
                          "trial's label or key, and -o FOLDER");
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    ExportArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->choice;
        return 0;
    case 'p':
        a->policy = argument;
        return 0;
    case 't':
        a->tokenizer = argument;
        return 0;
    case 'o':
        a->folder = argument;
        return 0;
    case 'e':
        a->choice.experiment = argument;
        return 0;
    case KEY_SEED:
        a->seed = rg_argument_integer(state, "--seed", argument, 0, INT64_MAX);
        return 0;
    case ARGP_KEY_ARG:
        parse_argument(a, argument, state);
        return 0;
    case ARGP_KEY_END:
        check(a, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child choice_child[] = {{&rg_choice_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    options,
    parse,
    "RESULTS.db LABEL|KEY -o FOLDER\n--policy WEIGHTS FOLDER",
    "Write a policy in Hugging Face's layout, for other programs: the final policy of a trial, or "
    "one from a file.\v"
    "FOLDER gets config.json and model.safetensors, as LlamaForCausalLM, Qwen2ForCausalLM or "
    "GPT2LMHeadModel, and tokenizer.json if one is given. This program can load the folder too, as "
    "policy.weights in a config and as --policy. regatta table prints labels; regatta run "
    "--dry-run prints keys. A label selects a trial of the latest config, unless --where or "
    "--all select others. A key selects a trial of any config.",
    choice_child,
    NULL,
    NULL,
};

/* Path of the trial's final weights, as recorded in the store. The caller frees `path`. */
static RgStatus find_weights(const ExportArguments *a, RgStore *store, char **path,
                             RgError *error) {
    RgTrialRow row;
    bool missing;
    RG_TRY(rg_choose_trial(store, &a->choice, a->trial, a->seed, &row, error));
    RgStatus status = RG_OK;
    *path = rg_weights_path(a->store, row.key, RG_WEIGHTS_FINAL);
    if (!rg_trial_row_is_done(&row))
        status =
            rg_fail(error, RG_E_USAGE,
                    "%s: %s, seed %lld (key %s) is %s: only a finished or diverged trial has a "
                    "final policy",
                    a->store, row.label, (long long)row.seed, row.key, row.status);
    else
        status = rg_weights_look(store, row.id, row.key, RG_WEIGHTS_FINAL, &missing, error);
    if (status == RG_OK && access(*path, F_OK) != 0)
        status = rg_fail(error, RG_E_FILE, "%s: the weights of %s, seed %lld are missing", *path,
                         row.label, (long long)row.seed);
    rg_trial_row_clear(&row);
    return status;
}

static RgStatus load_of_trial(const ExportArguments *a, RgPolicy **policy, RgError *error) {
    RgStore *store;
    char *path = NULL;
    RG_TRY(rg_store_open(a->store, false, &store, error));
    RgStatus status = find_weights(a, store, &path, error);
    rg_store_close(store);
    if (status == RG_OK)
        status = rg_policy_load(path, policy, error);
    free(path);
    return status;
}

static RgStatus load(const ExportArguments *a, RgPolicy **policy, RgError *error) {
    if (!a->policy)
        return load_of_trial(a, policy, error);
    RG_TRY(rg_weights_check_path(a->policy, error));
    return rg_policy_load(a->policy, policy, error);
}

static RgStatus export_tokenizer(const ExportArguments *a, RgError *error) {
    if (!a->tokenizer)
        return RG_OK;
    RgTokenizer *tokenizer;
    RG_TRY(rg_tokenizer_load(a->tokenizer, 0, &tokenizer, error));
    char *path = rg_string_format("%s/tokenizer.json", a->folder);
    RgStatus status = rg_tokenizer_save(tokenizer, path, error);
    free(path);
    rg_tokenizer_destroy(tokenizer);
    return status;
}

int rg_command_export(int argc, char **argv) {
    ExportArguments a = {.seed = -1};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgPolicy *policy = NULL;
    RgStatus status = load(&a, &policy, &error);
    if (status == RG_OK)
        status = rg_hugging_face_save(policy, a.folder, &error);
    if (status == RG_OK)
        status = export_tokenizer(&a, &error);
    rg_policy_destroy(policy);
    free(a.choice.where);
    return rg_command_end(status, &error);
}
