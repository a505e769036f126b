/* SPDX-License-Identifier: MIT */
/* A table of logits over states and actions. */
#include "core/models/state_table.h"

#include "core/policy/token_sampler.h"
#include "core/policy/trajectory.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Options {
    double initial_deviation;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_REAL(Options, initial_deviation, "0", 0, 100,
                   "standard deviation of the initial logits; 0: the uniform policy"),
    RG_OPTION_END,
};

typedef struct State {
    int64_t states, actions;
    const RgSimulator *simulator; /* borrowed; NULL in a loaded policy until it is set */
} State;

enum { STEP_WORDS = 2 };

/* ---- life ---- */

static void declare(RgPolicy *policy, int64_t states, int64_t actions) {
    State *state = rg_allocate(1, sizeof *state);
    *state = (State){.states = states, .actions = actions};
    policy->state = state;
    rg_parameters_declare(policy->parameters, "logits", 2, (const int64_t[]){states, actions},
                          true);
}

static RgStatus use_simulator(RgPolicy *policy, const RgSimulator *simulator, RgError *error) {
    State *s = policy->state;
    if (simulator->states != s->states || simulator->actions != s->actions)
        return rg_fail(error, RG_E_USAGE,
                       "a markov policy with %lld states and %lld actions cannot act in an MDP "
                       "with %lld states and %lld actions",
                       (long long)s->states, (long long)s->actions, (long long)simulator->states,
                       (long long)simulator->actions);
    s->simulator = simulator;
    return RG_OK;
}

static RgStatus create(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                       RgRandom random, RgError *error) {
    const Options *o = options;
    const RgSimulator *simulator = space->simulator;
    if (!simulator || simulator->states <= 0)
        return rg_fail(error, RG_E_USAGE,
                       "a markov policy needs an environment that is a tabular MDP, such as mdp");
    declare(policy, simulator->states, simulator->actions);
    rg_policy_allocate(policy);
    rg_parameters_fill_normal(policy->parameters, 0, o->initial_deviation, random);
    return use_simulator(policy, simulator, error);
}

static void destroy(RgPolicy *policy) {
    free(policy->state);
}

/* ---- log-probabilities ---- */

/* The numbers of the states and of the actions of all steps, in the tape's arena. */
static void indices(RgTape *tape, const RgSequences *s, int64_t steps, int32_t **states,
                    int32_t **actions) {
    int64_t step = 0;
    *states = RG_ARENA_ARRAY(rg_tape_arena(tape), int32_t, steps);
    *actions = RG_ARENA_ARRAY(rg_tape_arena(tape), int32_t, steps);
    for (int64_t i = 0; i < s->count; i++) {
        const int32_t *words = rg_sequence_response(s, i);
        for (int64_t k = 0; k < rg_sequence_response_length(s, i) / STEP_WORDS; k++, step++) {
            (*states)[step] = words[STEP_WORDS * k];
            (*actions)[step] = words[STEP_WORDS * k + 1];
        }
    }
}

static RgTensor *step_logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                              const RgSequences *sequences) {
    (void)policy;
    int32_t *states, *actions;
    int64_t steps = rg_trajectory_offsets(tape, sequences, STEP_WORDS)[sequences->count];
    indices(tape, sequences, steps, &states, &actions);
    RgTensor *table = rg_log_softmax(tape, rg_parameter(tape, parameters, 0));
    RgTensor *rows = rg_embedding(tape, table, states, steps);
    return rg_gather(tape, rows, actions);
}

static RgTensor *logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                         const RgSequences *sequences) {
    return rg_segment_sum(tape, step_logprob(policy, tape, parameters, sequences),
                          rg_trajectory_offsets(tape, sequences, STEP_WORDS), sequences->count);
}

void rg_markov_table(const RgPolicy *policy, RgReal *log_policy) {
    const State *s = policy->state;
    RG_ASSERT(policy->type == &rg_policy_markov);
    for (int64_t i = 0; i < s->states; i++) {
        const RgReal *logits = policy->parameters->value + i * s->actions;
        double most = -INFINITY, sum = 0;
        for (int64_t a = 0; a < s->actions; a++)
            most = fmax(most, (double)logits[a]);
        for (int64_t a = 0; a < s->actions; a++)
            sum += exp((double)logits[a] - most);
        for (int64_t a = 0; a < s->actions; a++)
            log_policy[i * s->actions + a] = (RgReal)((double)logits[a] - most - log(sum));
    }
}

/* ---- features ---- */

/* Discounted visits Σ_t γ^t 1[s_t = s, a_t = a]. A reward that is linear in them is the discounted
 * sum of a reward table. */
