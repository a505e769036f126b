/* SPDX-License-Identifier: MIT */
/* Normalizers: what a tokenizer does to text before it cuts it into words. Its .c file is the only
 * one that includes utf8proc, a small library with all four Unicode normal forms.
 *
 * Threads: any, with a matcher and buffers of their own. */
#ifndef RG_CORE_TEXT_NORMALIZER_H
#define RG_CORE_TEXT_NORMALIZER_H

#include "core/text/pattern.h"

#include <jansson.h>

enum { RG_NORMALIZER_STEPS = 16 };

typedef enum RgNormalizerKind {
    RG_NORMALIZE_FORM,    /* NFC, NFD, NFKC or NFKD */
    RG_NORMALIZE_PREPEND, /* puts `content` before a non-empty text */
    RG_NORMALIZE_REPLACE, /* replaces each match of `pattern` by `content` */
} RgNormalizerKind;

typedef struct RgNormalizerStep {
    RgNormalizerKind kind;
    int form;             /* utf8proc's options */
    uint32_t plain_below; /* characters below are unchanged if none at or above is adjacent */
    RgPattern *pattern;
    char *content;
} RgNormalizerStep;

typedef struct RgNormalizer {
    RgNormalizerStep step[RG_NORMALIZER_STEPS];
    int count;
} RgNormalizer;

/* Reads the "normalizer" of a tokenizer.json; null is none. Errors: RG_E_FORMAT. */
RgStatus rg_normalizer_read(RgNormalizer *normalizer, const char *path, json_t *json,
                            RgError *error);
void rg_normalizer_release(RgNormalizer *normalizer);

/* The text after all steps: `text` itself, or in one of the buffers, whose content is overwritten.
 * Bytes that are not UTF-8 are unchanged. */
RgBuffer rg_normalizer_apply(const RgNormalizer *normalizer, RgMatcher *matcher,
                             RgBuffer buffers[2], const char *text, size_t size);

/* Whether a character is a letter that has cases; and the letter in upper (as at the start of a
 * word) or lower case, if one character is that, else itself. */
bool rg_character_is_cased(uint32_t character);
uint32_t rg_character_case(uint32_t character, bool upper);

/* The version of utf8proc in use, "2.8.0". */
const char *rg_normalizer_library(void);

#endif
