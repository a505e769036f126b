/* SPDX-License-Identifier: MIT */
/* What a trial is run in, made before it. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_SETUP_H
#define RG_EXPERIMENTS_PROGRAM_RUN_TRIAL_SETUP_H

#include "core/results/judge_cache.h"
#include "experiments/program/config/experiment.h"

/* Environment and reference policy of a trial; kept from one trial to the next while their settings
 * are the same. Start zeroed. */
typedef struct RgTrialSetup {
    char *identity; /* the settings that it was made from */
    RgEnvironment *environment;
    RgPolicy *reference;
    RgJudgeCache *answers; /* of judges that are asked elsewhere, or NULL; stays, borrowed */
    bool ahead; /* made ahead of processes that are forked: judges are asked elsewhere by these
                     alone, and a setup with such judges is refused; stays */
    RgProcessGroup *process_group; /* that runs the trial in hand, or NULL; borrowed, stays */
    RgDigest reference_digest;     /* of its weights */
} RgTrialSetup;

/* Make the setup of a plan, anew only what differs. The ranks of a process group do so together,
 * and are refused where they do not have the same program and data. */
RgStatus rg_trial_setup_make(RgTrialSetup *setup, const RgTrialSpec *plan, RgError *error);
void rg_trial_setup_clear(RgTrialSetup *setup);
/* The policy that a trial trains: a clone of the reference, or an adapter on it. */
RgStatus rg_trial_setup_policy(const RgTrialSetup *setup, const RgTrialSpec *plan,
                               RgPolicy **policy, RgError *error);

/* Of all that a reference's values hang on: of another version of results, on other kernels or with
 * other threads, they may differ in the last bits or have another cost. */
RgDigest rg_trial_setup_source(const RgTrialSetup *setup);

#endif
