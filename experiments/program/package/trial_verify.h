/* SPDX-License-Identifier: MIT */
/* Is the result of a trial that was run again the one that was packed? */
#ifndef RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_VERIFY_H
#define RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_VERIFY_H

#include "experiments/program/package/trial_package.h"

typedef enum RgRerunVerdict {
    RG_RERUN_IDENTICAL, /* weights, metrics, items and responses: the same bits */
    RG_RERUN_ROUNDING,  /* no relative difference over the tolerance, the same texts */
    RG_RERUN_DIFFERENT,
} RgRerunVerdict;

/* Hold the trial that was run again, which is in the store `results`, against the package, and tell
 * on `out` (a FILE *): what differs, by how much relative to the measure's largest magnitude (for
 * weights the tensor's), and what of the two machines does. */
RgStatus rg_trial_verify(const RgTrialPackage *package, const char *results, double tolerance,
                         void *out, RgRerunVerdict *verdict, RgError *error);

#endif
