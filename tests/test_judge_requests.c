/* SPDX-License-Identifier: MIT */
/* Claims about requests an outside judge, with one that is scripted here: what is sent and what is
 * not, what is kept, what is paid, and what its answers come to. */
#include "core/notice.h"
#include "core/stop.h"
#include "envs/judges/judge_external.h"
#include "tests/scratch.h"

#include <math.h>
#include <signal.h>

TestSuite(requests, .init = scratch_begin);

static RgError error;

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

enum { MOST = 256 };

/* A judge that does what the prompt says, one letter for each try, the last one from then on:
 * A, B, C: these answers; n: nonsense; r: a refusal; t, u, l, b, e, g: a failure of a kind; j:
 * rejected; f: forbidden. The latest query is replied to first. */
typedef struct Scripted {
    RgJudgeClient client;
    struct {
        int64_t request_id;
        const char *request;
        double at; /* when it came */
    } under_way[MOST];
    int tries[MOST]; /* by request_id */
    int64_t count, most, asked;
    double wait, busy_at, next_at; /* seconds to be left alone for; clocks */
} Scripted;

static char *request(const RgJudgeClient *client, const RgJudgeQuery *q) {
    (void)client;
    return rg_string_format("%s|%s|%s", q->prompt, q->a, q->b);
}

static void start(RgJudgeClient *client, int64_t request_id, const char *text) {
    Scripted *s = (Scripted *)client;
    s->under_way[s->count].request_id = request_id;
    s->under_way[s->count++].request = text;
    s->most = s->count > s->most ? s->count : s->most;
    s->asked++;
    if (s->busy_at > 0 && s->next_at == 0)
        s->next_at = rg_clock_seconds();
}

static RgReplyKind kind_of(char letter) {
    static const char letters[] = "-rtulbegjf";
    const char *at = strchr(letters, letter);
    return at ? (RgReplyKind)(at - letters) : RG_REPLY_ANSWER;
}

static bool wait_reply(RgJudgeClient *client, double seconds, RgReply *reply) {
    Scripted *s = (Scripted *)client;
    if (s->count == 0) {
        usleep((useconds_t)(1e6 * seconds));
        return false;
    }
    int64_t request_id = s->under_way[--s->count].request_id;
    const char *script = s->under_way[s->count].request;
    size_t length = strcspn(script, " |"), at = (size_t)s->tries[request_id]++;
    char letter = script[at < length ? at : length - 1];
    RgReplyKind kind = kind_of(letter);
    *reply =
        (RgReply){.request_id = request_id,
                  .kind = kind,
                  .reached = kind != RG_REPLY_UNREACHED,
                  .wait = kind == RG_REPLY_BUSY ? s->wait : 0,
                  .text = kind == RG_REPLY_ANSWER && letter != 'n' ? rg_string_format("%c", letter)
                                                                   : rg_string_copy("it is so")};
    if (kind == RG_REPLY_BUSY && s->busy_at == 0)
        s->busy_at = rg_clock_seconds();
    return true;
}

static void abandon(RgJudgeClient *client) {
    ((Scripted *)client)->count = 0;
}

static void destroy(RgJudgeClient *client) {
    free(client->name);
    free(client);
}

static Scripted *scripted(void) {
    Scripted *s = rg_allocate(1, sizeof *s);
    s->client =
        (RgJudgeClient){rg_string_copy("scripted"), request, start, wait_reply, abandon, destroy};
    return s;
}

static const RgJudgeRequestOptions usual = {
    .parallel = 4, .retries = 3, .backoff = 0.001, .longest_wait = 10};

/* One batch, by a judge of its own; `prompts` "A B n". */
typedef struct Batch {
    RgJudgeQuery queries[MOST];
    RgAnswer answers[MOST];
    int64_t count;
    char words[4 * MOST];
    RgJudgeRequestCounts counts;
    int64_t paid, most;
} Batch;

