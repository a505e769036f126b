/* @NAME@: Lion, which moves each parameter by the sign of a mean of gradients, so that only the
 * learning rate sets the size of a step.
 *
 *     θ = (1 − η·λ)·θ − η·sign(β₁·m + (1 − β₁)·g),    m = β₂·m + (1 − β₂)·g
 *
 *     Chen et al. 2023, arXiv:2302.06675, algorithm 2
 *
 * core/train/optimizer.h describes the contract of an optimiser. */
#include "regatta.h"

/* A config sets them together with learning_rate and others, so their names must differ. */
typedef struct Options {
    double interpolation;
    double memory;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_REAL(Options, interpolation, "0.9", 0, 0.999999,
                   "β₁, of the mean of gradients in the step"),
    RG_OPTION_REAL(Options, memory, "0.99", 0, 0.999999, "β₂, decay of that mean per step"),
    RG_OPTION_END,
};

/* Updates one view of the parameters: a matrix or a vector. Its part of `first` is m, which is
 * saved in checkpoints. Work per number may be spread over threads. */
static void move(RgOptimizer *optimizer, RgParameters *parameters, const RgParameterView *view,
                 double clip) {
    const Options *o = optimizer->own;
    RgReal *value = parameters->value + view->offset;
    RgReal *gradient = parameters->gradient + view->offset;
    RgReal *mean = optimizer->first + view->offset;
    double rate = optimizer->rate;
    double kept = view->decays ? 1 - rate * optimizer->options.weight_decay : 1;
    for (int64_t i = 0; i < view->count; i++) {
        double g = clip * (double)gradient[i], m = (double)mean[i];
        double along = o->interpolation * m + (1 - o->interpolation) * g;
        double sign = along > 0 ? 1 : along < 0 ? -1 : 0;
        value[i] = (RgReal)(kept * (double)value[i] - rate * sign);
        mean[i] = (RgReal)(o->memory * m + (1 - o->memory) * g);
        gradient[i] = 0;
    }
}

static const RgOptimizerType optimizer = {
    .about = {.name = "@NAME@",
              .summary = "Lion: steps by the sign of a mean of gradients",
              .reference = "Chen et al. 2023, arXiv:2302.06675, algorithm 2",
              .options = options_table,
              .options_size = sizeof(Options)},
    .two = false, /* only `first` */
    .move = move,
};

static RgStatus add(RgError *error) {
    return rg_optimizer_type_register(&optimizer, error);
}
RG_PLUGIN(add);
