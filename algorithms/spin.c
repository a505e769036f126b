/* SPDX-License-Identifier: MIT */
/* SPIN: self-play. Demonstrations are preferred to responses of the previous iteration's policy,
 * which is also the reference; then the current policy replaces it.
 *
 *     L = −E[ log σ(λ·Δ) ],   y_w a demonstration, y_l ~ π_ref = π of the last iteration
 *                                                    Chen et al. 2024, arXiv:2401.01335, eq. 4.7
 *
 * λ is `beta` here. No judge is needed. */
#include "algorithms/algorithm.h"

typedef struct SpinOptions {
    double beta;
    int64_t reference_steps;
    RgSharedTerms shared;
} SpinOptions;

static const RgOption spin_options[] = {
    RG_OPTION_REAL(SpinOptions, beta, "0.1", 1e-6, 1e3,
                   "strength β of the KL term (the paper's λ)"),
    RG_OPTION_INTEGER(SpinOptions, reference_steps, "100", 0, 1e9,
                      "steps of an iteration, after which the policy becomes opponent and "
                      "reference; 0: one iteration"),
    RG_OPTION_INCLUDE(SpinOptions, shared, rg_sft_options),
    RG_OPTION_INCLUDE(SpinOptions, shared, rg_length_options),
    RG_OPTION_INCLUDE(SpinOptions, shared, rg_dpop_option),
    RG_OPTION_END,
};

static RgTensor *spin_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const SpinOptions *o = options;
    RgTape *t = step->tape;
    return rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
}

static void spin_recipe(const void *options, RgRecipe *recipe) {
    const SpinOptions *o = options;
    recipe->responses = RG_FROM_DATASET;
    recipe->opponents = RG_FROM_REFERENCE;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->shared.reference_steps = o->reference_steps;
}

const RgAlgorithm rg_algorithm_spin = {
    .about = {.name = "spin",
              .summary =
                  "Self-play: demonstrations against responses of the previous iteration's policy",
              .reference = "Chen et al. 2024, arXiv:2401.01335, eq. 4.7",
              .options = spin_options,
              .options_size = sizeof(SpinOptions)},
    .recipe = spin_recipe,
    .loss = spin_loss,
};
