/* SPDX-License-Identifier: MIT */
/* Data-parallel passes over slices of a batch. In a small model a single operator takes less time
 * than a thread barrier. So each thread runs some of the sequences through the whole model, forward
 * and backward, in memory of its own. The slices depend only on the batch and the model, and their
 * gradients are added in order, so the number of threads does not change a bit. Included by
 * policy.c only.
 *
 * Threads: one caller at a time per policy and its clones. */
#ifndef RG_CORE_POLICY_DATA_PARALLEL_H
#define RG_CORE_POLICY_DATA_PARALLEL_H

#include "core/policy/data_parallel_cut.h"
#include "core/policy/policy.h"

/* Sequences per thread and turn in a pass without a gradient. */
enum { RG_VALUES_OF_A_THREAD = 16 };

/* Sequences of one such pass without slices, the longest of which has `longest` tokens: 64, or
 * fewer that have 8,192 tokens together, at least a pair. Even, so that pairs, whose prompt is read
 * once, stay together. */
int64_t rg_values_at_once(int64_t longest);

/* Whether a model of `weights` weights is small enough, and a batch of `tokens` tokens large
 * enough. */
bool rg_data_parallel_suits_sizes(int64_t weights, int64_t tokens);
/* The same, and the policy's kind supports data-parallel passes. */
bool rg_data_parallel_suits_batch(const RgPolicy *policy, const RgSequences *sequences);
/* Whether there is work for two threads: no slice has more than half of the tokens. Otherwise it is
 * better to share the operators. */
bool rg_data_parallel_suits_cut(const RgSliceCut *cut);
/* Whether all of this holds and the pass is recorded to first order. If so, sets *cut to the
 * slices. */
bool rg_data_parallel_suits(const RgTape *tape, const RgPolicy *policy,
                            const RgSequences *sequences, RgSliceCut *cut);

/* Runs the pass over all slices. Returns their outputs in a row or, if `sum` is set and each output
 * is a scalar, their sum. Differentiable to first order in policy->parameters, whose gradient is
 * added to. */
RgTensor *rg_data_parallel_run(RgTape *tape, RgPolicy *policy, RgForward forward,
                               const RgSequences *sequences, const RgSliceCut *cut, bool sum);

#endif
