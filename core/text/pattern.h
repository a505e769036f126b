/* SPDX-License-Identifier: MIT */
/* Patterns in text: the regular expressions and plain strings of a tokenizer.json, and of a judge's
 * answers. Its .c file is the only one that includes PCRE2.
 *
 * Threads: any may use a pattern, each with its own matcher. */
#ifndef RG_CORE_TEXT_PATTERN_H
#define RG_CORE_TEXT_PATTERN_H

#include "core/utf8.h"

typedef struct RgPattern RgPattern;
/* Scratch memory for matching, for one thread and any pattern. */
typedef struct RgMatcher RgMatcher;

typedef enum RgPatternKind {
    RG_PATTERN_PLAIN,     /* a literal string */
    RG_PATTERN_PCRE2,     /* a PCRE2 regular expression, with Unicode's classes */
    RG_PATTERN_ONIGURUMA, /* the syntax of tokenizer.json; see core/text/pattern_rewrite.h */
} RgPatternKind;

/* Errors: RG_E_FORMAT. */
RgStatus rg_pattern_create(const char *source, RgPatternKind kind, RgPattern **pattern,
                           RgError *error);
void rg_pattern_destroy(RgPattern *pattern);

RgMatcher *rg_matcher_create(void);
void rg_matcher_destroy(RgMatcher *matcher);

/* The first match at or after `from`; it may be empty. Bytes that are not UTF-8 match nothing. A
 * match that would exceed the memory limit does not count. */
bool rg_pattern_find(const RgPattern *pattern, RgMatcher *matcher, const char *text, size_t size,
                     size_t from, RgSpan *match);

/* The version of PCRE2 in use, "10.42 2022-12-11". */
const char *rg_pattern_library(void);

#endif
