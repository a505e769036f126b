/* SPDX-License-Identifier: MIT */
/* Chat completions over HTTP. The only file that uses libcurl. */
#include "envs/judges/judge_endpoint.h"

#include "core/names.h"
#include "core/utf8.h"
#include "envs/judges/judge_external.h"
#include "envs/judges/secret.h"

#include <curl/curl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 16 << 20, MOST_HEAD_BYTES = 1 << 20, EXCERPT = 200 };
static const double connect_seconds = 10;

typedef struct Call Call;

typedef struct Endpoint {
    RgJudgeClient client;
    RgEndpointOptions options; /* strings owned */
    json_t *extra;
    char *key; /* NULL: none */
    struct curl_slist *headers;
    CURLM *multi;
    Call *calls;
} Endpoint;

/* An open request. */
struct Call {
    Call *next;
    int64_t request_id;
    CURL *easy;
    const char *request;
    size_t size, sent;
    RgBuffer body;
    size_t head; /* bytes of the response's header */
    bool too_long;
};

/* ---- what is sent ---- */

static void append_text(RgBuffer *buffer, const char *text) {
    rg_utf8_repair(text, strlen(text), buffer); /* a policy's text may be invalid UTF-8 */
}

/* The question with its parts filled in, NUL-terminated. */
static RgBuffer fill_in(const char *template, const RgJudgeQuery *query) {
    const struct {
        const char *name, *text;
    } parts[] = {{"{prompt}", query->prompt},
                 {query->b ? "{a}" : "{response}", query->a},
                 {query->b ? "{b}" : NULL, query->b}};
    RgBuffer text = {0};
    for (const char *c = template; *c;) {
        size_t length = 0;
        for (int k = 0; k < 3 && parts[k].name && length == 0; k++)
            if (strncmp(c, parts[k].name, strlen(parts[k].name)) == 0) {
                append_text(&text, parts[k].text);
                length = strlen(parts[k].name);
            }
        if (length == 0)
            rg_buffer_append(&text, c, 1);
        c += length > 0 ? length : 1;
    }
    rg_buffer_append(&text, "", 1);
    return text;
}

/* Remove members that `extra` sets to null. */
static void drop_nulls(json_t *object) {
    const char *name;
    json_t *value;
    void *after;
    json_object_foreach_safe(object, after, name, value) {
        if (json_is_null(value))
            json_object_del(object, name);
    }
}

static char *request(const RgJudgeClient *client, const RgJudgeQuery *query) {
    const Endpoint *e = (const Endpoint *)client;
    RgBuffer text = fill_in(e->options.question, query);
    json_t *body =
        json_pack("{s:s, s:[{s:s, s:s}], s:f, s:I}", "model", e->options.model, "messages", "role",
                  "user", "content", text.bytes, "temperature", e->options.temperature,
                  "max_tokens", (json_int_t)e->options.max_tokens);
    RG_ASSERT(body);
    json_object_update(body, e->extra);
    drop_nulls(body);
    char *sent = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(body);
    rg_buffer_release(&text);
    return sent;
}

/* libcurl repeats a request by itself if a kept connection turns out to be dead, unless it cannot
 * read the body twice. Attempts must be counted, so this gives the body once. */
static size_t give_body(char *to, size_t each, size_t count, void *context) {
    Call *call = context;
    size_t left = call->size - call->sent, room = each * count, size = left < room ? left : room;
    memcpy(to, call->request + call->sent, size);
    call->sent += size;
    return size;
}

static size_t take_body(char *from, size_t each, size_t count, void *context) {
    Call *call = context;
    size_t size = each * count;
    call->too_long = call->body.size + size > MOST_BYTES;
    if (call->too_long)
        return 0;
    rg_buffer_append(&call->body, from, size);
    return size;
}

static size_t take_header(char *from, size_t each, size_t count, void *context) {
    Call *call = context;
    (void)from;
    call->head += each * count;
    call->too_long = call->head > MOST_HEAD_BYTES;
    return call->too_long ? 0 : each * count;
}

