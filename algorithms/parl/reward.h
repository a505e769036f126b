/* SPDX-License-Identifier: MIT */
/* The reward model r_ν of a bilevel problem: what it is a function of, and how.
 *
 *     linear   r = φ·ν                      φ: features of the response under the frozen reference
 *     mlp      r = w·tanh(W φ + b) + c      (of a table: any reward at all; of a transformer: its
 *                                           last hidden state), summed over the steps of an episode
 *     design   r = φ·design(ν)              where the environment says what there is to design, φ
 *                                           being discounted visits
 */
#ifndef RG_ALGORITHMS_PARL_REWARD_H
#define RG_ALGORITHMS_PARL_REWARD_H

#include "core/policy/policy.h"
#include "core/task/task.h"

enum { RG_REWARD_LINEAR, RG_REWARD_MLP };
extern const char *const rg_reward_names[]; /* as choices of an option */

typedef struct RgReward {
    RgParameters *parameters; /* ν */
    int type;
    int64_t features;
    bool by_step;    /* features are of steps, not of responses */
    double discount; /* of steps */
    const RgSimulator *simulator;
    const RgMdp *mdp; /* whose design it is; NULL: linear or mlp */
} RgReward;

/* A reward over what `reference` says of responses on `task`; `hidden` is the width of an mlp.
 * Starts at zero, but for the inner layer of an mlp and, of a design, normal numbers of
 * `deviation`. RG_E_USAGE where an mlp is asked for and there is a design. */
RgStatus rg_reward_create(int type, int64_t hidden, double deviation, const RgPolicy *reference,
                          const RgTask *task, RgRandom random, RgReward *reward, RgError *error);
void rg_reward_destroy(RgReward *reward);

/* What the reward is a function of, for a batch of sequences; freed by rg_reward_input_free. */
typedef struct RgRewardInput {
    int64_t count, rows; /* sequences, and rows of features in all */
    RgReal *features;    /* [rows, features] */
    int64_t *offsets;    /* [count + 1] rows of each sequence; NULL: one each */
    RgReal *weight;      /* [rows] discount of each; NULL: 1 */
} RgRewardInput;
RgRewardInput rg_reward_input(const RgReward *reward, RgPolicy *reference,
                              const RgSequences *sequences);
void rg_reward_input_free(RgRewardInput *input);

/* r_ν of each sequence: [count], differentiable in ν to any order. The input outlives the tape. */
RgTensor *rg_reward_of(RgTape *tape, const RgReward *reward, const RgRewardInput *input);
/* Where it is by step, the discounted rewards that this sums, of all steps in a row: [rows]. */
RgTensor *rg_reward_of_steps(RgTape *tape, const RgReward *reward, const RgRewardInput *input);

#endif
