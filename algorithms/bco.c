/* SPDX-License-Identifier: MIT */
/* BCO: binary classifier optimisation. The implicit reward is the logit of a classifier that tells
 * desirable from undesirable responses, beside a running shift.
 *
 *     L = −E[ log σ(β·h(y_w) − δ) + log σ(δ − β·h(y_l)) ]      Jung et al. 2024, arXiv:2404.04656
 *
 * δ estimates ½(E[β·h(y_w)] + E[β·h(y_l)]) and has no gradient. Here it is the mean over all earlier
 * steps, each of a batch's mean, and 0 in the first step, where policy and reference are equal.
 * Public trainers put the present batch into the mean as well. Then the loss is no mean of terms of
 * one pair, and a batch cannot be split.
 *
 * With single = true a batch is of single responses, as they come. Both expectations remain means over
 * all desirable and over all undesirable responses: each response has the weight w, 1 over its label's
 * share of the data set, in the loss and, halved, in the mean that δ is of. */
#include "algorithms/training/trainer.h"

#include <stdlib.h>

typedef struct BcoOptions {
    double beta;
    bool single;
    RgSharedTerms shared;
} BcoOptions;

static const RgOption bco_options[] = {
    RG_OPTION_REAL(BcoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_SINGLE(BcoOptions),
    RG_OPTION_INCLUDE(BcoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

typedef struct State {
    double shift;     /* δ */
    int64_t steps;    /* that it is the mean over */
    double weight[2]; /* w of undesirable and desirable single responses */
} State;

static RgStatus refuse_one_label(int64_t all, bool desirable, RgError *error) {
    return rg_fail(error, RG_E_USAGE,
                   "bco: all of %lld single responses are %s, expected some of either label",
                   (long long)all, desirable ? "desirable" : "undesirable");
}

/* Both expectations need responses to be over. */
static RgStatus weigh_labels(const RgTrainer *trainer, State *state, RgError *error) {
    int64_t all = trainer->singles->sequences->count;
    int64_t desirable = rg_singles_desirable(trainer->singles);
    if (desirable == 0 || desirable == all)
        return refuse_one_label(all, desirable > 0, error);
    state->weight[0] = (double)all / (double)(all - desirable);
    state->weight[1] = (double)all / (double)desirable;
    return RG_OK;
}

/* Label noise may change what data have one label alone. */
static RgStatus bco_check(const void *options, const RgTask *task, const RgPolicy *policy,
                          RgError *error) {
    int64_t all = task->expected_singles, desirable = task->expected_desirable;
    (void)policy;
    if (!((const BcoOptions *)options)->single || all == 0 || task->label_noise > 0)
        return RG_OK;
    return desirable > 0 && desirable < all ? RG_OK : refuse_one_label(all, desirable > 0, error);
}

static RgStatus bco_create(RgTrainer *trainer, const void *options, void **state, RgError *error) {
    *state = rg_allocate(1, sizeof(State));
    return ((const BcoOptions *)options)->single ? weigh_labels(trainer, *state, error) : RG_OK;
}

static void bco_checkpoint(void *state, RgCheckpoint *checkpoint) {
    State *s = state;
    rg_checkpoint_doubles(checkpoint, "reward shift", &s->shift, 1);
    rg_checkpoint_integers(checkpoint, "reward shift steps", &s->steps, 1);
}

static RgTensor *loss_of_singles(RgStep *step, const BcoOptions *o, const RgBatch *batch) {
    const State *s = step->state;
    RgTape *t = step->tape;
    RgTensor *h = rg_reshape(t, batch->log_ratio, RG_SHAPE(batch->prompts));
    RgTensor *reward = rg_scale(t, h, (RgReal)o->beta);
    RgTensor *weight =
        rg_add_scalar(t, rg_scale(t, batch->desirable, (RgReal)(s->weight[1] - s->weight[0])),
                      (RgReal)s->weight[0]);
    RgTensor *weighted = rg_stop_gradient(t, rg_mul(t, weight, reward));
    rg_step_metric(step, "reward_shift", s->shift);
    rg_step_metric(step, "reward_mean", (double)rg_batch_mean(step, batch, weighted)->data[0] / 2);
    RgTensor *logit =
        rg_mul(t, rg_batch_signs(t, batch), rg_add_scalar(t, reward, (RgReal)-s->shift));
    return rg_negate(t, rg_batch_mean(step, batch, rg_mul(t, weight, rg_log_sigmoid(t, logit))));
}

static RgTensor *bco_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const BcoOptions *o = options;
    const State *s = step->state;
    RgTape *t = step->tape;
    if (o->single)
        return loss_of_singles(step, o, batch);
    RgTensor *chosen = rg_scale(t, batch->chosen.log_ratio, (RgReal)o->beta);
    RgTensor *rejected = rg_scale(t, batch->rejected.log_ratio, (RgReal)o->beta);
    RgTensor *sum = rg_stop_gradient(t, rg_add(t, chosen, rejected));
    rg_step_metric(step, "reward_shift", s->shift);
    rg_step_metric(step, "reward_mean", (double)rg_batch_mean(step, batch, sum)->data[0] / 2);
    RgTensor *good = rg_log_sigmoid(t, rg_add_scalar(t, chosen, (RgReal)-s->shift));
    RgTensor *bad = rg_log_sigmoid(t, rg_negate(t, rg_add_scalar(t, rejected, (RgReal)-s->shift)));
    return rg_negate(t, rg_batch_mean(step, batch, rg_add(t, good, bad)));
}

static void bco_finish(RgStep *step, const void *options) {
    (void)options;
    State *s = step->state;
    s->steps++;
    s->shift += (rg_step_mean(step, "reward_mean") - s->shift) / (double)s->steps;
}

static void bco_recipe(const void *options, RgRecipe *recipe) {
    const BcoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->single = o->single;
}

const RgAlgorithm rg_algorithm_bco = {
    .about = {.name = "bco",
              .summary = "Binary classifier optimisation, with a running shift of the rewards",
              .reference = "Jung et al. 2024, arXiv:2404.04656",
              .options = bco_options,
              .options_size = sizeof(BcoOptions)},
    .recipe = bco_recipe,
    .loss = bco_loss,
    .check = bco_check,
    .finish = bco_finish,
    .create = bco_create,
    .destroy = free,
    .checkpoint = bco_checkpoint,
};
