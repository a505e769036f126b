/* SPDX-License-Identifier: MIT */
/* Forecasts from the run status and the cost model. */
#include "experiments/program/run/forecast.h"

#include "core/lookup.h"
#include "experiments/program/config/units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rg_state_names[] = {"finished",    "diverged", "failed", "running",
                                      "interrupted", "new",      NULL};
const char *const rg_forecast_names[] = {"steps",         "flops",   "generated_tokens",
                                         "judge_queries", "seconds", NULL};

double rg_trial_summary_seconds(const RgTrialSummary *entry) {
    return entry->meter.seconds + entry->evaluation_seconds;
}

static bool is_done(const RgForecast *f) {
    return f->state == RG_STATE_FINISHED || f->state == RG_STATE_DIVERGED;
}

static RgTrialState state_of(const RgTrialSummary *entry, bool written) {
    for (int i = 0; entry && i < RG_STATE_RUNNING; i++)
        if (strcmp(entry->status, rg_state_names[i]) == 0)
            return (RgTrialState)i;
    return !entry ? RG_STATE_NEW : written ? RG_STATE_RUNNING : RG_STATE_INTERRUPTED;
}

static void set_spent(const RgTrialSummary *entry, double amount[RG_FORECASTS]) {
    amount[RG_FORECAST_STEPS] = (double)entry->step;
    amount[RG_FORECAST_FLOPS] = entry->meter.flops;
    amount[RG_FORECAST_GENERATED_TOKENS] = (double)entry->meter.generated_tokens;
    amount[RG_FORECAST_JUDGE_QUERIES] = (double)entry->meter.judge_queries;
    amount[RG_FORECAST_SECONDS] = rg_trial_summary_seconds(entry);
}

static RgForecast begin(const RgTrialSpec *plan, const RgRunStatus *run_status, bool written) {
    RgForecast f = {.plan = plan, .entry = rg_run_status_find(run_status, plan->key)};
    f.state = state_of(f.entry, written);
    for (int i = 0; i < RG_FORECASTS; i++)
        f.amount[i] = NAN;
    if (f.entry && f.entry->step >= 0) {
        RgSpending spending = {f.entry->step, f.entry->meter};
        f.share = fmin(rg_budget_share(&plan->budget, &spending, NULL), 1);
    }
    if (is_done(&f)) {
        f.share = 1;
        set_spent(f.entry, f.amount);
    }
    return f;
}

/* ---- from other trials ---- */

/* Mean spending of similar finished trials: with the same label, or also with the same swept
 * values. */
typedef struct Others {
    bool swept;
    RgLookup *kinds; /* numbers of sums */
    struct Sum {
        double amount[RG_FORECASTS];
        int64_t trials;
    } * sums;
    int64_t count;
} Others;

static char *kind_of(const Others *others, const RgTrialSpec *plan) {
    return rg_string_format("%s\n%s", plan->part.label, others->swept ? plan->swept_json : "");
}

static void add_spent(Others *others, const RgForecast *f) {
    char *kind = kind_of(others, f->plan);
    double spent[RG_FORECASTS];
    int64_t *number = rg_lookup_at(others->kinds, kind, strlen(kind));
    if (*number < 0) {
        *number = others->count++;
        others->sums = rg_reallocate(others->sums, (size_t)others->count, sizeof *others->sums);
        others->sums[*number] = (struct Sum){0};
    }
    RG_ASSERT(*number < others->count);
    struct Sum *sum = &others->sums[*number];
    set_spent(f->entry, spent);
    for (int k = 0; k < RG_FORECASTS; k++)
        sum->amount[k] += spent[k];
    sum->trials++;
    free(kind);
}

static Others gather_others(const RgForecast *all, int64_t count, bool swept) {
    Others others = {.swept = swept, .kinds = rg_lookup_create()};
    for (int64_t i = 0; i < count; i++)
        if (all[i].state == RG_STATE_FINISHED)
            add_spent(&others, &all[i]);
    return others;
}

