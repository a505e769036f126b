/* SPDX-License-Identifier: MIT */
/* A network of tanh layers, and normally distributed actions around its output. On the tape all
 * steps of all episodes are one matrix. Sampling computes each step and row separately, so a row
 * does not depend on others. */
#include "core/models/gaussian.h"

#include "core/policy/trajectory.h"
#include "core/tensor/real_math.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Options {
    int64_t hidden, layers;
    double initial_log_deviation;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_INTEGER(Options, hidden, "64", 1, 4096, "units of each hidden layer"),
    RG_OPTION_INTEGER(Options, layers, "2", 0, 16,
                      "hidden layers; 0: the mean is linear in the observation"),
    RG_OPTION_REAL(
        Options, initial_log_deviation, "-0.5", -10, 3,
        "logarithm of the initial standard deviation of actions; actions lie in [-1, 1]"),
    RG_OPTION_END,
};

typedef struct State {
    int64_t observations, actions, hidden, layers;
    const RgSimulator *simulator; /* borrowed; NULL in a loaded policy until it is set */
} State;

/* Views: weight and bias of each layer, those of the means, and the log standard deviations. */
static int weight_view(int64_t layer) {
    return (int)(2 * layer);
}
static int deviation_view(const State *s) {
    return (int)(2 * (s->layers + 1));
}
static int64_t layer_inputs(const State *s, int64_t layer) {
    return layer == 0 ? s->observations : s->hidden;
}
static int64_t layer_outputs(const State *s, int64_t layer) {
    return layer == s->layers ? s->actions : s->hidden;
}

/* ---- life ---- */

static void declare(RgPolicy *policy, const State *shape) {
    State *s = rg_allocate(1, sizeof *s);
    *s = *shape;
    policy->state = s;
    for (int64_t l = 0; l <= s->layers; l++) {
        char name[32];
        int64_t out = layer_outputs(s, l);
        snprintf(name, sizeof name, "layer%lld.weight", (long long)l);
        rg_parameters_declare(policy->parameters, name, 2,
                              (const int64_t[]){out, layer_inputs(s, l)}, true);
        snprintf(name, sizeof name, "layer%lld.bias", (long long)l);
        rg_parameters_declare(policy->parameters, name, 1, &out, false);
    }
    rg_parameters_declare(policy->parameters, "log_deviation", 1, &s->actions, false);
}

static RgStatus use_simulator(RgPolicy *policy, const RgSimulator *simulator, RgError *error) {
    State *s = policy->state;
    if (simulator->states > 0 || simulator->observation_words != s->observations ||
        simulator->action_words != s->actions)
        return rg_fail(error, RG_E_USAGE,
                       "a gaussian policy with %lld observations and %lld actions cannot act in an "
                       "environment with %lld observations and %lld actions%s",
                       (long long)s->observations, (long long)s->actions,
                       (long long)simulator->observation_words, (long long)simulator->action_words,
                       simulator->states > 0 ? ", which has a finite set of states" : "");
    s->simulator = simulator;
    return RG_OK;
}

/* The means start near zero for every observation. */
static void initialise(RgPolicy *policy, const Options *o, RgRandom random) {
    const double near_nothing = 0.01;
    const State *s = policy->state;
    RgParameters *p = policy->parameters;
    for (int64_t l = 0; l <= s->layers; l++) {
        double scale = 1 / sqrt((double)layer_inputs(s, l)) * (l == s->layers ? near_nothing : 1);
        rg_parameters_fill_normal(p, weight_view(l), scale, rg_random_at(random, (uint64_t)l));
    }
    const RgParameterView *deviation = &p->views[deviation_view(s)];
    for (int64_t i = 0; i < deviation->count; i++)
        p->value[deviation->offset + i] = (RgReal)o->initial_log_deviation;
}

