/* SPDX-License-Identifier: MIT */
/* HyPO: DPO on offline pairs, plus the divergence from the reference on responses that the policy
 * samples. These need no labels.
 *
 *     L = −E[ log σ(β·Δ) ] + λ·E[ sg[h(y)]·log π(y) ],   y ~ π     Song et al. 2024,
 *                                                                  arXiv:2406.01462, Algorithm 1
 *
 * The gradient of the second term is that of λ·KL(π ‖ π_ref), since E[∇log π] is 0. DPO alone
 * bounds the divergence only on the data set's responses; the second term bounds it where these
 * cover little.
 *
 * The algorithm is from memory; the paper and its code were not available to verify it. It has no
 * baseline, and the default of λ is this program's. One response is sampled to the prompt of each
 * pair.
 *
 * Limit: λ = 0 is DPO, to the bit, and samples nothing. */
#include "algorithms/algorithm.h"

typedef struct HybridOptions {
    double beta;
    double kl_coefficient;
    RgSharedTerms shared;
} HybridOptions;

static const RgOption hybrid_options[] = {
    RG_OPTION_REAL(HybridOptions, beta, "0.1", 1e-6, 1e3, "strength β of DPO's KL term"),
    RG_OPTION_REAL(HybridOptions, kl_coefficient, "0.01", 0, 1e3,
                   "λ, weight of the divergence on the policy's own responses; 0 is DPO"),
    RG_OPTION_INCLUDE(HybridOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static RgTensor *hybrid_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const HybridOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *loss = rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
    if (o->kl_coefficient == 0)
        return loss;
    RgTensor *h = rg_stop_gradient(t, batch->third.log_ratio);
    rg_step_metric(step, "kl", (double)rg_third_mean(t, batch, h)->data[0]);
    RgTensor *score = rg_third_mean(t, batch, rg_mul(t, h, batch->third.logprob));
    return rg_add(t, loss, rg_scale(t, score, (RgReal)o->kl_coefficient));
}

static void hybrid_recipe(const void *options, RgRecipe *recipe) {
    const HybridOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    if (o->kl_coefficient > 0)
        recipe->third = RG_FROM_POLICY;
}

const RgAlgorithm rg_algorithm_hybrid = {
    .about = {.name = "hybrid",
              .summary =
                  "HyPO: offline DPO with a divergence penalty on the policy's own responses",
              .reference = "Song et al. 2024, arXiv:2406.01462, Algorithm 1",
              .options = hybrid_options,
              .options_size = sizeof(HybridOptions)},
    .recipe = hybrid_recipe,
    .loss = hybrid_loss,
};
