/* SPDX-License-Identifier: MIT */
/* Interval estimates, and the quantiles they need. Used by the analysis over seeds and for a
 * judge's accuracy in an environment.
 *
 * Threads: any. */
#ifndef RG_CORE_INTERVAL_H
#define RG_CORE_INTERVAL_H

#include "core/base.h"

typedef struct RgInterval {
    double low, high; /* both NaN when there is too little data for an interval */
} RgInterval;

/* Quantiles of the standard normal and of Student's t distribution, 0 < probability < 1. */
double rg_normal_quantile(double probability);
double rg_student_quantile(double probability, double degrees_of_freedom);

/* Interval of a proportion (Wilson 1927). `successes` may be fractional: a tie counts half. */
RgInterval rg_wilson_interval(double successes, double trials, double confidence);

#endif
