/* SPDX-License-Identifier: MIT */
/* The tabular and the log-linear policy: one row of logits per context, in closed form. All exact
 * results about enumerated environments are based on them. What they share with the mlp policy
 * (mlp.c), sampling and tables, is here, too. The environments are in envs/bandit/. */
#include "core/models/enumerated_internal.h"

#include "core/policy/token_sampler.h"
#include "core/task/task.h"
#include "core/tensor/vector_ops.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Options {
    double initial_deviation;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_REAL(Options, initial_deviation, "1", 0, 100,
                   "standard deviation of the initial logits; 0: the uniform policy"),
    RG_OPTION_END,
};

typedef struct State {
    RgEnumerated all;
    int64_t feature_count; /* 0: tabular */
    RgReal *features;      /* [contexts, responses, feature_count] */
} State;

static void closed_form_rows(const RgPolicy *policy, const int32_t *contexts, int64_t count,
                             double *logits);

/* ---- life ---- */

static void declare(RgPolicy *policy, State *state) {
    RgParameters *parameters = policy->parameters;
    policy->state = state;
    if (state->feature_count > 0)
        rg_parameters_declare(parameters, "weights", 1, (const int64_t[]){state->feature_count},
                              true);
    else
        rg_parameters_declare(parameters, "logits", 2,
                              (const int64_t[]){state->all.contexts, state->all.responses}, true);
}

RgStatus rg_enumerated_check_space(const char *kind, const RgPolicySpace *space, RgError *error) {
    if (space->contexts <= 0 || space->responses <= 0)
        return rg_fail(error, RG_E_USAGE,
                       "a %s policy needs an environment whose contexts and responses are "
                       "enumerated, such as bandit",
                       kind);
    return RG_OK;
}

static State *state_of(int64_t contexts, int64_t responses, int64_t feature_count) {
    State *state = rg_allocate(1, sizeof *state);
    state->all = (RgEnumerated){contexts, responses, closed_form_rows, 2 * (double)feature_count};
    state->feature_count = feature_count;
    if (feature_count > 0)
        state->features =
            rg_allocate(contexts * responses * feature_count, sizeof *state->features);
    return state;
}

static RgStatus tabular_create(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                               RgRandom random, RgError *error) {
    const Options *o = options;
    RG_TRY(rg_enumerated_check_space("tabular", space, error));
    State *state = state_of(space->contexts, space->responses, 0);
    declare(policy, state);
    rg_policy_allocate(policy);
    rg_parameters_fill_normal(policy->parameters, 0, o->initial_deviation, random);
    return RG_OK;
}

static RgStatus log_linear_create(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                                  RgRandom random, RgError *error) {
    const Options *o = options;
    RG_TRY(rg_enumerated_check_space("log-linear", space, error));
    if (!space->features || space->feature_count <= 0)
        return rg_fail(error, RG_E_USAGE,
                       "a log-linear policy needs an environment that provides features");
    State *state = state_of(space->contexts, space->responses, space->feature_count);
    int64_t count = state->all.contexts * state->all.responses * state->feature_count;
    for (int64_t i = 0; i < count; i++)
        state->features[i] = (RgReal)space->features[i];
    declare(policy, state);
    rg_policy_allocate(policy);
    /* Features have unit variance, so the logits have the standard deviation of the weights. */
    rg_parameters_fill_normal(policy->parameters, 0,
                              o->initial_deviation / sqrt((double)state->feature_count), random);
    return RG_OK;
}

static void destroy(RgPolicy *policy) {
    State *state = policy->state;
    free(state->features);
    free(state);
}

/* ---- log-probabilities ---- */

/* [contexts, responses] */
static RgTensor *tabular_logits(RgPolicy *policy, RgTape *tape, RgParameters *parameters) {
    (void)policy;
    return rg_parameter(tape, parameters, 0);
}

/* features [contexts · responses, feature_count] times w [feature_count] → [contexts, responses] */
static RgTensor *log_linear_logits(RgPolicy *policy, RgTape *tape, RgParameters *parameters) {
    const State *s = policy->state;
    RgTensor *features = rg_borrow(
        tape, RG_SHAPE(s->all.contexts * s->all.responses, s->feature_count), s->features);
    RgTensor *w =
        rg_reshape(tape, rg_parameter(tape, parameters, 0), RG_SHAPE(s->feature_count, 1));
    return rg_reshape(tape, rg_matmul(tape, features, w),
                      RG_SHAPE(s->all.contexts, s->all.responses));
}

