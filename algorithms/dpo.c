/* SPDX-License-Identifier: MIT */
/* DPO and online DPO: the same loss on offline pairs, or on on-policy pairs that the judge labels.
 *
 *     L = −E[ log σ(β·Δ) ]      Rafailov et al. 2023, arXiv:2305.18290, eq. 7
 *
 * Online DPO (Guo et al. 2024, arXiv:2402.04792) treats its samples as data: it drops the
 * dependence of their distribution on the policy. SAIL's score term restores it. Semi-online DPO
 * (Lanchantin et al. 2025, arXiv:2506.21495) is between the two: the sampling policy is updated
 * every `sampler_steps`, an option that other methods share. Where responses can be enumerated,
 * `pair_sampler` draws pairs by their difference in reward (arXiv:2409.19605).
 *
 * With margin = "probability" Δ is a difference of probabilities, not of their logarithms:
 * Δ = (π − π_ref)(y_w) − (π − π_ref)(y_l). The code of arXiv:2312.10584 computes that. Such a margin
 * is at most 2, so that a small β leaves the loss near log 2. */
#include "algorithms/algorithm.h"

enum { MARGIN_LOG_RATIO, MARGIN_PROBABILITY };
static const char *const margins[] = {"log-ratio", "probability", NULL};

typedef struct DpoOptions {
    double beta;
    int margin;
    double mixture;
    int64_t sampler_steps;
    int pair_sampler, sampler_weights;
    int64_t candidates;
    RgSharedTerms shared;
} DpoOptions;

static const RgOption dpo_options[] = {
    RG_OPTION_REAL(DpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_CHOICE(DpoOptions, margin, "log-ratio", margins,
                     "what the margin is a difference of: log-ratio, the logarithm of policy over "
                     "reference; or probability, policy minus reference, as in a released code",
                     .later = true),
    RG_OPTION_INCLUDE(DpoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

static const RgOption online_dpo_options[] = {
    RG_OPTION_REAL(DpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(DpoOptions, mixture, "1", 0, 1,
                   "share of a batch that is sampled from the policy; the rest is offline data"),
    RG_SAMPLER_STEPS(DpoOptions, "1"),
    RG_PAIR_SAMPLER(DpoOptions),
    RG_CANDIDATES(DpoOptions),
    RG_OPTION_INCLUDE(DpoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

/* π(y) − π_ref(y), [pairs] */
static RgTensor *probability_gain(RgTape *t, const RgSide *side) {
    return rg_sub(t, rg_exp(t, side->logprob), rg_exp(t, side->reference));
}

static RgTensor *dpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const DpoOptions *o = options;
    RgTape *t = step->tape;
    if (o->margin == MARGIN_PROBABILITY) {
        RgTensor *margin =
            rg_sub(t, probability_gain(t, &batch->chosen), probability_gain(t, &batch->rejected));
        RgTensor *fit = rg_log_sigmoid(t, rg_scale(t, margin, (RgReal)o->beta));
        return rg_negate(t, rg_batch_mean(step, batch, fit));
    }
    return rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
}

static const char *const dpo_terms[] = {"dpo", NULL}; /* as SAIL calls this term */

static void dpo_recipe(const void *options, RgRecipe *recipe) {
    const DpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->other_margin = o->margin == MARGIN_PROBABILITY;
}

const RgAlgorithm rg_algorithm_dpo = {
    .about = {.name = "dpo",
              .summary = "Direct preference optimisation on a fixed data set of pairs",
              .reference = "Rafailov et al. 2023, arXiv:2305.18290, eq. 7",
              .options = dpo_options,
              .options_size = sizeof(DpoOptions)},
    .recipe = dpo_recipe,
    .loss = dpo_loss,
    .terms = dpo_terms,
};

static void online_dpo_recipe(const void *options, RgRecipe *recipe) {
    const DpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->on_policy = o->mixture;
    recipe->sampler_steps = o->sampler_steps;
    recipe->pair_sampler = (RgPairSampler)o->pair_sampler;
    recipe->matched_weights = o->sampler_weights == 1;
    recipe->candidates = o->candidates;
    recipe->rewards = o->candidates > 2;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
}

const RgAlgorithm rg_algorithm_online_dpo = {
    .about = {.name = "online-dpo",
              .summary = "DPO on on-policy pairs, labelled by the judge",
              .reference = "Guo et al. 2024, arXiv:2402.04792",
              .options = online_dpo_options,
              .options_size = sizeof(DpoOptions)},
    .recipe = online_dpo_recipe,
    .loss = dpo_loss,
    .terms = dpo_terms,
};
