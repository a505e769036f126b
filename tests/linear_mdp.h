/* SPDX-License-Identifier: MIT */
/* A process for tests of policies of numbers: a point on a line that actions push, with a little
 * noise, until it is far off. Observed are place and speed. */
#ifndef RG_TESTS_LINEAR_MDP_H
#define RG_TESTS_LINEAR_MDP_H

#include "core/policy/policy.h"

#include <math.h>
#include <stdlib.h>

typedef struct LinearEpisode {
    double place, speed;
    RgRandom random;
    uint64_t step;
} LinearEpisode;

static inline void linear_observe(const LinearEpisode *e, int32_t *words) {
    words[0] = rg_float_word((float)e->place);
    words[1] = rg_float_word((float)e->speed);
}

static inline void *linear_begin(void *environment, int32_t initial, RgRandom random,
                                 int32_t *observation) {
    (void)environment;
    LinearEpisode *e = rg_allocate(1, sizeof *e);
    *e = (LinearEpisode){0.1 * initial, 0, random, 0};
    linear_observe(e, observation);
    return e;
}

static inline bool linear_advance(void *episode, const int32_t *action, int32_t *observation) {
    LinearEpisode *e = episode;
    e->speed += 0.3 * rg_word_float(action[0]) + 0.05 * rg_random_normal(e->random, e->step++);
    e->place += e->speed;
    linear_observe(e, observation);
    return fabs(e->place) < 3;
}

static RgSimulator linear_mdp = {.observation_words = 2,
                                 .action_words = 1,
                                 .horizon = 12,
                                 .may_end = true,
                                 .discount = 0.9,
                                 .begin = linear_begin,
                                 .advance = linear_advance,
                                 .end = free};

/* A small gaussian policy in it, away from its start. */
static inline RgPolicy *linear_policy(RgError *error) {
    static const RgPolicySpace space = {.simulator = &linear_mdp};
    RgSettings *settings = rg_settings_create();
    RgPolicy *policy;
    rg_settings_set(settings, "policy.hidden", RG_SETTING_INTEGER, "5", "test", 0);
    rg_policy_create("gaussian", settings, "policy", &space, rg_random_root(2), &policy, error);
    rg_settings_destroy(settings);
    for (int64_t i = 0; policy && i < policy->parameters->count; i++)
        policy->parameters->value[i] +=
            (RgReal)(0.2 * rg_random_normal(rg_random_root(3), (uint64_t)i));
    return policy;
}

/* `count` episodes, one from each initial condition. */
static inline RgSequences *linear_episodes(RgPolicy *policy, int32_t count, double temperature,
                                           double *logprob) {
    RgSequences *prompts = rg_sequences_create(), *episodes = rg_sequences_create();
    for (int32_t i = 0; i < count; i++)
        rg_sequences_append(prompts, &i, 1, NULL, 0);
    RgSampling sampling = {
        .temperature = temperature, .top_p = 1, .response_limit = 36, .end_token = -1};
    rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(4), episodes, logprob);
    rg_sequences_destroy(prompts);
    return episodes;
}

#endif
