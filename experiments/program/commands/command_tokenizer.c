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

static RgStatus train_tokenizer(void *arguments, RgError *error) {
    const TokenizerArguments *a = arguments;
    RgStatus status = RG_OK;
    RgTokenizer *tokenizer = NULL;
    Texts texts = {0};
    for (int i = 0; i < a->file_count && status == RG_OK; i++)
        status = read_texts(a->files[i], &texts, error);
    if (status == RG_OK)
        status = rg_tokenizer_train((const char *const *)texts.text, texts.count, a->vocabulary,
                                    &tokenizer, error);
    if (status == RG_OK)
        status = rg_folders_make_above(a->output, error);
    if (status == RG_OK)
        status = rg_tokenizer_save(tokenizer, a->output, error);
    rg_tokenizer_destroy(tokenizer);
    for (int64_t i = 0; i < texts.count; i++)
        free(texts.text[i]);
    free(texts.text);
    return status;
}

static const char expected[] = "expected -o FILE and one or more files of JSON lines";

static const RgArgument arguments[] = {
    RG_ARGUMENT_REST(TokenizerArguments, files, file_count, expected),
    RG_ARGUMENT_OPTION(TokenizerArguments, vocabulary, "vocabulary", 'v', "N",
                       "number of ids (default: 1024)", .low = 258, .high = 1e6),
    RG_ARGUMENT_OPTION(TokenizerArguments, output, "output", 'o', "FILE", "tokenizer.json to write",
                       .expected = expected),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_train_tokenizer = {
    .name = "train-tokenizer",
    .summary = "learn a byte-level BPE vocabulary",
    .usage = "FILE.jsonl...",
    .purpose = "Learn a byte-level BPE vocabulary.",
    .details = "The vocabulary is learned from the texts prompt, chosen, rejected, response and "
               "text of every line. Files may be compressed by gzip or zstd. The result is unique: "
               "equal files give an equal tokenizer.json, in Hugging Face's format.",
    .arguments = arguments,
    .size = sizeof(TokenizerArguments),
    .defaults = &(const TokenizerArguments){.vocabulary = 1024},
    .run = train_tokenizer,
};
