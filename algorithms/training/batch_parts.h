/* SPDX-License-Identifier: MIT */
/* Parts of a step's batch, as a loss sees them. Internal to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_BATCH_PARTS_H
#define RG_ALGORITHMS_TRAINING_BATCH_PARTS_H

#include "algorithms/training/rollout.h"

/* Prompts [first, last) of the batch; their responses are on the tape at the same time. */
typedef struct RgBatchPart {
    int64_t first, last;
    bool trains; /* with gradient; else the policy's log-probabilities are constants */
    bool known;  /* an earlier pass has stored the kept values in the rollout */
    RgSequences *sequences, *third; /* `third` is NULL if there is none */
} RgBatchPart;

/* Prompts [first, last) of a rollout, without gradient. Views of it on the tape's arena. */
RgBatchPart rg_batch_part(RgTrainer *trainer, const RgRollout *rollout, int64_t first,
                          int64_t last);

/* Stores the reference's log-probabilities of the rollout's offline pairs in it, from the cache if
 * there is one. Sampled responses are computed part by part instead, which bounds the memory. */
void rg_batch_ask_offline(RgTrainer *trainer, RgRollout *rollout);

/* The batch of pairs or groups of a part; of demonstrations. On the trainer's tape. The first pass
 * samples the policy's own labels into the rollout, and stores what later passes need there. */
RgBatch rg_batch_of_responses(RgTrainer *trainer, int64_t step, const RgBatchPart *part,
                              RgRollout *rollout);
RgBatch rg_batch_of_demonstrations(RgTrainer *trainer, const RgBatchPart *part);

/* Features of a step that the reference gives (RgSteps.features). */
int64_t rg_batch_feature_count(const RgTrainer *trainer);

#endif
