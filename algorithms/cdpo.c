/* SPDX-License-Identifier: MIT */
/* Conservative DPO: each label is wrong with a known probability ε, so the margin has a finite
 * target.
 *
 *     L = E[ −(1 − ε)·log σ(β·Δ) − ε·log σ(−β·Δ) ]      Mitchell 2023, "A note on DPO with noisy
 *                                                       preferences"
 *
 * Some trainers have an option of this name that their default loss ignores. This is the loss. */
#include "algorithms/algorithm.h"

typedef struct CdpoOptions {
    double beta;
    double label_smoothing;
    RgSharedTerms shared;
} CdpoOptions;

static const RgOption cdpo_options[] = {
    RG_OPTION_REAL(CdpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(CdpoOptions, label_smoothing, "0.1", 0, 0.5,
                   "probability ε that a label is wrong; 0 is DPO"),
    RG_OPTION_INCLUDE(CdpoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static RgTensor *cdpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const CdpoOptions *o = options;
    RgTensor *right = rg_preference_fit(t, batch, o->beta);
    RgTensor *wrong = rg_preference_fit(t, batch, -o->beta);
    return rg_sub(t,
                  rg_scale(t, rg_batch_mean(step, batch, right), (RgReal)(o->label_smoothing - 1)),
                  rg_scale(t, rg_batch_mean(step, batch, wrong), (RgReal)o->label_smoothing));
}

static void cdpo_recipe(const void *options, RgRecipe *recipe) {
    const CdpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_cdpo = {
    .about = {.name = "cdpo",
              .summary = "Conservative DPO: label smoothing",
              .reference =
                  "Mitchell 2023, A note on DPO with noisy preferences and relationship to IPO",
              .options = cdpo_options,
              .options_size = sizeof(CdpoOptions)},
    .recipe = cdpo_recipe,
    .loss = cdpo_loss,
};
