/* SPDX-License-Identifier: MIT */
/* AuxDPO: DPO with auxiliary variables, for policies that cannot represent the reward
 * (arXiv:2510.20413; the objective is known here through third parties).
 *
 *     L = −E[ log σ(β·Δ + d_w − d_l) ] + λ·‖ E[ d_w·∇log π_ref(y_w) + d_l·∇log π_ref(y_l) ] ‖²
 *
 * d is trained with the policy. The implicit reward is β·h + d: where the policy's class is too
 * small for the reward, d takes up the rest, and the penalty holds d to directions in which no step
 * from the reference changes the expected d. The gradients are those in the policy's parameters, at
 * the reference.
 *
 * Sampled: every offline pair has two numbers, and the second mean is over the batch. Exact
 * expectations: every response to a context has one, and its two terms are means over π_ref, as in
 * the paper's definition of the null space. A number for each pair would not determine the policy
 * then, since d alone can fit every label. */
#include "algorithms/training/pair_sampler.h"
#include "core/models/enumerated.h"
#include "core/tensor/vector_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct AuxdpoOptions {
    double beta, penalty, auxiliary_learning_rate;
    RgSharedTerms shared;
} AuxdpoOptions;

static const RgOption auxdpo_options[] = {
    RG_OPTION_REAL(AuxdpoOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(AuxdpoOptions, penalty, "1", 0, 1e9,
                   "strength λ of the penalty that holds the auxiliary variables to the null space "
                   "of the policy's gradient at the reference"),
    RG_OPTION_REAL(AuxdpoOptions, auxiliary_learning_rate, "0.01", 0, 1e3,
                   "learning rate of the auxiliary variables (AdamW)"),
    RG_OPTION_INCLUDE(AuxdpoOptions, shared, rg_sft_options),
    RG_OPTION_END,
};

typedef struct State {
    RgParameters *own;   /* d: one view; owned by the trainer */
    RgPolicy *reference; /* a copy whose gradient can be taken */
    RgTape *tape;        /* second-order */
    /* For exact expectations, else NULL: all responses, with twice their probability under the
     * reference, as both responses of a pair have it. */
    RgSequences *all;
    RgReal *probability;
    int64_t responses;
} State;

/* ---- life ---- */

static void find_probabilities(const RgTrainer *trainer, State *s) {
    const RgSequences *prompts = trainer->task->prompts;
    int64_t contexts = rg_policy_contexts(trainer->policy), n = s->responses;
    double *table = rg_allocate(contexts * n, sizeof *table);
    rg_policy_table(trainer->reference, table);
    s->all = rg_all_responses(trainer->policy);
    s->probability = rg_allocate(contexts * n, sizeof *s->probability);
    for (int64_t i = 0; i < prompts->count; i++) {
        int64_t c = *rg_sequence_prompt(prompts, i);
        for (int64_t r = c * n; r < (c + 1) * n; r++)
            s->probability[r] += (RgReal)(2 * exp(table[r]) / (double)prompts->count);
    }
    free(table);
}

static RgStatus auxdpo_create(RgTrainer *trainer, const void *options, void **state,
                              RgError *error) {
    (void)error;
    const AuxdpoOptions *o = options;
    bool exact = trainer->training.expectation == RG_EXACT_EXPECTATION;
    State *s = rg_allocate(1, sizeof *s);
    *state = s;
    s->reference = rg_policy_clone(trainer->reference, false);
    s->reference->flops = NULL;
    s->tape = rg_tape_create();
    rg_tape_second_order(s->tape, true);
    rg_tape_count_onto(s->tape, &trainer->flops);
    int64_t count = trainer->task->pairs ? 2 * trainer->task->pairs->count : 0;
    if (exact) {
        s->responses = rg_policy_responses(trainer->policy);
        count = rg_policy_contexts(trainer->policy) * s->responses;
        find_probabilities(trainer, s);
    }
    s->own = rg_parameters_create();
    rg_parameters_declare(s->own, "auxiliary", 2, (const int64_t[]){count, 1}, false);
    rg_parameters_allocate(s->own);
    RgOptimizerOptions adamw = rg_adamw_options(o->auxiliary_learning_rate);
    rg_trainer_own(trainer, "auxiliary", s->own, &adamw);
    return RG_OK;
}

static void auxdpo_destroy(void *state) {
    State *s = state;
    rg_tape_destroy(s->tape);
    rg_policy_destroy(s->reference);
    rg_sequences_destroy(s->all);
    free(s->probability);
    free(s);
}

/* ---- the loss ---- */

/* Which number of d is that of each pair's response at one place of the order, [prompts]. */
static int32_t *numbers_at(const RgStep *step, const RgBatch *batch, int place) {
    const State *s = step->state;
    int32_t *index = RG_ARENA_ARRAY(rg_tape_arena(step->tape), int32_t, batch->prompts);
    for (int64_t i = 0; i < batch->prompts; i++) {
        int64_t of = batch->order[2 * i + place], y = 2 * i + of;
        index[i] = s->all ? *rg_sequence_prompt(batch->sequences, y) * (int32_t)s->responses +
                                *rg_sequence_response(batch->sequences, y)
                          : (int32_t)(2 * batch->pair[i] + of);
    }
    return index;
}

static RgTensor *auxiliary_at(const RgStep *step, const RgBatch *batch, int place) {
    RgTape *t = step->tape;
    RgTensor *d = rg_parameter(t, ((State *)step->state)->own, 0);
    RgTensor *at = rg_embedding(t, d, numbers_at(step, batch, place), batch->prompts);
    return rg_reshape(t, at, RG_SHAPE(batch->prompts));
}

/* E[ d·log π_ref(y) ] on the second-order tape: its gradient in the reference's parameters is the
 * vector g whose norm is penalised. */
static RgTensor *expected(const State *s, const RgBatch *batch) {
    RgTape *t = s->tape;
    const RgSequences *sequences = s->all ? s->all : batch->sequences;
    int64_t count = sequences->count;
    int32_t *index = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, count);
    RgTensor *weight = rg_filled(t, RG_SHAPE(count), (RgReal)(1 / (double)batch->prompts));
    for (int64_t i = 0; i < count; i++) {
        index[i] = (int32_t)(s->all ? i : 2 * batch->pair[i / 2] + i % 2);
        if (s->all)
            weight->data[i] = s->probability[i];
    }
    RgTensor *d = rg_embedding(t, rg_parameter(t, s->own, 0), index, count);
    RgTensor *logprob = rg_policy_logprob(t, s->reference, sequences);
    return rg_sum(t, rg_mul(t, rg_mul(t, weight, rg_reshape(t, d, RG_SHAPE(count))), logprob));
}

