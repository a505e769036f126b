/* regatta export: a policy for other programs. */
#include "core/policy/hugging_face.h"
#include "core/results/weights.h"
#include "core/text/tokenizer.h"
#include "experiments/command.h"

#include <stdlib.h>

typedef struct ExportArguments {
    const char *policy, *tokenizer, *folder;
} ExportArguments;

static const struct argp_option options[] = {
    {"policy", 'p', "WEIGHTS", 0, "a transformer policy, as sample and score take it", 0},
    {"tokenizer", 't', "FILE", 0, "its tokenizer.json, to be put beside the weights", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    ExportArguments *a = state->input;
    switch (key) {
    case 'p':
        a->policy = argument;
        return 0;
    case 't':
        a->tokenizer = argument;
        return 0;
    case ARGP_KEY_ARG:
        rg_argument_only(state, argument, &a->folder);
        return 0;
    case ARGP_KEY_END:
        if (!a->policy || !a->folder)
            argp_error(state, "expected --policy WEIGHTS and a folder to write");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "FOLDER",
    "Write a policy in Hugging Face's layout, for other programs.\v"
    "FOLDER gets config.json and model.safetensors, as LlamaForCausalLM, Qwen2ForCausalLM or "
    "GPT2LMHeadModel, and tokenizer.json where one is given. This program loads it too: as "
    "policy.weights of a config, and as --policy.",
    NULL,
    NULL,
    NULL,
};

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
    ExportArguments a = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgPolicy *policy = NULL;
    RgStatus status = rg_weights_check_path(a.policy, &error);
    if (status == RG_OK)
        status = rg_policy_load(a.policy, &policy, &error);
    if (status == RG_OK)
        status = rg_hugging_face_save(policy, a.folder, &error);
    if (status == RG_OK)
        status = export_tokenizer(&a, &error);
    rg_policy_destroy(policy);
    return rg_command_end(status, &error);
}
