/* SPDX-License-Identifier: MIT */
/* Reading one line of preferences in each of the published formats. */
#include "envs/text/text_formats.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rg_text_formats[] = {"auto",          "plain", "hh",       "pku",
                                       "ultrafeedback", "chat",  "unpaired", NULL};
const char *const rg_text_preferences[] = {"better", "safer", NULL};
static const char *const column_names[] = {
    [RG_TEXT_PROMPT] = "prompt",     [RG_TEXT_CHOSEN] = "chosen",
    [RG_TEXT_REJECTED] = "rejected", [RG_TEXT_COMPLETION] = "completion",
    [RG_TEXT_LABEL] = "label",       [RG_TEXT_CHOSEN_SCORE] = "", /* none */
    [RG_TEXT_REJECTED_SCORE] = "",
};

static const char *name_of(const RgTextReading *reading, RgTextColumn column) {
    return reading->column[column] ? reading->column[column] : column_names[column];
}

bool rg_text_renames(const RgTextReading *reading) {
    bool renames = false;
    for (int k = 0; k < RG_TEXT_COLUMNS; k++)
        renames = renames || strcmp(name_of(reading, (RgTextColumn)k), column_names[k]) != 0;
    return renames;
}

bool rg_text_leave_out(RgTextReader *r, RgTextReason reason, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->why, sizeof r->why, format, arguments);
    va_end(arguments);
    r->reason = reason;
    return false;
}

/* ---- lines ---- */

void rg_text_line_release(RgTextLine *line) {
    for (int64_t i = 0; i < line->turn_count; i++)
        free(line->turns[i].text);
    free(line->turns);
    free(line->chosen);
    free(line->rejected);
}

/* Append a turn, which takes ownership of the text. */
static void add_turn(RgTextLine *line, RgRole role, char *text) {
    line->turns = rg_reallocate(line->turns, (size_t)line->turn_count + 1, sizeof *line->turns);
    line->turns[line->turn_count++] = (RgTurn){role, text};
}

/* ---- members ---- */

static const char *kind_name(const json_t *value) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

static bool wrong_member(RgTextReader *r, const char *member, const json_t *value,
                         const char *expected) {
    if (!value)
        return rg_text_leave_out(r, RG_TEXT_MISFIT, "\"%s\" is missing", member);
    return rg_text_leave_out(r, RG_TEXT_MISFIT, "\"%s\" is %s, expected %s", member,
                             kind_name(value), expected);
}

static json_t *member(const RgTextReader *r, const json_t *object, RgTextColumn column) {
    return json_object_get(object, name_of(r->reading, column));
}

static bool string_member(RgTextReader *r, const json_t *object, const char *key,
                          const char **text) {
    const json_t *value = json_object_get(object, key);
    *text = json_string_value(value);
    return *text || wrong_member(r, key, value, "a string");
}

static const char white[] = " \t\r\n";

