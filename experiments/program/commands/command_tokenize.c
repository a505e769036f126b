/* SPDX-License-Identifier: MIT */
/* regatta tokenize: prints token ids of texts, or of conversations that a chat template lays out, and
 * the texts that they decode to. */
#include "core/text/lines.h"
#include "core/text/terminal.h"
#include "core/text/tokenizer.h"
#include "core/utf8.h"
#include "envs/text_layout.h"
#include "experiments/program/commands/command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The text is borrowed. */
static RgStatus read_turn(const Reading *r, json_t *message, long number, size_t index,
                          RgTurn *turn, RgError *error) {
    const char *role = json_string_value(json_object_get(message, "role"));
    bool known = role && rg_role_named(role, &turn->role);
    json_t *content = json_object_get(message, "content");
    turn->text = (char *)json_string_value(content);
    if (!known || !turn->text || strlen(turn->text) != json_string_length(content))
        return rg_fail(error, RG_E_FORMAT,
                       "%s:%ld: messages[%zu] is not a message, expected a role (system, user or "
                       "assistant) and a content, a string without NUL",
                       r->path, number, index);
    return RG_OK;
}

/* The last message is a response if it is the assistant's. */
static RgStatus tokenize_turns(Reading *r, RgTurn *turns, size_t count, long number,
                               RgError *error) {
    const char *response = turns[count - 1].role == RG_ASSISTANT ? turns[count - 1].text : NULL;
    int64_t before = (int64_t)count - (response != NULL);
    RgSequences *sequences = rg_sequences_create();
    RgStatus status = rg_text_try_append(sequences, r->layout, turns, before, response, error);
    if (status == RG_OK) {
        r->tokens.count = 0;
        for (int64_t i = 0; i < rg_sequence_length(sequences, 0); i++)
            rg_tokens_append(&r->tokens, rg_sequence_prompt(sequences, 0)[i]);
        print_tokens(r, sequences->prompt_length[0]);
    }
    rg_sequences_destroy(sequences);
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, "%s:%ld", r->path, number);
}

static RgStatus tokenize_chat(Reading *r, json_t *object, long number, RgError *error) {
    json_t *messages = json_object_get(object, "messages"), *message = NULL;
    size_t count = json_array_size(messages), i = 0;
    RgStatus status = RG_OK;
    if (count == 0)
        return rg_fail(error, RG_E_FORMAT,
                       "%s:%ld: expected an object with the list messages, which is not empty",
                       r->path, number);
    RgTurn *turns = rg_allocate(count, sizeof *turns);
    json_array_foreach(messages, i, message) {
        if (status == RG_OK)
            status = read_turn(r, message, number, i, &turns[i], error);
    }
    if (status == RG_OK)
        status = tokenize_turns(r, turns, count, number, error);
    free(turns);
    return status;
}

static RgStatus tokenize_line(Reading *r, const char *line, size_t size, long number,
                              RgError *error) {
    json_error_t fault;
    if (line[strspn(line, " \t\r\n")] == '\0')
        return RG_OK;
    json_t *object = json_loadb(line, size, JSON_ALLOW_NUL, &fault);
    if (!object)
        return rg_fail(error, RG_E_FORMAT, "%s:%ld: not JSON: %s", r->path, number, fault.text);
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

/* A built-in template by its name, else a file. */
static RgStatus make_layout(const TokenizeArguments *a, Reading *r, RgError *error) {
    int k = 0;
    while (rg_chat_templates[k] && strcmp(rg_chat_templates[k], a->chat) != 0)
        k++;
    bool named = rg_chat_templates[k];
    if (!named && access(a->chat, F_OK) != 0)
        return rg_fail(error, RG_E_USAGE,
                       "--chat: \"%s\" is neither a file nor a built-in template, expected plain, "
                       "chatml, qwen, llama-3, phi-3, zephyr, hh, sail-pku, sail-ultrafeedback or "
                       "a file",
                       a->chat);
    return rg_text_layout_create(r->tokenizer, named ? k : 0, named ? "" : a->chat, 0,
                                 RG_TRUNCATE_DROP, &r->layout, error);
}

static RgStatus tokenize(void *arguments, RgError *error) {
    const TokenizeArguments *a = arguments;
    RgTokenizer *tokenizer = NULL;
    RG_TRY(rg_tokenizer_load(a->tokenizer, 0, &tokenizer, error));
    Reading reading = {.tokenizer = tokenizer, .path = a->file};
    RgStatus status = a->chat ? make_layout(a, &reading, error) : RG_OK;
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
                       "lay out conversations: a built-in chat template, or the model's own, "
                       "chat_template.jinja or tokenizer_config.json"),
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
        "each line has messages, a list of roles and contents. The line for it has also response: "
        "1 for each token that is learnt, those of the last message if it is the assistant's, and "
        "0 for the prompt's.",
    .arguments = arguments,
    .size = sizeof(TokenizeArguments),
    .run = tokenize,
};
