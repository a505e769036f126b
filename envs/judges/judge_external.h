/* SPDX-License-Identifier: MIT */
/* Comparisons and scores by an external judge. Judges tend to prefer the response at one position.
 * So each pair is judged in both orders, and a response is better only if both answers name it.
 *
 * A regular expression reads an answer: its match is A, B, or C for a tie. A judge with the answer
 * "score" gives each response a number instead, which is its reward. */
#ifndef RG_ENVS_JUDGES_JUDGE_EXTERNAL_H
#define RG_ENVS_JUDGES_JUDGE_EXTERNAL_H

#include "envs/judges/judge.h"
#include "envs/judges/judge_requests.h"

/* The default expression: a line with nothing but the letter, optionally after "Answer". */
#define RG_EXTERNAL_ANSWER "^\\W*(?:answer)?\\W*\\K[AB](?=\\W*$)"

/* The option `answer` of a judge that scores. */
#define RG_EXTERNAL_SCORE "score"

typedef enum RgVerdict {
    RG_VERDICT_FIRST,
    RG_VERDICT_SECOND,
    RG_VERDICT_TIE,
    RG_VERDICT_NONE, /* unknown, and not to be guessed */
} RgVerdict;

/* The verdict when the two answers contradict each other: a tie, none, or the answer for the given
 * order of the pair. */
typedef enum RgDisagreement {
    RG_DISAGREEMENT_TIE,
    RG_DISAGREEMENT_SKIP,
    RG_DISAGREEMENT_FIRST
} RgDisagreement;

/* What to do about a query without an answer, or with an answer that does not match. */
typedef enum RgAnswerFailure { RG_FAILURE_STOP, RG_FAILURE_TIE, RG_FAILURE_SKIP } RgAnswerFailure;

typedef struct RgExternalOptions {
    const char *answer; /* pattern, case-insensitive; or RG_EXTERNAL_SCORE */
    int on_disagreement, on_failure;
    int64_t parallel, retries, budget; /* see RgJudgeRequestOptions */
    double backoff;
    double longest_wait;
} RgExternalOptions;

/* The options of every external judge. */
extern const RgOption rg_external_options[];

typedef struct RgExternal RgExternal;

/* Takes ownership of the client, also on error: RG_E_USAGE, with the option's name. */
RgStatus rg_external_create(RgJudgeClient *client, const RgExternalOptions *options,
                            RgExternal **external, RgError *error);
void rg_external_destroy(RgExternal *external);
RgStatus rg_external_use_cache(RgExternal *external, RgJudgeCache *cache, RgError *error);

/* Compare pairs [count]: verdicts [count] out, all or none. Equal texts are a tie without a
 * request. Errors of rg_judge_requests_answer; also RG_E_JUDGE for an answer that does not match,
 * if on_failure is stop. */
RgStatus rg_external_compare(RgExternal *external, const RgJudgeQuery *pairs, int64_t count,
                             RgVerdict *verdicts, RgError *error);

/* The scores of responses (a query's b is NULL): score [count] out, finite. Errors of
 * rg_judge_requests_answer; also RG_E_JUDGE for an answer that is no number. */
RgStatus rg_external_score(RgExternal *external, const RgJudgeQuery *queries, int64_t count,
                           double *score, RgError *error);

/* Whether a judge with these options scores. */
bool rg_external_scores(const RgExternalOptions *options);

/* Functions for a judge's descriptor. The judge's state is an RgExternal. */
RgStatus rg_external_judge_create(RgJudge *judge, RgJudgeClient *client,
                                  const RgExternalOptions *options, RgError *error);
RgStatus rg_external_judge_compare(RgJudge *judge, const RgJudgeItems *items, double *first,
                                   RgError *error);
RgStatus rg_external_judge_rewards(RgJudge *judge, const RgJudgeItems *items, double *reward,
                                   RgError *error);
void rg_external_judge_destroy(RgJudge *judge);
RgStatus rg_external_judge_use_answers(RgJudge *judge, RgJudgeCache *answers, RgError *error);
void rg_external_judge_take_counts(RgJudge *judge, RgJudgeCount *counts);

/* See RgJudgeType. */
void rg_external_take_counts(RgExternal *external, RgJudgeCount counts[RG_JUDGE_COUNTS]);

#endif
