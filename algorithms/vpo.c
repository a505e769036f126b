/* SPDX-License-Identifier: MIT */
/* VPO: online DPO with an optimistic value: the reward is calibrated on responses of the reference,
 * and their likelihood is lowered.
 *
 *     L = E[ −log σ(β·Δ) ] + α·E[ h(y) ],   y ~ π_cal = π_ref      Cen et al. 2024,
 *                                                                  arXiv:2405.19320
 *
 * α is `exploration`: the paper's α times β, the same unit as in XPO. The paper's offline method is
 * pessimistic: it has the other sign. */
#include "algorithms/algorithm.h"

typedef struct VpoOptions {
    double beta;
    double mixture;
    double exploration;
    int64_t sampler_steps;
    RgSharedTerms shared;
} VpoOptions;

static const RgOption vpo_options[] = {
    RG_OPTION_REAL(VpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(VpoOptions, mixture, "1", 0, 1,
                   "share of a batch that is sampled; the rest is offline data"),
    RG_OPTION_REAL(VpoOptions, exploration, "1e-5", -1e3, 1e3,
                   "coefficient α of log π of the third response, in the same unit for xpo, selm "
                   "and vpo: the paper's α times β; 0: none; below 0: pessimism"),
    RG_SAMPLER_STEPS(VpoOptions, "1"),
    RG_OPTION_INCLUDE(VpoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static RgTensor *vpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const VpoOptions *o = options;
    RgTensor *loss = rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
    if (o->exploration == 0)
        return loss;
    RgTensor *bonus = rg_third_mean(t, batch, batch->third.log_ratio);
    return rg_add(t, loss, rg_scale(t, bonus, (RgReal)o->exploration));
}

static void vpo_recipe(const void *options, RgRecipe *recipe) {
    const VpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->third = RG_FROM_REFERENCE;
    recipe->on_policy = o->mixture;
    recipe->sampler_steps = o->sampler_steps;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_vpo = {
    .about = {.name = "vpo",
              .summary =
                  "Value-incentivised preference optimisation: an optimistic or pessimistic value",
              .reference = "Cen et al. 2024, arXiv:2405.19320",
              .options = vpo_options,
              .options_size = sizeof(VpoOptions)},
    .recipe = vpo_recipe,
    .loss = vpo_loss,
};
