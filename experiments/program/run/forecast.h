/* SPDX-License-Identifier: MIT */
/* What is known of the trials of an experiment before and while they run: where each stands, and
 * what it takes in all. A trial that is done tells itself; of others the finished ones of the same
 * method and values speak, else the plan, else the finished ones of the same label. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_FORECAST_H
#define RG_EXPERIMENTS_PROGRAM_RUN_FORECAST_H

#include "analysis/store/run_status.h"
#include "experiments/program/config/cost_estimate.h"

typedef enum RgTrialState {
    RG_STATE_FINISHED,
    RG_STATE_DIVERGED,
    RG_STATE_FAILED,      /* runs again */
    RG_STATE_RUNNING,     /* by a process that writes the store now */
    RG_STATE_INTERRUPTED, /* goes on from its checkpoint */
    RG_STATE_NEW,
    RG_STATES,
} RgTrialState;
extern const char *const rg_state_names[];

/* What a trial takes in all; NaN: not known. */
typedef enum RgForecastMeasure {
    RG_FORECAST_STEPS,
    RG_FORECAST_FLOPS,
    RG_FORECAST_GENERATED_TOKENS,
    RG_FORECAST_JUDGE_QUERIES,
    RG_FORECAST_SECONDS, /* with evaluation; never planned */
    RG_FORECASTS,
} RgForecastMeasure;
extern const char *const rg_forecast_names[];

typedef struct RgForecast {
    const RgTrialSpec *plan;
    const RgTrialSummary *entry; /* of the run_status; NULL: none yet */
    RgTrialState state;
    double amount[RG_FORECASTS];
    bool at_most[RG_FORECASTS]; /* it hangs on what is found on the way, and is no more than that */
    double share;               /* of the budget, spent: 1 when it is done */
} RgForecast;

/* One for each trial, in order; freed by the caller. `run_status` is that of the experiment, or
 * NULL; `written` tells whether a process writes the store. `unplanned`, which starts empty, takes
 * the reason why trials could not be planned, if so (data that are not there); NULL: nothing is
 * planned, which takes no time. */
RgForecast *rg_forecast(const RgExperiment *experiment, const RgRunStatus *run_status, bool written,
                        RgError *unplanned);

/* Seconds that are left if the trials go on one by one, as their likes did; unknown ones count as
 * the mean of the known. NaN when nothing is known. */
double rg_forecast_left(const RgForecast *forecasts, int64_t count);

/* Seconds that a trial has taken so far, with evaluation. */
double rg_trial_summary_seconds(const RgTrialSummary *entry);

#endif
