/* SPDX-License-Identifier: MIT */
/* REBEL: policy gradient as regression. The policy's change in the log-odds of two responses is
 * fitted to the difference of their rewards.
 *
 *     L = E[ ( log π(y)/π_t(y) − log π(y')/π_t(y') − η·(R(y) − R(y')) )² ],   y, y' ~ π_t
 *     R = r − β·log π_t/π_ref                       Gao et al. 2024, arXiv:2404.16767, Algorithm 1
 *
 * π_t is the policy at the start of the step; `epochs` optimiser steps move towards the
 * regression's solution, π_t·exp(η·R)/Z. The paper divides the log-ratios by η instead of
 * multiplying the rewards, which is this loss over η². This form, the reward minus the divergence,
 * and the defaults of η and β are those of the authors' code for summaries (their `kl_coef`;
 * verified against it). That code uses mini-batches in each epoch and anneals the learning rate;
 * here an epoch is one step on the whole batch.
 *
 * Limit: in the first epoch the gradient is 4η times that of RLOO with two responses. With η > 0
 * and β > 0 the fixed point is the optimum of the penalised reward, π_ref·exp(r/β)/Z. */
#include "algorithms/algorithm.h"

typedef struct RebelOptions {
    double eta, beta;
    int64_t epochs, sampler_steps;
} RebelOptions;

static const RgOption rebel_options[] = {
    RG_OPTION_REAL(RebelOptions, eta, "1", 1e-6, 1e6, "η, step size towards higher rewards"),
    RG_OPTION_REAL(RebelOptions, beta, "0.05", 0, 1e3,
                   "strength β of the KL term that is subtracted from the rewards"),
    RG_OPTION_INTEGER(RebelOptions, epochs, "4", 1, 1000,
                      "optimiser steps on the pairs of one training step"),
    RG_SAMPLER_STEPS(RebelOptions, "1"),
    RG_OPTION_END,
};

/* x(y) − x(y'), [prompts]. */
static RgTensor *difference(RgTape *t, RgTensor *x) {
    return rg_sub(t, rg_response_at(t, x, 0), rg_response_at(t, x, 1));
}

static RgTensor *rebel_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const RebelOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *penalty = rg_scale(t, rg_sub(t, batch->old, batch->reference), (RgReal)o->beta);
    RgTensor *gain = rg_sub(t, batch->reward, penalty);
    RgTensor *change = rg_sub(t, batch->logprob, batch->old);
    RgTensor *target = rg_scale(t, difference(t, gain), (RgReal)o->eta);
    return rg_batch_mean(step, batch, rg_square(t, rg_sub(t, difference(t, change), target)));
}

static void rebel_recipe(const void *options, RgRecipe *recipe) {
    const RebelOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->group = 2;
    recipe->rewards = true;
    recipe->epochs = o->epochs;
    recipe->sampler_steps = o->sampler_steps;
}

const RgAlgorithm rg_algorithm_rebel = {
    .about = {.name = "rebel",
              .summary = "Regression of the change in log-odds on the difference of rewards",
              .reference = "Gao et al. 2024, arXiv:2404.16767, Algorithm 1",
              .options = rebel_options,
              .options_size = sizeof(RebelOptions)},
    .recipe = rebel_recipe,
    .loss = rebel_loss,
};
