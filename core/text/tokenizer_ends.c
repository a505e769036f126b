/* SPDX-License-Identifier: MIT */
/* The tokens that begin and end a text, from a tokenizer.json and its neighbouring files. */
#include "core/text/tokenizer_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Ends {
    json_t *root;   /* tokenizer.json */
    json_t *config; /* tokenizer_config.json, NULL if there is none */
    char *config_path;
    RgError *error;
} Ends;

static int32_t id_of(const Ends *ends, const char *name) {
    json_t *vocabulary = json_object_get(json_object_get(ends->root, "model"), "vocab");
    json_t *number = json_object_get(vocabulary, name), *token = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(ends->root, "added_tokens"), index, token) {
        if (strcmp(json_string_value(json_object_get(token, "content")), name) == 0)
            number = json_object_get(token, "id");
    }
    return number ? (int32_t)json_integer_value(number) : -1;
}

/* The special token directly before the text in the template, or directly after it; −1 if none. */
static int32_t id_in_template(const Ends *ends, json_t *processor, bool after) {
    json_t *element = NULL, *list = json_object_get(processor, "processors");
    size_t index = 0;
    int32_t id = -1;
    bool text_seen = false;
    json_array_foreach(list, index, element) {
        int32_t found = id_in_template(ends, element, after);
        id = found >= 0 ? found : id;
    }
    /* RobertaProcessing and BertProcessing: ["</s>", 2] */
    json_t *around = json_object_get(processor, after ? "sep" : "cls");
    if (json_is_string(json_array_get(around, 0)))
        id = id_of(ends, json_string_value(json_array_get(around, 0)));
    json_array_foreach(json_object_get(processor, "single"), index, element) {
        const char *name =
            json_string_value(json_object_get(json_object_get(element, "SpecialToken"), "id"));
        text_seen = text_seen || json_object_get(element, "Sequence");
        if (name && text_seen == after && (id < 0 || !after))
            id = id_of(ends, name);
    }
    return id;
}

/* A token's name, or {"content": its name}. */
static RgStatus read_config(const Ends *ends, const char *key, json_t *value, int32_t *id) {
    json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
    *id = -1;
    if (json_is_null(value))
        return RG_OK;
    if (!json_is_string(content))
        return rg_fail(ends->error, RG_E_FORMAT, "%s: %s is not the name of a token",
                       ends->config_path, key);
    *id = id_of(ends, json_string_value(content));
    return *id >= 0
               ? RG_OK
               : rg_fail(ends->error, RG_E_FORMAT,
                         "%s: %s \"%s\" is not a token of the tokenizer.json in the same folder",
                         ends->config_path, key, json_string_value(content));
}

static RgStatus find_end(const Ends *ends, bool after, int32_t *id) {
    static const char *const names[2][7] = {
        {"<|begin|>", "<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>", NULL},
        {"<|end|>", "</s>", "<eos>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>", NULL}};
    const char *key = after ? "eos_token" : "bos_token";
    json_t *configured = json_object_get(ends->config, key);
    *id = id_in_template(ends, json_object_get(ends->root, "post_processor"), after);
    if (*id >= 0)
        return RG_OK;
    if (configured)
        return read_config(ends, key, configured, id);
    for (int i = 0; names[after][i] && *id < 0; i++)
        *id = id_of(ends, names[after][i]);
    return RG_OK;
}

RgStatus rg_tokenizer_read_ends(RgTokenizer *tokenizer, const char *path, json_t *root,
                                RgError *error) {
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    Ends ends = {.root = root, .error = error};
    ends.config_path = rg_string_format("%.*stokenizer_config.json", folder, path);
    json_error_t json = {0};
    RgStatus status = RG_OK;
    if (access(ends.config_path, F_OK) == 0) {
        /* Their model_max_length may be 10³⁰. */
        ends.config = json_load_file(ends.config_path, JSON_DECODE_INT_AS_REAL, &json);
        if (!ends.config)
            status = rg_fail(error, RG_E_FORMAT, "%s:%d: not JSON: %s", ends.config_path, json.line,
                             json.text);
        else if (!json_is_object(ends.config))
            status = rg_fail(error, RG_E_FORMAT, "%s: expected an object", ends.config_path);
    }
    if (status == RG_OK)
        status = find_end(&ends, false, &tokenizer->begin);
    if (status == RG_OK)
        status = find_end(&ends, true, &tokenizer->end);
    json_decref(ends.config);
    free(ends.config_path);
    return status;
}
