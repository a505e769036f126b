/* SPDX-License-Identifier: MIT */
/* Fitting a network to offline pairs. The policy's stage is in rlhf.c. */
#include "algorithms/rlhf_network.h"

#include "core/models/dense.h"
#include "core/models/enumerated.h"

#include <stdlib.h>
#include <string.h>

/* Networks, and what they read. */
typedef struct Reward {
    int64_t contexts, responses, features;
    bool joint;
    RgReal *input; /* [contexts, features] */
    RgDense of_context, of_response, output;
    RgParameters *parameters;
} Reward;

/* ---- life ---- */

/* The features of every context, as the reference has them before the response. */
static void read_contexts(Reward *r, RgPolicy *reference) {
    RgSequences *all = rg_sequences_create();
    for (int32_t c = 0; c < r->contexts; c++)
        rg_sequences_append(all, &c, 1, (int32_t[]){0}, 1);
    r->input = rg_allocate(r->contexts * r->features, sizeof *r->input);
    rg_policy_state_values(reference, all, r->input);
    rg_sequences_destroy(all);
}

static void declare(RgDense *network, int64_t inputs, const char *hidden, RgParameters *parameters,
                    const char *name) {
    *network = (RgDense){.width = {inputs}, .last_activation = true};
    rg_dense_read_hidden(network, hidden);
    if (network->layers > 0)
        rg_dense_declare(network, parameters, name);
}

static int64_t width_of(const RgDense *network) {
    return network->width[network->layers];
}

static void shape(Reward *r, const char *hidden, RgRandom random) {
    int64_t of_context = r->joint ? r->features + r->responses : r->features;
    r->parameters = rg_parameters_create();
    declare(&r->of_context, of_context, hidden, r->parameters, "context");
    if (!r->joint)
        declare(&r->of_response, r->responses, hidden, r->parameters, "response");
    int64_t inputs = width_of(&r->of_context) + (r->joint ? 0 : width_of(&r->of_response));
    r->output = (RgDense){.layers = 1, .width = {inputs, 1}};
    rg_dense_declare(&r->output, r->parameters, "output");
    rg_parameters_allocate(r->parameters);
    const RgDense *const networks[] = {&r->of_context, &r->of_response, &r->output};
    for (int i = 0; i < 3; i++)
        if (networks[i]->layers > 0)
            rg_dense_initialise(networks[i], r->parameters, RG_INITIAL_FAN_IN, 1, random);
}

static void end(Reward *r) {
    rg_parameters_destroy(r->parameters);
    free(r->input);
}

/* ---- rewards ---- */

/* Features of these contexts [n, features] and the responses, one-hot [n, responses]. */
static void inputs_of(const Reward *r, RgTape *t, const int32_t *contexts, const int32_t *responses,
                      int64_t n, RgTensor *parts[2]) {
    parts[0] = rg_tensor_new(t, RG_SHAPE(n, r->features));
    parts[1] = rg_filled(t, RG_SHAPE(n, r->responses), 0);
    for (int64_t i = 0; i < n; i++) {
        memcpy(parts[0]->data + i * r->features, r->input + contexts[i] * r->features,
               (size_t)r->features * sizeof *r->input);
        parts[1]->data[i * r->responses + responses[i]] = 1;
    }
}

/* r̂ of n responses, [n]. */
static RgTensor *reward_of(const Reward *r, RgTape *t, const int32_t *contexts,
                           const int32_t *responses, int64_t n) {
    RgTensor *parts[2], *hidden;
    inputs_of(r, t, contexts, responses, n, parts);
    if (r->joint) {
        hidden = rg_dense_forward(&r->of_context, t, r->parameters, rg_concatenate(t, 1, parts, 2));
    } else {
        parts[0] = rg_dense_forward(&r->of_context, t, r->parameters, parts[0]);
        parts[1] = rg_dense_forward(&r->of_response, t, r->parameters, parts[1]);
        hidden = rg_concatenate(t, 1, parts, 2);
    }
    return rg_reshape(t, rg_dense_forward(&r->output, t, r->parameters, hidden), RG_SHAPE(n));
}

