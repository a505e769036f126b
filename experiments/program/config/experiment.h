/* SPDX-License-Identifier: MIT */
/* An experiment: a config unfolded into trials.
 *
 * A config names its parts (environment, policy, optimizer, training, budget, evaluation), a list
 * of algorithms, seeds, and options that vary (see sweep.h). Each algorithm may override a shared
 * part inside its own group. A trial is one algorithm with one choice of every such option and one
 * seed; its resolved settings, defaults included, and the contents of the files that they name are
 * all that decides its bits, and their hash is its key.
 *
 * The settings record what lies at each path as "inputs.<setting>" = SHA-256 (input_sums.h). Where
 * that is recorded, the path itself is no part of the key: a folder may be moved, and a file that
 * is replaced makes other trials. Of a path at which nothing is there is no record.
 */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_EXPERIMENT_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_EXPERIMENT_H

#include "algorithms/training/trainer.h"
#include "envs/environment.h"
#include "experiments/program/config/budget.h"

/* Top level of a config. */
typedef struct RgExperimentOptions {
    const char *name;
    const char *description;
    RgOptionList plugins;
} RgExperimentOptions;

typedef struct RgPolicyOptions {
    const char *type;      /* tabular, log-linear, transformer */
    const char *weights;   /* file to start from; "": as the type initialises it */
    bool recompute;        /* layers in backward, in place of keeping what they made */
    int precision;         /* an RgPrecision */
    int reference_storage; /* the same */
    int sampling;          /* the same */
} RgPolicyOptions;

typedef struct RgPartOptions {
    const char *type;
    int64_t seed; /* of the environment: −1 takes the trial's */
} RgPartOptions;

typedef struct RgAlgorithmPart {
    const char *type;
    const char *label; /* as tables and plots show it; "": the type */
} RgAlgorithmPart;

extern const RgOption rg_experiment_options[], rg_policy_part_options[],
    rg_environment_part_options[], rg_algorithm_part_options[];

/* One trial, all settings read. */
typedef struct RgTrialPlan {
    RgSettings *resolved; /* every option of every part, defaults included */
    char *resolved_json;
    char key[17]; /* 64-bit hash of resolved settings and version, in hexadecimal */
    char *swept_json;
    int64_t seed;
    const RgAlgorithm *algorithm;
    void *algorithm_options; /* as the algorithm's table describes */
    RgRecipe recipe;         /* of a step, with these options */
    RgAlgorithmPart part;
    RgPartOptions environment;
    RgPolicyOptions policy;
    RgAdapterOptions adapter; /* of the policy */
    RgTrainingOptions training;
    RgOptimizerOptions optimizer;
    RgBudgetOptions budget;
    RgEvaluationOptions evaluation;
} RgTrialPlan;

typedef struct RgExperiment {
    RgSettings *settings; /* as read: files and overrides */
    RgExperimentOptions options;
    char *config_json;
    char *overrides_json;  /* of them, those that -s set: path → value as text */
    RgTrialPlan *trials;   /* [unfolded] all that the config asks for, … */
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

/* The record "inputs.<setting>" of an input, or NULL. */
const RgSetting *rg_input_recorded(const RgSettings *resolved, const RgSetting *input);

/* Is nothing at the path of an input? Not of other options, nor of inputs that are left out. */
bool rg_input_is_missing(const RgOption *option, const RgSetting *setting);

/* A trial's inputs were read with `status`. Where that failed as an input is missing, name the
 * setting in place of the file alone: `environment.train = "x.jsonl" is missing`. Returns `status`.
 */
RgStatus rg_resolved_name_missing(const RgSettings *resolved, RgStatus status, RgError *error);

/* Are the inputs of a trial those that its settings record, as far as they do? RG_E_FORMAT, naming
 * the first that is not; RG_E_FILE where it is missing. */
RgStatus rg_resolved_check_inputs(const RgSettings *resolved, RgError *error);

/* Call `visit` for every option that the resolved settings of a trial set, of all its parts; until
 * the first that fails. */
RgStatus rg_resolved_visit(const RgSettings *resolved, RgOptionVisit *visit, void *context,
                           RgError *error);

#endif
