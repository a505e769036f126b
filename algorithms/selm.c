/* SPDX-License-Identifier: MIT */
/* SELM: self-exploring language models. The most likely response of the policy at the start of the
 * round competes with the data set's two; the best and the worst are the pair. The likelihood of
 * that response is lowered, so that the policy explores elsewhere.
 *
 *     L = E[ −log σ(β·Δ) ] + α·E[ h(y') ],   y' greedy of π_ref      Zhang et al. 2024,
 *                                                                    arXiv:2405.19332
 *
 * α is `exploration`: the paper's α times β, the same unit as in XPO. (The paper's is 10⁻³ or 10⁻⁴
 * at β = 0.01.) */
#include "algorithms/algorithm.h"

typedef struct SelmOptions {
    double beta;
    double exploration;
    double calibration_temperature;
    int64_t reference_steps;
    RgSharedTerms shared;
} SelmOptions;

static const RgOption selm_options[] = {
    RG_OPTION_REAL(SelmOptions, beta, "0.01", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(SelmOptions, exploration, "1e-5", -1e3, 1e3,
                   "coefficient α of log π(y'), in the same unit for xpo, selm and vpo: the "
                   "paper's α times β; 0: none; below 0: pessimism"),
    RG_OPTION_REAL(SelmOptions, calibration_temperature, "0", 0, 100,
                   "temperature at which y' is sampled; 0: greedy"),
    RG_OPTION_INTEGER(SelmOptions, reference_steps, "0", 0, 1e9,
                      "steps of a round, after which the policy becomes the reference; 0: one "
                      "round"),
    RG_OPTION_INCLUDE(SelmOptions, shared, rg_sft_options),
    RG_OPTION_INCLUDE(SelmOptions, shared, rg_length_options),
    RG_OPTION_INCLUDE(SelmOptions, shared, rg_dpop_option),
    RG_OPTION_END,
};

static RgTensor *selm_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const SelmOptions *o = options;
    RgTensor *loss = rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
    if (o->exploration == 0)
        return loss;
    RgTensor *bonus = rg_third_mean(t, batch, batch->third.log_ratio);
    return rg_add(t, loss, rg_scale(t, bonus, (RgReal)o->exploration));
}

static void selm_recipe(const void *options, RgRecipe *recipe) {
    const SelmOptions *o = options;
    recipe->responses = RG_FROM_DATASET;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->third = RG_FROM_REFERENCE;
    recipe->third_competes = true;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->third_temperature = o->calibration_temperature;
    recipe->shared.reference_steps = o->reference_steps;
    recipe->rewards = true; /* for the best and the worst of three */
}

const RgAlgorithm rg_algorithm_selm = {
    .about = {.name = "selm",
              .summary = "Self-exploring language models: the most likely response competes, and "
                         "its probability is lowered",
              .reference = "Zhang et al. 2024, arXiv:2405.19332",
              .options = selm_options,
              .options_size = sizeof(SelmOptions)},
    .recipe = selm_recipe,
    .loss = selm_loss,
};