/* The rewards of every response to some contexts from `first` on: reward [count, responses] out. */
static void fill_rows(const Reward *r, RgTape *t, int32_t first, int64_t count, double *reward) {
    int64_t cells = count * r->responses;
    int32_t *contexts = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, cells);
    int32_t *responses = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, cells);
    for (int64_t i = 0; i < cells; i++) {
        contexts[i] = first + (int32_t)(i / r->responses);
        responses[i] = (int32_t)(i % r->responses);
    }
    const RgTensor *value = reward_of(r, t, contexts, responses, cells);
    for (int64_t i = 0; i < cells; i++)
        reward[i] = (double)value->data[i];
    rg_tape_reset(t);
}

static void fill_table(const Reward *r, RgTape *t, double *table) {
    enum { AT_ONCE = 64 }; /* contexts, which bounds the memory */
    bool recording = rg_tape_record(t, false);
    for (int64_t first = 0; first < r->contexts; first += AT_ONCE) {
        int64_t left = r->contexts - first;
        fill_rows(r, t, (int32_t)first, left < AT_ONCE ? left : AT_ONCE,
                  table + first * r->responses);
    }
    rg_tape_record(t, recording);
}

/* ---- the fit ---- */

/* Add the gradient of −E[ log σ(r̂_w − r̂_l) ] over pairs from this place of the shuffled order on. */
static void add_gradient(RgTrainer *trainer, const Reward *r, int64_t first, int64_t n) {
    const RgPairs *pairs = trainer->task->pairs;
    RgTape *t = trainer->tape;
    RgArena *arena = rg_tape_arena(t);
    int32_t *context = RG_ARENA_ARRAY(arena, int32_t, n);
    int32_t *response[2] = {RG_ARENA_ARRAY(arena, int32_t, n), RG_ARENA_ARRAY(arena, int32_t, n)};
    for (int64_t i = 0; i < n; i++) {
        int64_t pair = rg_trainer_read_pair(trainer, first + i), chosen = pairs->preferred[pair];
        context[i] = *rg_sequence_prompt(pairs->sequences, 2 * pair);
        for (int64_t k = 0; k < 2; k++)
            response[k][i] =
                *rg_sequence_response(pairs->sequences, 2 * pair + (k == 0 ? chosen : 1 - chosen));
    }
    RgTensor *margin = rg_sub(t, reward_of(r, t, context, response[0], n),
                              reward_of(r, t, context, response[1], n));
    rg_backward(t, rg_negate(t, rg_mean(t, rg_log_sigmoid(t, margin))), 1);
    rg_tape_reset(t);
}

void rg_reward_network_fit(RgTrainer *trainer, const RgRewardNetworkOptions *o, double *reward) {
    RgPolicy *reference = trainer->reference;
    Reward r = {.contexts = rg_policy_contexts(trainer->policy),
                .responses = rg_policy_responses(trainer->policy),
                .features = reference->type->state_feature_count(reference),
                .joint = o->joint};
    int64_t pairs = trainer->task->pairs->count, batch = trainer->training.batch;
    RgOptimizerOptions adamw = rg_adamw_options(o->learning_rate);
    read_contexts(&r, reference);
    shape(&r, o->hidden, rg_random_named(trainer->random, "reward"));
    RgOptimizer *optimizer = rg_optimizer_create(&adamw, r.parameters->count, 0);
    for (int64_t epoch = 0; epoch < o->epochs; epoch++)
        for (int64_t first = 0; first < pairs; first += batch) {
            int64_t n = first + batch < pairs ? batch : pairs - first;
            add_gradient(trainer, &r, epoch * pairs + first, n);
            rg_optimizer_step(optimizer, r.parameters);
        }
    fill_table(&r, trainer->tape, reward);
    rg_optimizer_destroy(optimizer);
    end(&r);
}
