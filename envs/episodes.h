/* SPDX-License-Identifier: MIT */
/* What environments of episodes share: sampling them, and the offline pairs of a teacher who does
 * not label everything. */
#ifndef RG_ENVS_EPISODES_H
#define RG_ENVS_EPISODES_H

#include "core/policy/policy.h"
#include "core/task/task.h"
#include "envs/contender.h"

/* Prompts of one word each, first … first + count − 1. */
RgSequences *rg_episode_prompts(int32_t first, int64_t count);

/* RG_E_USAGE unless the policy acts in such simulator. `name` is the environment's. */
RgStatus rg_episodes_check_policy(const RgPolicy *policy, const RgSimulator *simulator,
                                  const char *name, RgError *error);

/* One episode of the policy from each prompt, at temperature 1; as rg_policy_sample. */
void rg_episodes_sample(const RgSimulator *simulator, RgPolicy *policy, const RgSequences *prompts,
                        int64_t copies, RgRandom random, RgSequences *out, double *logprob);

/* One episode of the contender from each prompt, in the task's simulator; as rg_contender_sample.
 */
RgStatus rg_episodes_contend(const RgTask *task, const RgContender *contender,
                             const RgSequences *prompts, RgRandom random, RgSequences *out,
                             double *logprob, RgError *error);

/* Mean reward by the task's judge of episodes of the policy, at most `most` of them, one from
 * each training prompt: the scale of a teacher. */
RgStatus rg_episodes_mean_reward(const RgTask *task, RgPolicy *policy, int64_t most,
                                 RgRandom random, double *mean, RgError *error);

/* `count` pairs of episodes of the policy, training prompts in turn, labelled as the task labels.
 * What is not labelled is left out, and more are drawn in its place; how many were left out comes
 * in *skipped. RG_E_RANGE when that would be nearly all. */
RgStatus rg_episodes_draw_pairs(const RgTask *task, RgPolicy *policy, int64_t count,
                                RgRandom random, RgPairs *pairs, int64_t *skipped, RgError *error);

#endif
