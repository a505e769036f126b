/* SPDX-License-Identifier: MIT */
/* Conversations as tokens by a model's own chat template. */
#include "envs/text_template.h"

#include "core/files.h"
#include "core/text/template.h"
#include "core/utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct RgTextTemplate {
    const RgTokenizer *tokenizer;
    RgTemplate *jinja;
    char *path;
    char *begin, *end_name; /* bos_token and eos_token; NULL: none */
    int32_t first;          /* of a prompt */
    int64_t least;          /* tokens of a prompt beside its last turn's content */
    int32_t end;            /* ends a response */
    char *lead;             /* before each response */
    size_t after;           /* bytes after a response, if no special token is among them */
};

/* ---- texts ---- */

/* {"role": …, "content": …}, in which special tokens are guarded. */
static json_t *message_of(const RgTokenizer *tokenizer, RgRole role, const char *text) {
    RgBuffer guarded = {0};
    rg_tokenizer_guard(tokenizer, text, strlen(text), &guarded);
    json_t *content = json_stringn_nocheck(guarded.size > 0 ? guarded.bytes : "", guarded.size);
    rg_buffer_release(&guarded);
    return json_pack("{s:s, s:o}", "role", rg_role_names[role], "content", content);
}

/* Appends the text of the conversation: with a response the whole, without one the prompt. */
static RgStatus fill_in(const RgTextTemplate *t, const RgTurn *turns, int64_t count,
                        const char *response, RgBuffer *text, RgError *error) {
    json_t *messages = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(messages, message_of(t->tokenizer, turns[i].role, turns[i].text));
    if (response)
        json_array_append_new(messages, message_of(t->tokenizer, RG_ASSISTANT, response));
    json_t *variables = json_pack("{s:o, s:b, s:n, s:n}", "messages", messages,
                                  "add_generation_prompt", response == NULL, "tools", "documents");
    if (t->begin)
        json_object_set_new(variables, "bos_token", json_string(t->begin));
    if (t->end_name)
        json_object_set_new(variables, "eos_token", json_string(t->end_name));
    RgStatus status = rg_template_render(t->jinja, variables, text, error);
    json_decref(variables);
    return status;
}

/* The whole must begin with the prompt: else there is no telling what the response is. */
static RgStatus check_prefix(const RgTextTemplate *t, const RgBuffer *prompt, const RgBuffer *whole,
                             RgError *error) {
    size_t same = 0;
    while (same < prompt->size && same < whole->size && prompt->bytes[same] == whole->bytes[same])
        same++;
    if (same == prompt->size)
        return RG_OK;
    size_t left = prompt->size - same, other = whole->size - same;
    return rg_fail(error, RG_E_FORMAT,
                   "%s: the prompt, with add_generation_prompt, is not the beginning of the whole "
                   "conversation: at byte %zu it has \"%.*s\", the whole \"%.*s\"",
                   t->path, same, (int)(left < 40 ? left : 40), prompt->bytes + same,
                   (int)(other < 40 ? other : 40), other > 0 ? whole->bytes + same : "");
}

/* ---- tokens ---- */

static void encode(const RgTextTemplate *t, const char *text, size_t size, RgTokens *tokens) {
    if (size > 0)
        rg_tokenizer_encode_guarded(t->tokenizer, text, size, tokens);
}

/* Appends the tokens of the text after the prompt. They are those of the whole text, unless a token
 * reaches over the prompt's end: then the text after it has its own. */
static void encode_response(const RgTextTemplate *t, const RgBuffer *whole, size_t prompt_size,
                            RgTokens *tokens, int64_t first) {
    RgTokens all = {0}, own = {0};
    int64_t prompt = tokens->count - first;
    encode(t, whole->bytes, whole->size, &all);
    bool apart = all.count < prompt || (prompt > 0 && memcmp(all.id, tokens->id + first,
                                                             (size_t)prompt * sizeof *all.id) != 0);
    if (apart)
        encode(t, whole->bytes + prompt_size, whole->size - prompt_size, &own);
    const RgTokens *from = apart ? &own : &all;
    int64_t at = apart ? 0 : prompt;
    while (at < from->count && from->id[at] != t->end)
        rg_tokens_append(tokens, from->id[at++]);
    rg_tokens_append(tokens, t->end);
    rg_tokens_release(&all);
    rg_tokens_release(&own);
}

static RgStatus refuse_empty(const RgTextTemplate *t, RgError *error) {
    return rg_fail(error, RG_E_FORMAT, "%s: the prompt is empty, expected at least one token",
                   t->path);
}

