/* SPDX-License-Identifier: MIT */
/* Reading preferences in published formats. text.c uses them. */
#include "envs/text/text_data.h"

#include "core/text/lines.h"
#include "core/utf8.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rg_text_formats[] = {"auto", "plain", "hh", "pku", "ultrafeedback", "chat", NULL};
const char *const rg_text_preferences[] = {"better", "safer", NULL};
const char *const rg_text_useless[] = {"empty",  "same",    "ties",       "unscored",
                                       "parted", "refused", "unreadable", NULL};
const char *const rg_role_names[] = {
    [RG_SYSTEM] = "system", [RG_USER] = "user", [RG_ASSISTANT] = "assistant"};

int64_t rg_text_data_useless(const RgTextData *data) {
    int64_t all = 0;
    for (int k = 0; k < RG_TEXT_USELESS; k++)
        all += data->useless[k];
    return all;
}

/* ---- lines ---- */

static void release_line(RgTextLine *line) {
    for (int64_t i = 0; i < line->turn_count; i++)
        free(line->turns[i].text);
    free(line->turns);
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

RgTextData *rg_text_data_take(RgTextData *data, bool (*wanted)(const RgTextLine *, const void *),
                              const void *context) {
    RgTextData *taken = rg_allocate(1, sizeof *taken);
    taken->path = rg_string_copy(data->path);
    taken->lines = rg_allocate(data->count + 1, sizeof *taken->lines);
    taken->capacity = data->count + 1;
    int64_t left = 0;
    for (int64_t i = 0; i < data->count; i++)
        *(wanted(&data->lines[i], context) ? &taken->lines[taken->count++] : &data->lines[left++]) =
            data->lines[i];
    data->count = left;
    return taken;
}

/* Append a turn, which takes ownership of the text. */
static void add_turn(RgTextLine *line, RgRole role, char *text) {
    line->turns = rg_reallocate(line->turns, (size_t)line->turn_count + 1, sizeof *line->turns);
    line->turns[line->turn_count++] = (RgTurn){role, text};
}

/* ---- members ---- */

/* The line being read. */
typedef struct Reader {
    RgTextData *data;
    RgTextFormat format;
    RgTextPreference preference;
    int64_t line_limit; /* MiB */
    RgTextLine line;
    RgTextUseless useless; /* why the line is left out; RG_TEXT_USELESS: it is not */
} Reader;

static const char *kind_name(const json_t *value) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

/* "better_response_id" of the line, or "chosen[2].role". */
static RgStatus wrong_member(const Reader *r, const char *member, const json_t *value,
                             const char *expected, RgError *error) {
    if (!value)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is missing", r->data->path,
                       r->line.number, member);
    return rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is %s, expected %s", r->data->path,
                   r->line.number, member, kind_name(value), expected);
}

static RgStatus string_member(const Reader *r, const json_t *object, const char *key,
                              const char **text, RgError *error) {
    const json_t *value = json_object_get(object, key);
    *text = "";
    if (!json_is_string(value))
        return wrong_member(r, key, value, "a string", error);
    *text = json_string_value(value);
    return RG_OK;
}

static const char white[] = " \t\r\n";

static bool is_blank(const char *text) {
    return text[strspn(text, white)] == '\0';
}

/* Copy of the text without surrounding white space. */
static char *trimmed(const char *text, size_t size) {
    while (size > 0 && strchr(white, text[size - 1]))
        size--;
    while (size > 0 && strchr(white, *text))
        text++, size--;
    char *copy = rg_allocate(size + 1, 1);
    memcpy(copy, text, size);
    return copy;
}

static void take_responses(Reader *r, const char *chosen, const char *rejected) {
    if (is_blank(chosen) || is_blank(rejected))
        r->useless = RG_TEXT_USELESS_EMPTY;
    else if (strcmp(chosen, rejected) == 0)
        r->useless = RG_TEXT_USELESS_SAME;
    r->line.chosen = rg_string_copy(chosen);
    r->line.rejected = rg_string_copy(rejected);
}

