/* SPDX-License-Identifier: MIT */
/* One trial as a thing to hand on: a folder, or the same as one archive.
 *
 *   trial.json     what it is: experiment, label, seed, key, outcome, provenance, program version;
 *                  its inputs (see trial_inputs.h); every other file with size and SHA-256
 *   config.json    its resolved settings, from which it runs
 *   results.db     a results store with this trial alone: metrics, evaluations, responses
 *   results/       its final weights
 *   inputs/        copies of the inputs, where they were asked for */
#ifndef RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_PACKAGE_H
#define RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_PACKAGE_H

#include "analysis/store/choice.h"
#include "experiments/program/config/allowed.h"
#include "experiments/program/config/experiment.h"

#include <jansson.h>

typedef struct RgTrialPackOptions {
    const char *store;
    RgChoice choice;    /* experiment NULL: whichever has the trial */
    const char *trial;  /* label or key */
    int64_t seed;       /* −1: any */
    const char *output; /* *.tar.zst, else a folder, which must not be there */
    bool with_inputs;
} RgTrialPackOptions;

/* Pack a trial that is done. */
RgStatus rg_trial_pack(const RgTrialPackOptions *options, RgError *error);

typedef struct RgTrialPackage {
    char *folder;
    bool temporary; /* unpacked from an archive: goes when it is closed */
    json_t *record; /* trial.json */
    RgExperiment *experiment;
} RgTrialPackage;

/* Where the inputs of a package are, and what its trial may do. */
typedef struct RgTrialOpening {
    const char *const *inputs; /* [input_count] "setting=path" */
    int input_count;
    RgAllowed allowed;
} RgTrialOpening;

/* Open a package and make ready to run it: every file of it is checked, and every input, which is
 * looked for where `inputs` say, else in the package, else at the path of its setting. Damage,
 * inputs that are missing or others, names that are none, and settings that act and are not allowed
 * are refused by name. No file is read that the package does not list with its SHA-256. */
RgStatus rg_trial_package_open(const char *path, const RgTrialOpening *opening,
                               RgTrialPackage *package, RgError *error);
void rg_trial_package_close(RgTrialPackage *package);

/* A text of trial.json; "" where there is none. */
const char *rg_trial_package_text(const RgTrialPackage *package, const char *key);

#endif