static RgTensor *features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                          const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    int64_t cells = s->states * s->actions;
    double discount = s->simulator ? s->simulator->discount : 1;
    RgTensor *y = rg_filled(tape, RG_SHAPE(sequences->count, cells), 0);
    for (int64_t i = 0; i < sequences->count; i++) {
        const int32_t *words = rg_sequence_response(sequences, i);
        double weight = 1;
        for (int64_t k = 0; k < rg_sequence_response_length(sequences, i);
             k += STEP_WORDS, weight *= discount)
            y->data[i * cells + words[k] * s->actions + words[k + 1]] += (RgReal)weight;
    }
    return y;
}

/* One-hot over the state of each step. */
static RgTensor *state_features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    int32_t *states, *actions;
    int64_t steps = rg_trajectory_offsets(tape, sequences, STEP_WORDS)[sequences->count];
    indices(tape, sequences, steps, &states, &actions);
    RgTensor *y = rg_filled(tape, RG_SHAPE(steps, s->states), 0);
    for (int64_t k = 0; k < steps; k++)
        y->data[k * s->states + states[k]] = 1;
    return y;
}

static int64_t state_feature_count(const RgPolicy *policy) {
    return ((const State *)policy->state)->states;
}

static int64_t feature_count(const RgPolicy *policy) {
    const State *s = policy->state;
    return s->states * s->actions;
}

/* ---- sampling ---- */

/* Scratch of one thread. */
typedef struct Room {
    const RgSampling *sampling;
    RgTokenSampler *draw;
    RgReal *logits; /* [actions] */
} Room;

static void *begin(const RgPolicy *policy, const RgSampling *sampling) {
    const State *s = policy->state;
    Room *room = rg_allocate(1, sizeof *room);
    *room = (Room){sampling, rg_token_sampler_create(sampling, s->actions),
                   rg_allocate(s->actions, sizeof(RgReal))};
    if (!sampling->partner)
        rg_token_sampler_remember(room->draw, s->states);
    return room;
}

static void end(void *context) {
    Room *room = context;
    rg_token_sampler_destroy(room->draw);
    free(room->logits);
    free(room);
}

static double act(const RgPolicy *policy, void *context, const int32_t *observation,
                  RgRandom random, int32_t *action) {
    const State *s = policy->state;
    const Room *room = context;
    const RgPolicy *partner = room->sampling->partner;
    int64_t row = *observation * s->actions;
    double chosen = 0, uniform = rg_random_uniform(random, 0);
    if (!partner) {
        *action = rg_token_sampler_draw_row(room->draw, *observation,
                                            policy->parameters->value + row, uniform, &chosen);
        return chosen;
    }
    memcpy(room->logits, policy->parameters->value + row, (size_t)s->actions * sizeof(RgReal));
    rg_sampling_mix(room->sampling, partner->parameters->value + row, s->actions, room->logits);
    *action = rg_token_sampler_draw(room->draw, room->logits, uniform, &chosen);
    return chosen;
}

static double sample(RgPolicy *policy, const RgSequences *prompts, const RgSampling *sampling,
                     RgRandom random, int32_t *tokens, int64_t *length, double *logprob) {
    const State *s = policy->state;
    RgActor actor = {.simulator = s->simulator,
                     .begin = begin,
                     .end = end,
                     .act = act,
                     .step_flops = 3 * (double)s->actions}; /* exp, sum, compare */
    return rg_trajectory_sample(policy, &actor, prompts, sampling, random, tokens, length, logprob);
}

static int64_t words_per_token(const RgPolicy *policy) {
    (void)policy;
    return STEP_WORDS;
}

/* ---- description ---- */

static char *describe(const RgPolicy *policy) {
    const State *s = policy->state;
    json_t *root =
        json_pack("{s:I, s:I}", "states", (json_int_t)s->states, "actions", (json_int_t)s->actions);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

static RgStatus restore(RgPolicy *policy, const char *description, RgError *error) {
    enum { LIMIT = 1 << 24 };
    json_t *root = json_loads(description, 0, NULL);
    const json_t *states = json_object_get(root, "states");
    const json_t *actions = json_object_get(root, "actions");
    int64_t rows = json_is_integer(states) ? json_integer_value(states) : 0;
    int64_t columns = json_is_integer(actions) ? json_integer_value(actions) : 0;
    json_decref(root);
    if (rows < 1 || rows > LIMIT || columns < 1 || columns > LIMIT)
        return rg_fail(error, RG_E_FORMAT,
                       "the description of a markov policy has no \"states\" and \"actions\"");
    declare(policy, rows, columns);
    return RG_OK;
}

const RgPolicyType rg_policy_markov = {
    .about = {.name = "markov",
              .summary = "One logit per state and action of a tabular MDP",
              .reference = "softmax policy, Agarwal et al. 2021, arXiv:1908.00261",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .destroy = destroy,
    .use_simulator = use_simulator,
    .logprob = logprob,
    .features = features,
    .feature_count = feature_count,
    .step_logprob = step_logprob,
    .state_features = state_features,
    .state_feature_count = state_feature_count,
    .sample = sample,
    .mixes = true,
    .words_per_token = words_per_token,
    .describe = describe,
    .restore = restore,
};
