/* SPDX-License-Identifier: MIT */
/* An experiment: a config unfolded into trials.
 *
 * A config names its parts (environment, policy, optimizer, training, budget, evaluation), a list
 * of algorithms, seeds, and options that vary (see sweep.h). Each algorithm may override a shared
 * part inside its own group. A trial is one algorithm with one choice of every such option and one
 * seed (trial_plan.h). */
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
    char *overrides_json;  /* of them, those that -s set: path → value as text */
    RgTrialSpec *trials;   /* [unfolded] all that the config asks for, … */
    int64_t trial_count;   /* … the first of which are those to be run */
    int64_t unfolded;      /* trial_count, unless rg_experiment_only has chosen */
    struct RgLookup *keys; /* of all of them, with their numbers */
    bool restored;         /* from a store: to be told of, and not to be run; no input is read */
} RgExperiment;

/* Read a config with `-s path=value` overrides [override_count] and unfold it. Every key, type and
 * range of every trial is checked here, before anything runs. */
RgStatus rg_experiment_open(const char *path, const char *const *overrides, int override_count,
                            RgExperiment **experiment, RgError *error);
/* The same of a config as the store keeps it (config_json): to be told of. It is not run, as a
 * store may be a stranger's, and the files that it names are not read: rg_experiment_assume tells
 * what they held. */
RgStatus rg_experiment_restore(const char *config_json, RgExperiment **experiment, RgError *error);
void rg_experiment_close(RgExperiment *experiment);

/* The experiment `name` of the one trial whose resolved settings these are, as a store keeps them
 * (rg_settings_from_json): its trial has the same key, where program and inputs are the same. */
RgStatus rg_experiment_of_trial(const char *name, const RgSettings *resolved,
                                const char *swept_json, RgExperiment **experiment, RgError *error);

/* Let only trials of these labels be run. RG_E_USAGE where no trial has one of them. */
RgStatus rg_experiment_only(RgExperiment *experiment, const char *const *labels, int count,
                            RgError *error);

/* Take the sums of inputs that are not here, or were not read, from what a store has recorded of
 * them: a JSON object from path to SHA-256 (recorded_inputs.h). Their trials have other keys then.
 */
struct json_t;
void rg_experiment_assume(RgExperiment *experiment, const struct json_t *sums);

#endif