/* A string with a text in it. */
static bool response_member(RgTextReader *r, const json_t *object, const char *key,
                            const char **text) {
    if (json_is_null(json_object_get(object, key)))
        return rg_text_leave_out(r, RG_TEXT_EMPTY, "\"%s\" is null", key);
    return string_member(r, object, key, text);
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

static bool has_text(RgTextReader *r, const char *response) {
    return response[strspn(response, white)] != '\0' ||
           rg_text_leave_out(r, RG_TEXT_EMPTY, "a response is blank");
}

static bool take_responses(RgTextReader *r, const char *chosen, const char *rejected) {
    if (!has_text(r, chosen) || !has_text(r, rejected))
        return false;
    if (strcmp(chosen, rejected) == 0)
        return rg_text_leave_out(r, RG_TEXT_SAME, "both responses are the same");
    r->line.chosen = rg_string_copy(chosen);
    r->line.rejected = rg_string_copy(rejected);
    return true;
}

/* Scores of both responses, if they are wanted: a tie prefers neither. */
static bool scores_differ(RgTextReader *r, const json_t *object) {
    double score[2] = {0, 1};
    for (int k = 0; k < 2; k++) {
        const char *key = name_of(r->reading, k ? RG_TEXT_REJECTED_SCORE : RG_TEXT_CHOSEN_SCORE);
        const json_t *value = json_object_get(object, key);
        if (key[0] == '\0')
            return true;
        if (json_is_null(value))
            return rg_text_leave_out(r, RG_TEXT_UNSCORED, "\"%s\" is null", key);
        if (!json_is_number(value))
            return wrong_member(r, key, value, "a number");
        score[k] = json_number_value(value);
    }
    return score[0] != score[1] ||
           rg_text_leave_out(r, RG_TEXT_TIES, "both scores are %g", score[0]);
}

/* ---- plain ---- */

static bool read_plain(RgTextReader *r, const json_t *object) {
    const char *text[2] = {"", ""}, *prompt = "";
    if (!string_member(r, object, name_of(r->reading, RG_TEXT_PROMPT), &prompt) ||
        !response_member(r, object, name_of(r->reading, RG_TEXT_CHOSEN), &text[0]) ||
        !response_member(r, object, name_of(r->reading, RG_TEXT_REJECTED), &text[1]))
        return false;
    add_turn(&r->line, RG_USER, rg_string_copy(prompt));
    return take_responses(r, text[0], text[1]) && scores_differ(r, object);
}

/* ---- transcripts ---- */

static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";

static bool begins(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* The transcript up to the last answer, as turns. */
static void split_transcript(RgTextLine *line, const char *text, const char *end) {
    while (text < end) {
        bool answers = begins(text, assistant);
        text += answers ? strlen(assistant) : strlen(human);
        const char *next = text;
        while (next < end && !begins(next, human) && !begins(next, assistant))
            next++;
        add_turn(line, answers ? RG_ASSISTANT : RG_USER, trimmed(text, (size_t)(next - text)));
        text = next;
    }
}

static bool read_hh(RgTextReader *r, const json_t *object) {
    const char *text[2] = {"", ""};
    for (int k = 0; k < 2; k++) {
        const char *key = name_of(r->reading, k ? RG_TEXT_REJECTED : RG_TEXT_CHOSEN);
        if (!response_member(r, object, key, &text[k]))
            return false;
        if (!begins(text[k], human))
            return rg_text_leave_out(r, RG_TEXT_MISFIT,
                                     "\"%s\" begins with something else, expected \"\\n\\nHuman:\"",
                                     key);
    }
    size_t common = 0, answer = 0;
    while (text[0][common] && text[0][common] == text[1][common])
        common++;
    for (size_t at = 0; at + strlen(assistant) <= common; at++)
        if (begins(text[0] + at, assistant))
            answer = at;
    const char *rest[2] = {text[0] + answer + strlen(assistant),
                           text[1] + answer + strlen(assistant)};
    if (answer == 0 || strstr(rest[0], human) || strstr(rest[1], human))
        return rg_text_leave_out(r, RG_TEXT_PARTED,
                                 "the transcripts differ before the last answer");
    split_transcript(&r->line, text[0], text[0] + answer);
    char *chosen = trimmed(rest[0], strlen(rest[0])), *rejected = trimmed(rest[1], strlen(rest[1]));
    bool taken = take_responses(r, chosen, rejected);
    free(chosen);
    free(rejected);
    return taken;
}

/* ---- PKU-SafeRLHF ---- */

static bool read_pku(RgTextReader *r, const json_t *object) {
    static const char *const labels[] = {"better_response_id", "safer_response_id"};
    const char *prompt = "", *response[2] = {"", ""}, *label = labels[r->reading->preference];
    if (!string_member(r, object, "prompt", &prompt) ||
        !response_member(r, object, "response_0", &response[0]) ||
        !response_member(r, object, "response_1", &response[1]))
        return false;
    const json_t *value = json_object_get(object, label);
    if (json_is_null(value))
        return rg_text_leave_out(r, RG_TEXT_UNSCORED, "\"%s\" is null", label);
    if (!json_is_number(value))
        return wrong_member(r, label, value, "0 or 1");
    double number = json_number_value(value);
    if (number != 0 && number != 1)
        return rg_text_leave_out(r, RG_TEXT_MISFIT, "\"%s\" is %g, expected 0 or 1", label, number);
    int better = number == 1;
    add_turn(&r->line, RG_USER, rg_string_copy(prompt));
    return take_responses(r, response[better], response[1 - better]);
}

/* ---- UltraFeedback ---- */

/* The best and the worst of all, by overall score; the first of equals. */
static bool read_ultrafeedback(RgTextReader *r, const json_t *object) {
    const char *prompt = "", *text[2] = {"", ""};
    double score[2] = {-INFINITY, INFINITY};
    const json_t *list = json_object_get(object, "completions"), *completion;
    size_t i;
    if (!string_member(r, object, "instruction", &prompt))
        return false;
    if (!json_is_array(list) || json_array_size(list) < 2)
        return wrong_member(r, "completions", list, "an array of at least two");
    json_array_foreach((json_t *)list, i, completion) {
        const char *response = "";
        if (!response_member(r, completion, "response", &response))
            return false;
        const json_t *value = json_object_get(completion, "overall_score");
        if (json_is_null(value))
            return rg_text_leave_out(r, RG_TEXT_UNSCORED, "an \"overall_score\" is null");
        if (!json_is_number(value))
            return wrong_member(r, "overall_score", value, "a number");
        double here = json_number_value(value);
        if (here > score[0])
            score[0] = here, text[0] = response;
        if (here < score[1])
            score[1] = here, text[1] = response;
    }
    if (score[0] == score[1])
        return rg_text_leave_out(r, RG_TEXT_TIES, "all scores are %g", score[0]);
    add_turn(&r->line, RG_USER, rg_string_copy(prompt));
    return take_responses(r, text[0], text[1]);
}

/* ---- messages ---- */

/* Message `index` of the list in member `key`. The last one, if it is a response, may have a role of
 * another name ("model", "gpt"). */
static bool read_message(RgTextReader *r, const char *key, const json_t *list, size_t index,
                         RgRole *role, const char **text) {
    const json_t *message = json_array_get(list, index), *name = json_object_get(message, "role");
    const json_t *content = json_object_get(message, "content");
    bool responds = index + 1 == json_array_size(list);
    if (responds && json_is_string(name) && json_is_null(content))
        return rg_text_leave_out(r, RG_TEXT_EMPTY, "\"%s\"[%zu]: the content is null", key, index);
    if (!json_is_string(name) || !json_is_string(content))
        return rg_text_leave_out(
            r, RG_TEXT_MISFIT,
            "\"%s\"[%zu] is not a message, expected strings \"role\" and \"content\"", key, index);
    *text = json_string_value(content);
    *role = RG_ASSISTANT;
    return rg_role_named(json_string_value(name), role) || responds ||
           rg_text_leave_out(r, RG_TEXT_MISFIT,
                             "\"%s\"[%zu]: role \"%.30s\", expected system, user or "
                             "assistant",
                             key, index, json_string_value(name));
}

/* The messages of a conversation before its response, and that. */
static bool read_conversation(RgTextReader *r, const char *key, const json_t *list,
                              const char **response) {
    RgRole role = RG_USER;
    size_t last = json_array_size(list) - 1;
    for (size_t i = 0; i <= last; i++) {
        if (!read_message(r, key, list, i, &role, response))
            return false;
        if (i < last)
            add_turn(&r->line, role, rg_string_copy(*response));
    }
    return role == RG_ASSISTANT ||
           rg_text_leave_out(r, RG_TEXT_MISFIT,
                             "\"%s\": the last message is not the assistant's, expected a response",
                             key);
}

/* Whether the messages before the last are the turns of the line. */
static bool has_same_turns(RgTextReader *r, const char *key, const json_t *list) {
    bool same = json_array_size(list) == (size_t)r->line.turn_count + 1;
    for (int64_t i = 0; i < r->line.turn_count && same; i++) {
        RgRole role = RG_USER;
        const char *text = "";
        if (!read_message(r, key, list, (size_t)i, &role, &text))
            return false;
        same = role == r->line.turns[i].role && strcmp(text, r->line.turns[i].text) == 0;
    }
    return same ||
           rg_text_leave_out(r, RG_TEXT_PARTED, "the conversations differ before the response");
}

/* The messages of `side`, preceded by those of the prompt unless they begin with them: a new
 * reference, or NULL if they are not a list. */
static json_t *whole_conversation(const RgTextReader *r, const json_t *object, RgTextColumn side) {
    json_t *prompt = member(r, object, RG_TEXT_PROMPT), *list = member(r, object, side);
    if (!json_is_array(list) || !json_is_array(prompt) ||
        json_equal(json_array_get(list, 0), json_array_get(prompt, 0)))
        return json_is_array(list) ? json_incref(list) : NULL;
    json_t *whole = json_copy(prompt);
    json_array_extend(whole, list);
    return whole;
}

/* Both conversations; their turns before the response must be equal. */
static bool read_conversations(RgTextReader *r, json_t *const list[2]) {
    const char *key[] = {name_of(r->reading, RG_TEXT_CHOSEN),
                         name_of(r->reading, RG_TEXT_REJECTED)};
    const char *text[2] = {"", ""};
    RgRole role = RG_USER;
    if (!read_conversation(r, key[0], list[0], &text[0]) || !has_same_turns(r, key[1], list[1]) ||
        !read_message(r, key[1], list[1], json_array_size(list[1]) - 1, &role, &text[1]))
        return false;
    if (role != RG_ASSISTANT)
        return rg_text_leave_out(r, RG_TEXT_MISFIT,
                                 "\"%s\": the last message is not the assistant's, expected a "
                                 "response",
                                 key[1]);
    return take_responses(r, text[0], text[1]);
}

static bool read_chat(RgTextReader *r, const json_t *object) {
    json_t *list[2];
    bool good = true;
    for (int k = 0; k < 2; k++) {
        RgTextColumn side = k ? RG_TEXT_REJECTED : RG_TEXT_CHOSEN;
        list[k] = whole_conversation(r, object, side);
        if (good && json_array_size(list[k]) < 2)
            good = wrong_member(r, name_of(r->reading, side), member(r, object, side),
                                "a list of at least two messages");
    }
    good = good && read_conversations(r, list) && scores_differ(r, object);
    json_decref(list[0]);
    json_decref(list[1]);
    return good;
}

/* ---- unpaired ---- */

/* "label": true, false, 1 or 0. */
static bool read_label(RgTextReader *r, const json_t *object, bool *desirable) {
    const char *key = name_of(r->reading, RG_TEXT_LABEL);
    const json_t *value = json_object_get(object, key);
    double number = json_number_value(value);
    *desirable = json_is_true(value) || number == 1;
    if (json_is_null(value))
        return rg_text_leave_out(r, RG_TEXT_UNSCORED, "\"%s\" is null", key);
    return json_is_boolean(value) || (json_is_number(value) && (number == 0 || number == 1)) ||
           wrong_member(r, key, value, "true or false");
}

/* The completion as a string, after a prompt that is one, too. */
static bool read_completion(RgTextReader *r, const json_t *object, const char **response) {
    const char *prompt = "";
    if (!string_member(r, object, name_of(r->reading, RG_TEXT_PROMPT), &prompt) ||
        !response_member(r, object, name_of(r->reading, RG_TEXT_COMPLETION), response))
        return false;
    add_turn(&r->line, RG_USER, rg_string_copy(prompt));
    return true;
}

static bool read_unpaired(RgTextReader *r, const json_t *object) {
    const char *key = name_of(r->reading, RG_TEXT_COMPLETION), *response = "";
    bool desirable, good;
    if (!read_label(r, object, &desirable))
        return false;
    json_t *list = whole_conversation(r, object, RG_TEXT_COMPLETION);
    if (!list)
        good = read_completion(r, object, &response);
    else if (json_array_size(list) < 2)
        good = wrong_member(r, key, list, "a list of at least two messages with the prompt's");
    else
        good = read_conversation(r, key, list, &response);
    good = good && has_text(r, response);
    if (good)
        *(desirable ? &r->line.chosen : &r->line.rejected) = rg_string_copy(response);
    json_decref(list);
    return good;
}

/* ---- all ---- */

/* The format with the members of this line; RG_TEXT_AUTO: none. */
static RgTextFormat recognise(const RgTextReader *r, const json_t *object) {
    const json_t *chosen = member(r, object, RG_TEXT_CHOSEN);
    bool renamed = rg_text_renames(r->reading);
    if (!renamed && json_object_get(object, "completions"))
        return RG_TEXT_ULTRAFEEDBACK;
    if (!renamed && json_object_get(object, "response_0"))
        return RG_TEXT_PKU;
    if (!chosen && member(r, object, RG_TEXT_COMPLETION) && member(r, object, RG_TEXT_LABEL))
        return RG_TEXT_UNPAIRED;
    if (json_is_array(chosen))
        return RG_TEXT_CHAT;
    if (chosen && member(r, object, RG_TEXT_PROMPT))
        return RG_TEXT_PLAIN;
    return json_is_string(chosen) && begins(json_string_value(chosen), human) ? RG_TEXT_HH
                                                                              : RG_TEXT_AUTO;
}

bool rg_text_format_read(RgTextReader *r, const json_t *value) {
    static bool (*const readers[])(RgTextReader *, const json_t *) = {
        [RG_TEXT_AUTO] = read_plain, /* which tells what is missing */
        [RG_TEXT_PLAIN] = read_plain, [RG_TEXT_HH] = read_hh,
        [RG_TEXT_PKU] = read_pku,     [RG_TEXT_ULTRAFEEDBACK] = read_ultrafeedback,
        [RG_TEXT_CHAT] = read_chat,   [RG_TEXT_UNPAIRED] = read_unpaired,
    };
    if (!json_is_object(value))
        return rg_text_leave_out(r, RG_TEXT_MALFORMED, "the line is %s, expected an object",
                                 kind_name(value));
    if (r->format == RG_TEXT_AUTO)
        r->format = recognise(r, value);
    return readers[r->format](r, value);
}
