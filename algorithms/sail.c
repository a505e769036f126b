/* SPDX-License-Identifier: MIT */
/* SAIL: the bilevel problem of online alignment, reduced to a single level.
 *
 * The objective is J(θ) = E[F], F = log σ(β·Δ), with responses, labels or both sampled from the
 * policy (arXiv:2406.15567). Besides DPO's own E[∇F], its gradient has a score term for each
 * distribution that depends on θ:
 *
 *     responses from the policy:  E[ F · (∇log π(y_w) + ∇log π(y_l)) ]
 *     labels from the policy:     E[ F · ∇F ]      since log p_θ(label) = F,  F·∇F = ½∇F²
 *
 * So the loss to minimise, on the pairs of the algorithm's own distribution, is
 *
 *     L = −F − c·sg[F]·(log π(y_w) + log π(y_l)) − (c/2)·F²
 *
 * with the second term if the policy responds, the third if the policy labels; c is the exploration
 * coefficient. Offline pairs of the mixture contribute only −F.
 *
 *     variant   responses   labels    published mixture, coefficient
 *     SAIL-DP   data set    policy    r = 0.4, ρ = 0.2
 *     SAIL-PP   policy      policy    p = 0.3, π = 0.2
 *     SAIL-PR   policy      judge     g = 0.3, γ = 0.3
 *
 * While β·Δ is small, F is log ½ for every pair: a sample of the first score term is then
 * (log ½)·(∇log π(y_w) + ∇log π(y_l)), whose mean is 0, and with equal second moments its deviation is
 * 2·log 2·c/β times that of DPO's part. score_term = "baseline" subtracts from F the mean F of the
 * batch's other on-policy pairs, which leaves the mean as it is.
 *
 * J rises with E[F], so its score term leads to pairs whose labels the policy predicts: ∇J is not 0 at
 * the optimum of reward and KL, where DPO's part is. A negative coefficient, which is not the
 * paper's, leads to pairs whose labels are uncertain.
 *
 * SAIL-RevKL adds a penalty to SAIL-PR's loss, c·mean(log π_ref − log π) over the tokens of each
 * response. It keeps the policy's likelihood of them from falling; its paper proves that this makes
 * the problem well behaved (arXiv:2606.31524). The mean over tokens and the coefficient are those
 * of a public implementation.
 *
 * With another `pair_sampler` the pairs are not the policy's own responses, and the score term, which
 * stays the same, is not the gradient of their distribution.
 *
 * Limits, both to the bit: mixture 0 is DPO; SAIL-PR with mixture 1 and exploration 0 is online
 * DPO. */
#include "algorithms/algorithm.h"

#include <string.h>

typedef enum ScoreTerm { SCORE_EXACT, SCORE_BASELINE, SCORE_RELEASED, SCORE_NONE } ScoreTerm;
static const char *const score_terms[] = {"exact", "baseline", "released", "none", NULL};

typedef struct SailOptions {
    double beta;
    double mixture;
    double exploration;
    int score_term;
    int64_t sampler_steps; /* if the policy responds */
    int pair_sampler, sampler_weights;
    double reverse_kl; /* only SAIL-RevKL */
    RgSharedTerms shared;
} SailOptions;

static const RgOption score_term_option[] = {
    RG_OPTION_CHOICE(SailOptions, score_term, "exact", score_terms,
                     "added gradient: exact, by the formula; baseline, by the formula with a "
                     "leave-one-out baseline (same expectation, less variance); released, as the "
                     "published code computes it; none"),
    RG_OPTION_END,
};