static void start(RgJudgeClient *client, int64_t request_id, const char *text) {
    Endpoint *e = (Endpoint *)client;
    Call *call = rg_allocate(1, sizeof *call);
    *call =
        (Call){.next = e->calls, .request_id = request_id, .request = text, .size = strlen(text)};
    e->calls = call;
    call->easy = curl_easy_init();
    RG_ASSERT(call->easy);
    double timeout = e->options.timeout;
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_URL, e->options.url);
    curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, lround(1000 * timeout));
    curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS,
                     lround(1000 * fmin(timeout, connect_seconds)));
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, e->headers);
    curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->size);
    curl_easy_setopt(call->easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(call->easy, CURLOPT_READDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    RG_ASSERT(curl_multi_add_handle(e->multi, call->easy) == CURLM_OK);
}

static void end_call(Endpoint *e, Call *call) {
    Call **link = &e->calls;
    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    curl_multi_remove_handle(e->multi, call->easy);
    curl_easy_cleanup(call->easy);
    rg_buffer_release(&call->body);
    free(call);
}

/* ---- responses ---- */

/* A copy of the text without the key or parts of it. */
static char *without_key(const Endpoint *e, const char *text) {
    char *copy = rg_string_copy(text);
    if (e->key)
        rg_secret_strike(e->key, copy);
    return copy;
}

/* The start of a server's message, on one line. */
static char *excerpt(const Endpoint *e, const char *text) {
    char *clean = without_key(e, text);
    RgBuffer repaired = {0};
    size_t size = strlen(clean);
    rg_utf8_repair(clean, size < EXCERPT ? size : EXCERPT, &repaired);
    rg_buffer_append(&repaired, "", 1);
    rg_make_printable(repaired.bytes);
    free(clean);
    return repaired.bytes;
}

static RgReplyKind kind_of_status(long status) {
    switch (status) {
    case 408:
        return RG_REPLY_TIMEOUT;
    case 429:
        return RG_REPLY_BUSY;
    case 400: /* usually a query that is too long */
    case 413:
    case 422:
        return RG_REPLY_REJECTED;
    default:
        return status >= 500 ? RG_REPLY_ERROR : RG_REPLY_FORBIDDEN;
    }
}

/* {"error": {"message": …}}, or the body itself. */
static char *server_message(const Endpoint *e, const json_t *json, const char *body) {
    const json_t *error = json_object_get(json, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    return excerpt(e, message ? message : json_is_string(error) ? json_string_value(error) : body);
}

static void read_failure(const Endpoint *e, long status, const json_t *json, const char *body,
                         RgReply *reply) {
    char *message = server_message(e, json, body);
    reply->kind = kind_of_status(status);
    reply->text = rg_string_format("%s returned status %ld%s%s", e->options.url, status,
                                   message[0] ? ": " : "", message);
    free(message);
}

static void read_completion(const Endpoint *e, const json_t *json, const char *body,
                            RgReply *reply) {
    const json_t *choice = json_array_get(json_object_get(json, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const char *content = json_string_value(json_object_get(message, "content"));
    const char *refusal = json_string_value(json_object_get(message, "refusal"));
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    bool filtered = finish && strcmp(finish, "content_filter") == 0;
    if (refusal || filtered || content) {
        reply->kind = refusal || filtered ? RG_REPLY_REFUSAL : RG_REPLY_ANSWER;
        reply->text = without_key(e, refusal ? refusal : content ? content : "content_filter");
        return;
    }
    char *start = excerpt(e, body);
    reply->kind = RG_REPLY_UNREADABLE;
    reply->text =
        rg_string_format("%s returned %s, expected %s, found: %s", e->options.url,
                         json ? "another JSON" : "no JSON", "choices[0].message.content", start);
    free(start);
}

/* body [size], followed by NUL. */
static void read_answer(const Endpoint *e, long status, const char *body, size_t size,
                        RgReply *reply) {
    json_t *json = json_loadb(body, size, 0, NULL);
    if (status == 200)
        read_completion(e, json, body, reply);
    else
        read_failure(e, status, json, body, reply);
    json_decref(json);
}

static void read_body(const Endpoint *e, Call *call, RgReply *reply) {
    long status = 0;
    curl_off_t wait = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &wait);
    rg_buffer_append(&call->body, "", 1);
    read_answer(e, status, call->body.bytes, call->body.size - 1, reply);
    reply->wait = (double)wait;
}

static void read_break(const Endpoint *e, const Call *call, CURLcode code, RgReply *reply) {
    const char *what = "ended the connection before its answer was complete";
    reply->kind = RG_REPLY_LOST;
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        reply->kind = RG_REPLY_FORBIDDEN;
        what = "has an invalid certificate";
    } else if (call->too_long) {
        reply->kind = RG_REPLY_UNREADABLE;
        what = call->head > MOST_HEAD_BYTES ? "sent a header of more than 1 MiB"
                                            : "sent a body of more than 16 MiB";
    } else if (!reply->reached) {
        reply->kind = RG_REPLY_UNREACHED;
        what = "cannot be reached";
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        reply->kind = RG_REPLY_TIMEOUT;
        what = "did not answer in time";
    }
    reply->text = rg_string_format("%s %s (%s)", e->options.url, what, curl_easy_strerror(code));
}

static RgReply read_reply(const Endpoint *e, Call *call, CURLcode code) {
    RgReply reply = {.request_id = call->request_id};
    long sent = 0;
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
    reply.reached = sent > 0;
    if (code == CURLE_OK)
        read_body(e, call, &reply);
    else
        read_break(e, call, code, &reply);
    return reply;
}

static bool next_reply(Endpoint *e, RgReply *reply) {
    int active = 0, left = 0;
    curl_multi_perform(e->multi, &active);
    const CURLMsg *message = curl_multi_info_read(e->multi, &left);
    if (!message)
        return false;
    Call *call = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
    *reply = read_reply(e, call, code);
    end_call(e, call);
    return true;
}

static bool wait_reply(RgJudgeClient *client, double seconds, RgReply *reply) {
    Endpoint *e = (Endpoint *)client;
    double end = rg_clock_seconds() + seconds;
    while (!next_reply(e, reply)) {
        double left = end - rg_clock_seconds();
        if (left <= 0)
            return false;
        curl_multi_poll(e->multi, NULL, 0, (int)ceil(1000 * left), NULL);
    }
    return true;
}

/* ---- life ---- */

static void abandon(RgJudgeClient *client) {
    Endpoint *e = (Endpoint *)client;
    while (e->calls)
        end_call(e, e->calls);
}

static void destroy(RgJudgeClient *client) {
    Endpoint *e = (Endpoint *)client;
    abandon(client);
    curl_multi_cleanup(e->multi);
    curl_slist_free_all(e->headers);
    json_decref(e->extra);
    free((char *)e->options.url);
    free((char *)e->options.model);
    free((char *)e->options.question);
    free(e->key);
    free(e->client.name);
    free(e);
}

/* Whether the part between "//" and the next "/" has an '@'. A user and password in the address
 * would appear in messages and results. */
static bool has_user(const char *rest) {
    return memchr(rest, '@', strcspn(rest, "/?#")) != NULL;
}

/* Whether a parameter of the address is named like a key: it would appear in messages and
 * results. */
static bool has_key_parameter(const char *url) {
    const char *end = url + strcspn(url, "#");
    for (const char *at = url + strcspn(url, "?#"); at < end;) {
        size_t length = strcspn(++at, "&;?=#");
        if (rg_secret_named(at, length))
            return true;
        at += strcspn(at, "&;?#");
    }
    return false;
}

/* Messages do not contain the address, because it may hold a key. */
static const char *url_fault(const char *url) {
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0 || !url[scheme])
        return "expected http://… or https://…";
    if (has_user(url + scheme))
        return "expected an address without user and password; set key_variable to the name of the "
               "variable that holds the key";
    if (has_key_parameter(url))
        return "expected an address without a key among its parameters, because it is kept with "
               "the results; set key_variable to the name of the variable that holds the key";
    CURLU *parts = curl_url();
    bool good = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;
    curl_url_cleanup(parts);
    return good ? NULL : "is not an address";
}

static bool names_key(const json_t *value) {
    const char *name;
    const json_t *member;
    size_t i;
    json_object_foreach((json_t *)value, name, member) {
        if (rg_secret_named(name, strlen(name)) || names_key(member))
            return true;
    }
    json_array_foreach(value, i, member) {
        if (names_key(member))
            return true;
    }
    return false;
}

static const char *extra_fault(const char *text) {
    if (!text[0])
        return NULL;
    json_t *extra = json_loads(text, 0, NULL);
    const char *fault =
        !json_is_object(extra) ? "expected a JSON object"
        : names_key(extra)
            ? "expected no key among its members, because they are kept with the results; set "
              "key_variable to the name of the variable that holds the key"
            : NULL;
    json_decref(extra);
    return fault;
}

static RgStatus check_query(const char *query, bool scores, RgError *error) {
    static const char *const parts[2][4] = {{"{prompt}", "{a}", "{b}", NULL},
                                            {"{prompt}", "{response}", NULL}};
    for (int k = 0; parts[scores][k]; k++)
        if (!strstr(query, parts[scores][k]))
            return rg_fail(error, RG_E_USAGE, "question: expected %s in it%s", parts[scores][k],
                           scores ? ", because answer is \"score\"" : "");
    return RG_OK;
}

/* Messages contain the name of the variable, never its value. */
static RgStatus read_key(Endpoint *e, const char *variable, RgError *error) {
    e->headers = curl_slist_append(NULL, "Content-Type: application/json");
    e->headers = curl_slist_append(e->headers, "Expect:");
    if (!variable[0])
        return RG_OK;
    const char *key = getenv(variable);
    if (!key || !key[0])
        return rg_fail(error, RG_E_USAGE, "key_variable: the environment has no variable %s",
                       variable);
    for (const char *c = key; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return rg_fail(error, RG_E_USAGE,
                           "key_variable: %s does not hold a key: expected one word of ASCII",
                           variable);
    e->key = rg_string_copy(key);
    char *header = rg_string_format("Authorization: Bearer %s", key);
    e->headers = curl_slist_append(e->headers, header);
    free(header);
    return RG_OK;
}

static RgStatus check_text(const char *option, const char *fault, RgError *error) {
    return fault ? rg_fail(error, RG_E_USAGE, "%s: %s", option, fault) : RG_OK;
}

RgStatus rg_endpoint_create(const RgEndpointOptions *options, RgJudgeClient **client,
                            RgError *error) {
    *client = NULL;
    RG_TRY(check_text("url", url_fault(options->url), error));
    RG_TRY(check_text("extra", extra_fault(options->extra), error));
    RG_TRY(check_query(options->question, options->scores, error));
    RG_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    Endpoint *e = rg_allocate(1, sizeof *e);
    *e = (Endpoint){.client = {.name = rg_string_format("endpoint %s", options->model),
                               .request = request,
                               .start = start,
                               .wait = wait_reply,
                               .abandon = abandon,
                               .destroy = destroy},
                    .options = *options,
                    .multi = curl_multi_init()};
    RG_ASSERT(e->multi);
    e->options.url = rg_string_copy(options->url);
    e->options.model = rg_string_copy(options->model);
    e->options.question = rg_string_copy(options->question);
    e->options.key_variable = e->options.extra = NULL;
    e->extra = options->extra[0] ? json_loads(options->extra, 0, NULL) : json_object();
    RgStatus status = read_key(e, options->key_variable, error);
    if (status == RG_OK)
        *client = &e->client;
    else
        destroy(&e->client);
    return status;
}

/* ---- the judge ---- */

static const RgOption endpoint_options[] = {
    RG_OPTION_STRING(
        RgEndpointOptions, url, NULL,
        "full address of the chat completions endpoint: http://HOST:PORT/v1/chat/completions; "
        "cached answers remain valid under another address",
        .execution_only = true, .act = RG_ACT_ENDPOINT, .fault = url_fault),
    RG_OPTION_STRING(RgEndpointOptions, model, NULL, "name of the model at the endpoint"),
    RG_OPTION_STRING(RgEndpointOptions, key_variable, "",
                     "environment variable that holds the key; \"\": no key is sent. The key "
                     "itself is neither recorded nor shown",
                     .execution_only = true, .act = RG_ACT_KEY),
    RG_OPTION_STRING(RgEndpointOptions, question, RG_ENDPOINT_QUERY,
                     "text of the request, with {prompt}, {a} and {b} in place of the texts; with "
                     "answer = \"score\", {prompt} and {response}, and by default a question for a "
                     "number from 0 to 10"),
    RG_OPTION_REAL(RgEndpointOptions, temperature, "0", 0, 100,
                   "sampling temperature of the model"),
    RG_OPTION_INTEGER(RgEndpointOptions, max_tokens, "16", 1, 1e6, "most tokens of an answer"),
    RG_OPTION_STRING(RgEndpointOptions, extra, "",
                     "JSON object with further members of a request, such as {\"top_p\": 0.95}; "
                     "null removes a member: {\"temperature\": null}",
                     .fault = extra_fault),
    RG_OPTION_REAL(RgEndpointOptions, timeout, "60", 0.001, 86400,
                   "time limit of an attempt, in seconds", .execution_only = true),
    RG_OPTION_END,
};

typedef struct Options {
    RgEndpointOptions endpoint;
    RgExternalOptions external;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_INCLUDE(Options, endpoint, endpoint_options),
    RG_OPTION_INCLUDE(Options, external, rg_external_options),
    RG_OPTION_END,
};

static RgStatus create_judge(RgJudge *judge, const void *options, const RgJudgeShare *share,
                             RgRandom random, RgError *error) {
    const Options *o = options;
    RgJudgeClient *client;
    (void)share;
    (void)random;
    RgEndpointOptions endpoint = o->endpoint;
    endpoint.scores = rg_external_scores(&o->external);
    if (endpoint.scores && strcmp(endpoint.question, RG_ENDPOINT_QUERY) == 0)
        endpoint.question = RG_ENDPOINT_SCORE_QUERY;
    RgStatus status = rg_endpoint_create(&endpoint, &client, error);
    if (status == RG_OK)
        status = rg_external_judge_create(judge, client, &o->external, error);
    return status;
}

static bool gives_rewards(const void *options) {
    return rg_external_scores(&((const Options *)options)->external);
}

const RgJudgeType rg_judge_endpoint = {
    .about = {.name = "endpoint",
              .summary =
                  "A model behind HTTP (chat completions) that compares two responses, queried in "
                  "both orders, or scores one; answers are kept in the results store",
              .reference = "Zheng et al. 2023, arXiv:2306.05685, on judging in both orders",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create_judge,
    .rewards = rg_external_judge_rewards,
    .compare = rg_external_judge_compare,
    .gives_rewards = gives_rewards,
    .destroy = rg_external_judge_destroy,
    .use_answers = rg_external_judge_use_answers,
    .take_counts = rg_external_judge_take_counts,
};
