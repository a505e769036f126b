/* SPDX-License-Identifier: MIT */
/* A policy for tests of environments of episodes: actions are normal numbers around its one
 * parameter, whatever is observed. */
#ifndef RG_TESTS_RANDOM_POLICY_H
#define RG_TESTS_RANDOM_POLICY_H

#include "core/policy/policy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline double random_policy_log_density(double action, double mean) {
    return -0.5 * (action - mean) * (action - mean) - 0.5 * log(2 * M_PI);
}

/* Steps of one episode, and its log-probability. */
static inline int64_t random_policy_act(const RgSimulator *d, double mean, int32_t initial,
                                        RgRandom random, int32_t *words, double *logprob) {
    int32_t observation[64];
    void *episode = d->begin(d->environment, initial, random, observation);
    int64_t steps = 0;
    bool goes_on = true;
    for (*logprob = 0; goes_on; steps++) {
        int32_t *row = words + steps * rg_simulator_step_words(d);
        int32_t *action = row + d->observation_words;
        memcpy(row, observation, (size_t)d->observation_words * sizeof *row);
        for (int64_t k = 0; k < d->action_words; k++) {
            uint64_t number = (uint64_t)(steps * d->action_words + k);
            action[k] = rg_float_word((float)(mean + rg_random_normal(random, number)));
            *logprob += random_policy_log_density(rg_word_float(action[k]), mean);
        }
        goes_on = d->advance(episode, action, observation);
    }
    d->end(episode);
    return steps;
}

static inline double random_policy_sample(RgPolicy *policy, const RgSequences *prompts,
                                          const RgSampling *sampling, RgRandom random,
                                          int32_t *tokens, int64_t *length, double *logprob) {
    const RgSimulator *d = policy->state;
    for (int64_t i = 0; i < prompts->count; i++)
        length[i] =
            rg_simulator_step_words(d) *
            random_policy_act(d, policy->parameters->value[0], *rg_sequence_prompt(prompts, i),
                              rg_random_at(random, (uint64_t)i),
                              tokens + i * sampling->response_limit, &logprob[i]);
    return 0;
}

static inline RgTensor *random_policy_logprob(RgPolicy *policy, RgTape *tape,
                                              RgParameters *parameters,
                                              const RgSequences *sequences) {
    const RgSimulator *d = policy->state;
    double *sum = rg_allocate(sequences->count, sizeof *sum);
    for (int64_t i = 0; i < sequences->count; i++)
        for (int64_t t = 0; t < rg_episode_steps(d, sequences, i); t++)
            for (int64_t k = 0; k < d->action_words; k++)
                sum[i] += random_policy_log_density(
                    rg_word_float(rg_episode_action(d, sequences, i, t)[k]), parameters->value[0]);
    RgTensor *y = rg_constant_from_double(tape, RG_SHAPE(sequences->count), sum);
    free(sum);
    return y;
}

static inline int64_t random_policy_step(const RgPolicy *policy) {
    return rg_simulator_step_words(policy->state);
}

static inline void random_policy_forget(RgPolicy *policy) {
    policy->state = NULL; /* the environment's */
}

static const RgPolicyType random_policy_type = {.about.name = "random",
                                                .destroy = random_policy_forget,
                                                .logprob = random_policy_logprob,
                                                .sample = random_policy_sample,
                                                .words_per_token = random_policy_step};

static inline RgPolicy *random_policy(const RgSimulator *simulator, double mean) {
    static const int64_t one = 1;
    RgPolicy *policy = rg_policy_new(&random_policy_type);
    policy->state = (void *)simulator;
    rg_parameters_declare(policy->parameters, "mean", 1, &one, false);
    rg_parameters_allocate(policy->parameters);
    policy->parameters->value[0] = (RgReal)mean;
    return policy;
}

#endif
