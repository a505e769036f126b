/* SPDX-License-Identifier: MIT */
/* regatta train-tokenizer: learns a byte-level BPE vocabulary from lines of JSON. */
#include "core/files.h"
#include "core/notice.h"
#include "core/text/json_lines.h"
#include "core/text/lines.h"
#include "core/text/tokenizer.h"
#include "experiments/program/commands/command.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct TokenizerArguments {
    int64_t vocabulary;
    const char *output;
    const char **files, **members;
    int file_count, member_count;
} TokenizerArguments;

typedef struct Texts {
    const TokenizerArguments *arguments;
    char **text;
    int64_t count, capacity;
    bool *found; /* [member_count] whether a line had the member */
} Texts;

static void add_text(Texts *texts, const char *text) {
    if (texts->count == texts->capacity) {
        texts->capacity = texts->capacity ? 2 * texts->capacity : 1024;
        texts->text = rg_reallocate(texts->text, (size_t)texts->capacity, sizeof *texts->text);
    }
    texts->text[texts->count++] = rg_string_copy(text);
}

static void add_texts(Texts *texts, const json_t *value);

/* The texts of those members that may be one, hold messages, or hold completions. */
static void add_members(Texts *texts, const json_t *object) {
    static const char *const fields[] = {"prompt",     "chosen",      "rejected",   "response",
                                         "text",       "instruction", "completion", "completions",
                                         "response_0", "response_1",  "content"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        add_texts(texts, json_object_get(object, fields[i]));
    for (int i = 0; i < texts->arguments->member_count; i++) {
        const json_t *value = json_object_get(object, texts->arguments->members[i]);
        texts->found[i] = texts->found[i] || value;
        add_texts(texts, value);
    }
}

static void add_texts(Texts *texts, const json_t *value) {
    if (json_is_string(value))
        add_text(texts, json_string_value(value));
    for (size_t i = 0; i < json_array_size(value); i++)
        add_texts(texts, json_array_get(value, i));
    if (json_is_object(value))
        add_members(texts, value);
}

/* A line without sound JSON is left out. */
static RgStatus read_lines(RgJsonLines *lines, const char *path, Texts *texts, RgError *error) {
    const RgJsonLine *line;
    int64_t count = 0, left_out = 0;
    int first = 0;
    char why[RG_JSON_WHY] = "";
    for (;;) {
        RG_TRY(rg_json_lines_next(lines, &line, error));
        if (!line)
            break;
        count++;
        if (json_is_object(line->value)) {
            add_members(texts, line->value);
        } else if (left_out++ == 0) {
            first = line->number;
            snprintf(why, sizeof why, "%s", line->value ? "not an object" : line->why);
        }
    }
    if (left_out == 0)
        return RG_OK;
    char *text = rg_string_format("left out %lld of %lld %ss (first: %s %d: %s)",
                                  (long long)left_out, (long long)count, rg_json_lines_unit(lines),
                                  rg_json_lines_unit(lines), first, why);
    RgStatus status = RG_OK;
    if (left_out == count)
        status = rg_fail(error, RG_E_FORMAT, "%s: %s, expected JSON objects", path, text);
    else
        rg_notice("%s: %s", path, text);
    free(text);
    return status;
}

static RgStatus read_texts(const char *path, Texts *texts, RgError *error) {
    RgJsonLines *lines;
    RG_TRY(rg_json_lines_open(path, RG_LINE_MIB, &lines, error));
    RgStatus status = read_lines(lines, path, texts, error);
    rg_json_lines_close(lines);
    return status;
}

static RgStatus check_texts(const Texts *texts, RgError *error) {
    const TokenizerArguments *a = texts->arguments;
    for (int i = 0; i < a->member_count; i++)
        if (!texts->found[i])
            return rg_fail(error, RG_E_USAGE, "--member=%s: no line has this member",
                           a->members[i]);
    return texts->count > 0 ? RG_OK
                            : rg_fail(error, RG_E_FORMAT,
                                      "%s: no text to learn from, see --help for the "
                                      "members that are read",
                                      a->files[0]);
}

static RgStatus train_tokenizer(void *arguments, RgError *error) {
    const TokenizerArguments *a = arguments;
    RgStatus status = RG_OK;
    RgTokenizer *tokenizer = NULL;
    Texts texts = {.arguments = a, .found = rg_allocate(a->member_count + 1, sizeof(bool))};
    for (int i = 0; i < a->file_count && status == RG_OK; i++)
        status = read_texts(a->files[i], &texts, error);
    if (status == RG_OK)
        status = check_texts(&texts, error);
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
    free(texts.found);
    return status;
}

static const char expected[] = "expected -o FILE and one or more files of JSON lines";

static const RgArgument arguments[] = {
    RG_ARGUMENT_REST(TokenizerArguments, files, file_count, expected),
    RG_ARGUMENT_OPTION(TokenizerArguments, vocabulary, "vocabulary", 'v', "N",
                       "number of ids (default: 1024)", .low = 258, .high = 1e6),
    RG_ARGUMENT_OPTION(TokenizerArguments, output, "output", 'o', "FILE", "tokenizer.json to write",
                       .expected = expected),
    RG_ARGUMENT_REPEATED(TokenizerArguments, members, member_count, "member", 'm', "NAME",
                         "learn from the member NAME of each line, too; may be repeated"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_train_tokenizer = {
    .name = "train-tokenizer",
    .summary = "learn a byte-level BPE vocabulary",
    .usage = "FILE.jsonl...",
    .purpose = "Learn a byte-level BPE vocabulary.",
    .details =
        "The vocabulary is learned from the texts of every line: members text, prompt, chosen, "
        "rejected, instruction, response, response_0, response_1, completion and "
        "completions, be they strings or lists of messages. Files are JSON lines or one JSON "
        "array, and may "
        "be compressed by gzip or zstd. Lines that are not JSON objects are left out, and "
        "counted. The result is unique: "
        "equal files give an equal tokenizer.json, in Hugging Face's format.",
    .arguments = arguments,
    .size = sizeof(TokenizerArguments),
    .defaults = &(const TokenizerArguments){.vocabulary = 1024},
    .run = train_tokenizer,
};
