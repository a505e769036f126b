/* SPDX-License-Identifier: MIT */
/* The loop that asks: what is sent when, what is tried again, and what is kept. */
#include "envs/judges/judge_requests.h"

#include "core/notice.h"
#include "core/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Seconds: between two looks at whether a signal came; for answers under way when asking ends; the
 * longest pause that the program chooses itself. */
static const double glance = 0.1, grace = 3, longest_backoff = 60;
static const double worth_telling = 10; /* seconds of waiting */

typedef enum Progress { WAITING, UNDER_WAY, DONE } Progress;

typedef struct Question {
    char *request;
    RgDigest key;
    Progress progress;
    int64_t tries;
    double ready; /* clock before which it is not sent again */
    int64_t twin; /* an earlier question of this batch that is the same, or itself */
    RgAnswer *answer;
} Question;

struct RgAsking {
    RgAsker *asker;
    RgAskingOptions options;
    RgAnswerShelf *shelf;
    RgAskingCounts counts;
    int64_t paid;

    /* of the batch in hand */
    Question *questions; /* [count] */
    int64_t count, open, under_way;
    double quiet_until; /* clock before which nothing is sent */
    double last_answer; /* clock */
    bool told;          /* that there is waiting, since then */
};

RgAsking *rg_asking_create(RgAsker *asker, const RgAskingOptions *options) {
    RgAsking *asking = rg_allocate(1, sizeof *asking);
    asking->asker = asker;
    asking->options = *options;
    return asking;
}

void rg_asking_destroy(RgAsking *asking) {
    if (!asking)
        return;
    rg_asker_destroy(asking->asker);
    free(asking);
}

RgStatus rg_asking_use_shelf(RgAsking *asking, RgAnswerShelf *shelf, RgError *error) {
    asking->shelf = shelf;
    asking->paid = 0;
    return shelf ? rg_answer_shelf_tries(shelf, asking->asker->name, &asking->paid, error) : RG_OK;
}

const RgAskingCounts *rg_asking_counts(const RgAsking *asking) {
    return &asking->counts;
}

int64_t rg_asking_paid(const RgAsking *asking) {
    return asking->paid;
}

void rg_answers_release(RgAnswer *answers, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        free(answers[i].text);
    memset(answers, 0, (size_t)count * sizeof *answers);
}

/* ---- a batch ---- */

static int compare_keys(const void *a, const void *b) {
    const Question *const *x = a, *const *y = b;
    int order = memcmp(&(*x)->key, &(*y)->key, sizeof(RgDigest));
    return order ? order : (*x > *y) - (*x < *y);
}

/* The same question is asked once. */
static void find_twins(RgAsking *asking) {
    Question **sorted = rg_allocate(asking->count, sizeof *sorted);
    for (int64_t i = 0; i < asking->count; i++)
        sorted[i] = &asking->questions[i];
    qsort(sorted, (size_t)asking->count, sizeof *sorted, compare_keys);
    for (int64_t i = 0; i < asking->count; i++) {
        bool same = i > 0 && memcmp(&sorted[i]->key, &sorted[i - 1]->key, sizeof(RgDigest)) == 0;
        sorted[i]->twin = same ? sorted[i - 1]->twin : sorted[i] - asking->questions;
    }
    free(sorted);
}

static void open_batch(RgAsking *asking, const RgQuestion *questions, int64_t count,
                       RgAnswer *answers) {
    RgDigest judge = rg_digest(RG_DIGEST_START, asking->asker->name, strlen(asking->asker->name));
    asking->questions = rg_allocate(count, sizeof *asking->questions);
    asking->count = count;
    asking->open = asking->under_way = 0;
    asking->quiet_until = 0;
    asking->last_answer = rg_clock_seconds();
    asking->told = false;
    for (int64_t i = 0; i < count; i++) {
        Question *q = &asking->questions[i];
        q->request = asking->asker->request(asking->asker, &questions[i]);
        q->key = rg_digest(judge, q->request, strlen(q->request));
        q->answer = &answers[i];
    }
    find_twins(asking);
}

static bool is_complete(RgReplyKind kind) {
    return kind == RG_REPLY_ANSWER || kind == RG_REPLY_REFUSAL;
}

