/* SPDX-License-Identifier: MIT */
/* Pre-tokenizers: how normalized text is cut into words, which merges never cross.
 *
 * A pre-tokenizer is a short list of steps, each of which cuts or changes the pieces that the one
 * before it made. Pieces are passed on one by one, and none is kept. */
#ifndef RG_CORE_TEXT_PRE_TOKENIZER_H
#define RG_CORE_TEXT_PRE_TOKENIZER_H

#include "core/text/pattern.h"

#include <jansson.h>

enum { RG_PRE_TOKENIZER_STEPS = 16 };

typedef enum RgPreTokenizerKind {
    RG_PIECES_WORDS,   /* cut into words by rg_word_length, this program's own rule */
    RG_PIECES_SPLIT,   /* cut at the matches of `pattern` */
    RG_PIECES_PREPEND, /* `mark` before pieces that do not start with it */
    RG_PIECES_REPLACE, /* ' ' by `mark`, and as PREPEND where `prepend` says so */
} RgPreTokenizerKind;

/* What becomes of a match. */
typedef enum RgSplitBehavior {
    RG_SPLIT_ISOLATED,
    RG_SPLIT_REMOVED,
    RG_SPLIT_CONTIGUOUS,
    RG_SPLIT_WITH_PREVIOUS,
    RG_SPLIT_WITH_NEXT,
} RgSplitBehavior;

/* Which pieces get a mark before them. */
typedef enum RgPrepend { RG_PREPEND_ALWAYS, RG_PREPEND_FIRST, RG_PREPEND_NEVER } RgPrepend;

typedef struct RgPreTokenizerStep {
    RgPreTokenizerKind kind;
    RgPattern *pattern;
    RgSplitBehavior behavior;
    bool invert; /* what matches is what does not, and the reverse */
    RgPrepend prepend;
    char *mark;
} RgPreTokenizerStep;

typedef struct RgPreTokenizer {
    RgPreTokenizerStep step[RG_PRE_TOKENIZER_STEPS];
    int count;
    bool byte_level; /* tokens are made of bytes, not of characters */
} RgPreTokenizer;

/* The "pre_tokenizer" of a tokenizer.json, null for none. Errors: RG_E_FORMAT. */
RgStatus rg_pre_tokenizer_read(RgPreTokenizer *pre_tokenizer, const char *path, json_t *json,
                               RgError *error);
/* This program's own: words by rg_word_length, of bytes. */
void rg_pre_tokenizer_set_own(RgPreTokenizer *pre_tokenizer);
void rg_pre_tokenizer_release(RgPreTokenizer *pre_tokenizer);

/* Takes a piece, which is not empty and is gone after the call. */
typedef void (*RgPieceTaker)(void *context, const char *text, size_t size);

/* Where the pieces of one text go, and what cutting it needs. */
typedef struct RgPreTokens {
    RgMatcher *matcher;
    RgBuffer buffer[RG_PRE_TOKENIZER_STEPS]; /* of the steps that change text */
    RgPieceTaker take;
    void *context;
} RgPreTokens;

/* `first`: whether this is the beginning of the text that the user gave. */
void rg_pre_tokenizer_run(const RgPreTokenizer *pre_tokenizer, RgPreTokens *pieces,
                          const char *text, size_t size, bool first);

/* Bytes of the word that starts at `text` (size > 0): a run of letters (all bytes from 0x80 on are
 * letters), of digits or of other marks, with the space before it; or a run of white space, which
 * leaves its last character to what follows. */
size_t rg_word_length(const char *text, size_t size);
/* The same rule as a regular expression, as tokenizer.json has it. */
extern const char rg_word_pattern[];

#endif
