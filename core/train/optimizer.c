/* SPDX-License-Identifier: MIT */
/* AdamW, SGD and RMSprop over a flat parameter store, clipping by the global norm, and
 * learning-rate schedules. Single numbers of a step are computed in double, loops over elements in
 * RgReal. */
#include "core/train/optimizer.h"

#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"
#include "core/tensor/profile.h"

#include <stdlib.h>
#include <string.h>
#include <tgmath.h>

static const RgOptionFamily optimizers = {.kind = RG_OPTIMIZER, .beside = true};
static const char *const schedules[] = {"constant", "cosine", "linear", NULL};

const RgOption rg_optimizer_options[] = {
    RG_OPTION_PART(RgOptimizerOptions, type, "adamw", &optimizers,
                   "adamw (Loshchilov & Hutter, arXiv:1711.05101), sgd with momentum, or rmsprop "
                   "without momentum; each with decoupled weight decay"),
    RG_OPTION_REAL(RgOptimizerOptions, learning_rate, NULL, 0, 1e3,
                   "largest learning rate, before schedule and after warm-up"),
    RG_OPTION_CHOICE(RgOptimizerOptions, schedule, "constant", schedules,
                     "how the learning rate falls from the end of warm-up to the last step of the "
                     "trial; all passes of a step use the same rate"),
    RG_OPTION_INTEGER(RgOptimizerOptions, warmup, "0", 0, 1e12,
                      "steps of linear warm-up: step i uses (i + 1)/warmup of the rate"),
    RG_OPTION_REAL(RgOptimizerOptions, final_fraction, "0", 0, 1,
                   "fraction of the learning rate at which cosine and linear end"),
    RG_OPTION_REAL(RgOptimizerOptions, beta1, "0.9", 0, 0.999999,
                   "adamw: decay per step of the mean of gradients"),
    RG_OPTION_REAL(RgOptimizerOptions, beta2, "0.999", 0, 0.999999,
                   "adamw: decay per step of the mean of squared gradients"),
    RG_OPTION_REAL(RgOptimizerOptions, epsilon, "1e-8", 1e-30, 1,
                   "adamw, rmsprop: added to the root of the mean square"),
    RG_OPTION_REAL(
        RgOptimizerOptions, weight_decay, "0", 0, 1e3,
        "decoupled weight decay: matrices shrink by learning rate times this, each step"),
    RG_OPTION_REAL(RgOptimizerOptions, momentum, "0", 0, 0.999999,
                   "sgd: decay per step of the running sum of gradients"),
    RG_OPTION_REAL(RgOptimizerOptions, smoothing, "0.99", 0, 0.999999,
                   "rmsprop: decay per step of the mean of squared gradients"),
    RG_OPTION_REAL(
        RgOptimizerOptions, clip, "1.0", 0, 1e30,
        "largest 2-norm of the whole gradient, which is scaled down to it; 0: no clipping"),
    RG_OPTION_END,
};

static RgReal *zeros(int64_t count) {
    size_t bytes = (size_t)count * sizeof(RgReal);
    RgReal *numbers = rg_allocate_aligned_zeroed(bytes);
    rg_pages_touch(numbers, bytes);
    return numbers;
}

RgOptimizerOptions rg_adamw_options(double learning_rate) {
    RgOptimizerOptions options = {.learning_rate = learning_rate,
                                  .schedule = RG_SCHEDULE_CONSTANT,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8};
    options.type.type = &rg_optimizer_adamw.about;
    return options;
}

RgOptimizer *rg_optimizer_create(const RgOptimizerOptions *options, int64_t count,
                                 int64_t total_steps) {
    RG_ASSERT(count >= 0);
    RgOptimizer *optimizer = rg_allocate(1, sizeof *optimizer);
    const RgOptionPart *part = &options->type;
    const RgDescriptor *about = part->type ? part->type : &rg_optimizer_adamw.about;
    optimizer->type = (const RgOptimizerType *)about;
    if (about->options) {
        optimizer->own = rg_allocate(1, about->options_size);
        RgStatus status =
            rg_options_read(about->options, part->settings, part->path, optimizer->own, NULL);
        RG_ASSERT(status == RG_OK); /* as when the option was read */
    }
    optimizer->options = *options;
    optimizer->total_steps = total_steps;
    optimizer->count = count;
    optimizer->first = zeros(count);
    if (optimizer->type->two)
        optimizer->second = zeros(count);
    return optimizer;
}

void rg_optimizer_destroy(RgOptimizer *optimizer) {
    if (!optimizer)
        return;
    free(optimizer->own);
    free(optimizer->first);
    free(optimizer->second);
    free(optimizer);
}

