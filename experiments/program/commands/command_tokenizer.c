/* SPDX-License-Identifier: MIT */
/* regatta train-tokenizer: learns a byte-level BPE vocabulary from lines of JSON. */
#include "core/files.h"
#include "core/text/lines.h"
#include "core/text/tokenizer.h"
#include "experiments/program/commands/command.h"

#include <jansson.h>
#include <stdlib.h>

typedef struct TokenizerArguments {
    int64_t vocabulary;
    const char *output;
    const char **files;
    int file_count;
} TokenizerArguments;

static const struct argp_option options[] = {
    {"vocabulary", 'v', "N", 0, "number of ids (default: 1024)", 0},
    {"output", 'o', "FILE", 0, "tokenizer.json to write", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    TokenizerArguments *a = state->input;
    switch (key) {
    case 'v':
        a->vocabulary = rg_argument_integer(state, "--vocabulary", argument, 258, 1000000);
        return 0;
    case 'o':
        a->output = argument;
        return 0;
    case ARGP_KEY_ARG:
        a->files = rg_reallocate(a->files, (size_t)a->file_count + 1, sizeof *a->files);
        a->files[a->file_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (!a->output || a->file_count == 0)
            argp_error(state, "expected -o FILE and one or more files of JSON lines");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "FILE.jsonl...",
    "Learn a byte-level BPE vocabulary.\v"
    "The vocabulary is learned from the texts prompt, chosen, rejected, response and text of every "
    "line. Files may be compressed by gzip or zstd. The result is unique: equal files give an "
    "equal tokenizer.json, in Hugging Face's format.",
    NULL,
    NULL,
    NULL,
};

typedef struct Texts {
    char **text;
    int64_t count, capacity;
} Texts;

static void add_text(Texts *texts, const char *text) {
    if (texts->count == texts->capacity) {
        texts->capacity = texts->capacity ? 2 * texts->capacity : 1024;
        texts->text = rg_reallocate(texts->text, (size_t)texts->capacity, sizeof *texts->text);
    }
    texts->text[texts->count++] = rg_string_copy(text);
}

static RgStatus read_texts(const char *path, Texts *texts, RgError *error) {
    static const char *const fields[] = {"prompt", "chosen", "rejected", "response", "text"};
    RgLines *lines;
    RG_TRY(rg_lines_open(path, &lines, error));
    const char *line;
    size_t size;
    RgStatus status = rg_lines_next(lines, &line, &size, error);
    while (status == RG_OK && line) {
        json_error_t fault;
        json_t *object = json_loadb(line, size, 0, &fault);
        if (!json_is_object(object))
            status = rg_fail(error, RG_E_FORMAT, "%s:%lld: expected a JSON object: %s", path,
                             (long long)rg_lines_number(lines),
                             object ? "found another value" : fault.text);
        for (size_t i = 0; object && i < sizeof fields / sizeof fields[0]; i++) {
            const char *text = json_string_value(json_object_get(object, fields[i]));
            if (text)
                add_text(texts, text);
        }
        json_decref(object);
        if (status == RG_OK)
            status = rg_lines_next(lines, &line, &size, error);
    }
    rg_lines_close(lines);
    return status;
}

int rg_command_train_tokenizer(int argc, char **argv) {
    TokenizerArguments a = {.vocabulary = 1024};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgStatus status = RG_OK;
    RgTokenizer *tokenizer = NULL;
    Texts texts = {0};
    for (int i = 0; i < a.file_count && status == RG_OK; i++)
        status = read_texts(a.files[i], &texts, &error);
    if (status == RG_OK)
        status = rg_tokenizer_train((const char *const *)texts.text, texts.count, a.vocabulary,
                                    &tokenizer, &error);
    if (status == RG_OK)
        status = rg_folders_make_above(a.output, &error);
    if (status == RG_OK)
        status = rg_tokenizer_save(tokenizer, a.output, &error);
    rg_tokenizer_destroy(tokenizer);
    for (int64_t i = 0; i < texts.count; i++)
        free(texts.text[i]);
    free(texts.text);
    free(a.files);
    return rg_command_end(status, &error);
}
