/* SPDX-License-Identifier: MIT */
/* An experiment: a config unfolded into trials.
 *
 * A config has parts (environment, policy, optimizer, training, budget, evaluation), a list of
 * algorithms, seeds, and swept options (sweep.h). Each algorithm may override a shared part inside
 * its own group. A trial is one algorithm with one value of every swept option and one seed
 * (trial_spec.h). An experiment is used by one thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_EXPERIMENT_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_EXPERIMENT_H

#include "experiments/program/config/trial_spec.h"

/* Top level of a config. */
typedef struct RgExperimentOptions {
    const char *name;
    const char *description;
    RgOptionList plugins;
} RgExperimentOptions;

extern const RgOption rg_experiment_options[];

typedef struct RgExperiment {
    RgSettings *settings; /* as read: files and overrides */
    RgExperimentOptions options;
    char *config_json;
    char *overrides_json;  /* the settings set by -s: path → value as text */
    RgTrialSpec *trials;   /* [unfolded] all trials of the config, … */
    int64_t trial_count;   /* … the first of which are to be run */
    int64_t unfolded;      /* trial_count, unless rg_experiment_only has chosen some */
    struct RgLookup *keys; /* of all trials, with their numbers */
    bool restored;         /* from a store: for reports only, not run; no input is read */
} RgExperiment;

/* Reads a config with `-s path=value` overrides [override_count] and unfolds it. Every key, type
 * and range of every trial is checked here, before anything runs. */
RgStatus rg_experiment_open(const char *path, const char *const *overrides, int override_count,
                            RgExperiment **experiment, RgError *error);
/* The same for a config from a store (config_json), for reports. It cannot be run, because a store
 * may come from a stranger, and the files that it names are not read: rg_experiment_assume supplies
 * their sums. */
RgStatus rg_experiment_restore(const char *config_json, RgExperiment **experiment, RgError *error);
void rg_experiment_close(RgExperiment *experiment);

/* The experiment `name` with one trial, given its resolved settings from a store
 * (rg_settings_from_json). The trial has the same key if program and inputs are equal. */
RgStatus rg_experiment_of_trial(const char *name, const RgSettings *resolved,
                                const char *swept_json, RgExperiment **experiment, RgError *error);

/* Restricts the run to trials of these labels. RG_E_USAGE if no trial has one of them. */
RgStatus rg_experiment_only(RgExperiment *experiment, const char *const *labels, int count,
                            RgError *error);

/* Takes the sums of inputs that are absent or were not read from a store's record: a JSON object
 * from path to SHA-256 (recorded_inputs.h). This changes the keys of their trials. */
struct json_t;
void rg_experiment_assume(RgExperiment *experiment, const struct json_t *sums);

#endif
