/* SPDX-License-Identifier: MIT */
/* Rewrites regular expressions from Oniguruma's Ruby syntax, used by tokenizer.json, so that PCRE2
 * finds the same matches.
 *
 * Threads: any. */
#ifndef RG_CORE_TEXT_PATTERN_REWRITE_H
#define RG_CORE_TEXT_PATTERN_REWRITE_H

#include "core/utf8.h"

/* Appends the rewritten source and a NUL. Returns false and sets *fault (borrowed) to the construct
 * that PCRE2 does not support or Oniguruma does not know. */
bool rg_pattern_rewrite(const char *source, RgBuffer *out, const char **fault);

#endif
