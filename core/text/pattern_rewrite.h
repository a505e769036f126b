/* SPDX-License-Identifier: MIT */
/* Regular expressions that were written for Oniguruma in Ruby's syntax, as those of a
 * tokenizer.json are, rewritten so that PCRE2 finds the same with them. */
#ifndef RG_CORE_TEXT_PATTERN_REWRITE_H
#define RG_CORE_TEXT_PATTERN_REWRITE_H

#include "core/utf8.h"

/* Append the rewritten source and its NUL; else tell in *fault what in it PCRE2 cannot do, or what
 * Oniguruma does not know. Borrowed. */
bool rg_pattern_rewrite(const char *source, RgBuffer *out, const char **fault);

#endif
