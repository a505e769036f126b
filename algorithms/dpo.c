/* SPDX-License-Identifier: MIT */
/* DPO and online DPO: the same loss on offline pairs, or on on-policy pairs that the judge labels.
 *
 *     L = −E[ log σ(β·Δ) ]      Rafailov et al. 2023, arXiv:2305.18290, eq. 7
 *
 * Online DPO (Guo et al. 2024, arXiv:2402.04792) treats its samples as data: it drops the
 * dependence of their distribution on the policy. SAIL's score term restores it. Semi-online DPO
 * (Lanchantin et al. 2025, arXiv:2506.21495) is between the two: the sampling policy is updated
 * every `sampler_steps`, an option that other methods share. Where responses can be enumerated,
 * `pair_sampler` draws pairs by their difference in reward (arXiv:2409.19605). */
#include "algorithms/algorithm.h"

typedef struct DpoOptions {
    double beta;
    double mixture;
    int64_t sampler_steps;
    int pair_sampler, sampler_weights;
} DpoOptions;

static const RgOption dpo_options[] = {
    RG_OPTION_REAL(DpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_END,
};

static const RgOption online_dpo_options[] = {
    RG_OPTION_REAL(DpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(DpoOptions, mixture, "1", 0, 1,
                   "share of a batch that is sampled from the policy; the rest is offline data"),
    RG_SAMPLER_STEPS(DpoOptions, "1"),
    RG_PAIR_SAMPLER(DpoOptions),
    RG_OPTION_END,
};

static RgTensor *dpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const DpoOptions *o = options;
    RgTape *t = step->tape;
    return rg_negate(t, rg_batch_mean(step, batch, rg_preference_fit(t, batch, o->beta)));
}

static const char *const dpo_terms[] = {"dpo", NULL}; /* as SAIL calls this term */

static void dpo_recipe(const void *options, RgRecipe *recipe) {
    const DpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
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
    recipe->beta = o->beta;
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
