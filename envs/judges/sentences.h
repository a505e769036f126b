/* SPDX-License-Identifier: MIT */
/* Texts cut into sentences, by marks and lines alone: there is no model of a language behind it. */
#ifndef RG_ENVS_JUDGES_SENTENCES_H
#define RG_ENVS_JUDGES_SENTENCES_H

#include "core/base.h"

/* The next sentence of a text that ends with '\0': its bytes, without white space around them, and
 * *rest moved behind it; false when none is left. A sentence ends with a line, or behind full
 * stops, query and exclamation marks, and quotes and brackets that close after them, where white
 * space follows. A single full stop ends none behind a title (Mr, Dr) or a letter other than I
 * (J. S. Bach, e.g.). What has neither letter nor digit is no sentence. */
bool rg_sentence_next(const char **rest, const char **sentence, size_t *size);

#endif
