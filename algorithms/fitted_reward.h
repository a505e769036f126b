/* SPDX-License-Identifier: MIT */
/* A reward fitted to the offline pairs before the first step, for methods that would ask the judge:
 *
 *     r̂ = argmin_r  −E_(w,l)[ log σ(r(y_w) − r(y_l)) ]       Bradley and Terry's likelihood
 *
 * It is linear in the reference's features of a response or has one hidden layer (parl/reward.h),
 * and is trained with AdamW on batches of pairs in one shuffled order. The parameters of the epoch
 * that is best on the pairs held out are kept. Then r̂ is shifted to a mean of 0 over the pairs, as
 * in Ziegler et al. 2019, arXiv:1909.08593.
 *
 * Used by one thread at a time. */
#ifndef RG_ALGORITHMS_FITTED_REWARD_H
#define RG_ALGORITHMS_FITTED_REWARD_H

#include "algorithms/parl/reward.h"
#include "algorithms/training/trainer.h"

/* A method includes the table for a member of this type (RG_OPTION_INCLUDE). */
typedef struct RgFittedRewardOptions {
    int reward; /* RgRewardSource */
    int64_t reward_hidden, reward_epochs, reward_batch;
    double reward_learning_rate, reward_held_out;
} RgFittedRewardOptions;
extern const RgOption rg_fitted_reward_options[];

typedef enum RgRewardSource {
    RG_REWARD_JUDGED,
    RG_REWARD_FITTED_LINEAR,
    RG_REWARD_FITTED_MLP
} RgRewardSource;

typedef struct RgFittedReward {
    RgReward reward;
    double mean;     /* of r̂ over the responses of the pairs, before the shift */
    double loss;     /* over all pairs, those held out included, after the fit */
    double accuracy; /* share of all pairs that it orders as labelled; equal rewards count half */
} RgFittedReward;

/* Check, before the reward is created, that the task has what it is fitted to; else RG_E_USAGE. */
RgStatus rg_fitted_reward_check(const char *method, const RgFittedRewardOptions *options,
                                const RgTask *task, RgError *error);
/* Fit to the pairs of trainer->task, in `create` of a method. The caller destroys the reward. */
void rg_fitted_reward_create(RgTrainer *trainer, const RgFittedRewardOptions *options,
                             RgFittedReward *fitted);
void rg_fitted_reward_destroy(RgFittedReward *fitted);

/* r̂ of each sequence, shifted: value [sequences->count] out. `reference` is the trainer's. */
void rg_fitted_reward_values(const RgFittedReward *fitted, RgPolicy *reference,
                             const RgSequences *sequences, double *value);

#endif
