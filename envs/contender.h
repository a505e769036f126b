/* SPDX-License-Identifier: MIT */
/* The subject of an evaluation: a policy, its reference, and how its responses are sampled. */
#ifndef RG_ENVS_CONTENDER_H
#define RG_ENVS_CONTENDER_H

#include "core/policy/policy.h"
#include "core/task/task.h"

/* The metrics that an evaluation on a share of the test data adds: the share that it used, and the
 * seconds that all would have taken. */
#define RG_EVALUATED_SHARE "evaluated_share"
#define RG_WHOLE_SECONDS   "whole_evaluation_seconds"

/* All members are borrowed. */
typedef struct RgContender {
    RgPolicy *policy, *reference;
    double beta; /* of implicit rewards */
    /* Each response is the best of this many samples of the policy, by the environment's judge
     * (Stiennon et al. 2020, arXiv:2009.01325); 0 or 1: a plain sample. */
    int64_t best_of;
    /* The share of the test data that the evaluation uses; 0 or 1: all. For estimates of time. An
     * environment that can use a share adds the two metrics above, and may use more than was asked
     * for. Others always use all. */
    double share;
} RgContender;

/* Sample one response of the contender to each prompt, as rg_policy_sample; the judge of `task`
 * gives rewards. For best of n, log n − (n−1)/n is added to the log-probability of the best
 * response. This is the divergence from the policy if no two responses have equal rewards, and an
 * upper bound otherwise (Beirami et al. 2024, arXiv:2401.01879). Fails if the judge fails. */
RgStatus rg_contender_sample(const RgContender *contender, const RgTask *task,
                             const RgSequences *prompts, const RgSampling *sampling,
                             RgRandom random, RgSequences *out, double *logprob, RgError *error);

/* For enumerated responses: change `logprob` [contexts, responses] from the policy's
 * log-probabilities to those of best of n, by `reward` [contexts, responses]. */
void rg_contender_table(const RgContender *contender, const double *reward, int64_t contexts,
                        int64_t responses, double *logprob);

#endif
