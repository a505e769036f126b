/* SPDX-License-Identifier: MIT */
/* Optimisers and learning-rate schedules over a flat parameter store. */
#ifndef RG_CORE_TRAIN_OPTIMIZER_H
#define RG_CORE_TRAIN_OPTIMIZER_H

#include "core/options.h"
#include "core/registry.h"
#include "core/tensor/parameters.h"

typedef struct RgOptimizer RgOptimizer;

/* An optimiser: how a gradient moves parameters. */
typedef struct RgOptimizerType {
    RgDescriptor about;
    bool two; /* it keeps two numbers for each parameter, `first` and `second`; else one */
    /* Move the values of one view of the parameters along its gradient, and clear that: the
     * learning rate of the step is optimizer->rate, `clip` what the gradient is multiplied by
     * first, optimizer->own the optimiser's own options. Called once a step for each view; the
     * numbers that it keeps of them begin at view->offset, as values and gradient do. */
    void (*move)(RgOptimizer *optimizer, RgParameters *parameters, const RgParameterView *view,
                 double clip);
} RgOptimizerType;

extern const RgOptimizerType rg_optimizer_adamw, rg_optimizer_sgd, rg_optimizer_rmsprop;

/* Refuse a descriptor that is not complete: RG_E_USAGE, with its name. */
RgStatus rg_optimizer_type_check(const RgOptimizerType *type, RgError *error);
/* Add one, of a plug-in: checked, and borrowed for good. */
RgStatus rg_optimizer_type_register(const RgOptimizerType *type, RgError *error);

enum { RG_SCHEDULE_CONSTANT, RG_SCHEDULE_COSINE, RG_SCHEDULE_LINEAR };

typedef struct RgOptimizerOptions {
    RgOptionPart type; /* of a registered optimiser, with options of its own; none: adamw */
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

struct RgOptimizer {
    const RgOptimizerType *type;
    void *own; /* its own options, or NULL */
    RgOptimizerOptions options;
    int64_t total_steps; /* of the schedule */
    int64_t step;        /* steps taken */
    double rate;         /* learning rate of the last of them */
    int64_t count;
    RgReal *first;  /* [count] AdamW's mean of gradients, SGD's momentum, RMSprop's last gradient */
    RgReal *second; /* [count] the mean of squares; NULL where the type keeps one number */
};

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
