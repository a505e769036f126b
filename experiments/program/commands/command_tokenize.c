/* SPDX-License-Identifier: MIT */
/* regatta tokenize: prints token ids of texts, and the texts that they decode to. */
#include "core/text/lines.h"
#include "core/text/terminal.h"
#include "core/text/tokenizer.h"
#include "core/utf8.h"
#include "experiments/program/commands/command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct TokenizeArguments {
    const char *tokenizer, *file;
} TokenizeArguments;

/* Buffers reused for every line. */
typedef struct Buffers {
    RgTokens tokens;
    RgBuffer line; /* of output */
} Buffers;

static void append_ids(const RgTokens *tokens, RgBuffer *line) {
    for (int64_t i = 0; i < tokens->count; i++) {
        char digits[16], *first = digits + sizeof digits;
        for (int32_t rest = tokens->id[i]; rest > 0 || first == digits + sizeof digits; rest /= 10)
            *--first = (char)('0' + rest % 10);
        if (i > 0)
            rg_buffer_append(line, ", ", 2);
        rg_buffer_append(line, first, (size_t)(digits + sizeof digits - first));
    }
}

static int append_json(const char *text, size_t size, void *line) {
    rg_buffer_append(line, text, size);
    return 0;
}

static void print_line(const RgTokenizer *tokenizer, const char *text, size_t size,
                       Buffers *buffers) {
    RgTokens *tokens = &buffers->tokens;
    RgBuffer *line = &buffers->line, valid = {0};
    tokens->count = 0;
    rg_tokenizer_encode_marked(tokenizer, text, size, tokens);
    char *decoded = rg_tokenizer_decode_marked(tokenizer, tokens->id, tokens->count, &size);
    rg_utf8_repair(decoded, size, &valid);
    json_t *string = json_stringn(valid.size > 0 ? valid.bytes : "", valid.size);
    line->size = 0;
    rg_buffer_append(line, "{\"ids\": [", 9);
    append_ids(tokens, line);
    rg_buffer_append(line, "], \"decoded\": ", 14);
    json_dump_callback(string, append_json, line, JSON_ENCODE_ANY);
    rg_buffer_append(line, "}\n", 2);
    fwrite(line->bytes, 1, line->size, stdout);
    json_decref(string);
    rg_buffer_release(&valid);
    free(decoded);
}

static RgStatus tokenize_line(const RgTokenizer *tokenizer, const char *line, size_t size,
                              const char *path, long number, Buffers *buffers, RgError *error) {
    json_error_t fault;
    if (line[strspn(line, " \t\r\n")] == '\0')
        return RG_OK;
    json_t *object = json_loadb(line, size, JSON_ALLOW_NUL, &fault);
    if (!object)
        return rg_fail(error, RG_E_FORMAT, "%s:%ld: not JSON: %s", path, number, fault.text);
    json_t *text = json_object_get(object, "text");
    RgStatus status = RG_OK;
    if (json_is_string(text))
        print_line(tokenizer, json_string_value(text), json_string_length(text), buffers);
    else
        status = rg_fail(error, RG_E_FORMAT, "%s:%ld: expected an object with the string text",
                         path, number);
    json_decref(object);
    return status;
}

static RgStatus tokenize_file(const RgTokenizer *tokenizer, const char *path, RgError *error) {
    RgLines *lines;
    RG_TRY(rg_lines_open_argument(path, &lines, error));
    rg_terminal_data();
    Buffers buffers = {0};
    const char *line;
    size_t size = 0;
    RgStatus status = rg_lines_next(lines, &line, &size, error);
    while (status == RG_OK && line) {
        status = tokenize_line(tokenizer, line, size, path, (long)rg_lines_number(lines), &buffers,
                               error);
        if (status == RG_OK)
            status = rg_lines_next(lines, &line, &size, error);
    }
    rg_buffer_release(&buffers.line);
    rg_tokens_release(&buffers.tokens);
    rg_lines_close(lines);
    return status;
}

static RgStatus tokenize(void *arguments, RgError *error) {
    const TokenizeArguments *a = arguments;
    RgTokenizer *tokenizer = NULL;
    RG_TRY(rg_tokenizer_load(a->tokenizer, 0, &tokenizer, error));
    RgStatus status = tokenize_file(tokenizer, a->file, error);
    rg_tokenizer_destroy(tokenizer);
    return status;
}

static const char expected[] =
    "expected --tokenizer FILE and a file of JSON lines (- for the standard input)";

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(TokenizeArguments, file, expected),
    RG_ARGUMENT_OPTION(TokenizeArguments, tokenizer, "tokenizer", 't', "FILE",
                       "tokenizer.json, or a llama2.c vocabulary", .expected = expected),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_tokenize = {
    .name = "tokenize",
    .summary = "token ids of texts, and the texts that they decode to",
    .usage = "FILE.jsonl",
    .purpose = "Print the token ids of texts.",
    .details =
        "Each line of FILE has a text. For each, one JSON line: ids, its tokens, and decoded, the "
        "text of the ids. Special tokens in the text are recognised; none is added.",
    .arguments = arguments,
    .size = sizeof(TokenizeArguments),
    .run = tokenize,
};
