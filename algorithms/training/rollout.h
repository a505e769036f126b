/* SPDX-License-Identifier: MIT */
/* The batch of one step before its log-probabilities are known: whose responses, with whose labels,
 * all as the algorithm's recipe says. Labels of the policy itself are drawn later, with its
 * log-probabilities (gradient.c). Inner to the trainer. */
#ifndef RG_ALGORITHMS_TRAINING_ROLLOUT_H
#define RG_ALGORITHMS_TRAINING_ROLLOUT_H

#include "algorithms/training/trainer.h"

typedef struct RgRollout {
    int64_t k;              /* responses to a prompt: 2 of a pair, 1 of a demonstration */
    RgSequences *sequences; /* [batch·k], those to a prompt next to each other */
    RgSequences *third;     /* the third responses; NULL: none */
    /* The rest is on the tape's arena. Of pairs and groups; NULL of demonstrations: */
    int32_t *order;    /* [batch, k] the best response first */
    RgReal *on_policy; /* [batch] */
    bool *sampled;     /* [batch] the responses, or one of them, are not the data set's */
    /* Of groups, by a judge that gives rewards; else NULL: */
    double *reward, *win_rate; /* [batch, k] */
    int64_t *step_start;       /* [batch·k + 1] of single steps, where the recipe asks for them */
    RgReal *features;          /* [all steps, n] where it asks for them */
    /* What is computed once and kept for all passes; NULL where there is one pass. */
    double *reference;       /* [batch·k] log π_ref */
    bool offline_known;      /* … of offline pairs it is there before, and in any case */
    double *old;             /* [batch·k] log π */
    double *third_reference; /* [third->count] */
    double *step_reference, *step_old; /* [all steps] */
} RgRollout;

/* That of step `step`, metered; the sequences are the caller's to release, in any case. Fails where
 * the judge does. */
RgStatus rg_rollout(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error);
void rg_rollout_release(RgRollout *rollout);

#endif