RgStatus rg_text_template_lay_out(const RgTextTemplate *t, const RgTurn *turns, int64_t count,
                                  const char *response, RgTokens *tokens, int64_t *prompt_length,
                                  RgError *error) {
    RgBuffer prompt = {0}, whole = {0};
    int64_t first = tokens->count;
    RgStatus status = fill_in(t, turns, count, NULL, &prompt, error);
    if (status == RG_OK && response) {
        status = fill_in(t, turns, count, response, &whole, error);
        if (status == RG_OK)
            status = check_prefix(t, &prompt, &whole, error);
    }
    if (status == RG_OK) {
        encode(t, prompt.bytes, prompt.size, tokens);
        *prompt_length = tokens->count - first;
        if (*prompt_length == 0)
            status = refuse_empty(t, error);
    }
    if (status == RG_OK && response) {
        whole.size -= whole.size - prompt.size < t->after ? 0 : t->after;
        encode_response(t, &whole, prompt.size, tokens, first);
    }
    rg_buffer_release(&prompt);
    rg_buffer_release(&whole);
    return status;
}

RgStatus rg_text_template_lay_out_whole(const RgTextTemplate *t, const RgTurn *turns, int64_t count,
                                        const char *response, RgTokens *tokens, RgError *error) {
    RgBuffer whole = {0};
    int64_t before = tokens->count;
    RgStatus status = fill_in(t, turns, count, response, &whole, error);
    if (status == RG_OK)
        encode(t, whole.bytes, whole.size, tokens);
    if (status == RG_OK && tokens->count == before)
        status = rg_fail(error, RG_E_FORMAT,
                         "%s: the conversation is empty, expected at least one "
                         "token",
                         t->path);
    rg_buffer_release(&whole);
    return status;
}

static size_t common_end(const RgBuffer *a, const RgBuffer *b) {
    size_t same = 0;
    while (same < a->size && same < b->size &&
           a->bytes[a->size - 1 - same] == b->bytes[b->size - 1 - same])
        same++;
    return same;
}

int64_t rg_text_template_tail(const RgTextTemplate *t, const RgTurn *turns, int64_t count) {
    char *const contents[] = {(char[]){"a"}, (char[]){"b"}};
    RgBuffer text[2] = {{0}};
    RgTokens tokens = {0};
    RgTurn *copy = rg_allocate((size_t)count + 1, sizeof *copy);
    bool filled = count > 0;
    for (int64_t i = 0; i < count; i++)
        copy[i] = turns[i];
    for (int k = 0; k < 2 && filled; k++) {
        copy[count - 1].text = contents[k];
        filled = fill_in(t, copy, count, NULL, &text[k], NULL) == RG_OK;
    }
    size_t same = filled ? common_end(&text[0], &text[1]) : 0;
    if (same > 0)
        encode(t, text[0].bytes + text[0].size - same, same, &tokens);
    int64_t tail = tokens.count;
    for (int k = 0; k < 2; k++)
        rg_buffer_release(&text[k]);
    rg_tokens_release(&tokens);
    free(copy);
    return tail;
}

/* ---- life ---- */

/* The template in a tokenizer_config.json. */
static RgStatus find_template(const char *path, json_t *root, const char **source, RgError *error) {
    json_t *value = json_object_get(root, "chat_template"), *element = NULL;
    size_t index = 0;
    *source = json_string_value(value);
    json_array_foreach(value, index, element) {
        const char *name = json_string_value(json_object_get(element, "name"));
        if (name && strcmp(name, "default") == 0)
            *source = json_string_value(json_object_get(element, "template"));
    }
    if (*source)
        return RG_OK;
    return rg_fail(error, RG_E_FORMAT,
                   "%s: chat_template is %s, expected a template, or a list with one named "
                   "\"default\"",
                   path,
                   !value                 ? "missing"
                   : json_is_array(value) ? "a list without that"
                                          : "neither");
}

static RgStatus parse_config(RgTextTemplate *t, const char *content, size_t size, RgError *error) {
    json_error_t fault = {0};
    const char *source = NULL;
    /* Their model_max_length may be 10³⁰. */
    json_t *root = json_loadb(content, size, JSON_DECODE_INT_AS_REAL, &fault);
    RgStatus status =
        root ? find_template(t->path, root, &source, error)
             : rg_fail(error, RG_E_FORMAT, "%s:%d: not JSON: %s", t->path, fault.line, fault.text);
    if (status == RG_OK && source) {
        char *of = rg_string_format("%s: chat_template", t->path);
        free(t->path);
        t->path = of;
        status = rg_template_create(t->path, source, strlen(source), &t->jinja, error);
    }
    json_decref(root);
    return status;
}