double rg_learning_rate(const RgOptimizerOptions *options, int64_t step, int64_t total_steps) {
    if (step < options->warmup)
        return options->learning_rate * (double)(step + 1) / (double)options->warmup;
    double decaying = (double)(total_steps - options->warmup);
    double progress = decaying > 0 ? (double)(step - options->warmup) / decaying : 1;
    double left = 1 - fmin(progress, 1);
    switch (options->schedule) {
    case RG_SCHEDULE_COSINE:
        left = 0.5 * (1 - cos(M_PI * left));
        break;
    case RG_SCHEDULE_LINEAR:
        break;
    default:
        left = 1;
    }
    return options->learning_rate *
           (options->final_fraction + (1 - options->final_fraction) * left);
}

/* The factors of a step of AdamW, including the bias corrections 1 − βᵗ. */
typedef struct AdamwFactors {
    RgReal clip;              /* of the gradient */
    RgReal keep1, take1;      /* β₁ and 1 − β₁ */
    RgReal keep2, take2;      /* β₂ and 1 − β₂ */
    RgReal rate;              /* learning rate / (1 − β₁ᵗ) */
    RgReal correction2;       /* 1 / (1 − β₂ᵗ) */
    RgReal epsilon, keep_own; /* keep_own: 1 − learning rate · weight decay, for the weights */
} AdamwFactors;

/* Numbers per block. The gradient is cleared while it is in the cache; compilers make a separate
 * loop of the clearing. */
enum { AT_ONCE = 4096 };

/* Means of gradients that stay zero, as those of a token that does not occur again, decay to
 * subnormal numbers. There they would remain, and slow down the computation. */
RG_INLINE RgReal normal_or_zero(RgReal x) {
    return fabs(x) < (RgReal)RG_REAL_LEAST ? 0 : x;
}

/* One pass over memory, which also clears the gradient for the next step:
 * m = β₁·m + (1 − β₁)·g,   v = β₂·v + (1 − β₂)·g²
 * θ = (1 − lr·λ)·θ − lr·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)      arXiv:1711.05101, algorithm 2 */
RG_KERNEL(void, adamw_elements,
          (AdamwFactors f, int64_t n, RgReal *restrict value, RgReal *restrict gradient,
           RgReal *restrict first, RgReal *restrict second),
          (f, n, value, gradient, first, second)) {
    for (int64_t at = 0; at < n; at += AT_ONCE) {
        int64_t end = n - at < AT_ONCE ? n : at + AT_ONCE;
#pragma omp simd
        for (int64_t i = at; i < end; i++) {
            RgReal g = f.clip * gradient[i];
            RgReal m = normal_or_zero(f.keep1 * first[i] + f.take1 * g);
            RgReal v = normal_or_zero(f.keep2 * second[i] + f.take2 * g * g);
            RgReal root = sqrt(f.correction2 * v);
            gradient[i] = 0;
            first[i] = m;
            second[i] = v;
            value[i] = f.keep_own * value[i] - f.rate * m / (root + f.epsilon);
        }
    }
}

/* m = μ·m + g,   θ = (1 − lr·λ)·θ − lr·m */
RG_KERNEL(void, sgd_elements,
          (RgReal clip, RgReal momentum, RgReal rate, RgReal keep_own, int64_t n,
           RgReal *restrict value, RgReal *restrict gradient, RgReal *restrict first),
          (clip, momentum, rate, keep_own, n, value, gradient, first)) {
    for (int64_t at = 0; at < n; at += AT_ONCE) {
        int64_t end = n - at < AT_ONCE ? n : at + AT_ONCE;
#pragma omp simd
        for (int64_t i = at; i < end; i++) {
            RgReal m = normal_or_zero(momentum * first[i] + clip * gradient[i]);
            gradient[i] = 0;
            first[i] = m;
            value[i] = keep_own * value[i] - rate * m;
        }
    }
}

/* The factor for the values of a view in a step, 1 − lr·λ. */
static RgReal keep_own(const RgOptimizer *optimizer, const RgParameterView *view) {
    return (RgReal)(view->decays ? 1 - optimizer->rate * optimizer->options.weight_decay : 1);
}

static void move_by_sgd(RgOptimizer *optimizer, RgParameters *parameters,
                        const RgParameterView *view, double clip) {
    RgReal momentum = (RgReal)optimizer->options.momentum, rate = (RgReal)optimizer->rate;
    RgReal keep = keep_own(optimizer, view);
    RgReal *value = parameters->value + view->offset;
    RgReal *gradient = parameters->gradient + view->offset;
    RgReal *mean = optimizer->first + view->offset;
    RgPieces pieces = rg_spread(view->count, RG_LEAST_NUMBERS);
    RG_FOR_PIECES(view->count, pieces,
                  sgd_elements((RgReal)clip, momentum, rate, keep, last - first, value + first,
                               gradient + first, mean + first));
}