/* Take what is on the shelf. */
static RgStatus look_up(RgAsking *asking, RgError *error) {
    for (int64_t i = 0; i < asking->count; i++) {
        Question *q = &asking->questions[i];
        bool refused = false;
        if (q->twin == i && asking->shelf)
            RG_TRY(rg_answer_shelf_find(asking->shelf, &q->key, &q->answer->text, &refused, error));
        if (q->twin != i || q->answer->text) {
            q->answer->kind = refused ? RG_REPLY_REFUSAL : RG_REPLY_ANSWER;
            q->progress = DONE;
            asking->counts.cached++;
        } else {
            asking->open++;
        }
    }
    return RG_OK;
}

static void close_batch(RgAsking *asking, bool good) {
    for (int64_t i = 0; i < asking->count; i++) {
        const Question *q = &asking->questions[i];
        if (good && q->twin != i) {
            const RgAnswer *twin = asking->questions[q->twin].answer;
            *q->answer = (RgAnswer){twin->kind, rg_string_copy(twin->text)};
        }
        if (!good) {
            free(q->answer->text);
            *q->answer = (RgAnswer){0};
        }
        free(q->request);
    }
    free(asking->questions);
    asking->questions = NULL;
    asking->count = 0;
}

/* ---- sending ---- */

static RgStatus send_question(RgAsking *asking, Question *q, RgError *error) {
    const RgAskingOptions *o = &asking->options;
    if (o->budget > 0 && asking->paid >= o->budget)
        return rg_fail(error, RG_E_JUDGE,
                       "%s: the budget of %lld calls is spent, with %lld questions of this batch "
                       "open",
                       asking->asker->name, (long long)o->budget, (long long)asking->open);
    if (asking->shelf)
        RG_TRY(rg_answer_shelf_note_try(asking->shelf, asking->asker->name, &q->key, 1, error));
    asking->paid++;
    asking->counts.calls++;
    asking->counts.retries += q->tries > 0;
    asking->under_way++;
    q->tries++;
    q->progress = UNDER_WAY;
    asking->asker->start(asking->asker, q - asking->questions, q->request);
    return RG_OK;
}

/* In the order of the questions, those that are due. */
static RgStatus send_due(RgAsking *asking, double now, RgError *error) {
    if (now < asking->quiet_until)
        return RG_OK;
    for (int64_t i = 0; i < asking->count && asking->under_way < asking->options.parallel; i++) {
        Question *q = &asking->questions[i];
        if (q->progress == WAITING && q->ready <= now)
            RG_TRY(send_question(asking, q, error));
    }
    return RG_OK;
}

/* Seconds until there may be something to send. */
static double until_due(const RgAsking *asking, double now) {
    double due = INFINITY;
    for (int64_t i = 0; i < asking->count; i++)
        if (asking->questions[i].progress == WAITING)
            due = fmin(due, fmax(asking->questions[i].ready, asking->quiet_until));
    bool full = asking->under_way >= asking->options.parallel;
    return full ? glance : fmin(glance, fmax(0, due - now));
}

/* ---- replies ---- */

static RgStatus take_back(RgAsking *asking, const Question *q, RgError *error) {
    asking->paid--;
    asking->counts.calls--;
    if (!asking->shelf)
        return RG_OK;
    return rg_answer_shelf_note_try(asking->shelf, asking->asker->name, &q->key, -1, error);
}

/* A long pause, or a long silence, is told once until an answer comes. */
static void tell_pause(RgAsking *asking, const RgReply *reply, double seconds) {
    if (seconds < worth_telling || asking->told)
        return;
    asking->told = true;
    rg_notice("%s: %s; %lld questions wait for %.0f seconds", asking->asker->name, reply->text,
              (long long)asking->open, seconds);
}

static void tell_silence(RgAsking *asking, double now) {
    if (now - asking->last_answer < worth_telling || asking->told)
        return;
    asking->told = true;
    rg_notice("%s: no answer for %.0f seconds; %lld questions open, %lld of them under way",
              asking->asker->name, now - asking->last_answer, (long long)asking->open,
              (long long)asking->under_way);
}

