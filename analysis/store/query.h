/* SPDX-License-Identifier: MIT */
/* Reading the results store: one experiment as plain structs, and the curves, items and responses
 * of its trials on demand. All SQL of the analysis is in query.c and query_values.c (and in
 * run_status.c, for runs in progress). Tables, plots, comparisons and the report use only these declarations. One thread at a
 * time uses an RgResults. */
#ifndef RG_ANALYSIS_STORE_QUERY_H
#define RG_ANALYSIS_STORE_QUERY_H

#include "analysis/store/choice.h"
#include "analysis/store/fields.h"
#include "core/base.h"
#include "core/results/store.h"

typedef enum RgTrialStatus {
    RG_TRIAL_RUNNING,
    RG_TRIAL_FINISHED,
    RG_TRIAL_DIVERGED,
    RG_TRIAL_FAILED,
    RG_TRIAL_STATUSES,
} RgTrialStatus;

typedef struct RgTrial {
    int64_t id, seed;
    char *algorithm, *label, *reason; /* reason may be NULL */
    RgTrialStatus status;
    RgFields swept;
    char *config, *provenance; /* JSON as stored; NULL when absent */
    char *updated;             /* time of the last change of status, UTC; may be NULL */
    int64_t last_step;         /* last step with a reading; −1: none */
    int64_t evaluated_step;    /* last evaluated step, up to which costs are counted; −1: none */
    int64_t result_step; /* step of the trial's result: selected, or else the last; −1: none */
    char *gaps;          /* "steps 0 to 20", missing in its curves; NULL: none */
    int rank;            /* position of its method in the experiment's config */
} RgTrial;

/* All seeds of one method with the same swept values: a row of the table, a curve of a plot. */
typedef struct RgGroup {
    const char *label, *algorithm;
    const RgFields *swept;
    char *name; /* "SAIL-PR, exploration 0.3": unique in the experiment */
    const RgTrial **trials;
    int count;
    int by_status[RG_TRIAL_STATUSES];
} RgGroup; /* in the config's order, then other methods by label; then by swept values */

typedef struct RgReadFailure RgReadFailure;

typedef struct RgResults {
    RgStore *store;
    RgReadFailure *failure; /* first failure of a read after loading, see rg_results_status */
    char *path;
    int64_t experiment;
    char *name, *config, *created;
    RgTrial
        *trials; /* the newest of each (label, swept values, seed) that did not fail, or that did
                      * if all have; by seed within a group */
    int trial_count;
    int superseded; /* older trials of the same label, swept values and seed, left out */
    int left_out;   /* trials not in the config that was run last, left out */
    int failed;     /* trials in that config, which all failed, so that others stand for them */
    bool of_others; /* some trials are not in that config */
    RgGroup *groups;
    int group_count;
    const char **metrics; /* names of all metrics, "eval/…" and of training; NULL-terminated */
    const char **columns; /* names of all per-item columns; NULL-terminated */
    const char **swept;   /* names of all swept options; NULL-terminated */
} RgResults;

/* Load the trials of `choice` (choice.h); NULL: those of the config that was run last. Fails if the
 * store's file is damaged, or a row is invalid. */
RgStatus rg_results_open(const char *store, const RgChoice *choice, RgResults **results,
                         RgError *error);
void rg_results_close(RgResults *results);

/* The functions below that return values read the store, and have no status of their own. Their
 * values are valid only if this returns RG_OK. It returns the first failure and sets its message in
 * `error`; without a failure it returns `status`. Each command calls it before it writes
 * results. */
RgStatus rg_results_status(const RgResults *results, RgStatus status, RgError *error);

/* The trials that represent a group: the finished ones, or the running ones if none has finished.
 * trials [group->count] out; returns their number. */
int rg_group_sample(const RgGroup *group, const RgTrial **trials);

/* "Their curves lack rows of steps: dpo, seed 1 (steps 0 to 20)."; NULL if there are none;
 * malloc'd. */
