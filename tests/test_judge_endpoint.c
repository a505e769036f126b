/* SPDX-License-Identifier: MIT */
/* Claims about judges outside of the program, each with a server or a child that behaves badly in
 * one way; and that whatever happens, no answer is lost and none is paid for twice. */
#include "envs/judges/judge_command.h"
#include "envs/judges/judge_external.h"
#include "tests/judge_server.h"

#include <jansson.h>
#include <math.h>
#include <sqlite3.h>

TestSuite(judge_endpoint, .init = scratch_begin, .timeout = 300);
TestSuite(judge_command, .init = scratch_begin, .timeout = 300);

static RgError error;

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static RgReply reply_to(RgJudgeClient *client, const char *prompt) {
    RgJudgeQuery query = {prompt, "long", "b"};
    char *request = client->request(client, &query);
    RgReply reply = {0};
    client->start(client, 5, request);
    cr_assert(client->wait(client, 200, &reply), "no reply");
    cr_assert_eq(reply.request_id, 5);
    free(request);
    return reply;
}

static RgJudgeClient *endpoint_of(const RgEndpointOptions *options) {
    RgJudgeClient *client;
    ASSERT_OK(rg_endpoint_create(options, &client, &error));
    return client;
}

/* ---- one exchange ---- */

Test(judge_endpoint, every_way_a_server_can_behave_has_its_name) {
    static const struct {
        const char *script;
        RgReplyKind kind;
        double wait;
        const char *text; /* in the reply's */
    } cases[] = {
        {"ok", RG_REPLY_ANSWER, 0, "B"},
        {"chunked", RG_REPLY_ANSWER, 0, "B"},
        {"nonsense", RG_REPLY_ANSWER, 0, "I would rather talk about boats."},
        {"refuse", RG_REPLY_REFUSAL, 0, "I cannot help with that."},
        {"500", RG_REPLY_ERROR, 0, "returned status 500: so it is scripted"},
        {"503:2", RG_REPLY_ERROR, 2, "returned status 503: so it is scripted"},
        {"429", RG_REPLY_BUSY, 0, "returned status 429: so it is scripted"},
        {"429:7", RG_REPLY_BUSY, 7, "returned status 429: so it is scripted"},
        {"400", RG_REPLY_REJECTED, 0, "returned status 400: so it is scripted"},
        {"404", RG_REPLY_FORBIDDEN, 0, "returned status 404: so it is scripted"},
        {"cut", RG_REPLY_LOST, 0, "ended the connection before its answer was complete"},
        {"drop", RG_REPLY_LOST, 0, "ended the connection before its answer was complete"},
        {"garbage", RG_REPLY_UNREADABLE, 0,
         "returned no JSON, expected "
         "choices[0].message.content, found: <html>try again"},
        {"array", RG_REPLY_UNREADABLE, 0, "returned another JSON"},
    };
    JudgeServer server = server_start(scratch("log"), "0", NULL, NULL);
    RgEndpointOptions options = server_options(&server);
    RgJudgeClient *client = endpoint_of(&options);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char prompt[64];
        snprintf(prompt, sizeof prompt, "%zu [[%s]]", k, cases[k].script);
        RgReply reply = reply_to(client, prompt);
        cr_assert_eq(reply.kind, cases[k].kind, "%s: %d", cases[k].script, (int)reply.kind);
        cr_assert_eq(reply.wait, cases[k].wait, "%s: %g", cases[k].script, reply.wait);
        cr_assert(reply.reached);
        cr_assert(strstr(reply.text, cases[k].text), "%s: %s", cases[k].script, reply.text);
        free(reply.text);
    }
    rg_judge_client_destroy(client);
    server_kill(&server);
}

Test(judge_endpoint, a_server_that_hangs_has_the_timeout_and_one_that_is_not_there_is_not_paid) {
    JudgeServer server = server_start(scratch("log"), "0", NULL, NULL);
    RgEndpointOptions options = server_options(&server);
    options.timeout = 0.3;
    RgJudgeClient *client = endpoint_of(&options);
    RgReply reply = reply_to(client, "1 [[hang]]");
    cr_assert_eq(reply.kind, RG_REPLY_TIMEOUT);
    cr_assert(reply.reached && strstr(reply.text, "did not answer in time"), "%s", reply.text);
    free(reply.text);
    reply = reply_to(client, "1 [[hang]]");
    cr_assert_eq(reply.kind, RG_REPLY_TIMEOUT);
    free(reply.text);
    server_kill(&server);
    reply = reply_to(client, "2");
    cr_assert_eq(reply.kind, RG_REPLY_UNREACHED);
    cr_assert(!reply.reached && strstr(reply.text, "cannot be reached"), "%s", reply.text);
    free(reply.text);
    rg_judge_client_destroy(client);
}

