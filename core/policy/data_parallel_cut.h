/* SPDX-License-Identifier: MIT */
/* How a batch is cut into data-parallel slices (data_parallel.h). The cut depends only on the
 * batch, not on the number of threads. Included only within core/policy. */
#ifndef RG_CORE_POLICY_DATA_PARALLEL_CUT_H
#define RG_CORE_POLICY_DATA_PARALLEL_CUT_H

#include "core/task/sequences.h"

enum { RG_SLICES = 8 };

/* Slice i has the sequences first[i] … first[i + 1] − 1 and reads tokens[i] tokens: its responses,
 * and each prompt once for consecutive sequences that share it. No slice is without tokens, unless
 * all are. */
typedef struct RgSliceCut {
    int64_t count;
    int64_t first[RG_SLICES + 1];
    int64_t tokens[RG_SLICES];
} RgSliceCut;

/* The cost of a slice in a batch of W tokens: tokens · (tokens + 2·W/RG_SLICES). A token costs the
 * size of its slice, because it is ready only when the slice is. It also costs 2·W/RG_SLICES for
 * the work itself, so that reading a prompt again has a price. */
double rg_slice_cost(int64_t tokens, int64_t all);

/* Cuts sequences [first, last) into at most RG_SLICES slices with the least total cost, as equal in
 * tokens as possible. Sequences that share a prompt stay together, unless their group is too large
 * for even slices. Then it is cut, and each of its slices reads the prompt, if the gain outweighs
 * the reading. */
RgSliceCut rg_slice_cut(const RgSequences *sequences, int64_t first, int64_t last);

/* The same for `copies` responses to each of `prompts` prompts, all of the same lengths. */
RgSliceCut rg_slice_cut_evenly(int64_t prompts, int64_t copies, int64_t prompt_length,
                               int64_t response_length);

int64_t rg_slice_cut_tokens(const RgSliceCut *cut);  /* sum over all slices */
int64_t rg_slice_cut_largest(const RgSliceCut *cut); /* of the largest slice */

#endif
