/* SPDX-License-Identifier: MIT */
/* Offline pairs that depend on nothing but a small published generator of random numbers, so that
 * another program can draw the same ones: mulberry32, and sentences by inversion.
 *
 *     state ← state + 0x6D2B79F5                       all arithmetic modulo 2³²
 *     t ← (state ⊕ state >> 15) · (state | 1)
 *     t ← t ⊕ (t + (t ⊕ t >> 7) · (t | 61))
 *     u = (t ⊕ t >> 14) / 2³²
 *
 * A word is the first, in the order of the language's file, whose cumulative probability reaches u.
 * A group takes the numbers of its sentences word by word, then one number for each of its pairs if
 * labels are random, also for pairs of equal rewards, which are dropped. */
#ifndef RG_ENVS_LANGUAGE_LANGUAGE_PAIRS_H
#define RG_ENVS_LANGUAGE_LANGUAGE_PAIRS_H

#include "core/task/sequences.h"
#include "envs/language/language_file.h"

/* The next number of mulberry32 in [0, 1), a multiple of 2^−32. */
double rg_mulberry32(uint32_t *state);

/* What the pairs are drawn from and labelled by. */
typedef struct RgMulberryPairs {
    const RgLanguage *language;
    const double *logprob; /* [rows, words] of the rows that sentences are drawn from */
    const double *reward;  /* [sentences] the judge's, by number of sentence */
    int64_t groups, group_size;
    uint32_t seed;
    double label_temperature, label_noise;
    int32_t start; /* the token of the prompt */
} RgMulberryPairs;

/* Appends all pairs of sentences of a group with different rewards, labelled. */
void rg_language_mulberry_pairs(const RgMulberryPairs *from, RgPairs *pairs);

#endif
