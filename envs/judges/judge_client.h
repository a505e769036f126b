/* SPDX-License-Identifier: MIT */
/* A connection to an external judge that compares two responses to a prompt, or scores one: an HTTP
 * endpoint (envs/judges/judge_endpoint.h) or a command (envs/judges/judge_command.h). Several
 * requests may be open at a time. Other files define what an answer means and what happens without one
 * (envs/judges/judge_requests.h, envs/judges/judge_external.h). One thread at a time uses a
 * client. */
#ifndef RG_ENVS_JUDGES_JUDGE_CLIENT_H
#define RG_ENVS_JUDGES_JUDGE_CLIENT_H

#include "core/base.h"

/* Is `a` or `b` the better response? How good is `a`, if `b` is NULL? Borrowed. */
typedef struct RgJudgeQuery {
    const char *prompt, *a, *b;
} RgJudgeQuery;

/* The outcome of an attempt. */
typedef enum RgReplyKind {
    RG_REPLY_ANSWER,
    RG_REPLY_REFUSAL,    /* the judge refuses to answer, which counts as an answer */
    RG_REPLY_TIMEOUT,    /* no reply in time */
    RG_REPLY_UNREACHED,  /* no connection */
    RG_REPLY_LOST,       /* the connection ended before the answer was complete */
    RG_REPLY_BUSY,       /* too many queries for now */
    RG_REPLY_ERROR,      /* an error of the server */
    RG_REPLY_UNREADABLE, /* complete, but not in the form of an answer */
    RG_REPLY_REJECTED,   /* the judge rejects this query, now and later */
    RG_REPLY_FORBIDDEN,  /* the judge rejects all queries */
    RG_REPLY_KINDS,
} RgReplyKind;

typedef struct RgReply {
    int64_t request_id;
    RgReplyKind kind;
    bool reached; /* the query was sent, at least in part: it counts as paid */
    bool final;   /* the judge would fail in the same way again: not to be repeated */
    double wait;  /* seconds to wait as the judge requires (Retry-After); 0: not stated */
    char *text;   /* malloc'd: the answer; for a failure, its description, to end a sentence */
} RgReply;

typedef struct RgJudgeClient RgJudgeClient;
struct RgJudgeClient {
    char *name; /* of the judge: "endpoint MODEL"; with a request, it determines the answer */

    /* The bytes of the request for a query, malloc'd; a function of the query alone. */
    char *(*request)(const RgJudgeClient *client, const RgJudgeQuery *query);
    /* Send a request, which must live until its reply has come. The reply has `request_id`. */
    void (*start)(RgJudgeClient *client, int64_t request_id, const char *request);
    /* The next reply of any open request; false if none came within `seconds`. */
    bool (*wait)(RgJudgeClient *client, double seconds, RgReply *reply);
    /* Drop all open requests: they get no reply. */
    void (*abandon)(RgJudgeClient *client);
    void (*destroy)(RgJudgeClient *client); /* frees `name`, too */
};

static inline void rg_judge_client_destroy(RgJudgeClient *client) {
    if (client)
        client->destroy(client);
}

#endif