Test(judge_endpoint, a_request_is_never_sent_again_behind_the_back_of_the_counts) {
    JudgeServer server = server_start(scratch("log"), "0", NULL, NULL);
    RgEndpointOptions options = server_options(&server);
    RgJudgeClient *client = endpoint_of(&options);
    for (int round = 0; round < 5; round++) {
        RgReply reply = reply_to(client, "kept [[ok]]"); /* leaves a connection open … */
        free(reply.text);
        reply = reply_to(client, "dropped [[drop]]"); /* … which the server closes */
        cr_assert_eq(reply.kind, RG_REPLY_LOST);
        free(reply.text);
    }
    cr_assert_eq(server_count(&server, 0, "ask dropped/long"), 5);
    rg_judge_client_destroy(client);
    server_kill(&server);
}

Test(judge_endpoint, the_request_is_what_the_options_say) {
    RgEndpointOptions options = {.url = "http://localhost/v1/chat/completions",
                                 .model = "m",
                                 .key_variable = "",
                                 .question = "{b}{prompt}{{a}}{c}",
                                 .extra = "{\"top_p\": 0.5, \"max_tokens\": null}",
                                 .temperature = 0.75,
                                 .max_tokens = 9,
                                 .timeout = 1};
    RgJudgeClient *client = endpoint_of(&options);
    RgJudgeQuery query = {"{a}\n", "\xff", "\""};
    char *request = client->request(client, &query);
    cr_assert_str_eq(request,
                     "{\"messages\":[{\"content\":\"\\\"{a}\\n{\xEF\xBF\xBD}{c}\",\"role\":"
                     "\"user\"}],\"model\":\"m\",\"temperature\":0.75,\"top_p\":0.5}");
    free(request);
    rg_judge_client_destroy(client);
}

Test(judge_endpoint, the_key_is_sent_and_never_told) {
    static const char key[] = "sk-sec/et-0123456789";
    setenv("RG_TEST_KEY", key, 1);
    JudgeServer server = server_start(scratch("log"), "0", "--key", key);
    RgEndpointOptions options = server_options(&server);
    RgJudgeClient *client = endpoint_of(&options);
    RgReply reply = reply_to(client, "without");
    cr_assert_eq(reply.kind, RG_REPLY_FORBIDDEN);
    free(reply.text);
    rg_judge_client_destroy(client);
    options.key_variable = "RG_TEST_KEY";
    client = endpoint_of(&options);
    reply = reply_to(client, "with");
    cr_assert_eq(reply.kind, RG_REPLY_ANSWER);
    free(reply.text);
    reply = reply_to(client, "mean [[echo]]");
    cr_assert_eq(reply.kind, RG_REPLY_FORBIDDEN);
    cr_assert(strstr(reply.text, "status 401: bad key Bearer ********************"), "%s",
              reply.text);
    free(reply.text);
    static const struct {
        const char *prompt;
        RgReplyKind kind;
    } echoes[] = {{"mean [[forms]]", RG_REPLY_ERROR}, {"mean [[parrot]]", RG_REPLY_ANSWER}};
    for (int k = 0; k < 2; k++) { /* escaped and cut, and as the answer itself */
        reply = reply_to(client, echoes[k].prompt);
        cr_assert_eq(reply.kind, echoes[k].kind, "%s", reply.text);
        cr_expect(strstr(reply.text, "*****"), "%s", reply.text);
        for (size_t from = 0; from + 6 < sizeof key; from++) {
            char part[7] = "";
            memcpy(part, key + from, 6);
            cr_expect_not(strstr(reply.text, part), "%s", reply.text);
        }
        free(reply.text);
    }
    rg_judge_client_destroy(client);
    server_kill(&server);
}