/* ---- formats ---- */

static RgStatus read_plain(Reader *r, const json_t *object, RgError *error) {
    static const char *const keys[] = {"chosen", "rejected"};
    const char *text[2], *prompt;
    RG_TRY(string_member(r, object, "prompt", &prompt, error));
    for (int k = 0; k < 2; k++)
        RG_TRY(string_member(r, object, keys[k], &text[k], error));
    add_turn(&r->line, RG_USER, rg_string_copy(prompt));
    take_responses(r, text[0], text[1]);
    return RG_OK;
}

static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";

/* The transcript up to the last answer, as turns. */
static void split_transcript(RgTextLine *line, const char *text, const char *end) {
    while (text < end) {
        bool answers = strncmp(text, assistant, strlen(assistant)) == 0;
        text += answers ? strlen(assistant) : strlen(human);
        const char *next = text;
        while (next < end && strncmp(next, human, strlen(human)) != 0 &&
               strncmp(next, assistant, strlen(assistant)) != 0)
            next++;
        add_turn(line, answers ? RG_ASSISTANT : RG_USER, trimmed(text, (size_t)(next - text)));
        text = next;
    }
}

static RgStatus read_hh(Reader *r, const json_t *object, RgError *error) {
    static const char *const keys[] = {"chosen", "rejected"};
    const char *text[2];
    for (int k = 0; k < 2; k++) {
        RG_TRY(string_member(r, object, keys[k], &text[k], error));
        if (strncmp(text[k], human, strlen(human)) != 0)
            return rg_fail(error, RG_E_FORMAT,
                           "%s:%d: \"%s\" begins with something else, expected \"\\n\\nHuman:\"",
                           r->data->path, r->line.number, keys[k]);
    }
    size_t common = 0, answer = 0;
    while (text[0][common] && text[0][common] == text[1][common])
        common++;
    for (size_t at = 0; at + strlen(assistant) <= common; at++)
        if (strncmp(text[0] + at, assistant, strlen(assistant)) == 0)
            answer = at;
    const char *rest[2] = {text[0] + answer + strlen(assistant),
                           text[1] + answer + strlen(assistant)};
    if (answer == 0 || strstr(rest[0], human) || strstr(rest[1], human)) {
        r->useless = RG_TEXT_USELESS_PARTED;
        return RG_OK;
    }
    split_transcript(&r->line, text[0], text[0] + answer);
    char *chosen = trimmed(rest[0], strlen(rest[0])), *rejected = trimmed(rest[1], strlen(rest[1]));
    take_responses(r, chosen, rejected);
    free(chosen);
    free(rejected);
    return RG_OK;
}

static RgStatus read_pku(Reader *r, const json_t *object, RgError *error) {
    static const char *const labels[] = {"better_response_id", "safer_response_id"};
    const char *prompt, *response[2], *label = labels[r->preference];
    RG_TRY(string_member(r, object, "prompt", &prompt, error));
    RG_TRY(string_member(r, object, "response_0", &response[0], error));
    RG_TRY(string_member(r, object, "response_1", &response[1], error));
    const json_t *value = json_object_get(object, label);
    if (!json_is_integer(value))
        return wrong_member(r, label, value, "0 or 1", error);
    json_int_t better = json_integer_value(value);
    if (better != 0 && better != 1)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is %lld, expected 0 or 1", r->data->path,
                       r->line.number, label, (long long)better);
    add_turn(&r->line, RG_USER, rg_string_copy(prompt));
    take_responses(r, response[better], response[1 - better]);
    return RG_OK;
}

