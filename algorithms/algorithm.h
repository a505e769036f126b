/* What an algorithm is: one file that fills in one descriptor.
 *
 * What tells the methods apart is data here, not control flow: where responses come from and who
 * labels them. The trainer (algorithms/trainer.h) makes the batch accordingly, takes its
 * log-probabilities under policy and reference, and asks the algorithm for one scalar loss:
 *
 *     static RgTensor *dpo_loss(RgTape *t, const void *options, const RgBatch *batch) {
 *         const DpoOptions *o = options;
 *         return rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, o->beta)));
 *     }
 *
 * An algorithm that is not one loss per step (a bilevel one) brings `step` instead.
 * See doc/adding-an-algorithm.md. */
#ifndef RG_ALGORITHMS_ALGORITHM_H
#define RG_ALGORITHMS_ALGORITHM_H

#include "core/options.h"
#include "core/policy/course.h"
#include "core/policy/policy.h"
#include "core/train/checkpoint.h"
#include "core/train/meter.h"
#include "core/train/optimizer.h"

typedef enum RgSource {
    RG_FROM_NOWHERE, /* not used by this algorithm */
    RG_FROM_DATASET,
    RG_FROM_POLICY,
    RG_FROM_JUDGE,
} RgSource;

/* One side of the pairs of a batch. */
typedef struct RgSide {
    RgTensor *logprob;   /* [pairs] log π_θ(y|x), differentiable */
    RgTensor *reference; /* [pairs] log π_ref(y|x), constant */
    RgTensor *log_ratio; /* [pairs] their difference h(y) */
} RgSide;

/* A batch as a loss sees it. */
typedef struct RgBatch {
    int64_t pairs;
    RgSide chosen, rejected; /* as labelled: by the data set, the judge or the policy itself */
    RgTensor *fresh;         /* [pairs] 1 where the pair is of the algorithm's own distribution
                                (its responses, its labels), 0 where it is offline data */
    /* Algorithms of demonstrations (responses from the data set, no preferences) get these instead.
     */
    RgTensor *log_likelihood; /* of all demonstrations, a scalar */
    int64_t response_tokens;  /* in them */
} RgBatch;

/* Δ = h(y_w) − h(y_l), [pairs]. */
RgTensor *rg_log_ratio_margin(RgTape *tape, const RgBatch *batch);
/* F = log σ(β·Δ), [pairs]: the log-likelihood of the labels under the policy's implicit reward. */
RgTensor *rg_preference_fit(RgTape *tape, const RgBatch *batch, double beta);

typedef struct RgTrainer RgTrainer;

typedef struct RgAlgorithm {
    const char *name;
    const char *summary;
    const char *reference; /* paper and equation */
    RgSource responses;
    RgSource preferences;

    const RgOption *options;
    size_t options_size;

    /* The mixture weight (share of a batch that is drawn from `responses` and `preferences`, the
     * rest being offline data) and the β of the policy's own labels, read from the options; NULL:
     * 1, and no policy labels. */
    double (*mixture)(const void *options);
    double (*beta)(const void *options);

    /* Either a loss: a mean of terms that depend on one pair each, or on one token of the
     * demonstrations, so that a batch may be cut into parts; `couples_pairs` says with which
     * options it is not (NULL: with none) … */
    RgTensor *(*loss)(RgTape *tape, const void *options, const RgBatch *batch);
    bool (*couples_pairs)(const void *options);

    /* … or a step and a state of its own. `step` returns false when the trial has diverged, with
     * the reason set by rg_trainer_diverged. */
    RgStatus (*create)(RgTrainer *trainer, const void *options, void **state, RgError *error);
    bool (*step)(RgTrainer *trainer, const void *options, void *state);
    void (*destroy)(void *state);
    /* The arrays of `state` that a checkpoint holds: named parameters and optimisers. */
    void (*checkpoint)(void *state, RgCheckpoint *checkpoint);
} RgAlgorithm;

/* All algorithms; ends with NULL. */
extern const RgAlgorithm *const rg_algorithms[];
const RgAlgorithm *rg_algorithm_find(const char *name); /* NULL if there is none */

#endif