Test(judge_endpoint, what_cannot_work_is_refused_before_anything_is_sent) {
    setenv("RG_TEST_KEY", "two words", 1);
    unsetenv("RG_TEST_NONE");
    static const struct {
        const char *url, *query, *extra, *variable, *message;
    } cases[] = {
        {"localhost:80", RG_ENDPOINT_QUERY, "", "", "url: expected http"},
        {"file:///etc/passwd", RG_ENDPOINT_QUERY, "", "", "url: expected http"},
        {"http://", RG_ENDPOINT_QUERY, "", "", "url: expected http"},
        {"http://me:pass@host/", RG_ENDPOINT_QUERY, "", "", "url: expected an address without"},
        {"http://host/?a=1&API_Key=pass@", RG_ENDPOINT_QUERY, "", "",
         "url: expected an address without a key among its parameters"},
        {"http://host/?k%65y=pass@", RG_ENDPOINT_QUERY, "", "",
         "url: expected an address without a key among its parameters"},
        {"http://host", RG_ENDPOINT_QUERY, "{\"x\": [{\"api_key\": \"pass@\"}]}", "",
         "extra: expected no key among its members"},
        {"http://host", "{a} or {b}?", "", "", "question: expected {prompt} in it"},
        {"http://host", "{prompt} {b}", "", "", "question: expected {a} in it"},
        {"http://host", RG_ENDPOINT_QUERY, "[1]", "", "extra: expected a JSON object"},
        {"http://host", RG_ENDPOINT_QUERY, "{", "", "extra: expected a JSON object"},
        {"http://host", RG_ENDPOINT_QUERY, "", "RG_TEST_NONE",
         "key_variable: the environment has no variable RG_TEST_NONE"},
        {"http://host", RG_ENDPOINT_QUERY, "", "RG_TEST_KEY",
         "key_variable: RG_TEST_KEY does not hold a key"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        RgEndpointOptions options = {.url = cases[k].url,
                                     .model = "m",
                                     .question = cases[k].query,
                                     .extra = cases[k].extra,
                                     .key_variable = cases[k].variable,
                                     .timeout = 1};
        RgJudgeClient *client;
        cr_assert_eq(rg_endpoint_create(&options, &client, &error), RG_E_USAGE);
        cr_assert(strncmp(error.text, cases[k].message, strlen(cases[k].message)) == 0, "%s",
                  error.text);
        cr_assert(!strstr(error.text, "pass@") && !strstr(error.text, "two words"));
        cr_assert_null(client);
    }
}

/* ---- a command ---- */

static RgJudgeClient *command_of(const char *line, double timeout) {
    RgJudgeClient *client;
    RgCommandOptions options = {.command = line, .timeout = timeout};
    ASSERT_OK(rg_command_judge_create(&options, &client, &error));
    return client;
}

/* A judge in Python, whose text may not hold a quotation mark of the other kind. */
#define PYTHON(code)                                                                               \
    "exec python3 -c 'import json, os, sys, time\nfor line in sys.stdin:\n " code "'"

Test(judge_command, a_child_answers_and_whatever_else_it_does_has_its_name) {
    static const struct {
        const char *command;
        double timeout;
        RgReplyKind kind;
        const char *text;
    } cases[] = {
        {PYTHON(
             "q = json.loads(line)\n "
             "print(json.dumps(dict(id=q[\"id\"], answer=q[\"a\"] + q[\"prompt\"])), flush=True)"),
         100, RG_REPLY_ANSWER, "longask \xE2\x80\x9C\xEF\xBF\xBD"},
        {PYTHON("print(\"\\n\" + json.dumps(dict(id=5, error=\"no model\")), flush=True)"), 100,
         RG_REPLY_ERROR, "says: no model"},
        {PYTHON("print(\"loading\", flush=True)"), 100, RG_REPLY_UNREADABLE,
         "wrote loading, expected {\"id\": …, \"answer\": …}"},
        {PYTHON("print(json.dumps(dict(id=6, answer=\"A\")), flush=True)"), 100,
         RG_REPLY_UNREADABLE, "with the id of an open request"},
        {PYTHON("sys.exit(3)"), 100, RG_REPLY_LOST, "ended with exit status 3"},
        {PYTHON("os.kill(os.getpid(), 9)"), 100, RG_REPLY_LOST, "was ended by signal 9"},
        {PYTHON("time.sleep(1000)"), 0.2, RG_REPLY_TIMEOUT, "was silent for 0.2 seconds"},
        {"exec 0<&-; exec sleep 1000", 0.2, RG_REPLY_TIMEOUT, "was silent for 0.2 seconds"},
        {"no-such-judge 2>/dev/null", 100, RG_REPLY_FORBIDDEN,
         "exit status 127: the shell does not find"},
        {"/dev/null 2>/dev/null", 100, RG_REPLY_FORBIDDEN, "exit status 126: the shell cannot run"},
        {"yes", 100, RG_REPLY_UNREADABLE, "wrote y, expected"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        RgJudgeClient *client = command_of(cases[k].command, cases[k].timeout);
        for (int round = 0; round < 2; round++) { /* the next query has a new child */
            RgReply reply = reply_to(client, "ask \xE2\x80\x9C\xff");
            cr_assert_eq(reply.kind, cases[k].kind, "%s: %s", cases[k].command, reply.text);
            cr_assert_eq(reply.reached, reply.kind != RG_REPLY_FORBIDDEN);
            cr_assert(strstr(reply.text, cases[k].text), "%s: %s", cases[k].command, reply.text);
            free(reply.text);
        }
        rg_judge_client_destroy(client);
    }
}

/* ---- scores ---- */

static RgExternal *scorer_of(RgJudgeClient *client) {
    RgExternalOptions options = {.answer = RG_EXTERNAL_SCORE,
                                 .on_failure = RG_FAILURE_STOP,
                                 .parallel = 4,
                                 .longest_wait = 1};
    RgExternal *external;
    ASSERT_OK(rg_external_create(client, &options, &external, &error));
    return external;
}

/* The judge whose code for a query q, an expression, is its score. */
#define SCORING(expression)                                                                        \
    PYTHON("q = json.loads(line)\n "                                                               \
           "print(json.dumps(dict(id=q[\"id\"], " expression ")), flush=True)")

static RgExternal *command_scorer(const char *line) {
    RgJudgeClient *client;
    RgCommandOptions options = {.command = line, .timeout = 100, .scores = true};
    ASSERT_OK(rg_command_judge_create(&options, &client, &error));
    return scorer_of(client);
}

Test(judge_command, a_score_is_the_number_that_the_judge_gives) {
    RgExternal *external =
        command_scorer(SCORING("score=len(q[\"response\"]) / 3 - len(q[\"prompt\"])"));
    const RgJudgeQuery queries[] = {{"p", "long", NULL}, {"longer", "", NULL}, {"p", "long", NULL}};
    double score[3];
    ASSERT_OK(rg_external_score(external, queries, 3, score, &error));
    cr_expect_eq(score[0], 4.0 / 3 - 1);
    cr_expect_eq(score[1], -6);
    cr_expect_eq(score[2], score[0]);
    RgJudgeCount counts[RG_JUDGE_COUNTS];
    rg_external_take_counts(external, counts);
    for (int k = 0; k < RG_JUDGE_COUNTS; k++)
        cr_expect(strcmp(counts[k].name, "judge_calls") != 0 || counts[k].value == 2, "%g",
                  counts[k].value);
    rg_external_destroy(external);
}

Test(judge_command, one_number_in_a_text_is_a_score_and_nothing_else_is) {
    static const struct {
        const char *text;
        double score; /* NAN: refused */
    } cases[] = {
        {"7", 7},
        {"-0.25", -0.25},
        {"+1e-3", 1e-3},
        {".5", 0.5},
        {"**Score: 8.5**.\n", 8.5},
        {"It is good.\nScore: -3", -3},
        {"Answer: 4\n\nRating: 4.0", 4},
        {"", NAN},
        {"good", NAN},
        {"nan", NAN},
        {"inf", NAN},
        {"1e999", NAN},
        {"7/10", NAN},
        {"70 %", NAN},
        {"\xE2\x88\x92"
         "3",
         NAN},
        {"4 or 5", NAN},
        {"4\n5", NAN},
        {"0x10", NAN},
    };
    RgExternal *external = command_scorer(SCORING("score=q[\"response\"]"));
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        RgJudgeQuery query = {"p", cases[k].text, NULL};
        double score;
        RgStatus status = rg_external_score(external, &query, 1, &score, &error);
        if (isnan(cases[k].score)) {
            cr_expect_eq(status, RG_E_JUDGE, "%s: %g", cases[k].text, score);
            cr_expect(strstr(error.text, "the judge's answer is not one finite number"), "%s",
                      error.text);
        } else {
            ASSERT_OK(status);
            cr_expect_eq(score, cases[k].score, "%s: %g", cases[k].text, score);
        }
    }
    rg_external_destroy(external);
}

Test(judge_command, what_is_no_score_is_an_error_that_shows_the_line) {
    static const struct {
        const char *command, *message;
    } cases[] = {
        {SCORING("score=float(\"nan\")"), "NaN}, expected {\"id\": …, \"score\": …} with a finite"},
        {SCORING("score=float(\"-inf\")"), "-Infinity}, expected"},
        {SCORING("score=[1]"), "expected {\"id\": …, \"score\": …}"},
        {SCORING("score=None"), "expected {\"id\": …, \"score\": …}"},
        {SCORING("answer=\"7\""), "expected {\"id\": …, \"score\": …}"},
        {SCORING("error=\"no model\""), "says: no model"},
    };
    const RgJudgeQuery query = {"p", "r", NULL};
    double score;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        RgExternal *external = command_scorer(cases[k].command);
        cr_expect_eq(rg_external_score(external, &query, 1, &score, &error), RG_E_JUDGE, "%s",
                     cases[k].command);
        cr_expect(strstr(error.text, cases[k].message), "%s\nexpected: %s", error.text,
                  cases[k].message);
        rg_external_destroy(external);
    }
}

