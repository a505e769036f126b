/* SPDX-License-Identifier: MIT */
/* One trial of an experiment, with all its settings read. Its resolved settings, including
 * defaults, and the contents of the files that they name determine its bits. Their hash is its key.
 *
 * The contents of each input path are recorded as "inputs.<setting>" = SHA-256 (input_sums.h). The
 * path of a recorded input is not part of the key: a folder may be moved, while a replaced file
 * makes another trial. A path where nothing exists has no record. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_TRIAL_PLAN_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_TRIAL_PLAN_H

#include "algorithms/training/trainer.h"
#include "envs/environment.h"
#include "experiments/program/config/budget.h"

typedef struct RgPolicyOptions {
    const char *type;      /* tabular, log-linear, transformer */
    const char *weights;   /* file to start from; "": the type's initialisation */
    bool recompute;        /* activation checkpointing */
    int precision;         /* an RgPrecision */
    int reference_storage; /* the same */
    int sampling;          /* the same */
    int reference;         /* an RgReferenceKind */
} RgPolicyOptions;

/* What the reference of a trial is. */
typedef enum RgReferenceKind { RG_REFERENCE_START, RG_REFERENCE_UNIFORM } RgReferenceKind;

typedef struct RgPartOptions {
    const char *type;
    int64_t seed; /* of the environment: −1 uses the trial's */
} RgPartOptions;

typedef struct RgAlgorithmPart {
    const char *type;
    const char *label; /* in tables and plots; "": the type */
} RgAlgorithmPart;

extern const RgOption rg_policy_part_options[], rg_environment_part_options[],
    rg_algorithm_part_options[];

/* The parts that all algorithms share, and that each may override in its group. Ends with NULL. */
extern const char *const rg_shared_parts[];

typedef struct RgTrialSpec {
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
} RgTrialSpec;

/* Reads, checks and records every option into a zeroed specification whose seed is set. `s` has the
 * trial's settings under the names of the parts and `algorithm`. Release with rg_trial_spec_clear,
 * also after an error. One thread at a time. */
RgStatus rg_trial_spec_resolve(RgTrialSpec *plan, const RgSettings *s, RgError *error);
void rg_trial_spec_clear(RgTrialSpec *plan);

/* Refuses a method that needs rewards with a judge that only compares, and a metric to select by
 * that evaluations do not have. Uses the settings alone, so that it works before any trial has
 * run. */
RgStatus rg_trial_spec_check_environment(const RgTrialSpec *plan, const RgSettings *s,
                                         RgError *error);

/* Computes the key of a resolved specification. With `read_inputs`, first records the sums of the
 * inputs that exist. */
void rg_trial_spec_key(RgTrialSpec *plan, bool read_inputs);

/* Takes missing sums of inputs from a JSON object from path to SHA-256. This changes the key. */
struct json_t;
void rg_trial_spec_assume(RgTrialSpec *plan, const struct json_t *sums);

/* The error for a name at `path` that is not registered. */
RgStatus rg_resolve_unknown_name(const RgSettings *settings, const char *path, RgKind kind,
                                 RgError *error);

/* Puts in front of a message that begins with a key where that comes from, or should be:
 * "x.cfg:12: ". Returns `status`. */
RgStatus rg_resolve_place(const RgSettings *settings, RgStatus status, RgError *error);

/* To be called with the status of making the part "environment" or "policy", or of checking
 * "algorithm": names the key that a message about an option is about (rg_options_name_key). A value
 * outside of what the part can be made of is then RG_E_USAGE. Returns the status. */
RgStatus rg_resolve_key(const RgTrialSpec *plan, const char *part, RgStatus status, RgError *error);

/* The record "inputs.<setting>" of an input, or NULL. */
const RgSetting *rg_input_recorded(const RgSettings *resolved, const RgSetting *input);

/* Whether nothing exists at the path of an input. False for other options and for empty paths. */
bool rg_input_is_missing(const RgOption *option, const RgSetting *setting);

/* What is said of a missing input, malloc'd: `x.cfg:2: environment.train = "x.jsonl" is missing`. */
char *rg_input_missing_text(const RgSetting *input);

/* To be called with the status of reading a trial's inputs. If it failed because an input is
 * missing, the message becomes the text above. Returns `status`. */
RgStatus rg_resolved_name_missing(const RgSettings *resolved, RgStatus status, RgError *error);

/* Checks that the inputs of a trial match the sums in its settings. RG_E_FORMAT names the first
 * that differs; RG_E_FILE if one is missing. Inputs without a sum are not checked. */
RgStatus rg_resolved_check_inputs(const RgSettings *resolved, RgError *error);

/* Groups of the resolved settings, such as "environment", as one JSON object, malloc'd. Where it is
 * the same, so are they. `groups` ends with NULL. */
char *rg_resolved_groups(const RgSettings *resolved, const char *const *groups);

/* Calls `visit` for every option set by the resolved settings of a trial, in all its parts, until
 * one fails. */
RgStatus rg_resolved_visit(const RgSettings *resolved, RgOptionVisit *visit, void *context,
                           RgError *error);

#endif
