/* SPDX-License-Identifier: MIT */
/* What the peers in C have in common: their command line, the rounds that are timed, and what is
 * printed. A peer includes this, says how it computes (Peer), and calls peer_main.
 *
 *     peer_NAME WORK SHAPE MODEL [--threads=N] [--rounds=N] [--seconds=S] [--batch=N] [--check]
 *         [--kernels=NAME]
 *
 * WORK is sample, decode or score; SHAPE is S1 or S2; MODEL is a file that write_gguf.py or
 * write_onnx.py made. One JSON object is printed. With --check it has the likeliest tokens, each
 * with how far the next likely is behind it (nats), or the loss that score gives, instead of times.
 */
#ifndef RG_TESTS_BENCH_PEER_H
#define RG_TESTS_BENCH_PEER_H

#include "tests/bench/formula.h"

#include <argp.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { MOST_PEER_ROUNDS = 100000 };

/* As in bench_transformer.c. */
typedef struct PeerShape {
    const char *name;
    int layers, heads, size; /* of a head */
    int vocabulary, context;
} PeerShape;

static const PeerShape peer_shapes[] = {
    {"S1", 4, 4, 32, 512, 128},
    {"S2", 6, 6, 48, 32000, 256},
};

typedef struct PeerTask {
    const char *work;
    const PeerShape *shape;
    const char *model;
    const char *kernels; /* a family of instructions, where the peer has a choice; NULL: its own */
    int threads, batch, rounds;
    double seconds;
    bool check;
} PeerTask;

/* A peer, open for one task. */
typedef struct Peer {
    const char *program, *version, *kernels;
    /* What the model makes of `count` tokens of each sequence, [batch, count], behind `start`. */
    void (*step)(const PeerTask *task, int start, int count, const int32_t *token);
    void (*draw)(const PeerTask *task, int32_t *token); /* [batch], at temperature 1 */
    /* [vocabulary] of a sequence: log-probabilities up to a constant, or probabilities. */
    const float *(*row)(const PeerTask *task, int sequence);
    bool rows_are_probabilities;
    /* Log-probability of the tokens [context] behind the first. */
    double (*score)(const PeerTask *task, const int32_t *token);
} Peer;

static inline bool peer_scores(const PeerTask *task) {
    return strcmp(task->work, "score") == 0;
}

static inline void *peer_memory(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory)
        abort();
    return memory;
}

static inline void peer_fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* A number in [0, 1) to draw with. */
static inline float peer_random(void) {
    static uint64_t drawn;
    return (float)(mixed(drawn++, 1) >> 8) / (1 << 24);
}

static inline double peer_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- sampling ---- */

/* The likeliest token of a row, and how far the next likely is behind it. */
static inline int32_t peer_likeliest(const Peer *peer, const PeerTask *task, int sequence,
                                     double *margin) {
    const float *x = peer->row(task, sequence);
    int best = 0, next = -1;
    for (int i = 1; i < task->shape->vocabulary; i++)
        if (x[i] > x[best]) {
            next = best;
            best = i;
        } else if (next < 0 || x[i] > x[next]) {
            next = i;
        }
    *margin = peer->rows_are_probabilities ? log((double)x[best] / (double)x[next])
                                           : (double)x[best] - (double)x[next];
    return best;
}

/* All responses. `token` and `margin` [batch, NEW_TOKENS] get the likeliest; where they are NULL,
 * tokens are drawn. */
static inline void peer_sample(const Peer *peer, const PeerTask *task, int32_t *token,
                               double *margin) {
    int32_t *given = peer_memory((size_t)task->batch * PROMPT, sizeof *given);
    for (int i = 0; i < task->batch; i++)
        tokens_by_formula(task->shape->vocabulary, i, PROMPT, SAMPLE_PROMPTS, given + i * PROMPT);
    for (int j = 0, start = 0, count = PROMPT; j < NEW_TOKENS; j++, start += count, count = 1) {
        peer->step(task, start, j == 0 ? PROMPT : 1, given);
        if (!token)
            peer->draw(task, given);
        for (int i = 0; token && i < task->batch; i++)
            given[i] = token[i * NEW_TOKENS + j] =
                peer_likeliest(peer, task, i, &margin[i * NEW_TOKENS + j]);
    }
    free(given);
}

/* Mean log-probability of a token, over sequences that the formula gives. */
static inline double peer_mean_logprob(const Peer *peer, const PeerTask *task) {
    int context = task->shape->context;
    int32_t *token = peer_memory((size_t)context, sizeof *token);
    double sum = 0;
    for (int i = 0; i < task->batch; i++) {
        tokens_by_formula(task->shape->vocabulary, i, context, SCORE_TOKENS, token);
        sum += peer->score(task, token);
    }
    free(token);
    return sum / task->batch / (context - 1);
}

/* ---- what is printed ---- */

