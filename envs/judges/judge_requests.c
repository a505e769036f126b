/* SPDX-License-Identifier: MIT */
/* The request loop: what is sent when, what is retried, and what is cached. */
#include "envs/judges/judge_requests.h"

#include "core/notice.h"
#include "core/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Seconds: between two checks for a signal; for open requests after an early end; the longest pause
 * chosen by the program. */
static const double glance = 0.1, grace = 3, longest_backoff = 60;
static const double logged_wait = 10; /* seconds of waiting that are logged */

typedef enum Progress { WAITING, UNDER_WAY, DONE } Progress;

typedef struct Question {
    char *request;
    RgDigest key;
    Progress progress;
    int64_t tries;
    double ready;      /* clock before which it is not sent again */
    int64_t duplicate; /* index of the first equal query of this batch, maybe its own */
    RgAnswer *answer;
} Question;

struct RgJudgeRequests {
    RgJudgeClient *client;
    RgJudgeRequestOptions options;
    RgJudgeCache *cache;
    RgJudgeRequestCounts counts;
    int64_t paid;

    /* of the current batch */
    Question *queries; /* [count] */
    int64_t count, open, under_way;
    double quiet_until; /* clock before which nothing is sent */
    double last_answer; /* clock */
    bool logged;        /* the current wait has been logged */
};

RgJudgeRequests *rg_judge_requests_create(RgJudgeClient *client,
                                          const RgJudgeRequestOptions *options) {
    RgJudgeRequests *requests = rg_allocate(1, sizeof *requests);
    requests->client = client;
    requests->options = *options;
    return requests;
}

void rg_judge_requests_destroy(RgJudgeRequests *requests) {
    if (!requests)
        return;
    rg_judge_client_destroy(requests->client);
    free(requests);
}

RgStatus rg_judge_requests_use_cache(RgJudgeRequests *requests, RgJudgeCache *cache,
                                     RgError *error) {
    requests->cache = cache;
    requests->paid = 0;
    return cache ? rg_judge_cache_tries(cache, requests->client->name, &requests->paid, error)
                 : RG_OK;
}

const RgJudgeRequestCounts *rg_judge_requests_counts(const RgJudgeRequests *requests) {
    return &requests->counts;
}

