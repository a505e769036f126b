/* SPDX-License-Identifier: MIT */
/* Splitting text into sentences by punctuation and line ends, without a language model. */
#ifndef RG_ENVS_JUDGES_SENTENCES_H
#define RG_ENVS_JUDGES_SENTENCES_H

#include "core/base.h"

/* The next sentence of a text that ends with '\0': its bytes without surrounding white space; *rest
 * moves behind it. False if there is none left. A sentence ends at a line end, or after full stops,
 * question and exclamation marks and any closing quotes and brackets, if white space follows. A
 * single full stop does not end a sentence after a title (Mr, Dr) or a letter other than I
 * (J. S. Bach, e.g.). A sentence contains at least a letter or a digit. */
bool rg_sentence_next(const char **rest, const char **sentence, size_t *size);

#endif
