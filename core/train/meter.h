/* SPDX-License-Identifier: MIT */
/* The compute meter: the cost of a trial so far, with the same definition for every algorithm. A
 * cached value is charged what it cost when it was computed, so costs do not depend on earlier
 * trials.
 *
 * Threads: the memory functions may be called from any. */
#ifndef RG_CORE_TRAIN_METER_H
#define RG_CORE_TRAIN_METER_H

#include "core/base.h"

typedef struct RgMeter {
    double flops;   /* of all operators and of sampling */
    double seconds; /* of training, without evaluation */
    /* response tokens through which a gradient of a loss was propagated, counted in every pass,
     * including those of a third response; not tokens evaluated only for the reference or for z */
    int64_t trained_tokens;
    int64_t generated_tokens;
    int64_t judge_queries;     /* responses that the judge scored for training */
    int64_t dataset_responses; /* distinct responses of offline pairs whose labels were read */
    int64_t hessian_products;
    double peak_memory; /* bytes, largest resident set of the process since the trial began */
} RgMeter;

double rg_peak_memory(void);            /* bytes, the largest since the last restart */
double rg_peak_memory_of(long process); /* the same of another process; 0 if it has ended */
double rg_memory_in_use(void);          /* bytes resident now */

/* Restarts the peak from the current memory use, on Linux where permitted; else does nothing. */
void rg_peak_memory_restart(void);

#endif