static void release_others(Others *others) {
    rg_lookup_destroy(others->kinds);
    free(others->sums);
}

/* Fills in the means of similar trials. */
static void fill_from_others(RgForecast *f, const Others *others) {
    char *kind = kind_of(others, f->plan);
    int64_t number = rg_lookup_find(others->kinds, kind, strlen(kind));
    free(kind);
    RG_ASSERT(number < others->count);
    for (int k = 0; k < RG_FORECASTS && number >= 0; k++)
        if (isnan(f->amount[k]))
            f->amount[k] = others->sums[number].amount[k] / (double)others->sums[number].trials;
}

/* ---- from the cost model ---- */

static void fill_from_plan(RgCostEstimator *planner, RgForecast *f, RgError *unplanned) {
    static const RgCost of[] = {RG_COST_STEPS, RG_COST_FLOPS, RG_COST_GENERATED_TOKENS,
                                RG_COST_JUDGE_QUERIES};
    RgTrialCost cost;
    if (unplanned->text[0] || rg_cost_estimate_trial(planner, f->plan, &cost, unplanned) != RG_OK)
        return;
    double flops = rg_trial_step_flops(&cost);
    const double before[RG_COSTS] = {[RG_COST_FLOPS] = cost.create_flops,
                                     [RG_COST_GENERATED_TOKENS] = cost.create_tokens,
                                     [RG_COST_JUDGE_QUERIES] = cost.create_queries};
    double each[RG_COSTS] = {[RG_COST_STEPS] = 1,
                             [RG_COST_FLOPS] = flops > 0 ? flops : NAN,
                             [RG_COST_SECONDS] = NAN,
                             [RG_COST_GENERATED_TOKENS] = cost.generated_tokens,
                             [RG_COST_JUDGE_QUERIES] = cost.judge_queries};
    RgBudgetOptions budget = f->plan->budget;
    if (budget.epochs > 0 && cost.epoch_steps == 0)
        return; /* they may end it before all else */
    if (cost.epoch_steps > 0 && (budget.steps == 0 || cost.epoch_steps < budget.steps))
        budget.steps = cost.epoch_steps;
    const double only_steps[RG_COSTS] = {1, NAN, NAN, NAN, NAN}; /* upper bounds give no pace */
    double steps = rg_budget_steps(&budget, before, cost.at_most ? only_steps : each);
    for (int i = 0; i < RG_FORECAST_SECONDS; i++)
        if (isnan(f->amount[i])) {
            f->amount[i] = before[of[i]] + steps * each[of[i]];
            f->at_most[i] = cost.at_most && i != RG_FORECAST_STEPS && f->amount[i] > 0;
        }
}

/* A trial without training is only evaluated, which is not charged. */
static void fill_without_training(RgForecast *f) {
    for (int i = 0; i < RG_FORECAST_SECONDS; i++)
        f->amount[i] = 0;
}

RgForecast *rg_forecast(const RgExperiment *experiment, const RgRunStatus *run_status, bool written,
                        RgReadyEnvironment *ready, RgError *unplanned) {
    int64_t count = experiment->trial_count;
    RgForecast *all = rg_allocate(count, sizeof *all);
    RgCostEstimator planner = {0};
    if (ready && ready->environment) {
        rg_cost_estimator_take(&planner, ready->plan, ready->environment);
        *ready = (RgReadyEnvironment){0};
    }
    for (int64_t i = 0; i < count; i++)
        all[i] = begin(&experiment->trials[i], run_status, written);
    Others same = gather_others(all, count, true), near = gather_others(all, count, false);
    for (int64_t i = 0; i < count; i++) {
        const RgAlgorithm *a = all[i].plan->algorithm;
        if (is_done(&all[i]))
            continue;
        fill_from_others(&all[i], &same);
        if (!a->loss && !a->step)
            fill_without_training(&all[i]);
        else if (unplanned)
            fill_from_plan(&planner, &all[i], unplanned);
        fill_from_others(&all[i], &near);
    }
    release_others(&same);
    release_others(&near);
    rg_cost_estimator_clear(&planner);
    return all;
}

