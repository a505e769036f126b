/* @NAME@: DPO in which the preferred response must be better by a margin γ, so that pairs which are
 * already apart still contribute.
 *
 *     L = −E[ log σ(β·Δ − γ) ],    Δ = h(y_w) − h(y_l),    h(y) = log π(y|x) − log π_ref(y|x)
 *
 *     after Amini et al. 2024, arXiv:2402.10571, eq. 8, where γ depends on the pair
 *
 * γ = 0 is DPO. algorithms/algorithm.h describes the input of a loss, core/tensor/tensor.h the
 * operators. */
#include "regatta.h"

typedef struct Options {
    double beta;
    double margin;
} Options;

/* Name, default, range, help: what a config may set, and what `regatta show @NAME@` prints. */
static const RgOption options_table[] = {
    RG_OPTION_REAL(Options, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(Options, margin, "0.5", 0, 1e3,
                   "γ, margin between the implicit rewards of a pair"),
    RG_OPTION_END,
};

/* Sources of responses and labels: here both are the offline pairs. On-policy pairs that the judge
 * labels would be RG_FROM_POLICY and RG_FROM_JUDGE. */
static void recipe(const void *options, RgRecipe *recipe) {
    const Options *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
}

/* A scalar: the mean over the batch's prompts. */
static RgTensor *loss(RgStep *step, const void *options, const RgBatch *batch) {
    const Options *o = options;
    RgTape *t = step->tape;
    RgTensor *reward = rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)o->beta); /* [prompts] */
    RgTensor *beyond = rg_add_scalar(t, reward, (RgReal)-o->margin);
    double apart = 0;
    for (int64_t i = 0; i < beyond->count; i++)
        apart += beyond->data[i] > 0 ? 1.0 / (double)beyond->count : 0;
    rg_step_metric(step, "beyond_margin", apart); /* share of the pairs that are apart by γ */
    return rg_negate(t, rg_batch_mean(step, batch, rg_log_sigmoid(t, beyond)));
}

static const RgAlgorithm algorithm = {
    .about = {.name = "@NAME@",
              .summary = "DPO with a margin between the implicit rewards of a pair",
              .reference = "after Amini et al. 2024, arXiv:2402.10571, eq. 8",
              .options = options_table,
              .options_size = sizeof(Options)},
    .recipe = recipe,
    .loss = loss,
};

static RgStatus add(RgError *error) {
    return rg_algorithm_register(&algorithm, error);
}
RG_PLUGIN(add);
