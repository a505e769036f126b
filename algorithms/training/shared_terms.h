/* SPDX-License-Identifier: MIT */
/* The terms that losses share (RgSharedTerms), applied to a batch and to its loss. Internal to the
 * trainer. */
#ifndef RG_ALGORITHMS_TRAINING_SHARED_TERMS_H
#define RG_ALGORITHMS_TRAINING_SHARED_TERMS_H

#include "algorithms/algorithm.h"

/* Whether terms change the implicit rewards that a loss sees: length or DPOP. */
bool rg_shared_terms_shape(const RgRecipe *recipe);

/* Put them into the log-ratios of a batch of pairs: of `log_ratio` [prompts, 2] and of both sides.
 * Other members stay, and the third responses. To be called after what is logged of the batch, and
 * before its loss. Without such terms nothing is done. */
void rg_shared_terms_apply(RgTape *tape, const RgRecipe *recipe, RgBatch *batch);

/* The loss plus the SFT term. Without it, or where `step` asks for one term of the loss alone, the
 * loss itself. */
RgTensor *rg_shared_terms_add(RgStep *step, const RgRecipe *recipe, const RgBatch *batch,
                              RgTensor *loss);

/* Refuse terms that a loss would not see. Refuse a reference that moves part of the way to a policy
 * with an adapter: the mean of two adapters' factors is not the adapter of the mean weights.
 * RG_E_USAGE, with the option's name. */
RgStatus rg_shared_terms_check(const RgAlgorithm *algorithm, const RgRecipe *recipe, bool adapter,
                               RgError *error);

#endif
