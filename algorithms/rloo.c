/* SPDX-License-Identifier: MIT */
/* RLOO: REINFORCE on the judge's reward minus the KL penalty. The baseline is the mean of the other
 * responses to the prompt.
 *
 *     ∇ = E[ 1/k Σ_i (R_i − 1/(k−1) Σ_{j≠i} R_j)·∇log π(y_i) ],   R = r − β·h
 *                                                   Ahmadian et al. 2024, arXiv:2402.14740, eq.
 * 8 */
#include "algorithms/algorithm.h"

typedef struct RlooOptions {
    double beta;
    int64_t group_size, sampler_steps;
} RlooOptions;

static const RgOption rloo_options[] = {
    RG_OPTION_REAL(RlooOptions, beta, "0.05", 0, 1e3, "strength β of the KL term"),
    RG_OPTION_INTEGER(RlooOptions, group_size, "4", 2, 1024, "k, responses to each prompt"),
    RG_SAMPLER_STEPS(RlooOptions, "1"),
    RG_OPTION_END,
};

static RgTensor *rloo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const RlooOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *penalty = rg_scale(t, rg_stop_gradient(t, batch->log_ratio), (RgReal)o->beta);
    RgTensor *gain = rg_sub(t, batch->reward, penalty);
    /* R_i minus the others' mean is k/(k − 1) times R_i minus the mean of all */
    RgReal others = (RgReal)batch->k / (RgReal)(batch->k - 1);
    RgTensor *advantage = rg_scale(t, rg_sub(t, gain, rg_mean_last(t, gain)), others);
    return rg_negate(t, rg_batch_mean(step, batch, rg_mul(t, advantage, batch->logprob)));
}

static void rloo_recipe(const void *options, RgRecipe *recipe) {
    const RlooOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->group = o->group_size;
    recipe->sampler_steps = o->sampler_steps;
    recipe->rewards = true;
}

const RgAlgorithm rg_algorithm_rloo = {
    .about = {.name = "rloo",
              .summary = "REINFORCE with a leave-one-out baseline on the judge's reward",
              .reference = "Ahmadian et al. 2024, arXiv:2402.14740, eq. 8",
              .options = rloo_options,
              .options_size = sizeof(RlooOptions)},
    .recipe = rloo_recipe,
    .loss = rloo_loss,
};