void rg_enumerated_indices(RgTape *tape, const RgSequences *sequences, int32_t **contexts,
                           int32_t **responses) {
    *contexts = RG_ARENA_ARRAY(rg_tape_arena(tape), int32_t, sequences->count);
    *responses = RG_ARENA_ARRAY(rg_tape_arena(tape), int32_t, sequences->count);
    for (int64_t i = 0; i < sequences->count; i++) {
        RG_ASSERT(sequences->prompt_length[i] == 1 && rg_sequence_length(sequences, i) == 2);
        (*contexts)[i] = *rg_sequence_prompt(sequences, i);
        (*responses)[i] = *rg_sequence_response(sequences, i);
    }
}

/* log π(r|c) = logits[c, r] − log Σ_k exp logits[c, k] */
static RgTensor *logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                         const RgSequences *sequences) {
    int32_t *contexts, *responses;
    rg_enumerated_indices(tape, sequences, &contexts, &responses);
    RgTensor *table = rg_log_softmax(tape, policy->type->logits(policy, tape, parameters));
    RgTensor *rows = rg_embedding(tape, table, contexts, sequences->count);
    return rg_gather(tape, rows, responses);
}

/* ---- features ---- */

/* One-hot over (context, response). */
static RgTensor *tabular_features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                  const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    RgTensor *y =
        rg_filled(tape, RG_SHAPE(sequences->count, s->all.contexts * s->all.responses), (RgReal)0);
    int32_t *contexts, *responses;
    rg_enumerated_indices(tape, sequences, &contexts, &responses);
    for (int64_t i = 0; i < sequences->count; i++)
        y->data[i * s->all.contexts * s->all.responses + contexts[i] * s->all.responses +
                responses[i]] = 1;
    return y;
}

static RgTensor *log_linear_features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                     const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    RgTensor *y = rg_filled(tape, RG_SHAPE(sequences->count, s->feature_count), 0);
    int32_t *contexts, *responses;
    rg_enumerated_indices(tape, sequences, &contexts, &responses);
    for (int64_t i = 0; i < sequences->count; i++)
        memcpy(y->data + i * s->feature_count,
               s->features + (contexts[i] * s->all.responses + responses[i]) * s->feature_count,
               (size_t)s->feature_count * sizeof *y->data);
    return y;
}

/* One-hot over the context, which is all that is known before the single step. */
static RgTensor *state_features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    RgTensor *y = rg_filled(tape, RG_SHAPE(sequences->count, s->all.contexts), 0);
    for (int64_t i = 0; i < sequences->count; i++)
        y->data[i * s->all.contexts + *rg_sequence_prompt(sequences, i)] = 1;
    return y;
}

static int64_t state_feature_count(const RgPolicy *policy) {
    return ((const State *)policy->state)->all.contexts;
}

static int64_t feature_count(const RgPolicy *policy) {
    const State *s = policy->state;
    return s->feature_count > 0 ? s->feature_count : s->all.contexts * s->all.responses;
}

/* ---- numbers without a tape ---- */

int64_t rg_policy_contexts(const RgPolicy *policy) {
    return ((const RgEnumerated *)policy->state)->contexts;
}

int64_t rg_policy_responses(const RgPolicy *policy) {
    return ((const RgEnumerated *)policy->state)->responses;
}

static void closed_form_rows(const RgPolicy *policy, const int32_t *contexts, int64_t count,
                             double *logits) {
    const State *s = policy->state;
    const RgReal *value = policy->parameters->value;
    for (int64_t i = 0; i < count; i++)
        for (int64_t r = 0; r < s->all.responses; r++) {
            int64_t cell = contexts[i] * s->all.responses + r;
            *logits++ =
                s->feature_count == 0
                    ? value[cell]
                    : rg_dot(s->feature_count, s->features + cell * s->feature_count, value);
        }
}

static void log_normalise(double *logits, int64_t count) {
    double most = -INFINITY, sum = 0;
    for (int64_t r = 0; r < count; r++)
        most = fmax(most, logits[r]);
    for (int64_t r = 0; r < count; r++)
        sum += exp(logits[r] - most);
    for (int64_t r = 0; r < count; r++)
        logits[r] -= most + log(sum);
}