static void move_by_factors(RgOptimizer *optimizer, RgParameters *parameters,
                            const RgParameterView *view, AdamwFactors factors) {
    RgReal *value = parameters->value + view->offset;
    RgReal *gradient = parameters->gradient + view->offset;
    RgReal *mean = optimizer->first + view->offset;
    RgReal *square = optimizer->second + view->offset;
    RgPieces pieces = rg_spread(view->count, RG_LEAST_NUMBERS);
    RG_FOR_PIECES(view->count, pieces,
                  adamw_elements(factors, last - first, value + first, gradient + first,
                                 mean + first, square + first));
}

static void move_by_adamw(RgOptimizer *optimizer, RgParameters *parameters,
                          const RgParameterView *view, double clip) {
    const RgOptimizerOptions *o = &optimizer->options;
    double t = (double)(optimizer->step + 1);
    const AdamwFactors factors = {.clip = (RgReal)clip,
                                  .keep1 = (RgReal)o->beta1,
                                  .take1 = (RgReal)(1 - o->beta1),
                                  .keep2 = (RgReal)o->beta2,
                                  .take2 = (RgReal)(1 - o->beta2),
                                  .rate = (RgReal)(optimizer->rate / (1 - pow(o->beta1, t))),
                                  .correction2 = (RgReal)(1 / (1 - pow(o->beta2, t))),
                                  .epsilon = (RgReal)o->epsilon,
                                  .keep_own = keep_own(optimizer, view)};
    move_by_factors(optimizer, parameters, view, factors);
}

/* AdamW without the mean of gradients and the corrections. */
static void move_by_rmsprop(RgOptimizer *optimizer, RgParameters *parameters,
                            const RgParameterView *view, double clip) {
    const RgOptimizerOptions *o = &optimizer->options;
    const AdamwFactors factors = {.clip = (RgReal)clip,
                                  .keep1 = 0,
                                  .take1 = 1,
                                  .keep2 = (RgReal)o->smoothing,
                                  .take2 = (RgReal)(1 - o->smoothing),
                                  .rate = (RgReal)optimizer->rate,
                                  .correction2 = 1,
                                  .epsilon = (RgReal)o->epsilon,
                                  .keep_own = keep_own(optimizer, view)};
    move_by_factors(optimizer, parameters, view, factors);
}

const RgOptimizerType rg_optimizer_adamw = {
    .about = {.name = "adamw",
              .summary = "Adam with decoupled weight decay",
              .reference = "Loshchilov & Hutter 2017, arXiv:1711.05101"},
    .two = true,
    .move = move_by_adamw,
};

const RgOptimizerType rg_optimizer_sgd = {
    .about = {.name = "sgd",
              .summary = "Stochastic gradient descent with momentum and decoupled weight decay"},
    .move = move_by_sgd,
};

const RgOptimizerType rg_optimizer_rmsprop = {
    .about = {.name = "rmsprop",
              .summary = "Steps divided by the root of the mean square of gradients",
              .reference = "Tieleman & Hinton 2012"},
    .two = true,
    .move = move_by_rmsprop,
};

RgStatus rg_optimizer_type_check(const RgOptimizerType *type, RgError *error) {
    const RgRequirement requirements[] = {{type->move != NULL, "a function move"}};
    RG_TRY(rg_descriptor_check(RG_OPTIMIZER, &type->about, requirements, 1, error));
    const RgOption *own;
    for (int i = 0; (own = rg_options_at(type->about.options, i, NULL)); i++)
        if (rg_options_find(rg_optimizer_options, own->name))
            return rg_fail(error, RG_E_USAGE,
                           "the descriptor of the optimizer \"%s\": option \"%s\" is common to "
                           "all optimizers: expected another name",
                           type->about.name, own->name);
    return RG_OK;
}

RgStatus rg_optimizer_type_register(const RgOptimizerType *type, RgError *error) {
    RG_TRY(rg_optimizer_type_check(type, error));
    return rg_register(RG_OPTIMIZER, &type->about, error);
}

/* ---- the step ---- */

double rg_optimizer_step_at(RgOptimizer *optimizer, RgParameters *parameters, int64_t scheduled) {
    RG_ASSERT(parameters->gradient && parameters->count == optimizer->count);
    const RgOptimizerOptions *o = &optimizer->options;
    rg_profile_lap("other", false);
    double norm = rg_parameters_gradient_norm(parameters);
    if (isfinite(norm)) {
        double clip = o->clip > 0 && norm > o->clip ? o->clip / norm : 1;
        optimizer->rate = rg_learning_rate(o, scheduled, optimizer->total_steps);
        for (int i = 0; i < parameters->view_count; i++)
            optimizer->type->move(optimizer, parameters, &parameters->views[i], clip);
        optimizer->step++;
    } else {
        rg_parameters_zero_gradient(parameters);
    }
    rg_profile_lap("optimizer", false);
    return norm;
}

double rg_optimizer_step(RgOptimizer *optimizer, RgParameters *parameters) {
    return rg_optimizer_step_at(optimizer, parameters, optimizer->step);
}