Test(judge_endpoint, a_score_has_a_question_of_its_own) {
    RgEndpointOptions options = {.url = "http://localhost/v1/chat/completions",
                                 .model = "m",
                                 .key_variable = "",
                                 .question = "{response}: {prompt}, {a}",
                                 .extra = "{\"max_tokens\": null, \"temperature\": null}",
                                 .timeout = 1,
                                 .scores = true};
    RgJudgeClient *client = endpoint_of(&options);
    RgJudgeQuery query = {"p", "{prompt}", NULL};
    char *request = client->request(client, &query);
    cr_expect_str_eq(request,
                     "{\"messages\":[{\"content\":\"{prompt}: p, {a}\",\"role\":\"user\"}],"
                     "\"model\":\"m\"}");
    free(request);
    rg_judge_client_destroy(client);
    options.question = RG_ENDPOINT_QUERY;
    cr_expect_eq(rg_endpoint_create(&options, &client, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "question: expected {response} in it"), "%s", error.text);
}

Test(judge_command, options_of_comparisons_are_refused_with_scores) {
    RgExternalOptions options = {.answer = RG_EXTERNAL_SCORE, .on_failure = RG_FAILURE_SKIP};
    RgExternal *external;
    cr_expect_eq(rg_external_create(command_of("true", 1), &options, &external, &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "on_failure: expected \"stop\""), "%s", error.text);
    options.on_failure = RG_FAILURE_STOP;
    options.on_disagreement = RG_DISAGREEMENT_SKIP;
    cr_expect_eq(rg_external_create(command_of("true", 1), &options, &external, &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "on_disagreement has no meaning"), "%s", error.text);
}

