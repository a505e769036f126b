/* SPDX-License-Identifier: MIT */
/* Exact expectations in place of samples: the batch of a step is every pair of responses to every
 * prompt under both labels, weighted by its probability under the recipe's sources. A third response is every one to every
 * prompt likewise. The loss and
 * its gradient are then those of the population, for any method that learns from pairs (or groups
 * of two) and for any policy whose responses can be enumerated.
 *
 * With RG_RESPONSE_EXPECTATION the prompts are those of a batch, in shuffled order, and only the
 * responses are enumerated: for methods that take no offline pairs. Internal to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_EXPECTATION_H
#define RG_ALGORITHMS_TRAINING_EXPECTATION_H

#include "algorithms/training/rollout.h"

/* Refuse what has no exact expectation: policies that cannot be enumerated, more than 2^22 weighted
 * pairs (or trios, where a sampled third response competes), and groups of more than two. RG_E_USAGE,
 * with the algorithm's name. */
RgStatus rg_expectation_check(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                              const RgTrainingOptions *training, const RgTask *task,
                              const RgPolicy *policy, RgError *error);

/* The rollout of a step: pairs of probability 0 are left out. Nothing is sampled and no judge is
 * queried one by one, so the meter counts neither. Fails if the judge fails. */
RgStatus rg_expectation(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error);

/* The probability that the judge prefers each response of the rollout to a rival, into `win_rate`.
 * Fails if the judge fails. */
RgStatus rg_expectation_rate(RgTrainer *trainer, RgRollout *rollout, RgError *error);

/* The shares of the offline pairs, as RgTask.pair_shares: the task's, or counted once for a trial
 * from its pairs, which the meter then counts. NULL: there are none. For enumerated policies. */
const double *rg_pair_shares(RgTrainer *trainer);

#endif
