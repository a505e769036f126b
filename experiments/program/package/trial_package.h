/* SPDX-License-Identifier: MIT */
/* One trial in a form to pass on: a folder, or the same as one archive. One thread at a time.
 *
 *   trial.json     what it is: experiment, label, seed, key, outcome, provenance, program version;
 *                  its inputs (see trial_inputs.h); every other file with size and SHA-256
 *   config.json    its resolved settings, from which it runs
 *   results.db     a results store with this trial alone: metrics, evaluations, responses
 *   results/       its final weights
 *   inputs/        copies of the inputs, if requested */
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
    const char *output; /* *.tar.zst, else a folder, which must not exist */
    bool with_inputs;
} RgTrialPackOptions;

/* Packs a finished or diverged trial. */
RgStatus rg_trial_pack(const RgTrialPackOptions *options, RgError *error);

typedef struct RgTrialPackage {
    char *folder;
    bool temporary; /* unpacked from an archive: removed on closing */
    json_t *record; /* trial.json */
    RgExperiment *experiment;
} RgTrialPackage;

/* Paths of a package's inputs, and permissions of its trial. */
typedef struct RgTrialOpening {
    const char *const *inputs; /* [input_count] "setting=path" */
    int input_count;
    RgAllowed allowed;
} RgTrialOpening;

/* Opens a package and prepares to run it. Checks every file and every input. An input is searched
 * in `inputs`, then in the package, then at the path of its setting. The message names damage,
 * missing or different inputs, invalid names, and settings that act without permission. Only files
 * that the package lists with their SHA-256 are read. On success, close with
 * rg_trial_package_close. */
RgStatus rg_trial_package_open(const char *path, const RgTrialOpening *opening,
                               RgTrialPackage *package, RgError *error);
void rg_trial_package_close(RgTrialPackage *package);

/* A text of trial.json; "" if it is missing. */
const char *rg_trial_package_text(const RgTrialPackage *package, const char *key);

#endif