void rg_policy_table_rows(const RgPolicy *policy, const int32_t *contexts, int64_t count,
                          double *table) {
    const RgEnumerated *e = policy->state;
    RG_ASSERT(policy->type->logits != NULL);
    e->rows(policy, contexts, count, table);
    for (int64_t i = 0; i < count; i++)
        log_normalise(table + i * e->responses, e->responses);
}

void rg_policy_table(const RgPolicy *policy, double *table) {
    int64_t contexts = rg_policy_contexts(policy);
    int32_t *all = rg_allocate(contexts, sizeof *all);
    for (int32_t c = 0; c < contexts; c++)
        all[c] = c;
    rg_policy_table_rows(policy, all, contexts, table);
    free(all);
}

/* ---- sampling ---- */

int64_t rg_enumerated_distinct(const int32_t *contexts, int64_t count, int64_t all,
                               int32_t *distinct, int32_t *row) {
    int32_t *place = rg_allocate(all, sizeof *place), found = 0; /* 1 more than the place; 0: new */
    for (int64_t i = 0; i < count; i++) {
        if (place[contexts[i]] == 0) {
            distinct[found++] = contexts[i];
            place[contexts[i]] = found;
        }
        row[i] = place[contexts[i]] - 1;
    }
    free(place);
    return found;
}

/* Samples the response to one context. A diverged policy has no distribution. Then any response
 * will do, and the loss on it shows the divergence. */
static int32_t draw_response(const RgReal *logits, int64_t count, RgTokenSampler *draw,
                             double uniform, double *logprob) {
    *logprob = NAN;
    for (int64_t r = 0; r < count; r++)
        if (!isfinite(logits[r]))
            return 0;
    return rg_token_sampler_draw(draw, logits, uniform, logprob);
}

/* Logits of the distinct contexts, mixed with those of the partner: out [count, responses]. */
static void sampled_rows(const RgPolicy *policy, const RgSampling *sampling,
                         const int32_t *contexts, int64_t count, RgReal *out) {
    const RgEnumerated *e = policy->state;
    int64_t cells = count * e->responses;
    double *logits = rg_allocate(cells, sizeof *logits);
    e->rows(policy, contexts, count, logits);
    for (int64_t i = 0; i < cells; i++)
        out[i] = (RgReal)logits[i];
    if (sampling->partner) {
        RgReal *partner = rg_allocate(cells, sizeof *partner);
        e->rows(sampling->partner, contexts, count, logits);
        for (int64_t i = 0; i < cells; i++)
            partner[i] = (RgReal)logits[i];
        rg_sampling_mix(sampling, partner, cells, out);
        free(partner);
    }
    free(logits);
}

double rg_enumerated_sample(RgPolicy *policy, const RgSequences *prompts,
                            const RgSampling *sampling, RgRandom random, int32_t *tokens,
                            int64_t *length, double *logprob) {
    const RgEnumerated *e = policy->state;
    int64_t n = prompts->count;
    int32_t *contexts = rg_allocate(3 * n, sizeof *contexts), *distinct = contexts + n;
    int32_t *row = contexts + 2 * n;
    for (int64_t i = 0; i < n; i++) {
        RG_ASSERT(prompts->prompt_length[i] == 1);
        contexts[i] = *rg_sequence_prompt(prompts, i);
    }
    int64_t rows = rg_enumerated_distinct(contexts, n, e->contexts, distinct, row);
    RgReal *logits = rg_allocate(rows * e->responses, sizeof *logits);
    sampled_rows(policy, sampling, distinct, rows, logits);
    RgTokenSampler *draw = rg_token_sampler_create(sampling, e->responses);
    for (int64_t i = 0; i < n; i++) {
        double uniform =
            rg_random_uniform(rg_random_at(random, (uint64_t)(sampling->first + i)), 0);
        tokens[i * sampling->response_limit] =
            draw_response(logits + row[i] * e->responses, e->responses, draw, uniform, &logprob[i]);
        length[i] = 1;
    }
    rg_token_sampler_destroy(draw);
    free(logits);
    free(contexts);
    double per_response = e->logit_flops + 3; /* exp, sum, compare */
    return (double)(n * e->responses) * per_response;
}

/* ---- borders ---- */

