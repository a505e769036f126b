/* SPDX-License-Identifier: MIT */
/* What a trial will take, before it runs: memory by part and operations of a step, at sequences as
 * long as they may be. Of a transformer the passes are told by closed forms; of other policies,
 * which are small, only the parameters. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_COST_ESTIMATE_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_COST_ESTIMATE_H

#include "experiments/program/config/experiment.h"

typedef struct RgTrialCost {
    int64_t trained, frozen; /* parameters; the reference's are frozen */

    /* Bytes. */
    double program; /* with the environment's data, as measured now */
    double weights, reference, gradients, optimizer;
    double own;         /* that the method holds besides */
    double activations; /* of a pass of a step, from forward to the end of backward */
    double values;      /* of the largest pass without gradients; its memory is kept */
    double copies;      /* of what is multiplied, to bf16 or from it */
    double temporary;   /* the largest of what comes and goes beside all this … */
    const char *temporary_of;
    double loading; /* weights, before training begins */
    double total;   /* at the peak */

    /* Operations of a step: of passes, and of networks that a method has besides; and those before
     * the first step. */
    double policy_flops, reference_flops, sampling_flops, other_flops;
    double create_flops;

    /* Of a step, on average, with responses of the limit, and before the first one; NaN: not
     * known. */
    double generated_tokens, judge_queries;
    double create_tokens, create_queries;
    bool at_most; /* operations, tokens and queries hang on the data: they are the most that may be
                   */

    int64_t epoch_steps; /* that budget.epochs comes to; 0: not known before, or there is none */

    int64_t prompt_length, response_length; /* the longest */
    const char *left_out;                   /* what is not in the figures, or NULL */
} RgTrialCost;

/* Environments that plans were made with, kept from one trial to the next. Start zeroed. */
typedef struct RgCostEstimator {
    RgEnvironment *environment;
    char *identity;
    double program;
} RgCostEstimator;

RgStatus rg_cost_estimate_trial(RgCostEstimator *planner, const RgTrialSpec *plan,
                                RgTrialCost *cost, RgError *error);
void rg_cost_estimator_clear(RgCostEstimator *planner);

/* Operations of a step in all; 0: they are not planned. */
double rg_trial_step_flops(const RgTrialCost *cost);

#endif
