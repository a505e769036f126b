/* SPDX-License-Identifier: MIT */
/* Pairs of responses that are not drawn independently: by a distribution over all pairs of the
 * enumerated responses to a context (RgPairSampler). A pair of responses a and b has the weight
 *
 *     2 + e^d + e^−d = 1/(σ(d)·σ(−d)),   d = x_a − x_b
 *
 * with x = 0 (uniform), the judge's reward over the temperature of its labels (reward-matched), or
 * the policy's implicit reward β·h (policy-matched). It is the reciprocal of the curvature of the
 * pair's DPO loss where the implicit reward is x, arXiv:2409.19605.
 *
 * Internal to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_PAIR_SAMPLER_H
#define RG_ALGORITHMS_TRAINING_PAIR_SAMPLER_H

#include "algorithms/training/trainer.h"

/* Refuse options that do not go with a pair sampler: RG_E_USAGE, with the option's name. */
RgStatus rg_pair_sampler_check(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                               const RgTrainingOptions *training, RgError *error);
/* Refuse a policy or a judge that it cannot be computed for: RG_E_USAGE. */
RgStatus rg_pair_sampler_check_sources(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                                       const RgTask *task, const RgPolicy *policy, RgError *error);

/* The most pairs of responses, over all contexts, that a method goes over one by one. */
enum { RG_MOST_ENUMERATED_PAIRS = 1 << 22 };

/* Every response to every context, in the order of the policy's table. The caller destroys it. */
RgSequences *rg_all_responses(const RgPolicy *policy);

/* The distribution of pairs at the present sampling policy: arrays in the tape's arena. */
typedef struct RgPairDistribution {
    int64_t responses;
    double *x;    /* [contexts, responses] */
    double *most; /* [contexts] largest weight of a pair; NULL: there is none */
} RgPairDistribution;

/* `reward` [contexts, responses] of all responses, or NULL if the sampler reads none. */
RgPairDistribution rg_pair_distribution(RgTrainer *trainer, const double *reward);
/* Probabilities of the pairs of a context: probability [responses, responses] out. Returns what the
 * loss on each of these pairs is multiplied by: 1, or the sum of the weights if the recipe wants
 * matched weights. */
double rg_pair_probabilities(const RgPairDistribution *distribution, const RgRecipe *recipe,
                             int64_t context, double *probability);
/* Whether the sampler reads rewards. */
bool rg_pair_sampler_rewards(const RgRecipe *recipe);

/* The places of the best and the worst of `count` responses. Where rewards are equal, the best is the
 * first of them and the worst the last, so that they differ. */
void rg_best_and_worst(const double *reward, int64_t count, int64_t *best, int64_t *worst);
/* The probability that these are two given responses, of k that are drawn independently:
 * probability [n, n] out, the best first. `logprob` [n] of a response, `reward` [n]. Among those of
 * equal rewards either is distributed as a single draw, and independently of the other. */
void rg_extreme_probabilities(const double *reward, const double *logprob, int64_t n, int64_t k,
                              double *probability);

/* A pair for each of `prompts`, into `out`, metered; weight [prompts->count] out is what its loss
 * is multiplied by. Queries the judge for the rewards of all responses, if the sampler reads
 * them. */
RgStatus rg_pair_sampler_draw(RgTrainer *trainer, RgRandom random, const RgSequences *prompts,
                              RgSequences *out, double *weight, RgError *error);

#endif
