/* SPDX-License-Identifier: MIT */
/* ORPO: supervised training on the preferred responses with an odds ratio in favour of them, in one
 * stage and without a reference.
 *
 *     L = E[ −log P(y_w) − λ·log σ( log odds(y_w) − log odds(y_l) ) ]
 *     log P(y) = log π(y)/|y|,   odds = P/(1 − P)      Hong et al. 2024, arXiv:2403.07691, eq. 6
 *
 * The mean over the batch is over responses; trainers that take it over all tokens weigh long ones
 * more. 1 − P is held above 1e-5. Limit: λ = 0 is maximum likelihood of the preferred responses. */
#include "algorithms/algorithm.h"

typedef struct OrpoOptions {
    double odds_ratio_weight;
} OrpoOptions;

static const RgOption orpo_options[] = {
    RG_OPTION_REAL(OrpoOptions, odds_ratio_weight, "0.1", 0, 1e3,
                   "λ, weight of the odds ratio beside the likelihood"),
    RG_OPTION_END,
};

/* log P − log(1 − P), [pairs]. */
static RgTensor *log_odds(RgTape *t, RgTensor *mean_logprob) {
    const double least = 1e-5;
    RgTensor *other = rg_add_scalar(t, rg_negate(t, rg_exp(t, mean_logprob)), 1);
    return rg_sub(t, mean_logprob, rg_log(t, rg_clip(t, other, least, 1)));
}

static RgTensor *orpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const OrpoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *chosen = rg_mean_logprob(t, &batch->chosen);
    RgTensor *rejected = rg_mean_logprob(t, &batch->rejected);
    RgTensor *ratio = rg_sub(t, log_odds(t, chosen), log_odds(t, rejected));
    RgTensor *fit = rg_scale(t, rg_log_sigmoid(t, ratio), (RgReal)o->odds_ratio_weight);
    return rg_negate(t, rg_batch_mean(step, batch, rg_add(t, chosen, fit)));
}

static void orpo_recipe(const void *options, RgRecipe *recipe) {
    (void)options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->reference_free = true;
}

const RgAlgorithm rg_algorithm_orpo = {
    .about = {.name = "orpo",
              .summary =
                  "Odds ratio preference optimisation: likelihood and an odds ratio, without a "
                  "reference",
              .reference = "Hong et al. 2024, arXiv:2403.07691, eq. 6",
              .options = orpo_options,
              .options_size = sizeof(OrpoOptions)},
    .recipe = orpo_recipe,
    .loss = orpo_loss,
};
