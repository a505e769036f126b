/* SPDX-License-Identifier: MIT */
/* Shared code of environments with episodes: sampling episodes, and making offline pairs with a
 * teacher that leaves some pairs unlabelled. */
#ifndef RG_ENVS_EPISODES_H
#define RG_ENVS_EPISODES_H

#include "core/policy/policy.h"
#include "core/task/task.h"
#include "envs/contender.h"

/* Prompts of one word each: first … first + count − 1. The caller destroys them. */
RgSequences *rg_episode_prompts(int32_t first, int64_t count);

/* RG_E_USAGE unless the policy acts in this kind of simulator. `name` is the environment's. */
RgStatus rg_episodes_check_policy(const RgPolicy *policy, const RgSimulator *simulator,
                                  const char *name, RgError *error);

/* One episode of the policy from each prompt, at temperature 1; as rg_policy_sample. */
void rg_episodes_sample(const RgSimulator *simulator, RgPolicy *policy, const RgSequences *prompts,
                        int64_t copies, RgRandom random, RgSequences *out, double *logprob);

/* One episode of the contender from each prompt in the task's simulator, as rg_contender_sample. */
RgStatus rg_episodes_contend(const RgTask *task, const RgContender *contender,
                             const RgSequences *prompts, RgRandom random, RgSequences *out,
                             double *logprob, RgError *error);

/* Mean reward, by the task's judge, of at most `most` episodes of the policy, one from each
 * training prompt: the scale of a teacher. */
RgStatus rg_episodes_mean_reward(const RgTask *task, RgPolicy *policy, int64_t most,
                                 RgRandom random, double *mean, RgError *error);

/* Make `count` labelled pairs of episodes of the policy, cycling through the training prompts.
 * Unlabelled pairs are replaced by new ones; *skipped out is their number. RG_E_RANGE if nearly all
 * pairs are unlabelled. */
RgStatus rg_episodes_draw_pairs(const RgTask *task, RgPolicy *policy, int64_t count,
                                RgRandom random, RgPairs *pairs, int64_t *skipped, RgError *error);

#endif
