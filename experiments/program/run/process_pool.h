/* SPDX-License-Identifier: MIT */
/* Runs the trials of an experiment concurrently, each in its own process.
 *
 * A leader forks one process for each trial, up to a maximum at a time. The processes share the
 * leader's setup copy-on-write: data, judge and reference are created once. All write the same
 * store (see rg_store_rest), so that it can be read meanwhile and cached values of pairs are
 * available to all trials. If a process dies, its trial is reported and resumed from its
 * checkpoint. If the leader dies, in whatever way, the others die with it. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_PROCESS_POOL_H
#define RG_EXPERIMENTS_PROGRAM_RUN_PROCESS_POOL_H

#include "experiments/program/run/trial.h"

#include <sys/types.h>

typedef struct RgProcessPoolOptions {
    int jobs;            /* maximum number of concurrent trials */
    int threads;         /* total over all of them */
    double memory_limit; /* total bytes of leader and trials; 0: none */
} RgProcessPoolOptions;

/* Runs all trials that are neither finished nor skipped. `run` has store, experiment row, folder
 * and progress; its store is at rest on return. The first trial that fails stops the others, with
 * checkpoints, and its error is returned; so does a signal (RG_E_STOPPED). RG_E_USAGE if a trial
 * alone exceeds the memory limit.
 *
 * OpenMP threads do not survive a fork: the calling thread must not have run a parallel region on
 * more than one thread, and does not in this function. */
RgStatus rg_process_pool_run(RgTrialRun *run, const RgExperiment *experiment,
                             const RgProcessPoolOptions *options, RgError *error);

/* In a process that was just forked: lets it be killed when its parent ends, in whatever way. */
void rg_die_with_parent(pid_t parent);

#endif