char *rg_results_gaps(const RgResults *results);

/* "3 trials not in the config that was run last are left out: --all shows them.", or that all of
 * those in it failed; NULL if neither is so; malloc'd. */
char *rg_results_left_out(const RgResults *results);

/* Why a trial did not finish, without the step, which is last_step. */
const char *rg_trial_reason(const RgTrial *trial);

/* The group with this full name; or with this label, if it is unique. */
RgStatus rg_results_group(const RgResults *results, const char *name, const RgGroup **group,
                          RgError *error);

/* A quantity with a value at a step: a metric, or a cost from the meter's readings. */
typedef enum RgUnit {
    RG_UNIT_PLAIN,
    RG_UNIT_PERCENT, /* a share in [0, 1], shown in percent */
    RG_UNIT_COUNT,   /* shown with k, M, G, T */
    RG_UNIT_SECONDS,
    RG_UNIT_BYTES,
} RgUnit;

typedef struct RgMeasure {
    const char *name;    /* as requested: "reward", "flops" */
    const char *stored;  /* metric name in the store, or expression on `readings` */
    const char *heading; /* for people */
    RgUnit unit;
    bool cost;
} RgMeasure;

/* From a name: a cost, "eval/<name>" or its short form <name>, or a training metric. */
RgStatus rg_results_measure(const RgResults *results, const char *name, RgMeasure *measure,
                            RgError *error);
/* All names that rg_results_measure accepts in the experiment, NULL-terminated: short names of
 * metrics, then costs. The caller frees the array. */
const char **rg_results_quantities(const RgResults *results);
/* The measures with known heading and unit, by index; NULL after the last. */
const RgMeasure *rg_measure_known(size_t i);
/* As rg_results_measure without an error: whether the experiment has the measure. */
bool rg_results_has(const RgResults *results, const char *name, RgMeasure *measure);

/* The step at which a measure of a trial is read: a metric at its result, a cost at its end. */
int64_t rg_trial_result(const RgTrial *trial, const RgMeasure *measure);
/* Value at one step; NaN if absent. */
double rg_trial_value(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                      int64_t step);

typedef struct RgPoint {
    int64_t step;
    double value;
} RgPoint;

/* All steps that have the measure, in order; the caller frees. */
int64_t rg_trial_curve(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                       RgPoint **points);

/* Whether the trial's seed determines the environment, so that the same item of another seed is
 * unrelated. Not so with an environment.seed in the config, nor for texts, whose test prompts are
 * lines of a file. */
bool rg_trial_has_own_items(const RgTrial *trial);

/* What intervals are over, in a sentence: "seeds and prompts"; "seeds" if every trial has items of
 * its own, or none. */
const char *rg_results_sources(const RgResults *results);

/* A per-item column at the trial's result step, indexed by item; missing items are NaN. The caller
 * frees. Returns the number of items, 0 if there is no such column. */
int64_t rg_trial_items(const RgResults *results, const RgTrial *trial, const char *column,
                       double **values);

int64_t rg_trial_items_at(const RgResults *results, const RgTrial *trial, const char *column,
                          int64_t step, double **values); /* likewise at any step */

/* Columns of several trials as one matrix [trials, items]; the caller frees. */
int64_t rg_trials_items(const RgResults *results, const RgTrial **trials, int count,
                        const char *column, double **values);

typedef struct RgResponse {
    int64_t item;
    char *prompt, *response;
} RgResponse;

/* Sample responses at the trial's result step, by item; freed by rg_responses_free. */
int64_t rg_trial_responses(const RgResults *results, const RgTrial *trial, RgResponse **responses);
void rg_responses_free(RgResponse *responses, int64_t count);

/* RG_E_USAGE, suggesting the nearest of `names`, or listing all if there are few. */
RgStatus rg_unknown_name(RgError *error, const char *what, const char *name,
                         const char *const *names);

#endif
