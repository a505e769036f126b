/* SPDX-License-Identifier: MIT */
/* Comparisons by an external judge. Judges tend to prefer the response at one position. So each
 * pair is judged in both orders, and a response is better only if both answers name it.
 *
 * A regular expression reads an answer: its match is A, B, or C for a tie. */
#ifndef RG_ENVS_JUDGES_JUDGE_EXTERNAL_H
#define RG_ENVS_JUDGES_JUDGE_EXTERNAL_H

#include "envs/judges/judge.h"
#include "envs/judges/judge_requests.h"

/* The default expression: a line with nothing but the letter, optionally after "Answer". */
#define RG_EXTERNAL_ANSWER "^\\W*(?:answer)?\\W*\\K[AB](?=\\W*$)"

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
extern const char *const rg_disagreements[]; /* tie, skip, first_asked */

/* What to do about a query without an answer, or with an answer that does not match. */
typedef enum RgAnswerFailure { RG_FAILURE_STOP, RG_FAILURE_TIE, RG_FAILURE_SKIP } RgAnswerFailure;
extern const char *const rg_answer_failures[]; /* stop, tie, skip */

typedef struct RgExternalOptions {
    const char *answer; /* pattern, case-insensitive */
    int on_disagreement, on_failure;
    int64_t parallel, retries, budget; /* see RgJudgeRequestOptions */
    double backoff;
    double longest_wait;
} RgExternalOptions;

#define RG_EXTERNAL_OPTION_(type, member, member_, kind_, fallback_, low_, high_, choices_, help_, \
                            incidental_)                                                           \
    {                                                                                              \
        .name = #member_, .kind = (kind_), .offset = offsetof(type, member.member_),               \
        .fallback = (fallback_), .low = (low_), .high = (high_), .choices = (choices_),            \
        .help = (help_), .execution_only = (incidental_)                                           \
    }

/* Options of an external judge: `member` of its struct `type` is RgExternalOptions. */
#define RG_EXTERNAL_OPTIONS(type, member)                                                          \
    RG_EXTERNAL_OPTION_(type, member, answer, RG_KIND_STRING, RG_EXTERNAL_ANSWER, 0, 0, NULL,      \
                        "regular expression (PCRE2, case-insensitive) whose match in an answer "   \
                        "is A, B, or C for a tie; several matches have to agree",                  \
                        false),                                                                    \
        RG_EXTERNAL_OPTION_(                                                                       \
            type, member, on_disagreement, RG_KIND_CHOICE, "tie", 0, 0, rg_disagreements,          \
            "each pair is judged in both orders; the result when the two answers contradict each " \
            "other: tie (either label with probability 1/2, half a win); skip, no label; or "      \
            "first_asked, the answer for the pair in its given order",                             \
            false),                                                                                \
        RG_EXTERNAL_OPTION_(                                                                       \
            type, member, on_failure, RG_KIND_CHOICE, "stop", 0, 0, rg_answer_failures,            \
            "what to do without an answer, or with one that is none of A, B and C: stop, the "     \
            "trial fails and resumes when it is run again; tie; or skip, no label",                \
            false),                                                                                \
        RG_EXTERNAL_OPTION_(type, member, parallel, RG_KIND_INTEGER, "4", 1, 1024, NULL,           \
                            "most requests open at a time", true),                                 \
        RG_EXTERNAL_OPTION_(type, member, retries, RG_KIND_INTEGER, "6", 0, 1e6, NULL,             \
                            "how often a failed request is repeated; a complete answer is never "  \
                            "requested again, whatever it contains",                               \
                            true),                                                                 \
        RG_EXTERNAL_OPTION_(type, member, backoff, RG_KIND_REAL, "1", 0, 3600, NULL,               \
                            "seconds before the first retry; doubled for each further retry up "   \
                            "to a minute, or as long as the judge requires (Retry-After)",         \
                            true),                                                                 \
        RG_EXTERNAL_OPTION_(type, member, longest_wait, RG_KIND_REAL, "600", 0, 604800, NULL,      \
                            "longest wait in seconds that the judge may require (Retry-After); "   \
                            "if it requires more, the request is not repeated, see on_failure",    \
                            true),                                                                 \
        RG_EXTERNAL_OPTION_(type, member, budget, RG_KIND_INTEGER, "0", 0, 1e15, NULL,             \
                            "number of calls to this judge after which a trial fails, over all "   \
                            "trials of the results store, retries included; 0: no limit",          \
                            true)

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

/* Functions for a judge's descriptor. The judge's state is an RgExternal. */
RgStatus rg_external_judge_create(RgJudge *judge, RgJudgeClient *client,
                                  const RgExternalOptions *options, RgError *error);
RgStatus rg_external_judge_compare(RgJudge *judge, const RgJudgeItems *items, double *first,
                                   RgError *error);
void rg_external_judge_destroy(RgJudge *judge);
RgStatus rg_external_judge_use_answers(RgJudge *judge, RgJudgeCache *answers, RgError *error);
void rg_external_judge_take_counts(RgJudge *judge, RgJudgeCount *counts);

/* See RgJudgeType. */
void rg_external_take_counts(RgExternal *external, RgJudgeCount counts[RG_JUDGE_COUNTS]);

#endif
