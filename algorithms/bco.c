/* SPDX-License-Identifier: MIT */
/* BCO: binary classifier optimisation. The implicit reward is the logit of a classifier that tells
 * desirable from undesirable responses, beside a running shift.
 *
 *     L = −E[ log σ(β·h(y_w) − δ) + log σ(δ − β·h(y_l)) ]      Jung et al. 2024, arXiv:2404.04656
 *
 * δ estimates ½(E[β·h(y_w)] + E[β·h(y_l)]) and has no gradient. Here it is the mean over all earlier
 * steps, each of a batch's mean, and 0 in the first step, where policy and reference are equal.
 * Public trainers put the present batch into the mean as well. Then the loss is no mean of terms of
 * one pair, and a batch cannot be split. */
#include "algorithms/algorithm.h"

#include <stdlib.h>

typedef struct BcoOptions {
    double beta;
    RgSharedTerms shared;
} BcoOptions;

static const RgOption bco_options[] = {
    RG_OPTION_REAL(BcoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_INCLUDE(BcoOptions, shared, rg_shared_options),
    RG_OPTION_END,
};

typedef struct State {
    double shift;  /* δ */
    int64_t steps; /* that it is the mean over */
} State;

static RgStatus bco_create(RgTrainer *trainer, const void *options, void **state, RgError *error) {
    (void)trainer, (void)options, (void)error;
    *state = rg_allocate(1, sizeof(State));
    return RG_OK;
}

static void bco_checkpoint(void *state, RgCheckpoint *checkpoint) {
    State *s = state;
    rg_checkpoint_doubles(checkpoint, "reward shift", &s->shift, 1);
    rg_checkpoint_integers(checkpoint, "reward shift steps", &s->steps, 1);
}

static RgTensor *bco_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const BcoOptions *o = options;
    const State *s = step->state;
    RgTape *t = step->tape;
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
}

const RgAlgorithm rg_algorithm_bco = {
    .about = {.name = "bco",
              .summary = "Binary classifier optimisation, with a running shift of the rewards",
              .reference = "Jung et al. 2024, arXiv:2404.04656",
              .options = bco_options,
              .options_size = sizeof(BcoOptions)},
    .recipe = bco_recipe,
    .loss = bco_loss,
    .finish = bco_finish,
    .create = bco_create,
    .destroy = free,
    .checkpoint = bco_checkpoint,
};