static const RgOption sail_dp_options[] = {
    RG_OPTION_REAL(SailOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(
        SailOptions, mixture, "0.4", 0, 1,
        "share of examples of the new distribution (the paper's r); the rest is offline data"),
    RG_OPTION_REAL(SailOptions, exploration, "0.2", -1e3, 1e3,
                   "coefficient of the added gradient (the paper's ρ)"),
    RG_OPTION_EXTEND(score_term_option),
    RG_OPTION_INCLUDE(SailOptions, shared, rg_sft_options),
    RG_OPTION_INCLUDE(SailOptions, shared, rg_moving_reference_options),
    RG_OPTION_END,
};

static const RgOption sail_pp_options[] = {
    RG_OPTION_REAL(SailOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(
        SailOptions, mixture, "0.3", 0, 1,
        "share of examples of the new distribution (the paper's p); the rest is offline data"),
    RG_OPTION_REAL(SailOptions, exploration, "0.2", -1e3, 1e3,
                   "coefficient of the added gradient (the paper's π)"),
    RG_OPTION_EXTEND(score_term_option),
    RG_SAMPLER_STEPS(SailOptions, "1"),
    RG_PAIR_SAMPLER(SailOptions),
    RG_OPTION_INCLUDE(SailOptions, shared, rg_sft_options),
    RG_OPTION_INCLUDE(SailOptions, shared, rg_moving_reference_options),
    RG_OPTION_END,
};

static const RgOption sail_pr_options[] = {
    RG_OPTION_REAL(SailOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(
        SailOptions, mixture, "0.3", 0, 1,
        "share of examples of the new distribution (the paper's g); the rest is offline data"),
    RG_OPTION_REAL(SailOptions, exploration, "0.3", -1e3, 1e3,
                   "coefficient of the added gradient (the paper's γ)"),
    RG_OPTION_EXTEND(score_term_option),
    RG_SAMPLER_STEPS(SailOptions, "1"),
    RG_PAIR_SAMPLER(SailOptions),
    RG_OPTION_INCLUDE(SailOptions, shared, rg_sft_options),
    RG_OPTION_INCLUDE(SailOptions, shared, rg_moving_reference_options),
    RG_OPTION_END,
};

static const RgOption sail_revkl_options[] = {
    RG_OPTION_EXTEND(sail_pr_options),
    RG_OPTION_REAL(SailOptions, reverse_kl, "0.02", 0, 1e3,
                   "coefficient of the reverse-KL penalty; 0 is SAIL-PR"),
    RG_OPTION_END,
};

/* For each on-policy pair, the mean F of the other on-policy pairs, [pairs]; 0 without others. It
 * does not depend on the pair itself, so subtracting it does not change the expectation of the
 * score term. Under an exact expectation it is the expectation of F, which no pair influences. */
static RgTensor *other_pairs_mean(RgTape *t, const RgTensor *fit, const RgBatch *batch) {
    const RgReal *on_policy = batch->on_policy->data;
    RgTensor *baseline = rg_filled(t, fit->shape, 0);
    double sum = 0, count = 0;
    for (int64_t i = 0; i < fit->count; i++) {
        double weight = batch->exact ? on_policy[i] * batch->weight->data[i] : on_policy[i];
        sum += weight * fit->data[i];
        count += weight;
    }
    for (int64_t i = 0; i < fit->count; i++)
        if (on_policy[i] != 0 && batch->exact)
            baseline->data[i] = (RgReal)(sum / count);
        else if (on_policy[i] != 0 && count > 1)
            baseline->data[i] = (RgReal)((sum - fit->data[i]) / (count - 1));
    return baseline;
}

/* Score of the responses: w·(log π(y_w) + log π(y_l)), [pairs], w constant. */
static RgTensor *response_score(RgTape *t, RgTensor *weight, const RgBatch *batch) {
    RgTensor *both = rg_add(t, batch->chosen.logprob, batch->rejected.logprob);
    return rg_mul(t, weight, both);
}

/* The term of the authors' published code. It divides F by the log-probability, which the formula
 * does not. As both are negative, the term raises both log-probabilities, while the formula lowers
 * them. (That code also omits the division by the batch size of one device and by the accumulated
 * batches. Here the term is a mean like all others, scaled by the coefficient.) */
static RgTensor *released_score(RgTape *t, RgTensor *fit, const RgBatch *batch) {
    RgTensor *constant = rg_stop_gradient(t, fit);
    RgTensor *chosen = rg_div(t, constant, rg_stop_gradient(t, batch->chosen.logprob));
    RgTensor *rejected = rg_div(t, constant, rg_stop_gradient(t, batch->rejected.logprob));
    return rg_add(t, rg_mul(t, chosen, batch->chosen.logprob),
                  rg_mul(t, rejected, batch->rejected.logprob));
}

/* The terms of each variant's loss (RgAlgorithm.terms). */
static const char *const pr_terms[] = {"dpo", "responses", NULL};
static const char *const pp_terms[] = {"dpo", "responses", "labels", NULL};
static const char *const dp_terms[] = {"dpo", "labels", NULL};
static const char *const revkl_terms[] = {"dpo", "responses", "penalty", NULL};

/* Whether the loss that the step asks for has a term, of the variant's `terms`. */
static bool has_term(const RgStep *step, const char *const *terms, const char *name) {
    for (int i = 0; terms[i]; i++)
        if (strcmp(terms[i], name) == 0)
            return step->term == 0 || step->term == i + 1;
    return false;
}

/* The score terms of a pair: what is added to F, [pairs]. */
static RgTensor *score_terms_of(RgStep *step, const SailOptions *o, const RgBatch *batch,
                                RgTensor *fit, const char *const *terms) {
    RgTape *t = step->tape;
    RgTensor *baseline = o->score_term == SCORE_BASELINE ? other_pairs_mean(t, fit, batch)
                                                         : rg_filled(t, fit->shape, 0);
    RgTensor *added = rg_filled(t, fit->shape, 0);
    if (has_term(step, terms, "responses") && o->score_term == SCORE_RELEASED)
        added = rg_add(t, added, released_score(t, fit, batch));
    else if (has_term(step, terms, "responses"))
        added = rg_add(t, added,
                       response_score(t, rg_stop_gradient(t, rg_sub(t, fit, baseline)), batch));
    if (has_term(step, terms, "labels")) /* ½F² − b·F, whose gradient is (F − b)·∇F */
        added = rg_add(
            t, added,
            rg_sub(t, rg_scale(t, rg_square(t, fit), (RgReal)0.5), rg_mul(t, baseline, fit)));
    return added;
}

static RgTensor *sail_loss(RgStep *step, const SailOptions *o, const RgBatch *batch,
                           const char *const *terms) {
    RgTape *t = step->tape;
    RgTensor *fit = rg_preference_fit(t, batch, o->beta);
    RgTensor *loss = rg_negate(t, rg_batch_mean(step, batch, fit));
    if (!has_term(step, terms, "dpo"))
        loss = rg_scale(t, loss, 0);
    if (o->exploration == 0 || o->score_term == SCORE_NONE || step->term == 1) /* DPO alone */
        return loss;
    RgTensor *added = score_terms_of(step, o, batch, fit, terms);
    RgTensor *mean = rg_batch_mean(step, batch, rg_mul(t, batch->on_policy, added));
    return rg_sub(t, loss, rg_scale(t, mean, (RgReal)o->exploration));
}

static RgTensor *sail_dp_loss(RgStep *step, const void *options, const RgBatch *batch) {
    return sail_loss(step, options, batch, dp_terms);
}

static RgTensor *sail_pp_loss(RgStep *step, const void *options, const RgBatch *batch) {
    return sail_loss(step, options, batch, pp_terms);
}

static RgTensor *sail_pr_loss(RgStep *step, const void *options, const RgBatch *batch) {
    return sail_loss(step, options, batch, pr_terms);
}

/* Mean over a response's tokens of log π_ref − log π, [pairs]. */
static RgTensor *mean_reverse(RgTape *t, const RgSide *side) {
    return rg_div(t, rg_negate(t, side->log_ratio), side->length);
}

static RgTensor *sail_revkl_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const SailOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *loss = sail_loss(step, o, batch, revkl_terms);
    if (o->reverse_kl == 0 || !has_term(step, revkl_terms, "penalty"))
        return loss;
    RgTensor *both = rg_add(t, mean_reverse(t, &batch->chosen), mean_reverse(t, &batch->rejected));
    return rg_add(t, loss,
                  rg_scale(t, rg_batch_mean(step, batch, both), (RgReal)(0.5 * o->reverse_kl)));
}

/* ---- recipes ---- */

static void take_options(const SailOptions *o, RgRecipe *recipe) {
    recipe->on_policy = o->mixture;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    /* a baseline depends on the other pairs */
    recipe->couples = o->score_term == SCORE_BASELINE && o->exploration != 0;
}

/* Those of variants whose responses are the policy's. */
static void take_policy_options(const SailOptions *o, RgRecipe *recipe) {
    recipe->sampler_steps = o->sampler_steps;
    recipe->pair_sampler = (RgPairSampler)o->pair_sampler;
    recipe->matched_weights = o->sampler_weights == 1;
}

static void sail_dp_recipe(const void *options, RgRecipe *recipe) {
    recipe->responses = RG_FROM_DATASET;
    recipe->preferences = RG_FROM_POLICY;
    take_options(options, recipe);
}

static void sail_pp_recipe(const void *options, RgRecipe *recipe) {
    recipe->responses = recipe->preferences = RG_FROM_POLICY;
    take_policy_options(options, recipe);
    take_options(options, recipe);
}

static void sail_pr_recipe(const void *options, RgRecipe *recipe) {
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    take_policy_options(options, recipe);
    take_options(options, recipe);
}

const RgAlgorithm rg_algorithm_sail_dp = {
    .about = {.name = "sail-dp",
              .summary = "SAIL: data-set responses, labelled by the policy itself (self-critique)",
              .reference = "Ding et al. 2024, arXiv:2406.15567, SAIL-DP",
              .options = sail_dp_options,
              .options_size = sizeof(SailOptions)},
    .recipe = sail_dp_recipe,
    .loss = sail_dp_loss,
    .terms = dp_terms,
};

const RgAlgorithm rg_algorithm_sail_pp = {
    .about = {.name = "sail-pp",
              .summary = "SAIL: policy responses, labelled by the policy itself",
              .reference = "Ding et al. 2024, arXiv:2406.15567, SAIL-PP",
              .options = sail_pp_options,
              .options_size = sizeof(SailOptions)},
    .recipe = sail_pp_recipe,
    .loss = sail_pp_loss,
    .terms = pp_terms,
};

const RgAlgorithm rg_algorithm_sail_pr = {
    .about = {.name = "sail-pr",
              .summary = "SAIL: policy responses, labelled by the judge",
              .reference = "Ding et al. 2024, arXiv:2406.15567, SAIL-PR",
              .options = sail_pr_options,
              .options_size = sizeof(SailOptions)},
    .recipe = sail_pr_recipe,
    .loss = sail_pr_loss,
    .terms = pr_terms,
};

const RgAlgorithm rg_algorithm_sail_revkl = {
    .about = {.name = "sail-revkl",
              .summary = "SAIL-PR with a reverse-KL penalty",
              .reference = "Wu et al. 2026, arXiv:2606.31524",
              .options = sail_revkl_options,
              .options_size = sizeof(SailOptions)},
    .recipe = sail_pr_recipe,
    .loss = sail_revkl_loss,
    .terms = revkl_terms,
};
