/* SPDX-License-Identifier: MIT */
/* Into which shards a batch is cut. The batch alone tells, never the threads. Inner to
 * core/policy; what a shard is: shards.h. */
#ifndef RG_CORE_POLICY_DATA_PARALLEL_CUT_H
#define RG_CORE_POLICY_DATA_PARALLEL_CUT_H

#include "core/task/sequences.h"

enum { RG_SLICES = 8 };

/* Shard i has the sequences first[i] … first[i + 1] − 1 and reads tokens[i]: its responses, and a
 * prompt once for all those in a row that share it. No shard is without tokens, unless all are. */
typedef struct RgSliceCut {
    int64_t count;
    int64_t first[RG_SLICES + 1];
    int64_t tokens[RG_SLICES];
} RgSliceCut;

/* What a shard of so many tokens costs in a batch of W tokens: tokens · (tokens + 2·W/RG_SLICES).
 * Each token is as long under way as its shard is large, and is work for some thread: that counts
 * as two shares of the batch, so that reading a prompt again has its price. */
double rg_slice_cost(int64_t tokens, int64_t all);

/* Sequences [first, last) in RG_SLICES shards at most, at the least cost in all: of as many tokens
 * each as can be had. Sequences that share a prompt stay together, but for a group too large for
 * even shards: it is cut, and each of its shards reads the prompt, if that makes up for the
 * reading. */
RgSliceCut rg_slice_cut(const RgSequences *sequences, int64_t first, int64_t last);

/* The same of `copies` responses to each of so many prompts, all of the same lengths. */
RgSliceCut rg_slice_cut_evenly(int64_t prompts, int64_t copies, int64_t prompt_length,
                               int64_t response_length);

int64_t rg_slice_cut_tokens(const RgSliceCut *cut);  /* of all shards */
int64_t rg_slice_cut_largest(const RgSliceCut *cut); /* of the largest */

#endif