/* ‖g‖², with its gradient 2·(∂g/∂d)ᵀg in d: a product of the mixed second derivative. */
static RgTensor *squared_norm(const RgStep *step, const RgBatch *batch) {
    const State *s = step->state;
    RgTape *t = step->tape;
    RgArena *arena = rg_tape_arena(t);
    const RgParameters *reference = s->reference->parameters;
    RgReal *g = RG_ARENA_ARRAY(arena, RgReal, reference->count);
    RgReal *by_own = RG_ARENA_ARRAY(arena, RgReal, s->own->count);
    RgHessian *mixed = rg_hessian_create(s->tape, expected(s, batch), s->reference->parameters);
    rg_hessian_gradient(mixed, g);
    rg_hessian_mixed_product(mixed, g, s->own, by_own);
    double square = rg_dot(reference->count, g, g);
    rg_tape_reset(s->tape);
    RgTensor *d = rg_parameter(t, s->own, 0);
    RgTensor *change = rg_sub(t, d, rg_stop_gradient(t, d));
    RgTensor *slope = rg_borrow(t, d->shape, by_own);
    return rg_add_scalar(t, rg_scale(t, rg_sum(t, rg_mul(t, slope, change)), 2), (RgReal)square);
}

static RgTensor *auxdpo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const AuxdpoOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *margin = rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)o->beta);
    RgTensor *auxiliary = rg_sub(t, auxiliary_at(step, batch, 0), auxiliary_at(step, batch, 1));
    RgTensor *fit = rg_log_sigmoid(t, rg_add(t, margin, auxiliary));
    RgTensor *loss = rg_negate(t, rg_batch_mean(step, batch, fit));
    if (o->penalty == 0)
        return loss;
    RgTensor *square = squared_norm(step, batch);
    rg_step_metric(step, "null_space_violation", (double)square->data[0]);
    return rg_add(t, loss, rg_scale(t, square, (RgReal)o->penalty));
}

static void auxdpo_recipe(const void *options, RgRecipe *recipe) {
    const AuxdpoOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->beta = o->beta;
    recipe->shared = o->shared;
    recipe->owns = true;
    recipe->couples = o->penalty > 0; /* it is of a mean over the batch */
}

const RgAlgorithm rg_algorithm_auxdpo = {
    .about = {.name = "auxdpo",
              .summary =
                  "DPO with auxiliary variables that take up what the policy cannot represent",
              .reference = "AuxDPO, arXiv:2510.20413",
              .options = auxdpo_options,
              .options_size = sizeof(AuxdpoOptions)},
    .recipe = auxdpo_recipe,
    .loss = auxdpo_loss,
    .create = auxdpo_create,
    .destroy = auxdpo_destroy,
};
