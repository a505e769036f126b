/* SPDX-License-Identifier: MIT */
/* --chat of a command: the chat template that its conversations are laid out by. */
#ifndef RG_EXPERIMENTS_PROGRAM_COMMANDS_CHAT_H
#define RG_EXPERIMENTS_PROGRAM_COMMANDS_CHAT_H

#include "core/task/sequences.h"
#include "core/text/tokenizer.h"
#include "envs/text_layout.h"

#include <jansson.h>

#define RG_CHAT_HELP                                                                               \
    "a built-in chat template, or the model's own, chat_template.jinja or tokenizer_config.json"

/* The layout of a built-in template by its name, else of a file; the tokenizer is borrowed.
 * RG_E_USAGE if it is neither; else as rg_text_layout_create. */
RgStatus rg_chat_layout_create(const char *chat, const RgTokenizer *tokenizer,
                               RgTextLayout **layout, RgError *error);

/* Reads a line of JSON, which the caller releases. RG_E_FORMAT, with path and line number, if it is
 * none, or has a member twice. Strings may have NUL characters: rg_chat_text refuses them. */
RgStatus rg_chat_read_line(const char *text, size_t size, const char *path, long number,
                           json_t **line, RgError *error);
/* A member's text, borrowed; NULL if it is no string, or one with a NUL character. */
const char *rg_chat_text(const json_t *object, const char *member);

/* Appends the conversation of a line of JSON as a sequence: `messages`, a list of roles and
 * contents whose last one is the response if it is the assistant's; or `prompt`, what the user
 * says, and perhaps `response`. RG_E_FORMAT, with path and line number, if it has neither or the
 * template refuses it; nothing is then appended. */
RgStatus rg_chat_append(RgSequences *sequences, const RgTextLayout *layout, const json_t *line,
                        const char *path, long number, RgError *error);

#endif
