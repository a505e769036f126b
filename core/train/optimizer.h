/* Optimisers and learning-rate schedules over a flat parameter store. */
#ifndef RG_CORE_TRAIN_OPTIMIZER_H
#define RG_CORE_TRAIN_OPTIMIZER_H

#include "core/options.h"
#include "core/tensor/parameters.h"

enum { RG_ADAMW, RG_SGD, RG_RMSPROP };
enum { RG_SCHEDULE_CONSTANT, RG_SCHEDULE_COSINE, RG_SCHEDULE_LINEAR };

typedef struct RgOptimizerOptions {
    int type; /* adamw, sgd or rmsprop */
    double learning_rate;
    int schedule;
    int64_t warmup;        /* steps of linear warm-up from 0 */
    double final_fraction; /* of the learning rate, at the end of a decaying schedule */
    double beta1, beta2, epsilon, weight_decay; /* AdamW (Loshchilov & Hutter, arXiv:1711.05101) */
    double momentum;                            /* SGD */
    double smoothing;                           /* RMSprop */
    double clip; /* global 2-norm above which the gradient is scaled down; 0: never */
} RgOptimizerOptions;

extern const RgOption rg_optimizer_options[];

typedef struct RgOptimizer {
    RgOptimizerOptions options;
    int64_t total_steps; /* of the schedule */
    int64_t step;        /* steps taken */
    double rate;         /* learning rate of the last of them */
    int64_t count;
    RgReal *first;  /* [count] AdamW's mean of gradients, SGD's momentum, RMSprop's last gradient */
    RgReal *second; /* [count] the mean of squares; NULL for SGD */
} RgOptimizer;

RgOptimizer *rg_optimizer_create(const RgOptimizerOptions *options, int64_t count,
                                 int64_t total_steps);
void rg_optimizer_destroy(RgOptimizer *optimizer);

/* Learning rate of step `step` (counted from 0). */
double rg_learning_rate(const RgOptimizerOptions *options, int64_t step, int64_t total_steps);

/* Clip the gradient, move the values along it, zero the gradient; the learning rate is that of the
 * schedule's step `scheduled` (counted from 0). Returns the gradient's norm before clipping. A
 * gradient that is not finite moves nothing: the norm returned tells. */
double rg_optimizer_step_at(RgOptimizer *optimizer, RgParameters *parameters, int64_t scheduled);
/* The same where the schedule counts the optimiser's own steps. */
double rg_optimizer_step(RgOptimizer *optimizer, RgParameters *parameters);

#endif
