/* SPDX-License-Identifier: MIT */
/* Passes over a batch in shards: a small model's operators are over before the threads have met, so
 * that a thread had better take some of the sequences through the whole model, forward and back,
 * from memory of its own. Into which shards a batch is cut is told by the batch and the model
 * alone, and their gradients are added up in order: who runs which changes no bit. Inner to
 * policy.c. */
#ifndef RG_CORE_POLICY_DATA_PARALLEL_H
#define RG_CORE_POLICY_DATA_PARALLEL_H

#include "core/policy/data_parallel_cut.h"
#include "core/policy/policy.h"

/* Sequences that a thread takes at a time through a pass without a gradient; and without shards. */
enum { RG_VALUES_OF_A_THREAD = 16, RG_VALUES_AT_ONCE = 64 };

/* Whether a model of so many weights is small enough, and a batch of so many tokens large enough.
 */
bool rg_data_parallel_suits_sizes(int64_t weights, int64_t tokens);
/* Whether they are, and the policy is of a kind whose passes may run side by side. */
bool rg_data_parallel_suits_batch(const RgPolicy *policy, const RgSequences *sequences);
/* Whether two threads have work: no shard has more than half of the tokens. Else they had better
 * share the operators. */
bool rg_data_parallel_suits_cut(const RgSliceCut *cut);
/* Whether all that, and the pass is to be differentiated, once; then *cut tells the shards. */
bool rg_data_parallel_suits(const RgTape *tape, const RgPolicy *policy,
                            const RgSequences *sequences, RgSliceCut *cut);

/* The pass over all shards: their outputs in a row, or, where each is a scalar and `sum` is set,
 * the sum of them. Differentiable to first order in policy->parameters, whose gradient is added to.
 */
RgTensor *rg_data_parallel_run(RgTape *tape, RgPolicy *policy, RgForward forward,
                               const RgSequences *sequences, const RgSliceCut *cut, bool sum);

#endif
