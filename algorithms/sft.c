/* SPDX-License-Identifier: MIT */
/* Supervised training on demonstrations: maximum likelihood of the responses.
 *
 *     L = −(1/tokens) Σ log π(y|x)
 *
 * It trains base policies; as a method to compare it is 'preferred fine-tuning'. */
#include "algorithms/algorithm.h"

static RgTensor *sft_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_scale(step->tape, batch->log_likelihood,
                    (RgReal)(-1.0 / (double)batch->response_tokens));
}

static void sft_recipe(const void *options, RgRecipe *recipe) {
    (void)options;
    recipe->responses = RG_FROM_DATASET;
}

const RgAlgorithm rg_algorithm_sft = {
    .about = {.name = "sft",
              .summary = "Supervised training on demonstrations (maximum likelihood)",
              .reference = "maximum likelihood per token"},
    .recipe = sft_recipe,
    .loss = sft_loss,
};
