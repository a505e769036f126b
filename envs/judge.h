/* Judges of text: how good is a response to a prompt, in [0, 6].
 *
 *     reward = 6 · (0.6·style + 0.4·fluency) · length · repetition
 *
 * with every factor in [0, 1], so that no single one can be driven up without end:
 *   style       tempered probability that the response is in the preferred (modern) style, by
 * logistic regression on hashed n-grams; fluency     mean log-probability under an interpolated
 * n-gram model, against that of real text; length      1 near the usual length of a response,
 * falling to 0 for one much shorter or longer; repetition  share of the response's n-grams that are
 * not said before, in it or in the prompt.
 *
 * Of these there are two kinds. The gold judge reads words, the independent one characters; each is
 * trained by the project on texts of its own, so that a policy that has learnt to please the first
 * can be measured by the second. */
#ifndef RG_ENVS_JUDGE_H
#define RG_ENVS_JUDGE_H

#include "core/base.h"
#include "core/tensor/random.h"

typedef enum RgJudgeKind { RG_JUDGE_WORDS, RG_JUDGE_CHARACTERS } RgJudgeKind;

/* The same content in two styles, and what stood before it. Borrowed. */
typedef struct RgJudgeText {
    const char *prompt, *modern, *archaic;
} RgJudgeText;

typedef struct RgJudge RgJudge;

/* Train a judge on texts [count]; takes about a second for thousands. The same texts and stream
 * give the same bits. RG_E_RANGE when there are too few texts to learn from. */
RgStatus rg_judge_create(RgJudgeKind kind, const RgJudgeText *texts, int64_t count, RgRandom random,
                         RgJudge **judge, RgError *error);
/* A judge that is a valence lexicon (envs/lexicon.h): reward = 3·(1 + valence of the response). It
 * knows neither the prompt nor texts to learn from. */
RgStatus rg_judge_of_lexicon(const char *path, RgJudge **judge, RgError *error);
void rg_judge_destroy(RgJudge *judge);

/* The factors of a reward, for inspection; of a judge that was trained. */
typedef struct RgJudgeParts {
    double style, fluency, length, repetition, reward;
} RgJudgeParts;
RgJudgeParts rg_judge_parts(const RgJudge *judge, const char *prompt, const char *response);

/* Reward in [0, 6]. Any number of threads may ask at a time. */
double rg_judge_reward(const RgJudge *judge, const char *prompt, const char *response);

/* Share of texts whose modern side gets the larger reward; a tie counts half. */
double rg_judge_accuracy(const RgJudge *judge, const RgJudgeText *texts, int64_t count);

#endif
