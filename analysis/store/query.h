/* SPDX-License-Identifier: MIT */
/* Reading the results store: one experiment as plain structs, and the curves, items and responses
 * of its trials on demand. All SQL of the analysis is in query.c (and in run_status.c, of runs
 * under way); tables, plots, comparisons and the report see only what is declared here. */
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
    char *updated;             /* when its status last changed, UTC; may be NULL */
    int64_t last_step;         /* last step with a reading; −1: none */
    int64_t result_step;       /* last evaluated step, the trial's result; −1: none */
    char *gaps;                /* "steps 0 to 20", that its curves lack; NULL: none */
    int rank;                  /* of its method in the experiment's config */
} RgTrial;

/* All seeds of one method with the same swept values: a row of the table, a curve of a plot. */
typedef struct RgGroup {
    const char *label, *algorithm;
    const RgFields *swept;
    char *name; /* "SAIL-PR, exploration 0.3": unique in the experiment */
    const RgTrial **trials;
    int count;
    int by_status[RG_TRIAL_STATUSES];
} RgGroup; /* in the order of the config, methods that it has not by label; then by swept values */

typedef struct RgReadFailure RgReadFailure;

typedef struct RgResults {
    RgStore *store;
    RgReadFailure *failure; /* of a reading after loading, see rg_results_status */
    char *path;
    int64_t experiment;
    char *name, *config, *created;
    RgTrial *trials; /* the newest of each (label, swept values, seed), by seed within a group */
    int trial_count;
    int superseded; /* older trials of the same label, swept values and seed, left out */
    int left_out;   /* trials that the config that was run last does not ask for */
    bool of_others; /* some of its trials are such all the same, as they were asked for by name */
    RgGroup *groups;
    int group_count;
    const char **metrics; /* names of all metrics, "eval/…" and of training; NULL-terminated */
    const char **columns; /* names of all per-item columns; NULL-terminated */
    const char **swept;   /* names of all swept options; NULL-terminated */
} RgResults;

/* The trials that `choice` tells (choice.h); NULL: those of the config that was run last. Refused
 * where the store's file is damaged, or a row is not sound. */
RgStatus rg_results_open(const char *store, const RgChoice *choice, RgResults **results,
                         RgError *error);
void rg_results_close(RgResults *results);

/* The functions below that give values read the store, and cannot say that it failed: what they
 * give counts only if this says RG_OK. It returns the first failure, with its message in place of
 * what `error` says, or else `status`. Each command asks before it writes what it made. */
RgStatus rg_results_status(const RgResults *results, RgStatus status, RgError *error);

/* The trials that stand for a group: the finished ones, or those still running while none has
 * finished. Writes at most group->count pointers; returns how many. */
int rg_group_sample(const RgGroup *group, const RgTrial **trials);

/* "Their curves lack rows of steps: dpo, seed 1 (steps 0 to 20)."; NULL where none does; malloc'd.
 */
char *rg_results_gaps(const RgResults *results);

/* "3 trials that the config that was run last does not ask for are left out: --all shows them.";
 * NULL where there are none; malloc'd. */
char *rg_results_left_out(const RgResults *results);

/* Why a trial did not finish, without the step, which last_step tells. */
const char *rg_trial_reason(const RgTrial *trial);

/* The group named by its full name or, where that is unique, its label alone. */
RgStatus rg_results_group(const RgResults *results, const char *name, const RgGroup **group,
                          RgError *error);

/* Something that has a value at a step: a metric, or a cost from the meter's readings. */
typedef enum RgUnit {
    RG_UNIT_PLAIN,
    RG_UNIT_PERCENT, /* a share in [0, 1], shown in percent */
    RG_UNIT_COUNT,   /* shown with k, M, G, T */
    RG_UNIT_SECONDS,
    RG_UNIT_BYTES,
} RgUnit;

typedef struct RgMeasure {
    const char *name;    /* as asked for: "reward", "flops" */
    const char *stored;  /* metric name in the store, or expression on `readings` */
    const char *heading; /* as people read it */
    RgUnit unit;
    bool cost;
} RgMeasure;

/* By name: a cost, "eval/<name>" or, for those, the short <name>, or a training metric. */
RgStatus rg_results_measure(const RgResults *results, const char *name, RgMeasure *measure,
                            RgError *error);
/* All names that this takes in the experiment, NULL after the last: the short names of metrics,
 * then costs. The caller frees the array. */
const char **rg_results_quantities(const RgResults *results);
/* Those whose heading and unit are known, by number; NULL after the last. */
const RgMeasure *rg_measure_known(size_t i);
/* The same without complaint: is there such a thing in this experiment? */
bool rg_results_has(const RgResults *results, const char *name, RgMeasure *measure);

/* Value at one step; NaN when absent. */
double rg_trial_value(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                      int64_t step);

typedef struct RgPoint {
    int64_t step;
    double value;
} RgPoint;

/* All steps that have the measure, in order; the caller frees. */
int64_t rg_trial_curve(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                       RgPoint **points);

/* Did the trial's seed draw the environment, so that item 3 of another seed is another item? Not
 * with an environment.seed of the config, nor of texts, whose test prompts are lines of a file. */
bool rg_trial_has_own_items(const RgTrial *trial);

/* A per-item column at the trial's result step, indexed by item; missing items are NaN. The caller
 * frees; 0 items when there is no such column. */
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

/* RG_E_USAGE with the nearest of `names`, or all of them when there are few. */
RgStatus rg_unknown_name(RgError *error, const char *what, const char *name,
                         const char *const *names);

#endif
