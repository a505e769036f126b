/* SPDX-License-Identifier: MIT */
/* Rewards of responses to contexts that are rows of features, and the policy that writes the offline
 * data. All of them are functions of named options; numbers are in double. */
#ifndef RG_ENVS_BANDIT_CONTEXTUAL_REWARDS_H
#define RG_ENVS_BANDIT_CONTEXTUAL_REWARDS_H

#include "core/tensor/random.h"

typedef struct RgContexts {
    int64_t count, width;
    const double *features; /* [count, width] */
} RgContexts;

/* A hidden network, r + sign(r) with
 *
 *     r(x, a) = w·(tanh(W·x + b), tanh(V·e_a + d)) + c        e_a: response a, one-hot
 *
 * All weights and biases are uniform in ±1/√inputs of their layer. r is the sum of a number of the
 * context and one of the response, so that one response is the best in every context.
 * reward [count, responses] out. */
void rg_contextual_network_reward(const RgContexts *contexts, int64_t responses, int64_t hidden,
                                  RgRandom random, double *reward);

/* exp(−((a − centre)/width)²), the same in every context; a is counted from 0. */
void rg_contextual_peak_reward(const RgContexts *contexts, int64_t responses, double centre,
                               double width, double *reward);

/* a·cos(πs) + 2·sin(πs)/a of the context's first feature s; a is counted from 1. */
void rg_contextual_wave_reward(const RgContexts *contexts, int64_t responses, double *reward);
/* (a·sin(πs), cos(πs)/a): the features of a log-linear policy with sine and cosine exchanged, which
 * cannot represent the best responses to that reward. features [count, responses, 2] out. */
void rg_contextual_flipped_features(const RgContexts *contexts, int64_t responses,
                                    double *features);

/* Probabilities of `responses` bins of equal width on [−1, 1] for tanh(z), z of a Cauchy distribution:
 * log-probabilities [responses] out. */
void rg_contextual_cauchy_policy(int64_t responses, double location, double scale, double *logprob);

#endif