static RgStatus ask(Batch *batch, const char *prompts, const RgJudgeRequestOptions *options,
                    RgJudgeCache *cache) {
    static char names[MOST][8];
    memset(batch, 0, sizeof *batch);
    strcpy(batch->words, prompts);
    for (char *words = batch->words, *word; (word = strsep(&words, " "));) {
        snprintf(names[batch->count], 8, "%ld", (long)batch->count);
        batch->queries[batch->count] = (RgJudgeQuery){word, names[batch->count], "x"};
        batch->count++;
    }
    Scripted *s = scripted();
    RgJudgeRequests *requests = rg_judge_requests_create(&s->client, options);
    ASSERT_OK(rg_judge_requests_use_cache(requests, cache, &error));
    RgStatus status =
        rg_judge_requests_answer(requests, batch->queries, batch->count, batch->answers, &error);
    batch->counts = *rg_judge_requests_counts(requests);
    batch->paid = rg_judge_requests_paid(requests);
    batch->most = s->most;
    rg_judge_requests_destroy(requests);
    return status;
}

static void release(Batch *batch) {
    rg_answers_release(batch->answers, batch->count);
}

typedef struct Cache {
    RgStore *store;
    RgJudgeCache *cache;
} Cache;

static Cache open_cache(void) {
    Cache s;
    ASSERT_OK(rg_store_open(scratch("answers.db"), true, &s.store, &error));
    ASSERT_OK(rg_judge_cache_open(s.store, &s.cache, &error));
    return s;
}

static void close_cache(Cache *s) {
    rg_judge_cache_close(s->cache);
    rg_store_close(s->store);
}

Test(requests, answers_stand_in_the_order_of_the_questions_in_whatever_order_they_came) {
    Batch batch;
    ASSERT_OK(ask(&batch, "A B B A B C A", &usual, NULL));
    for (int64_t i = 0; i < batch.count; i++)
        cr_assert_str_eq(batch.answers[i].text, batch.queries[i].prompt);
    cr_assert_eq(batch.counts.calls, 7);
    cr_assert_eq(batch.most, usual.parallel);
    release(&batch);
}

Test(requests, a_question_that_stands_twice_in_a_batch_is_asked_once) {
    Scripted *s = scripted();
    RgJudgeRequests *requests = rg_judge_requests_create(&s->client, &usual);
    RgJudgeQuery same = {"B", "a", "b"}, other = {"A", "a", "b"};
    RgJudgeQuery queries[] = {same, other, same, same};
    RgAnswer answers[4];
    ASSERT_OK(rg_judge_requests_answer(requests, queries, 4, answers, &error));
    cr_assert_eq(s->asked, 2);
    for (int i = 0; i < 4; i++)
        cr_assert_str_eq(answers[i].text, queries[i].prompt);
    rg_answers_release(answers, 4);
    rg_judge_requests_destroy(requests);
}

Test(requests, what_was_answered_once_is_found_by_the_next_run_and_no_other_question_is) {
    Batch batch;
    Cache s = open_cache();
    ASSERT_OK(ask(&batch, "A r n", &usual, s.cache));
    cr_assert_eq(batch.counts.calls, 3);
    release(&batch);
    close_cache(&s);
    s = open_cache();
    ASSERT_OK(ask(&batch, "A r n B", &usual, s.cache));
    cr_assert_eq(batch.counts.cached, 3);
    cr_assert_eq(batch.counts.calls, 1);
    cr_assert_eq(batch.paid, 4);
    cr_assert_str_eq(batch.answers[0].text, "A");
    cr_assert_eq(batch.answers[1].kind, RG_REPLY_REFUSAL);
    cr_assert_str_eq(batch.answers[2].text, "it is so");
    cr_assert_str_eq(batch.answers[3].text, "B");
    release(&batch);
    close_cache(&s);
}

Test(requests, a_failure_of_any_kind_that_passes_is_tried_again) {
    Batch batch;
    ASSERT_OK(ask(&batch, "tA uB lA bB eA gB teA", &usual, NULL));
    for (int64_t i = 0; i < batch.count; i++) {
        const char *script = batch.queries[i].prompt;
        cr_assert_str_eq(batch.answers[i].text, script + strlen(script) - 1);
    }
    cr_assert_eq(batch.counts.retries, 8);
    cr_assert_eq(batch.counts.calls, 7 + 8 - 1, "nobody was there once, which costs nothing");
    for (int kind = RG_REPLY_TIMEOUT; kind <= RG_REPLY_UNREADABLE; kind++)
        cr_assert_eq(batch.counts.replies[kind],
                     kind == RG_REPLY_TIMEOUT || kind == RG_REPLY_ERROR ? 2 : 1);
    release(&batch);
}

