/* SPDX-License-Identifier: MIT */
/* The gradient of a step's batch, and the loss's own metrics. Inner to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_GRADIENT_H
#define RG_ALGORITHMS_TRAINING_GRADIENT_H

#include "algorithms/training/rollout.h"

/* Draw the batch of step `step`, which all ranks have, ask the reference of its offline pairs and
 * let the algorithm prepare. The gradient of the algorithm's own parameters is 0 then.
 * The rollout is the caller's to release by rg_gradient_end, also on an error. */
RgStatus rg_gradient_begin(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error);
/* Add the gradient of the loss on it to the policy's and the algorithm's own. Returns the loss. */
double rg_gradient_add(RgTrainer *trainer, int64_t step, int64_t epoch, RgRollout *rollout);
void rg_gradient_end(RgTrainer *trainer, RgRollout *rollout);

/* FLOPs of tape, policy and reference since they were last taken. */
double rg_trainer_take_flops(RgTrainer *trainer);

#endif
