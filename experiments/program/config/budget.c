/* SPDX-License-Identifier: MIT */
/* Budgets: limits compared with the meter. */
#include "experiments/program/config/budget.h"

#include <math.h>

const char *const rg_cost_names[] = {"steps",         "flops", "seconds", "generated_tokens",
                                     "judge_queries", NULL};

const RgOption rg_budget_options[] = {
    RG_OPTION_INTEGER(RgBudgetOptions, steps, "0", 0, 1e12, "maximum number of steps; 0: no limit"),
    RG_OPTION_REAL(RgBudgetOptions, flops, "0", 0, 1e30,
                   "floating-point operations after which a trial ends; 0: no limit"),
    RG_OPTION_REAL(RgBudgetOptions, seconds, "0", 0, 1e12,
                   "seconds of training after which a trial ends; 0: no limit"),
    RG_OPTION_INTEGER(RgBudgetOptions, generated_tokens, "0", 0, 1e15,
                      "tokens sampled for training after which a trial ends; 0: no limit"),
    RG_OPTION_INTEGER(RgBudgetOptions, judge_queries, "0", 0, 1e15,
                      "judged responses after which a trial ends; 0: no limit"),
    RG_OPTION_REAL(RgBudgetOptions, epochs, "0", 0, 1e9,
                   "passes over the training data after which a trial ends: offline pairs, "
                   "demonstrations, or the prompts of methods that sample all they train on; 0: no "
                   "limit",
                   .later = true),
    RG_OPTION_REAL(RgBudgetOptions, kl, "0", 0, 1e9,
                   "largest divergence from the reference, in nats: a trial ends at the first "
                   "evaluation above it; its result is the last evaluation within the limit, or "
                   "the best of these by evaluation.select; 0: no limit",
                   .later = true),
    RG_OPTION_END,
};

const RgOption rg_evaluation_options[] = {
    RG_OPTION_REAL(RgEvaluationOptions, every, "0", 0, 1e30,
                   "steps, or the cost `per`, between evaluations; 0: only at the end"),
    RG_OPTION_CHOICE(RgEvaluationOptions, per, "steps", rg_cost_names,
                     "what `every` counts: with a cost, a trial is evaluated after the first step "
                     "that reaches each multiple, so that methods are compared at equal spending"),
    RG_OPTION_BOOLEAN(RgEvaluationOptions, start, "true", "evaluate before the first step too"),
    RG_OPTION_INTEGER(RgEvaluationOptions, log_every, "10", 1, 1e12,
                      "steps between logged training metrics"),
    RG_OPTION_STRING(RgEvaluationOptions, select, "",
                     "metric, such as win_rate_base, by which the best evaluation is chosen: it is "
                     "the trial's result, and the trial ends with its policy; \"\": the last one",
                     .later = true),
    RG_OPTION_BOOLEAN(RgEvaluationOptions, lower_is_better, "false",
                      "whether the lowest value of `select` is the best", .later = true),
    RG_OPTION_INTEGER(
        RgEvaluationOptions, patience, "0", 0, 1e9,
        "number of evaluations in a row without an improvement of `select` after which "
        "a trial ends; 0: it runs to the end of its budget",
        .later = true),
    RG_OPTION_INTEGER(
        RgEvaluationOptions, gradients, "0", 0, 1e6,
        "number of batches, 2 or more, whose gradients an evaluation measures, term by term of the "
        "loss; 0: none. Training is the same and is charged nothing",
        .later = true),
    RG_OPTION_INTEGER(RgEvaluationOptions, gradient_batch, "0", 0, 1e9,
                      "size of these batches; 0: training.batch", .later = true),
    RG_OPTION_REAL(RgEvaluationOptions, gradient_temperature, "0", 0, 1e3,
                   "sampling temperature of their responses; 0: training.temperature",
                   .later = true),
    RG_OPTION_END,
};

double rg_spent(const RgSpending *spending, RgCost cost) {
    switch (cost) {
    case RG_COST_STEPS:
        return (double)spending->step;
    case RG_COST_FLOPS:
        return spending->meter.flops;
    case RG_COST_SECONDS:
        return spending->meter.seconds;
    case RG_COST_GENERATED_TOKENS:
        return (double)spending->meter.generated_tokens;
    case RG_COST_JUDGE_QUERIES:
        return (double)spending->meter.judge_queries;
    case RG_COSTS:
        break;
    }
    return 0;
}