static RgStatus create(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                       RgRandom random, RgError *error) {
    const Options *o = options;
    const RgSimulator *simulator = space->simulator;
    if (!simulator || simulator->states > 0)
        return rg_fail(error, RG_E_USAGE,
                       "a gaussian policy needs an environment with continuous observations and "
                       "actions, such as control");
    State shape = {simulator->observation_words, simulator->action_words, o->hidden, o->layers,
                   NULL};
    declare(policy, &shape);
    rg_policy_allocate(policy);
    initialise(policy, o, random);
    return use_simulator(policy, simulator, error);
}

static void destroy(RgPolicy *policy) {
    free(policy->state);
}

/* ---- log-probabilities ---- */

/* Observations [steps, observations] and actions [steps, actions] of all episodes. */
static void read_steps(const State *s, RgTape *t, const RgSequences *sequences, int64_t steps,
                       RgTensor **observations, RgTensor **actions) {
    *observations = rg_filled(t, RG_SHAPE(steps, s->observations), 0);
    *actions = rg_filled(t, RG_SHAPE(steps, s->actions), 0);
    RgReal *o = (*observations)->data, *a = (*actions)->data;
    for (int64_t i = 0; i < sequences->count; i++) {
        const int32_t *word = rg_sequence_response(sequences, i);
        const int32_t *end = word + rg_sequence_response_length(sequences, i);
        while (word < end) {
            for (int64_t k = 0; k < s->observations; k++)
                *o++ = (RgReal)rg_word_float(*word++);
            for (int64_t k = 0; k < s->actions; k++)
                *a++ = (RgReal)rg_word_float(*word++);
        }
    }
}

static RgTensor *mean_actions(const State *s, RgTape *t, RgParameters *p, RgTensor *x) {
    for (int64_t l = 0; l <= s->layers; l++) {
        x = rg_linear(t, x, rg_parameter(t, p, weight_view(l)),
                      rg_parameter(t, p, weight_view(l) + 1), NULL);
        if (l < s->layers)
            x = rg_tanh(t, x);
    }
    return x;
}

bool rg_gaussian_is_linear(const RgPolicy *policy) {
    return policy->type == &rg_policy_gaussian && ((const State *)policy->state)->layers == 0;
}

void rg_gaussian_linear(RgPolicy *policy, RgTape *t, RgTensor **weight, RgTensor **bias,
                        RgTensor **log_deviation) {
    RG_ASSERT(rg_gaussian_is_linear(policy));
    *weight = rg_parameter(t, policy->parameters, weight_view(0));
    *bias = rg_parameter(t, policy->parameters, weight_view(0) + 1);
    *log_deviation = rg_parameter(t, policy->parameters, deviation_view(policy->state));
}

static int64_t words_per_token(const RgPolicy *policy) {
    const State *s = policy->state;
    return s->observations + s->actions;
}

static const double half_log_two_pi = 0.91893853320467274178;

static RgTensor *step_logprob(RgPolicy *policy, RgTape *t, RgParameters *parameters,
                              const RgSequences *sequences) {
    const State *s = policy->state;
    const int64_t *offsets = rg_trajectory_offsets(t, sequences, words_per_token(policy));
    int64_t steps = offsets[sequences->count];
    RgTensor *observations, *actions;
    read_steps(s, t, sequences, steps, &observations, &actions);
    RgTensor *deviation = rg_parameter(t, parameters, deviation_view(s));
    RgTensor *gap = rg_sub(t, actions, mean_actions(s, t, parameters, observations));
    RgTensor *score = rg_mul(t, gap, rg_exp(t, rg_negate(t, deviation)));
    RgTensor *each = rg_add(t, rg_scale(t, rg_square(t, score), (RgReal)0.5), deviation);
    RgTensor *step = rg_negate(t, rg_add_scalar(t, each, (RgReal)half_log_two_pi));
    return rg_reshape(t, rg_sum_last(t, step), RG_SHAPE(steps));
}

static RgTensor *logprob(RgPolicy *policy, RgTape *t, RgParameters *parameters,
                         const RgSequences *sequences) {
    const int64_t *offsets = rg_trajectory_offsets(t, sequences, words_per_token(policy));
    return rg_segment_sum(t, step_logprob(policy, t, parameters, sequences), offsets,
                          sequences->count);
}

