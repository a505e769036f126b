/* SPDX-License-Identifier: MIT */
/* How conversations become token sequences: by a chat template, which says what stands before and
 * after each turn, and within a limit. Every member of the project that makes or reads text
 * sequences goes through here.
 *
 * A template's special tokens are ids, which no text of a user or of a file ever becomes. */
#ifndef RG_ENVS_TEXT_TEXT_LAYOUT_H
#define RG_ENVS_TEXT_TEXT_LAYOUT_H

#include "core/task/sequences.h"
#include "core/text/tokenizer.h"
#include "envs/text/text_data.h"

extern const char *const rg_chat_templates[]; /* as choices of an option */

/* What is done with a prompt of more tokens than the limit. */
typedef enum RgTruncation { RG_TRUNCATE_DROP, RG_TRUNCATE_START, RG_TRUNCATE_END } RgTruncation;
extern const char *const rg_truncations[]; /* drop, keep_start, keep_end */

typedef struct RgTextLayout RgTextLayout;

/* The layout of the `chat_template`-th template; the tokenizer is borrowed. A limit of 0 is none.
 * RG_E_FORMAT where the tokenizer lacks a token of the template, by its name; RG_E_RANGE where the
 * limit leaves no room for what the template itself adds. */
RgStatus rg_text_layout_create(const RgTokenizer *tokenizer, int chat_template,
                               int64_t prompt_limit, RgTruncation truncation, RgTextLayout **layout,
                               RgError *error);
void rg_text_layout_destroy(RgTextLayout *layout);

int32_t rg_text_layout_end(const RgTextLayout *layout); /* the token that ends a response */
/* Tokens of the prompt before it is cut to the limit. */
int64_t rg_text_prompt_tokens(const RgTextLayout *layout, const RgTurn *turns, int64_t count);

/* Append one sequence, its prompt cut to the limit; without a response (NULL) a prompt alone. */
void rg_text_append(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                    int64_t count, const char *response);
/* Append prompt and response as one text to be learnt as a whole: the prompt is its first token
 * alone, everything after it the response. The same tokens in the same order as rg_text_append's.
 */
void rg_text_append_whole(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                          int64_t count, const char *response);

/* The texts of sequence `index` without special tokens and the prompt's newline; malloc'd. */
char *rg_text_prompt(const RgTextLayout *layout, const RgSequences *sequences, int64_t index);
char *rg_text_response(const RgTextLayout *layout, const RgSequences *sequences, int64_t index);

#endif
