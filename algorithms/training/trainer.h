/* SPDX-License-Identifier: MIT */
/* The trainer: one step, described by data. It samples prompts, gets responses and labels from the
 * sources in the algorithm's recipe, computes log-probabilities, calls the loss, runs backward,
 * clips the gradient, steps the optimiser, and meters all of it. It knows no algorithm by name.
 *
 * Offline pairs recur in every epoch and every trial, and their reference log-probabilities are the
 * same each time. With a cache they are computed once. A trial is charged their full cost in FLOPs
 * and seconds, cached or not, so costs do not depend on the order of trials.
 *
 * A batch may be split into shards, whose gradients are computed one by one and summed. If the task
 * has a process group, each rank has a trainer of the same trial and computes the gradients of some
 * of the shards; all ranks do the rest of a step alike. The number of shards determines the bits of
 * the result; the number of ranks does not.
 *
 * Threads: a trainer, its policy and its task are used by one thread at a time. A step uses the
 * program's thread pool inside. */
#ifndef RG_ALGORITHMS_TRAINING_TRAINER_H
#define RG_ALGORITHMS_TRAINING_TRAINER_H

#include "algorithms/training/recipe.h"
#include "core/train/checkpoint.h"

typedef struct RgTrainingOptions {
    int64_t batch;       /* pairs (or demonstrations) per step */
    int64_t shards;      /* of a batch, each with a gradient of its own; 0 is 1 */
    int64_t micro_batch; /* pairs at a time on the tape; 0: all pairs of a shard */
    double temperature;  /* of responses sampled for training */
    int64_t top_k;
    double top_p;
    double min_p;
    int expectation; /* RgExpectation */
} RgTrainingOptions;

/* How the expectations in a loss are computed. Exact ones need a policy whose responses can be
 * enumerated: algorithms/training/expectation.h. They are over all prompts, and `batch` and
 * `micro_batch` have no effect then; or over the responses to `batch` prompts. */
typedef enum RgExpectation {
    RG_SAMPLED_EXPECTATION,
    RG_EXACT_EXPECTATION,
    RG_RESPONSE_EXPECTATION,
} RgExpectation;
extern const RgOption rg_training_options[];

/* Check that the algorithm can split its batches this way; before training. */
RgStatus rg_training_check(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                           const RgTrainingOptions *training, RgError *error);

/* The outcome of a step, besides the weights. */
typedef struct RgOutcome {
    const char *diverged; /* why the trial cannot go on, or NULL */
    const char *notice;   /* a remark on the step for the log, or NULL */
    /* Metrics for the log. */
    struct RgMetric {
        const char *name;
        double value;
    } metrics[32];
    int metric_count;
} RgOutcome;

/* A random order of the elements of a data set, a new one for each pass. */
typedef struct RgShuffle {
    int64_t count;
    int64_t epoch; /* pass that `order` belongs to; −1 before the first */
    int64_t *order;
    RgRandom random;
} RgShuffle;

struct RgTrainer {
    const RgAlgorithm *algorithm;
    const void *options; /* the algorithm's, as its table describes */
    RgRecipe recipe;     /* with these options */
    RgTrainingOptions training;
    RgPolicy *policy;
    RgPolicy *reference;
    RgPolicy *sampler;          /* samples responses: the policy, or an earlier copy of it */
    RgPolicy *moving_reference; /* the reference, if the method updates it; else NULL */
    RgPolicy *moving_sampler;   /* the sampler, if it is not the policy; else NULL */
    const RgTask *task;
    RgOptimizer *optimizer;
    RgTape *tape;
    RgRandom random; /* the trial's root stream */
    int64_t step;    /* steps done */
    RgMeter meter;
    void *state; /* the algorithm's own */
    struct {
        const char *name;
        RgParameters *parameters; /* NULL: none */
        RgOptimizer *optimizer;
    } own;                     /* what the algorithm trains besides the policy */
    struct RgGradientSum *sum; /* of shards, if there are several */
    struct RgPairCache *cache; /* reference log-probabilities of offline pairs; NULL: none */
    /* FLOPs of this step so far. All code that works for the step adds to it: the tape, policy and
     * reference (rg_trainer_charge), and an algorithm's own tapes (rg_tape_count_onto). It starts
     * at 0 in each step, so that the sum of a step does not depend on earlier steps. */
    double flops;
    struct {
        double seconds; /* charged for the reference so far */
        double spent;   /* elapsed in the reference's passes and in cache look-ups */
    } reference_time;
    RgShuffle prompts, demonstrations;
    RgShuffle pairs;          /* or of single responses, if the recipe has `single` */
    const RgSingles *singles; /* the task's, or `own_singles`; NULL: the recipe has not `single` */
    RgSingles *own_singles;   /* of the pairs, where the task has no others; else NULL */
    double *pair_shares;      /* of the offline pairs, for exact expectations; NULL: not computed */
    int64_t
        *pairs_read; /* one bit each: offline pairs (single responses) that the meter has counted */

    RgStep now;                                         /* argument of the loss */
    double logged[RG_STEP_METRICS];                     /* metrics of the loss in this step */
    char metric_names[RG_STEP_METRICS][RG_METRIC_NAME]; /* from other ranks, on one without shard */
    int64_t failed_episodes;                            /* among those sampled in this step */
    RgOutcome outcome;                                  /* of the last step */
};

