/* SPDX-License-Identifier: MIT */
/* Private to trial*.c: a trial in hand, and what its files call of each other. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_INTERNAL_H
#define RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_INTERNAL_H

#include "experiments/program/run/trial.h"

typedef struct RgTrialInHand {
    RgTrialRun *run;
    const RgTrialSpec *plan;
    RgTrialRecord record;
    RgTrainer *trainer;
    RgPolicy *policy;
    RgCheckpoint *checkpoint;
    RgPairCache cache;
    RgProcessGroup process_group; /* that runs it, of which `together` … */
    RgProcessGroup *together;     /* … is NULL where that is this process alone */
    bool stopped;                 /* one of its other ranks has had a signal */
    char *name;                   /* "dpo seed 1, beta 0.3" */
    char *checkpoint_path, *weights_path;
    char checkpoint_sum[RG_SHA256_TEXT]; /* of the file that is there; "": none */
    double last_checkpoint;              /* clock */
    const char *told;                    /* the last notice that was told */
} RgTrialInHand;

/* Policy and trainer, as they are before the first step, with the list of what a checkpoint holds.
 */
RgStatus rg_trial_begin(RgTrialInHand *trial, RgError *error);
void rg_trial_end(RgTrialInHand *trial);

/* ---- of a process group ---- */

/* Refuse a rank whose program or data are others than the first's. */
RgStatus rg_trial_process_group_check_alike(const RgTrialSetup *setup, RgError *error);

/* Ranks that have something to do in a trial: no more than shards. */
int rg_trial_ranks(const RgProcessGroup *process_group, const RgTrialSpec *plan);

/* The first rank calls the others to the trial, who find its plan by its key (rg_trial_help). */
void rg_trial_call_process_group(RgTrialInHand *trial);

/* All ranks of a trial have its plan. */
RgStatus rg_trial_check_call(RgTrialInHand *trial, const char *key, RgError *error);

/* The others of a process group take up what the first has, which has got so far as `status` tells.
 */
RgStatus rg_trial_take_up(RgTrialInHand *trial, RgStatus status, RgError *error);

/* The first rank says whether there is another step, the others whether they have had a signal.
 * Returns what the first says. */
bool rg_trial_hear(RgTrialInHand *trial, bool going);

#endif
