/* SPDX-License-Identifier: MIT */
/* A way to somebody outside of the program who compares two responses to a prompt: an HTTP endpoint
 * (envs/judges/judge_endpoint.h) or a command (envs/judges/judge_command.h). Several queries may
 * be under way at a time. What an answer means, and what is done when none comes, is not known here
 * (envs/judges/judge_requests.h, envs/judges/judge_external.h). */
#ifndef RG_ENVS_JUDGES_JUDGE_CLIENT_H
#define RG_ENVS_JUDGES_JUDGE_CLIENT_H

#include "core/base.h"

/* Is `a` or `b` the better response? Borrowed. */
typedef struct RgJudgeQuery {
    const char *prompt, *a, *b;
} RgJudgeQuery;

/* How a try ended. */
typedef enum RgReplyKind {
    RG_REPLY_ANSWER,
    RG_REPLY_REFUSAL,    /* the judge would not say, which is an answer too */
    RG_REPLY_TIMEOUT,    /* nothing came in time */
    RG_REPLY_UNREACHED,  /* nobody is there */
    RG_REPLY_LOST,       /* the connection ended before the answer did */
    RG_REPLY_BUSY,       /* too many queries for now */
    RG_REPLY_ERROR,      /* trouble on the other side */
    RG_REPLY_UNREADABLE, /* complete, and not in the form of an answer */
    RG_REPLY_REJECTED,   /* this query is not taken, however often it is asked */
    RG_REPLY_FORBIDDEN,  /* nor is any other */
    RG_REPLY_KINDS,
} RgReplyKind;

typedef struct RgReply {
    int64_t request_id;
    RgReplyKind kind;
    bool reached; /* the query was sent, in part at least: it counts as paid */
    double wait;  /* seconds that the other side asks to be left alone for; 0: it does not say */
    char *text;   /* malloc'd: the answer; of a failure, what happened, as the end of a sentence */
} RgReply;

typedef struct RgJudgeClient RgJudgeClient;
struct RgJudgeClient {
    char *name; /* of the judge: "endpoint MODEL"; with a request all that decides the answer */

    /* All that is sent for a query, malloc'd: the same bytes for the same query. */
    char *(*request)(const RgJudgeClient *client, const RgJudgeQuery *query);
    /* Send a request, which must stay until its reply has come. `request_id` names the reply. */
    void (*start)(RgJudgeClient *client, int64_t request_id, const char *request);
    /* The next reply, whichever comes first; false when none came within `seconds`. */
    bool (*wait)(RgJudgeClient *client, double seconds, RgReply *reply);
    /* Forget what is under way: no reply will come of it. */
    void (*abandon)(RgJudgeClient *client);
    void (*destroy)(RgJudgeClient *client); /* with `name` */
};

static inline void rg_judge_client_destroy(RgJudgeClient *client) {
    if (client)
        client->destroy(client);
}

#endif
