/* SELM: self-exploring language models. The likeliest response of the model that the round started
 * from competes with the data set's two; best and worst are the pair, and the likelihood of that
 * response is lowered, so that the policy looks elsewhere.
 *
 *     L = E[ −log σ(β·Δ) ] + α·E[ h(y') ],   y' greedy of π_ref      Zhang et al. 2024,
 *                                                                    arXiv:2405.19332
 *
 * α is `exploration`: the paper's α times β, the unit that XPO has. (Theirs is 10⁻³ or 10⁻⁴ at β =
 * 0.01.) */
#include "algorithms/algorithm.h"

typedef struct SelmOptions {
    double beta;
    double exploration;
    double calibration_temperature;
    int64_t reference_steps;
} SelmOptions;

static const RgOption selm_options[] = {
    RG_OPTION_REAL(SelmOptions, beta, "0.01", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(SelmOptions, exploration, "1e-5", -1e3, 1e3,
                   "coefficient α of log π(y'), in the unit that xpo, selm and vpo share: the "
                   "paper's α times β; 0: none; below 0: pessimism"),
    RG_OPTION_REAL(SelmOptions, calibration_temperature, "0", 0, 100,
                   "temperature at which y' is sampled; 0: the likeliest tokens"),
    RG_OPTION_INTEGER(SelmOptions, reference_steps, "0", 0, 1e9,
                      "steps of a round, after which the policy becomes the reference; 0: one "
                      "round"),
    RG_OPTION_END,
};

static double beta(const void *options) {
    return ((const SelmOptions *)options)->beta;
}

static double calibration_temperature(const void *options) {
    return ((const SelmOptions *)options)->calibration_temperature;
}

static int64_t reference_steps(const void *options) {
    return ((const SelmOptions *)options)->reference_steps;
}

static RgTensor *selm_loss(RgTape *t, const void *options, const RgBatch *batch) {
    const SelmOptions *o = options;
    RgTensor *loss = rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, o->beta)));
    if (o->exploration == 0)
        return loss;
    RgTensor *bonus = rg_mean(t, batch->calibration.log_ratio);
    return rg_add(t, loss, rg_scale(t, bonus, (RgReal)o->exploration));
}

/* To tell the best and the worst of three. */
static bool needs_rewards(const void *options) {
    (void)options;
    return true;
}

const RgAlgorithm rg_algorithm_selm = {
    .name = "selm",
    .summary = "Self-exploring language models: the likeliest response competes, and is lowered",
    .reference = "Zhang et al. 2024, arXiv:2405.19332",
    .responses = RG_FROM_DATASET,
    .preferences = RG_FROM_JUDGE,
    .needs_rewards = needs_rewards,
    .calibration = RG_FROM_REFERENCE,
    .calibration_competes = true,
    .options = selm_options,
    .options_size = sizeof(SelmOptions),
    .beta = beta,
    .calibration_temperature = calibration_temperature,
    .reference_steps = reference_steps,
    .loss = selm_loss,
};
