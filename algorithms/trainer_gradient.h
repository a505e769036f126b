/* What the making of a gradient and the step around it share; see rg_trainer_gradient. Inner to the
 * trainer. */
#ifndef RG_ALGORITHMS_TRAINER_GRADIENT_H
#define RG_ALGORITHMS_TRAINER_GRADIENT_H

#include "algorithms/trainer.h"

/* FLOPs of tape, policy and reference since they were last taken. */
double rg_trainer_take_flops(RgTrainer *trainer);

#endif
