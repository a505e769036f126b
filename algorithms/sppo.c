/* SPDX-License-Identifier: MIT */
/* SPPO: self-play towards the equilibrium of preferences. The log-ratio of a response to the
 * previous iteration's policy is fitted to the response's win rate against that policy.
 *
 *     L = E[ 1/k Σ_i ( log π(y_i)/π_t(y_i) − η·(P(y_i ≻ π_t) − 1/2) )² ],   y_i ~ π_t
 *                                           Wu et al. 2024, arXiv:2405.00675, Algorithm 1
 *
 * π_t is the reference here: the policy replaces it every `reference_steps`. 1/2 approximates the
 * logarithm of the normalising constant over η, and is exact if the win rates of π_t are near 1/2.
 * P is the judge's probability, averaged over the other responses of the group.
 *
 * The equation and the 1/2 are from memory. The loss of the authors' code, with η of 1000 and the
 * responses of best and worst win rate out of five, was verified only in copies of it. Here all
 * responses of a group are fitted, and a response is not compared to itself, which would pull its
 * win rate to 1/2. The default of η is the 1/β of the other methods here; 1000 is never reached.
 * The paper samples from π_t, as with `sampler_steps` equal to `reference_steps`; with 1 the
 * responses are sampled from each step's policy. */
#include "algorithms/algorithm.h"

typedef struct SppoOptions {
    double eta;
    int64_t group_size, reference_steps, sampler_steps;
} SppoOptions;

static const RgOption sppo_options[] = {
    RG_OPTION_REAL(SppoOptions, eta, "10", 1e-6, 1e6, "η, step size towards higher win rates"),
    RG_OPTION_INTEGER(SppoOptions, group_size, "5", 2, 1024, "k, responses to each prompt"),
    RG_OPTION_INTEGER(
        SppoOptions, reference_steps, "100", 0, 1e9,
        "steps of an iteration, after which the policy becomes π_t; 0: one iteration"),
    RG_SAMPLER_STEPS(SppoOptions, "100"),
    RG_OPTION_END,
};

static RgTensor *sppo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const SppoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *won = rg_add_scalar(t, batch->win_rate, (RgReal)-0.5);
    RgTensor *target = rg_scale(t, won, (RgReal)o->eta);
    return rg_batch_mean(step, batch, rg_square(t, rg_sub(t, batch->log_ratio, target)));
}

static void sppo_recipe(const void *options, RgRecipe *recipe) {
    const SppoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = 1 / o->eta;
    recipe->group = o->group_size;
    recipe->rewards = true;
    recipe->shared.reference_steps = o->reference_steps;
    recipe->sampler_steps = o->sampler_steps;
}

const RgAlgorithm rg_algorithm_sppo = {
    .about = {.name = "sppo",
              .summary = "Self-play: fits log-ratios to the previous iteration's policy to win "
                         "rates against it",
              .reference = "Wu et al. 2024, arXiv:2405.00675, Algorithm 1",
              .options = sppo_options,
              .options_size = sizeof(SppoOptions)},
    .recipe = sppo_recipe,
    .loss = sppo_loss,
};
