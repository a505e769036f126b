/* SPDX-License-Identifier: MIT */
/* A row of check-gradients for PARL: its estimator's hypergradient compared with the exact one. */
#ifndef RG_EXPERIMENTS_PROGRAM_GRADIENTS_HYPERGRADIENT_ROWS_H
#define RG_EXPERIMENTS_PROGRAM_GRADIENTS_HYPERGRADIENT_ROWS_H

#include "experiments/program/gradients/gradient_rows.h"
#include "experiments/program/run/trial.h"

/* The rewards are normal numbers of standard deviation `deviation` (times β, for a table), and the
 * policy is optimal for them. The exact hypergradient is that of the closed form, by enumeration or
 * in the known MDP. Tests compare it with finite differences of the solved problem. Main thread
 * only. */
RgStatus rg_hypergradient_row(const RgTrialSetup *setup, const RgTrialSpec *plan, int64_t samples,
                              double deviation, RgGradientRow *row, RgError *error);

#endif
