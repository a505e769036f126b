/* SPDX-License-Identifier: MIT */
/* Comparisons by an outside judge. Judges prefer what they read first, or last: each pair is asked
 * in both orders, and only where both answers name the same response is it the better one.
 *
 * An answer is read by a pattern: what it matches is A, B, or C for a tie. */
#ifndef RG_ENVS_JUDGES_JUDGE_EXTERNAL_H
#define RG_ENVS_JUDGES_JUDGE_EXTERNAL_H

#include "envs/judges/judge.h"
#include "envs/judges/judge_requests.h"

/* How an answer is read where nothing else is asked for: a line that is the letter, maybe after
 * "Answer", and nothing else. */
#define RG_EXTERNAL_ANSWER "^\\W*(?:answer)?\\W*\\K[AB](?=\\W*$)"

typedef enum RgVerdict {
    RG_VERDICT_FIRST,
    RG_VERDICT_SECOND,
    RG_VERDICT_TIE,
    RG_VERDICT_NONE, /* it is not known, and not to be guessed */
} RgVerdict;

/* What is made of two answers that contradict each other: a tie, no verdict, or what the judge says
 * when it reads the first response first. */
typedef enum RgDisagreement {
    RG_DISAGREEMENT_TIE,
    RG_DISAGREEMENT_SKIP,
    RG_DISAGREEMENT_FIRST
} RgDisagreement;
extern const char *const rg_disagreements[]; /* tie, skip, first_asked */

/* What is done about a query that stays without an answer, or whose answer says neither. */
typedef enum RgAnswerFailure { RG_FAILURE_STOP, RG_FAILURE_TIE, RG_FAILURE_SKIP } RgAnswerFailure;
extern const char *const rg_answer_failures[]; /* stop, tie, skip */

typedef struct RgExternalOptions {
    const char *answer; /* pattern; the case of letters does not matter */
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

/* Options of a judge that is one: `member` of its struct `type` is RgExternalOptions. */
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

/* The client is owned, also where this fails: RG_E_USAGE, with the option's name. */
RgStatus rg_external_create(RgJudgeClient *client, const RgExternalOptions *options,
                            RgExternal **external, RgError *error);
void rg_external_destroy(RgExternal *external);
RgStatus rg_external_use_cache(RgExternal *external, RgJudgeCache *cache, RgError *error);

/* verdicts [count] on pairs [count], all or none. Equal texts are a tie, which nobody is asked
 * about. Errors as rg_judge_requests_answer has them; RG_E_JUDGE also for an answer that says
 * neither, where failures stop. */
RgStatus rg_external_compare(RgExternal *external, const RgJudgeQuery *pairs, int64_t count,
                             RgVerdict *verdicts, RgError *error);

/* What a judge's descriptor is made of: its state is an external judge. */
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
