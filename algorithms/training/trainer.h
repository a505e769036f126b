/* SPDX-License-Identifier: MIT */
/* The trainer: one step, as data. It draws prompts, gets responses and labels from where the
 * algorithm's recipe says, takes log-probabilities, asks for the loss, goes back, clips, steps, and
 * meters. It knows no algorithm by name.
 *
 * Offline pairs come back in every epoch and in every trial, and the reference says the same of
 * them each time: with a cache it is asked once. A trial is charged what requests costs, FLOPs and
 * seconds, whether it asked or found the answer, so that trials stay comparable whatever ran before
 * them.
 *
 * A batch may be cut into shards, whose gradients are made one by one and added up. Where the
 * task has a process group, each of its ranks has a trainer of the same trial, and makes the
 * gradients of some of the shards; all else of a step each does alike. Into how many shards decides
 * the bits, who makes which does not. */
#ifndef RG_ALGORITHMS_TRAINING_TRAINER_H
#define RG_ALGORITHMS_TRAINING_TRAINER_H

#include "algorithms/training/recipe.h"
#include "core/train/checkpoint.h"

typedef struct RgTrainingOptions {
    int64_t batch;       /* pairs (or demonstrations) per step */
    int64_t shards;      /* that the batch is cut into, each with a gradient of its own; 0 is 1 */
    int64_t micro_batch; /* pairs at a time on the tape; 0: all of a shard's */
    double temperature;  /* of responses sampled for training */
    int64_t top_k;
    double top_p;
    double min_p;
} RgTrainingOptions;
extern const RgOption rg_training_options[];

/* Whether the algorithm can take its batches in these parts; before anything is trained. */
RgStatus rg_training_check(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                           const RgTrainingOptions *training, RgError *error);

/* What a step came to, beside the weights. */
typedef struct RgOutcome {
    const char *diverged; /* why the trial cannot go on, or NULL */
    const char *notice;   /* what was remarkable about the step, or NULL */
    /* For the log: name and value. */
    struct RgMetric {
        const char *name;
        double value;
    } metrics[32];
    int metric_count;
} RgOutcome;

/* A fixed order of the elements of a data set, drawn anew for each pass. */
typedef struct RgShuffle {
    int64_t count;
    int64_t epoch; /* that `order` is of; −1 before the first */
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
    RgPolicy *sampler;          /* by which responses are sampled: the policy, or as it was */
    RgPolicy *moving_reference; /* the reference, where the method moves it; else NULL */
    RgPolicy *moving_sampler;   /* the sampler, where it is not the policy; else NULL */
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
    } own;                     /* what the algorithm trains beside the policy */
    struct RgGradientSum *sum; /* of shards, once there are several */
    struct RgPairCache *cache; /* of what the reference says of offline pairs; NULL: none */
    /* Spent in this step so far. Whatever works for the step adds to it where it spends: the tape,
     * policy and reference, see rg_trainer_charge, and an algorithm's own tapes, see
     * rg_tape_count_onto. It starts at 0 in each step, so that a step comes to the same number
     * whatever came before it. */
    double flops;
    struct {
        double seconds; /* charged for requests the reference so far */
        double spent;   /* seconds that went by, in requests and in looking up */
    } asked;
    RgShuffle prompts, pairs, demonstrations;
    int64_t *pairs_read; /* one bit each: offline pairs that the meter has counted */

    RgStep now;                                         /* as the loss sees it */
    double logged[RG_STEP_METRICS];                     /* by it, in this step */
    char metric_names[RG_STEP_METRICS][RG_METRIC_NAME]; /* on ranks without a shard: by others */
    int64_t failed_episodes;                            /* among those that this step sampled */
    RgOutcome outcome;                                  /* of the last step */
};

/* `options`, `policy`, `reference` and `task` are borrowed. */
RgStatus rg_trainer_create(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgPolicy *policy, RgPolicy *reference,
                           const RgTask *task, const RgOptimizerOptions *optimizer,
                           int64_t total_steps, RgRandom random, RgTrainer **trainer,
                           RgError *error);
