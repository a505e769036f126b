/* SPDX-License-Identifier: MIT */
/* What an evaluation looks at: a policy, what it is compared with, and how its responses are drawn.
 */
#ifndef RG_ENVS_CONTENDER_H
#define RG_ENVS_CONTENDER_H

#include "core/policy/policy.h"
#include "core/task/task.h"

/* All members are borrowed. */
typedef struct RgContender {
    RgPolicy *policy, *reference;
    double beta; /* of implicit rewards */
    /* Each response of the policy is the best, by the environment's judge, of so many (Stiennon et
     * al. 2020, arXiv:2009.01325); 0 or 1: it is the policy's own. */
    int64_t best_of;
} RgContender;

/* One response of the contender to each prompt, as rg_policy_sample; `task` has a judge that
 * gives rewards. Of best of n, the log-probability of the best response is raised by log n −
 * (n−1)/n: what the divergence from the policy is where no two responses are as good as each other,
 * and at most otherwise (Beirami et al. 2024, arXiv:2401.01879). Fails where the judge does. */
RgStatus rg_contender_sample(const RgContender *contender, const RgTask *task,
                             const RgSequences *prompts, const RgSampling *sampling,
                             RgRandom random, RgSequences *out, double *logprob, RgError *error);

/* Where responses are enumerated: what best of n makes of their log-probabilities, `logprob`
 * [contexts, responses], by their rewards [contexts, responses]. */
void rg_contender_table(const RgContender *contender, const double *reward, int64_t contexts,
                        int64_t responses, double *logprob);

#endif
