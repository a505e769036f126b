/* SPDX-License-Identifier: MIT */
/* WPO: DPO whose pairs are weighted by how likely the policy itself is to write them, so that
 * offline pairs count as on-policy ones would.
 *
 *     L = −E[ sg[w(y_w)·w(y_l)]·log σ(β·Δ) ],   w(y) = π(y)^(1/|y|)      Zhou et al. 2024,
 *                                                                    arXiv:2406.11827
 *
 * The weights have no gradient, and are the geometric means of the tokens' probabilities. The paper
 * also divides each token's probability by what a token of the policy's own would have on average
 * (its "sampled alignment"); that needs the whole distribution at each token and is not offered. */
#include "algorithms/algorithm.h"

typedef struct WpoOptions {
    double beta;
    RgSharedTerms shared;
} WpoOptions;

static const RgOption wpo_options[] = {
    RG_OPTION_REAL(WpoOptions, beta, "0.01", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_INCLUDE(WpoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static RgTensor *wpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const WpoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *likelihood =
        rg_add(t, rg_mean_logprob(t, &batch->chosen), rg_mean_logprob(t, &batch->rejected));
    RgTensor *weight = rg_exp(t, rg_stop_gradient(t, likelihood));
    rg_step_metric(step, "weight", (double)rg_batch_mean(step, batch, weight)->data[0]);
    RgTensor *fit = rg_mul(t, weight, rg_preference_fit(t, batch, o->beta));
    return rg_negate(t, rg_batch_mean(step, batch, fit));
}

static void wpo_recipe(const void *options, RgRecipe *recipe) {
    const WpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_wpo = {
    .about = {.name = "wpo",
              .summary = "DPO weighted by the policy's own probabilities of both responses",
              .reference = "Zhou et al. 2024, arXiv:2406.11827",
              .options = wpo_options,
              .options_size = sizeof(WpoOptions)},
    .recipe = wpo_recipe,
    .loss = wpo_loss,
};
