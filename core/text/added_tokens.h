/* SPDX-License-Identifier: MIT */
/* Added tokens of a tokenizer.json, such as <|im_start|>. They are found in the text before it is
 * cut into words: leftmost first, and the longest of those that start at the same place.
 *
 * Threads: any may search; adding needs exclusive access. */
#ifndef RG_CORE_TEXT_ADDED_TOKENS_H
#define RG_CORE_TEXT_ADDED_TOKENS_H

#include "core/utf8.h"

typedef struct RgAddedToken {
    int32_t id;
    bool lstrip, rstrip; /* absorbs the white space to its left, to its right */
} RgAddedToken;

typedef struct RgAddedTokens RgAddedTokens;

RgAddedTokens *rg_added_tokens_create(void);
void rg_added_tokens_destroy(RgAddedTokens *added);
/* `content` is the token's text. An empty one is never found. */
void rg_added_tokens_add(RgAddedTokens *added, const char *content, size_t size,
                         RgAddedToken token);
bool rg_added_tokens_any(const RgAddedTokens *added);

/* Finds the next token at or after *from and sets *from to where the next search starts. *span is
 * its place, with the white space that it absorbs; on the left not before `done`. A token may be
 * found in white space that the previous one absorbed, as in the Rust library. */
bool rg_added_tokens_find(const RgAddedTokens *added, const char *text, size_t size, size_t done,
                          size_t *from, RgSpan *span, int32_t *id);

#endif