/* JSON has neither other bytes nor, in a string without an escape, a NUL. */
static RgStatus check_text(const RgTextTemplate *t, const char *text, size_t size, RgError *error) {
    int line = 1;
    for (size_t at = 0; at < size; at++) {
        uint32_t character;
        size_t length = rg_utf8_read(text + at, size - at, &character);
        if (length == 0 || text[at] == '\0')
            return rg_fail(error, RG_E_FORMAT, "%s:%d: %s, expected text in UTF-8", t->path, line,
                           length == 0 ? "bytes that are not UTF-8" : "a NUL character");
        line += text[at] == '\n';
        at += length - 1;
    }
    return RG_OK;
}

static RgStatus parse(RgTextTemplate *t, RgError *error) {
    char *content = NULL;
    size_t size = 0, length = strlen(t->path);
    bool json = length > 5 && strcmp(t->path + length - 5, ".json") == 0;
    RG_TRY(rg_file_read(t->path, &content, &size, error));
    RgStatus status =
        json ? parse_config(t, content, size, error) : check_text(t, content, size, error);
    if (status == RG_OK && !json)
        status = rg_template_create(t->path, content, size, &t->jinja, error);
    free(content);
    return status;
}

static char *name_of(const RgTokenizer *tokenizer, int32_t id) {
    return id < 0 ? NULL : rg_tokenizer_decode_marked(tokenizer, &id, 1, NULL);
}

static int32_t first_special(const RgTextTemplate *t, const char *text, size_t size) {
    RgTokens tokens = {0};
    int32_t found = -1;
    encode(t, text, size, &tokens);
    for (int64_t i = tokens.count - 1; i >= 0; i--)
        if (rg_tokenizer_is_special(t->tokenizer, tokens.id[i]))
            found = tokens.id[i];
    rg_tokens_release(&tokens);
    return found;
}

static RgStatus refuse_lost_response(const RgTextTemplate *t, RgError *error) {
    return rg_fail(error, RG_E_FORMAT,
                   "%s: tried with a question and two answers, which are not in the text of the "
                   "conversation",
                   t->path);
}

/* Learns from two answers to one question what stands before and after a response. */
static RgStatus learn_ends(RgTextTemplate *t, const RgBuffer *prompt, const RgBuffer answered[2],
                           RgError *error) {
    size_t same = prompt->size, end = common_end(&answered[0], &answered[1]);
    for (int k = 0; k < 2; k++)
        RG_TRY(check_prefix(t, prompt, &answered[k], error));
    while (same < answered[0].size && same < answered[1].size &&
           answered[0].bytes[same] == answered[1].bytes[same])
        same++;
    if (same + end >= answered[0].size)
        return refuse_lost_response(t, error);
    t->lead = rg_allocate(same - prompt->size + 1, 1);
    memcpy(t->lead, answered[0].bytes + prompt->size, same - prompt->size);
    int32_t before = first_special(t, t->lead, same - prompt->size);
    if (before >= 0) {
        char *name = name_of(t->tokenizer, before);
        RgStatus status = rg_fail(error, RG_E_FORMAT,
                                  "%s: %s comes before a response, expected it in the prompt, by "
                                  "add_generation_prompt",
                                  t->path, name);
        free(name);
        return status;
    }
    t->end = first_special(t, answered[0].bytes + answered[0].size - end, end);
    t->after = t->end < 0 ? end : 0;
    if (t->end < 0)
        t->end = rg_tokenizer_end(t->tokenizer);
    return t->end >= 0 ? RG_OK
                       : rg_fail(error, RG_E_FORMAT,
                                 "%s: no special token ends a response, and the tokenizer has no "
                                 "end token, expected one of them",
                                 t->path);
}

/* A llama2.c vocabulary has no tokens that are recognised in a text. */
static RgStatus check_tokenizer(const RgTextTemplate *t, RgError *error) {
    int32_t begin = rg_tokenizer_begin(t->tokenizer);
    return begin < 0 || first_special(t, t->begin, strlen(t->begin)) == begin
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT,
                         "%s: the tokenizer does not recognise %s in a text, expected one with "
                         "added tokens, from a tokenizer.json",
                         t->path, t->begin);
}