/* ---- many requests ---- */

Test(judge_command, answers_in_any_order_find_their_questions_and_a_full_pipe_is_no_trouble) {
    /* It reads all before it writes: two megabytes wait for the pipe meanwhile. */
    static const char line[] =
        "exec python3 -c 'import json, sys\nlines = [next(sys.stdin) for i in range(40)]\n"
        "for line in reversed(lines):\n q = json.loads(line)\n"
        " print(json.dumps(dict(id=q[\"id\"], answer=q[\"a\"] + q[\"prompt\"])), flush=True)'";
    enum { COUNT = 40, SIZE = 50000 };
    RgJudgeRequestOptions options = {.parallel = COUNT};
    RgJudgeRequests *requests = rg_judge_requests_create(command_of(line, 200), &options);
    char *prompt = rg_allocate(SIZE + 1, 1), names[COUNT][8];
    memset(prompt, 'p', SIZE);
    RgJudgeQuery queries[COUNT];
    RgAnswer answers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        queries[i] = (RgJudgeQuery){prompt, names[i], ""};
    }
    ASSERT_OK(rg_judge_requests_answer(requests, queries, COUNT, answers, &error));
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(strtol(answers[i].text, NULL, 10), i);
        cr_assert_eq(strlen(answers[i].text), strlen(names[i]) + SIZE);
    }
    rg_answers_release(answers, COUNT);
    rg_judge_requests_destroy(requests);
    free(prompt);
}

Test(judge_command, a_child_that_dies_now_and_then_is_started_again_and_loses_nothing) {
    static const char line[] = PYTHON("q = json.loads(line)\n print(json.dumps(dict(id=q[\"id\"], "
                                      "answer=q[\"b\"])), flush=True)\n "
                                      "if q[\"b\"].endswith(\"7\"): sys.exit(1)");
    enum { COUNT = 50 };
    RgJudgeRequestOptions options = {
        .parallel = 3, .retries = 30, .backoff = 0.001, .longest_wait = 10};
    RgJudgeRequests *requests = rg_judge_requests_create(command_of(line, 200), &options);
    char names[COUNT][8];
    RgJudgeQuery queries[COUNT];
    RgAnswer answers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        queries[i] = (RgJudgeQuery){"p", "", names[i]};
    }
    ASSERT_OK(rg_judge_requests_answer(requests, queries, COUNT, answers, &error));
    for (int i = 0; i < COUNT; i++)
        cr_assert_str_eq(answers[i].text, names[i]);
    rg_answers_release(answers, COUNT);
    rg_judge_requests_destroy(requests);
}