/* The best and the worst of four, by overall score; the first of equals. */
static RgStatus read_ultrafeedback(Reader *r, const json_t *object, RgError *error) {
    const char *prompt, *text[2] = {"", ""};
    double score[2] = {-INFINITY, INFINITY};
    const json_t *list = json_object_get(object, "completions"), *completion;
    size_t i;
    RG_TRY(string_member(r, object, "instruction", &prompt, error));
    if (!json_is_array(list) || json_array_size(list) < 2)
        return wrong_member(r, "completions", list, "an array of at least two", error);
    json_array_foreach((json_t *)list, i, completion) {
        const char *response;
        RG_TRY(string_member(r, completion, "response", &response, error));
        const json_t *value = json_object_get(completion, "overall_score");
        if (json_is_null(value)) {
            r->useless = RG_TEXT_USELESS_UNSCORED;
            return RG_OK;
        }
        if (!json_is_number(value))
            return wrong_member(r, "overall_score", value, "a number", error);
        double here = json_number_value(value);
        if (here > score[0])
            score[0] = here, text[0] = response;
        if (here < score[1])
            score[1] = here, text[1] = response;
    }
    add_turn(&r->line, RG_USER, rg_string_copy(prompt));
    take_responses(r, text[0], text[1]);
    if (score[0] == score[1])
        r->useless = RG_TEXT_USELESS_TIES;
    return RG_OK;
}

/* Message `index` of "chosen" or "rejected". The last one is the response; its role may have other
 * names ("model", "gpt"). */
static RgStatus read_message(const Reader *r, const char *key, const json_t *list, size_t index,
                             RgRole *role, const char **text, RgError *error) {
    const json_t *message = json_array_get(list, index), *name = json_object_get(message, "role");
    if (!json_is_string(name) || !json_is_string(json_object_get(message, "content")))
        return rg_fail(
            error, RG_E_FORMAT,
            "%s:%d: \"%s\"[%zu] is not a message, expected strings \"role\" and \"content\"",
            r->data->path, r->line.number, key, index);
    bool last = index + 1 == json_array_size(list);
    *text = json_string_value(json_object_get(message, "content"));
    for (*role = RG_SYSTEM; *role <= RG_ASSISTANT; (*role)++)
        if (strcmp(rg_role_names[*role], json_string_value(name)) == 0)
            return RG_OK;
    *role = RG_ASSISTANT;
    if (last)
        return RG_OK;
    return rg_fail(error, RG_E_FORMAT,
                   "%s:%d: \"%s\"[%zu]: role \"%s\", expected system, user or assistant",
                   r->data->path, r->line.number, key, index, json_string_value(name));
}

static const char *const sides[] = {"chosen", "rejected"};

/* Both conversations; their turns before the response must be equal. */
static RgStatus read_conversations(Reader *r, json_t *const list[2], RgError *error) {
    const char *text[2] = {"", ""};
    RgRole role[2] = {RG_USER, RG_USER};
    size_t turns = json_array_size(list[0]) - 1;
    bool parted = json_array_size(list[1]) != turns + 1;
    for (size_t i = 0; i <= turns && !parted; i++) {
        for (int k = 0; k < 2; k++)
            RG_TRY(read_message(r, sides[k], list[k], i, &role[k], &text[k], error));
        parted = i < turns && (role[0] != role[1] || strcmp(text[0], text[1]) != 0);
        if (i < turns)
            add_turn(&r->line, role[0], rg_string_copy(text[0]));
    }
    if (parted) {
        r->useless = RG_TEXT_USELESS_PARTED;
        return RG_OK;
    }
    if (role[0] != RG_ASSISTANT || role[1] != RG_ASSISTANT)
        return rg_fail(error, RG_E_FORMAT,
                       "%s:%d: the last message is not the assistant's, expected a response",
                       r->data->path, r->line.number);
    take_responses(r, text[0], text[1]);
    return RG_OK;
}

/* The messages of "chosen" or "rejected", preceded by those of "prompt" unless they begin with
 * them: a new reference, or NULL if they are not a list. */
static json_t *whole_conversation(const json_t *object, const char *side) {
    json_t *prompt = json_object_get(object, "prompt"), *list = json_object_get(object, side);
    if (!json_is_array(list) || !json_is_array(prompt) ||
        json_equal(json_array_get(list, 0), json_array_get(prompt, 0)))
        return json_is_array(list) ? json_incref(list) : NULL;
    json_t *whole = json_copy(prompt);
    json_array_extend(whole, list);
    return whole;
}

