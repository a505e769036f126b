/* SPDX-License-Identifier: MIT */
/* From answers to verdicts and scores. */
#include "envs/judges/judge_external.h"

#include "core/text/pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const disagreements[] = {"tie", "skip", "first_asked", NULL};
static const char *const failures[] = {"stop", "tie", "skip", NULL};

const RgOption rg_external_options[] = {
    RG_OPTION_STRING(RgExternalOptions, answer, RG_EXTERNAL_ANSWER,
                     "regular expression (PCRE2, case-insensitive) whose match in an answer is A, "
                     "B, or C for a tie; several matches have to agree. Or \"score\": the judge "
                     "gives each response a number, which is its reward"),
    RG_OPTION_CHOICE(RgExternalOptions, on_disagreement, "tie", disagreements,
                     "each pair is judged in both orders; the result when the two answers "
                     "contradict each other: tie (either label with probability 1/2, half a win); "
                     "skip, no label; or first_asked, the answer for the pair in its given order"),
    RG_OPTION_CHOICE(RgExternalOptions, on_failure, "stop", failures,
                     "what to do without an answer, or with one that is none of A, B and C: stop, "
                     "the trial fails and resumes when it is run again; tie; or skip, no label"),
    RG_OPTION_INTEGER(RgExternalOptions, parallel, "4", 1, 1024, "most requests open at a time",
                      .execution_only = true),
    RG_OPTION_INTEGER(RgExternalOptions, retries, "6", 0, 1e6,
                      "how often a failed request is repeated, that to a command which has never "
                      "answered at most twice; a complete answer is never requested again, "
                      "whatever it contains",
                      .execution_only = true),
    RG_OPTION_REAL(RgExternalOptions, backoff, "1", 0, 3600,
                   "seconds before the first retry; doubled for each further retry up to a minute, "
                   "or as long as the judge requires (Retry-After)",
                   .execution_only = true),
    RG_OPTION_REAL(RgExternalOptions, longest_wait, "600", 0, 604800,
                   "longest wait in seconds that the judge may require (Retry-After); if it "
                   "requires more, the request is not repeated, see on_failure",
                   .execution_only = true),
    RG_OPTION_INTEGER(RgExternalOptions, budget, "0", 0, 1e15,
                      "number of calls to this judge after which a trial fails, over all trials of "
                      "the results store, retries included; 0: no limit",
                      .execution_only = true),
    RG_OPTION_END,
};

/* A line with nothing but a number, optionally after a word for it. */
static const char number[] =
    "^[^\\w+.\\p{Pd}−]*(?:(?:score|answer|rating|reward)[^\\w+.\\p{Pd}−]*)?\\K"
    "[-+]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[-+]?\\d+)?(?=[^\\w/%]*$)";

bool rg_external_scores(const RgExternalOptions *options) {
    return strcmp(options->answer, RG_EXTERNAL_SCORE) == 0;
}

/* The meaning of one answer; NEITHER without an answer or with an unclear one. */
typedef enum Saying { SAYS_A, SAYS_B, SAYS_TIE, SAYS_NEITHER } Saying;

/* Counts of comparisons. */
typedef struct Counts {
    int64_t comparisons, ties, disagreements, equal, nonsense, failed;
} Counts;

struct RgExternal {
    RgJudgeRequests *requests;
    char *name;
    RgPattern *answer;
    RgMatcher *matcher;
    RgDisagreement on_disagreement;
    RgAnswerFailure on_failure;
    Counts counts, taken;                /* in total, and at the last take_counts */
    RgJudgeRequestCounts requests_taken; /* counts of requests at the last take_counts */
};

static RgStatus make_pattern(RgExternal *e, const char *source, RgError *error) {
    char *any_case = rg_string_format("(?i)%s", source);
    RgStatus status = rg_pattern_create(any_case, RG_PATTERN_PCRE2, &e->answer, error);
    free(any_case);
    if (status == RG_OK)
        return RG_OK;
    rg_fail_in(error, status, "answer");
    return RG_E_USAGE;
}