Test(requests, a_question_that_stays_without_an_answer_ends_asking_or_is_left_so) {
    Batch batch;
    cr_assert_eq(ask(&batch, "A eeeeA", &usual, NULL), RG_E_JUDGE);
    cr_assert_str_eq(error.text,
                     "scripted: it is so, and so in the attempts before; answers so far "
                     "are kept");
    cr_assert_null(batch.answers[0].text);
    RgJudgeRequestOptions lenient = usual;
    lenient.give_up = true;
    ASSERT_OK(ask(&batch, "A eeeeA j", &lenient, NULL));
    cr_assert_eq(batch.answers[1].kind, RG_REPLY_ERROR);
    cr_assert_eq(batch.answers[2].kind, RG_REPLY_REJECTED);
    cr_assert_eq(batch.counts.calls, 1 + 4 + 1, "what is rejected is not tried again");
    release(&batch);
    cr_assert_eq(ask(&batch, "A f A", &lenient, NULL), RG_E_JUDGE, "all the others would fail too");
}

Test(requests, answers_that_came_before_a_failure_are_kept_and_those_under_way_too) {
    Batch batch;
    Cache s = open_cache();
    /* the latest is replied to first: the failure comes while two are under way */
    cr_assert_eq(ask(&batch, "A B f", &usual, s.cache), RG_E_JUDGE);
    ASSERT_OK(ask(&batch, "A B B", &usual, s.cache));
    cr_assert_eq(batch.counts.cached, 2);
    cr_assert_eq(batch.counts.calls, 1);
    cr_assert_eq(batch.paid, 4);
    release(&batch);
    close_cache(&s);
}

Test(requests, a_judge_that_asks_to_be_left_alone_is_by_all_questions) {
    Scripted *s = scripted();
    s->wait = 0.05;
    RgJudgeRequests *requests = rg_judge_requests_create(&s->client, &usual);
    RgJudgeQuery queries[] = {{"A", "", ""},  {"A", "", "1"}, {"A", "", "2"},
                              {"bA", "", ""}, {"A", "", "3"}, {"A", "", "4"}};
    RgAnswer answers[6];
    ASSERT_OK(rg_judge_requests_answer(requests, queries, 6, answers, &error));
    cr_assert_geq(s->next_at - s->busy_at, 0.05);
    cr_assert_eq(s->asked, 7);
    rg_answers_release(answers, 6);
    rg_judge_requests_destroy(requests);
}

static char told[512];
static int times_told;

static void note(void *context, const char *line) {
    (void)context;
    snprintf(told, sizeof told, "%s", line);
    times_told++;
}

Test(requests, a_long_wait_is_told_once_with_its_reason_and_its_length) {
    Scripted *s = scripted();
    RgJudgeQuery queries[] = {{"bA", "", ""}, {"bA", "", "1"}};
    RgAnswer answers[2];
    RgJudgeRequestOptions options = usual;
    options.longest_wait = 7200;
    s->wait = 3600;
    RgJudgeRequests *requests = rg_judge_requests_create(&s->client, &options);
    rg_notice_use(note, NULL);
    rg_stop_on_signals();
    pid_t parent = getpid();
    if (fork() == 0) {
        usleep(200000);
        kill(parent, SIGINT);
        _exit(0);
    }
    cr_assert_eq(rg_judge_requests_answer(requests, queries, 2, answers, &error), RG_E_STOPPED);
    cr_expect_str_eq(told, "scripted: it is so; 2 requests wait for 3600 seconds");
    cr_expect_eq(times_told, 1);
    rg_notice_use(NULL, NULL);
    rg_judge_requests_destroy(requests);
}

