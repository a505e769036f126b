/* SPDX-License-Identifier: MIT */
/* What a results store says of every trial, under way or done: its row, what it has spent, its last
 * numbers. Tables and plots read experiments as in query.h; here is what a person who waits for a
 * run wants to know. */
#ifndef RG_ANALYSIS_STORE_RUN_STATUS_H
#define RG_ANALYSIS_STORE_RUN_STATUS_H

#include "core/results/store.h"

typedef struct RgTrialSummary {
    int64_t id, seed;
    char *key, *label, *swept; /* swept: JSON */
    char *status;              /* running, finished, diverged, failed */
    char *reason;              /* or NULL */
    int64_t step;              /* last one recorded; −1: none */
    RgMeter meter;             /* of that step */
    double evaluation_seconds; /* of all evaluations so far; 0 where they were not timed */
} RgTrialSummary;

typedef struct RgRunStatus {
    char *experiment;
    char *config; /* as JSON, see rg_settings_from_json */
    bool latest;  /* of the store's experiments, the one worked on last */
    RgTrialSummary *entries;
    int64_t count;
    struct RgLookup *keys; /* of entries, with their numbers */
} RgRunStatus;

typedef struct RgRunStatuses {
    RgStore *store;
    RgRunStatus *at; /* in the order in which they were first run */
    int64_t count;
} RgRunStatuses;

/* `experiment` NULL: all of the store; one that is not there makes an empty answer. */
RgStatus rg_run_statuses_open(const char *store, const char *experiment, RgRunStatuses *statuses,
                              RgError *error);
void rg_run_statuses_close(RgRunStatuses *statuses);

const RgTrialSummary *rg_run_status_find(const RgRunStatus *run_status,
                                         const char *key); /* or NULL */

/* Last value of a metric ("loss", "eval/reward") and its step; NaN and −1 when there is none. */
RgStatus rg_run_statuses_metric(const RgRunStatuses *statuses, const RgTrialSummary *entry,
                                const char *name, double *value, int64_t *step, RgError *error);

#endif
