/* AdamW, SGD and RMSprop over a flat parameter store, clipping by the global norm, and
 * learning-rate schedules. Everything of a step that is one number is computed in double; loops
 * over elements run in RgReal. Where gradients come from is not told here. */
#include "core/train/optimizer.h"

#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"
#include "core/tensor/profile.h"

#include <stdlib.h>
#include <string.h>
#include <tgmath.h>

static const char *const types[] = {"adamw", "sgd", "rmsprop", NULL};
static const char *const schedules[] = {"constant", "cosine", "linear", NULL};

const RgOption rg_optimizer_options[] = {
    RG_OPTION_CHOICE(RgOptimizerOptions, type, "adamw", types,
                     "adamw: Loshchilov & Hutter, arXiv:1711.05101; sgd: with momentum and their "
                     "decoupled weight decay; rmsprop: with that decay, too, and no momentum"),
    RG_OPTION_REAL(RgOptimizerOptions, learning_rate, NULL, 0, 1e3,
                   "largest learning rate, before schedule and after warm-up"),
    RG_OPTION_CHOICE(RgOptimizerOptions, schedule, "constant", schedules,
                     "how the learning rate falls from the end of warm-up to the last step of the "
                     "trial; all passes of a step have the same rate"),
    RG_OPTION_INTEGER(RgOptimizerOptions, warmup, "0", 0, 1e12,
                      "steps of linear warm-up: step i of them has (i + 1)/warmup of the rate"),
    RG_OPTION_REAL(RgOptimizerOptions, final_fraction, "0", 0, 1,
                   "of the learning rate, where cosine and linear end"),
    RG_OPTION_REAL(RgOptimizerOptions, beta1, "0.9", 0, 0.999999,
                   "adamw: decay per step of the mean of gradients"),
    RG_OPTION_REAL(RgOptimizerOptions, beta2, "0.999", 0, 0.999999,
                   "adamw: decay per step of the mean of squared gradients"),
    RG_OPTION_REAL(RgOptimizerOptions, epsilon, "1e-8", 1e-30, 1,
                   "adamw, rmsprop: added to the root of the mean square"),
    RG_OPTION_REAL(RgOptimizerOptions, weight_decay, "0", 0, 1e3,
                   "decoupled: matrices shrink by learning rate times this, each step"),
    RG_OPTION_REAL(RgOptimizerOptions, momentum, "0", 0, 0.999999,
                   "sgd: decay per step of the running sum of gradients"),
    RG_OPTION_REAL(RgOptimizerOptions, smoothing, "0.99", 0, 0.999999,
                   "rmsprop: decay per step of the mean of squared gradients"),
    RG_OPTION_REAL(RgOptimizerOptions, clip, "1.0", 0, 1e30,
                   "2-norm of the whole gradient above which it is scaled down to it; 0: never"),
    RG_OPTION_END,
};

static RgReal *zeros(int64_t count) {
    size_t bytes = (size_t)count * sizeof(RgReal);
    RgReal *numbers = rg_allocate_aligned_zeroed(bytes);
    rg_pages_touch(numbers, bytes);
    return numbers;
}

RgOptimizer *rg_optimizer_create(const RgOptimizerOptions *options, int64_t count,
                                 int64_t total_steps) {
    RG_ASSERT(count >= 0);
    RgOptimizer *optimizer = rg_allocate(sizeof *optimizer);
    optimizer->options = *options;
    optimizer->total_steps = total_steps;
    optimizer->count = count;
    optimizer->first = zeros(count);
    if (options->type != RG_SGD)
        optimizer->second = zeros(count);
    return optimizer;
}

void rg_optimizer_destroy(RgOptimizer *optimizer) {
    if (!optimizer)
        return;
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

/* What one step of AdamW multiplies by, the bias corrections 1 − βᵗ folded in. */
typedef struct AdamwFactors {
    RgReal clip;              /* of the gradient */
    RgReal keep1, take1;      /* β₁ and 1 − β₁ */
    RgReal keep2, take2;      /* β₂ and 1 − β₂ */
    RgReal rate;              /* learning rate / (1 − β₁ᵗ) */
    RgReal correction2;       /* 1 / (1 − β₂ᵗ) */
    RgReal epsilon, keep_own; /* keep_own: 1 − learning rate · weight decay, of the weights */
} AdamwFactors;

/* Numbers that are cleared while they are in the cache: of clearing compilers make a loop of its
 * own.
 */
enum { AT_ONCE = 4096 };

/* Means of gradients that no longer come, as those of a token that is not seen again, decay to
 * subnormal numbers. There they would stay, and be slow to compute with. */
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

static void step_view(RgOptimizer *optimizer, RgParameters *parameters, const RgParameterView *view,
                      double clip) {
    const RgOptimizerOptions *o = &optimizer->options;
    double t = (double)(optimizer->step + 1), rate = optimizer->rate;
    RgReal keep_own = (RgReal)(view->decays ? 1 - rate * o->weight_decay : 1);
    RgReal *value = parameters->value + view->offset;
    RgReal *gradient = parameters->gradient + view->offset;
    RgReal *mean = optimizer->first + view->offset;
    RgPieces pieces = rg_spread(view->count, RG_LEAST_NUMBERS);
    if (o->type == RG_SGD) {
        RG_FOR_PIECES(view->count, pieces,
                      sgd_elements((RgReal)clip, (RgReal)o->momentum, (RgReal)rate, keep_own,
                                   last - first, value + first, gradient + first, mean + first));
        return;
    }
    /* RMSprop (Tieleman & Hinton 2012) is AdamW without the mean of gradients and the corrections
     */
    bool corrected = o->type == RG_ADAMW;
    double beta1 = corrected ? o->beta1 : 0, beta2 = corrected ? o->beta2 : o->smoothing;
    const AdamwFactors factors = {.clip = (RgReal)clip,
                                  .keep1 = (RgReal)beta1,
                                  .take1 = (RgReal)(1 - beta1),
                                  .keep2 = (RgReal)beta2,
                                  .take2 = (RgReal)(1 - beta2),
                                  .rate = (RgReal)(rate / (1 - pow(beta1, t))),
                                  .correction2 = (RgReal)(corrected ? 1 / (1 - pow(beta2, t)) : 1),
                                  .epsilon = (RgReal)o->epsilon,
                                  .keep_own = keep_own};
    RgReal *square = optimizer->second + view->offset;
    RG_FOR_PIECES(view->count, pieces,
                  adamw_elements(factors, last - first, value + first, gradient + first,
                                 mean + first, square + first));
}

double rg_optimizer_step_at(RgOptimizer *optimizer, RgParameters *parameters, int64_t scheduled) {
    RG_ASSERT(parameters->gradient && parameters->count == optimizer->count);
    const RgOptimizerOptions *o = &optimizer->options;
    rg_profile_lap("other", false);
    double norm = rg_parameters_gradient_norm(parameters);
    if (isfinite(norm)) {
        double clip = o->clip > 0 && norm > o->clip ? o->clip / norm : 1;
        optimizer->rate = rg_learning_rate(o, scheduled, optimizer->total_steps);
        for (int i = 0; i < parameters->view_count; i++)
            step_view(optimizer, parameters, &parameters->views[i], clip);
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
