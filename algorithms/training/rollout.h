/* SPDX-License-Identifier: MIT */
/* The batch of one step before its log-probabilities are known: responses and labels from the
 * sources in the algorithm's recipe. The policy's own labels are sampled later, with its
 * log-probabilities (gradient.c). Internal to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_ROLLOUT_H
#define RG_ALGORITHMS_TRAINING_ROLLOUT_H

#include "algorithms/training/trainer.h"

typedef struct RgRollout {
    int64_t prompts;        /* of the batch, as often as they have responses in it */
    int64_t k;              /* responses to a prompt: 2 for pairs, 1 for single responses and
                             * demonstrations */
    RgSequences *sequences; /* [batch·k], responses to a prompt are adjacent */
    RgSequences *third;     /* the third responses; NULL: none */
    /* The other members live on the tape's arena. For pairs, groups and single responses; NULL for
     * demonstrations: */
    int32_t *order;       /* [prompts, k] the best response first */
    RgReal *on_policy;    /* [batch] */
    int64_t *pair;        /* [batch] as RgBatch.pair */
    RgReal *desirable;    /* [batch] as RgBatch.desirable */
    bool *sampled;        /* [batch] at least one of the responses is not from the data set */
    RgReal *weight;       /* [batch] as RgBatch.weight; NULL: all are 1 */
    RgReal *third_weight; /* [third->count] as RgBatch.third_weight; NULL: all are 1 */
    bool exact;           /* every possible pair, weighted by its probability; already labelled */
    double *reward;       /* [batch, k] for groups, with a judge that gives rewards; else NULL */
    double *win_rate;     /* [batch, k] for such groups, or with rivals; else NULL */
    int64_t *step_start;  /* [batch·k + 1] first single step, if the recipe has `steps` */
    RgReal *features;     /* [all steps, n] if the recipe has `features` */
    /* Computed once for all passes; NULL if there is one pass. */
    double *reference;                 /* [batch·k] log π_ref */
    bool offline_known;                /* `reference` already holds the values of offline pairs */
    double *old;                       /* [batch·k] log π */
    double *third_reference;           /* [third->count] */
    double *step_reference, *step_old; /* [all steps] */
} RgRollout;

/* Make the rollout of step `step`, and meter it. The caller releases the sequences, also after an
 * error. Fails if the judge fails. */
RgStatus rg_rollout(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error);
/* Sample the rivals of the rollout's pairs from the policy as it is now, and compare them: fills
 * `win_rate`. `draw` 0 is that of rg_rollout; 1 that of the half point. Fails if the judge fails. */
RgStatus rg_rollout_rate(RgTrainer *trainer, int64_t step, int draw, RgRollout *rollout,
                         RgError *error);
void rg_rollout_release(RgRollout *rollout);

#endif