/* ---- equal epochs ---- */

/* Whether two trials go over the same number of epochs by different methods, and differ in nothing
 * else that varies. */
static bool are_to_be_compared(const RgForecast *a, const RgForecast *b) {
    return a->plan->budget.epochs > 0 && a->plan->budget.epochs == b->plan->budget.epochs &&
           a->plan->seed == b->plan->seed &&
           strcmp(a->plan->part.label, b->plan->part.label) != 0 &&
           strcmp(a->plan->swept_json, b->plan->swept_json) == 0;
}

/* Upper bounds say little of what is spent. */
static bool is_known(const RgForecast *f, RgForecastMeasure measure) {
    return f->amount[measure] > 0 && !f->at_most[measure]; /* false for NaN */
}

static double ratio_of(const RgForecast *most, const RgForecast *least, RgForecastMeasure measure) {
    return is_known(most, measure) && is_known(least, measure)
               ? most->amount[measure] / least->amount[measure]
               : 0;
}

char *rg_forecast_unequal_epochs(const RgForecast *all, int64_t count) {
    const double tolerable = 2;
    RgForecastMeasure measure = RG_FORECAST_FLOPS;
    for (int64_t i = 0; i < count; i++)
        if (all[i].plan->budget.epochs > 0 && isnan(all[i].amount[measure]))
            measure = RG_FORECAST_STEPS;
    const RgForecast *most = NULL, *least = NULL;
    double greatest = tolerable;
    for (int64_t i = 0; i < count && all[i].plan->seed == all[0].plan->seed; i++)
        for (int64_t j = 0; j < count && all[j].plan->seed == all[0].plan->seed; j++)
            if (are_to_be_compared(&all[i], &all[j]) &&
                ratio_of(&all[i], &all[j], measure) > greatest) {
                most = &all[i];
                least = &all[j];
                greatest = ratio_of(most, least, measure);
            }
    if (!most)
        return NULL;
    char of_most[32], of_least[32];
    const char *unit = measure == RG_FORECAST_FLOPS ? "FLOP" : "steps";
    return rg_string_format(
        "equal epochs are not equal compute: for budget.epochs = %g, %s takes %.3g times as many "
        "%s "
        "as %s (%s and %s), because their steps draw different data; budget.flops would be equal",
        most->plan->budget.epochs, most->plan->part.label, greatest, unit, least->plan->part.label,
        rg_units_text(most->amount[measure], of_most),
        rg_units_text(least->amount[measure], of_least));
}

/* ---- remaining time ---- */

/* Total seconds of a trial: from similar trials, or from its own pace so far. */
static double seconds_in_all(const RgForecast *f) {
    if (!isnan(f->amount[RG_FORECAST_SECONDS]))
        return f->amount[RG_FORECAST_SECONDS];
    return f->entry && f->share > 0 ? rg_trial_summary_seconds(f->entry) / f->share : NAN;
}

double rg_forecast_left(const RgForecast *forecasts, int64_t count) {
    double known = 0, left = 0;
    int64_t known_count = 0, waiting = 0;
    for (int64_t i = 0; i < count; i++) {
        double seconds = seconds_in_all(&forecasts[i]);
        if (isnan(seconds))
            continue;
        known += seconds;
        known_count++;
    }
    for (int64_t i = 0; i < count; i++) {
        const RgForecast *f = &forecasts[i];
        if (is_done(f))
            continue;
        double seconds = seconds_in_all(f);
        left += (1 - f->share) * (isnan(seconds) ? known / (double)known_count : seconds);
        waiting++;
    }
    return waiting > 0 ? left : 0;
}
