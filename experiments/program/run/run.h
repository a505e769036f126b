/* SPDX-License-Identifier: MIT */
/* Running an experiment into a results store: trial after trial, side by side, or shared out. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_RUN_H
#define RG_EXPERIMENTS_PROGRAM_RUN_RUN_H

#include "experiments/program/run/mpi.h"
#include "experiments/program/run/trial.h"

typedef struct RgRunOptions {
    const char *results; /* NULL: results/NAME.db */
    int threads, jobs;   /* jobs: trials at a time, among which the threads are divided */
    int share, shares;   /* every `shares`th trial from number `share` on; share 0: all of them */
    double memory_limit; /* bytes; 0: none */
    double checkpoint_seconds;
    bool quiet;
} RgRunOptions;

/* Whether each trial has a process of its own: for trials side by side, and for watching over what
 * one takes. */
bool rg_run_in_pool(const RgRunOptions *options);

/* The store that `results` names; where that is NULL, results/NAME.db. Freed by the caller. */
char *rg_experiment_store_path(const RgExperiment *experiment, const char *results);

/* Run what is not done of an experiment's trials, or, among several ranks or shares, what of them
 * is this process's to run, into a part of the store. Ranks' parts are put together in the end, if
 * all of them came so far, which `complete` tells; with `ranks` NULL, as for a rank alone, it may
 * be NULL too. As rg_trial_run for each trial. */
RgStatus rg_experiment_run(RgExperiment *experiment, RgRanks *ranks, const RgRunOptions *options,
                           bool *complete, RgError *error);

#endif
