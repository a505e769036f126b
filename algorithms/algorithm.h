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
    RG_FROM_REFERENCE,
    RG_FROM_MIXTURE, /* the geometric mixture of policy and reference */
    RG_FROM_OTHERS,  /* the responses of the batch's next pair, to this pair's prompt */
} RgSource;

/* One side of the pairs of a batch. All but `logprob` and `log_ratio` are constant. */
typedef struct RgSide {
    RgTensor *logprob;   /* [pairs] log π_θ(y|x), differentiable */
    RgTensor *reference; /* [pairs] log π_ref(y|x); 0 where the method has no reference */
    RgTensor *log_ratio; /* [pairs] their difference h(y) */
    RgTensor *length;    /* [pairs] tokens of y; of an episode, steps; at least 1 */
} RgSide;

/* Groups of responses to one prompt each, all of the policy, for methods of more than pairs. */
typedef struct RgGroups {
    int64_t count, size;
    RgTensor *logprob, *log_ratio; /* [count, size] differentiable */
    RgTensor *reward;              /* [count, size] by the judge; NULL where it only compares */
    const int32_t *ranking;        /* [count, size] of the judge: the best response first */
} RgGroups;

/* A batch as a loss sees it. */
typedef struct RgBatch {
    int64_t pairs;
    RgSide chosen, rejected; /* as labelled: by the data set, the judge or the policy itself */
    RgTensor *fresh;         /* [pairs] 1 where the pair is of the algorithm's own distribution
                                (its responses, its labels), 0 where it is offline data */
    RgTensor *first_chosen;  /* [pairs] 1 where the chosen response is the first of the pair, which
                                is from `responses`; 0 where it is the second, from `opponents` */
    RgSide calibration;      /* the third response, where the algorithm asks for one; of
                                RG_FROM_OTHERS both, [2·pairs], or the chosen one */
    RgGroups groups;         /* where it asks for groups, in place of all the above */
    /* Algorithms of demonstrations (responses from the data set, no preferences) get these instead.
     */
    RgTensor *log_likelihood; /* of all demonstrations, a scalar */
    int64_t response_tokens;  /* in them */
} RgBatch;

/* Δ = h(y_w) − h(y_l), [pairs]. */
RgTensor *rg_log_ratio_margin(RgTape *tape, const RgBatch *batch);
/* F = log σ(β·Δ), [pairs]: the log-likelihood of the labels under the policy's implicit reward. */
RgTensor *rg_preference_fit(RgTape *tape, const RgBatch *batch, double beta);
/* log π(y)/|y|, [pairs]. */
RgTensor *rg_mean_logprob(RgTape *tape, const RgSide *side);
/* max(0, x), of any shape. */
RgTensor *rg_positive_part(RgTape *tape, RgTensor *x);

typedef struct RgTrainer RgTrainer;

typedef struct RgAlgorithm {
    const char *name;
    const char *summary;
    const char *reference; /* paper and equation */
    RgSource responses;    /* the first of a pair */
    RgSource opponents;    /* the second; RG_FROM_NOWHERE: it is from where the first is */
    RgSource preferences;  /* RG_FROM_NOWHERE beside opponents: the first is preferred */
    /* A third response to each prompt: RG_FROM_REFERENCE or RG_FROM_OTHERS (which is no gradient's
     * way). With `calibration_competes`, fresh pairs are the best and the worst, by the judge, of
     * the three. */
    RgSource calibration;
    bool calibration_competes;
    bool reference_free; /* log π_ref is not asked for, and counts as 0 */
    /* Whether, with these options, the judge has to give rewards: one that only compares is refused
     * by name. NULL: labels will do. */
    bool (*needs_rewards)(const void *options);

    const RgOption *options;
    size_t options_size;

    /* The mixture weight (share of a batch that is drawn from `responses` and `preferences`, the
     * rest being offline data) and the β of the policy's own labels, read from the options; NULL:
     * 1, and no policy labels. */
    double (*mixture)(const void *options);
    double (*beta)(const void *options);
    /* Read from the options, too, and NULL where there is no such thing: the reference's share in
     * RG_FROM_MIXTURE; the temperature of a calibration from the reference; the size of groups; the
     * steps after which the policy becomes the reference, 0: never. */
    double (*reference_share)(const void *options);
    double (*calibration_temperature)(const void *options);
    int64_t (*group_size)(const void *options);
    int64_t (*reference_steps)(const void *options);
    /* Whether RG_FROM_OTHERS is the next pair's chosen response alone. NULL: both. */
    bool (*others_chosen)(const void *options);

    /* Either a loss: a mean of terms that depend on one pair each, or on one token of the
     * demonstrations, so that a batch may be cut into parts; `couples_pairs` says with which
     * options it is not (NULL: with none) … */
    RgTensor *(*loss)(RgTape *tape, const void *options, const RgBatch *batch);
    bool (*couples_pairs)(const void *options);

    /* … or a step and a state of its own. `step` returns false when the trial has diverged, with
     * the reason set by rg_trainer_diverged. What `create` computes is charged like a step. */
    RgStatus (*create)(RgTrainer *trainer, const void *options, void **state, RgError *error);
    bool (*step)(RgTrainer *trainer, const void *options, void *state);
    void (*destroy)(void *state);
    /* The arrays of `state` that a checkpoint holds: named parameters and optimisers. */
    void (*checkpoint)(void *state, RgCheckpoint *checkpoint);
} RgAlgorithm;

/* Whether a batch is made of pairs; else of groups, or of demonstrations. */
static inline bool rg_algorithm_takes_pairs(const RgAlgorithm *a) {
    return !a->group_size && (a->preferences != RG_FROM_NOWHERE || a->opponents != RG_FROM_NOWHERE);
}

/* All algorithms; ends with NULL. */
extern const RgAlgorithm *const rg_algorithms[];
const RgAlgorithm *rg_algorithm_find(const char *name); /* NULL if there is none */

/* Refuse a descriptor that lacks what its other fields call for: RG_E_USAGE, with its name. */
RgStatus rg_algorithm_check(const RgAlgorithm *algorithm, RgError *error);

#endif
