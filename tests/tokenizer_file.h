/* SPDX-License-Identifier: MIT */
/* Tokenizer files for tests: small ones made from parts, and those that lie elsewhere. */
#ifndef RG_TESTS_TOKENIZER_FILE_H
#define RG_TESTS_TOKENIZER_FILE_H

#include "core/text/tokenizer.h"
#include "tests/scratch.h"
#include "tests/shared_data.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static RgError error;

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static inline RgTokenizer *load(const char *path) {
    RgTokenizer *tokenizer = NULL;
    ASSERT_OK(rg_tokenizer_load(path, 0, &tokenizer, &error));
    return tokenizer;
}

/* Of the tokenizers that are too large to lie about. */
static inline const char *elsewhere(const char *name) {
    static char path[512];
    const char *folder = getenv("RG_TOKENIZERS");
    snprintf(path, sizeof path, "%s/%s/tokenizer.json", folder ? folder : "", name);
    if (!folder || access(path, R_OK) != 0)
        cr_skip_test("no $RG_TOKENIZERS/%s/tokenizer.json", name);
    return path;
}

/* A file's parts as JSON with ' for "; of tokens, the place in the list is the id. */
typedef struct Parts {
    const char *tokens, *merges;
    const char *model;                                       /* more of its options */
    const char *normalizer, *pre_tokenizer, *post_processor; /* NULL: null */
    const char *decoder;                                     /* NULL: BYTE_LEVEL */
    const char *added;                                       /* list of [id, content, flag...] */
} Parts;

#define BYTE_LEVEL "{'type': 'ByteLevel', 'add_prefix_space': false, 'use_regex': false}"

static inline json_t *parse(const char *text) {
    if (!text)
        return json_null();
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_error_t fault;
    json_t *json = json_loads(copy, JSON_DECODE_ANY, &fault);
    cr_assert(json, "%s: %s", text, fault.text);
    free(copy);
    return json;
}

static inline json_t *added_tokens(const char *text) {
    json_t *list = parse(text ? text : "[]"), *out = json_array(), *one = NULL;
    size_t index = 0;
    json_array_foreach(list, index, one) {
        json_t *token = json_pack("{s:O, s:O}", "id", json_array_get(one, 0), "content",
                                  json_array_get(one, 1));
        for (size_t i = 2; i < json_array_size(one); i++)
            json_object_set_new(token, json_string_value(json_array_get(one, i)), json_true());
        json_array_append_new(out, token);
    }
    json_decref(list);
    return out;
}

static inline const char *write_file(const Parts *parts) {
    json_t *tokens = parse(parts->tokens), *vocabulary = json_object(), *token = NULL;
    size_t id = 0;
    json_array_foreach(tokens, id, token) {
        json_object_set_new(vocabulary, json_string_value(token), json_integer((json_int_t)id));
    }
    json_t *model = parse(parts->model ? parts->model : "{}");
    json_object_set_new(model, "type", json_string("BPE"));
    json_object_set_new(model, "vocab", vocabulary);
    json_object_set_new(model, "merges", parse(parts->merges ? parts->merges : "[]"));
    json_t *root =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "model", model, "normalizer",
                  parse(parts->normalizer), "pre_tokenizer", parse(parts->pre_tokenizer), "decoder",
                  parse(parts->decoder ? parts->decoder : BYTE_LEVEL), "post_processor",
                  parse(parts->post_processor), "added_tokens", added_tokens(parts->added));
    const char *path = scratch("tokenizer.json");
    cr_assert_eq(json_dump_file(root, path, 0), 0);
    json_decref(root);
    json_decref(tokens);
    return path;
}

static inline RgTokenizer *make(Parts parts) {
    return load(write_file(&parts));
}

/* The tokens that text becomes, with | between them. */
static inline char *pieces(const RgTokenizer *tokenizer, const char *text, bool marked) {
    RgTokens tokens = {0};
    char *out = NULL;
    size_t out_size = 0;
    FILE *stream = open_memstream(&out, &out_size);
    (marked ? rg_tokenizer_encode_marked : rg_tokenizer_encode)(tokenizer, text, strlen(text),
                                                                &tokens);
    for (int64_t i = 0; i < tokens.count; i++)
        fprintf(stream, "%s%d", i > 0 ? " " : "", tokens.id[i]);
    fclose(stream);
    rg_tokens_release(&tokens);
    return out;
}

#define LLAMA_NORMALIZER                                                                           \
    "{'type': 'Sequence', 'normalizers': [{'type': 'Prepend', 'prepend': '▁'},"                  \
    "{'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'}]}"
#define LLAMA_DECODER                                                                              \
    "{'type': 'Sequence', 'decoders': [{'type': 'Replace', 'pattern': {'String': '▁'}, "         \
    "'content': ' '}, {'type': 'ByteFallback'}, {'type': 'Fuse'}, "                                \
    "{'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]}"

#endif
