/* SPDX-License-Identifier: MIT */
/* The mlp policy: a fully connected network from a context's features to the logits of its responses.
 *
 *     logits[c, :] = f_θ(context_features[c, :]),   π(r|c) = softmax over r
 *
 * Contexts and responses are enumerated, but the network generalises over contexts: those that no
 * training prompt has are there for evaluation. A batch computes only the rows of its own contexts,
 * each once. The network is in dense.c. */
#include "core/models/enumerated_internal.h"

#include "core/models/dense.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { START_NETWORK, START_PRIOR };
static const char *const starts[] = {"network", "prior", NULL};

typedef struct Options {
    const char *hidden;
    int activation;
    bool first_norm;
    int initial_weights;
    double gain;
    int start;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_CHECKED(Options, hidden, "64 64", rg_hidden_widths_fault,
                      "units of each hidden layer, separated by spaces; \"\": none"),
    RG_OPTION_CHOICE(Options, activation, "relu", rg_activation_names,
                     "activation of hidden layers: relu or tanh"),
    RG_OPTION_BOOLEAN(Options, first_norm, "false",
                      "layer norm before the activation of the first hidden layer"),
    RG_OPTION_CHOICE(Options, initial_weights, "fan-in", rg_initial_weights_names,
                     "distribution of the initial weights: fan-in, uniform in ±gain/√inputs with "
                     "biases alike; or xavier, uniform in ±gain·√(6/(inputs + outputs)), biases 0"),
    RG_OPTION_REAL(Options, gain, "1", 0, 100, "factor of the initial weights"),
    RG_OPTION_CHOICE(Options, start, "network", starts,
                     "what the output's biases start from: network, the initial weights; or prior, "
                     "the log-probabilities of the environment's data policy"),
    RG_OPTION_END,
};

typedef struct State {
    RgEnumerated all;
    RgDense network;
    int64_t feature_count;
    RgReal *features; /* [contexts, feature_count] */
} State;

/* ---- life ---- */

static void mlp_rows(const RgPolicy *policy, const int32_t *contexts, int64_t count,
                     double *logits);

static State *state_of(int64_t contexts, int64_t responses, int64_t feature_count) {
    State *s = rg_allocate(1, sizeof *s);
    s->all = (RgEnumerated){contexts, responses, mlp_rows, 0};
    s->feature_count = feature_count;
    s->features = rg_allocate(contexts * feature_count, sizeof *s->features);
    return s;
}

/* The network's widths from the input over the hidden layers to the output. */
static void shape_network(State *s, const char *hidden) {
    s->network.width[0] = s->feature_count;
    rg_dense_read_hidden(&s->network, hidden);
    s->network.width[++s->network.layers] = s->all.responses;
}

static RgStatus check_space(const Options *o, const RgPolicySpace *space, RgError *error) {
    RG_TRY(rg_enumerated_check_space("mlp", space, error));
    if (!space->context_features || space->context_feature_count <= 0)
        return rg_fail(error, RG_E_USAGE,
                       "an mlp policy needs an environment whose contexts have features, such as "
                       "contextual-bandit");
    if (o->start == START_PRIOR && !space->prior)
        return rg_fail(error, RG_E_USAGE,
                       "start is \"prior\", and the environment has no data policy that is the "
                       "same in every context: expected \"network\"");
    if (o->first_norm && o->hidden[strspn(o->hidden, " ")] == '\0')
        return rg_fail(error, RG_E_USAGE,
                       "first_norm is true, and hidden has no layer: expected a width, or false");
    return RG_OK;
}

static RgStatus create(RgPolicy *policy, const void *options, const RgPolicySpace *space,
                       RgRandom random, RgError *error) {
    const Options *o = options;
    RG_TRY(check_space(o, space, error));
    State *s = state_of(space->contexts, space->responses, space->context_feature_count);
    policy->state = s;
    for (int64_t i = 0; i < s->all.contexts * s->feature_count; i++)
        s->features[i] = (RgReal)space->context_features[i];
    s->network.activation = (RgActivation)o->activation;
    s->network.first_norm = o->first_norm;
    shape_network(s, o->hidden);
    RgParameters *p = policy->parameters;
    rg_dense_declare(&s->network, p, "layer");
    rg_policy_allocate(policy);
    rg_dense_initialise(&s->network, p, (RgInitialWeights)o->initial_weights, o->gain, random);
    const RgParameterView *bias = &p->views[rg_dense_last_bias(&s->network)];
    for (int64_t r = 0; o->start == START_PRIOR && r < s->all.responses; r++)
        p->value[bias->offset + r] = (RgReal)space->prior[r];
    return RG_OK;
}

