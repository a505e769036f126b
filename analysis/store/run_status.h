/* SPDX-License-Identifier: MIT */
/* The status of every trial in a results store: its row, its cost and its last values. It serves
 * people who wait for a run; tables and plots read experiments by query.h. */
#ifndef RG_ANALYSIS_STORE_RUN_STATUS_H
#define RG_ANALYSIS_STORE_RUN_STATUS_H

#include "core/results/store.h"

typedef struct RgTrialSummary {
    int64_t id, seed;
    char *key, *label, *swept; /* swept: JSON */
    char *status;              /* running, finished, diverged, failed */
    char *reason;              /* or NULL */
    int64_t step;              /* last recorded step; −1: none */
    RgMeter meter;             /* of that step */
    double evaluation_seconds; /* of all evaluations so far; 0 if not timed */
} RgTrialSummary;

typedef struct RgRunStatus {
    char *experiment;
    char *config; /* as JSON, see rg_settings_from_json */
    bool latest;  /* the store's most recent experiment */
    RgTrialSummary *entries;
    int64_t count;
    struct RgLookup *keys; /* from key to index in `entries` */
} RgRunStatus;

typedef struct RgRunStatuses {
    RgStore *store;
    RgRunStatus *at; /* in the order of their first run */
    int64_t count;
} RgRunStatuses;

/* `experiment` NULL: all of the store; an unknown one gives an empty list. */
RgStatus rg_run_statuses_open(const char *store, const char *experiment, RgRunStatuses *statuses,
                              RgError *error);
void rg_run_statuses_close(RgRunStatuses *statuses);

/* The entry of a key; NULL if there is none. */
const RgTrialSummary *rg_run_status_find(const RgRunStatus *run_status, const char *key);

/* Last value of a metric ("loss", "eval/reward") and its step; NaN and −1 if there is none. */
RgStatus rg_run_statuses_metric(const RgRunStatuses *statuses, const RgTrialSummary *entry,
                                const char *name, double *value, int64_t *step, RgError *error);

#endif
