/* SPDX-License-Identifier: MIT */
/* Optimisers and learning-rate schedules for a flat parameter store.
 *
 * Threads: one at a time per optimiser and its parameters. A step uses all threads itself. */
#ifndef RG_CORE_TRAIN_OPTIMIZER_H
#define RG_CORE_TRAIN_OPTIMIZER_H

#include "core/options.h"
#include "core/registry.h"
#include "core/tensor/parameters.h"

typedef struct RgOptimizer RgOptimizer;

/* An optimiser type: how a gradient updates parameters. */
typedef struct RgOptimizerType {
    RgDescriptor about;
    bool two; /* keeps two numbers per parameter, `first` and `second`; else one */
    /* Updates the values of one view of the parameters with its gradient, and zeroes the gradient.
     * The step's learning rate is optimizer->rate, the gradient is first multiplied by `clip`, and
     * optimizer->own holds the type's own options. Called once per step and view. The view's
     * numbers in `first` and `second` begin at view->offset, as in the values and the gradient. */
    void (*move)(RgOptimizer *optimizer, RgParameters *parameters, const RgParameterView *view,
                 double clip);
} RgOptimizerType;

extern const RgOptimizerType rg_optimizer_adamw, rg_optimizer_sgd, rg_optimizer_rmsprop;

/* Refuses an incomplete descriptor: RG_E_USAGE, with its name. */
RgStatus rg_optimizer_type_check(const RgOptimizerType *type, RgError *error);
/* Adds a type of a plug-in, which is checked and then borrowed forever. */
RgStatus rg_optimizer_type_register(const RgOptimizerType *type, RgError *error);

enum { RG_SCHEDULE_CONSTANT, RG_SCHEDULE_COSINE, RG_SCHEDULE_LINEAR };

typedef struct RgOptimizerOptions {
    RgOptionPart type; /* a registered optimiser with its own options; unset: adamw */
    double learning_rate;
    int schedule;
    int64_t warmup;        /* steps of linear warm-up from 0 */
    double final_fraction; /* fraction of the learning rate at the end of a decaying schedule */
    double beta1, beta2, epsilon, weight_decay; /* AdamW (Loshchilov & Hutter, arXiv:1711.05101) */
    double momentum;                            /* SGD */
    double smoothing;                           /* RMSprop */
    double clip; /* largest 2-norm of the whole gradient, which is scaled down to it; 0: no
                  * clipping */
} RgOptimizerOptions;

extern const RgOption rg_optimizer_options[];

struct RgOptimizer {
    const RgOptimizerType *type;
    void *own; /* the type's own options, or NULL */
    RgOptimizerOptions options;
    int64_t total_steps; /* length of the schedule */
    int64_t step;        /* steps taken */
    double rate;         /* learning rate of the last step */
    int64_t count;
    RgReal *first;  /* [count] AdamW's mean of gradients, SGD's momentum, RMSprop's last gradient */
    RgReal *second; /* [count] mean of squares; NULL if the type keeps one number */
};

/* AdamW with the usual constants, a constant learning rate and no decay: for what an algorithm trains
 * beside the policy. */
RgOptimizerOptions rg_adamw_options(double learning_rate);

RgOptimizer *rg_optimizer_create(const RgOptimizerOptions *options, int64_t count,
                                 int64_t total_steps);
void rg_optimizer_destroy(RgOptimizer *optimizer);

/* Learning rate of step `step` (counted from 0). */
double rg_learning_rate(const RgOptimizerOptions *options, int64_t step, int64_t total_steps);

/* Clips the gradient, updates the values and zeroes the gradient. The learning rate is that of the
 * schedule's step `scheduled` (counted from 0). Returns the norm of the gradient before clipping.
 * If the gradient is not finite, the returned norm is not finite either and the values do not
 * change. */
double rg_optimizer_step_at(RgOptimizer *optimizer, RgParameters *parameters, int64_t scheduled);
/* The same with the optimiser's own count of steps. */
double rg_optimizer_step(RgOptimizer *optimizer, RgParameters *parameters);

#endif
