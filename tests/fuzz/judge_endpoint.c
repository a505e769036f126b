/* SPDX-License-Identifier: MIT */
/* What a judge behind HTTP answers, and which of two responses its answer names. Three digits of
 * status, then the body. The reader's own file is taken in here, as it keeps to itself what it does
 * with them. */
#include "envs/judges/judge_endpoint.c"

#include "tests/fuzz/fuzz.h"

/* An client that gives each query the same reply, which was read from the input. */
typedef struct Said {
    RgJudgeClient client;
    RgReply reply;
    int64_t request_ids[2];
    int count;
} Said;

static char *said_request(const RgJudgeClient *client, const RgJudgeQuery *query) {
    (void)client;
    return rg_string_copy(query->a);
}

static void said_start(RgJudgeClient *client, int64_t request_id, const char *text) {
    Said *s = (Said *)client;
    (void)text;
    s->request_ids[s->count++] = request_id;
}

static bool said_wait(RgJudgeClient *client, double seconds, RgReply *reply) {
    Said *s = (Said *)client;
    (void)seconds;
    if (s->count == 0)
        return false;
    *reply = s->reply;
    reply->text = rg_string_copy(s->reply.text);
    reply->request_id = s->request_ids[--s->count];
    return true;
}

static void said_abandon(RgJudgeClient *client) {
    ((Said *)client)->count = 0;
}

static void said_destroy(RgJudgeClient *client) {
    free(client->name);
    free(client);
}

/* One pair, asked in both orders. */
static void compare(const RgReply *reply, int on_failure) {
    RgError error = {0};
    RgExternal *external;
    RgVerdict verdict;
    const RgExternalOptions options = {
        .answer = RG_EXTERNAL_ANSWER, .on_failure = on_failure, .parallel = 2};
    const RgJudgeQuery pair = {.prompt = "p", .a = "first", .b = "second"};
    Said *said = rg_allocate(1, sizeof *said);
    *said = (Said){.client = {.name = rg_string_copy("said"),
                              .request = said_request,
                              .start = said_start,
                              .wait = said_wait,
                              .abandon = said_abandon,
                              .destroy = said_destroy},
                   .reply = *reply};
    RG_ASSERT(rg_external_create(&said->client, &options, &external, &error) == RG_OK);
    fuzz_good(rg_external_compare(external, &pair, 1, &verdict, &error), &error, NULL);
    rg_external_destroy(external);
}

static void run(const uint8_t *data, size_t size) {
    static Endpoint e = {.options = {.url = "http://judge"}, .key = "sk-0123456789"};
    RgReply reply = {.reached = true};
    if (size < 3)
        return;
    long status = 0;
    for (int i = 0; i < 3; i++)
        status = 10 * status + data[i] % 10;
    char *body = fuzz_text((RgBytes){data + 3, size - 3});
    read_answer(&e, status, body, size - 3, &reply);
    RG_ASSERT(reply.text && !strstr(reply.text, e.key));
    for (int failure = RG_FAILURE_STOP; failure <= RG_FAILURE_SKIP; failure++)
        compare(&reply, failure);
    free(reply.text);
    free(body);
}

const FuzzTarget fuzz_judge_endpoint = {"judge_endpoint", run};
