/* SPDX-License-Identifier: MIT */
/* One trial of an experiment, all settings read. Its resolved settings, defaults included, and the
 * contents of the files that they name are all that decides its bits, and their hash is its key.
 *
 * The settings record what lies at each path as "inputs.<setting>" = SHA-256 (input_sums.h). Where
 * that is recorded, the path itself is no part of the key: a folder may be moved, and a file that
 * is replaced makes other trials. Of a path at which nothing is there is no record. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_TRIAL_PLAN_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_TRIAL_PLAN_H

#include "algorithms/training/trainer.h"
#include "envs/environment.h"
#include "experiments/program/config/budget.h"

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

extern const RgOption rg_policy_part_options[], rg_environment_part_options[],
    rg_algorithm_part_options[];

/* The parts that all algorithms share and that each may override in its own group; ends with NULL.
 */
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

/* Read, check and record every option of a zeroed plan that has its seed. `s` holds the trial's
 * settings under the names of the parts and `algorithm`. To be cleared whether it is good or not.
 */
RgStatus rg_trial_spec_resolve(RgTrialSpec *plan, const RgSettings *s, RgError *error);
void rg_trial_spec_clear(RgTrialSpec *plan);

/* Refuse a method that needs rewards beside a judge that only compares, by the settings alone: no
 * trial has run by then. */
RgStatus rg_trial_spec_check_judge(const RgTrialSpec *plan, const RgSettings *s, RgError *error);

/* The key of a resolved plan; the sums of the inputs that are there are recorded for it where
 * `read_inputs`. */
void rg_trial_spec_key(RgTrialSpec *plan, bool read_inputs);

/* Take the sums of inputs that have none from a JSON object from path to SHA-256; the key is
 * another then. */
struct json_t;
void rg_trial_spec_assume(RgTrialSpec *plan, const struct json_t *sums);

/* The name at `path` is none of the registered ones. */
RgStatus rg_resolve_unknown_name(const RgSettings *settings, const char *path, RgKind kind,
                                 RgError *error);

/* A message that names keys alone gets the file that the group `part` stands in. */
RgStatus rg_resolve_in_file(const RgSettings *settings, const char *part, RgStatus status,
                            RgError *error);

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
