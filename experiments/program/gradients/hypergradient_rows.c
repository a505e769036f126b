/* SPDX-License-Identifier: MIT */
/* Measuring bias, variance and cost of PARL's estimators. */
#include "experiments/program/gradients/hypergradient_rows.h"

#include "algorithms/parl/parl.h"
#include "experiments/program/gradients/gradient_moments.h"

#include <stdlib.h>

/* PARL on its own policy, with the options' batches at temperature 1. */
static RgStatus make_trainer(const RgTrialSetup *setup, const RgTrialSpec *plan,
                             const RgParlOptions *options, RgPolicy *policy, RgTrainer **trainer,
                             RgError *error) {
    RgTrainingOptions training = plan->training;
    training.temperature = 1;
    training.top_k = 0;
    training.top_p = 1;
    training.min_p = 0;
    RgRandom random = rg_random_named(rg_random_root((uint64_t)plan->seed), "check-gradients");
    return rg_trainer_create(plan->algorithm, options, &training, policy, setup->reference,
                             &setup->environment->task, &plan->optimizer, 0, random, trainer,
                             error);
}

/* The same upper level, exactly, at a random reward and its optimal policy. Leaves reward and
 * policy in the two stores; exact [reward->count] out. */
static RgStatus exact_side(const RgTrialSetup *setup, const RgTrialSpec *plan,
                           const RgParlOptions *options, double deviation, RgPolicy *policy,
                           RgParameters *reward, double *exact, RgError *error) {
    RgParlOptions exactly = *options;
    exactly.estimator.type = rg_find(RG_ESTIMATOR, "boltzmann");
    exactly.expectation = RG_PARL_EXACT;
    exactly.lower = RG_PARL_SOLVED;
    RgTrainer *trainer;
    RG_TRY(make_trainer(setup, plan, &exactly, policy, &trainer, error));
    RgParameters *own = rg_parl_reward(trainer->state);
    double scale = setup->environment->task.mdp ? deviation : deviation * options->beta;
    rg_parameters_fill_normal(own, 0, scale, trainer->random);
    RgStatus status = RG_OK;
    if (!rg_parl_solve_lower(trainer->state))
        status =
            rg_fail(error, RG_E_RANGE, "%s: the lower level has not converged", plan->part.label);
    RgEstimateReport report;
    double objective;
    if (status == RG_OK)
        status = rg_parl_hypergradient(trainer, &exactly, trainer->state, 0, &objective, exact,
                                       &report, error);
    rg_parameters_copy(own, reward);
    rg_trainer_destroy(trainer);
    return status;
}

static RgStatus sample_estimates(RgTrainer *trainer, const RgParlOptions *options, int64_t samples,
                                 RgMoments *moments, RgGradientRow *row, RgError *error) {
    double *sample = rg_allocate(moments->dimension, sizeof *sample);
    double start = rg_clock_seconds(), n = (double)samples;
    RgStatus status = RG_OK;
    for (int64_t s = 0; s < samples && status == RG_OK; s++) {
        RgEstimateReport report;
        double objective;
        status = rg_parl_hypergradient(trainer, options, trainer->state, s, &objective, sample,
                                       &report, error);
        if (status != RG_OK)
            break;
        rg_moments_add(moments, sample);
        row->hessian_products += (double)report.hessian_products / n;
        row->gradients += (double)report.gradients / n;
        row->flops += report.flops / n;
        row->failures += report.failure != NULL;
    }
    row->seconds = (rg_clock_seconds() - start) / n;
    free(sample);
    return status;
}

RgStatus rg_hypergradient_row(const RgTrialSetup *setup, const RgTrialSpec *plan, int64_t samples,
                              double deviation, RgGradientRow *row, RgError *error) {
    const RgParlOptions *options = plan->algorithm_options;
    RgPolicy *policy = rg_policy_clone(rg_trial_setup_start(setup), false);
    RgTrainer *trainer = NULL;
    *row = (RgGradientRow){.algorithm = plan->part.label,
                           .variant = options->estimator.type->name,
                           .sampled = options->expectation == RG_PARL_SAMPLED,
                           .swept = plan->swept_json};
    RgStatus status = make_trainer(setup, plan, options, policy, &trainer, error);
    if (status == RG_OK) {
        RgParameters *reward = rg_parl_reward(trainer->state);
        double *exact = rg_allocate(reward->count, sizeof *exact);
        status = exact_side(setup, plan, options, deviation, policy, reward, exact, error);
        if (status == RG_OK) {
            RgMoments moments = rg_moments_create(reward->count);
            status = sample_estimates(trainer, options, row->sampled ? samples : 1, &moments, row,
                                      error);
            rg_moments_compare(&moments, exact, row);
            rg_moments_free(&moments);
        }
        free(exact);
    }
    rg_trainer_destroy(trainer);
    rg_policy_destroy(policy);
    return status;
}