/* ---- features ---- */

/* Observation and action of each step, as the environment receives them. */
static RgTensor *step_features(RgPolicy *policy, RgTape *t, const RgSequences *sequences) {
    const State *s = policy->state;
    const int64_t *offsets = rg_trajectory_offsets(t, sequences, words_per_token(policy));
    RgTensor *parts[2];
    read_steps(s, t, sequences, offsets[sequences->count], &parts[0], &parts[1]);
    for (int64_t i = 0; i < parts[1]->count; i++)
        parts[1]->data[i] = (RgReal)fmin(1, fmax(-1, (double)parts[1]->data[i]));
    return rg_concatenate(t, 1, parts, 2);
}

static RgTensor *state_features(RgPolicy *policy, RgTape *t, RgParameters *parameters,
                                const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    const int64_t *offsets = rg_trajectory_offsets(t, sequences, words_per_token(policy));
    RgTensor *observations, *actions;
    read_steps(s, t, sequences, offsets[sequences->count], &observations, &actions);
    return observations;
}

static int64_t state_feature_count(const RgPolicy *policy) {
    return ((const State *)policy->state)->observations;
}

/* Σ_t γ^t (observation, action, 1), for a reward that is linear in them. */
static RgTensor *features(RgPolicy *policy, RgTape *t, RgParameters *parameters,
                          const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    int64_t width = words_per_token(policy), row = 0;
    double discount = s->simulator ? s->simulator->discount : 1;
    const RgTensor *steps = step_features(policy, t, sequences);
    RgTensor *y = rg_filled(t, RG_SHAPE(sequences->count, width + 1), 0);
    for (int64_t i = 0; i < sequences->count; i++) {
        RgReal *out = y->data + i * (width + 1);
        double weight = 1;
        for (int64_t h = 0; h < rg_sequence_response_length(sequences, i) / width;
             h++, row++, weight *= discount) {
            for (int64_t k = 0; k < width; k++)
                out[k] += (RgReal)weight * steps->data[row * width + k];
            out[width] += (RgReal)weight;
        }
    }
    return y;
}

static int64_t feature_count(const RgPolicy *policy) {
    return words_per_token(policy) + 1;
}

/* ---- sampling ---- */

/* Scratch: two rows of the widest layer. */
typedef struct Room {
    const RgSampling *sampling;
    RgReal *row[2];
} Room;

static int64_t widest(const State *s) {
    int64_t most = s->observations > s->hidden ? s->observations : s->hidden;
    return most > s->actions ? most : s->actions;
}

static void *begin(const RgPolicy *policy, const RgSampling *sampling) {
    Room *room = rg_allocate(1, sizeof *room);
    room->sampling = sampling;
    for (int k = 0; k < 2; k++)
        room->row[k] = rg_allocate(widest(policy->state), sizeof(RgReal));
    return room;
}

static void end(void *opaque) {
    Room *room = opaque;
    free(room->row[0]);
    free(room->row[1]);
    free(room);
}

/* The means for one observation, in one of the scratch rows. */
static const RgReal *mean_of_row(const RgPolicy *policy, Room *room, const int32_t *observation) {
    const State *s = policy->state;
    const RgParameters *p = policy->parameters;
    RgReal *in = room->row[0], *out = room->row[1];
    for (int64_t k = 0; k < s->observations; k++)
        in[k] = (RgReal)rg_word_float(observation[k]);
    for (int64_t l = 0; l <= s->layers; l++) {
        const RgReal *weight = p->value + p->views[weight_view(l)].offset;
        const RgReal *bias = p->value + p->views[weight_view(l) + 1].offset;
        int64_t inputs = layer_inputs(s, l);
        for (int64_t j = 0; j < layer_outputs(s, l); j++) {
            RgReal sum = 0;
            for (int64_t k = 0; k < inputs; k++)
                sum += weight[j * inputs + k] * in[k];
            out[j] = l < s->layers ? rg_real_tanh(sum + bias[j]) : sum + bias[j];
        }
        RgReal *other = in;
        in = out;
        out = other;
    }
    return in;
}

