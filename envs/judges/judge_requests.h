/* SPDX-License-Identifier: MIT */
/* Asking an outside judge many questions: several at a time, again where a try fails, each answer
 * kept as it comes (core/results/judge_cache.h), and nothing asked that was answered before.
 *
 * Answers are handed out in the order of the questions, so that what is done with them does not
 * depend on which came first. A failed try is repeated after backoff · 2^k seconds, at most a
 * minute, or as long as the judge asks to wait, if that is not too long; where nobody is there or
 * the judge has too many questions, all others wait too. Long waits are told (core/notice.h). A
 * complete answer, whatever it says, is never asked for again. */
#ifndef RG_ENVS_JUDGES_JUDGE_REQUESTS_H
#define RG_ENVS_JUDGES_JUDGE_REQUESTS_H

#include "core/results/judge_cache.h"
#include "envs/judges/judge_client.h"

typedef struct RgAskingOptions {
    int64_t parallel; /* questions under way at a time */
    int64_t retries;  /* of a question, after the first try */
    double backoff;   /* seconds before the first of these */
    double
        longest_wait; /* seconds that the judge may ask to wait; for more it is not tried again */
    int64_t budget;   /* tries of this judge that the results store may come to; 0: no limit */
    bool give_up;     /* a question without an answer is left without one; else asking ends */
} RgAskingOptions;

/* What was done since the beginning. */
typedef struct RgAskingCounts {
    int64_t calls;   /* tries that reached the judge */
    int64_t cached;  /* answers that were there already */
    int64_t retries; /* tries after the first */
    int64_t replies[RG_REPLY_KINDS];
} RgAskingCounts;

/* Of one question; kind RG_REPLY_ANSWER or RG_REPLY_REFUSAL, else how its last try failed. */
typedef struct RgAnswer {
    RgReplyKind kind;
    char *text; /* malloc'd: the answer, or what happened */
} RgAnswer;

typedef struct RgAsking RgAsking;

/* The asker is owned. */
RgAsking *rg_asking_create(RgAsker *asker, const RgAskingOptions *options);
void rg_asking_destroy(RgAsking *asking);
/* Where answers are kept (borrowed); without one, or NULL, nowhere. */
RgStatus rg_asking_use_shelf(RgAsking *asking, RgAnswerShelf *shelf, RgError *error);
const RgAskingCounts *rg_asking_counts(const RgAsking *asking);
int64_t rg_asking_paid(const RgAsking *asking); /* tries of this judge in the results store */

/* answers [count] to questions [count], which are zeroed where asking ends early:
 *   RG_E_JUDGE    a question stays without an answer and `give_up` is not set, or no further
 *                 question would be taken, or the budget is spent;
 *   RG_E_STORE    an answer could not be kept;
 *   RG_E_STOPPED  a signal came: nothing more is asked, and what is under way has three seconds.
 * Answers that came before are on the shelf in each case. */
RgStatus rg_asking_ask(RgAsking *asking, const RgQuestion *questions, int64_t count,
                       RgAnswer *answers, RgError *error);
void rg_answers_release(RgAnswer *answers, int64_t count);

#endif