static RgStatus learn_first(RgTextTemplate *t, const RgBuffer *prompt, RgError *error) {
    RgTokens tokens = {0};
    encode(t, prompt->bytes, prompt->size, &tokens);
    RgStatus status = tokens.count > 0 ? RG_OK : refuse_empty(t, error);
    t->first = tokens.count > 0 ? tokens.id[0] : -1;
    t->least = tokens.count - 1; /* "a" is one token */
    rg_tokens_release(&tokens);
    return status;
}

/* Learns from a conversation of these turns. */
static RgStatus learn_from(RgTextTemplate *t, const RgTurn *turns, int64_t count, RgError *error) {
    static const char *const answers[] = {"b", "c"};
    RgBuffer prompt = {0}, answered[2] = {{0}};
    RgStatus status = fill_in(t, turns, count, NULL, &prompt, error);
    for (int k = 0; k < 2 && status == RG_OK; k++)
        status = fill_in(t, turns, count, answers[k], &answered[k], error);
    if (status == RG_OK)
        status = learn_first(t, &prompt, error);
    if (status == RG_OK)
        status = learn_ends(t, &prompt, answered, error);
    rg_buffer_release(&prompt);
    for (int k = 0; k < 2; k++)
        rg_buffer_release(&answered[k]);
    return status;
}

/* Whether two answers to one question make two conversations. */
static RgStatus try_whole(RgTextTemplate *t, const RgTurn *turns, int64_t count, RgError *error) {
    static const char *const answers[] = {"b", "c"};
    RgBuffer text[2] = {{0}};
    RgStatus status = RG_OK;
    for (int k = 0; k < 2 && status == RG_OK; k++)
        status = fill_in(t, turns, count, answers[k], &text[k], error);
    if (status == RG_OK && text[0].size == text[1].size &&
        common_end(&text[0], &text[1]) == text[0].size)
        status = refuse_lost_response(t, error);
    for (int k = 0; k < 2; k++)
        rg_buffer_release(&text[k]);
    return status;
}

typedef RgStatus Learning(RgTextTemplate *t, const RgTurn *turns, int64_t count, RgError *error);

/* Some templates require a system message. The error is that of the conversation without one. */
static RgStatus learn(RgTextTemplate *t, Learning *from, RgError *error) {
    const RgTurn turns[] = {{RG_SYSTEM, (char[]){"s"}}, {RG_USER, (char[]){"a"}}};
    RgError of_system = {0};
    RgStatus status = from(t, turns + 1, 1, error);
    if (status == RG_OK)
        return RG_OK;
    free(t->lead);
    t->lead = NULL;
    return from(t, turns, 2, &of_system) == RG_OK ? RG_OK : status;
}

static RgStatus create(const char *path, const RgTokenizer *tokenizer, Learning *from,
                       RgTextTemplate **template, RgError *error) {
    RgTextTemplate *new = rg_allocate(1, sizeof *new);
    *template = NULL;
    new->tokenizer = tokenizer;
    new->path = rg_string_copy(path);
    new->begin = name_of(tokenizer, rg_tokenizer_begin(tokenizer));
    new->end_name = name_of(tokenizer, rg_tokenizer_end(tokenizer));
    RgStatus status = parse(new, error);
    if (status == RG_OK)
        status = check_tokenizer(new, error);
    if (status == RG_OK)
        status = learn(new, from, error);
    if (status != RG_OK) {
        rg_text_template_destroy(new);
        return status;
    }
    *template = new;
    return RG_OK;
}

RgStatus rg_text_template_create(const char *path, const RgTokenizer *tokenizer,
                                 RgTextTemplate **template, RgError *error) {
    return create(path, tokenizer, learn_from, template, error);
}

RgStatus rg_text_template_create_whole(const char *path, const RgTokenizer *tokenizer,
                                       RgTextTemplate **template, RgError *error) {
    return create(path, tokenizer, try_whole, template, error);
}

void rg_text_template_destroy(RgTextTemplate *t) {
    if (!t)
        return;
    rg_template_destroy(t->jinja);
    free(t->lead);
    free(t->begin);
    free(t->end_name);
    free(t->path);
    free(t);
}

int32_t rg_text_template_first(const RgTextTemplate *t) {
    return t->first;
}

int64_t rg_text_template_least(const RgTextTemplate *t) {
    return t->least;
}

int32_t rg_text_template_end(const RgTextTemplate *t) {
    return t->end;
}

const char *rg_text_template_lead(const RgTextTemplate *t) {
    return t->lead;
}