/* At temperature T the standard deviation is multiplied by √T, as if the log density were divided
 * by T. At 0 the action is the mean. */
static double act(const RgPolicy *policy, void *opaque, const int32_t *observation, RgRandom random,
                  int32_t *action) {
    const State *s = policy->state;
    Room *room = opaque;
    const RgReal *deviation =
        policy->parameters->value + policy->parameters->views[deviation_view(s)].offset;
    const RgReal *mean = mean_of_row(policy, room, observation);
    double total = 0, widening = sqrt(room->sampling->temperature);
    for (int64_t k = 0; k < s->actions; k++) {
        double noise = widening * rg_random_normal(random, (uint64_t)k);
        float chosen = (float)((double)mean[k] + exp((double)deviation[k]) * noise);
        double score = ((double)chosen - (double)mean[k]) * exp(-(double)deviation[k]);
        action[k] = rg_float_word(chosen);
        total -= score * score / 2 + (double)deviation[k] + half_log_two_pi;
    }
    return total;
}

static double sample(RgPolicy *policy, const RgSequences *prompts, const RgSampling *sampling,
                     RgRandom random, int32_t *tokens, int64_t *length, double *logprob) {
    const State *s = policy->state;
    RgActor actor = {.simulator = s->simulator,
                     .begin = begin,
                     .end = end,
                     .act = act,
                     .step_flops = 2 * (double)policy->parameters->count};
    return rg_trajectory_sample(policy, &actor, prompts, sampling, random, tokens, length, logprob);
}

/* ---- description ---- */

static char *describe(const RgPolicy *policy) {
    const State *s = policy->state;
    json_t *root = json_pack("{s:I, s:I, s:I, s:I}", "observations", (json_int_t)s->observations,
                             "actions", (json_int_t)s->actions, "hidden", (json_int_t)s->hidden,
                             "layers", (json_int_t)s->layers);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

static bool read_size(const json_t *root, const char *key, int64_t least, int64_t most,
                      int64_t *size) {
    const json_t *value = json_object_get(root, key);
    *size = json_is_integer(value) ? json_integer_value(value) : -1;
    return *size >= least && *size <= most;
}

static RgStatus restore(RgPolicy *policy, const char *description, RgError *error) {
    enum { WIDTH = 1 << 16, DEPTH = 256 };
    json_t *root = json_loads(description, 0, NULL);
    State shape = {0};
    bool good = read_size(root, "observations", 1, WIDTH, &shape.observations) &&
                read_size(root, "actions", 1, WIDTH, &shape.actions) &&
                read_size(root, "hidden", 1, WIDTH, &shape.hidden) &&
                read_size(root, "layers", 0, DEPTH, &shape.layers);
    json_decref(root);
    if (!good)
        return rg_fail(error, RG_E_FORMAT,
                       "the description of a gaussian policy has no \"observations\", "
                       "\"actions\", \"hidden\" and \"layers\"");
    declare(policy, &shape);
    return RG_OK;
}

const RgPolicyType rg_policy_gaussian = {
    .about = {.name = "gaussian",
              .summary = "Normally distributed actions around the output of a tanh network, for "
                         "continuous control",
              .reference = "Schulman et al. 2017, arXiv:1707.06347, section 6.1",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .destroy = destroy,
    .use_simulator = use_simulator,
    .logprob = logprob,
    .step_logprob = step_logprob,
    .state_features = state_features,
    .state_feature_count = state_feature_count,
    .features = features,
    .feature_count = feature_count,
    .step_features = step_features,
    .step_feature_count = words_per_token,
    .sample = sample,
    .words_per_token = words_per_token,
    .describe = describe,
    .restore = restore,
};
