/* The trainer: one step, as data. It draws prompts, gets responses and labels from where the
 * algorithm's descriptor says, takes log-probabilities, asks for the loss, goes back, clips, steps,
 * and meters. It knows no algorithm by name. */
#ifndef RG_ALGORITHMS_TRAINER_H
#define RG_ALGORITHMS_TRAINER_H

#include "algorithms/algorithm.h"
#include "core/train/checkpoint.h"

typedef struct RgTrainingOptions {
    int64_t batch;      /* pairs (or demonstrations) per step */
    double temperature; /* of responses sampled for training */
    int64_t top_k;
    double top_p;
} RgTrainingOptions;
extern const RgOption rg_training_options[];

struct RgTrainer {
    const RgAlgorithm *algorithm;
    const void *options; /* the algorithm's, as its table describes */
    RgTrainingOptions training;
    RgPolicy *policy;
    RgPolicy *reference;
    const RgCourse *course;
    RgOptimizer *optimizer;
    RgTape *tape;
    RgRandom random; /* the trial's root stream */
    int64_t step;    /* steps done */
    RgMeter meter;
    void *state; /* the algorithm's own */
    /* Metrics of the last step, for the log: name and value. */
    struct RgStepMetric {
        const char *name;
        double value;
    } metrics[32];
    int metric_count;
    const char *diverged; /* reason, or NULL */
};

RgStatus rg_trainer_create(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgPolicy *policy, RgPolicy *reference,
                           const RgCourse *course, const RgOptimizerOptions *optimizer,
                           int64_t total_steps, RgRandom random, RgTrainer **trainer,
                           RgError *error);
void rg_trainer_destroy(RgTrainer *trainer);

/* One step. False when the trial has diverged; trainer->diverged says why. */
bool rg_trainer_step(RgTrainer *trainer);

/* Gradient of the algorithm's loss on the batch of step `step`, left in
 * policy->parameters->gradient without stepping. */
double rg_trainer_gradient(RgTrainer *trainer, int64_t step);

/* For algorithms: note a metric of this step; end the trial. */
void rg_trainer_metric(RgTrainer *trainer, const char *name, double value);
bool rg_trainer_diverged(RgTrainer *trainer, const char *reason); /* returns false */

/* All that a resumed trial needs for the same bits. */
void rg_trainer_checkpoint(RgTrainer *trainer, RgCheckpoint *checkpoint);

#endif
