/* SPDX-License-Identifier: MIT */
/* Text as symbols (words and punctuation marks, or characters), and hashed n-grams of symbols.
 * Shared by the files of judges. */
#ifndef RG_ENVS_JUDGES_JUDGE_SYMBOLS_H
#define RG_ENVS_JUDGES_JUDGE_SYMBOLS_H

#include "core/base.h"

/* Symbols of a lower-cased text, as 64-bit hashes. Free with free(symbols.name). */
typedef struct RgSymbols {
    uint64_t *name;
    int64_t count, capacity;
} RgSymbols;

/* Words and single punctuation marks, or characters. White space separates words; as a character it
 * counts as one symbol. */
RgSymbols rg_symbols_of(const char *text, bool words);

/* Hash of the n symbols before `end`; symbols before the first count as 0. */
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
RgTally *rg_tallies_at(RgTallies *tallies, uint64_t key);               /* added if absent */
const RgTally *rg_tallies_find(const RgTallies *tallies, uint64_t key); /* NULL if absent */
void rg_tallies_free(RgTallies *tallies);

/* Interpolated n-gram model with Witten-Bell weights (Witten & Bell 1991):
 * p(w|h) = (c(h w) + t(h)·p(w|h')) / (c(h) + t(h)), t(h) the number of symbol types after h. */
typedef struct RgNgramModel {
    int order;
    RgTallies tallies;
    double vocabulary; /* number of different symbols, plus one for all unknown ones */
} RgNgramModel;
void rg_ngram_model_learn(RgNgramModel *model, const RgSymbols *symbols);
/* Mean log-probability per symbol, the end of the text included. */
double rg_ngram_model_score(const RgNgramModel *model, const RgSymbols *symbols);

#endif
