/* SPDX-License-Identifier: MIT */
/* The setup of a trial, made before it. One thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_SETUP_H
#define RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_SETUP_H

#include "core/models/generation_config.h"
#include "core/results/judge_cache.h"
#include "experiments/program/config/experiment.h"

/* An environment that was made before the trials (run/compatibility.h). Start zeroed. */
typedef struct RgReadyEnvironment {
    RgEnvironment *environment; /* not prepared; NULL: none */
    const RgTrialSpec *plan;    /* of the trial that it was made for; borrowed */
} RgReadyEnvironment;

/* Makes the environment of a trial, as rg_trial_setup_make does, in the place of the one there. On
 * error there is none. */
RgStatus rg_ready_environment_make(RgReadyEnvironment *ready, const RgTrialSpec *plan,
                                   RgError *error);
void rg_ready_environment_clear(RgReadyEnvironment *ready);

/* Environment and reference policy of a trial. They are kept for the next trial while their
 * settings are equal. Start zeroed. */
typedef struct RgTrialSetup {
    char *identity; /* the settings that it was made from */
    RgEnvironment *environment;
    RgPolicy *reference;
    RgPolicy *start;          /* what training starts from, if it is not the reference; else NULL */
    RgModelEnds ends;         /* what ends a response: the environment's and those of the weights */
    RgReadyEnvironment ready; /* taken by the first setup that needs it, or cleared by that */
    RgJudgeCache *answers; /* of external judges, or NULL; borrowed, kept by rg_trial_setup_clear */
    bool ahead; /* made before processes are forked: only these may query external judges, so a
                   setup with such judges is refused; kept by rg_trial_setup_clear */
    bool saves; /* a new environment writes the files that its options name; kept likewise */
    RgProcessGroup *process_group; /* of the current trial, or NULL; borrowed, kept likewise */
    RgDigest reference_digest;     /* of the reference's weights */
} RgTrialSetup;

/* Makes the setup of a trial, reusing what is equal. The ranks of a process group do this together;
 * a rank whose program or data differ is refused. */
RgStatus rg_trial_setup_make(RgTrialSetup *setup, const RgTrialSpec *plan, RgError *error);
/* The checks of rg_trial_setup_make that need nothing made but these; of the policy only the type is
 * looked at. */
RgStatus rg_trial_setup_check(const RgTrialSpec *plan, RgEnvironment *environment,
                              const RgPolicy *start, RgError *error);
void rg_trial_setup_clear(RgTrialSetup *setup);
/* The order in which an experiment's trials make fewest setups: those with equal ones follow the
 * first of them, and else the order stays. Numbers of trials [trial_count], malloc'd. */
int64_t *rg_trial_setup_order(const RgExperiment *experiment);
/* The policy that training starts from; borrowed. */
RgPolicy *rg_trial_setup_start(const RgTrialSetup *setup);
/* Creates the policy that a trial trains: a clone of the start, or an adapter on it. */
RgStatus rg_trial_setup_policy(const RgTrialSetup *setup, const RgTrialSpec *plan,
                               RgPolicy **policy, RgError *error);

/* Digest of everything that determines the reference's values: with another version of results,
 * other kernels or other threads, they may differ in the last bits or in their cost. */
RgDigest rg_trial_setup_source(const RgTrialSetup *setup);

#endif
