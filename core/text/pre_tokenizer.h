/* SPDX-License-Identifier: MIT */
/* Pre-tokenizers: how normalized text is cut into words, which merges never cross.
 *
 * A pre-tokenizer is a short list of steps. Each step cuts or changes the pieces of the step before
 * it. Pieces are passed on one by one and not stored.
 *
 * Threads: any may use a pre-tokenizer, each with its own RgPreTokens. */
#ifndef RG_CORE_TEXT_PRE_TOKENIZER_H
#define RG_CORE_TEXT_PRE_TOKENIZER_H

#include "core/text/pattern.h"

#include <jansson.h>

enum { RG_PRE_TOKENIZER_STEPS = 16 };

typedef enum RgPreTokenizerKind {
    RG_PIECES_WORDS,   /* cuts into words by rg_word_length, this program's own rule */
    RG_PIECES_SPLIT,   /* cuts at the matches of `pattern` */
    RG_PIECES_PREPEND, /* puts `mark` before pieces that do not start with it */
    RG_PIECES_REPLACE, /* replaces ' ' by `mark`, then prepends it as `prepend` says */
} RgPreTokenizerKind;

/* What happens to a match. */
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
    bool invert; /* swaps matches and the text between them */
    RgPrepend prepend;
    char *mark;
} RgPreTokenizerStep;

typedef struct RgPreTokenizer {
    RgPreTokenizerStep step[RG_PRE_TOKENIZER_STEPS];
    int count;
    bool byte_level; /* tokens consist of bytes, not of characters */
} RgPreTokenizer;

/* Reads the "pre_tokenizer" of a tokenizer.json; null is none. Errors: RG_E_FORMAT. */
RgStatus rg_pre_tokenizer_read(RgPreTokenizer *pre_tokenizer, const char *path, json_t *json,
                               RgError *error);
/* This program's own: words by rg_word_length, as bytes. */
void rg_pre_tokenizer_set_own(RgPreTokenizer *pre_tokenizer);
void rg_pre_tokenizer_release(RgPreTokenizer *pre_tokenizer);

/* Receives a non-empty piece, which is valid during the call only. */
typedef void (*RgPieceTaker)(void *context, const char *text, size_t size);

/* The receiver of a text's pieces, and scratch memory for cutting it. */
typedef struct RgPreTokens {
    RgMatcher *matcher;
    RgBuffer buffer[RG_PRE_TOKENIZER_STEPS]; /* for the steps that change text */
    RgPieceTaker take;
    void *context;
} RgPreTokens;

/* `first`: whether this is the beginning of the user's text. */
void rg_pre_tokenizer_run(const RgPreTokenizer *pre_tokenizer, RgPreTokens *pieces,
                          const char *text, size_t size, bool first);

/* Bytes of the word that starts at `text` (size > 0). A word is a run of letters (all bytes from
 * 0x80 on count as letters), of digits or of other marks, with a preceding space; or a run of white
 * space without its last character, which belongs to the next word. */
size_t rg_word_length(const char *text, size_t size);
/* The same rule as a regular expression for tokenizer.json. */
extern const char rg_word_pattern[];

#endif
