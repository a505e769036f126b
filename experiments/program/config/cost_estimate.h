/* SPDX-License-Identifier: MIT */
/* Estimates the cost of a trial before it runs: memory by part and FLOPs per step, for sequences of
 * maximal length. For transformers the passes have closed forms; for other policies, which are
 * small, only the parameters are counted. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_COST_ESTIMATE_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_COST_ESTIMATE_H

#include "experiments/program/config/experiment.h"

typedef struct RgTrialCost {
    int64_t trained, frozen; /* parameters; the reference's are frozen */

    /* Bytes. */
    double program; /* including the environment's data, as measured now */
    double weights, reference, gradients, optimizer;
    double own;         /* further state of the method */
    double activations; /* of a step's pass, from forward to the end of backward */
    double values;      /* of the largest pass without gradients; its memory is kept */
    double copies;      /* of GEMM operands converted to or from bf16 */
    double temporary;   /* the largest temporary allocation beside all this … */
    const char *temporary_of;
    double loading; /* loading weights, before training begins */
    double total;   /* at the peak */

    /* FLOPs of a step: of passes, and of further networks of a method; and FLOPs before the first
     * step. */
    double policy_flops, reference_flops, sampling_flops, other_flops;
    double create_flops;

    /* Of a step, on average, with responses at the limit, and before the first step; NaN: not
     * known. */
    double generated_tokens, judge_queries;
    double create_tokens, create_queries;
    bool at_most; /* FLOPs, tokens and queries depend on the data: the values are upper bounds */

    int64_t epoch_steps; /* that budget.epochs comes to; 0: not known before, or there is none */

    int64_t prompt_length, response_length; /* the longest */
    const char *left_out;                   /* what the figures do not include, or NULL */
} RgTrialCost;

/* Caches an environment between the estimates of successive trials. Start zeroed. One thread at a
 * time. */
typedef struct RgCostEstimator {
    RgEnvironment *environment;
    char *identity;
    double program;
} RgCostEstimator;

RgStatus rg_cost_estimate_trial(RgCostEstimator *planner, const RgTrialSpec *plan,
                                RgTrialCost *cost, RgError *error);
/* Takes ownership of an environment that was made for a trial, so that it is not made again. */
void rg_cost_estimator_take(RgCostEstimator *planner, const RgTrialSpec *plan,
                            RgEnvironment *environment);
void rg_cost_estimator_clear(RgCostEstimator *planner);

/* Total FLOPs of a step; 0: not estimated. */
double rg_trial_step_flops(const RgTrialCost *cost);

#endif