void rg_trainer_destroy(RgTrainer *trainer);
/* Look up what the reference says of offline pairs in `cache` (borrowed, its source the reference).
 * Neither bits nor FLOPs depend on it. */
void rg_trainer_use_cache(RgTrainer *trainer, struct RgPairCache *cache);

/* One step, and what it came to in trainer->outcome: a trial that has diverged there is over. An
 * error is what the judge has failed with, or what is wrong with the algorithm's loss; it leaves
 * the trainer good for nothing but its last checkpoint. */
RgStatus rg_trainer_step(RgTrainer *trainer, RgError *error);

/* Add the gradient of the algorithm's loss, on the batch that step `step` would have, to
 * policy->parameters->gradient; the loss out. No step is taken, and nothing is charged. For
 * algorithms with a loss. */
RgStatus rg_trainer_gradient(RgTrainer *trainer, int64_t step, double *loss, RgError *error);

/* ---- for algorithms with a loss and parameters of their own ---- */

/* Train `parameters`, which become the trainer's, beside the policy: the gradient of the loss goes
 * into them, too, after each epoch they step by an optimiser with these options, whose schedule
 * counts these steps, and a checkpoint holds both by `name` (borrowed). For `create`, once; the
 * algorithm has a loss, and its batches are no process group's: training.shards has to be 1. */
void rg_trainer_own(RgTrainer *trainer, const char *name, RgParameters *parameters,
                    const RgOptimizerOptions *optimizer);
/* Count what policy and reference spend onto trainer->flops, from 0, until it is switched off. A
 * step does so, and `create`, and their sums go to the meter; in between the same policies are
 * evaluated, which is not charged. */
void rg_trainer_charge(RgTrainer *trainer, bool on);

/* ---- for algorithms with a step of their own ---- */

/* Sample `copies` responses of the policy for each of `prompts` training prompts into `out`, the
 * copies of a prompt next to each other. `draw` numbers the batches: the prompts come in their
 * shuffled order, and the same draw gives the same batch. */
void rg_trainer_sample(RgTrainer *trainer, int64_t draw, int64_t prompts, int64_t copies,
                       RgSequences *out);
/* Ask the judge, for rewards [sequences->count] or for labels [sequences->count / 2] by the numbers
 * of `random`, and count that. A step whose judge fails ends with the error. */
RgStatus rg_trainer_judge(RgTrainer *trainer, const RgSequences *sequences, double *reward,
                          RgError *error);
RgStatus rg_trainer_label(RgTrainer *trainer, const RgSequences *sequences, RgRandom random,
                          uint8_t *preferred, RgError *error);
/* Step the policy along its gradient, as often as a step of the trial takes: the learning rate is
 * that of the trial's step, so that schedules end where the trial does. Returns the gradient's
 * norm, which is not finite where nothing was moved. */
double rg_trainer_step_policy(RgTrainer *trainer);
/* What went wrong with samples of this step, NULL when nothing did. */
const char *rg_trainer_failure(const RgTrainer *trainer);
/* Index of the `position`-th element of an endless walk over the data set, shuffled each pass. */
int64_t rg_shuffle_at(RgShuffle *shuffle, int64_t position);
/* That of the offline pairs, whose labels the meter counts. */
int64_t rg_trainer_read_pair(RgTrainer *trainer, int64_t position);

/* Note a metric of this step (name borrowed); say that the trial cannot go on (reason borrowed). */
void rg_trainer_metric(RgTrainer *trainer, const char *name, double value);
void rg_trainer_diverged(RgTrainer *trainer, const char *reason);
/* Tell in the log of something in this step that the trial goes on after (text borrowed). */
void rg_trainer_notice(RgTrainer *trainer, const char *text);

/* List all that a resumed trial needs for the same bits. */
void rg_trainer_checkpoint(RgTrainer *trainer, RgCheckpoint *checkpoint);

#endif