/* Asks twelve questions of a command that finds the number of its start in $start. */
static RgStatus ask_numbered(const char *command, RgJudgeRequestOptions options, long *starts) {
    enum { COUNT = 12 };
    const char *file = scratch("starts");
    remove(file);
    char *line = rg_string_format("echo >>%s; start=$(wc -l <%s); %s", file, file, command);
    RgJudgeRequests *requests = rg_judge_requests_create(command_of(line, 0.5), &options);
    char names[COUNT][8];
    RgJudgeQuery queries[COUNT];
    RgAnswer answers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        queries[i] = (RgJudgeQuery){"p", names[i], ""};
    }
    RgStatus status = rg_judge_requests_answer(requests, queries, COUNT, answers, &error);
    rg_answers_release(answers, COUNT);
    rg_judge_requests_destroy(requests);
    FILE *stream = fopen(file, "r");
    for (*starts = 0; fgetc(stream) != EOF;)
        ++*starts;
    fclose(stream);
    free(line);
    return status;
}

Test(judge_command, one_that_never_answered_fails_after_three_starts_with_its_last_words) {
    static const struct {
        const char *command, *message;
    } cases[] = {
        {"echo loading >&2; echo >&2; printf 'no \\316\\262 model\\n\\n' >&2; exit 3",
         "ended with exit status 3 before it answered; its last line on standard error is: no β "
         "model, and so in the attempts before"},
        {"exit 1", "ended with exit status 1 before it answered, and so in the attempts before"},
        {"exec 2>&-; sleep 100", "was silent for 0.5 seconds, and so"},
        {"echo ready; echo 'not yet' >&2; exec sleep 100", "wrote ready, expected"},
    };
    RgJudgeRequestOptions options = {
        .parallel = 2, .retries = 1000, .backoff = 0.05, .longest_wait = 10};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        long starts;
        cr_assert_eq(ask_numbered(cases[k].command, options, &starts), RG_E_JUDGE);
        cr_expect_eq(starts, 3, "%s: %ld starts", cases[k].command, starts);
        cr_expect(strstr(error.text, cases[k].message), "%s", error.text);
    }
}

Test(judge_command, one_that_answered_before_is_tried_as_often_as_asked) {
    /* It answers one question, fails five times, and answers the others. */
    static const char command[] =
        "echo of start $start >&2; test $start -gt 1 -a $start -lt 7 && exit 1; "
        "while read -r question; do id=${question#*:}; "
        "printf '{\"id\":%s,\"answer\":\"A\"}\\n' \"${id%%,*}\"; "
        "test $start -eq 1 && exit 1; done";
    RgJudgeRequestOptions options = {
        .parallel = 2, .retries = 6, .backoff = 0.001, .longest_wait = 10};
    long starts;
    ASSERT_OK(ask_numbered(command, options, &starts));
    cr_assert_eq(starts, 7);
    options.retries = 4;
    cr_assert_eq(ask_numbered(command, options, &starts), RG_E_JUDGE);
    cr_assert(strstr(error.text, "is: of start 5, and so"), "%s", error.text);
}

Test(judge_command, its_standard_error_is_passed_on_however_long) {
    const char *file = scratch("errors");
    int before = dup(STDERR_FILENO);
    cr_assert(freopen(file, "w", stderr));
    RgJudgeClient *client = command_of(
        "head -c 300000 /dev/zero | tr '\\0' x >&2; read -r q; echo '{\"id\":5,\"answer\":\"A\"}'; "
        "head -c 300000 /dev/zero | tr '\\0' y >&2",
        100);
    RgReply reply = reply_to(client, "p");
    rg_judge_client_destroy(client);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    cr_assert_eq(reply.kind, RG_REPLY_ANSWER, "%s", reply.text);
    free(reply.text);
    FILE *stream = fopen(file, "r");
    fseek(stream, 0, SEEK_END);
    cr_assert_eq(ftell(stream), 600000);
    fclose(stream);
}

Test(judge_command, no_command_is_refused) {
    RgCommandOptions options = {.command = "", .timeout = 1};
    RgJudgeClient *client;
    cr_assert_eq(rg_command_judge_create(&options, &client, &error), RG_E_USAGE);
    cr_assert_str_eq(error.text, "command: expected a line for the shell, found none");
}

/* ---- the proof ---- */

enum { COMPARISONS = 1000, PARALLEL = 8 };

static RgJudgeQuery pairs[COMPARISONS];
static RgVerdict expected[COMPARISONS];