static void destroy(RgPolicy *policy) {
    State *s = policy->state;
    free(s->features);
    free(s);
}

/* ---- log-probabilities ---- */

/* Logits of these contexts: [count, responses]. */
static RgTensor *logits_of(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                           const int32_t *contexts, int64_t count) {
    const State *s = policy->state;
    RgTensor *x = rg_tensor_new(tape, RG_SHAPE(count, s->feature_count));
    for (int64_t i = 0; i < count; i++)
        memcpy(x->data + i * s->feature_count, s->features + contexts[i] * s->feature_count,
               (size_t)s->feature_count * sizeof *x->data);
    return rg_dense_forward(&s->network, tape, parameters, x);
}

static RgTensor *all_logits(RgPolicy *policy, RgTape *tape, RgParameters *parameters) {
    const State *s = policy->state;
    RgTensor *x = rg_borrow(tape, RG_SHAPE(s->all.contexts, s->feature_count), s->features);
    return rg_dense_forward(&s->network, tape, parameters, x);
}

/* Logits of the sequences' contexts, of which there may be copies: [n, responses]. */
static RgTensor *sequence_logits(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                 const RgSequences *sequences) {
    const State *s = policy->state;
    RgArena *arena = rg_tape_arena(tape);
    int64_t n = sequences->count;
    int32_t *contexts = RG_ARENA_ARRAY(arena, int32_t, n);
    int32_t *distinct = RG_ARENA_ARRAY(arena, int32_t, n), *row = RG_ARENA_ARRAY(arena, int32_t, n);
    for (int64_t i = 0; i < n; i++)
        contexts[i] = *rg_sequence_prompt(sequences, i);
    int64_t count = rg_enumerated_distinct(contexts, n, s->all.contexts, distinct, row);
    RgTensor *logits = logits_of(policy, tape, parameters, distinct, count);
    return count == n ? logits : rg_embedding(tape, logits, row, n);
}

static RgTensor *logprob(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                         const RgSequences *sequences) {
    int32_t *contexts, *responses;
    rg_enumerated_indices(tape, sequences, &contexts, &responses);
    return rg_gather(tape,
                     rg_log_softmax(tape, sequence_logits(policy, tape, parameters, sequences)),
                     responses);
}

/* The contexts become prompts, so that the pass is one of the policy's: in parts that bound the
 * memory, and with its FLOPs counted. */
static void mlp_rows(const RgPolicy *policy, const int32_t *contexts, int64_t count,
                     double *logits) {
    int64_t cells = count * rg_policy_responses(policy);
    RgSequences *prompts = rg_sequences_create();
    RgReal *value = rg_allocate(cells, sizeof *value);
    for (int64_t i = 0; i < count; i++)
        rg_sequences_append(prompts, &contexts[i], 1, NULL, 0);
    rg_policy_run_values((RgPolicy *)policy, sequence_logits, prompts, rg_policy_responses(policy),
                         value);
    for (int64_t i = 0; i < cells; i++)
        logits[i] = value[i];
    free(value);
    rg_sequences_destroy(prompts);
}

/* ---- features ---- */

/* The context's features at the place of the response: those of a linear reward that has weights of
 * its own for every response. */
static RgTensor *features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                          const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    int64_t width = s->feature_count * s->all.responses;
    RgTensor *y = rg_filled(tape, RG_SHAPE(sequences->count, width), 0);
    int32_t *contexts, *responses;
    rg_enumerated_indices(tape, sequences, &contexts, &responses);
    for (int64_t i = 0; i < sequences->count; i++)
        memcpy(y->data + i * width + responses[i] * s->feature_count,
               s->features + contexts[i] * s->feature_count,
               (size_t)s->feature_count * sizeof *y->data);
    return y;
}

static int64_t feature_count(const RgPolicy *policy) {
    const State *s = policy->state;
    return s->feature_count * s->all.responses;
}

/* The context's features, which are all that is known before the single step. */
static RgTensor *state_features(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                const RgSequences *sequences) {
    (void)parameters;
    const State *s = policy->state;
    RgTensor *y = rg_tensor_new(tape, RG_SHAPE(sequences->count, s->feature_count));
    for (int64_t i = 0; i < sequences->count; i++)
        memcpy(y->data + i * s->feature_count,
               s->features + *rg_sequence_prompt(sequences, i) * s->feature_count,
               (size_t)s->feature_count * sizeof *y->data);
    return y;
}

