/* SPDX-License-Identifier: MIT */
/* KTO: single responses are desirable or undesirable, with a value from prospect theory.
 *
 *     L = E[ λ_D·(1 − σ(β·h(y_w) − z)) + λ_U·(1 − σ(z − β·h(y_l))) ] / 2
 *     z = max(0, β·E[h(y')])      Ethayarajh et al. 2024, arXiv:2402.01306
 *
 * Each offline pair gives a desirable and an undesirable response. z is an estimate of the
 * divergence from the reference, from mismatched prompts and responses of the batch, and has no
 * gradient. The authors' code combines the prompt of each example with the response of the next
 * example, desirable or not. Here y' are both responses of the next pair (kl_responses = "all"), so
 * that each example has one. With "chosen" they are only its chosen response. With exact expectations
 * z is that of all pairs, as in a batch without end.
 *
 * With single = true an example is one response, which needs no counterpart. The loss is the mean over
 * the batch, of as many desirable and undesirable responses as come, and y' is the next response:
 *
 *     L = mean of λ·(1 − σ(±(β·h(y) − z))),  + and λ_D where y is desirable, − and λ_U where not */
#include "algorithms/algorithm.h"
#include "core/notice.h"

#include <math.h>

typedef struct KtoOptions {
    double beta;
    double desirable_weight, undesirable_weight;
    int kl_responses;
    bool single;
    RgSharedTerms shared;
} KtoOptions;

enum { KL_OF_ALL, KL_OF_CHOSEN };
static const char *const kl_responses[] = {"all", "chosen", NULL};

static const RgOption kto_options[] = {
    RG_OPTION_REAL(KtoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(KtoOptions, desirable_weight, "1", 0, 1e3,
                   "weight λ_D of the desirable responses"),
    RG_OPTION_REAL(KtoOptions, undesirable_weight, "1", 0, 1e3,
                   "weight λ_U of the undesirable responses"),
    RG_OPTION_CHOICE(
        KtoOptions, kl_responses, "all", kl_responses,
        "responses, each with the prompt of another pair, from which the KL term z is estimated: "
        "all, both of the batch's next pair, as in the authors' code; or only its chosen one"),
    RG_SINGLE(KtoOptions),
    RG_OPTION_INCLUDE(KtoOptions, shared, rg_sft_options),
    RG_OPTION_INCLUDE(KtoOptions, shared, rg_moving_reference_options),
    RG_OPTION_END,
};

/* σ(±(β·h − z)), [pairs]. */
static RgTensor *worth(RgTape *t, const RgSide *side, double beta, double divergence, RgReal sign) {
    RgTensor *gain =
        rg_add_scalar(t, rg_scale(t, side->log_ratio, (RgReal)beta), (RgReal)-divergence);
    return rg_sigmoid(t, rg_scale(t, gain, sign));
}

/* z, the mean over the mismatched responses. */
static double divergence_of(const RgBatch *batch, double beta) {
    const RgTensor *mismatched = batch->third.log_ratio, *weight = batch->third_weight;
    double divergence = 0;
    for (int64_t i = 0; i < mismatched->count; i++) {
        double h = (double)mismatched->data[i] * (weight ? (double)weight->data[i] : 1);
        divergence += beta * h / (double)mismatched->count;
    }
    return fmax(divergence, 0);
}

static RgTensor *loss_of_singles(RgStep *step, const KtoOptions *o, const RgBatch *batch,
                                 double divergence) {
    RgTape *t = step->tape;
    RgTensor *h = rg_reshape(t, batch->log_ratio, RG_SHAPE(batch->prompts));
    RgTensor *gain = rg_add_scalar(t, rg_scale(t, h, (RgReal)o->beta), (RgReal)-divergence);
    RgTensor *lost = rg_sigmoid(t, rg_negate(t, rg_mul(t, rg_batch_signs(t, batch), gain)));
    RgTensor *weight = rg_add_scalar(
        t, rg_scale(t, batch->desirable, (RgReal)(o->desirable_weight - o->undesirable_weight)),
        (RgReal)o->undesirable_weight);
    return rg_batch_mean(step, batch, rg_mul(t, weight, lost)); /* 1 − σ(x) = σ(−x) */
}

static RgTensor *kto_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTape *t = step->tape;
    const KtoOptions *o = options;
    double divergence = divergence_of(batch, o->beta);
    if (o->single)
        return loss_of_singles(step, o, batch, divergence);
    RgTensor *good = rg_batch_mean(step, batch, worth(t, &batch->chosen, o->beta, divergence, 1));
    RgTensor *bad = rg_batch_mean(step, batch, worth(t, &batch->rejected, o->beta, divergence, -1));
    RgTensor *both = rg_add(t, rg_scale(t, good, (RgReal)(-0.5 * o->desirable_weight)),
                            rg_scale(t, bad, (RgReal)(-0.5 * o->undesirable_weight)));
    return rg_add_scalar(t, both, (RgReal)(0.5 * (o->desirable_weight + o->undesirable_weight)));
}

static void kto_recipe(const void *options, RgRecipe *recipe) {
    const KtoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->third = RG_FROM_OTHERS;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->third_chosen = o->kl_responses == KL_OF_CHOSEN && !o->single;
    recipe->couples = true;
    recipe->single = o->single;
}

/* Responses of one label alone can be learned from, but seldom are meant to be. Label noise may
 * change them. */
static RgStatus check_labels(const KtoOptions *o, const RgTask *task, RgError *error) {
    int64_t all = task->expected_singles, desirable = task->expected_desirable;
    if (all == 0 || task->label_noise > 0 || (desirable > 0 && desirable < all))
        return RG_OK;
    const char *label = desirable > 0 ? "desirable" : "undesirable";
    if ((desirable > 0 ? o->desirable_weight : o->undesirable_weight) == 0)
        return rg_fail(error, RG_E_USAGE,
                       "kto: all of %lld single responses are %s, and %s_weight is 0: expected one "
                       "above 0",
                       (long long)all, label, label);
    rg_notice_once("kto: all of %lld single responses are %s", (long long)all, label);
    return RG_OK;
}

static RgStatus kto_check(const void *options, const RgTask *task, const RgPolicy *policy,
                          RgError *error) {
    const KtoOptions *o = options;
    (void)policy;
    if (o->desirable_weight == 0 && o->undesirable_weight == 0)
        return rg_fail(
            error, RG_E_USAGE,
            "kto: desirable_weight and undesirable_weight are 0, and nothing is learned; "
            "expected one above 0");
    if (!o->single)
        return RG_OK;
    if (o->kl_responses != KL_OF_ALL)
        return rg_fail(error, RG_E_USAGE,
                       "kto: kl_responses is \"chosen\", and single is true: a single response "
                       "may have no chosen one after it; expected \"all\"");
    return check_labels(o, task, error);
}

const RgAlgorithm rg_algorithm_kto = {
    .about = {.name = "kto",
              .summary =
                  "Kahneman-Tversky optimisation: desirable and undesirable responses, unpaired",
              .reference = "Ethayarajh et al. 2024, arXiv:2402.01306",
              .options = kto_options,
              .options_size = sizeof(KtoOptions)},
    .recipe = kto_recipe,
    .loss = kto_loss,
    .check = kto_check,
};
