/* SPDX-License-Identifier: MIT */
/* regatta export: writes a policy for other programs. */
#include "analysis/store/choice.h"
#include "core/models/hugging_face.h"
#include "core/models/peft.h"
#include "core/models/transformer.h"
#include "core/new_file.h"
#include "core/notice.h"
#include "core/results/weights.h"
#include "core/settings.h"
#include "core/text/tokenizer.h"
#include "experiments/program/commands/command.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
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
    char *base;       /* the folder that training started from, or the folder; NULL: none */
    char *tokenizer;  /* its file; NULL: not known */
    RgPolicy *policy; /* with its adapter, if it was trained with one, in the weights */
} Source;

/* A file in a folder, malloc'd; NULL if it is not there. */
static char *file_in(const char *folder, const char *name) {
    char *path = rg_string_format("%s/%s", folder, name);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* The folder, if it is one of a model. */
static char *model_folder(const char *path) {
    char *config = path[0] ? file_in(path, "config.json") : NULL;
    bool there = config != NULL;
    free(config);
    return there ? rg_string_copy(path) : NULL;
}

/* What a trial's config names as policy.weights and environment.tokenizer, where it is still there. */
static RgStatus find_origin(const RgTrialRow *row, Source *source, RgError *error) {
    RgSettings *settings = rg_settings_create();
    RgStatus status = rg_settings_from_json(row->config, settings, error);
    const RgSetting *weights = rg_settings_find(settings, "policy.weights");
    const RgSetting *tokenizer = rg_settings_find(settings, "environment.tokenizer");
    if (status == RG_OK && weights)
        source->base = model_folder(weights->text);
    if (status == RG_OK && tokenizer && access(tokenizer->text, F_OK) == 0)
        source->tokenizer = rg_string_copy(tokenizer->text);
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
        status = find_origin(&row, source, error);
    rg_trial_row_clear(&row);
    return status;
}

static RgStatus open_source(const ExportArguments *a, Source *source, RgError *error) {
    if (a->policy) {
        RG_TRY(rg_weights_check_path(a->policy, error));
        source->weights = rg_string_copy(a->policy);
        source->base = model_folder(a->policy);
        source->tokenizer = source->base ? file_in(source->base, "tokenizer.json") : NULL;
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
    free(source->tokenizer);
}

static RgStatus export_adapter(const ExportArguments *a, const Source *source, RgError *error) {
    RgPolicy *adapted;
    RG_TRY(rg_policy_load_adapter(source->weights, source->policy, &adapted, error));
    const char *base = a->base ? a->base : a->policy ? NULL : source->base;
    RgStatus status = rg_peft_save(adapted, base, a->folder, error);
    rg_policy_destroy(adapted);
    return status;
}

/* ---- the tokenizer ---- */

/* Without such a file, transformers has no name for the tokens that begin and end a text. */
static RgStatus describe_tokenizer(const RgTokenizer *tokenizer, const char *folder,
                                   RgError *error) {
    const struct {
        const char *key;
        int32_t id;
    } ends[] = {{"bos_token", rg_tokenizer_begin(tokenizer)},
                {"eos_token", rg_tokenizer_end(tokenizer)}};
    json_t *root = json_pack("{s:s}", "tokenizer_class", "PreTrainedTokenizerFast");
    for (int i = 0; i < 2; i++) {
        char *name =
            ends[i].id >= 0 ? rg_tokenizer_decode_marked(tokenizer, &ends[i].id, 1, NULL) : NULL;
        json_object_set_new(root, ends[i].key, name ? json_string(name) : json_null());
        free(name);
    }
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    char *path = rg_string_format("%s/tokenizer_config.json", folder);
    RgStatus status = rg_file_write(path, text, strlen(text), error);
    free(path);
    free(text);
    json_decref(root);
    return status;
}

/* Copies what belongs to a tokenizer.json and lies beside it. */
static RgStatus copy_companions(const RgTokenizer *tokenizer, const char *path, const char *folder,
                                RgError *error) {
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                        "chat_template.jinja"};
    const char *slash = strrchr(path, '/');
    char *from = slash ? rg_string_format("%.*s", (int)(slash - path), path) : rg_string_copy(".");
    RgStatus status = RG_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == RG_OK; i++) {
        char *own = file_in(from, names[i]);
        char *to = rg_string_format("%s/%s", folder, names[i]);
        if (own)
            status = rg_file_copy(own, to, error);
        else if (i == 0)
            status = describe_tokenizer(tokenizer, folder, error);
        free(own);
        free(to);
    }
    free(from);
    return status;
}

