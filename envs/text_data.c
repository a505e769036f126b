/* Reading JSON lines of prompts with two responses, and laying texts out as token sequences. What
 * is done with them is the business of text.c. */
#include "envs/text_data.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ---- */

static void release_line(RgTextLine *line) {
    free(line->prompt);
    free(line->chosen);
    free(line->rejected);
}

void rg_text_data_destroy(RgTextData *data) {
    if (!data)
        return;
    for (int64_t i = 0; i < data->count; i++)
        release_line(&data->lines[i]);
    free(data->lines);
    free(data->path);
    free(data);
}

static const char *kind_name(const json_t *value) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

/* Copy of a string member; `filled`: it must not be empty. */
static RgStatus read_member(const json_t *object, const char *key, bool filled, const char *path,
                            int number, char **text, RgError *error) {
    const json_t *value = json_object_get(object, key);
    if (!value)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is missing", path, number, key);
    if (!json_is_string(value))
        return rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is %s, expected a string", path, number,
                       key, kind_name(value));
    if (filled && json_string_length(value) == 0)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is empty, expected a response", path,
                       number, key);
    *text = rg_string_copy(json_string_value(value));
    return RG_OK;
}

static RgStatus read_object(const json_t *object, const char *path, RgTextLine *line,
                            RgError *error) {
    if (!json_is_object(object))
        return rg_fail(error, RG_E_FORMAT, "%s:%d: the line is %s, expected an object", path,
                       line->number, kind_name(object));
    RG_TRY(read_member(object, "prompt", false, path, line->number, &line->prompt, error));
    RG_TRY(read_member(object, "chosen", true, path, line->number, &line->chosen, error));
    return read_member(object, "rejected", true, path, line->number, &line->rejected, error);
}

static RgStatus read_line(RgTextData *data, const char *text, size_t size, int number,
                          RgError *error) {
    json_error_t trouble;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &trouble);
    if (!object)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: invalid JSON at column %d: %s", data->path,
                       number, trouble.column, trouble.text);
    if (data->count == data->capacity) {
        data->capacity = data->capacity ? 2 * data->capacity : 256;
        data->lines = rg_reallocate(data->lines, (size_t)data->capacity, sizeof *data->lines);
    }
    RgTextLine *line = &data->lines[data->count++];
    *line = (RgTextLine){.number = number};
    RgStatus status = read_object(object, data->path, line, error);
    json_decref(object);
    return status;
}

static bool blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", text[i]) || text[i] == '\0')
            return false;
    return true;
}

static RgStatus read_lines(RgTextData *data, const char *content, size_t size, RgError *error) {
    const char *end = content + size;
    int number = 1;
    for (const char *line = content; line < end; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline ? newline : end;
        if (!blank(line, (size_t)(line_end - line)))
            RG_TRY(read_line(data, line, (size_t)(line_end - line), number, error));
        line = line_end + 1;
    }
    if (data->count == 0)
        return rg_fail(error, RG_E_FORMAT, "%s: no lines, expected at least one", data->path);
    return RG_OK;
}

RgStatus rg_text_data_read(const char *path, RgTextData **data, RgError *error) {
    *data = NULL;
    char *content = NULL;
    size_t size = 0;
    RG_TRY(rg_file_read(path, &content, &size, error));
    RgTextData *new = rg_allocate(sizeof *new);
    new->path = rg_string_copy(path);
    RgStatus status = read_lines(new, content, size, error);
    free(content);
    if (status == RG_OK)
        *data = new;
    else
        rg_text_data_destroy(new);
    return status;
}

/* ---- sequences ---- */

/* Tokens of the whole sequence; how many of them are the prompt. */
static int64_t lay_out(const RgTokenizer *tokenizer, const char *prompt, const char *response,
                       RgTokens *tokens) {
    rg_tokens_append(tokens, rg_tokenizer_begin(tokenizer));
    rg_tokenizer_encode(tokenizer, prompt, strlen(prompt), tokens);
    rg_tokenizer_encode(tokenizer, "\n", 1, tokens);
    int64_t prompt_length = tokens->count;
    if (response) {
        rg_tokenizer_encode(tokenizer, response, strlen(response), tokens);
        rg_tokens_append(tokens, rg_tokenizer_end(tokenizer));
    }
    return prompt_length;
}

void rg_text_append(RgSequences *sequences, const RgTokenizer *tokenizer, const char *prompt,
                    const char *response) {
    RgTokens tokens = {0};
    int64_t prompt_length = lay_out(tokenizer, prompt, response, &tokens);
    rg_sequences_append(sequences, tokens.id, prompt_length, tokens.id + prompt_length,
                        tokens.count - prompt_length);
    rg_tokens_release(&tokens);
}

void rg_text_append_whole(RgSequences *sequences, const RgTokenizer *tokenizer, const char *prompt,
                          const char *response) {
    RgTokens tokens = {0};
    lay_out(tokenizer, prompt, response, &tokens);
    rg_sequences_append(sequences, tokens.id, 1, tokens.id + 1, tokens.count - 1);
    rg_tokens_release(&tokens);
}

char *rg_text_prompt(const RgTokenizer *tokenizer, const RgSequences *sequences, int64_t index) {
    char *text = rg_tokenizer_decode(tokenizer, rg_sequence_prompt(sequences, index),
                                     sequences->prompt_length[index]);
    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '\n')
        text[size - 1] = '\0';
    return text;
}

char *rg_text_response(const RgTokenizer *tokenizer, const RgSequences *sequences, int64_t index) {
    return rg_tokenizer_decode(tokenizer, rg_sequence_response(sequences, index),
                               rg_sequence_response_length(sequences, index));
}