/* What the server does with the queries of a comparison: of each hundred, */
static const char *script_of(int i) {
    static const struct {
        int below;
        const char *script;
    } share[] = {{8, " [[slow]]"},
                 {14, " [[500 ok]]"},
                 {18, " [[cut ok]]"},
                 {22, " [[drop ok]]"},
                 {26, " [[garbage 503 ok]]"},
                 {30, " [[429 429 ok]]"},
                 {32, " [[nonsense]]"},
                 {33, " [[refuse]]"},
                 {35, " [[both]]"},
                 {36, " [[tie]]"},
                 {38, " [[500 cut drop chunked]]"},
                 {100, ""}};
    int k = 0;
    while (i % 100 >= share[k].below)
        k++;
    if (i == 501)
        return " [[429:1 ok]]";
    if (i % 250 == 77)
        return " [[late ok]]";
    return share[k].script;
}

/* By the server's rule the shorter response is better; what is known to fail is a tie. */
static void make_pairs(void) {
    for (int i = 0; i < COMPARISONS; i++) {
        const char *script = script_of(i);
        const char *tail = i % 3 == 0 ? " and more" : "";
        pairs[i] = (RgJudgeQuery){rg_string_format("%d%s", i, script),
                                  rg_string_format("x%s", tail), rg_string_format("y then")};
        bool none = strstr(script, "nonsense") || strstr(script, "refuse") ||
                    strstr(script, "both") || strstr(script, "tie");
        expected[i] = none ? RG_VERDICT_TIE : i % 3 == 0 ? RG_VERDICT_SECOND : RG_VERDICT_FIRST;
    }
}

static RgExternal *proof_judge(const JudgeServer *server) {
    RgEndpointOptions endpoint = server_options(server);
    endpoint.timeout = 1000; /* whatever else the machine does meanwhile */
    RgExternalOptions options = {.answer = "^\\W*\\K[ABC](?=\\W*$)",
                                 .on_failure = RG_FAILURE_TIE,
                                 .parallel = PARALLEL,
                                 .retries = 1000,
                                 .backoff = 0.005,
                                 .longest_wait = 10};
    RgExternal *external;
    ASSERT_OK(rg_external_create(endpoint_of(&endpoint), &options, &external, &error));
    return external;
}

/* All comparisons with the answers in the store: what the program does. */
static void compare_all(const JudgeServer *server, RgVerdict *verdicts, RgJudgeCount *counts) {
    RgStore *store;
    RgJudgeCache *cache;
    ASSERT_OK(rg_store_open(scratch("proof.db"), true, &store, &error));
    ASSERT_OK(rg_judge_cache_open(store, &cache, &error));
    RgExternal *external = proof_judge(server);
    ASSERT_OK(rg_external_use_cache(external, cache, &error));
    ASSERT_OK(rg_external_compare(external, pairs, COMPARISONS, verdicts, &error));
    rg_external_take_counts(external, counts);
    rg_external_destroy(external);
    rg_judge_cache_close(cache);
    rg_store_close(store);
}

static pid_t start_client(const JudgeServer *server) {
    pid_t child = fork();
    if (child == 0) {
        static RgVerdict verdicts[COMPARISONS];
        RgJudgeCount counts[RG_JUDGE_COUNTS];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        compare_all(server, verdicts, counts);
        _exit(memcmp(verdicts, expected, sizeof expected) == 0 ? 0 : 1);
    }
    return child;
}

static void wait_for_answers(const JudgeServer *server, int count) {
    while (server_answered(server) < count)
        usleep(5000);
}

/* Of each query, in both orders: what the store has of it. */
typedef struct Kept {
    bool answered;
    int tries;
} Kept;

static void read_kept(const JudgeServer *server, Kept kept[2 * COMPARISONS]) {
    RgStore *store;
    sqlite3_stmt *row;
    ASSERT_OK(rg_store_open(scratch("proof.db"), false, &store, &error));
    RgEndpointOptions options = server_options(server);
    RgJudgeClient *client = endpoint_of(&options);
    RgDigest judge = rg_digest(RG_DIGEST_START, client->name, strlen(client->name));
    cr_assert_eq(sqlite3_prepare_v2(rg_store_database(store),
                                    "SELECT answer IS NOT NULL, tries FROM judge_answers WHERE key "
                                    "= ?1",
                                    -1, &row, NULL),
                 SQLITE_OK);
    for (int i = 0; i < 2 * COMPARISONS; i++) {
        RgJudgeQuery q = pairs[i / 2];
        RgJudgeQuery query = {q.prompt, i % 2 ? q.b : q.a, i % 2 ? q.a : q.b};
        char *request = client->request(client, &query);
        RgDigest key = rg_digest(judge, request, strlen(request));
        sqlite3_bind_blob(row, 1, &key, sizeof key, SQLITE_STATIC);
        kept[i] = (Kept){0};
        if (sqlite3_step(row) == SQLITE_ROW)
            kept[i] = (Kept){sqlite3_column_int(row, 0), sqlite3_column_int(row, 1)};
        sqlite3_reset(row);
        free(request);
    }
    sqlite3_finalize(row);
    rg_judge_client_destroy(client);
    rg_store_close(store);
}

