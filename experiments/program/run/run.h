/* SPDX-License-Identifier: MIT */
/* Running an experiment into a results store: one trial after another, concurrently, or in shares.
 * Main thread only. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_RUN_H
#define RG_EXPERIMENTS_PROGRAM_RUN_RUN_H

#include "experiments/program/run/mpi.h"
#include "experiments/program/run/trial.h"

typedef struct RgRunOptions {
    const char *results; /* NULL: results/NAME.db */
    int threads, jobs;   /* jobs: concurrent trials, among which the threads are divided */
    int share, shares;   /* every `shares`th trial from number `share` on; share 0: all trials */
    double memory_limit; /* bytes; 0: none */
    double checkpoint_seconds;
    const char *events; /* folder of TensorBoard's event files; NULL: none */
    bool quiet;
} RgRunOptions;

/* Whether each trial runs in its own process: for concurrent trials, and to enforce the memory
 * limit. */
bool rg_run_in_pool(const RgRunOptions *options);

/* The store `results`, or results/NAME.db if it is NULL. The caller frees the path. */
char *rg_experiment_store_path(const RgExperiment *experiment, const char *results);

/* Runs the unfinished trials of an experiment, as rg_trial_run does. With several ranks or shares
 * it runs only those of this process, into a partial store. Partial stores of ranks are merged at
 * the end if all ranks have closed theirs, which `complete` reports. With `ranks` NULL, as for a
 * single rank, `complete` may be NULL too. */
RgStatus rg_experiment_run(RgExperiment *experiment, RgRanks *ranks, const RgRunOptions *options,
                           bool *complete, RgError *error);

#endif