/* Judges that ask for years, as an HTTP header can. */
Test(requests, a_judge_that_asks_for_too_long_a_wait_is_not_waited_for) {
    RgJudgeQuery query = {"bA", "0", "x"};
    for (int give_up = 0; give_up < 2; give_up++) {
        RgAnswer answer = {0};
        Scripted *s = scripted();
        s->wait = 1e8;
        RgJudgeRequestOptions options = usual;
        options.give_up = give_up;
        RgJudgeRequests *requests = rg_judge_requests_create(&s->client, &options);
        RgStatus status = rg_judge_requests_answer(requests, &query, 1, &answer, &error);
        cr_expect_eq(s->asked, 1);
        cr_expect_eq(status, give_up ? RG_OK : RG_E_JUDGE);
        if (give_up)
            cr_expect_eq(answer.kind, RG_REPLY_BUSY);
        else
            cr_expect(strstr(error.text, "100000000 seconds, with longest_wait = 10"), "%s",
                      error.text);
        rg_answers_release(&answer, 1);
        rg_judge_requests_destroy(requests);
    }
}

Test(requests, pauses_double) {
    Batch batch;
    RgJudgeRequestOptions patient = usual;
    patient.backoff = 0.01;
    double start_at = rg_clock_seconds();
    ASSERT_OK(ask(&batch, "eeeA", &patient, NULL));
    cr_assert_geq(rg_clock_seconds() - start_at, 0.01 + 0.02 + 0.04);
    release(&batch);
}

Test(requests, the_budget_is_of_all_tries_that_reached_the_judge_in_all_runs) {
    Batch batch;
    Cache s = open_cache();
    RgJudgeRequestOptions thrifty = usual;
    thrifty.budget = 5;
    thrifty.parallel = 1;
    thrifty.give_up = true; /* which is about answers, not about money */
    ASSERT_OK(ask(&batch, "A eA", &thrifty, s.cache));
    cr_assert_eq(batch.paid, 3);
    release(&batch);
    cr_assert_eq(ask(&batch, "A eA uA uA B B", &thrifty, s.cache), RG_E_JUDGE);
    cr_assert_str_eq(error.text,
                     "scripted: the budget of 5 calls is spent, with 2 requests of this batch "
                     "open");
    cr_assert_eq(batch.paid, 5);
    thrifty.budget = 7;
    ASSERT_OK(ask(&batch, "A eA uA uA B B", &thrifty, s.cache));
    cr_assert_eq(batch.counts.cached, 4);
    cr_assert_eq(batch.paid, 7);
    release(&batch);
    close_cache(&s);
}

Test(requests, a_signal_stops_it_and_what_was_answered_stays) {
    Batch batch;
    Cache s = open_cache();
    RgJudgeRequestOptions patient = usual;
    patient.retries = 1000;
    patient.backoff = 60;
    rg_stop_on_signals();
    pid_t parent = getpid();
    if (fork() == 0) {
        usleep(200000);
        kill(parent, SIGINT);
        _exit(0);
    }
    double start_at = rg_clock_seconds();
    cr_assert_eq(ask(&batch, "A e B", &patient, s.cache), RG_E_STOPPED);
    cr_assert_lt(rg_clock_seconds() - start_at, 60, "it does not wait for the pause to end");
    cr_assert_str_eq(error.text, "stopped by a signal with 1 requests to the judge open; answers "
                                 "so far are kept, run again to continue");
    char *text;
    int64_t tries;
    ASSERT_OK(rg_judge_cache_tries(s.cache, "scripted", &tries, &error));
    cr_assert_eq(tries, 3);
    RgDigest judge = rg_digest(RG_DIGEST_START, "scripted", 8);
    RgDigest key = rg_digest(judge, "A|0|x", 5);
    bool refused;
    ASSERT_OK(rg_judge_cache_find(s.cache, &key, &text, &refused, &error));
    cr_assert_str_eq(text, "A");
    free(text);
    close_cache(&s);
}

/* ---- verdicts ---- */

/* A judge that knows what is said of each order: the prompt's word is for the pair as it is where
 * `a` sorts before `b`, the word after it for the other order. */
