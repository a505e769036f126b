/* Nash-MD: the equilibrium of the game of preferences, by policy gradient against the geometric
 * mixture of policy and reference.
 *
 *     ∇ = E[ ∇log π(y)·(z − 1/2 − β·h(y)) ],   y ~ π,   y' ~ π^(1−c)·π_ref^c
 *     z = 1 where y is preferred to y', else 0      Munos et al. 2023, arXiv:2312.00886
 *
 * c is the reference's share. z is the label that was drawn, whose mean is the probability in the
 * paper; β·h is that of the whole response, not of each token by itself. */
#include "algorithms/algorithm.h"

typedef struct NashOptions {
    double beta;
    double reference_share;
} NashOptions;

static const RgOption nash_options[] = {
    RG_OPTION_REAL(NashOptions, beta, "0.1", 0, 1e3, "strength β of the KL term (their τ)"),
    RG_OPTION_REAL(
        NashOptions, reference_share, "0.5", 0, 1,
        "c, the reference's share in the mixture that is played against; 0 is self-play"),
    RG_OPTION_END,
};

static double beta(const void *options) {
    return ((const NashOptions *)options)->beta;
}

static double reference_share(const void *options) {
    return ((const NashOptions *)options)->reference_share;
}

static RgTensor *nash_loss(RgTape *t, const void *options, const RgBatch *batch) {
    RgTensor *won = batch->first_chosen, *lost = rg_add_scalar(t, rg_negate(t, won), 1);
    RgTensor *logprob =
        rg_add(t, rg_mul(t, won, batch->chosen.logprob), rg_mul(t, lost, batch->rejected.logprob));
    RgTensor *log_ratio = rg_add(t, rg_mul(t, won, batch->chosen.log_ratio),
                                 rg_mul(t, lost, batch->rejected.log_ratio));
    RgTensor *penalty = rg_scale(t, rg_stop_gradient(t, log_ratio), (RgReal)beta(options));
    RgTensor *advantage = rg_sub(t, rg_add_scalar(t, won, (RgReal)-0.5), penalty);
    return rg_negate(t, rg_mean(t, rg_mul(t, advantage, logprob)));
}

const RgAlgorithm rg_algorithm_nash_md = {
    .name = "nash-md",
    .summary = "Nash mirror descent: preferences against the mixture of policy and reference",
    .reference = "Munos et al. 2023, arXiv:2312.00886",
    .responses = RG_FROM_POLICY,
    .opponents = RG_FROM_MIXTURE,
    .preferences = RG_FROM_JUDGE,
    .options = nash_options,
    .options_size = sizeof(NashOptions),
    .beta = beta,
    .reference_share = reference_share,
    .loss = nash_loss,
};
