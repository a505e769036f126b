/* SPDX-License-Identifier: MIT */
/* The n-gram judge: a reward in [0, 6],
 *
 *     reward = 6 · (0.6·style + 0.4·fluency) · length · repetition
 *
 * with every factor in [0, 1], so that no single one can be driven up without end:
 *   style       tempered probability that the response is in the style of the chosen ones, by
 *               logistic regression on hashed n-grams;
 *   fluency     mean log-probability under an interpolated n-gram model, against that of real text;
 *   length      1 near the usual length of a response, falling to 0 for one much shorter or longer;
 *   repetition  share of the response's n-grams that are not said before, in it or in the prompt.
 *
 * It reads words or characters: two such judges of different symbols, trained on texts of their
 * own, agree on little but what they are meant to. For tests. */
#ifndef RG_ENVS_JUDGES_JUDGE_NGRAM_H
#define RG_ENVS_JUDGES_JUDGE_NGRAM_H

#include "envs/judges/judge.h"

extern const RgJudgeType rg_judge_ngram;

/* The factors of a reward. Any number of threads may ask at a time. */
typedef struct RgNgramParts {
    double style, fluency, length, repetition, reward;
} RgNgramParts;
RgNgramParts rg_judge_ngram_parts(const RgJudge *judge, const char *prompt, const char *response);

#endif
