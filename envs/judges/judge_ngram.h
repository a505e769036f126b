/* SPDX-License-Identifier: MIT */
/* The n-gram judge: a reward in [0, 6],
 *
 *     reward = 6 · (0.6·style + 0.4·fluency) · length · repetition
 *
 * with every factor in [0, 1], so that no single factor can be raised without limit:
 *   style       tempered probability that the response has the style of the chosen ones, by
 *               logistic regression on hashed n-grams;
 *   fluency     mean log-probability under an interpolated n-gram model, relative to real text;
 *   length      1 near the usual length of a response, falling to 0 for much shorter or longer;
 *   repetition  share of the response's n-grams that do not occur earlier in it or in the prompt.
 *
 * The n-grams are of words or characters. Two such judges with different symbols, trained on
 * different texts, share little but their purpose. This header is for tests. */
#ifndef RG_ENVS_JUDGES_JUDGE_NGRAM_H
#define RG_ENVS_JUDGES_JUDGE_NGRAM_H

#include "envs/judges/judge.h"

extern const RgJudgeType rg_judge_ngram;

/* The factors of a reward. Thread-safe. */
typedef struct RgNgramParts {
    double style, fluency, length, repetition, reward;
} RgNgramParts;
RgNgramParts rg_judge_ngram_parts(const RgJudge *judge, const char *prompt, const char *response);

#endif
