/* SPDX-License-Identifier: MIT */
/* How conversations become token sequences: by a chat template, which defines the tokens around
 * each turn, and within a limit. All text sequences of the project are made and read here.
 *
 * A template's special tokens are ids that no text of a user or a file can produce. A layout is
 * read-only after its creation, and thread-safe. */
#ifndef RG_ENVS_TEXT_LAYOUT_H
#define RG_ENVS_TEXT_LAYOUT_H

#include "core/task/sequences.h"
#include "core/text/tokenizer.h"
#include "envs/conversation.h"

/* The built-in templates; as choices of an option. */
#define RG_CHAT_TEMPLATES                                                                          \
    "plain", "chatml", "qwen", "llama-3", "phi-3", "zephyr", "hh", "sail-pku", "sail-ultrafeedback"
extern const char *const rg_chat_templates[];

/* What to do with a prompt longer than the limit. */
typedef enum RgTruncation { RG_TRUNCATE_DROP, RG_TRUNCATE_START, RG_TRUNCATE_END } RgTruncation;
extern const char *const rg_truncations[]; /* drop, keep_start, keep_end */

typedef struct RgTextLayout RgTextLayout;

/* Create the layout of template number `chat_template`, or, unless `file` is empty, of the model's
 * own template in that file (envs/text_template.h); the tokenizer is borrowed. A limit of 0 is
 * none. RG_E_FORMAT, with its name, if the tokenizer lacks a token of the template, or if the file
 * cannot be used; RG_E_RANGE if the limit is too small for the template's own tokens. */
RgStatus rg_text_layout_create(const RgTokenizer *tokenizer, int chat_template, const char *file,
                               int64_t prompt_limit, RgTruncation truncation, RgTextLayout **layout,
                               RgError *error);
/* Whether there are conversations that the template does not take. The built-in ones take all. */
bool rg_text_layout_may_refuse(const RgTextLayout *layout);
void rg_text_layout_destroy(RgTextLayout *layout);

int32_t rg_text_layout_end(const RgTextLayout *layout); /* the token that ends a response */
/* Number of tokens of the prompt before truncation. */
int64_t rg_text_prompt_tokens(const RgTextLayout *layout, const RgTurn *turns, int64_t count);

/* Append one sequence, its prompt truncated to the limit; a response of NULL: only a prompt.
 * RG_E_FORMAT, with the reason, if the template refuses the conversation; nothing is then
 * appended. */
RgStatus rg_text_try_append(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                            int64_t count, const char *response, RgError *error);
/* The same for a conversation that is known to be taken, as all functions below expect. */
void rg_text_append(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                    int64_t count, const char *response);
/* Append prompt and response as one text to be learnt as a whole: the prompt is only its first
 * token, the response everything after it. The tokens and their order are those of
 * rg_text_append. */
void rg_text_append_whole(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                          int64_t count, const char *response);

/* A layout for those who judge whole conversations, in a tokenizer of their own:
 * rg_text_lay_out_whole and rg_text_layout_destroy take it. Otherwise as rg_text_layout_create. */
RgStatus rg_text_layout_create_whole(const RgTokenizer *tokenizer, int chat_template,
                                     const char *file, RgTextLayout **layout, RgError *error);
/* The tokens of the conversation with its response, to be released after an error, too: by a built-in
 * template up to the token that ends the response, by a model's own all that it writes. RG_E_FORMAT if that refuses it. */
RgStatus rg_text_lay_out_whole(const RgTextLayout *layout, const RgTurn *turns, int64_t count,
                               const char *response, RgTokens *tokens, RgError *error);

/* The texts of sequence `index` without special tokens and the prompt's newline, malloc'd. */
char *rg_text_prompt(const RgTextLayout *layout, const RgSequences *sequences, int64_t index);
char *rg_text_response(const RgTextLayout *layout, const RgSequences *sequences, int64_t index);

#endif
