/* SPDX-License-Identifier: MIT */
/* Private to trial*.c: the running trial, and the functions that these files share. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_INTERNAL_H
#define RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_INTERNAL_H

#include "analysis/report/export.h"
#include "experiments/program/run/selection.h"
#include "experiments/program/run/trial.h"

typedef struct RgTrialInHand {
    RgTrialRun *run;
    const RgTrialSpec *plan;
    RgTrialRecord record;
    RgBudgetOptions budget; /* the plan's, with the steps that its epochs come to */
    RgTrainer *trainer;
    RgPolicy *policy;
    RgSelection *selection; /* of its evaluations; NULL: the last counts */
    RgCheckpoint *checkpoint;
    RgPairCache cache;
    RgProcessGroup process_group; /* of this trial's ranks … */
    RgProcessGroup *together;     /* … or NULL if this process runs it alone */
    RgEventLog *events;           /* written meanwhile; NULL: none */
    bool stopped;                 /* another rank has received a signal */
    char *name;                   /* "dpo seed 1, beta 0.3" */
    char *checkpoint_path, *weights_path;
    char checkpoint_sum[RG_SHA256_TEXT]; /* of the existing file; "": none */
    double last_checkpoint;              /* clock */
    const char *reported;                /* the last notice that was printed */
} RgTrialInHand;

/* Creates policy and trainer in their state before the first step, and the list of what a
 * checkpoint contains. */
RgStatus rg_trial_begin(RgTrialInHand *trial, RgError *error);
void rg_trial_end(RgTrialInHand *trial);

/* Evaluates the policy as it is, on a share of the test data where the environment takes one
 * (RgContender.share). Nothing is recorded. */
RgStatus rg_trial_evaluate(RgTrialInHand *trial, double share, RgEvaluation *evaluation,
                           RgError *error);

/* ---- of a process group ---- */

/* Refuses a rank whose program or data differ from the first rank's. */
RgStatus rg_trial_process_group_check_alike(const RgTrialSetup *setup, RgError *error);

/* Number of ranks that a trial can use: at most its number of shards. */
int rg_trial_ranks(const RgProcessGroup *process_group, const RgTrialSpec *plan);

/* The first rank calls the others to the trial. They find its specification by its key
 * (rg_trial_help). */
void rg_trial_call_process_group(RgTrialInHand *trial);

/* Checks that all ranks have the trial's specification. */
RgStatus rg_trial_check_call(RgTrialInHand *trial, const char *key, RgError *error);

/* Called by all ranks of a trial: the other ranks receive the state of the first. `status` is the
 * first rank's so far, and is returned on every rank. */
RgStatus rg_trial_take_up(RgTrialInHand *trial, RgStatus status, RgError *error);

/* Called by all ranks before each step: the first passes whether there is another step, the others
 * whether they have received a signal. Returns the first rank's value. */
bool rg_trial_hear(RgTrialInHand *trial, bool going);

#endif
