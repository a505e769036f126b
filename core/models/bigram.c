/* SPDX-License-Identifier: MIT */
/* A table of logits over positions, previous tokens and tokens. */
#include "core/models/bigram.h"

#include "core/policy/token_sampler.h"
#include "core/policy/trajectory.h"
#include "core/tensor/parallel.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { INITIAL_REFERENCE, INITIAL_UNIFORM };
static const char *const initials[] = {"reference", "uniform", NULL};

typedef struct Options {
    int initial;
    double initial_deviation;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_CHOICE(Options, initial, "reference", initials,
                     "initial rows: reference, those of the environment's grammar; or uniform"),
    RG_OPTION_REAL(Options, initial_deviation, "0", 0, 100,
                   "standard deviation of the normal noise added to the initial logits"),
    RG_OPTION_END,
};

typedef struct State {
    int64_t vocabulary, length; /* tokens of a response */
} State;

static int64_t row_count(const State *s) {
    return 1 + (s->length - 1) * s->vocabulary;
}

/* The row of the token at `place` of a sequence (the first token, the start, is at place 0). */
static int64_t row_at(const State *s, const int32_t *token, int64_t place) {
    return place == 1 ? 0 : 1 + (place - 2) * s->vocabulary + token[place - 1];
}

/* ---- life ---- */

static void declare(RgPolicy *policy, int64_t vocabulary, int64_t length) {
    State *state = rg_allocate(1, sizeof *state);
    *state = (State){vocabulary, length};
    policy->state = state;
    rg_parameters_declare(policy->parameters, "logits", 2,
                          (const int64_t[]){row_count(state), vocabulary}, true);
}

static RgStatus create(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                       RgRandom random, RgError *error) {
    const Options *o = options;
    if (!space->bigram)
        return rg_fail(error, RG_E_USAGE,
                       "a bigram policy needs an environment with sentences of one length, such "
                       "as language");
    declare(policy, space->vocabulary, space->response_length);
    rg_policy_allocate(policy);
    RgParameters *p = policy->parameters;
    rg_parameters_fill_normal(p, 0, o->initial_deviation, random);
    for (int64_t i = 0; o->initial == INITIAL_REFERENCE && i < p->count; i++)
        p->value[i] += (RgReal)space->bigram[i];
    return RG_OK;
}

static void destroy(RgPolicy *policy) {
    free(policy->state);
}

/* ---- log-probabilities ---- */

/* Rows and targets of all response tokens, [steps] each, in the tape's arena. */
static void indices(const State *s, RgTape *tape, const RgSequences *sequences, int64_t steps,
                    int32_t **rows, int32_t **targets) {
    int64_t step = 0;
    *rows = RG_ARENA_ARRAY(rg_tape_arena(tape), int32_t, steps);
    *targets = RG_ARENA_ARRAY(rg_tape_arena(tape), int32_t, steps);
    for (int64_t i = 0; i < sequences->count; i++) {
        const int32_t *token = rg_sequence_prompt(sequences, i);
        RG_ASSERT(sequences->prompt_length[i] > 0); /* nothing precedes the very first token */
        for (int64_t k = sequences->prompt_length[i]; k < rg_sequence_length(sequences, i); k++) {
            (*rows)[step] = (int32_t)row_at(s, token, k);
            (*targets)[step++] = token[k];
        }
    }
}

static RgTensor *step_logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                              const RgSequences *sequences) {
    int32_t *rows, *targets;
    int64_t steps = rg_sequences_response_tokens(sequences);
    indices(policy->state, tape, sequences, steps, &rows, &targets);
    RgTensor *table = rg_log_softmax(tape, rg_parameter(tape, parameters, 0));
    return rg_gather(tape, rg_embedding(tape, table, rows, steps), targets);
}

static RgTensor *logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                         const RgSequences *sequences) {
    return rg_segment_sum(tape, step_logprob(policy, tape, parameters, sequences),
                          rg_trajectory_offsets(tape, sequences, 1), sequences->count);
}

/* ---- features ---- */

/* Which logits the response reads: a reward that is linear in them is a sum over its tokens of a
 * table like that of the logits. */
static RgTensor *features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                          const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    int64_t width = row_count(s) * s->vocabulary;
    RgTensor *y = rg_filled(tape, RG_SHAPE(sequences->count, width), 0);
    for (int64_t i = 0; i < sequences->count; i++) {
        const int32_t *token = rg_sequence_prompt(sequences, i);
        for (int64_t k = sequences->prompt_length[i]; k < rg_sequence_length(sequences, i); k++)
            y->data[i * width + row_at(s, token, k) * s->vocabulary + token[k]] += 1;
    }
    return y;
}

static int64_t feature_count(const RgPolicy *policy) {
    const State *s = policy->state;
    return row_count(s) * s->vocabulary;
}

