/* SPDX-License-Identifier: MIT */
/* Robust DPO: an unbiased estimate of DPO's loss on clean labels, from labels that are flipped with
 * a known probability ε.
 *
 *     L = E[ (−(1 − ε)·log σ(β·Δ) + ε·log σ(−β·Δ)) / (1 − 2ε) ]      Chowdhury et al. 2024,
 *                                                                    arXiv:2403.00409
 *
 * Conservative DPO adds the second term; this subtracts it, and may be negative. */
#include "algorithms/algorithm.h"

typedef struct RdpoOptions {
    double beta;
    double label_noise;
    RgSharedTerms shared;
} RdpoOptions;

static const RgOption rdpo_options[] = {
    RG_OPTION_REAL(RdpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(RdpoOptions, label_noise, "0.1", 0, 0.49,
                   "probability ε that a label was flipped; 0 is DPO"),
    RG_OPTION_INCLUDE(RdpoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static RgTensor *rdpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const RdpoOptions *o = options;
    double clean = 1 / (1 - 2 * o->label_noise);
    RgTensor *right = rg_preference_fit(t, batch, o->beta);
    RgTensor *wrong = rg_preference_fit(t, batch, -o->beta);
    return rg_add(
        t, rg_scale(t, rg_batch_mean(step, batch, right), (RgReal)(clean * (o->label_noise - 1))),
        rg_scale(t, rg_batch_mean(step, batch, wrong), (RgReal)(clean * o->label_noise)));
}

static void rdpo_recipe(const void *options, RgRecipe *recipe) {
    const RdpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_rdpo = {
    .about = {.name = "rdpo",
              .summary = "Robust DPO: an unbiased loss when labels are flipped at a known rate",
              .reference = "Chowdhury et al. 2024, arXiv:2403.00409",
              .options = rdpo_options,
              .options_size = sizeof(RdpoOptions)},
    .recipe = rdpo_recipe,
    .loss = rdpo_loss,
};
