/* SPDX-License-Identifier: MIT */
/* Asking an outside judge many queries: several at a time, again where a try fails, each answer
 * kept as it comes (core/results/judge_cache.h), and nothing asked that was answered before.
 *
 * Answers are handed out in the order of the queries, so that what is done with them does not
 * depend on which came first. A failed try is repeated after backoff · 2^k seconds, at most a
 * minute, or as long as the judge asks to wait, if that is not too long; where nobody is there or
 * the judge has too many queries, all others wait too. Long waits are told (core/notice.h). A
 * complete answer, whatever it says, is never asked for again. */
#ifndef RG_ENVS_JUDGES_JUDGE_REQUESTS_H
#define RG_ENVS_JUDGES_JUDGE_REQUESTS_H

#include "core/results/judge_cache.h"
#include "envs/judges/judge_client.h"

typedef struct RgJudgeRequestOptions {
    int64_t parallel; /* queries under way at a time */
    int64_t retries;  /* of a query, after the first try */
    double backoff;   /* seconds before the first of these */
    double
        longest_wait; /* seconds that the judge may ask to wait; for more it is not tried again */
    int64_t budget;   /* tries of this judge that the results store may come to; 0: no limit */
    bool give_up;     /* a query without an answer is left without one; else requests ends */
} RgJudgeRequestOptions;

/* What was done since the beginning. */
typedef struct RgJudgeRequestCounts {
    int64_t calls;   /* tries that reached the judge */
    int64_t cached;  /* answers that were there already */
    int64_t retries; /* tries after the first */
    int64_t replies[RG_REPLY_KINDS];
} RgJudgeRequestCounts;

/* Of one query; kind RG_REPLY_ANSWER or RG_REPLY_REFUSAL, else how its last try failed. */
typedef struct RgAnswer {
    RgReplyKind kind;
    char *text; /* malloc'd: the answer, or what happened */
} RgAnswer;

typedef struct RgJudgeRequests RgJudgeRequests;

/* The client is owned. */
RgJudgeRequests *rg_judge_requests_create(RgJudgeClient *client,
                                          const RgJudgeRequestOptions *options);
void rg_judge_requests_destroy(RgJudgeRequests *requests);
/* Where answers are kept (borrowed); without one, or NULL, nowhere. */
RgStatus rg_judge_requests_use_cache(RgJudgeRequests *requests, RgJudgeCache *cache,
                                     RgError *error);
const RgJudgeRequestCounts *rg_judge_requests_counts(const RgJudgeRequests *requests);
int64_t rg_judge_requests_paid(
    const RgJudgeRequests *requests); /* tries of this judge in the results store */

/* answers [count] to queries [count], which are zeroed where requests ends early:
 *   RG_E_JUDGE    a query stays without an answer and `give_up` is not set, or no further
 *                 query would be taken, or the budget is spent;
 *   RG_E_STORE    an answer could not be kept;
 *   RG_E_STOPPED  a signal came: nothing more is asked, and what is under way has three seconds.
 * Answers that came before are on the cache in each case. */
RgStatus rg_judge_requests_answer(RgJudgeRequests *requests, const RgJudgeQuery *queries,
                                  int64_t count, RgAnswer *answers, RgError *error);
void rg_answers_release(RgAnswer *answers, int64_t count);

#endif
