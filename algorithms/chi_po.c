/* SPDX-License-Identifier: MIT */
/* χPO: DPO with the link of the χ²-divergence plus the KL divergence. It penalises responses that
 * the data do not cover, which the logarithm alone does not.
 *
 *     L = −E[ log σ( clip_{2R}( β·φ(π(y_w)/π_ref(y_w)) − β·φ(π(y_l)/π_ref(y_l)) ) ) ]
 *     φ(z) = z + log z                        Huang et al. 2024, arXiv:2407.13399, Algorithm 1
 *
 * clip_{2R} clips the margin to ±2R, where R (`reward_limit`) bounds the judge's rewards divided by
 * the temperature of its labels. Beyond it a pair has no gradient.
 *
 * This is from memory and not verified against the paper or its code. z = exp h is of a whole
 * response and would overflow: h above 20 counts as 20 in z (as in the authors' experiments, from
 * memory), where β·e^20 is far beyond any 2R; log z is not clipped. For small h, e^h goes to 0.
 *
 * Optimum: β·φ(π/π_ref) is the reward up to a constant per prompt, π = π_ref·W(e^((r−λ)/β)). */
#include "algorithms/algorithm.h"

#include <math.h>

typedef struct ChiPoOptions {
    double beta;
    double reward_limit;
    RgSharedTerms shared;
} ChiPoOptions;

static const RgOption chi_po_options[] = {
    RG_OPTION_REAL(ChiPoOptions, beta, "0.1", 1e-6, 1e3, "strength β of both divergences"),
    RG_OPTION_REAL(ChiPoOptions, reward_limit, "10", 1e-6, 1e6,
                   "R, bound of rewards: margins are clipped to ±2R"),
    RG_OPTION_INCLUDE(ChiPoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

enum { MOST_LOG_RATIO = 20 };

/* φ(exp h) = exp h + h, [pairs]. */
static RgTensor *link_of(RgTape *t, RgTensor *h) {
    return rg_add(t, rg_exp(t, rg_clip(t, h, -INFINITY, MOST_LOG_RATIO)), h);
}

static RgTensor *chi_po_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const ChiPoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *margin =
        rg_sub(t, link_of(t, batch->chosen.log_ratio), link_of(t, batch->rejected.log_ratio));
    double most = 2 * o->reward_limit;
    RgTensor *held = rg_clip(t, rg_scale(t, margin, (RgReal)o->beta), -most, most);
    double count = 0;
    for (int64_t i = 0; i < held->count; i++)
        count += fabs((double)held->data[i]) >= (double)(RgReal)most;
    rg_step_metric(step, "clip_fraction", count / (double)held->count);
    return rg_negate(t, rg_batch_mean(step, batch, rg_log_sigmoid(t, held)));
}

static void chi_po_recipe(const void *options, RgRecipe *recipe) {
    const ChiPoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_chi_po = {
    .about = {.name = "chi-po",
              .summary = "DPO with the link function of the χ²-divergence, which penalises "
                         "responses that the data do not cover",
              .reference = "Huang et al. 2024, arXiv:2407.13399, Algorithm 1",
              .options = chi_po_options,
              .options_size = sizeof(ChiPoOptions)},
    .recipe = chi_po_recipe,
    .loss = chi_po_loss,
};
