/* SPDX-License-Identifier: MIT */
/* The gradient of a step's batch, and the loss's own metrics. Internal to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_GRADIENT_H
#define RG_ALGORITHMS_TRAINING_GRADIENT_H

#include "algorithms/training/rollout.h"

/* Make the rollout of step `step`, the same on all ranks; compute the reference log-probabilities
 * of its offline pairs; call the algorithm's `prepare`. Sets the gradient of the algorithm's own
 * parameters to 0. The caller ends the rollout with rg_gradient_end, also after an error. */
RgStatus rg_gradient_begin(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error);
/* Add the gradient of the loss to that of the policy and of the algorithm's own parameters. Returns
 * the loss. */
double rg_gradient_add(RgTrainer *trainer, int64_t step, int64_t epoch, RgRollout *rollout);
void rg_gradient_end(RgTrainer *trainer, RgRollout *rollout);

#endif
