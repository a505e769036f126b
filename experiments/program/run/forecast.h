/* SPDX-License-Identifier: MIT */
/* Status and total cost of an experiment's trials, before and while they run. Finished trials
 * report their own cost. Others are estimated from finished trials with the same method and swept
 * values, else from the cost model, else from finished trials with the same label. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_FORECAST_H
#define RG_EXPERIMENTS_PROGRAM_RUN_FORECAST_H

#include "analysis/store/run_status.h"
#include "experiments/program/config/cost_estimate.h"
#include "experiments/program/run/trial_setup.h"

typedef enum RgTrialState {
    RG_STATE_FINISHED,
    RG_STATE_DIVERGED,
    RG_STATE_FAILED,      /* will be run again */
    RG_STATE_RUNNING,     /* in a process that is writing the store */
    RG_STATE_INTERRUPTED, /* resumes from its checkpoint */
    RG_STATE_NEW,
    RG_STATES,
} RgTrialState;
extern const char *const rg_state_names[];

/* Totals of a trial; NaN: unknown. */
typedef enum RgForecastMeasure {
    RG_FORECAST_STEPS,
    RG_FORECAST_FLOPS,
    RG_FORECAST_GENERATED_TOKENS,
    RG_FORECAST_JUDGE_QUERIES,
    RG_FORECAST_SECONDS, /* including evaluation; never planned */
    RG_FORECASTS,
} RgForecastMeasure;
extern const char *const rg_forecast_names[];

typedef struct RgForecast {
    const RgTrialSpec *plan;
    const RgTrialSummary *entry; /* in the run status; NULL: none yet */
    RgTrialState state;
    double amount[RG_FORECASTS];
    bool at_most[RG_FORECASTS]; /* an upper bound: the value depends on intermediate results */
    double share;               /* spent share of the budget: 1 for a finished trial */
} RgForecast;

/* One forecast for each trial, in order. The caller frees the array. `run_status` is that of the
 * experiment, or NULL; `written`: a process is writing the store. `unplanned`, initially empty,
 * receives the reason if trials cannot be planned (such as missing data). With NULL nothing is
 * planned, which saves the time. `ready`, or NULL: an environment that plans may take. One thread at
 * a time. */
RgForecast *rg_forecast(const RgExperiment *experiment, const RgRunStatus *run_status, bool written,
                        RgReadyEnvironment *ready, RgError *unplanned);

/* Two methods of the same budget.epochs, swept values and seed of which one spends more than twice
 * the compute of the other: a sentence with both; malloc'd, NULL if there are none. FLOPs are
 * compared where all are known, else steps. */
char *rg_forecast_unequal_epochs(const RgForecast *forecasts, int64_t count);

/* Remaining seconds if the trials run one by one, at the pace of similar ones. Unknown times count
 * as the mean of the known ones. NaN if none is known. */
double rg_forecast_left(const RgForecast *forecasts, int64_t count);

/* Seconds of a trial so far, including evaluation. */
double rg_trial_summary_seconds(const RgTrialSummary *entry);

#endif