/* One-hot over the rows. */
static RgTensor *state_features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    int32_t *rows, *targets;
    int64_t steps = rg_sequences_response_tokens(sequences);
    indices(s, tape, sequences, steps, &rows, &targets);
    RgTensor *y = rg_filled(tape, RG_SHAPE(steps, row_count(s)), 0);
    for (int64_t k = 0; k < steps; k++)
        y->data[k * row_count(s) + rows[k]] = 1;
    return y;
}

static int64_t state_feature_count(const RgPolicy *policy) {
    return row_count(policy->state);
}

/* ---- sampling ---- */

/* Samples the responses to the prompts [first, last). */
static void sample_some(const RgPolicy *policy, const RgSequences *prompts,
                        const RgSampling *sampling, RgRandom random, int64_t first, int64_t last,
                        int32_t *tokens, int64_t *length, double *logprob) {
    const State *s = policy->state;
    const RgPolicy *partner = sampling->partner;
    RgTokenSampler *draw = rg_token_sampler_create(sampling, s->vocabulary);
    RgReal *logits = rg_allocate(s->vocabulary, sizeof *logits);
    int32_t *token = rg_allocate(s->length + 1, sizeof *token);
    for (int64_t i = first; i < last; i++) {
        RgRandom own = rg_random_at(random, (uint64_t)(sampling->first + i));
        int64_t start = prompts->prompt_length[i], count = 0;
        int32_t *out = tokens + i * sampling->response_limit;
        logprob[i] = 0;
        RG_ASSERT(start > 0 && start <= s->length + 1);
        memcpy(token, rg_sequence_prompt(prompts, i), (size_t)start * sizeof *token);
        for (bool ended = false;
             !ended && count < sampling->response_limit && start + count <= s->length; count++) {
            int64_t row = row_at(s, token, start + count) * s->vocabulary;
            double chosen;
            memcpy(logits, policy->parameters->value + row, (size_t)s->vocabulary * sizeof *logits);
            if (partner)
                rg_sampling_mix(sampling, partner->parameters->value + row, s->vocabulary, logits);
            out[count] = token[start + count] = rg_token_sampler_draw(
                draw, logits, rg_random_uniform(own, (uint64_t)count), &chosen);
            logprob[i] += chosen;
            ended = rg_sampling_ends(sampling, out[count]);
        }
        length[i] = count;
    }
    free(token);
    free(logits);
    rg_token_sampler_destroy(draw);
}

static double sample(RgPolicy *policy, const RgSequences *prompts, const RgSampling *sampling,
                     RgRandom random, int32_t *tokens, int64_t *length, double *logprob) {
    enum { LEAST = 256 }; /* responses from which a thread pays off */
    const State *s = policy->state;
    RG_FOR_PIECES(
        prompts->count, rg_spread(prompts->count, LEAST),
        sample_some(policy, prompts, sampling, random, first, last, tokens, length, logprob));
    return 3.0 * (double)(prompts->count * s->length * s->vocabulary); /* exp, sum, compare */
}

/* ---- borders ---- */

static int64_t context_limit(const RgPolicy *policy) {
    return ((const State *)policy->state)->length + 1;
}

static int64_t vocabulary(const RgPolicy *policy, bool in_response) {
    (void)in_response;
    return ((const State *)policy->state)->vocabulary;
}

/* ---- description ---- */

static char *describe(const RgPolicy *policy) {
    const State *s = policy->state;
    json_t *root = json_pack("{s:I, s:I}", "length", (json_int_t)s->length, "vocabulary",
                             (json_int_t)s->vocabulary);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

static bool read_size(const json_t *root, const char *key, int64_t *size) {
    enum { MOST = 1 << 20 };
    const json_t *value = json_object_get(root, key);
    *size = json_is_integer(value) ? json_integer_value(value) : 0;
    return *size > 0 && *size <= MOST;
}

static RgStatus restore(RgPolicy *policy, const char *description, RgError *error) {
    json_t *root = json_loads(description, 0, NULL);
    int64_t length, words;
    bool good = read_size(root, "length", &length) && read_size(root, "vocabulary", &words);
    json_decref(root);
    if (!good)
        return rg_fail(error, RG_E_FORMAT,
                       "the description of a bigram policy has no \"vocabulary\" and \"length\"");
    declare(policy, words, length);
    return RG_OK;
}

const RgPolicyType rg_policy_bigram = {
    .about = {.name = "bigram",
              .summary = "One logit per position, previous token and token, for sentences of one "
                         "length",
              .reference = "softmax of n-gram rows, n = 2",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .destroy = destroy,
    .logprob = logprob,
    .features = features,
    .feature_count = feature_count,
    .step_logprob = step_logprob,
    .state_features = state_features,
    .state_feature_count = state_feature_count,
    .sample = sample,
    .mixes = true,
    .context_limit = context_limit,
    .vocabulary = vocabulary,
    .describe = describe,
    .restore = restore,
};
