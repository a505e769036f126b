/* SPDX-License-Identifier: MIT */
/* The inputs and plug-ins of trials that a store has: what they held, and what has changed since.
 */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_RECORDED_INPUTS_H
#define RG_EXPERIMENTS_PROGRAM_RUN_RECORDED_INPUTS_H

#include "core/results/store.h"
#include "experiments/program/config/experiment.h"

/* The inputs at whose path nothing is, as `environment.train = "x.jsonl"`, with commas between;
 * malloc'd; NULL where all are here. */
char *rg_missing_inputs(const RgExperiment *experiment);

/* Let an experiment whose inputs are not here, or were not read, be known by what the store has
 * recorded of them: by its trials of the config that was run last, else by its latest. */
RgStatus rg_use_recorded_inputs(RgExperiment *experiment, RgStore *store, RgError *error);

/* The same where inputs are missing, of which a notice is given. */
RgStatus rg_know_missing_inputs(RgExperiment *experiment, RgStore *store, RgError *error);

/* RG_E_FILE where an input is missing that a trial which is not done is to read: by setting, path
 * and trial. Those that are done are known as above. */
RgStatus rg_check_inputs_to_be_read(RgExperiment *experiment, RgStore *store, RgError *error);

/* Tell of each input and plug-in that trials of equal settings were run with when it had other
 * contents: they are others than the experiment's. */
RgStatus rg_tell_changed_inputs(const RgExperiment *experiment, RgStore *store, RgError *error);

#endif
