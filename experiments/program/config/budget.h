/* SPDX-License-Identifier: MIT */
/* What a trial may spend, and the spending at which it is evaluated. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_BUDGET_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_BUDGET_H

#include "algorithms/training/recipe.h"

/* Units of limits and evaluation points. */
typedef enum RgCost {
    RG_COST_STEPS,
    RG_COST_FLOPS,
    RG_COST_SECONDS,
    RG_COST_GENERATED_TOKENS,
    RG_COST_JUDGE_QUERIES,
    RG_COSTS,
} RgCost;
extern const char *const rg_cost_names[]; /* as options spell them; NULL-terminated */

/* A trial ends with the step that reaches one of its limits; 0: no such limit. */
typedef struct RgBudgetOptions {
    int64_t steps;
    double flops;
    double seconds; /* of training */
    int64_t generated_tokens, judge_queries;
} RgBudgetOptions;

typedef struct RgEvaluationOptions {
    double every;      /* of the cost `per`, between evaluations; 0: at the end only */
    int per;           /* an RgCost */
    bool start;        /* also before the first step */
    int64_t log_every; /* steps between logged training metrics */
} RgEvaluationOptions;

extern const RgOption rg_budget_options[], rg_evaluation_options[];

/* What a trial has spent so far. */
typedef struct RgSpending {
    int64_t step;
    RgMeter meter;
} RgSpending;

double rg_spent(const RgSpending *spending, RgCost cost);
double rg_budget_limit(const RgBudgetOptions *budget, RgCost cost); /* 0: none */

/* The largest spent share of any limit; at 1 or more the trial is over. 0 without a limit. `cost`,
 * unless NULL, receives the cost of that limit. */
double rg_budget_share(const RgBudgetOptions *budget, const RgSpending *spending, RgCost *cost);

/* Whether a multiple of `every` was reached between `before` and `after`. */
bool rg_evaluation_due(const RgEvaluationOptions *evaluation, const RgSpending *before,
                       const RgSpending *after);

/* Whether a step of an algorithm with these options can spend any of a cost. True for algorithms
 * that have their own step and do not declare its work. */
bool rg_step_spends(const RgAlgorithm *algorithm, const void *options, const RgRecipe *recipe,
                    RgCost cost);

#endif