/* A response without a reward can neither be a tie nor be left out. */
static RgStatus check_scores(const RgExternalOptions *o, RgError *error) {
    if (o->on_failure != RG_FAILURE_STOP)
        return rg_fail(error, RG_E_USAGE, "on_failure: expected \"stop\" with answer = \"score\"");
    if (o->on_disagreement != RG_DISAGREEMENT_TIE)
        return rg_fail(error, RG_E_USAGE,
                       "on_disagreement has no meaning with answer = \"score\", which asks for one "
                       "response at a time");
    return RG_OK;
}

RgStatus rg_external_create(RgJudgeClient *client, const RgExternalOptions *o,
                            RgExternal **external, RgError *error) {
    RgJudgeRequestOptions requests = {.parallel = o->parallel,
                                      .retries = o->retries,
                                      .backoff = o->backoff,
                                      .longest_wait = o->longest_wait,
                                      .budget = o->budget,
                                      .give_up = o->on_failure != RG_FAILURE_STOP};
    RgExternal *e = rg_allocate(1, sizeof *e);
    *e = (RgExternal){.requests = rg_judge_requests_create(client, &requests),
                      .name = rg_string_copy(client->name),
                      .matcher = rg_matcher_create(),
                      .on_disagreement = (RgDisagreement)o->on_disagreement,
                      .on_failure = (RgAnswerFailure)o->on_failure};
    bool scores = rg_external_scores(o);
    RgStatus status = scores ? check_scores(o, error) : RG_OK;
    if (status == RG_OK)
        status = make_pattern(e, scores ? number : o->answer, error);
    *external = status == RG_OK ? e : NULL;
    if (status != RG_OK)
        rg_external_destroy(e);
    return status;
}

void rg_external_destroy(RgExternal *external) {
    if (!external)
        return;
    rg_judge_requests_destroy(external->requests);
    rg_pattern_destroy(external->answer);
    rg_matcher_destroy(external->matcher);
    free(external->name);
    free(external);
}

RgStatus rg_external_use_cache(RgExternal *external, RgJudgeCache *cache, RgError *error) {
    return rg_judge_requests_use_cache(external->requests, cache, error);
}

/* ---- one answer ---- */

static Saying saying_of_match(const char *text, size_t size) {
    char c = size == 1 ? *text : 0;
    return c == 'A' || c == 'a'   ? SAYS_A
           : c == 'B' || c == 'b' ? SAYS_B
           : c == 'C' || c == 'c' ? SAYS_TIE
                                  : SAYS_NEITHER;
}

/* All matches of the pattern have to agree. */
static Saying read_text(RgExternal *e, const char *text) {
    size_t size = strlen(text), from = 0;
    Saying saying = SAYS_NEITHER;
    RgSpan match;
    while (from <= size && rg_pattern_find(e->answer, e->matcher, text, size, from, &match)) {
        if (match.end <= match.start)
            return SAYS_NEITHER;
        Saying next = saying_of_match(text + match.start, match.end - match.start);
        if (next == SAYS_NEITHER || (saying != SAYS_NEITHER && saying != next))
            return SAYS_NEITHER;
        saying = next;
        from = match.end;
    }
    return saying;
}

static RgStatus read_answer(RgExternal *e, const RgAnswer *answer, Saying *saying, RgError *error) {
    *saying = answer->kind == RG_REPLY_ANSWER ? read_text(e, answer->text) : SAYS_NEITHER;
    if (*saying != SAYS_NEITHER)
        return RG_OK;
    e->counts.nonsense += answer->kind == RG_REPLY_ANSWER;
    if (e->on_failure != RG_FAILURE_STOP)
        return RG_OK;
    const char *trouble = answer->kind == RG_REPLY_REFUSAL
                              ? "the judge refuses to answer"
                              : "the judge's answer is neither A nor B";
    return rg_fail(error, RG_E_JUDGE,
                   "%s: %s: \"%.200s\"; the answer is cached, so another run fails in the same "
                   "way: change answer (how it is read), the question, or on_failure",
                   e->name, trouble, answer->text);
}

/* ---- one comparison ---- */

static Saying swapped(Saying saying) {
    return saying == SAYS_A ? SAYS_B : saying == SAYS_B ? SAYS_A : saying;
}

static RgVerdict verdict_of(Saying saying) {
    return saying == SAYS_A   ? RG_VERDICT_FIRST
           : saying == SAYS_B ? RG_VERDICT_SECOND
                              : RG_VERDICT_TIE;
}