/* Check that method, options, policy and task fit together, as rg_trainer_create does. The task may be
 * pending, and the policy as in RgAlgorithm.check: so it can be called before anything is made. */
RgStatus rg_trainer_check(const RgAlgorithm *algorithm, const void *options,
                          const RgTrainingOptions *training, const RgPolicy *policy,
                          const RgTask *task, RgError *error);

/* `options`, `policy`, `reference` and `task` are borrowed. The caller destroys the trainer. */
RgStatus rg_trainer_create(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgPolicy *policy, RgPolicy *reference,
                           const RgTask *task, const RgOptimizerOptions *optimizer,
                           int64_t total_steps, RgRandom random, RgTrainer **trainer,
                           RgError *error);
void rg_trainer_destroy(RgTrainer *trainer);
/* Look up reference log-probabilities of offline pairs in `cache` (borrowed; made for this
 * reference). Neither bits nor FLOPs depend on it. */
void rg_trainer_use_cache(RgTrainer *trainer, struct RgPairCache *cache);

/* Run one step; its result is in trainer->outcome. If that reports divergence, the trial is over.
 * Fails if the judge fails, or with a misuse in the algorithm's loss. After an error the trainer
 * is unusable; resume from its last checkpoint. */
RgStatus rg_trainer_step(RgTrainer *trainer, RgError *error);

/* Add the gradient of the algorithm's loss on the batch of step `step` to
 * policy->parameters->gradient; *loss out. Takes no step and charges nothing. For algorithms with
 * a loss. */
RgStatus rg_trainer_gradient(RgTrainer *trainer, int64_t step, double *loss, RgError *error);

/* Number of terms of an algorithm's loss: 1 where it names none. */
int rg_loss_terms(const RgAlgorithm *algorithm);
/* The gradient of each term of the loss on one batch, that of step `step`, in the policy's
 * parameters: gradient [terms][parameters] out. The policy's gradient is zero afterwards. Takes no
 * step and charges nothing. For algorithms with a loss. */
RgStatus rg_trainer_term_gradients(RgTrainer *trainer, int64_t step, double *const *gradient,
                                   RgError *error);

/* ---- for algorithms with a loss and parameters of their own ---- */

/* Train `parameters` besides the policy; the trainer owns them from now on. The gradient of the
 * loss is added to them, too. After each epoch an optimiser with these options steps them; its
 * schedule counts these steps. A checkpoint holds both under `name` (borrowed). Call it once, in
 * `create` of an algorithm with a loss. Requires training.shards = 1. */
void rg_trainer_own(RgTrainer *trainer, const char *name, RgParameters *parameters,
                    const RgOptimizerOptions *optimizer);
/* Add the FLOPs of policy and reference to trainer->flops, from 0, until it is switched off. A step
 * and `create` switch it on, and their sums go to the meter. Evaluations of the same policies
 * between steps are not charged. */
void rg_trainer_charge(RgTrainer *trainer, bool on);

/* ---- for algorithms with a step of their own ---- */

/* Sample `copies` responses of the policy to each of `prompts` training prompts into `out`; the
 * copies of a prompt are adjacent. `draw` is the index of the batch: prompts follow their shuffled
 * order, and the same index gives the same batch. */
void rg_trainer_sample(RgTrainer *trainer, int64_t draw, int64_t prompts, int64_t copies,
                       RgSequences *out);
/* Query the judge for rewards [sequences->count], or for labels [sequences->count / 2] with the
 * random numbers of `random`, and count the queries. If the judge fails, return its error from the
 * step. */
RgStatus rg_trainer_judge(RgTrainer *trainer, const RgSequences *sequences, double *reward,
                          RgError *error);
RgStatus rg_trainer_label(RgTrainer *trainer, const RgSequences *sequences, RgRandom random,
                          uint8_t *preferred, RgError *error);
/* Step the policy along its gradient, any number of times in a step of the trial. The learning rate
 * is that of the trial's step, so schedules end with the trial. Returns the norm of the gradient;
 * if it is not finite, nothing was changed. */
double rg_trainer_step_policy(RgTrainer *trainer);
/* Failure among the samples of this step; NULL if there is none. */
const char *rg_trainer_failure(const RgTrainer *trainer);
/* Index of the `position`-th element of an endless walk over the data set, shuffled each pass. */
int64_t rg_shuffle_at(RgShuffle *shuffle, int64_t position);
/* The index of the `position`-th offline pair, or single response if the recipe has `single`; the
 * meter counts its label. */
int64_t rg_trainer_read_pair(RgTrainer *trainer, int64_t position);

/* Log a metric of this step; report that the trial has diverged. Both strings are borrowed. */
void rg_trainer_metric(RgTrainer *trainer, const char *name, double value);
void rg_trainer_diverged(RgTrainer *trainer, const char *reason);
/* Log a remark on this step, after which the trial continues (text borrowed). */
void rg_trainer_notice(RgTrainer *trainer, const char *text);

/* List all arrays that a resumed trial needs to continue with the same bits. */
void rg_trainer_checkpoint(RgTrainer *trainer, RgCheckpoint *checkpoint);

#endif
