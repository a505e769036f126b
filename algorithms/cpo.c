/* SPDX-License-Identifier: MIT */
/* CPO: contrastive preference optimisation. DPO with a uniform reference, and a likelihood term that
 * keeps the policy at the preferred responses.
 *
 *     L = −E[ log σ( β·(log π(y_w) − log π(y_l)) − γ ) ] − c·E[ log π(y_w)/|y_w| ]
 *                                                          Xu et al. 2024, arXiv:2401.08417
 *
 * The second term is the shared SFT term, whose c is 1 here. The equation has the sum over tokens,
 * the authors' code the mean: sft_logprob. With length_normalisation and a target margin γ the first
 * term is SimPO's loss, and with c = 0 the method is SimPO (as in "CPO-SimPO"). The paper's γ is 0. */
#include "algorithms/algorithm.h"

typedef struct CpoOptions {
    double beta, target_margin;
    double sft_coefficient;
    RgSharedTerms shared;
} CpoOptions;

static const RgOption cpo_options[] = {
    RG_OPTION_REAL(CpoOptions, beta, "0.1", 1e-6, 1e3, "scale β of log-probabilities"),
    RG_OPTION_REAL(CpoOptions, target_margin, "0", 0, 1e3, "target margin γ, SimPO's"),
    RG_OPTION_REAL(CpoOptions, sft_coefficient, "1", 0, 1e6,
                   "weight c of the likelihood of the preferred response; 0: none"),
    RG_OPTION_INCLUDE(CpoOptions, shared, rg_sft_logprob_option),
    RG_OPTION_INCLUDE(CpoOptions, shared, rg_length_options),
    RG_OPTION_END,
};

static RgTensor *cpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const CpoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *reward = rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)o->beta);
    RgTensor *beyond = rg_add_scalar(t, reward, (RgReal)-o->target_margin);
    return rg_negate(t, rg_batch_mean(step, batch, rg_log_sigmoid(t, beyond)));
}

static void cpo_recipe(const void *options, RgRecipe *recipe) {
    const CpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->reference_free = true;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->shared.sft_coefficient = o->sft_coefficient;
}

const RgAlgorithm rg_algorithm_cpo = {
    .about = {.name = "cpo",
              .summary = "Contrastive preference optimisation: DPO without a reference, and a "
                         "likelihood term",
              .reference = "Xu et al. 2024, arXiv:2401.08417",
              .options = cpo_options,
              .options_size = sizeof(CpoOptions)},
    .recipe = cpo_recipe,
    .loss = cpo_loss,
};