static inline void peer_print_check(const Peer *peer, const PeerTask *task) {
    if (peer_scores(task)) {
        printf(", \"losses\": [%.9g]", -peer_mean_logprob(peer, task));
        return;
    }
    size_t count = (size_t)task->batch * NEW_TOKENS;
    int32_t *token = peer_memory(count, sizeof *token);
    double *margin = peer_memory(count, sizeof *margin);
    peer_sample(peer, task, token, margin);
    printf(", \"tokens\": [");
    for (size_t i = 0; i < count; i++)
        printf("%s%" PRId32 "%s",
               i % NEW_TOKENS ? ", "
               : i            ? ", ["
                              : "[",
               token[i], i % NEW_TOKENS == NEW_TOKENS - 1 ? "]" : "");
    printf("], \"margins\": [");
    for (size_t i = 0; i < count; i++)
        printf("%s%.4g%s",
               i % NEW_TOKENS ? ", "
               : i            ? ", ["
                              : "[",
               margin[i], i % NEW_TOKENS == NEW_TOKENS - 1 ? "]" : "");
    printf("]");
    free(token);
    free(margin);
}

static inline int peer_by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void peer_round(const Peer *peer, const PeerTask *task) {
    if (peer_scores(task))
        peer_mean_logprob(peer, task);
    else
        peer_sample(peer, task, NULL, NULL);
}

static inline void peer_print_times(const Peer *peer, const PeerTask *task) {
    double *seconds = peer_memory(MOST_PEER_ROUNDS, sizeof *seconds);
    int rounds = 0;
    peer_round(peer, task);
    double end = peer_seconds() + task->seconds;
    do {
        double start = peer_seconds();
        peer_round(peer, task);
        seconds[rounds++] = peer_seconds() - start;
    } while (rounds < task->rounds || (peer_seconds() < end && rounds < MOST_PEER_ROUNDS));
    qsort(seconds, (size_t)rounds, sizeof *seconds, peer_by_size);
    double median = (seconds[rounds / 2] + seconds[(rounds - 1) / 2]) / 2;
    int tokens = task->batch * (peer_scores(task) ? task->shape->context : NEW_TOKENS);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf(", \"seconds\": %.6g, \"rounds\": %d, \"tokens\": %d, \"tokens_per_second\": %.6g, "
           "\"peak_bytes\": %.0f",
           median, rounds, tokens, tokens / median, (double)usage.ru_maxrss * 1024);
    free(seconds);
}

/* ---- the command line ---- */

static const struct argp_option peer_options[] = {
    {"threads", 't', "N", 0, "threads (2)", 0},
    {"rounds", 'r', "N", 0, "least number of rounds (5)", 0},
    {"seconds", 's', "S", 0, "go on for so long (0)", 0},
    {"batch", 'b', "N", 0, "sequences (16; decode: 1)", 0},
    {"kernels", 'k', "NAME", 0, "avx2 or avx512, where the peer has a choice", 0},
    {"check", 'c', NULL, 0, "print the loss, or the likeliest tokens, instead of times", 0},
    {0},
};

static inline int peer_count(const struct argp_state *state, const char *text) {
    char *end;
    long count = strtol(text, &end, 10);
    if (*end || count < 1 || count > MOST_PEER_ROUNDS)
        argp_error(state, "\"%s\" is no count", text);
    return (int)count;
}

static inline void peer_take_name(const struct argp_state *state, const char *name,
                                  PeerTask *task) {
    if (state->arg_num == 0) {
        task->work = name;
        if (strcmp(name, "sample") != 0 && strcmp(name, "decode") != 0 && !peer_scores(task))
            argp_error(state, "\"%s\": expected sample, decode or score", name);
    } else if (state->arg_num == 1) {
        for (size_t i = 0; i < sizeof peer_shapes / sizeof *peer_shapes; i++)
            if (strcmp(peer_shapes[i].name, name) == 0)
                task->shape = &peer_shapes[i];
        if (!task->shape)
            argp_error(state, "\"%s\": expected S1 or S2", name);
    } else {
        task->model = name;
    }
}

static inline error_t peer_parse(int key, char *argument, struct argp_state *state) {
    PeerTask *task = state->input;
    switch (key) {
    case 't':
        task->threads = peer_count(state, argument);
        return 0;
    case 'r':
        task->rounds = peer_count(state, argument);
        return 0;
    case 's':
        task->seconds = strtod(argument, NULL);
        return 0;
    case 'b':
        task->batch = peer_count(state, argument);
        return 0;
    case 'k':
        task->kernels = argument;
        return 0;
    case 'c':
        task->check = true;
        return 0;
    case ARGP_KEY_ARG:
        peer_take_name(state, argument, task);
        return 0;
    case ARGP_KEY_END:
        if (!task->model)
            argp_error(state, "expected a work, a shape and a model");
        if (task->batch == 0)
            task->batch = strcmp(task->work, "decode") == 0 ? 1 : 16;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static inline PeerTask peer_task(int argc, char **argv) {
    static const struct argp parser = {peer_options,
                                       peer_parse,
                                       "WORK SHAPE MODEL",
                                       "Time a work on a shape: see bench_transformer.",
                                       NULL,
                                       NULL,
                                       NULL};
    PeerTask task = {.threads = 2, .rounds = 5};
    argp_parse(&parser, argc, argv, 0, NULL, &task);
    return task;
}

static inline void peer_run(const Peer *peer, const PeerTask *task) {
    printf("{\"program\": \"%s\", \"version\": \"%s\", \"kernels\": \"%s\", \"work\": \"%s\", "
           "\"shape\": \"%s\", \"threads\": %d, \"batch\": %d",
           peer->program, peer->version, peer->kernels, task->work, task->shape->name,
           task->threads, task->batch);
    if (task->check)
        peer_print_check(peer, task);
    else
        peer_print_times(peer, task);
    printf("}\n");
}

#endif
