/* SPDX-License-Identifier: MIT */
/* Metrics of a step's batch. Internal to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_BATCH_METRICS_H
#define RG_ALGORITHMS_TRAINING_BATCH_METRICS_H

#include "algorithms/training/trainer.h"

/* Means over the batch, summed part by part. */
typedef struct RgBatchMeans {
    double chosen, rejected, right, logp_chosen, logp_rejected; /* of pairs */
    double reward;                                              /* of groups */
    /* Numbers of single responses. `chosen` and so on are then sums over those of a label. */
    double desirable, undesirable;
    double kl, own; /* sum of h over the policy's own responses, and their count */
} RgBatchMeans;

/* Adds a part's pairs or groups to the means over all `prompts` of the batch, or its single responses
 * to the sums. */
void rg_batch_add_pairs(RgTrainer *trainer, const RgBatch *batch, int64_t prompts,
                        RgBatchMeans *means);
void rg_batch_add_groups(const RgBatch *batch, int64_t prompts, RgBatchMeans *means);
void rg_batch_add_singles(RgTrainer *trainer, const RgBatch *batch, RgBatchMeans *means);
/* Logs the means of a whole batch; `rewarded`: the judge gives rewards. */
void rg_batch_log_pairs(RgTrainer *trainer, const RgBatchMeans *means);
void rg_batch_log_singles(RgTrainer *trainer, const RgBatchMeans *means);
void rg_batch_log_groups(RgTrainer *trainer, const RgBatchMeans *means, bool rewarded);

/* After a loss: checks that all metrics of the previous part are logged for this one. */
void rg_step_end_part(RgStep *step);

#endif
