/* SPDX-License-Identifier: MIT */
/* What a judge that is a program writes: the bytes that came from its pipe, with two queries
 * under way. The reader's own file is taken in here, as it keeps to itself what it does with them.
 */
#include "envs/judges/judge_command.c"

#include "tests/fuzz/fuzz.h"

static void check(RgReply *reply) {
    RG_ASSERT(reply->text && reply->kind < RG_REPLY_KINDS && reply->request_id >= 7);
    free(reply->text);
}

static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgJudgeClient *client;
    RgReply reply;
    const RgCommandOptions options = {.command = "true", .timeout = 1000};
    RG_ASSERT(rg_command_judge_create(&options, &client, &error) == RG_OK);
    Command *c = (Command *)client;
    c->request_ids = rg_allocate(2, sizeof *c->request_ids);
    c->capacity = 2;
    for (c->count = 0; c->count < 2; c->count++)
        c->request_ids[c->count] = 7 + c->count;
    if (size > 0)
        rg_buffer_append(&c->in, (const char *)data, size);
    while (c->fate == RG_REPLY_ANSWER && c->in.size > 0 && memchr(c->in.bytes, '\n', c->in.size))
        if (next_line(c, &reply))
            check(&reply);
    while (next_lost(c, &reply))
        check(&reply);
    rg_judge_client_destroy(client);
}

const FuzzTarget fuzz_judge_command = {"judge_command", run};