/* Try again later; others wait too where it is not the question that is at fault. */
static void postpone(RgAsking *asking, Question *q, const RgReply *reply) {
    double pause = asking->options.backoff * pow(2, (double)(q->tries - 1));
    pause = fmax(fmin(pause, longest_backoff), reply->wait);
    q->ready = rg_clock_seconds() + pause;
    q->progress = WAITING;
    bool everyone = reply->kind == RG_REPLY_UNREACHED || reply->kind == RG_REPLY_BUSY;
    if (everyone || reply->wait > 0)
        asking->quiet_until = fmax(asking->quiet_until, q->ready);
    tell_pause(asking, reply, pause);
}

static RgStatus fail_for(const RgAsking *asking, const Question *q, const RgReply *reply,
                         RgError *error) {
    const char *times = q->tries == 1 ? "" : ", and so in the tries before";
    if (reply->wait > asking->options.longest_wait)
        return rg_fail(error, RG_E_JUDGE,
                       "%s: %s, and asks to be left alone for %.0f seconds, with longest_wait = "
                       "%g; answers so far are kept, run again later",
                       asking->asker->name, reply->text, reply->wait, asking->options.longest_wait);
    return rg_fail(error, RG_E_JUDGE, "%s: %s%s; answers so far are kept", asking->asker->name,
                   reply->text, times);
}

/* What becomes of the question; the reply's text goes into the answer, or stays. */
static RgStatus take_reply(RgAsking *asking, RgReply *reply, RgError *error) {
    Question *q = &asking->questions[reply->ticket];
    asking->under_way--;
    asking->counts.replies[reply->kind]++;
    if (!reply->reached)
        RG_TRY(take_back(asking, q, error));
    bool complete = is_complete(reply->kind);
    bool final = reply->kind == RG_REPLY_REJECTED || reply->wait > asking->options.longest_wait;
    if (complete && asking->shelf)
        RG_TRY(rg_answer_shelf_keep(asking->shelf, &q->key, reply->text,
                                    reply->kind == RG_REPLY_REFUSAL, error));
    if (reply->kind == RG_REPLY_FORBIDDEN)
        return fail_for(asking, q, reply, error);
    if (!complete && !final && q->tries <= asking->options.retries) {
        postpone(asking, q, reply);
        return RG_OK;
    }
    if (!complete && !asking->options.give_up)
        return fail_for(asking, q, reply, error);
    asking->last_answer = rg_clock_seconds();
    asking->told = false;
    *q->answer = (RgAnswer){reply->kind, reply->text};
    reply->text = NULL;
    q->progress = DONE;
    asking->open--;
    return RG_OK;
}

static RgStatus receive(RgAsking *asking, double seconds, RgError *error) {
    RgReply reply = {0};
    if (!asking->asker->wait(asking->asker, seconds, &reply))
        return RG_OK;
    RgStatus status = take_reply(asking, &reply, error);
    free(reply.text);
    return status;
}

/* Asking ends early. What is under way is paid for: what comes of it soon is kept. */
static void end_early(RgAsking *asking) {
    double end = rg_clock_seconds() + grace;
    for (double now = 0; asking->under_way > 0 && (now = rg_clock_seconds()) < end;) {
        RgError ignored = {0}; /* the first error is the one to tell */
        receive(asking, fmin(glance, end - now), &ignored);
    }
    asking->asker->abandon(asking->asker);
}

static RgStatus work(RgAsking *asking, RgError *error) {
    while (asking->open > 0) {
        if (rg_stop_wanted())
            return rg_fail(error, RG_E_STOPPED,
                           "stopped by a signal with %lld questions to the judge open; answers so "
                           "far are kept, run again to continue",
                           (long long)asking->open);
        double now = rg_clock_seconds();
        tell_silence(asking, now);
        RG_TRY(send_due(asking, now, error));
        RG_TRY(receive(asking, until_due(asking, now), error));
    }
    return RG_OK;
}

RgStatus rg_asking_ask(RgAsking *asking, const RgQuestion *questions, int64_t count,
                       RgAnswer *answers, RgError *error) {
    memset(answers, 0, (size_t)count * sizeof *answers);
    open_batch(asking, questions, count, answers);
    RgStatus status = look_up(asking, error);
    if (status == RG_OK)
        status = work(asking, error);
    if (status != RG_OK)
        end_early(asking);
    close_batch(asking, status == RG_OK);
    return status;
}