static RgStatus read_chat(Reader *r, const json_t *object, RgError *error) {
    json_t *list[2] = {whole_conversation(object, sides[0]), whole_conversation(object, sides[1])};
    RgStatus status = RG_OK;
    for (int k = 0; k < 2 && status == RG_OK; k++)
        if (json_array_size(list[k]) < 2)
            status = wrong_member(r, sides[k], json_object_get(object, sides[k]),
                                  "a list of at least two messages", error);
    if (status == RG_OK)
        status = read_conversations(r, list, error);
    json_decref(list[0]);
    json_decref(list[1]);
    return status;
}

static RgStatus (*const readers[])(Reader *r, const json_t *object, RgError *error) = {
    [RG_TEXT_PLAIN] = read_plain, [RG_TEXT_HH] = read_hh,
    [RG_TEXT_PKU] = read_pku,     [RG_TEXT_ULTRAFEEDBACK] = read_ultrafeedback,
    [RG_TEXT_CHAT] = read_chat,
};

/* The format with the members of this line. A line that fits no format is read as plain, so that
 * errors name the missing member. */
static RgTextFormat recognise(const json_t *object) {
    if (json_object_get(object, "completions"))
        return RG_TEXT_ULTRAFEEDBACK;
    if (json_object_get(object, "response_0"))
        return RG_TEXT_PKU;
    if (json_is_array(json_object_get(object, "chosen")))
        return RG_TEXT_CHAT;
    if (json_object_get(object, "prompt") || !json_object_get(object, "chosen"))
        return RG_TEXT_PLAIN;
    const char *chosen = json_string_value(json_object_get(object, "chosen"));
    return chosen && strncmp(chosen, human, strlen(human)) == 0 ? RG_TEXT_HH : RG_TEXT_PLAIN;
}

/* ---- files ---- */

static RgStatus read_object(Reader *r, const json_t *object, RgError *error) {
    if (!json_is_object(object))
        return rg_fail(error, RG_E_FORMAT, "%s:%d: the line is %s, expected an object",
                       r->data->path, r->line.number, kind_name(object));
    if (r->format == RG_TEXT_AUTO)
        r->format = recognise(object);
    return readers[r->format](r, object, error);
}

/* Read the line from its JSON; keep it, or count why it is unusable. */
static RgStatus take_object(Reader *r, const json_t *object, RgError *error) {
    RgTextData *data = r->data;
    r->useless = RG_TEXT_USELESS;
    RgStatus status = read_object(r, object, error);
    if (status == RG_OK && r->useless != RG_TEXT_USELESS)
        data->useless[r->useless]++;
    if (status != RG_OK || r->useless != RG_TEXT_USELESS) {
        release_line(&r->line);
        return status;
    }
    if (data->count == data->capacity) {
        data->capacity = data->capacity ? 2 * data->capacity : 256;
        data->lines = rg_reallocate(data->lines, (size_t)data->capacity, sizeof *data->lines);
    }
    data->lines[data->count++] = r->line;
    return RG_OK;
}

/* JSON whose text cannot be stored, or whose meaning is ambiguous. Other programs accept such a
 * line, so it is skipped like other unusable lines. */
static bool is_unreadable(const json_error_t *trouble) {
    static const char surrogate[] = "invalid Unicode";
    enum json_error_code code = json_error_code(trouble);
    return code == json_error_null_character || code == json_error_duplicate_key ||
           code == json_error_null_byte_in_key ||
           strncmp(trouble->text, surrogate, strlen(surrogate)) == 0;
}

/* All lines in one array; elements are numbered like lines. */
static RgStatus take_array(Reader *r, const json_t *array, RgError *error) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        r->line = (RgTextLine){.number = (int)i + 1};
        RG_TRY(take_object(r, json_array_get(array, i), error));
    }
    return RG_OK;
}

