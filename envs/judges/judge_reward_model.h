/* SPDX-License-Identifier: MIT */
/* The reward model: a transformer that reads conversation and response, with a linear head on its
 * hidden state, fitted to pairs by the Bradley-Terry likelihood (Christiano et al. 2017,
 * arXiv:1706.03741; Ouyang et al. 2022, arXiv:2203.02155),
 *
 *     P(chosen over rejected) = σ(r(x, y_w) − r(x, y_l))
 *     loss = −log σ(r_w − r_l) + centre · (r_w + r_l)²
 *
 * The first term does not determine the mean of the rewards; the second term keeps it near 0
 * (Eisenstein et al. 2023, arXiv:2312.09244). This header is for tests. */
#ifndef RG_ENVS_JUDGES_JUDGE_REWARD_MODEL_H
#define RG_ENVS_JUDGES_JUDGE_REWARD_MODEL_H

#include "core/policy/policy.h"
#include "envs/judges/judge.h"

extern const RgJudgeType rg_judge_reward_model;

/* Input of the head: the hidden state after the last token, or the mean over the response. */
typedef enum RgPooling { RG_POOLING_LAST, RG_POOLING_MEAN } RgPooling;

/* The head's parameters for a transformer: one view [1, width], zeros. The caller destroys them. */
RgParameters *rg_reward_head_create(const RgPolicy *policy);
/* r of each sequence, [sequences->count], on `tape`, differentiable in the policy's parameters and
 * the head's. */
RgTensor *rg_reward_model_of(RgTape *tape, RgPolicy *policy, RgParameters *head, RgPooling pooling,
                             const RgSequences *sequences);
/* The mean loss of rewards [2n], chosen and rejected alternating. */
RgTensor *rg_reward_model_loss(RgTape *tape, RgTensor *reward, double centre);

/* The sequences with at most `limit` tokens each. A longer one loses the start of its prompt except
 * the first token, then the end of its response. */
RgSequences *rg_reward_model_fit_length(const RgSequences *sequences, int64_t limit);

/* The transformer and the head of such a judge, borrowed. */
RgPolicy *rg_reward_model_policy(const RgJudge *judge);
RgParameters *rg_reward_model_head(const RgJudge *judge);

#endif
