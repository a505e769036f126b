/* SPIN: self-play. Demonstrations are preferred to what the policy of the iteration before would
 * have said, which is the reference as well; then the policy takes its place.
 *
 *     L = −E[ log σ(λ·Δ) ],   y_w a demonstration, y_l ~ π_ref = π of the last iteration
 *                                                    Chen et al. 2024, arXiv:2401.01335, eq. 4.7
 *
 * λ is `beta` here. Nobody's preferences are asked for. */
#include "algorithms/algorithm.h"

typedef struct SpinOptions {
    double beta;
    int64_t reference_steps;
} SpinOptions;

static const RgOption spin_options[] = {
    RG_OPTION_REAL(SpinOptions, beta, "0.1", 1e-6, 1e3, "the paper's λ"),
    RG_OPTION_INTEGER(SpinOptions, reference_steps, "100", 0, 1e9,
                      "steps of an iteration, after which the policy becomes opponent and "
                      "reference; 0: one iteration"),
    RG_OPTION_END,
};

static double beta(const void *options) {
    return ((const SpinOptions *)options)->beta;
}

static int64_t reference_steps(const void *options) {
    return ((const SpinOptions *)options)->reference_steps;
}

static RgTensor *spin_loss(RgTape *t, const void *options, const RgBatch *batch) {
    return rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, beta(options))));
}

const RgAlgorithm rg_algorithm_spin = {
    .name = "spin",
    .summary = "Self-play: demonstrations against the policy of the iteration before",
    .reference = "Chen et al. 2024, arXiv:2401.01335, eq. 4.7",
    .responses = RG_FROM_DATASET,
    .opponents = RG_FROM_REFERENCE,
    .options = spin_options,
    .options_size = sizeof(SpinOptions),
    .beta = beta,
    .reference_steps = reference_steps,
    .loss = spin_loss,
};
