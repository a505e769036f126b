/* SPDX-License-Identifier: MIT */
/* EXO from preferences: the reverse KL divergence from the policy's own label to the smoothed one,
 * where cDPO takes the forward one.
 *
 *     L = E[ p·(log p − log(1 − ε)) + (1 − p)·(log(1 − p) − log ε) ],   p = σ(β·Δ)
 *                                                   Ji et al. 2024, arXiv:2402.00856, eq. 16
 *
 * It is 0 where p = 1 − ε, and both losses have their minimum there. ε keeps the divergence finite. */
#include "algorithms/algorithm.h"

#include <math.h>

typedef struct ExoOptions {
    double beta;
    double label_smoothing;
    RgSharedTerms shared;
} ExoOptions;

static const RgOption exo_options[] = {
    RG_OPTION_REAL(ExoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(ExoOptions, label_smoothing, "0.001", 1e-9, 0.5,
                   "probability ε of the label that the data do not have"),
    RG_OPTION_INCLUDE(ExoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

/* p·(log p − log q) with p = σ(x), [pairs]. */
static RgTensor *divergence(RgTape *t, RgTensor *x, double q) {
    RgTensor *gap = rg_add_scalar(t, rg_log_sigmoid(t, x), (RgReal)-log(q));
    return rg_mul(t, rg_sigmoid(t, x), gap);
}

static RgTensor *exo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const ExoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *reward = rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)o->beta);
    RgTensor *right = divergence(t, reward, 1 - o->label_smoothing);
    RgTensor *wrong = divergence(t, rg_negate(t, reward), o->label_smoothing);
    return rg_batch_mean(step, batch, rg_add(t, right, wrong));
}

static void exo_recipe(const void *options, RgRecipe *recipe) {
    const ExoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_exo = {
    .about = {.name = "exo",
              .summary =
                  "Efficient exact optimisation: the reverse KL divergence to smoothed labels",
              .reference = "Ji et al. 2024, arXiv:2402.00856, eq. 16",
              .options = exo_options,
              .options_size = sizeof(ExoOptions)},
    .recipe = exo_recipe,
    .loss = exo_loss,
};
