/* SPDX-License-Identifier: MIT */
/* Running a trial of an experiment, so that it can be killed at any moment and goes on with the
 * same bits.
 *
 * Of a process group (core/process_group.h), the first rank runs trials as a process alone does: it
 * opens the store, writes checkpoints and weights, evaluates, asks the judges, and decides when to
 * go on, save and stop. To a trial whose batches have several shards it calls as many of the others
 * as there are shards for. They make the same setup, get what a checkpoint holds from the first,
 * and make each step with it. What they have is the first's, so that nothing of theirs need be
 * kept; they need no more of its file system than what the config names. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_H
#define RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_H

#include "core/results/reference_cache.h"
#include "experiments/program/config/experiment.h"
#include "experiments/program/run/progress.h"
#include "experiments/program/run/trial_setup.h"

typedef struct RgTrialRun {
    RgStore *store;
    RgReferenceCache *cache;   /* of the store; NULL: every trial asks the reference anew */
    int64_t experiment;        /* row in the store */
    const bool *skip;          /* trials that are not this run's; NULL: all are */
    const char *folder;        /* of checkpoints and final weights */
    const char *overrides;     /* JSON object of the settings given by -s; NULL: none */
    double checkpoint_seconds; /* between checkpoints; 0: after every step */
    RgProgress *progress;
    RgProcessGroup *process_group; /* that this process belongs to, NULL: none */
    bool told_of_idle;             /* that some of its ranks have nothing to do */
    RgTrialSetup setup;
} RgTrialRun;

/* Path of its checkpoint, which is there while it is under way; malloc'd. */
char *rg_trial_checkpoint(const RgTrialRun *run, const RgTrialSpec *plan);

/* Run a trial to its end, from its checkpoint if there is one. A trial that diverges is RG_OK, and
 * recorded. RG_E_STOPPED after a signal (see core/stop.h), with a checkpoint written. */
RgStatus rg_trial_run(RgTrialRun *run, const RgTrialSpec *plan, RgError *error);

/* What the others of a process group do: help with trials of the experiment that the first rank
 * calls them to, until it dismisses them. Of the run no more is needed than the process_group. The
 * first rank tells how each trial ended. */
void rg_trial_help(RgTrialRun *run, const RgExperiment *experiment);
void rg_trial_dismiss(RgProcessGroup *process_group);

#endif