/* Of each query: how often the server's log has it, from line `first` on. */
static void read_log(const JudgeServer *server, int first, const char *what,
                     int count[2 * COMPARISONS]) {
    char line[128], found[8], name[64];
    memset(count, 0, 2 * COMPARISONS * sizeof *count);
    FILE *log = fopen(server->log, "r");
    for (int number = 0; fgets(line, sizeof line, log); number++) {
        if (number < first || sscanf(line, "%7s %63s", found, name) != 2 ||
            strcmp(found, what) != 0)
            continue;
        const char *side = strchr(name, '/');
        count[2 * strtol(name, NULL, 10) + (side[1] == 'y')]++;
    }
    fclose(log);
}

/* 1,000 comparisons, 2,000 queries, by a server that is slow, wrong, refusing and dying, for a
 * program that is killed in the middle. */
Test(judge_endpoint, a_thousand_comparisons_lose_nothing_and_pay_for_nothing_twice) {
    static Kept killed[2 * COMPARISONS], kept[2 * COMPARISONS];
    static int asked[2 * COMPARISONS], done[2 * COMPARISONS], later[2 * COMPARISONS];
    static RgVerdict verdicts[COMPARISONS];
    static char log[256];
    RgJudgeCount counts[RG_JUDGE_COUNTS];
    make_pairs();
    strcpy(log, scratch("log"));
    JudgeServer server = server_start(log, "0", NULL, NULL);

    /* The program is killed after some 700 answers, the server after some 1,400, to come back. */
    pid_t client = start_client(&server);
    wait_for_answers(&server, 700);
    kill(client, SIGKILL);
    waitpid(client, NULL, 0);
    read_kept(&server, killed);
    int lines = server_count(&server, 0, NULL);
    client = start_client(&server);
    wait_for_answers(&server, 1400);
    server_kill(&server);
    usleep(50000);
    char port[16];
    strcpy(port, server.port);
    server = server_start(log, port, NULL, NULL);
    int status = -1;
    waitpid(client, &status, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "other verdicts: %d", status);

    /* None is lost, and none that was kept before the program was killed was asked again. */
    read_kept(&server, kept);
    read_log(&server, 0, "ask", asked);
    read_log(&server, 0, "done", done);
    read_log(&server, lines, "ask", later);
    int kept_at_kill = 0, twice = 0, tries = 0, asks = 0;
    for (int i = 0; i < 2 * COMPARISONS; i++) {
        cr_assert(kept[i].answered && done[i] >= 1, "question %d is lost", i);
        cr_assert(!killed[i].answered || later[i] == 0, "question %d is asked again", i);
        cr_assert_leq(asked[i], kept[i].tries, "a try of question %d is not counted", i);
        kept_at_kill += killed[i].answered;
        twice += done[i] - 1;
        tries += kept[i].tries;
        asks += asked[i];
    }
    /* Answered twice: at most what was under way when one of the two died. */
    cr_assert_leq(twice, 2 * PARALLEL, "%d answers were given twice", twice);
    cr_assert_geq(kept_at_kill, 700 - PARALLEL);
    printf("%d answers kept when killed; %d questions sent, %d tries counted, %d answered twice\n",
           kept_at_kill, asks, tries, twice);

    /* Once more: nothing is asked, and the verdicts are the same. */
    lines = server_count(&server, 0, NULL);
    compare_all(&server, verdicts, counts);
    cr_assert_arr_eq(verdicts, expected, sizeof expected);
    cr_assert_eq(server_count(&server, 0, NULL), lines);
    for (int k = 0; k < RG_JUDGE_COUNTS; k++) {
        cr_assert(strcmp(counts[k].name, "judge_calls") != 0 || counts[k].value == 0);
        cr_assert(strcmp(counts[k].name, "judge_cached") != 0 ||
                  counts[k].value == 2 * COMPARISONS);
        cr_assert(strcmp(counts[k].name, "judge_paid") != 0 || counts[k].value == tries);
    }
    server_kill(&server);
}
