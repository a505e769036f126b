/* SPDX-License-Identifier: MIT */
/* regatta export: writes a policy for other programs. */
#include "analysis/store/choice.h"
#include "core/files.h"
#include "core/models/hugging_face.h"
#include "core/new_file.h"
#include "core/results/weights.h"
#include "core/text/tokenizer.h"
#include "experiments/program/commands/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct ExportArguments {
    const char *policy; /* a file of weights; NULL: the policy of a trial */
    const char *store, *trial;
    RgChoice choice;
    int64_t seed;
    const char *tokenizer, *folder;
} ExportArguments;

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

/* What lies beside a tokenizer.json and says how its model is talked to. */
static const char *const beside_tokenizer[] = {"tokenizer_config.json", "chat_template.jinja"};

static RgStatus copy_beside(const ExportArguments *a, const char *name, RgError *error) {
    const char *slash = strrchr(a->tokenizer, '/');
    int folder = slash ? (int)(slash - a->tokenizer) + 1 : 0;
    char *from = rg_string_format("%.*s%s", folder, a->tokenizer, name), *content = NULL;
    char *to = rg_string_format("%s/%s", a->folder, name);
    size_t size = 0;
    RgStatus status = RG_OK;
    if (access(from, F_OK) == 0) {
        status = rg_file_read(from, &content, &size, error);
        if (status == RG_OK)
            status = rg_file_write(to, content, size, error);
    }
    free(content);
    free(from);
    free(to);
    return status;
}

static RgStatus export_tokenizer(const ExportArguments *a, RgError *error) {
    if (!a->tokenizer)
        return RG_OK;
    RgTokenizer *tokenizer;
    RG_TRY(rg_tokenizer_load(a->tokenizer, 0, &tokenizer, error));
    char *path = rg_string_format("%s/tokenizer.json", a->folder);
    RgStatus status = rg_tokenizer_save(tokenizer, path, error);
    for (size_t i = 0; i < sizeof beside_tokenizer / sizeof *beside_tokenizer; i++)
        if (status == RG_OK)
            status = copy_beside(a, beside_tokenizer[i], error);
    free(path);
    rg_tokenizer_destroy(tokenizer);
    return status;
}

/* With --policy the only argument is the folder, which -o may name instead. */
static RgStatus check(void *arguments, RgError *error) {
    ExportArguments *a = arguments;
    const RgChoice *c = &a->choice;
    if (a->policy && !a->folder) {
        a->folder = a->store;
        a->store = NULL;
    }
    if (a->policy && (a->store || a->trial))
        return rg_fail(error, RG_E_USAGE,
                       "--policy cannot be combined with a trial: it names a file of weights");
    if (a->policy && (a->seed >= 0 || c->experiment || c->where_count > 0 || c->all))
        return rg_fail(error, RG_E_USAGE,
                       "--policy cannot be combined with --seed, --experiment, --where or "
                       "--all: they choose a trial");
    if (a->policy ? !a->folder : !a->trial || !a->folder)
        return rg_fail(error, RG_E_USAGE,
                       "expected --policy WEIGHTS and a folder to write, or a results store, a "
                       "trial's label or key, and -o FOLDER");
    return RG_OK;
}

static RgStatus export(void *arguments, RgError *error) {
    const ExportArguments *a = arguments;
    RgPolicy *policy = NULL;
    RG_TRY(load(a, &policy, error));
    RgStatus status = rg_hugging_face_save(policy, a->folder, error);
    if (status == RG_OK)
        status = export_tokenizer(a, error);
    rg_policy_destroy(policy);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(ExportArguments, choice, rg_choice_arguments),
    RG_ARGUMENT_POSITIONAL(ExportArguments, store, NULL),
    RG_ARGUMENT_POSITIONAL(ExportArguments, trial, NULL),
    RG_ARGUMENT_OPTION(ExportArguments, policy, "policy", 'p', "WEIGHTS",
                       "a transformer policy, as for sample and score"),
    RG_ARGUMENT_OPTION(ExportArguments, tokenizer, "tokenizer", 't', "FILE",
                       "its tokenizer.json, copied into the folder with the tokenizer_config.json "
                       "and chat_template.jinja beside it"),
    RG_ARGUMENT_OPTION(ExportArguments, folder, "output", 'o', "FOLDER", "folder to write"),
    RG_ARGUMENT_OPTION(ExportArguments, choice.experiment, "experiment", 'e', "NAME",
                       "experiment in the store (default: whichever has the trial)"),
    RG_ARGUMENT_OPTION(ExportArguments, seed, "seed", 0, "N",
                       "seed, if several trials have the label", .high = RG_ARGUMENT_NO_LIMIT),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_export = {
    .name = "export",
    .summary = "write a policy, or that of a trial, in Hugging Face's layout",
    .usage = "RESULTS.db LABEL|KEY -o FOLDER\n--policy WEIGHTS FOLDER",
    .purpose = "Write a policy in Hugging Face's layout, for other programs: the final policy of a "
               "trial, or one from a file.",
    .details =
        "FOLDER gets config.json and model.safetensors, and tokenizer.json if one is given. The "
        "architecture is the first that has the policy's options of LlamaForCausalLM, "
        "MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Phi3ForCausalLM, "
        "GPT2LMHeadModel, GPTNeoXForCausalLM, Gemma2ForCausalLM and Gemma3ForCausalLM. This "
        "program can load the folder too, as policy.weights in a config and as --policy. regatta "
        "table prints labels; regatta "
        "run --dry-run prints keys. A label selects a trial of the latest config, unless --where "
        "or --all select others. A key selects a trial of any config.",
    .arguments = arguments,
    .size = sizeof(ExportArguments),
    .defaults = &(const ExportArguments){.seed = -1},
    .check = check,
    .run = export,
};