static char *request_of_order(const RgJudgeClient *client, const RgJudgeQuery *q) {
    (void)client;
    const char *second = strchr(q->prompt, ' ');
    bool straight = strcmp(q->a, q->b) < 0;
    return rg_string_format("%s|%s|%s|%s", straight ? q->prompt : second + 1, q->a, q->b,
                            q->prompt);
}

static const RgExternalOptions lenient_external = {.answer = RG_EXTERNAL_ANSWER,
                                                   .on_failure = RG_FAILURE_TIE,
                                                   .parallel = 3,
                                                   .retries = 1,
                                                   .backoff = 0.001,
                                                   .longest_wait = 10};

static RgExternal *external_of(const RgExternalOptions *options) {
    Scripted *s = scripted();
    s->client.request = request_of_order;
    RgExternal *external;
    ASSERT_OK(rg_external_create(&s->client, options, &external, &error));
    return external;
}

static double count_of(RgExternal *external, const char *name) {
    static RgJudgeCount counts[RG_JUDGE_COUNTS];
    static RgExternal *of;
    if (of != external)
        rg_external_take_counts(external, counts);
    of = external;
    for (int i = 0; i < RG_JUDGE_COUNTS; i++)
        if (strcmp(counts[i].name, name) == 0)
            return counts[i].value;
    cr_assert(false, "no count is called %s", name);
    return NAN;
}

static const char *const pair_scripts[] = {"A B", "B A", "A A", "B B",  "C C",
                                           "A C", "n B", "A r", "ee B", "eA eB"};
enum { SCRIPTS = sizeof pair_scripts / sizeof *pair_scripts };

static void compare_scripts(RgExternal *external, RgVerdict verdicts[SCRIPTS + 1]) {
    RgJudgeQuery pairs[SCRIPTS + 1];
    for (int i = 0; i < SCRIPTS; i++)
        pairs[i] = (RgJudgeQuery){pair_scripts[i], "1", "2"};
    pairs[SCRIPTS] = (RgJudgeQuery){"A B", "1", "1"};
    ASSERT_OK(rg_external_compare(external, pairs, SCRIPTS + 1, verdicts, &error));
}

