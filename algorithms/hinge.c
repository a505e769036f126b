/* SPDX-License-Identifier: MIT */
/* The hinge loss on DPO's margin: pairs that are apart by 1/β are left alone.
 *
 *     L = E[ max(0, 1 − β·Δ) ]      after SLiC-HF, Zhao et al. 2023, arXiv:2305.10425, with the
 *                                   log-ratios of DPO for log-probabilities, as trainers have it
 *
 * This file is doc/adding-an-algorithm.md's example of a method in the tree. */
#include "algorithms/algorithm.h"

typedef struct HingeOptions {
    double beta;
    RgSharedTerms shared;
} HingeOptions;

static const RgOption hinge_options[] = {
    RG_OPTION_REAL(HingeOptions, beta, "0.1", 1e-6, 1e3,
                   "strength β of the KL term; the loss is 0 from a margin of 1/β"),
    RG_OPTION_INCLUDE(HingeOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static RgTensor *hinge_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const HingeOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *margin = rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)-o->beta);
    return rg_batch_mean(step, batch, rg_positive_part(t, rg_add_scalar(t, margin, 1)));
}

static void hinge_recipe(const void *options, RgRecipe *recipe) {
    const HingeOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_hinge = {
    .about = {.name = "hinge",
              .summary = "Hinge loss on the margin of log-ratios (SLiC)",
              .reference = "after Zhao et al. 2023, arXiv:2305.10425",
              .options = hinge_options,
              .options_size = sizeof(HingeOptions)},
    .recipe = hinge_recipe,
    .loss = hinge_loss,
};
