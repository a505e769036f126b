/* SPDX-License-Identifier: MIT */
/* The sum of gradients that the ranks of a process group computed from parts of a batch. The parts
 * are added in their order, so the bits do not depend on which rank computed which part.
 *
 *     rg_gradient_sum_begin(sum);
 *     for every `size` parts:  rank r computes the gradient of the r-th of them
 *         rg_gradient_sum_add(sum, parts);
 *     rg_gradient_sum_end(sum);
 *
 * Each rank keeps the sum of its own slice of the numbers, and all ranks send it their parts of
 * that slice. At the end the slices are gathered on all ranks. So a rank needs memory for its
 * gradient and for one more slice, however many parts there are. A process group of one (NULL) has
 * a single slice.
 *
 * Threads: one per process. */
#ifndef RG_CORE_TRAIN_GRADIENT_SUM_H
#define RG_CORE_TRAIN_GRADIENT_SUM_H

#include "core/process_group.h"
#include "core/tensor/parameters.h"

typedef struct RgGradientSum RgGradientSum;

/* Both arguments are borrowed. */
RgGradientSum *rg_gradient_sum_create(RgParameters *parameters, RgProcessGroup *process_group);
void rg_gradient_sum_destroy(RgGradientSum *sum);

/* Starts the sum with the current gradient, which must be equal on all ranks, and zeroes it. */
void rg_gradient_sum_begin(RgGradientSum *sum);
/* Adds the gradients of the first `count` ranks, in their order, and zeroes all of them. */
void rg_gradient_sum_add(RgGradientSum *sum, int64_t count);
/* Writes the sum to the gradient, on all ranks. */
void rg_gradient_sum_end(RgGradientSum *sum);

#endif
