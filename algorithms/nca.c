/* SPDX-License-Identifier: MIT */
/* NCA: noise contrastive alignment, of pairs. The policy's responses are told from those of the
 * reference, which bounds the likelihood of each response and not only their difference.
 *
 *     L = −E[ log σ(r_w) + ½·log σ(−r_w) + ½·log σ(−r_l) ],   r = β·h      Chen et al. 2024,
 *                                                                      arXiv:2402.05369
 *
 * It is the paper's loss for explicit rewards in the limit of a temperature of 0, where the
 * preferred response has all of the softmax's weight. */
#include "algorithms/algorithm.h"

typedef struct NcaOptions {
    double beta;
    RgSharedTerms shared;
} NcaOptions;

static const RgOption nca_options[] = {
    RG_OPTION_REAL(NcaOptions, beta, "0.01", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_INCLUDE(NcaOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

/* log σ(s·r) of one side, [pairs]. */
static RgTensor *fit(RgTape *t, const RgSide *side, double scale) {
    return rg_log_sigmoid(t, rg_scale(t, side->log_ratio, (RgReal)scale));
}

static RgTensor *nca_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const NcaOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *data = fit(t, &batch->chosen, o->beta);
    RgTensor *noise =
        rg_add(t, fit(t, &batch->chosen, -o->beta), fit(t, &batch->rejected, -o->beta));
    RgTensor *both = rg_add(t, data, rg_scale(t, noise, (RgReal)0.5));
    return rg_negate(t, rg_batch_mean(step, batch, both));
}

static void nca_recipe(const void *options, RgRecipe *recipe) {
    const NcaOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_nca = {
    .about = {.name = "nca",
              .summary = "Noise contrastive alignment of pairs, which bounds each likelihood",
              .reference = "Chen et al. 2024, arXiv:2402.05369",
              .options = nca_options,
              .options_size = sizeof(NcaOptions)},
    .recipe = nca_recipe,
    .loss = nca_loss,
};