static RgStatus read_line(Reader *r, const char *text, size_t size, RgError *error) {
    json_error_t trouble;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &trouble);
    if (!object && is_unreadable(&trouble)) {
        r->data->useless[RG_TEXT_USELESS_UNREADABLE]++;
        return RG_OK;
    }
    if (!object)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: invalid JSON at column %d: %s", r->data->path,
                       r->line.number, trouble.column, trouble.text);
    RgStatus status = take_object(r, object, error);
    json_decref(object);
    return status;
}

/* A file that begins with '[': its lines are the elements of one array. */
static RgStatus read_array(Reader *r, RgLines *lines, const char *text, size_t size,
                           RgError *error) {
    RgBuffer all = {0};
    json_error_t trouble = {0};
    RgStatus status = RG_OK;
    while (text && status == RG_OK) {
        rg_buffer_append(&all, text, size);
        rg_buffer_append(&all, "\n", 1);
        if (all.size > (size_t)r->line_limit << 20)
            status = rg_fail(error, RG_E_RANGE, "%s: the array is longer than %lld MiB",
                             r->data->path, (long long)r->line_limit);
        else
            status = rg_lines_next(lines, &text, &size, error);
    }
    json_t *array =
        status == RG_OK ? json_loadb(all.bytes, all.size, JSON_REJECT_DUPLICATES, &trouble) : NULL;
    rg_buffer_release(&all);
    if (status == RG_OK)
        status = array ? take_array(r, array, error)
                       : rg_fail(error, RG_E_FORMAT, "%s:%d: invalid JSON at column %d: %s",
                                 r->data->path, trouble.line, trouble.column, trouble.text);
    json_decref(array);
    return status;
}

static bool blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", text[i]) || text[i] == '\0')
            return false;
    return true;
}

static RgStatus read_lines(Reader *r, RgLines *lines, RgError *error) {
    RgTextData *data = r->data;
    const char *text;
    size_t size;
    for (bool first = true;;) {
        RG_TRY(rg_lines_next(lines, &text, &size, error));
        if (!text)
            break;
        r->line = (RgTextLine){.number = (int)rg_lines_number(lines)};
        if (blank(text, size))
            continue;
        if (first && text[strspn(text, white)] == '[') {
            RG_TRY(read_array(r, lines, text, size, error));
            break;
        }
        first = false;
        RG_TRY(read_line(r, text, size, error));
    }
    if (data->count == 0 && rg_text_data_useless(data) > 0)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: none of %lld lines has a pair to learn from: %lld have an empty "
                       "response, %lld the same response twice, %lld equal scores, %lld no score, "
                       "%lld conversations that diverge early, %lld a text that cannot be stored",
                       data->path, (long long)rg_text_data_useless(data),
                       (long long)data->useless[RG_TEXT_USELESS_EMPTY],
                       (long long)data->useless[RG_TEXT_USELESS_SAME],
                       (long long)data->useless[RG_TEXT_USELESS_TIES],
                       (long long)data->useless[RG_TEXT_USELESS_UNSCORED],
                       (long long)data->useless[RG_TEXT_USELESS_PARTED],
                       (long long)data->useless[RG_TEXT_USELESS_UNREADABLE]);
    if (data->count == 0)
        return rg_fail(error, RG_E_FORMAT, "%s: no lines, expected at least one", data->path);
    return RG_OK;
}

RgStatus rg_text_data_read(const char *path, RgTextFormat format, RgTextPreference preference,
                           int64_t line_limit, RgTextData **data, RgError *error) {
    *data = NULL;
    RgLines *lines;
    RG_TRY(rg_lines_open(path, &lines, error));
    rg_lines_limit(lines, line_limit);
    Reader reader = {.data = rg_allocate(1, sizeof *reader.data),
                     .format = format,
                     .preference = preference,
                     .line_limit = line_limit};
    reader.data->path = rg_string_copy(path);
    const char *before = rg_memory_for(path);
    RgStatus status = read_lines(&reader, lines, error);
    rg_memory_for(before);
    rg_lines_close(lines);
    if (status == RG_OK)
        *data = reader.data;
    else
        rg_text_data_destroy(reader.data);
    return status;
}