int64_t rg_enumerated_context_limit(const RgPolicy *policy) {
    (void)policy;
    return 2; /* the context and the response */
}

int64_t rg_enumerated_vocabulary(const RgPolicy *policy, bool in_response) {
    return in_response ? rg_policy_responses(policy) : rg_policy_contexts(policy);
}

/* ---- description ---- */

static char *describe(const RgPolicy *policy) {
    const State *s = policy->state;
    json_t *root = json_pack("{s:I, s:I}", "contexts", (json_int_t)s->all.contexts, "responses",
                             (json_int_t)s->all.responses);
    if (s->feature_count > 0) {
        int64_t count = s->all.contexts * s->all.responses * s->feature_count;
        json_t *features = json_array();
        for (int64_t i = 0; i < count; i++)
            json_array_append_new(features, json_real(s->features[i]));
        json_object_set_new(root, "feature_count", json_integer(s->feature_count));
        json_object_set_new(root, "features", features);
    }
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(root);
    return text;
}

enum { SIZE_LIMIT = 1 << 20 }; /* of each dimension in a description */

static bool read_size(const json_t *root, const char *key, int64_t *size) {
    const json_t *value = json_object_get(root, key);
    *size = json_is_integer(value) ? json_integer_value(value) : 0;
    return *size > 0 && *size <= SIZE_LIMIT;
}

static RgStatus tabular_restore(RgPolicy *policy, const char *description, RgError *error) {
    json_t *root = json_loads(description, 0, NULL);
    int64_t contexts, responses;
    bool good = read_size(root, "contexts", &contexts) && read_size(root, "responses", &responses);
    json_decref(root);
    if (!good)
        return rg_fail(error, RG_E_FORMAT,
                       "the description of a tabular policy has no \"contexts\" and \"responses\"");
    declare(policy, state_of(contexts, responses, 0));
    return RG_OK;
}

static RgStatus log_linear_restore(RgPolicy *policy, const char *description, RgError *error) {
    json_t *root = json_loads(description, 0, NULL);
    const json_t *features = json_object_get(root, "features");
    int64_t contexts, responses, width;
    bool good = read_size(root, "contexts", &contexts) &&
                read_size(root, "responses", &responses) &&
                read_size(root, "feature_count", &width) && json_is_array(features) &&
                (double)json_array_size(features) == (double)contexts * responses * width;
    if (!good) {
        json_decref(root);
        return rg_fail(error, RG_E_FORMAT,
                       "the description of a log-linear policy needs \"contexts\", \"responses\", "
                       "\"feature_count\" and as many \"features\" as their product");
    }
    State *state = state_of(contexts, responses, width);
    for (int64_t i = 0; i < contexts * responses * width; i++)
        state->features[i] = (RgReal)json_number_value(json_array_get(features, (size_t)i));
    json_decref(root);
    declare(policy, state);
    return RG_OK;
}

/* ---- kinds ---- */

const RgPolicyType rg_policy_tabular = {
    .about = {.name = "tabular",
              .summary = "One logit per context and response",
              .reference = "softmax policy over an enumerated set",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = tabular_create,
    .destroy = destroy,
    .logprob = logprob,
    .features = tabular_features,
    .feature_count = feature_count,
    .step_logprob = logprob,
    .state_features = state_features,
    .state_feature_count = state_feature_count,
    .sample = rg_enumerated_sample,
    .mixes = true,
    .logits = tabular_logits,
    .context_limit = rg_enumerated_context_limit,
    .vocabulary = rg_enumerated_vocabulary,
    .describe = describe,
    .restore = tabular_restore,
};

const RgPolicyType rg_policy_log_linear = {
    .about = {.name = "log-linear",
              .summary = "Logits linear in the environment's features of context and response",
              .reference =
                  "log-linear policy class (for example Agarwal et al. 2021, arXiv:1908.00261)",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = log_linear_create,
    .destroy = destroy,
    .logprob = logprob,
    .features = log_linear_features,
    .feature_count = feature_count,
    .step_logprob = logprob,
    .state_features = state_features,
    .state_feature_count = state_feature_count,
    .sample = rg_enumerated_sample,
    .mixes = true,
    .logits = log_linear_logits,
    .context_limit = rg_enumerated_context_limit,
    .vocabulary = rg_enumerated_vocabulary,
    .describe = describe,
    .restore = log_linear_restore,
};