int64_t rg_judge_requests_paid(const RgJudgeRequests *requests) {
    return requests->paid;
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

/* Equal queries are sent once. */
static void find_duplicates(RgJudgeRequests *requests) {
    Question **sorted = rg_allocate(requests->count, sizeof *sorted);
    for (int64_t i = 0; i < requests->count; i++)
        sorted[i] = &requests->queries[i];
    qsort(sorted, (size_t)requests->count, sizeof *sorted, compare_keys);
    for (int64_t i = 0; i < requests->count; i++) {
        bool same = i > 0 && memcmp(&sorted[i]->key, &sorted[i - 1]->key, sizeof(RgDigest)) == 0;
        sorted[i]->duplicate = same ? sorted[i - 1]->duplicate : sorted[i] - requests->queries;
    }
    free(sorted);
}

static void open_batch(RgJudgeRequests *requests, const RgJudgeQuery *queries, int64_t count,
                       RgAnswer *answers) {
    RgDigest judge =
        rg_digest(RG_DIGEST_START, requests->client->name, strlen(requests->client->name));
    requests->queries = rg_allocate(count, sizeof *requests->queries);
    requests->count = count;
    requests->open = requests->under_way = 0;
    requests->quiet_until = 0;
    requests->last_answer = rg_clock_seconds();
    requests->logged = false;
    for (int64_t i = 0; i < count; i++) {
        Question *q = &requests->queries[i];
        q->request = requests->client->request(requests->client, &queries[i]);
        q->key = rg_digest(judge, q->request, strlen(q->request));
        q->answer = &answers[i];
    }
    find_duplicates(requests);
}

static bool is_complete(RgReplyKind kind) {
    return kind == RG_REPLY_ANSWER || kind == RG_REPLY_REFUSAL;
}

/* Take answers from the cache. */
static RgStatus look_up(RgJudgeRequests *requests, RgError *error) {
    for (int64_t i = 0; i < requests->count; i++) {
        Question *q = &requests->queries[i];
        bool refused = false;
        if (q->duplicate == i && requests->cache)
            RG_TRY(
                rg_judge_cache_find(requests->cache, &q->key, &q->answer->text, &refused, error));
        if (q->duplicate != i || q->answer->text) {
            q->answer->kind = refused ? RG_REPLY_REFUSAL : RG_REPLY_ANSWER;
            q->progress = DONE;
            requests->counts.cached++;
        } else {
            requests->open++;
        }
    }
    return RG_OK;
}

static void close_batch(RgJudgeRequests *requests, bool good) {
    for (int64_t i = 0; i < requests->count; i++) {
        const Question *q = &requests->queries[i];
        if (good && q->duplicate != i) {
            const RgAnswer *duplicate = requests->queries[q->duplicate].answer;
            *q->answer = (RgAnswer){duplicate->kind, rg_string_copy(duplicate->text)};
        }
        if (!good) {
            free(q->answer->text);
            *q->answer = (RgAnswer){0};
        }
        free(q->request);
    }
    free(requests->queries);
    requests->queries = NULL;
    requests->count = 0;
}

/* ---- sending ---- */

static RgStatus send_query(RgJudgeRequests *requests, Question *q, RgError *error) {
    const RgJudgeRequestOptions *o = &requests->options;
    if (o->budget > 0 && requests->paid >= o->budget)
        return rg_fail(
            error, RG_E_JUDGE,
            "%s: the budget of %lld calls is spent, with %lld requests of this batch open",
            requests->client->name, (long long)o->budget, (long long)requests->open);
    if (requests->cache)
        RG_TRY(rg_judge_cache_note_try(requests->cache, requests->client->name, &q->key, 1, error));
    requests->paid++;
    requests->counts.calls++;
    requests->counts.retries += q->tries > 0;
    requests->under_way++;
    q->tries++;
    q->progress = UNDER_WAY;
    requests->client->start(requests->client, q - requests->queries, q->request);
    return RG_OK;
}

/* Send due requests in the order of the queries. */
static RgStatus send_due(RgJudgeRequests *requests, double now, RgError *error) {
    if (now < requests->quiet_until)
        return RG_OK;
    for (int64_t i = 0; i < requests->count && requests->under_way < requests->options.parallel;
         i++) {
        Question *q = &requests->queries[i];
        if (q->progress == WAITING && q->ready <= now)
            RG_TRY(send_query(requests, q, error));
    }
    return RG_OK;
}

/* Seconds until a request may be due. */
static double until_due(const RgJudgeRequests *requests, double now) {
    double due = INFINITY;
    for (int64_t i = 0; i < requests->count; i++)
        if (requests->queries[i].progress == WAITING)
            due = fmin(due, fmax(requests->queries[i].ready, requests->quiet_until));
    bool full = requests->under_way >= requests->options.parallel;
    return full ? glance : fmin(glance, fmax(0, due - now));
}

/* ---- replies ---- */

static RgStatus take_back(RgJudgeRequests *requests, const Question *q, RgError *error) {
    requests->paid--;
    requests->counts.calls--;
    if (!requests->cache)
        return RG_OK;
    return rg_judge_cache_note_try(requests->cache, requests->client->name, &q->key, -1, error);
}

/* Log a long pause or silence, once until an answer comes. */
static void log_pause(RgJudgeRequests *requests, const RgReply *reply, double seconds) {
    if (seconds < logged_wait || requests->logged)
        return;
    requests->logged = true;
    rg_notice("%s: %s; %lld requests wait for %.0f seconds", requests->client->name, reply->text,
              (long long)requests->open, seconds);
}

static void log_silence(RgJudgeRequests *requests, double now) {
    if (now - requests->last_answer < logged_wait || requests->logged)
        return;
    requests->logged = true;
    rg_notice("%s: no answer for %.0f seconds; %lld requests open, %lld of them sent",
              requests->client->name, now - requests->last_answer, (long long)requests->open,
              (long long)requests->under_way);
}

/* Retry later. Other requests wait, too, unless the query itself is at fault. */
static void postpone(RgJudgeRequests *requests, Question *q, const RgReply *reply) {
    double pause = requests->options.backoff * pow(2, (double)(q->tries - 1));
    pause = fmax(fmin(pause, longest_backoff), reply->wait);
    q->ready = rg_clock_seconds() + pause;
    q->progress = WAITING;
    bool everyone = reply->kind == RG_REPLY_UNREACHED || reply->kind == RG_REPLY_BUSY;
    if (everyone || reply->wait > 0)
        requests->quiet_until = fmax(requests->quiet_until, q->ready);
    log_pause(requests, reply, pause);
}

static RgStatus fail_for(const RgJudgeRequests *requests, const Question *q, const RgReply *reply,
                         RgError *error) {
    const char *times = q->tries == 1 ? "" : ", and so in the attempts before";
    if (reply->wait > requests->options.longest_wait)
        return rg_fail(error, RG_E_JUDGE,
                       "%s: %s, and requires a wait of %.0f seconds, with longest_wait = %g; "
                       "answers so far are kept, run again later",
                       requests->client->name, reply->text, reply->wait,
                       requests->options.longest_wait);
    return rg_fail(error, RG_E_JUDGE, "%s: %s%s; answers so far are kept", requests->client->name,
                   reply->text, times);
}

/* Handle a reply. Its text moves to the answer, or stays. */
static RgStatus take_reply(RgJudgeRequests *requests, RgReply *reply, RgError *error) {
    Question *q = &requests->queries[reply->request_id];
    requests->under_way--;
    requests->counts.replies[reply->kind]++;
    if (!reply->reached)
        RG_TRY(take_back(requests, q, error));
    bool complete = is_complete(reply->kind);
    bool final = reply->final || reply->kind == RG_REPLY_REJECTED ||
                 reply->wait > requests->options.longest_wait;
    if (complete && requests->cache)
        RG_TRY(rg_judge_cache_keep(requests->cache, &q->key, reply->text,
                                   reply->kind == RG_REPLY_REFUSAL, error));
    if (reply->kind == RG_REPLY_FORBIDDEN)
        return fail_for(requests, q, reply, error);
    if (!complete && !final && q->tries <= requests->options.retries) {
        postpone(requests, q, reply);
        return RG_OK;
    }
    if (!complete && !requests->options.give_up)
        return fail_for(requests, q, reply, error);
    requests->last_answer = rg_clock_seconds();
    requests->logged = false;
    *q->answer = (RgAnswer){reply->kind, reply->text};
    reply->text = NULL;
    q->progress = DONE;
    requests->open--;
    return RG_OK;
}

static RgStatus receive(RgJudgeRequests *requests, double seconds, RgError *error) {
    RgReply reply = {0};
    if (!requests->client->wait(requests->client, seconds, &reply))
        return RG_OK;
    RgStatus status = take_reply(requests, &reply, error);
    free(reply.text);
    return status;
}

/* End early. Open requests are paid for, so answers that come soon are cached. */
static void end_early(RgJudgeRequests *requests) {
    double end = rg_clock_seconds() + grace;
    for (double now = 0; requests->under_way > 0 && (now = rg_clock_seconds()) < end;) {
        RgError ignored = {0}; /* the first error is reported */
        receive(requests, fmin(glance, end - now), &ignored);
    }
    requests->client->abandon(requests->client);
}

static RgStatus work(RgJudgeRequests *requests, RgError *error) {
    while (requests->open > 0) {
        if (rg_stop_wanted())
            return rg_fail(error, RG_E_STOPPED,
                           "stopped by a signal with %lld requests to the judge open; answers so "
                           "far are kept, run again to continue",
                           (long long)requests->open);
        double now = rg_clock_seconds();
        log_silence(requests, now);
        RG_TRY(send_due(requests, now, error));
        RG_TRY(receive(requests, until_due(requests, now), error));
    }
    return RG_OK;
}

RgStatus rg_judge_requests_answer(RgJudgeRequests *requests, const RgJudgeQuery *queries,
                                  int64_t count, RgAnswer *answers, RgError *error) {
    memset(answers, 0, (size_t)count * sizeof *answers);
    open_batch(requests, queries, count, answers);
    RgStatus status = look_up(requests, error);
    if (status == RG_OK)
        status = work(requests, error);
    if (status != RG_OK)
        end_early(requests);
    close_batch(requests, status == RG_OK);
    return status;
}