static int64_t state_feature_count(const RgPolicy *policy) {
    return ((const State *)policy->state)->feature_count;
}

/* ---- description ---- */

static char *describe(const RgPolicy *policy) {
    const State *s = policy->state;
    const RgDense *n = &s->network;
    json_t *hidden = json_array(), *numbers = json_array();
    for (int64_t l = 1; l < n->layers; l++)
        json_array_append_new(hidden, json_integer(n->width[l]));
    for (int64_t i = 0; i < s->all.contexts * s->feature_count; i++)
        json_array_append_new(numbers, json_real((double)s->features[i]));
    json_t *root = json_pack("{s:I, s:I, s:I, s:o, s:s, s:b, s:o}", "contexts",
                             (json_int_t)s->all.contexts, "responses", (json_int_t)s->all.responses,
                             "feature_count", (json_int_t)s->feature_count, "hidden", hidden,
                             "activation", rg_activation_names[n->activation], "first_norm",
                             (int)n->first_norm, "features", numbers);
    size_t digits = sizeof(RgReal) == sizeof(float) ? 9 : 17;
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(digits));
    json_decref(root);
    return text;
}

enum { SIZE_LIMIT = 1 << 20, WIDTH_LIMIT = 1 << 16 }; /* in a description */

static bool read_size(const json_t *value, int64_t limit, int64_t *size) {
    *size = json_is_integer(value) ? json_integer_value(value) : 0;
    return *size > 0 && *size <= limit;
}

static bool read_network(const json_t *root, RgDense *network) {
    const json_t *hidden = json_object_get(root, "hidden"), *width;
    const char *activation = json_string_value(json_object_get(root, "activation"));
    size_t l;
    if (!json_is_array(hidden) || json_array_size(hidden) >= RG_DENSE_LAYERS || !activation)
        return false;
    json_array_foreach(hidden, l, width) {
        if (!read_size(width, WIDTH_LIMIT, &network->width[l + 1]))
            return false;
    }
    network->layers = (int64_t)json_array_size(hidden) + 1;
    network->activation = strcmp(activation, "tanh") == 0;
    network->first_norm = json_is_true(json_object_get(root, "first_norm"));
    return (network->activation == RG_ACTIVATION_TANH || strcmp(activation, "relu") == 0) &&
           !(network->first_norm && network->layers < 2);
}

static RgStatus restore(RgPolicy *policy, const char *description, RgError *error) {
    json_t *root = json_loads(description, 0, NULL);
    const json_t *numbers = json_object_get(root, "features");
    int64_t contexts, responses, width;
    RgDense network = {0};
    bool good = read_size(json_object_get(root, "contexts"), SIZE_LIMIT, &contexts) &&
                read_size(json_object_get(root, "responses"), WIDTH_LIMIT, &responses) &&
                read_size(json_object_get(root, "feature_count"), WIDTH_LIMIT, &width) &&
                read_network(root, &network) && json_is_array(numbers) &&
                (double)json_array_size(numbers) == (double)contexts * (double)width;
    if (!good) {
        json_decref(root);
        return rg_fail(
            error, RG_E_FORMAT,
            "the description of an mlp policy needs \"contexts\", \"responses\", "
            "\"feature_count\", \"hidden\", \"activation\", \"first_norm\", and a number "
            "in \"features\" for each feature of each context");
    }
    State *s = state_of(contexts, responses, width);
    for (int64_t i = 0; i < contexts * width; i++)
        s->features[i] = (RgReal)json_number_value(json_array_get(numbers, (size_t)i));
    json_decref(root);
    s->network = network;
    s->network.width[0] = width;
    s->network.width[network.layers] = responses;
    policy->state = s;
    rg_dense_declare(&s->network, policy->parameters, "layer");
    return RG_OK;
}

const RgPolicyType rg_policy_mlp = {
    .about = {.name = "mlp",
              .summary = "A fully connected network from the context's features to the logits of "
                         "its responses",
              .reference = "softmax policy over a multilayer perceptron",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .destroy = destroy,
    .logprob = logprob,
    .features = features,
    .feature_count = feature_count,
    .step_logprob = logprob,
    .state_features = state_features,
    .state_feature_count = state_feature_count,
    .sample = rg_enumerated_sample,
    .mixes = true,
    .logits = all_logits,
    .context_limit = rg_enumerated_context_limit,
    .vocabulary = rg_enumerated_vocabulary,
    .describe = describe,
    .restore = restore,
};
