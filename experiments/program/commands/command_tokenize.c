/* SPDX-License-Identifier: MIT */
/* regatta tokenize: prints token ids of texts, or of conversations that a chat template lays out, and
 * the texts that they decode to. */
#include "core/text/lines.h"
#include "core/text/terminal.h"
#include "core/text/tokenizer.h"
#include "core/utf8.h"
#include "experiments/program/commands/chat.h"
#include "experiments/program/commands/command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct TokenizeArguments {
    const char *tokenizer, *file;
    const char *chat; /* name or file of a template; NULL: texts */
} TokenizeArguments;

/* What every line needs, and buffers for it. */
typedef struct Reading {
    const RgTokenizer *tokenizer;
    RgTextLayout *layout; /* NULL: texts */
    const char *path;
    RgTokens tokens;
    RgBuffer line; /* of output */
} Reading;

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

/* `prompt_length` of the tokens are a prompt, the rest a response; −1: they are neither. */
static void print_tokens(Reading *r, int64_t prompt_length) {
    const RgTokens *tokens = &r->tokens;
    RgBuffer *line = &r->line, valid = {0};
    size_t size = 0;
    char *decoded = rg_tokenizer_decode_marked(r->tokenizer, tokens->id, tokens->count, &size);
    rg_utf8_repair(decoded, size, &valid);
    json_t *string = json_stringn(valid.size > 0 ? valid.bytes : "", valid.size);
    line->size = 0;
    rg_buffer_append(line, "{\"ids\": [", 9);
    append_ids(tokens, line);
    if (prompt_length >= 0)
        rg_buffer_append(line, "], \"response\": [", 16);
    for (int64_t i = 0; i < tokens->count && prompt_length >= 0; i++) {
        rg_buffer_append(line, ", ", i > 0 ? 2 : 0);
        rg_buffer_append(line, i < prompt_length ? "0" : "1", 1);
    }
    rg_buffer_append(line, "], \"decoded\": ", 14);
    json_dump_callback(string, append_json, line, JSON_ENCODE_ANY);
    rg_buffer_append(line, "}\n", 2);
    fwrite(line->bytes, 1, line->size, stdout);
    json_decref(string);
    rg_buffer_release(&valid);
    free(decoded);
}

static RgStatus tokenize_text(Reading *r, json_t *object, long number, RgError *error) {
    json_t *text = json_object_get(object, "text");
    if (!json_is_string(text))
        return rg_fail(error, RG_E_FORMAT, "%s:%ld: expected an object with the string text",
                       r->path, number);
    r->tokens.count = 0;
    rg_tokenizer_encode_marked(r->tokenizer, json_string_value(text), json_string_length(text),
                               &r->tokens);
    print_tokens(r, -1);
    return RG_OK;
}

static RgStatus tokenize_chat(Reading *r, json_t *object, long number, RgError *error) {
    RgSequences *sequences = rg_sequences_create();
    RgStatus status = rg_chat_append(sequences, r->layout, object, r->path, number, error);
    if (status == RG_OK) {
        r->tokens.count = 0;
        for (int64_t i = 0; i < rg_sequence_length(sequences, 0); i++)
            rg_tokens_append(&r->tokens, rg_sequence_prompt(sequences, 0)[i]);
        print_tokens(r, sequences->prompt_length[0]);
    }
    rg_sequences_destroy(sequences);
    return status;
}

static RgStatus tokenize_line(Reading *r, const char *line, size_t size, long number,
                              RgError *error) {
    json_t *object;
    if (line[strspn(line, " \t\r\n")] == '\0')
        return RG_OK;
    RG_TRY(rg_chat_read_line(line, size, r->path, number, &object, error));
    RgStatus status = r->layout ? tokenize_chat(r, object, number, error)
                                : tokenize_text(r, object, number, error);
    json_decref(object);
    return status;
}

static RgStatus tokenize_file(Reading *r, RgError *error) {
    RgLines *lines;
    RG_TRY(rg_lines_open_argument(r->path, &lines, error));
    rg_terminal_data();
    const char *line;
    size_t size = 0;
    RgStatus status = rg_lines_next(lines, &line, &size, error);
    while (status == RG_OK && line) {
        status = tokenize_line(r, line, size, (long)rg_lines_number(lines), error);
        if (status == RG_OK)
            status = rg_lines_next(lines, &line, &size, error);
    }
    rg_lines_close(lines);
    return status;
}

static RgStatus tokenize(void *arguments, RgError *error) {
    const TokenizeArguments *a = arguments;
    RgTokenizer *tokenizer = NULL;
    RG_TRY(rg_tokenizer_load(a->tokenizer, 0, &tokenizer, error));
    Reading reading = {.tokenizer = tokenizer, .path = a->file};
    RgStatus status =
        a->chat ? rg_chat_layout_create(a->chat, tokenizer, &reading.layout, error) : RG_OK;
    if (status == RG_OK)
        status = tokenize_file(&reading, error);
    rg_buffer_release(&reading.line);
    rg_tokens_release(&reading.tokens);
    rg_text_layout_destroy(reading.layout);
    rg_tokenizer_destroy(tokenizer);
    return status;
}

static const char expected[] =
    "expected --tokenizer FILE and a file of JSON lines (- for the standard input)";

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(TokenizeArguments, file, expected),
    RG_ARGUMENT_OPTION(TokenizeArguments, tokenizer, "tokenizer", 't', "FILE",
                       "tokenizer.json, or a llama2.c vocabulary", .expected = expected),
    RG_ARGUMENT_OPTION(TokenizeArguments, chat, "chat", 'c', "TEMPLATE",
                       "lay out conversations: " RG_CHAT_HELP),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_tokenize = {
    .name = "tokenize",
    .summary = "token ids of texts or conversations, and the texts that they decode to",
    .usage = "FILE.jsonl",
    .purpose = "Print the token ids of texts, or of conversations laid out by a chat template.",
    .details =
        "Each line of FILE has a text. For each, one JSON line: ids, its tokens, and decoded, the "
        "text of the ids. Special tokens in the text are recognised; none is added. With --chat "
        "each line has messages, a list of roles and contents, or prompt, what the user says, and "
        "perhaps response. The line for it has also response: 1 for each token that is learnt, "
        "those of the response or of the last message if it is the assistant's, and 0 for the "
        "prompt's.",
    .arguments = arguments,
    .size = sizeof(TokenizeArguments),
    .run = tokenize,
};