/* Whether the file is JSON, and not a vocabulary of llama2.c. */
static bool is_json(const char *path) {
    FILE *file = fopen(path, "rb");
    bool json = file && fgetc(file) == '{';
    if (file)
        fclose(file);
    return json;
}

static RgStatus write_tokenizer(const RgTokenizer *tokenizer, const char *path, const char *folder,
                                RgError *error) {
    if (!is_json(path)) {
        rg_notice("%s: not a tokenizer.json, so the folder gets no tokenizer", path);
        return RG_OK;
    }
    char *to = rg_string_format("%s/tokenizer.json", folder);
    RgStatus status = rg_tokenizer_save(tokenizer, to, error);
    free(to);
    return status == RG_OK ? copy_companions(tokenizer, path, folder, error) : status;
}

/* ---- the model ---- */

/* The ends that the folder lists from which training started, and the tokenizer's. */
static RgStatus find_ends(const Source *source, const RgTokenizer *tokenizer, RgModelEnds *ends,
                          RgError *error) {
    RG_TRY(rg_generation_config_read(source->base ? source->base : "", ends, error));
    if (!tokenizer)
        return RG_OK;
    ends->begin = ends->begin >= 0 ? ends->begin : rg_tokenizer_begin(tokenizer);
    rg_model_ends_add(ends, rg_tokenizer_end(tokenizer));
    return RG_OK;
}

static RgStatus export_model(const ExportArguments *a, const Source *source,
                             const RgTokenizer *tokenizer, RgError *error) {
    RgModelEnds ends = {.begin = -1};
    RgStatus status = find_ends(source, tokenizer, &ends, error);
    if (status == RG_OK)
        status = rg_hugging_face_save_with(source->policy, &ends, a->folder, error);
    rg_model_ends_release(&ends);
    return status;
}

/* One that is named has to fit; the trial's own may have changed since, and is then left out. */
static RgStatus open_tokenizer(const ExportArguments *a, const Source *source,
                               RgTokenizer **tokenizer, RgError *error) {
    const char *path = a->tokenizer ? a->tokenizer : source->tokenizer;
    RgError reason = {0};
    *tokenizer = NULL;
    if (!path)
        return RG_OK;
    RgStatus status = rg_tokenizer_load(path, 0, tokenizer, &reason);
    int64_t most = source->policy->type == &rg_policy_transformer
                       ? rg_transformer_vocabulary(source->policy)
                       : INT64_MAX;
    if (status == RG_OK && rg_tokenizer_vocabulary(*tokenizer) > most)
        status = rg_fail(&reason, RG_E_USAGE, "%s: %lld tokens, expected at most the policy's %lld",
                         path, (long long)rg_tokenizer_vocabulary(*tokenizer), (long long)most);
    if (status == RG_OK)
        return RG_OK;
    rg_tokenizer_destroy(*tokenizer);
    *tokenizer = NULL;
    if (a->tokenizer)
        return rg_fail(error, status, "%s", reason.text);
    rg_notice("%s; the folder gets no tokenizer, see --tokenizer", reason.text);
    return RG_OK;
}

static RgStatus export_all(const ExportArguments *a, const Source *source, RgError *error) {
    RgTokenizer *tokenizer;
    RG_TRY(open_tokenizer(a, source, &tokenizer, error));
    RgStatus status =
        a->adapter ? export_adapter(a, source, error) : export_model(a, source, tokenizer, error);
    if (status == RG_OK && tokenizer)
        status = write_tokenizer(tokenizer, a->tokenizer ? a->tokenizer : source->tokenizer,
                                 a->folder, error);
    rg_tokenizer_destroy(tokenizer);
    return status;
}

/* ---- the command ---- */

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
        status = export_all(a, &source, error);
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
                       "its tokenizer.json, copied into the folder (default: the trial's, or that "
                       "of the policy's folder)"),
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
        "FOLDER gets config.json and model.safetensors. With a tokenizer it also gets "
        "tokenizer.json, what lies beside it (tokenizer_config.json, special_tokens_map.json, "
        "chat_template.jinja), and generation_config.json with the tokens that begin and end a "
        "text. The "
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
