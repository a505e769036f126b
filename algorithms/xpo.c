/* SPDX-License-Identifier: MIT */
/* XPO: online DPO between a response of the policy and one of the reference. It is optimistic: the
 * likelihood of the reference's response is lowered.
 *
 *     L = E[ −log σ(β·Δ) + α·log π(ỹ) ],   ỹ ~ π_ref      Xie et al. 2024, arXiv:2405.21046,
 *                                                         Algorithm 1
 *
 * α is `exploration`, in the same unit as in SELM and VPO here: their papers' α times β. log π is
 * summed over tokens, so the term grows with the response's length, without bound. */
#include "algorithms/algorithm.h"

typedef struct XpoOptions {
    double beta;
    double mixture;
    double exploration;
    int64_t sampler_steps;
    RgSharedTerms shared;
} XpoOptions;

static const RgOption xpo_options[] = {
    RG_OPTION_REAL(XpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(XpoOptions, mixture, "1", 0, 1,
                   "share of a batch that is sampled; the rest is offline data"),
    RG_OPTION_REAL(XpoOptions, exploration, "1e-5", -1e3, 1e3,
                   "coefficient α of log π(ỹ), in the same unit for xpo, selm and vpo; 0: none; "
                   "below 0: pessimism"),
    RG_SAMPLER_STEPS(XpoOptions, "1"),
    RG_OPTION_INCLUDE(XpoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

/* log π of the reference's response, [pairs]; 0 for offline pairs. */
static RgTensor *opponent_logprob(RgTape *t, const RgBatch *batch) {
    return rg_mul(t, batch->on_policy, rg_response_at(t, batch->logprob, 1));
}

static RgTensor *xpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const XpoOptions *o = options;
    RgTensor *loss = rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
    if (o->exploration == 0)
        return loss;
    RgTensor *bonus = rg_batch_mean(step, batch, opponent_logprob(t, batch));
    return rg_add(t, loss, rg_scale(t, bonus, (RgReal)o->exploration));
}

static void xpo_recipe(const void *options, RgRecipe *recipe) {
    const XpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->opponents = RG_FROM_REFERENCE;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->on_policy = o->mixture;
    recipe->sampler_steps = o->sampler_steps;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_xpo = {
    .about =
        {.name = "xpo",
         .summary =
             "Exploratory preference optimisation: optimism relative to the reference's responses",
         .reference = "Xie et al. 2024, arXiv:2405.21046, Algorithm 1",
         .options = xpo_options,
         .options_size = sizeof(XpoOptions)},
    .recipe = xpo_recipe,
    .loss = xpo_loss,
};
