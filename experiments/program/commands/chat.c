/* SPDX-License-Identifier: MIT */
#include "experiments/program/commands/chat.h"

#include "core/memory.h"
#include "core/suggest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

RgStatus rg_chat_layout_create(const char *chat, const RgTokenizer *tokenizer,
                               RgTextLayout **layout, RgError *error) {
    int k = 0;
    while (rg_chat_templates[k] && strcmp(rg_chat_templates[k], chat) != 0)
        k++;
    bool named = rg_chat_templates[k];
    if (!named && access(chat, F_OK) != 0) {
        char *names = rg_list_names(rg_chat_templates);
        RgStatus status = rg_fail(error, RG_E_USAGE,
                                  "--chat: \"%s\" is neither a file nor a built-in template: "
                                  "expected a file, or one of %s",
                                  chat, names);
        free(names);
        return status;
    }
    return rg_text_layout_create(tokenizer, named ? k : 0, named ? "" : chat, 0, RG_TRUNCATE_DROP,
                                 layout, error);
}

RgStatus rg_chat_read_line(const char *text, size_t size, const char *path, long number,
                           json_t **line, RgError *error) {
    json_error_t fault;
    *line = json_loadb(text, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &fault);
    return *line ? RG_OK
                 : rg_fail(error, RG_E_FORMAT, "%s:%ld: not JSON: %s", path, number, fault.text);
}

const char *rg_chat_text(const json_t *object, const char *member) {
    const json_t *value = json_object_get(object, member);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static RgStatus read_turn(const json_t *message, const char *path, long number, size_t index,
                          RgTurn *turn, RgError *error) {
    const char *role = rg_chat_text(message, "role");
    bool known = role && rg_role_named(role, &turn->role);
    turn->text = (char *)rg_chat_text(message, "content");
    if (!known || !turn->text)
        return rg_fail(error, RG_E_FORMAT,
                       "%s:%ld: messages[%zu] is not a message, expected a role (system, user or "
                       "assistant) and a content, a string without NUL",
                       path, number, index);
    return RG_OK;
}

static RgStatus append_messages(RgSequences *sequences, const RgTextLayout *layout,
                                const json_t *messages, const char *path, long number,
                                RgError *error) {
    size_t count = json_array_size(messages);
    RgTurn *turns = rg_allocate(count, sizeof *turns);
    RgStatus status = RG_OK;
    for (size_t i = 0; i < count && status == RG_OK; i++)
        status = read_turn(json_array_get(messages, i), path, number, i, &turns[i], error);
    if (status == RG_OK) {
        const char *response = turns[count - 1].role == RG_ASSISTANT ? turns[count - 1].text : NULL;
        status = rg_text_try_append(sequences, layout, turns, (int64_t)count - (response != NULL),
                                    response, error);
        if (status != RG_OK)
            status = rg_fail_in(error, status, "%s:%ld", path, number);
    }
    free(turns);
    return status;
}

RgStatus rg_chat_append(RgSequences *sequences, const RgTextLayout *layout, const json_t *line,
                        const char *path, long number, RgError *error) {
    const json_t *messages = json_object_get(line, "messages");
    RgTurn question = {.role = RG_USER, .text = (char *)rg_chat_text(line, "prompt")};
    const char *response = rg_chat_text(line, "response");
    if (json_array_size(messages) > 0 && json_object_get(line, "prompt"))
        return rg_fail(error, RG_E_FORMAT, "%s:%ld: has messages and prompt, expected one of them",
                       path, number);
    if (json_array_size(messages) > 0)
        return append_messages(sequences, layout, messages, path, number, error);
    if (!question.text || (!response && json_object_get(line, "response")))
        return rg_fail(error, RG_E_FORMAT,
                       "%s:%ld: expected an object with the list messages, which is not empty, or "
                       "with the text prompt and perhaps the text response, without NUL",
                       path, number);
    RgStatus status = rg_text_try_append(sequences, layout, &question, 1, response, error);
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, "%s:%ld", path, number);
}