/* From the answers for the pair in its given order and in reverse order. */
static RgVerdict combine(RgExternal *e, Saying one, Saying other) {
    if (one == SAYS_NEITHER || other == SAYS_NEITHER) {
        e->counts.failed++;
        return e->on_failure == RG_FAILURE_SKIP ? RG_VERDICT_NONE : RG_VERDICT_TIE;
    }
    if (one == swapped(other))
        return verdict_of(one);
    e->counts.disagreements++;
    return e->on_disagreement == RG_DISAGREEMENT_FIRST  ? verdict_of(one)
           : e->on_disagreement == RG_DISAGREEMENT_SKIP ? RG_VERDICT_NONE
                                                        : RG_VERDICT_TIE;
}

static RgStatus read_verdicts(RgExternal *e, const RgAnswer *answers, const int64_t *request,
                              int64_t count, RgVerdict *verdicts, RgError *error) {
    for (int64_t i = 0; i < count; i++) {
        Saying one = SAYS_TIE, other = SAYS_TIE;
        if (request[i] >= 0) {
            RG_TRY(read_answer(e, &answers[request[i]], &one, error));
            RG_TRY(read_answer(e, &answers[request[i] + 1], &other, error));
        }
        verdicts[i] = combine(e, one, other);
        e->counts.ties += verdicts[i] == RG_VERDICT_TIE;
        e->counts.equal += request[i] < 0;
    }
    return RG_OK;
}

RgStatus rg_external_compare(RgExternal *e, const RgJudgeQuery *pairs, int64_t count,
                             RgVerdict *verdicts, RgError *error) {
    RgJudgeQuery *queries = rg_allocate(2 * count, sizeof *queries);
    RgAnswer *answers = rg_allocate(2 * count, sizeof *answers);
    int64_t *request = rg_allocate(count, sizeof *request), most = 0;
    for (int64_t i = 0; i < count; i++) {
        request[i] = -1;
        if (strcmp(pairs[i].a, pairs[i].b) == 0)
            continue;
        request[i] = most;
        queries[most++] = pairs[i];
        queries[most++] = (RgJudgeQuery){pairs[i].prompt, pairs[i].b, pairs[i].a};
    }
    RgStatus status = rg_judge_requests_answer(e->requests, queries, most, answers, error);
    if (status == RG_OK)
        status = read_verdicts(e, answers, request, count, verdicts, error);
    e->counts.comparisons += status == RG_OK ? count : 0;
    rg_answers_release(answers, most);
    free(answers);
    free(queries);
    free(request);
    return status;
}

/* ---- scores ---- */

/* All numbers of an answer have to agree, as its letters have to. */
static bool read_number(RgExternal *e, const char *text, double *score) {
    size_t size = strlen(text), from = 0;
    RgSpan match;
    bool found = false;
    while (from <= size && rg_pattern_find(e->answer, e->matcher, text, size, from, &match)) {
        double next = strtod(text + match.start, NULL);
        if (match.end <= match.start || !isfinite(next) || (found && next != *score))
            return false;
        *score = next;
        found = true;
        from = match.end;
    }
    return found;
}

static RgStatus read_score(RgExternal *e, const RgAnswer *answer, double *score, RgError *error) {
    if (answer->kind == RG_REPLY_ANSWER && read_number(e, answer->text, score))
        return RG_OK;
    e->counts.nonsense += answer->kind == RG_REPLY_ANSWER;
    return rg_fail(error, RG_E_JUDGE,
                   "%s: %s: \"%.200s\"; the answer is cached, so another run fails in the same way",
                   e->name,
                   answer->kind == RG_REPLY_REFUSAL ? "the judge refuses to answer"
                                                    : "the judge's answer is not one finite number",
                   answer->text);
}

RgStatus rg_external_score(RgExternal *e, const RgJudgeQuery *queries, int64_t count, double *score,
                           RgError *error) {
    RgAnswer *answers = rg_allocate(count, sizeof *answers);
    RgStatus status = rg_judge_requests_answer(e->requests, queries, count, answers, error);
    for (int64_t i = 0; i < count && status == RG_OK; i++)
        status = read_score(e, &answers[i], &score[i], error);
    rg_answers_release(answers, count);
    free(answers);
    return status;
}

/* ---- counts ---- */

