/* SPDX-License-Identifier: MIT */
/* SimPO: the mean log-probability of a token is the reward, with a target margin and no reference.
 *
 *     L = −E[ log σ( β·(log π(y_w)/|y_w| − log π(y_l)/|y_l|) − γ ) ]      Meng et al. 2024,
 *                                                                     arXiv:2405.14734, eq. 6 */
#include "algorithms/algorithm.h"

typedef struct SimpoOptions {
    double beta;
    double target_margin;
    RgSharedTerms shared;
} SimpoOptions;

static const RgOption simpo_options[] = {
    RG_OPTION_REAL(SimpoOptions, beta, "2.5", 1e-6, 1e3, "scale β of the reward"),
    RG_OPTION_REAL(SimpoOptions, target_margin, "1.375", 0, 1e3, "target reward margin γ"),
    RG_OPTION_INCLUDE(SimpoOptions, shared, rg_sft_options),
    RG_OPTION_END,
};

static RgTensor *simpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const SimpoOptions *o = options;
    RgTensor *margin =
        rg_sub(t, rg_mean_logprob(t, &batch->chosen), rg_mean_logprob(t, &batch->rejected));
    RgTensor *beyond =
        rg_add_scalar(t, rg_scale(t, margin, (RgReal)o->beta), (RgReal)-o->target_margin);
    return rg_negate(t, rg_batch_mean(step, batch, rg_log_sigmoid(t, beyond)));
}

static void simpo_recipe(const void *options, RgRecipe *recipe) {
    const SimpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->reference_free = true;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_simpo = {
    .about = {.name = "simpo",
              .summary = "Simple preference optimisation: mean log-probabilities, no reference",
              .reference = "Meng et al. 2024, arXiv:2405.14734, eq. 6",
              .options = simpo_options,
              .options_size = sizeof(SimpoOptions)},
    .recipe = simpo_recipe,
    .loss = simpo_loss,
};