Test(requests, both_orders_have_to_agree_and_what_does_not_is_handled_as_configured) {
    static const struct {
        int on_disagreement, on_failure;
        const char *expected; /* First, Second, Tie, None */
    } cases[] = {
        {RG_DISAGREEMENT_TIE, RG_FAILURE_TIE, "FSTTTTTTTFT"},
        {RG_DISAGREEMENT_SKIP, RG_FAILURE_TIE, "FSNNTNTTTFT"},
        {RG_DISAGREEMENT_FIRST, RG_FAILURE_SKIP, "FSFSTFNNNFT"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        RgExternalOptions options = lenient_external;
        options.answer = "[ABC]";
        options.on_disagreement = cases[k].on_disagreement;
        options.on_failure = cases[k].on_failure;
        RgExternal *external = external_of(&options);
        RgVerdict verdicts[SCRIPTS + 1];
        compare_scripts(external, verdicts);
        for (int i = 0; i <= SCRIPTS; i++)
            cr_assert_eq("FSTN"[verdicts[i]], cases[k].expected[i], "case %zu, pair %d", k, i);
        cr_assert_eq(count_of(external, "judge_comparisons"), SCRIPTS + 1);
        cr_assert_eq(count_of(external, "judge_disagreements"), 3);
        cr_assert_eq(count_of(external, "judge_failed"), 3);
        cr_assert_eq(count_of(external, "judge_nonsense"), 1);
        cr_assert_eq(count_of(external, "judge_refusals"), 1);
        cr_assert_eq(count_of(external, "judge_equal"), 1);
        cr_assert_eq(count_of(external, "judge_errors"), 4);
        cr_assert_eq(count_of(external, "judge_calls"), 2 * SCRIPTS + 3);
        rg_external_destroy(external);
    }
}

Test(requests, counts_are_of_what_came_since_they_were_taken) {
    RgExternal *external = external_of(&lenient_external);
    RgVerdict verdict;
    RgJudgeQuery pair = {"A B", "1", "2"};
    RgJudgeCount counts[RG_JUDGE_COUNTS];
    for (int round = 1; round <= 2; round++) {
        for (int k = 0; k < round; k++)
            ASSERT_OK(rg_external_compare(external, &pair, 1, &verdict, &error));
        rg_external_take_counts(external, counts);
        cr_assert_eq(counts[0].value, round);
    }
    rg_external_destroy(external);
}

Test(requests, an_answer_that_says_neither_stops_with_its_words_where_failures_stop) {
    RgExternalOptions strict = lenient_external;
    strict.on_failure = RG_FAILURE_STOP;
    RgExternal *external = external_of(&strict);
    RgJudgeQuery pairs[] = {{"A B", "1", "2"}, {"n B", "1", "2"}};
    RgVerdict verdicts[2];
    cr_assert_eq(rg_external_compare(external, pairs, 2, verdicts, &error), RG_E_JUDGE);
    cr_assert(strstr(error.text, "scripted: the judge's answer is neither A nor B: \"it is so\""));
    pairs[1].prompt = "r B";
    cr_assert_eq(rg_external_compare(external, pairs, 2, verdicts, &error), RG_E_JUDGE);
    cr_assert(strstr(error.text, "scripted: the judge refuses to answer"));
    rg_external_destroy(external);
}

/* A judge of one sentence. */
static bool say_prompt(RgJudgeClient *client, double seconds, RgReply *reply) {
    Scripted *s = (Scripted *)client;
    (void)seconds;
    if (s->count == 0)
        return false;
    s->count--;
    const char *text = s->under_way[s->count].request;
    *reply = (RgReply){.request_id = s->under_way[s->count].request_id,
                       .reached = true,
                       .text = rg_string_format("%.*s", (int)strcspn(text, "|"), text)};
    return true;
}

Test(requests, an_answer_is_read_where_it_says_one_thing) {
    static const struct {
        const char *pattern, *text;
        bool read;
    } cases[] = {
        {RG_EXTERNAL_ANSWER, "A", true},
        {RG_EXTERNAL_ANSWER, " **a**.\n", true},
        {RG_EXTERNAL_ANSWER, "Answer: A", true},
        {RG_EXTERNAL_ANSWER, "The second rambles.\n\nAnswer: A", true},
        {RG_EXTERNAL_ANSWER, "A\nB", false},
        {RG_EXTERNAL_ANSWER, "A\nA", true},
        {RG_EXTERNAL_ANSWER, "A good question! B", false},
        {RG_EXTERNAL_ANSWER, "AB", false},
        {RG_EXTERNAL_ANSWER, "Neither.", false},
        {RG_EXTERNAL_ANSWER, "", false},
        {"\\[\\[\\K[ABC](?=\\]\\])", "B is longer, but [[A]]", true},
        {"\"winner\"\\s*:\\s*\"\\K[AB](?=\")", "{\"winner\": \"A\", \"why\": \"B errs\"}", true},
        {"[A-Z]", "D", false},
        {"x*", "A", false},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Scripted *s = scripted();
        s->client.wait = say_prompt;
        RgExternalOptions options = lenient_external;
        options.answer = cases[k].pattern;
        options.on_disagreement = RG_DISAGREEMENT_FIRST;
        options.on_failure = RG_FAILURE_SKIP;
        RgExternal *external;
        ASSERT_OK(rg_external_create(&s->client, &options, &external, &error));
        RgVerdict verdict;
        RgJudgeQuery pair = {cases[k].text, "1", "2"};
        ASSERT_OK(rg_external_compare(external, &pair, 1, &verdict, &error));
        cr_assert_eq(verdict, cases[k].read ? RG_VERDICT_FIRST : RG_VERDICT_NONE, "%s in \"%s\"",
                     cases[k].pattern, cases[k].text);
        rg_external_destroy(external);
    }
}

Test(requests, a_pattern_that_is_none_is_refused_by_its_option) {
    RgExternalOptions options = lenient_external;
    options.answer = "(";
    RgExternal *external;
    cr_assert_eq(rg_external_create(&scripted()->client, &options, &external, &error), RG_E_USAGE);
    cr_assert(strncmp(error.text, "answer: regular expression", 26) == 0, "%s", error.text);
    cr_assert_null(external);
}
