/* SPDX-License-Identifier: MIT */
/* A judge that is a program. It is started once, reads queries as JSON lines from its standard
 * input and writes answers as JSON lines to its standard output, in any order,
 *
 *     {"id": 7, "prompt": "…", "a": "…", "b": "…"}
 *     {"id": 7, "answer": "A"}
 *
 * or, to score one response at a time,
 *
 *     {"id": 7, "prompt": "…", "response": "…"}
 *     {"id": 7, "score": 1.5}
 *
 * or {"id": 7, "error": "…"} if it has no answer. If it exits, is silent for too long or writes
 * anything else, it is terminated, and started again for the next query. If the shell finds no such
 * program (exit status 127) or cannot run it (126), all queries fail at once. From the third start on
 * without any answer so far, failures are final: what never worked is not worth a long wait. It runs in
 * the working folder of regatta. Its standard error is passed on to that of regatta, and its last line
 * there is a part of the message. It should exit at the end of its standard input. */
#ifndef RG_ENVS_JUDGES_JUDGE_COMMAND_H
#define RG_ENVS_JUDGES_JUDGE_COMMAND_H

#include "envs/judges/judge_client.h"

typedef struct RgCommandOptions {
    const char *command; /* for /bin/sh -c */
    double timeout;      /* seconds without a line while requests are open */
    bool scores;         /* it gives scores */
} RgCommandOptions;

/* Copies the options and starts nothing yet. RG_E_USAGE for an empty command. */
RgStatus rg_command_judge_create(const RgCommandOptions *options, RgJudgeClient **client,
                                 RgError *error);

#endif
