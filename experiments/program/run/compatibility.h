/* SPDX-License-Identifier: MIT */
/* Whether the method, the environment, the policy and the options of each trial fit together: found
 * before the first step of the first trial. One thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_COMPATIBILITY_H
#define RG_EXPERIMENTS_PROGRAM_RUN_COMPATIBILITY_H

#include "experiments/program/run/trial_setup.h"

/* Refuse an experiment with a trial that cannot run, with the message that the trial would end with.
 * Trials that are done in the store at `path`, which need not exist, are not looked at.
 *
 * Each environment of the config is created once, for one seed, without what is sampled from the
 * policy, and each policy; of a large transformer only the options are looked at. A missing input
 * is no reason here (run/recorded_inputs.h), and neither is a store that cannot be read. *ready out:
 * the environment of the first trial that is not done, if it was made, which the caller clears; NULL:
 * it is not wanted. */
RgStatus rg_check_compatibility(const RgExperiment *experiment, const char *path,
                                RgReadyEnvironment *ready, RgError *error);

#endif
