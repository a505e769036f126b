/* SPDX-License-Identifier: MIT */
/* Running a trial of an experiment. It can be killed at any moment, and resumes with the same bits.
 *
 * In a process group (core/process_group.h) the first rank runs trials as a single process does: it
 * opens the store, writes checkpoints and weights, evaluates, queries the judges, and decides when
 * to continue, save and stop. For a trial with several shards per batch it calls as many other
 * ranks as there are shards for. They make the same setup, receive the contents of a checkpoint
 * from the first, and make each step with it. Their state equals the first rank's, so nothing of
 * theirs is saved. They need only the files that the config names.
 *
 * One thread at a time: the main thread of each process. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_H
#define RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_H

#include "core/results/reference_cache.h"
#include "experiments/program/config/experiment.h"
#include "experiments/program/run/progress.h"
#include "experiments/program/run/trial_setup.h"

typedef struct RgTrialRun {
    RgStore *store;
    RgReferenceCache *cache;   /* of the store; NULL: every trial evaluates the reference itself */
    int64_t experiment;        /* row in the store */
    const bool *skip;          /* trials that this run leaves out; NULL: none */
    const char *folder;        /* of checkpoints and final weights */
    const char *overrides;     /* JSON object of the settings given by -s; NULL: none */
    const char *events;        /* folder of TensorBoard's event files; NULL: none */
    double checkpoint_seconds; /* between checkpoints; 0: after every step */
    RgProgress *progress;
    RgProcessGroup *process_group; /* of this process, NULL: none */
    bool idle_reported;            /* idle ranks of it have been reported */
    RgTrialSetup setup;
} RgTrialRun;

/* Path of the checkpoint, which exists while the trial is unfinished. The caller frees it. */
char *rg_trial_checkpoint(const RgTrialRun *run, const RgTrialSpec *plan);

/* Runs a trial to its end, from its checkpoint if there is one. A diverged trial is recorded, and
 * RG_OK. After a signal (see core/stop.h): RG_E_STOPPED, with a checkpoint written. */
RgStatus rg_trial_run(RgTrialRun *run, const RgTrialSpec *plan, RgError *error);

/* Runs the other ranks of a process group: they help with trials of the experiment whenever the
 * first rank calls, until rg_trial_dismiss. Of `run`, only process_group needs to be set. The first
 * rank reports the outcome of each trial. */
void rg_trial_help(RgTrialRun *run, const RgExperiment *experiment);
void rg_trial_dismiss(RgProcessGroup *process_group);

#endif
