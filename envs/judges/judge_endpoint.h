/* SPDX-License-Identifier: MIT */
/* A judge behind HTTP: an address that speaks OpenAI's chat completions, as its own service, vLLM,
 * llama.cpp, Ollama and others do. Each query is one request,
 *
 *     POST URL
 *     {"model": …, "messages": [{"role": "user", "content": …}], "temperature": …, "max_tokens": …}
 *
 * and the answer is choices[0].message.content of what comes back.
 *
 * The key comes from an environment variable. It goes into the Authorization header and nowhere
 * else: redirections are not followed, and should the server repeat the key, it is struck out. */
#ifndef RG_ENVS_JUDGES_JUDGE_ENDPOINT_H
#define RG_ENVS_JUDGES_JUDGE_ENDPOINT_H

#include "envs/judges/judge_client.h"

/* The query as it is put where the config has no other. */
#define RG_ENDPOINT_QUERY                                                                          \
    "Which of two responses to a prompt is better?\n\n"                                            \
    "[Prompt]\n{prompt}\n\n[Response A]\n{a}\n\n[Response B]\n{b}\n\n"                             \
    "Answer with one letter, A or B, and nothing else."

typedef struct RgEndpointOptions {
    const char *url;          /* the whole address, http or https, without user and password */
    const char *model;        /* its name there */
    const char *key_variable; /* the environment variable that holds the key; "": no key is sent */
    const char *question;     /* with {prompt}, {a} and {b} in it */
    const char *extra;        /* more members of the request, a JSON object; "": none */
    double temperature;
    int64_t max_tokens; /* of an answer */
    double timeout;     /* seconds for a try */
} RgEndpointOptions;

/* Nothing is sent yet; the options are copied. RG_E_USAGE, with the option's name, where the
 * address, the query or the further members are none, or the key is not there. */
RgStatus rg_endpoint_create(const RgEndpointOptions *options, RgJudgeClient **client,
                            RgError *error);

#endif
