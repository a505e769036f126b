/* SPDX-License-Identifier: MIT */
/* regatta export: writes a policy for other programs. */
#include "analysis/store/choice.h"
#include "core/models/hugging_face.h"
#include "core/models/peft.h"
#include "core/results/weights.h"
#include "core/settings.h"
#include "core/text/tokenizer.h"
#include "experiments/program/commands/command.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct ExportArguments {
    const char *policy; /* a file of weights; NULL: the policy of a trial */
    const char *store, *trial;
    RgChoice choice;
    int64_t seed;
    const char *tokenizer, *folder, *base;
    bool adapter;
} ExportArguments;

/* What is exported, and where it comes from. */
typedef struct Source {
    char *weights;    /* the file or folder */
    char *base;       /* the folder that training started from; NULL: not one */
    RgPolicy *policy; /* with its adapter, if it was trained with one, in the weights */
} Source;

/* The folder, if it is one of a model. */
static char *model_folder(const char *path) {
    char *config = rg_string_format("%s/config.json", path);
    bool there = path[0] && access(config, F_OK) == 0;
    free(config);
    return there ? rg_string_copy(path) : NULL;
}

/* The folder that a trial's config names as policy.weights. */
static RgStatus find_base(const RgTrialRow *row, char **base, RgError *error) {
    RgSettings *settings = rg_settings_create();
    RgStatus status = rg_settings_from_json(row->config, settings, error);
    const RgSetting *weights = rg_settings_find(settings, "policy.weights");
    if (status == RG_OK && weights)
        *base = model_folder(weights->text);
    rg_settings_destroy(settings);
    return status;
}

/* The trial's final weights, as recorded in the store. */
static RgStatus find_weights(const ExportArguments *a, RgStore *store, Source *source,
                             RgError *error) {
    RgTrialRow row;
    bool missing;
    RG_TRY(rg_choose_trial(store, &a->choice, a->trial, a->seed, &row, error));
    RgStatus status = RG_OK;
    source->weights = rg_weights_path(a->store, row.key, RG_WEIGHTS_FINAL);
    if (!rg_trial_row_is_done(&row))
        status =
            rg_fail(error, RG_E_USAGE,
                    "%s: %s, seed %lld (key %s) is %s: only a finished or diverged trial has a "
                    "final policy",
                    a->store, row.label, (long long)row.seed, row.key, row.status);
    else
        status = rg_weights_look(store, row.id, row.key, RG_WEIGHTS_FINAL, &missing, error);
    if (status == RG_OK && access(source->weights, F_OK) != 0)
        status = rg_fail(error, RG_E_FILE, "%s: the weights of %s, seed %lld are missing",
                         source->weights, row.label, (long long)row.seed);
    if (status == RG_OK)
        status = find_base(&row, &source->base, error);
    rg_trial_row_clear(&row);
    return status;
}

static RgStatus open_source(const ExportArguments *a, Source *source, RgError *error) {
    if (a->policy) {
        RG_TRY(rg_weights_check_path(a->policy, error));
        source->weights = rg_string_copy(a->policy);
    } else {
        RgStore *store;
        RG_TRY(rg_store_open(a->store, false, &store, error));
        RgStatus status = find_weights(a, store, source, error);
        rg_store_close(store);
        RG_TRY(status);
    }
    return rg_policy_load(source->weights, &source->policy, error);
}

static void close_source(Source *source) {
    rg_policy_destroy(source->policy);
    free(source->weights);
    free(source->base);
}

static RgStatus export_adapter(const ExportArguments *a, const Source *source, RgError *error) {
    RgPolicy *adapted;
    RG_TRY(rg_policy_load_adapter(source->weights, source->policy, &adapted, error));
    RgStatus status = rg_peft_save(adapted, a->base ? a->base : source->base, a->folder, error);
    rg_policy_destroy(adapted);
    return status;
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
    if (a->base && !a->adapter)
        return rg_fail(error, RG_E_USAGE, "--base needs --adapter: it names the adapter's model");
    return RG_OK;
}

static RgStatus export(void *arguments, RgError *error) {
    const ExportArguments *a = arguments;
    Source source = {0};
    RgStatus status = open_source(a, &source, error);
    if (status == RG_OK)
        status = a->adapter ? export_adapter(a, &source, error)
                            : rg_hugging_face_save(source.policy, a->folder, error);
    if (status == RG_OK)
        status = export_tokenizer(a, error);
    close_source(&source);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(ExportArguments, choice, rg_choice_arguments),
    RG_ARGUMENT_POSITIONAL(ExportArguments, store, NULL),
    RG_ARGUMENT_POSITIONAL(ExportArguments, trial, NULL),
    RG_ARGUMENT_OPTION(ExportArguments, policy, "policy", 'p', "WEIGHTS",
                       "a transformer policy, as for sample and score"),
    RG_ARGUMENT_OPTION(ExportArguments, tokenizer, "tokenizer", 't', "FILE",
                       "its tokenizer.json, copied into the folder"),
    RG_ARGUMENT_OPTION(ExportArguments, adapter, "adapter", 'a', NULL,
                       "write the adapter that was trained, in the layout of PEFT"),
    RG_ARGUMENT_OPTION(ExportArguments, base, "base", 'b', "FOLDER",
                       "the adapter's model (default: the trial's policy.weights, if a folder)"),
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
        "program can load the folder too, as policy.weights in a config and as --policy. With "
        "--adapter FOLDER gets adapter_config.json and "
        "adapter_model.safetensors in place of the whole model. PEFT loads them onto the model "
        "that "
        "training started from, and policy.adapter.weights of a config reads them. regatta "
        "table prints labels; regatta "
        "run --dry-run prints keys. A label selects a trial of the latest config, unless --where "
        "or --all select others. A key selects a trial of any config.",
    .arguments = arguments,
    .size = sizeof(ExportArguments),
    .defaults = &(const ExportArguments){.seed = -1},
    .check = check,
    .run = export,
};
