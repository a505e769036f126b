/* The batch of one step before its log-probabilities are known: whose responses, with whose labels,
 * all as the algorithm's descriptor says. Inner to the trainer. */
#ifndef RG_ALGORITHMS_DRAW_H
#define RG_ALGORITHMS_DRAW_H

#include "algorithms/trainer.h"

typedef struct RgDraw {
    int64_t size;           /* sequences of an example: 2 of a pair, 1 of a demonstration */
    RgSequences *sequences; /* an example's next to each other */
    /* Pairs: [batch], on the tape's arena; NULL for all else. */
    int32_t *preferred;
    RgReal *fresh;
    bool *sampled;            /* the responses, or one of them, are not the data set's */
    double *reference;        /* [2·batch] log π_ref of those that are; NULL: not asked yet */
    RgSequences *calibration; /* the third responses; NULL: none */
    /* Groups: [batch, size], on the tape's arena. */
    double *reward; /* NULL: the judge only compares */
    int32_t *ranking;
} RgDraw;

/* Those of step `step`, metered; the sequences are the caller's to release, in any case. False when
 * the judge has failed, see rg_trainer_judge. */
bool rg_draw(RgTrainer *trainer, int64_t step, RgDraw *draw);
void rg_draw_release(RgDraw *draw);

#endif
