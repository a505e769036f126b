/* SPDX-License-Identifier: MIT */
/* The reward model r_ν of a bilevel problem.
 *
 *     linear   r = φ·ν                      φ: features of the response under the frozen reference
 *     mlp      r = w·tanh(W φ + b) + c      for a table, any reward; for a transformer, φ is its
 *                                           last hidden state; summed over the steps of an episode
 *     design   r = φ·design(ν)              if the environment defines design parameters; φ:
 *                                           discounted visits
 *     known    none                         if the environment knows both levels exactly
 *
 * A reward is used by one thread at a time. */
#ifndef RG_ALGORITHMS_PARL_REWARD_H
#define RG_ALGORITHMS_PARL_REWARD_H

#include "core/policy/policy.h"
#include "core/task/task.h"

enum { RG_REWARD_LINEAR, RG_REWARD_MLP };
extern const char *const rg_reward_names[]; /* choices of an option */

typedef struct RgReward {
    RgParameters *parameters; /* ν */
    int type;
    int64_t features;
    bool by_step;    /* features are per step, not per response */
    double discount; /* of steps */
    const RgSimulator *simulator;
    const RgMdp *mdp;           /* with its design; NULL: linear or mlp */
    const RgBilevelTask *known; /* ν is that of a problem that is known, and no reward of responses;
                                   NULL: it is one */
} RgReward;

/* Create a reward over the features of `reference` for the responses of `task`; `hidden` is the
 * width of an mlp. Values start at zero, except the inner layer of an mlp and a design's, which
 * are normal with standard deviation `deviation`. The task has passed the check. */
void rg_reward_create(int type, int64_t hidden, double deviation, const RgPolicy *reference,
                      const RgTask *task, RgRandom random, RgReward *reward);
/* Refuse an mlp in a task that defines ν: RG_E_USAGE. */
RgStatus rg_reward_check(int type, const RgTask *task, RgError *error);
void rg_reward_destroy(RgReward *reward);

/* The inputs of the reward for a batch of sequences; freed by rg_reward_input_free. */
typedef struct RgRewardInput {
    int64_t count, rows; /* sequences, and rows of features in total */
    RgReal *features;    /* [rows, features] */
    int64_t *offsets;    /* [count + 1] first row of each sequence; NULL: one row each */
    RgReal *weight;      /* [rows] discount of each row; NULL: 1 */
} RgRewardInput;
RgRewardInput rg_reward_input(const RgReward *reward, RgPolicy *reference,
                              const RgSequences *sequences);
void rg_reward_input_free(RgRewardInput *input);

/* r_ν of each sequence: [count], differentiable in ν to any order. The input outlives the tape. */
RgTensor *rg_reward_of(RgTape *tape, const RgReward *reward, const RgRewardInput *input);
/* For a reward by step: the discounted rewards of all steps, whose sums are above: [rows]. */
RgTensor *rg_reward_of_steps(RgTape *tape, const RgReward *reward, const RgRewardInput *input);

#endif
