/* SPDX-License-Identifier: MIT */
/* IPO: a squared loss with a finite target of the margin; DPO's margin keeps growing on labels
 * without noise.
 *
 *     L = E[ (Δ − 1/(2β))² ]      Azar et al. 2023, arXiv:2310.12036, eq. 17 (their τ is β here)
 *
 * Δ is of log-probabilities summed over the response's tokens, as in the equation. Some trainers
 * divide by the length first (`logprob = "mean"`); the same β has another meaning then. */
#include "algorithms/algorithm.h"

static const char *const logprobs[] = {"sum", "mean", NULL};

typedef struct IpoOptions {
    double beta;
    int logprob;
    RgSharedTerms shared;
} IpoOptions;

static const RgOption ipo_options[] = {
    RG_OPTION_REAL(IpoOptions, beta, "0.1", 1e-6, 1e3,
                   "strength β of the regularisation; the target margin is 1/(2β)"),
    RG_OPTION_CHOICE(
        IpoOptions, logprob, "sum", logprobs,
        "log-probability of a response: the sum over its tokens, as in the paper, or their mean"),
    RG_OPTION_INCLUDE(IpoOptions, shared, rg_sft_options),
    RG_OPTION_INCLUDE(IpoOptions, shared, rg_length_coefficient_option),
    RG_OPTION_INCLUDE(IpoOptions, shared, rg_dpop_option),
    RG_OPTION_INCLUDE(IpoOptions, shared, rg_moving_reference_options),
    RG_OPTION_END,
};

static RgTensor *ipo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const IpoOptions *o = options;
    double target = 1 / (2 * o->beta);
    RgTensor *gap = rg_add_scalar(t, rg_log_ratio_margin(t, batch), (RgReal)-target);
    return rg_batch_mean(step, batch, rg_square(t, gap));
}

static void ipo_recipe(const void *options, RgRecipe *recipe) {
    const IpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->shared.length_normalisation = o->logprob == 1;
}

const RgAlgorithm rg_algorithm_ipo = {
    .about = {.name = "ipo",
              .summary = "Identity preference optimisation: a squared loss with a finite target",
              .reference = "Azar et al. 2023, arXiv:2310.12036, eq. 17",
              .options = ipo_options,
              .options_size = sizeof(IpoOptions)},
    .recipe = ipo_recipe,
    .loss = ipo_loss,
};