void rg_external_take_counts(RgExternal *e, RgJudgeCount counts[RG_JUDGE_COUNTS]) {
    const RgJudgeRequestCounts *now = rg_judge_requests_counts(e->requests),
                               *then = &e->requests_taken;
    const Counts *c = &e->counts, *t = &e->taken;
#define REPLIES(kind) (double)(now->replies[kind] - then->replies[kind])
    const RgJudgeCount all[RG_JUDGE_COUNTS] = {
        {"judge_comparisons", (double)(c->comparisons - t->comparisons)},
        {"judge_ties", (double)(c->ties - t->ties)},
        {"judge_disagreements", (double)(c->disagreements - t->disagreements)},
        {"judge_equal", (double)(c->equal - t->equal)},
        {"judge_nonsense", (double)(c->nonsense - t->nonsense)},
        {"judge_failed", (double)(c->failed - t->failed)},
        {"judge_calls", (double)(now->calls - then->calls)},
        {"judge_cached", (double)(now->cached - then->cached)},
        {"judge_retries", (double)(now->retries - then->retries)},
        {"judge_refusals", REPLIES(RG_REPLY_REFUSAL)},
        {"judge_timeouts", REPLIES(RG_REPLY_TIMEOUT)},
        {"judge_unreached", REPLIES(RG_REPLY_UNREACHED)},
        {"judge_lost", REPLIES(RG_REPLY_LOST)},
        {"judge_busy", REPLIES(RG_REPLY_BUSY)},
        {"judge_errors", REPLIES(RG_REPLY_ERROR) + REPLIES(RG_REPLY_REJECTED)},
        {"judge_unreadable", REPLIES(RG_REPLY_UNREADABLE)},
        {"judge_paid", (double)rg_judge_requests_paid(e->requests)},
    };
#undef REPLIES
    memcpy(counts, all, sizeof all);
    e->taken = e->counts;
    e->requests_taken = *now;
}

/* ---- the judge ---- */

RgStatus rg_external_judge_create(RgJudge *judge, RgJudgeClient *client,
                                  const RgExternalOptions *options, RgError *error) {
    RgExternal *external;
    RG_TRY(rg_external_create(client, options, &external, error));
    judge->state = external;
    judge->skips = external->on_failure == RG_FAILURE_SKIP ||
                   external->on_disagreement == RG_DISAGREEMENT_SKIP;
    return RG_OK;
}

RgStatus rg_external_judge_compare(RgJudge *judge, const RgJudgeItems *items, double *first,
                                   RgError *error) {
    static const double share[] = {[RG_VERDICT_FIRST] = 1,
                                   [RG_VERDICT_SECOND] = 0,
                                   [RG_VERDICT_TIE] = 0.5,
                                   [RG_VERDICT_NONE] = NAN};
    int64_t count = items->count / 2;
    RgJudgeQuery *pairs = rg_allocate(count, sizeof *pairs);
    RgVerdict *verdicts = rg_allocate(count, sizeof *verdicts);
    for (int64_t i = 0; i < count; i++)
        pairs[i] = (RgJudgeQuery){items->prompt[2 * i], items->response[2 * i],
                                  items->response[2 * i + 1]};
    RgStatus status = rg_external_compare(judge->state, pairs, count, verdicts, error);
    for (int64_t i = 0; status == RG_OK && i < count; i++)
        first[i] = share[verdicts[i]];
    free(verdicts);
    free(pairs);
    return status;
}

RgStatus rg_external_judge_rewards(RgJudge *judge, const RgJudgeItems *items, double *reward,
                                   RgError *error) {
    RgJudgeQuery *queries = rg_allocate(items->count, sizeof *queries);
    for (int64_t i = 0; i < items->count; i++)
        queries[i] = (RgJudgeQuery){items->prompt[i], items->response[i], NULL};
    RgStatus status = rg_external_score(judge->state, queries, items->count, reward, error);
    free(queries);
    return status;
}

void rg_external_judge_destroy(RgJudge *judge) {
    rg_external_destroy(judge->state);
}

RgStatus rg_external_judge_use_answers(RgJudge *judge, RgJudgeCache *answers, RgError *error) {
    return rg_external_use_cache(judge->state, answers, error);
}

void rg_external_judge_take_counts(RgJudge *judge, RgJudgeCount *counts) {
    rg_external_take_counts(judge->state, counts);
}
