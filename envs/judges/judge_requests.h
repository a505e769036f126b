/* SPDX-License-Identifier: MIT */
/* Requests to an external judge: several at a time, with retries after failures, each answer cached
 * on arrival (core/results/judge_cache.h), and no request for a cached answer.
 *
 * Answers are returned in the order of the queries, so results do not depend on the order of
 * arrival. A failed request is repeated after backoff · 2^k seconds, at most a minute, or after the
 * wait that the judge requires, if it is within the limit. If there is no connection or the judge
 * is busy, all other requests wait, too. A final failure is not repeated. Long waits are logged (core/notice.h). A complete answer
 * is never requested again, whatever it contains.
 *
 * One thread at a time uses the object. */
#ifndef RG_ENVS_JUDGES_JUDGE_REQUESTS_H
#define RG_ENVS_JUDGES_JUDGE_REQUESTS_H

#include "core/results/judge_cache.h"
#include "envs/judges/judge_client.h"

typedef struct RgJudgeRequestOptions {
    int64_t parallel;    /* most requests open at a time */
    int64_t retries;     /* of a request, after the first attempt */
    double backoff;      /* seconds before the first retry */
    double longest_wait; /* seconds that the judge may require; for more, there is no retry */
    int64_t budget;      /* most attempts recorded in the results store; 0: no limit */
    bool give_up;        /* true: leave a query without an answer; false: stop with an error */
} RgJudgeRequestOptions;

/* Counts since the object was created. */
typedef struct RgJudgeRequestCounts {
    int64_t calls;   /* attempts that reached the judge */
    int64_t cached;  /* answers found in the cache */
    int64_t retries; /* attempts after the first */
    int64_t replies[RG_REPLY_KINDS];
} RgJudgeRequestCounts;

/* The answer to one query: RG_REPLY_ANSWER or RG_REPLY_REFUSAL; else the last failure. */
typedef struct RgAnswer {
    RgReplyKind kind;
    char *text; /* malloc'd: the answer, or the description of the failure */
} RgAnswer;

typedef struct RgJudgeRequests RgJudgeRequests;

/* Takes ownership of the client. */
RgJudgeRequests *rg_judge_requests_create(RgJudgeClient *client,
                                          const RgJudgeRequestOptions *options);
void rg_judge_requests_destroy(RgJudgeRequests *requests);
/* Keep answers in this cache (borrowed); NULL: keep none, as initially. */
RgStatus rg_judge_requests_use_cache(RgJudgeRequests *requests, RgJudgeCache *cache,
                                     RgError *error);
const RgJudgeRequestCounts *rg_judge_requests_counts(const RgJudgeRequests *requests);
/* Attempts of this judge recorded in the results store. */
int64_t rg_judge_requests_paid(const RgJudgeRequests *requests);

/* Get answers [count] to queries [count]. On an error the answers are zeroed:
 *   RG_E_JUDGE    a query has no answer and `give_up` is not set, or the judge rejects all
 *                 queries, or the budget is spent;
 *   RG_E_STORE    an answer could not be cached;
 *   RG_E_STOPPED  a signal came: nothing more is sent, and open requests have three seconds.
 * Answers that arrived before are in the cache in each case. */
RgStatus rg_judge_requests_answer(RgJudgeRequests *requests, const RgJudgeQuery *queries,
                                  int64_t count, RgAnswer *answers, RgError *error);
void rg_answers_release(RgAnswer *answers, int64_t count);

#endif
