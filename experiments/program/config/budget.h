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

/* A trial ends with the step that reaches one of its limits; 0: no such limit. Epochs become steps
 * once there is an environment (rg_budget_resolve). */
typedef struct RgBudgetOptions {
    int64_t steps;
    double flops;
    double seconds; /* of training */
    int64_t generated_tokens, judge_queries;
    double epochs; /* passes over the training data */
    double kl;     /* nats of an evaluation, above which a trial ends; 0: no limit */
} RgBudgetOptions;

typedef struct RgEvaluationOptions {
    double every;      /* of the cost `per`, between evaluations; 0: at the end only */
    int per;           /* an RgCost */
    bool start;        /* also before the first step */
    int64_t log_every; /* steps between logged training metrics */
    /* Which evaluation is the trial's result, with its policy: the best by this metric, "": the
     * last; after so many without a better one the trial ends, 0: never. */
    const char *select;
    bool lower_is_better;
    int64_t patience;
    int64_t gradients;           /* batches whose gradients are measured; 0: none */
    int64_t gradient_batch;      /* pairs of such a batch; 0: as in training */
    double gradient_temperature; /* of their responses; 0: as in training */
} RgEvaluationOptions;

extern const RgOption rg_budget_options[], rg_evaluation_options[];

/* What a trial has spent so far. */
typedef struct RgSpending {
    int64_t step;
    RgMeter meter;
} RgSpending;

double rg_spent(const RgSpending *spending, RgCost cost);
double rg_budget_limit(const RgBudgetOptions *budget, RgCost cost); /* 0: none */

/* Whether an evaluation other than the last may be a trial's result. */
bool rg_selects(const RgEvaluationOptions *evaluation, const RgBudgetOptions *budget);

/* Steps that so many passes over `elements` take in batches of `batch`; 1 or more. */
int64_t rg_epoch_steps(double epochs, int64_t elements, int64_t batch);

/* Put the steps that `epochs` come to with these data in the place of `steps`, where those are more
 * or 0. Refused where the algorithm, called `label`, goes over data that the task has not. */
RgStatus rg_budget_resolve(RgBudgetOptions *budget, const RgRecipe *recipe, const RgTask *task,
                           int64_t batch, const char *label, RgError *error);

/* The largest spent share of any limit; at 1 or more the trial is over. 0 without a limit. `cost`,
 * unless NULL, receives the cost of that limit. */
double rg_budget_share(const RgBudgetOptions *budget, const RgSpending *spending, RgCost *cost);

/* Steps until the first limit is reached, of a trial that has spent `before` when it starts and
 * `each` in every step. A cost that is NaN or 0 in `each` is ignored. NaN: no limit is ever
 * reached. */
double rg_budget_steps(const RgBudgetOptions *budget, const double before[RG_COSTS],
                       const double each[RG_COSTS]);

/* Whether a multiple of `every` was reached between `before` and `after`. */
bool rg_evaluation_due(const RgEvaluationOptions *evaluation, const RgSpending *before,
                       const RgSpending *after);

/* Whether a step of an algorithm with these options can spend any of a cost. True for algorithms
 * that have their own step and do not declare its work. */
bool rg_step_spends(const RgAlgorithm *algorithm, const void *options, const RgRecipe *recipe,
                    RgCost cost);

#endif
