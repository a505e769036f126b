/* SPDX-License-Identifier: MIT */
/* Text as the judges read it: a sequence of symbols (words and marks, or characters), and hashed
 * n-grams of them. Shared by the judges' files. */
#ifndef RG_ENVS_JUDGES_JUDGE_SYMBOLS_H
#define RG_ENVS_JUDGES_JUDGE_SYMBOLS_H

#include "core/base.h"

/* Symbols of a text, lower-cased: 64-bit names. Freed with free(symbols.name). */
typedef struct RgSymbols {
    uint64_t *name;
    int64_t count, capacity;
} RgSymbols;

/* Words and single punctuation marks, or characters; white space only separates words, and counts
 * as one character. */
RgSymbols rg_symbols_of(const char *text, bool words);

/* Hash of the n symbols that end before `end`; symbols before the first count as 0. */
uint64_t rg_symbols_ngram(const RgSymbols *symbols, int64_t end, int n);

/* Map from a hash to two counters; open addressing. */
typedef struct RgTally {
    uint64_t key;
    uint32_t total, kinds;
} RgTally;
typedef struct RgTallies {
    RgTally *entry;
    size_t capacity, count;
} RgTallies;
RgTally *rg_tallies_at(RgTallies *tallies, uint64_t key);               /* made if absent */
const RgTally *rg_tallies_find(const RgTallies *tallies, uint64_t key); /* or NULL */
void rg_tallies_free(RgTallies *tallies);

/* Interpolated n-gram model with Witten-Bell weights (Witten & Bell 1991):
 * p(w|h) = (c(h w) + t(h)·p(w|h')) / (c(h) + t(h)), t(h) the number of different symbols after h.
 */
typedef struct RgNgramModel {
    int order;
    RgTallies tallies;
    double vocabulary; /* different symbols, one for all unknown ones included */
} RgNgramModel;
void rg_ngram_model_learn(RgNgramModel *model, const RgSymbols *symbols);
/* Mean log-probability per symbol, the end of the text included. */
double rg_ngram_model_score(const RgNgramModel *model, const RgSymbols *symbols);

#endif
