/* SPDX-License-Identifier: MIT */
/* Recorded inputs and plug-ins of a store's trials: their contents, and what has changed since. One
 * thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_RECORDED_INPUTS_H
#define RG_EXPERIMENTS_PROGRAM_RUN_RECORDED_INPUTS_H

#include "core/lookup.h"
#include "core/results/store.h"
#include "experiments/program/config/experiment.h"

/* The inputs whose path does not exist, as `environment.train = "x.jsonl"`, separated by commas.
 * The caller frees the string; NULL if all exist. */
char *rg_missing_inputs(const RgExperiment *experiment);

/* Lets an experiment with absent or unread inputs be identified by the contents that the store has
 * recorded: those of the trials of the latest config, else those of the latest trials. */
RgStatus rg_use_recorded_inputs(RgExperiment *experiment, RgStore *store, RgError *error);

/* The same if inputs are missing, with a notice. */
RgStatus rg_know_missing_inputs(RgExperiment *experiment, RgStore *store, RgError *error);

/* Adds the keys of an experiment's trials that are done (finished or diverged) to `done`. */
RgStatus rg_done_trials(RgStore *store, const char *name, RgLookup *done, RgError *error);

/* RG_E_FILE if unfinished trials need missing inputs; the message has for each its place, setting
 * and path, and the first such trial. Trials that are done (finished or diverged) in `store`, or
 * NULL, are identified as above. */
RgStatus rg_check_inputs_to_be_read(RgExperiment *experiment, RgStore *store, RgError *error);

/* Reports each input and plug-in that has changed since trials with equal settings were run: the
 * experiment's trials are new ones. */
RgStatus rg_report_changed_inputs(const RgExperiment *experiment, RgStore *store, RgError *error);

#endif
