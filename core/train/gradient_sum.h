/* SPDX-License-Identifier: MIT */
/* The sum of gradients that the ranks of a process group made of parts of a batch, in the parts'
 * order: the same bits whoever made which.
 *
 *     rg_gradient_sum_begin(sum);
 *     for every `size` parts:  rank r makes the gradient of the r-th of them
 *         rg_gradient_sum_add(sum, parts);
 *     rg_gradient_sum_end(sum);
 *
 * Each rank keeps the sum of its own slice of the numbers, to which all send their parts of it; in
 * the end the slices are handed around. So a rank needs room for its gradient and for a slice of
 * another, however many parts there are. A process group of one (NULL) has one slice, the whole. */
#ifndef RG_CORE_TRAIN_GRADIENT_SUM_H
#define RG_CORE_TRAIN_GRADIENT_SUM_H

#include "core/process_group.h"
#include "core/tensor/parameters.h"

typedef struct RgGradientSum RgGradientSum;

/* Both are borrowed. */
RgGradientSum *rg_gradient_sum_create(RgParameters *parameters, RgProcessGroup *process_group);
void rg_gradient_sum_destroy(RgGradientSum *sum);

/* The sum begins with what is in the gradient, which is the same on all ranks, and becomes zero. */
void rg_gradient_sum_begin(RgGradientSum *sum);
/* Add the gradients of the first `count` ranks, in their order. All become zero. */
void rg_gradient_sum_add(RgGradientSum *sum, int64_t count);
/* The sum is the gradient, on all ranks. */
void rg_gradient_sum_end(RgGradientSum *sum);

#endif
