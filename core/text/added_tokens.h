/* SPDX-License-Identifier: MIT */
/* Added tokens of a tokenizer.json: those that are found in the text before it is cut into words,
 * such as <|im_start|>. They are found leftmost first, the longest of those that start there. */
#ifndef RG_CORE_TEXT_ADDED_TOKENS_H
#define RG_CORE_TEXT_ADDED_TOKENS_H

#include "core/utf8.h"

typedef struct RgAddedToken {
    int32_t id;
    bool lstrip, rstrip; /* takes the white space on its left, on its right */
} RgAddedToken;

typedef struct RgAddedTokens RgAddedTokens;

RgAddedTokens *rg_added_tokens_create(void);
void rg_added_tokens_destroy(RgAddedTokens *added);
/* `content` is how it is written; the empty one is never found. */
void rg_added_tokens_add(RgAddedTokens *added, const char *content, size_t size,
                         RgAddedToken token);
bool rg_added_tokens_any(const RgAddedTokens *added);

/* The next token from *from on, where the search goes on from then; and where it is, with the white
 * space that it takes, on its left as far as `done`. A token may be found in white space that one
 * before it has taken, as in the Rust library. */
bool rg_added_tokens_find(const RgAddedTokens *added, const char *text, size_t size, size_t done,
                          size_t *from, RgSpan *span, int32_t *id);

#endif
