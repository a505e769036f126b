/* SPDX-License-Identifier: MIT */
/* A small language: its words, its grammar and the reward of its sentences, read from a file of
 * libconfig's syntax. All sentences have `length` words.
 *
 *     words = [ "film", "plot", … ];
 *     length = 4;
 *     smoothing = 0.03;    share of the uniform distribution in every row
 *     grammar = (          rows by position and previous word; rows not given are uniform
 *         { position = 1; next = [ "film", "plot" ]; probabilities = [ 0.6, 0.4 ]; },
 *         { position = 2; after = [ "film", "plot" ]; next = [ … ]; probabilities = [ … ]; }
 *     );
 *     reward: {            squashing(intercept + Σ_t weight(w_t) · factor(w_{t−1}))
 *         intercept = -0.3;
 *         words = [ "good", "bad" ];  weights = [ 1.2, -2.0 ];      others: 0
 *         factors = ( { after = [ "not" ]; factor = -0.7; } );      else: 1
 *         squashing = "sigmoid";                                    or "none"
 *     };
 *
 * A row of the policy's reference is (1 − smoothing) · grammar + smoothing / words. */
#ifndef RG_ENVS_LANGUAGE_LANGUAGE_FILE_H
#define RG_ENVS_LANGUAGE_LANGUAGE_FILE_H

#include "core/base.h"

typedef struct RgLanguage {
    int64_t words, length;
    char **word;     /* [words + 1], NULL-terminated */
    double *grammar; /* [rows, words] probabilities before smoothing; rows as in rg_language_row */
    double smoothing;
    double intercept;
    double *weight; /* [words] */
    double *factor; /* [words], of a weight after this word */
    bool squashes;  /* through the sigmoid */
} RgLanguage;

/* Bytes of the numbers that the environment keeps for each sentence, at most. */
enum { RG_LANGUAGE_NUMBERS = 160 };

/* Reads a language. RG_E_USAGE: the message names file, line, key and what was expected. The caller
 * destroys the result. Thread-safe. */
RgStatus rg_language_read(const char *path, RgLanguage **language, RgError *error);
void rg_language_destroy(RgLanguage *language);

/* Rows of the grammar: 1 + (length − 1) · words. */
int64_t rg_language_rows(const RgLanguage *language);
/* The row of the word at `position` (from 0) after `previous` (unused at position 0). */
static inline int64_t rg_language_row(const RgLanguage *language, int64_t position,
                                      int32_t previous) {
    return position == 0 ? 0 : 1 + (position - 1) * language->words + previous;
}

/* Number of sentences, words^length; as a real, because it may be large. */
double rg_language_sentences(const RgLanguage *language);

/* Logarithms of the smoothed rows: logprob [rows, words]. */
void rg_language_logprob(const RgLanguage *language, double *logprob);
/* The reward of a sentence [length]. The sum before squashing is rounded to multiples of 2^−32. */
double rg_language_reward(const RgLanguage *language, const int32_t *sentence);
/* Whether the grammar without smoothing can produce a sentence [length]. */
bool rg_language_is_grammatical(const RgLanguage *language, const int32_t *sentence);

#endif
