/* SPDX-License-Identifier: MIT */
/* The cost of a round of PARL, computed from its options. It mirrors the calls of the levels and
 * the estimators. */
#include "algorithms/parl/parl.h"

/* Constants of a trial. */
typedef struct Round {
    const RgParlOptions *options;
    const RgEstimator *estimator;
    const RgWorkTerms *terms;
    RgWork *work;
} Round;

/* FLOPs of the reward of a response and of its gradient in ν. */
static double reward_flops(const RgParlOptions *o, int64_t features) {
    double layer = o->reward == RG_REWARD_MLP ? (double)o->reward_hidden : 1;
    return 4 * layer * (double)(features + 2);
}

/* The reward of these responses; the reference computes their features. */
static void add_rewards(RgWork *work, const RgParlOptions *o, const RgWorkTerms *terms,
                        double times, int64_t prompts) {
    const int64_t pair = 2;
    rg_work_add(work, RG_WORK_FEATURES, times, prompts, pair);
    work->flops += times * (double)(prompts * pair) * reward_flops(o, terms->features);
}

/* A batch of V: its responses, with quantities that are constant in θ and ν. */
static void add_value_batch(const Round *r, double times, int64_t prompts) {
    rg_work_add(r->work, RG_WORK_SAMPLED, times, prompts, 2);
    rg_work_add(r->work, RG_WORK_REFERENCED, times, prompts, 2);
    add_rewards(r->work, r->options, r->terms, times, prompts);
}

/* Steps of policy gradient, each on a new batch. */
static void add_lower(const Round *r) {
    const RgParlOptions *o = r->options;
    if (o->lower == RG_PARL_SOLVED)
        return;
    bool again = o->on_failure == RG_PARL_DAMP && o->lower_tolerance > 0;
    double times = (double)o->inner_steps * (again ? RG_PARL_LOWER_ATTEMPTS : 1);
    add_value_batch(r, times, r->terms->batch);
    rg_work_add(r->work, RG_WORK_TRAINED, times, r->terms->batch, 2);
    r->work->at_most |= again;
}

/* The batch of G: four responses to a prompt if the closed form needs others. */
static void add_upper_batch(const Round *r) {
    int64_t batch = r->terms->batch;
    bool others = r->estimator->by_closed_form && !r->terms->mdp;
    rg_work_add(r->work, RG_WORK_SAMPLED, 1, batch, others ? 4 : 2);
    rg_work_add(r->work, RG_WORK_JUDGED, 1, batch, 2);
    add_rewards(r->work, r->options, r->terms, others ? 2 : 1, batch);
    rg_work_add(r->work, RG_WORK_TRAINED, 1, batch, 2);
    if (r->estimator->order > 0)
        add_value_batch(r, 1, r->options->curvature_prompts);
}

/* The implicit term, estimated again with more damping if that may help. */
static void add_estimate(const Round *r, const RgEstimateWork *estimate) {
    const RgParlOptions *o = r->options;
    bool again = o->on_failure == RG_PARL_DAMP && r->estimator->takes_damping;
    double times = again ? RG_PARL_DAMP_ATTEMPTS : 1;
    int64_t prompts = o->curvature_prompts;
    rg_work_add(r->work, RG_WORK_TRAINED, times * estimate->value_gradients, prompts, 2);
    rg_work_add(r->work, RG_WORK_TRAINED, times * estimate->objective_gradients, r->terms->batch,
                2);
    rg_work_add(r->work, RG_WORK_LINEARISED, times * estimate->linearised, prompts, 2);
    rg_work_add(r->work, RG_WORK_CURVATURE, times * estimate->products, prompts, 2);
    r->work->at_most |=
        estimate->value_gradients + estimate->objective_gradients + estimate->products > 0;
}

/* Exact expectations need no samples; the judge scores all responses before. */
static void add_enumeration(const Round *r, RgWork *create) {
    if (!r->terms->mdp)
        rg_work_add(create, RG_WORK_JUDGED, 1, r->terms->enumerated, 1);
}

bool rg_parl_work(const void *options, const RgWorkTerms *terms, RgWork *create, RgWork *step) {
    const RgParlOptions *o = options;
    Round r = {o, (const RgEstimator *)o->estimator.type, terms, step};
    RgEstimatorOptions settings = rg_parl_estimator_options(o, o->damping);
    RgEstimateWork estimate = {0};
    if (!r.estimator->work)
        return false;
    r.estimator->work(&settings, terms->parameters, &estimate);
    add_rewards(create, o, terms, (double)o->pretrain, terms->batch);
    if (o->expectation == RG_PARL_EXACT) {
        add_enumeration(&r, create);
        return true;
    }
    add_lower(&r);
    step->numbers = (double)terms->parameters + estimate.numbers; /* ∂_θG, and the solver's */
    if (o->advantage != RG_PARL_EPISODE) {
        rg_work_add(step, RG_WORK_SAMPLED, 1, terms->batch, 2);
    } else if (o->upper != RG_PARL_FIXED) {
        add_upper_batch(&r);
        add_estimate(&r, &estimate);
    }
    return true;
}
