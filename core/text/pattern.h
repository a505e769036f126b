/* SPDX-License-Identifier: MIT */
/* Patterns in text: the regular expressions and plain strings of a tokenizer.json, and of a judge's
 * answers. The only door to PCRE2. */
#ifndef RG_CORE_TEXT_PATTERN_H
#define RG_CORE_TEXT_PATTERN_H

#include "core/utf8.h"

typedef struct RgPattern RgPattern;
/* What one thread needs for matching, with any pattern. */
typedef struct RgMatcher RgMatcher;

typedef enum RgPatternKind {
    RG_PATTERN_PLAIN,     /* the string as it is */
    RG_PATTERN_PCRE2,     /* a regular expression of PCRE2, with Unicode's classes */
    RG_PATTERN_ONIGURUMA, /* as a tokenizer.json has it; see core/text/pattern_rewrite.h */
} RgPatternKind;

/* Errors: RG_E_FORMAT. */
RgStatus rg_pattern_create(const char *source, RgPatternKind kind, RgPattern **pattern,
                           RgError *error);
void rg_pattern_destroy(RgPattern *pattern);

RgMatcher *rg_matcher_create(void);
void rg_matcher_destroy(RgMatcher *matcher);

/* The first match, maybe empty, at or after `from`. Bytes that are not UTF-8 match nothing; a match
 * that would take more memory than there is for it is none. */
bool rg_pattern_find(const RgPattern *pattern, RgMatcher *matcher, const char *text, size_t size,
                     size_t from, RgSpan *match);

/* The version of PCRE2 that runs, "10.42 2022-12-11". */
const char *rg_pattern_library(void);

#endif
