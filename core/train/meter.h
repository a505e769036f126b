/* SPDX-License-Identifier: MIT */
/* The compute meter: what an experiment has cost so far, the same for every algorithm, and whatever
 * ran before it: what is found because another trial computed it is charged as it cost then. */
#ifndef RG_CORE_TRAIN_METER_H
#define RG_CORE_TRAIN_METER_H

#include "core/base.h"

typedef struct RgMeter {
    double flops;   /* of all operators and sampling */
    double seconds; /* of training, evaluation left out */
    /* response tokens that a gradient of a loss went back through, in every pass over them: those
     * of a third response, too; not those that only the reference or a z is asked about */
    int64_t trained_tokens;
    int64_t generated_tokens;
    int64_t judge_queries;     /* responses scored by the judge for training */
    int64_t dataset_responses; /* of offline pairs, whose labels were read; each counts once */
    int64_t hessian_products;
    double peak_memory; /* bytes, the process's largest resident set since the trial began */
} RgMeter;

double rg_peak_memory(void);            /* bytes, the largest since the last restart */
double rg_peak_memory_of(long process); /* the same of another process; 0: it is gone */
double rg_memory_in_use(void);          /* bytes resident now */

/* From here on the peak is that of what follows, where Linux allows it; elsewhere nothing happens.
 */
void rg_peak_memory_restart(void);

#endif
