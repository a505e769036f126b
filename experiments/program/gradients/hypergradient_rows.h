/* SPDX-License-Identifier: MIT */
/* One row of check-gradients for PARL: its estimator's hypergradient against the exact one. */
#ifndef RG_EXPERIMENTS_PROGRAM_GRADIENTS_HYPERGRADIENT_ROWS_H
#define RG_EXPERIMENTS_PROGRAM_GRADIENTS_HYPERGRADIENT_ROWS_H

#include "experiments/program/gradients/gradient_rows.h"
#include "experiments/program/run/trial.h"

/* At rewards that are normal numbers of `deviation` (times β, where they are a table), and their
 * optimal policy. The exact hypergradient is that of the closed form, by enumeration or in the
 * known process, which tests hold against differences of the solved problem. */
RgStatus rg_hypergradient_row(const RgTrialSetup *setup, const RgTrialSpec *plan, int64_t samples,
                              double deviation, RgGradientRow *row, RgError *error);

#endif
