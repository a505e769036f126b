/* SPDX-License-Identifier: MIT */
/* A judge that is a program: it is started once, reads queries as JSON lines on its standard
 * input and writes answers as JSON lines on its standard output, in any order,
 *
 *     {"id": 7, "prompt": "…", "a": "…", "b": "…"}
 *     {"id": 7, "answer": "A"}
 *
 * or {"id": 7, "error": "…"} where it has none. When it ends, is silent for too long, or writes
 * anything else, it is ended, and started again for the next query. Its standard error is the
 * program's own. It should end when its standard input does. */
#ifndef RG_ENVS_JUDGES_JUDGE_COMMAND_H
#define RG_ENVS_JUDGES_JUDGE_COMMAND_H

#include "envs/judges/judge_client.h"

typedef struct RgCommandOptions {
    const char *command; /* a line for /bin/sh */
    double timeout;      /* seconds without a line while queries are under way */
} RgCommandOptions;

/* Nothing is started yet; the options are copied. RG_E_USAGE where the command is empty. */
RgStatus rg_command_judge_create(const RgCommandOptions *options, RgJudgeClient **client,
                                 RgError *error);

#endif
