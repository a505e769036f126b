/* SPDX-License-Identifier: MIT */
/* GRPO: PPO's clipped surrogate without a value network. The advantage of a response is its reward
 * relative to its group, the same for all of its tokens. The divergence from the reference is a
 * term of the loss.
 *
 *     L = −E[ 1/k Σ_i 1/|y_i| Σ_t ( min(ρ·A_i, clip(ρ, 1 ± ε)·A_i) − β·(e^−h − 1 + h) ) ]
 *     A_i = (r_i − mean r)/std r,   ρ = π/π_old and h = log π − log π_ref of one token
 *                                              Shao et al. 2024, arXiv:2402.03300, eq. 3 and 4
 *
 * Without both normalisations it is Dr. GRPO (Liu et al. 2025, arXiv:2503.20783): A_i = r_i − mean
 * r, and the longest length allowed instead of |y_i|. Then neither long responses nor groups of
 * nearly equal rewards have more weight than others.
 *
 * The equations are from memory. The divergence (called k3) and Dr. GRPO's constant were verified
 * against public trainers. std has the denominator k − 1, and 1e-4 is added, as in those trainers;
 * the paper does not specify either. `group_size` is 8, the paper's 64. Note two things. Where
 * π_old is π, the gradient of k3 is that of KL(π_ref ‖ π), not of the KL(π ‖ π_ref) that its value
 * estimates. With `sampler_steps` of 2 or more, ρ is still relative to the policy at the start of
 * the step: samples of an earlier policy are not reweighted.
 *
 * Limit: in one epoch, with β = 0 and without normalisations, the gradient is that of RLOO times
 * (k − 1)/k, because the baseline includes the response itself, divided by the longest length. */
#include "algorithms/ppo.h"

#include "algorithms/algorithm.h"

#include <math.h>

typedef struct GrpoOptions {
    double beta;
    int64_t group_size;
    double clip;
    int64_t epochs;
    bool length_normalisation, std_normalisation;
    int64_t sampler_steps;
} GrpoOptions;

static const RgOption grpo_options[] = {
    RG_OPTION_REAL(GrpoOptions, beta, "0.04", 0, 1e3, "strength β of the KL term"),
    RG_OPTION_INTEGER(GrpoOptions, group_size, "8", 2, 1024, "k, responses to each prompt"),
    RG_OPTION_REAL(GrpoOptions, clip, "0.2", 1e-6, 1e3, "ε, clip range of the probability ratio"),
    RG_OPTION_INTEGER(GrpoOptions, epochs, "1", 1, 1000,
                      "optimiser steps on the responses of one training step (the paper's μ)"),
    RG_OPTION_BOOLEAN(GrpoOptions, length_normalisation, "true",
                      "divide the sum over a response's tokens by its length; false: by the "
                      "longest length allowed, as in Dr. GRPO"),
    RG_OPTION_BOOLEAN(GrpoOptions, std_normalisation, "true",
                      "divide advantages by the standard deviation of the group's rewards; false: "
                      "do not, as in Dr. GRPO"),
    RG_SAMPLER_STEPS(GrpoOptions, "1"),
    RG_OPTION_END,
};

/* Standard deviation of k numbers, with denominator k − 1. */
static double deviation(const RgReal *x, int64_t k, double *mean) {
    double squares = 0;
    *mean = 0;
    for (int64_t i = 0; i < k; i++)
        *mean += (double)x[i] / (double)k;
    for (int64_t i = 0; i < k; i++)
        squares += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    return sqrt(squares / (double)(k - 1));
}

/* Advantages, [prompts·k]. Logs their spread: the mean over groups of their standard deviation. It
 * is 0 if the judge gives equal rewards within each group: there is nothing to learn. */
static RgTensor *advantages(RgStep *step, const GrpoOptions *o, const RgBatch *batch) {
    int64_t n = batch->prompts, k = batch->k;
    RgTensor *advantage = rg_filled(step->tape, RG_SHAPE(n * k), 0);
    double spread = 0;
    for (int64_t i = 0; i < n; i++) {
        const RgReal *reward = batch->reward->data + i * k;
        double mean, std = deviation(reward, k, &mean);
        double unit = o->std_normalisation ? std + 1e-4 : 1;
        for (int64_t y = 0; y < k; y++)
            advantage->data[i * k + y] = (RgReal)(((double)reward[y] - mean) / unit);
        spread += std / unit / (double)n;
    }
    rg_step_metric(step, "advantage_spread", spread);
    return advantage;
}

/* Log means over responses of the means over their tokens: the share of clipped ratios, and the
 * divergence from π_old, ρ − 1 − log ρ. */
static void log_ratios(RgStep *step, const GrpoOptions *o, const RgBatch *batch,
                       const RgTensor *advantage) {
    const RgSteps *s = &batch->steps;
    int64_t responses = batch->prompts * batch->k;
    double held = 0, divergence = 0;
    for (int64_t i = 0; i < responses; i++) {
        double each = 1 / ((double)responses * (double)batch->length->data[i]);
        for (int64_t at = s->offsets[i]; at < s->offsets[i + 1]; at++) {
            double log_ratio = (double)s->logprob->data[at] - (double)s->old->data[at];
            double ratio = exp(log_ratio);
            held += each * rg_ppo_clips(ratio, (double)advantage->data[i], o->clip);
            divergence += each * (ratio - 1 - log_ratio);
        }
    }
    rg_step_metric(step, "clip_fraction", held);
    rg_step_metric(step, "approx_kl", divergence);
}

/* e^−h − 1 + h of each token, [steps]. */
static RgTensor *divergences(RgTape *t, const RgSteps *s) {
    RgTensor *h = rg_sub(t, s->logprob, s->reference);
    return rg_add(t, h, rg_add_scalar(t, rg_exp(t, rg_negate(t, h)), -1));
}

static RgTensor *grpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const GrpoOptions *o = options;
    RgTape *t = step->tape;
    const RgSteps *s = &batch->steps;
    int64_t responses = batch->prompts * batch->k;
    RgTensor *advantage = advantages(step, o, batch);
    log_ratios(step, o, batch, advantage);
    RgTensor *of_steps = rg_segment_repeat(t, advantage, s->offsets, responses);
    RgTensor *gain = rg_ppo_surrogate(t, s->logprob, s->old, of_steps, o->clip);
    if (o->beta > 0)
        gain = rg_sub(t, gain, rg_scale(t, divergences(t, s), (RgReal)o->beta));
    RgTensor *sum = rg_segment_sum(t, gain, s->offsets, responses);
    if (o->length_normalisation)
        sum = rg_div(t, sum, rg_reshape(t, batch->length, RG_SHAPE(responses)));
    else
        sum = rg_scale(t, sum, (RgReal)(1 / (double)batch->response_limit));
    return rg_negate(t, rg_mean(t, sum));
}

static void grpo_recipe(const void *options, RgRecipe *recipe) {
    const GrpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->group = o->group_size;
    recipe->rewards = true;
    recipe->steps = true;
    recipe->epochs = o->epochs;
    recipe->sampler_steps = o->sampler_steps;
}

const RgAlgorithm rg_algorithm_grpo = {
    .about = {.name = "grpo",
              .summary =
                  "Clipped policy gradient on rewards standardised within groups; also Dr. GRPO",
              .reference =
                  "Shao et al. 2024, arXiv:2402.03300, eq. 3; Liu et al. 2025, arXiv:2503.20783",
              .options = grpo_options,
              .options_size = sizeof(GrpoOptions)},
    .recipe = grpo_recipe,
    .loss = grpo_loss,
};
