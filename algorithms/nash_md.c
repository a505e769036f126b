/* SPDX-License-Identifier: MIT */
/* Nash-MD: the Nash equilibrium of the preference game, by policy gradient against the geometric
 * mixture of policy and reference.
 *
 *     ∇ = E[ ∇log π(y)·(z − 1/2 − β·h(y)) ],   y ~ π,   y' ~ π^(1−c)·π_ref^c
 *     z = 1 if y is preferred to y', else 0         Munos et al. 2023, arXiv:2312.00886
 *
 * c is the reference's share. z is the sampled label, whose mean is the probability in the paper;
 * β·h is of the whole response, not of single tokens. */
#include "algorithms/algorithm.h"

typedef struct NashOptions {
    double beta;
    double reference_share;
    int64_t sampler_steps;
} NashOptions;

static const RgOption nash_options[] = {
    RG_OPTION_REAL(NashOptions, beta, "0.1", 0, 1e3, "strength β of the KL term (the paper's τ)"),
    RG_OPTION_REAL(
        NashOptions, reference_share, "0.5", 0, 1,
        "c, the reference's share in the mixture that the policy plays against; 0 is self-play"),
    RG_SAMPLER_STEPS(NashOptions, "1"),
    RG_OPTION_END,
};

static RgTensor *nash_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const NashOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *won = rg_first_preferred(t, batch);
    RgTensor *logprob = rg_response_at(t, batch->logprob, 0);
    RgTensor *log_ratio = rg_response_at(t, batch->log_ratio, 0);
    RgTensor *penalty = rg_scale(t, rg_stop_gradient(t, log_ratio), (RgReal)o->beta);
    RgTensor *advantage = rg_sub(t, rg_add_scalar(t, won, (RgReal)-0.5), penalty);
    return rg_negate(t, rg_batch_mean(step, batch, rg_mul(t, advantage, logprob)));
}

static void nash_md_recipe(const void *options, RgRecipe *recipe) {
    const NashOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->opponents = RG_FROM_MIXTURE;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->reference_share = o->reference_share;
    recipe->sampler_steps = o->sampler_steps;
}

const RgAlgorithm rg_algorithm_nash_md = {
    .about = {.name = "nash-md",
              .summary =
                  "Nash mirror descent: preferences against the mixture of policy and reference",
              .reference = "Munos et al. 2023, arXiv:2312.00886",
              .options = nash_options,
              .options_size = sizeof(NashOptions)},
    .recipe = nash_md_recipe,
    .loss = nash_loss,
};
