/* SPDX-License-Identifier: MIT */
/* INPO: no-regret steps towards the Nash equilibrium of the preference game, as a squared loss on
 * labelled pairs of the policy.
 *
 *     L = E[ ( log π(y_w)/π(y_l) − τ/η·log π_ref(y_w)/π_ref(y_l) − (1 − τ/η)·log π_t(y_w)/π_t(y_l)
 *              − 1/(2η) )² ],   y_w, y_l ~ π_t     Zhang et al. 2024, arXiv:2407.00617, eq. 11
 *
 * π_t is the policy at the start of the step; `epochs` optimiser steps move towards the solution
 * π_t^(1−τ/η)·π_ref^(τ/η)·exp(P(y ≻ π_t)/η)/Z, which is a step of mirror descent with the
 * regulariser τ. Its fixed point is the equilibrium of the game with KL strength τ.
 *
 * The loss is from memory and not verified against the paper. τ/η of 1/3 is that of COMAL's code
 * (arXiv:2410.23223), whose η is 0.002; the default here is the β of the other methods. */
#include "algorithms/algorithm.h"

typedef struct InpoOptions {
    double eta, tau;
    int64_t epochs, sampler_steps;
} InpoOptions;

static const RgOption inpo_options[] = {
    RG_OPTION_REAL(InpoOptions, eta, "0.3", 1e-6, 1e3,
                   "η, strength of the KL term towards the policy at the start of a step and "
                   "towards the reference together: larger values take smaller steps"),
    RG_OPTION_REAL(InpoOptions, tau, "0.1", 0, 1e3,
                   "τ, strength of the KL term towards the reference, which is that of the "
                   "equilibrium; at most η"),
    RG_OPTION_INTEGER(InpoOptions, epochs, "1", 1, 1000,
                      "optimiser steps on the pairs of one training step"),
    RG_SAMPLER_STEPS(InpoOptions, "1"),
    RG_OPTION_END,
};

static RgTensor *inpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const InpoOptions *o = options;
    RgTape *t = step->tape;
    double share = o->tau < o->eta ? o->tau / o->eta : 1;
    /* log π − share·log π_ref − (1 − share)·log π_t, for each response */
    RgTensor *from = rg_add(t, rg_scale(t, batch->reference, (RgReal)share),
                            rg_scale(t, batch->old, (RgReal)(1 - share)));
    RgTensor *change = rg_sub(t, batch->logprob, from);
    RgTensor *margin = rg_sub(t, rg_response_at(t, change, 0), rg_response_at(t, change, 1));
    RgTensor *sign = rg_add_scalar(t, rg_scale(t, rg_first_preferred(t, batch), 2), -1);
    RgTensor *gap = rg_sub(t, margin, rg_scale(t, sign, (RgReal)(1 / (2 * o->eta))));
    return rg_batch_mean(step, batch, rg_square(t, gap));
}

static void inpo_recipe(const void *options, RgRecipe *recipe) {
    const InpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->tau > 0 ? o->tau : o->eta;
    recipe->epochs = o->epochs;
    recipe->sampler_steps = o->sampler_steps;
}

const RgAlgorithm rg_algorithm_inpo = {
    .about = {.name = "inpo",
              .summary = "Iterative Nash policy optimisation: no-regret steps on labelled pairs",
              .reference = "Zhang et al. 2024, arXiv:2407.00617",
              .options = inpo_options,
              .options_size = sizeof(InpoOptions)},
    .recipe = inpo_recipe,
    .loss = inpo_loss,
};
