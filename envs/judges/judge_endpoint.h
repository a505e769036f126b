/* SPDX-License-Identifier: MIT */
/* A judge behind HTTP: a server with OpenAI's chat completions API, such as OpenAI, vLLM, llama.cpp
 * or Ollama. Each query is one request,
 *
 *     POST URL
 *     {"model": …, "messages": [{"role": "user", "content": …}], "temperature": …, "max_tokens": …}
 *
 * and the answer is choices[0].message.content of the response.
 *
 * The key comes from an environment variable. It goes into the Authorization header and nowhere
 * else: redirections are not followed, and a key that the server repeats is overwritten. */
#ifndef RG_ENVS_JUDGES_JUDGE_ENDPOINT_H
#define RG_ENVS_JUDGES_JUDGE_ENDPOINT_H

#include "envs/judges/judge_client.h"

/* The default question. */
#define RG_ENDPOINT_QUERY                                                                          \
    "Which of two responses to a prompt is better?\n\n"                                            \
    "[Prompt]\n{prompt}\n\n[Response A]\n{a}\n\n[Response B]\n{b}\n\n"                             \
    "Answer with one letter, A or B, and nothing else."
/* The same for a score. */
#define RG_ENDPOINT_SCORE_QUERY                                                                    \
    "How good is a response to a prompt?\n\n"                                                      \
    "[Prompt]\n{prompt}\n\n[Response]\n{response}\n\n"                                             \
    "Answer with one number from 0, useless, to 10, perfect, and nothing else."

typedef struct RgEndpointOptions {
    const char *url;          /* full address, http or https, without user and password */
    const char *model;        /* its name at the server */
    const char *key_variable; /* the environment variable that holds the key; "": no key is sent */
    const char *question; /* contains {prompt}, {a} and {b}; for scores {prompt} and {response} */
    const char *extra;    /* further members of the request, a JSON object; "": none */
    double temperature;
    int64_t max_tokens; /* of an answer */
    double timeout;     /* seconds for an attempt */
    bool scores;        /* it gives scores */
} RgEndpointOptions;

/* Copies the options and sends nothing yet. RG_E_USAGE, with the option's name, if the address, the
 * question or the further members are invalid, or the key is missing. */
RgStatus rg_endpoint_create(const RgEndpointOptions *options, RgJudgeClient **client,
                            RgError *error);

#endif
