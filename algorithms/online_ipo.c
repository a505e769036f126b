/* SPDX-License-Identifier: MIT */
/* Online IPO and EGPO: the Nash equilibrium of a preference game that is regularised by the
 * divergence from the reference, by squared losses on the policy's own pairs.
 *
 *     rival:  L = E[ (h(y) − h(y') − (z − z')/β)² ],   z = 1 if y is preferred to a rival y'', else 0
 *     label:  L = E[ (Δ − 1/(2β))² ],                  the IPO loss on labelled pairs
 *
 * y and y' are of the policy, y'' is of the policy or of its geometric mixture with the reference;
 * none of the distributions has a gradient. Only the mean of z − z' counts, P(y ≻ π) − P(y' ≻ π), so
 * a rival target is a step of mirror descent on the game: h moves towards P(y ≻ π)/β. The label
 * target has the same fixed point, h(y) − h(y') = (P(y ≻ π) − P(y' ≻ π))/β, which is the
 * equilibrium. A mixture as the rival gives Nash-MD with this loss (arXiv:2312.00886).
 *
 * EGPO (Zhou et al. 2025, arXiv:2503.08942) takes two gradients of the rival loss: a plain step to a
 * half point, then a step from the start with rivals of the half point. The losses are those of the
 * authors' simulations, whose pairs of the rival loss are uniform over the responses
 * (`pair_sampler`); verified against the code. Where the games are not transitive, mirror descent circles or spirals
 * around the equilibrium and the extragradient step converges to it. */
#include "algorithms/algorithm.h"

enum { TARGET_RIVAL, TARGET_LABEL };
static const char *const targets[] = {"rival", "label", NULL};

typedef struct OnlineIpoOptions {
    double beta;
    int target;
    double reference_share;
    int64_t sampler_steps;
    int pair_sampler, sampler_weights;
    int64_t candidates;
} OnlineIpoOptions;

static const RgOption online_ipo_options[] = {
    RG_OPTION_REAL(OnlineIpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_CHOICE(OnlineIpoOptions, target, "rival", targets,
                     "what a pair's margin is fitted to: rival, the difference of the wins of both "
                     "responses against a third one; label, 1/(2β) for the preferred response"),
    RG_OPTION_REAL(OnlineIpoOptions, reference_share, "0", 0, 1,
                   "the reference's share in the mixture that rivals are sampled from; 0: rivals "
                   "are the policy's own responses"),
    RG_SAMPLER_STEPS(OnlineIpoOptions, "1"),
    RG_PAIR_SAMPLER(OnlineIpoOptions),
    RG_CANDIDATES(OnlineIpoOptions),
    RG_OPTION_END,
};

static const RgOption egpo_options[] = {
    RG_OPTION_REAL(OnlineIpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_PAIR_SAMPLER(OnlineIpoOptions),
    RG_OPTION_END,
};

static RgTensor *difference(RgTape *t, RgTensor *x) {
    return rg_sub(t, rg_response_at(t, x, 0), rg_response_at(t, x, 1));
}

static RgTensor *rival_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const OnlineIpoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *target = rg_scale(t, difference(t, batch->win_rate), (RgReal)(1 / o->beta));
    RgTensor *gap = rg_sub(t, difference(t, batch->log_ratio), target);
    return rg_batch_mean(step, batch, rg_square(t, gap));
}

static RgTensor *online_ipo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const OnlineIpoOptions *o = options;
    RgTape *t = step->tape;
    if (o->target == TARGET_RIVAL)
        return rival_loss(step, options, batch);
    RgTensor *margin = rg_log_ratio_margin(t, batch);
    RgTensor *gap = rg_add_scalar(t, margin, (RgReal)(-1 / (2 * o->beta)));
    return rg_batch_mean(step, batch, rg_square(t, gap));
}

static void take_pair_sampler(const OnlineIpoOptions *o, RgRecipe *recipe) {
    recipe->pair_sampler = (RgPairSampler)o->pair_sampler;
    recipe->matched_weights = o->sampler_weights == 1;
}

static void rival_recipe(const OnlineIpoOptions *o, RgRecipe *recipe) {
    recipe->responses = recipe->opponents = RG_FROM_POLICY;
    recipe->rivals = RG_FROM_POLICY;
    recipe->beta = o->beta;
    take_pair_sampler(o, recipe);
}

static void online_ipo_recipe(const void *options, RgRecipe *recipe) {
    const OnlineIpoOptions *o = options;
    recipe->sampler_steps = o->sampler_steps;
    recipe->beta = o->beta;
    recipe->candidates = o->candidates;
    if (o->target == TARGET_LABEL) {
        recipe->rewards = o->candidates > 2;
        recipe->responses = RG_FROM_POLICY;
        recipe->preferences = RG_FROM_JUDGE;
        take_pair_sampler(o, recipe);
        return;
    }
    rival_recipe(o, recipe);
    recipe->reference_share = o->reference_share;
    if (o->reference_share > 0)
        recipe->rivals = RG_FROM_MIXTURE;
}

/* The label target has no rivals. */
static RgStatus online_ipo_check(const void *options, const RgTask *task, const RgPolicy *policy,
                                 RgError *error) {
    const OnlineIpoOptions *o = options;
    (void)task;
    (void)policy;
    if (o->target == TARGET_LABEL && o->reference_share > 0)
        return rg_fail(
            error, RG_E_USAGE,
            "online-ipo: reference_share is %g, and target = \"label\" samples no rivals: "
            "expected 0",
            o->reference_share);
    return RG_OK;
}

static void egpo_recipe(const void *options, RgRecipe *recipe) {
    rival_recipe(options, recipe);
    recipe->extragradient = true;
    recipe->epochs = 2;
}

const RgAlgorithm rg_algorithm_online_ipo = {
    .about = {.name = "online-ipo",
              .summary = "IPO on the policy's own pairs: mirror descent on the preference game",
              .reference = "Calandriello et al. 2024, arXiv:2403.08635",
              .options = online_ipo_options,
              .options_size = sizeof(OnlineIpoOptions)},
    .recipe = online_ipo_recipe,
    .loss = online_ipo_loss,
    .check = online_ipo_check,
};

const RgAlgorithm rg_algorithm_egpo = {
    .about = {.name = "egpo",
              .summary = "Extragradient steps of online IPO towards the Nash equilibrium",
              .reference = "Zhou et al. 2025, arXiv:2503.08942",
              .options = egpo_options,
              .options_size = sizeof(OnlineIpoOptions)},
    .recipe = egpo_recipe,
    .loss = rival_loss,
};
