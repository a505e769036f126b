/* SPDX-License-Identifier: MIT */
/* The trials of an experiment side by side, each in a process of its own.
 *
 * A leader forks one process for each trial, at most so many at a time. They share with it, page by
 * page until somebody writes, the setup that it has made: data, judge and reference are made once.
 * All write the one store (see rg_store_rest), so that it can be read meanwhile and what one trial
 * knows of pairs is known to all. When a process dies its trial is named and taken up again from
 * its checkpoint. When the leader dies, however that is, the others die with it. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_PROCESS_POOL_H
#define RG_EXPERIMENTS_PROGRAM_RUN_PROCESS_POOL_H

#include "experiments/program/run/trial.h"

typedef struct RgProcessPoolOptions {
    int jobs;            /* trials at a time, at most */
    int threads;         /* of all of them together */
    double memory_limit; /* bytes for leader and trials together; 0: none */
} RgProcessPoolOptions;

/* Run all trials that are not finished, or skipped. `run` has store, experiment row, folder and
 * progress; its store is at rest when this returns. The first trial that fails stops the others,
 * with checkpoints, and its error is returned; so does a signal (RG_E_STOPPED). RG_E_USAGE when a
 * trial does not fit into the memory limit even alone.
 *
 * OpenMP's threads do not survive a fork: the calling thread must not have run a parallel region on
 * more than one thread, and does not here. */
RgStatus rg_process_pool_run(RgTrialRun *run, const RgExperiment *experiment,
                             const RgProcessPoolOptions *options, RgError *error);

#endif
