/* SPDX-License-Identifier: MIT */
/* APO: anchored preference optimisation. Each response has an anchor of its own, so that a pair says
 * in which direction its likelihoods should go, where DPO only wants them apart.
 *
 *     zero:  L = E[ −σ(β·h(y_w)) + σ(β·h(y_l)) ]
 *     down:  L = E[ σ(β·h(y_w)) − σ(β·Δ) ]      D'Oosterlinck et al. 2024, arXiv:2408.06266
 *
 * APO-zero raises the preferred response and lowers the other; it is for preferred responses that
 * are better than the policy's own. APO-down lowers both, the rejected one by more; it is for
 * responses that are worse. Both losses are bounded, by −1 and 1. */
#include "algorithms/algorithm.h"

enum { FORM_ZERO, FORM_DOWN };
static const char *const forms[] = {"zero", "down", NULL};

typedef struct ApoOptions {
    double beta;
    int form;
    RgSharedTerms shared;
} ApoOptions;

static const RgOption apo_options[] = {
    RG_OPTION_REAL(ApoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_CHOICE(ApoOptions, form, "zero", forms,
                     "zero raises the preferred response and lowers the other; down lowers both, "
                     "the rejected one by more"),
    RG_OPTION_INCLUDE(ApoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static RgTensor *apo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const ApoOptions *o = options;
    RgTape *t = step->tape;
    RgReal beta = (RgReal)o->beta;
    RgTensor *chosen = rg_sigmoid(t, rg_scale(t, batch->chosen.log_ratio, beta));
    if (o->form == FORM_DOWN) {
        RgTensor *apart = rg_sigmoid(t, rg_scale(t, rg_log_ratio_margin(t, batch), beta));
        return rg_batch_mean(step, batch, rg_sub(t, chosen, apart));
    }
    RgTensor *rejected = rg_sigmoid(t, rg_scale(t, batch->rejected.log_ratio, beta));
    return rg_batch_mean(step, batch, rg_sub(t, rejected, chosen));
}

static void apo_recipe(const void *options, RgRecipe *recipe) {
    const ApoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_apo = {
    .about = {.name = "apo",
              .summary = "Anchored preference optimisation: each response of a pair is moved in a "
                         "direction of its own",
              .reference = "D'Oosterlinck et al. 2024, arXiv:2408.06266",
              .options = apo_options,
              .options_size = sizeof(ApoOptions)},
    .recipe = apo_recipe,
    .loss = apo_loss,
};