double rg_budget_limit(const RgBudgetOptions *budget, RgCost cost) {
    switch (cost) {
    case RG_COST_STEPS:
        return (double)budget->steps;
    case RG_COST_FLOPS:
        return budget->flops;
    case RG_COST_SECONDS:
        return budget->seconds;
    case RG_COST_GENERATED_TOKENS:
        return (double)budget->generated_tokens;
    case RG_COST_JUDGE_QUERIES:
        return (double)budget->judge_queries;
    case RG_COSTS:
        break;
    }
    return 0;
}

bool rg_selects(const RgEvaluationOptions *evaluation, const RgBudgetOptions *budget) {
    return evaluation->select[0] || budget->kl > 0;
}

/* What rounding adds to a whole number of batches makes no further one. */
int64_t rg_epoch_steps(double epochs, int64_t elements, int64_t batch) {
    double batches = epochs * (double)elements / (double)batch;
    double steps = ceil(batches * (1 - 1e-12));
    return steps < 1 ? 1 : (int64_t)fmin(steps, 1e15);
}

RgStatus rg_budget_resolve(RgBudgetOptions *budget, const RgRecipe *recipe, const RgTask *task,
                           int64_t batch, const char *label, RgError *error) {
    if (budget->epochs == 0)
        return RG_OK;
    const char *of;
    int64_t elements = rg_recipe_elements(recipe, task, &of);
    if (elements < 1)
        return rg_fail(error, RG_E_USAGE,
                       "budget.epochs = %g: %s goes over %s, of which the environment has none: "
                       "expected budget.steps, or another limit",
                       budget->epochs, label, of);
    int64_t steps = rg_epoch_steps(budget->epochs, elements, batch);
    if (budget->steps == 0 || steps < budget->steps)
        budget->steps = steps;
    return RG_OK;
}

/* A quotient of doubles is 1 or more only if the dividend is at least the divisor. */
double rg_budget_share(const RgBudgetOptions *budget, const RgSpending *spending, RgCost *cost) {
    double most = 0;
    if (cost)
        *cost = RG_COST_STEPS;
    for (int i = 0; i < RG_COSTS; i++) {
        double limit = rg_budget_limit(budget, (RgCost)i);
        double share = limit > 0 ? rg_spent(spending, (RgCost)i) / limit : 0;
        if (share <= most)
            continue;
        most = share;
        if (cost)
            *cost = (RgCost)i;
    }
    return most;
}

double rg_budget_steps(const RgBudgetOptions *budget, const double before[RG_COSTS],
                       const double each[RG_COSTS]) {
    double least = INFINITY;
    for (int i = 0; i < RG_COSTS; i++) {
        double limit = rg_budget_limit(budget, (RgCost)i);
        if (limit > 0 && each[i] > 0) /* false for NaN */
            least = fmin(least, ceil(fmax(limit - before[i], 0) / each[i]));
    }
    return isfinite(least) ? least : NAN;
}

bool rg_evaluation_due(const RgEvaluationOptions *evaluation, const RgSpending *before,
                       const RgSpending *after) {
    if (evaluation->every == 0)
        return false;
    RgCost cost = (RgCost)evaluation->per;
    return floor(rg_spent(after, cost) / evaluation->every) >
           floor(rg_spent(before, cost) / evaluation->every);
}

/* All terms are 1, because only whether work is done counts here, not how much. */
static bool work_spends(const RgAlgorithm *algorithm, const void *options, RgCost cost) {
    const RgWorkTerms terms = {.batch = 1, .steps = 1, .parameters = 1};
    RgWork create, step;
    bool sampled = cost == RG_COST_GENERATED_TOKENS, judged = cost == RG_COST_JUDGE_QUERIES;
    if (!(sampled || judged) || !rg_algorithm_work(algorithm, options, &terms, &create, &step))
        return true;
    return rg_work_responses(&step, sampled ? RG_WORK_SAMPLED : RG_WORK_JUDGED) > 0;
}

bool rg_step_spends(const RgAlgorithm *algorithm, const void *options, const RgRecipe *recipe,
                    RgCost cost) {
    RgRecipeCounts counts = rg_recipe_counts(recipe);
    bool own = recipe->on_policy > 0;
    if (algorithm->step)
        return work_spends(algorithm, options, cost);
    if (cost == RG_COST_GENERATED_TOKENS)
        return (counts.sampled > 0 && own) || counts.third > 0;
    return cost != RG_COST_JUDGE_QUERIES || ((counts.judged > 0 || counts.judges_all) && own);
}
