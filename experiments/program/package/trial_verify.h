/* SPDX-License-Identifier: MIT */
/* Comparing a repeated trial with the packed one. One thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_VERIFY_H
#define RG_EXPERIMENTS_PROGRAM_PACKAGE_TRIAL_VERIFY_H

#include "experiments/program/package/trial_package.h"

typedef enum RgRerunVerdict {
    RG_RERUN_IDENTICAL, /* weights, metrics, items and responses have equal bits */
    RG_RERUN_ROUNDING,  /* no relative difference above the tolerance, equal texts */
    RG_RERUN_DIFFERENT,
} RgRerunVerdict;

/* Compares the repeated trial in the store `results` with the package, and prints to `out` (a
 * FILE *): the differences, relative to the metric's largest magnitude (for weights, the tensor's),
 * and how the two machines differ. */
RgStatus rg_trial_verify(const RgTrialPackage *package, const char *results, double tolerance,
                         void *out, RgRerunVerdict *verdict, RgError *error);

#endif
