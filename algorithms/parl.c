/* PARL: bilevel alignment with a hypergradient (Chakraborty et al. 2024, arXiv:2308.02585).
 *
 *     upper:  min_ν  G(ν, θ*(ν)) = −E_{y0,y1 ~ π_θ*, labels}[ log σ(r_ν(y_w) − r_ν(y_l)) ]
 *     lower:  θ*(ν) = argmax_θ V(ν, θ) = E_{y ~ π_θ}[ r_ν(y) ] − β·KL(π_θ ‖ π_ref)
 *
 *     dG/dν = ∂_ν G + ∇²_{νθ}V · (−∇²_{θθ}V)⁻¹ · ∂_θ G        (implicit function theorem)
 *
 * The reward is linear in features of the reference policy: one per (prompt, response) for a table,
 * so that it can be any reward; the frozen transformer's hidden state for text.
 *
 * V and G are written once as scalars on a tape, exactly by enumeration or by samples. In the
 * sampled form each sample carries the weight exp(log π − sg[log π]) = 1, whose derivatives of
 * every order are those of the expectation, so that differentiating the scalar twice gives an
 * unbiased Hessian, the outer product of scores included. */
#include "algorithms/parl.h"

#include "core/tensor/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXPECTATION_EXACT, EXPECTATION_SAMPLED };
static const char *const expectations[] = {"exact", "sampled", NULL};
static const char *const estimators[] = {"exact", "cg", "neumann", "none", NULL};

static const RgOption parl_options[] = {
    RG_OPTION_REAL(RgParlOptions, beta, "0.1", 1e-6, 1e3, "strength β of the lower level's KL"),
    RG_OPTION_CHOICE(RgParlOptions, expectation, "sampled", expectations,
                     "how V and G are computed: exact enumerates all responses (enumerable "
                     "policies only), sampled draws them from the policy"),
    RG_OPTION_INTEGER(RgParlOptions, inner_steps, "1", 1, 1e6,
                      "K, steps of the lower level per round (a round is one step of the trial)"),
    RG_OPTION_CHOICE(RgParlOptions, estimator, "cg", estimators,
                     "inverse-Hessian product: exact (dense), cg (conjugate gradients), neumann "
                     "(truncated series), none (drop the term)"),
    RG_OPTION_REAL(RgParlOptions, damping, "0.001", 0, 1e6, "added to the curvature's diagonal"),
    RG_OPTION_INTEGER(RgParlOptions, iterations, "10", 1, 1e6,
                      "most CG iterations, or terms of the Neumann series"),
    RG_OPTION_REAL(RgParlOptions, tolerance, "1e-6", 0, 1, "relative residual at which CG stops"),
    RG_OPTION_REAL(RgParlOptions, neumann_step, "0", 0, 1e9,
                   "η of the Neumann series; 0: from the estimated largest eigenvalue"),
    RG_OPTION_INTEGER(RgParlOptions, curvature_prompts, "32", 1, 65536,
                      "prompts, with two responses each, behind a sampled Hessian"),
    RG_OPTION_REAL(RgParlOptions, reward_learning_rate, "0.05", 0, 1e3,
                   "AdamW learning rate of the upper level"),
    RG_OPTION_INTEGER(RgParlOptions, pretrain, "0", 0, 1e6,
                      "steps of fitting the reward to the offline pairs before the first round"),
    RG_OPTION_END,
};

typedef struct ParlState {
    RgParameters *reward; /* ν [features] */
    RgOptimizer *optimizer;
    RgTape *second_order;
    RgReal *upper_gradient; /* [policy parameters] ∂_θ G */
    RgReal *solution;       /* [policy parameters] u */
    /* Exact expectations: every (context, response) and its judge's reward. */
    RgSequences *all;
    double *all_reward;
    RgReal *all_features; /* [all, features] */
    int64_t contexts;
} ParlState;

RgParameters *rg_parl_reward(void *state) {
    return ((ParlState *)state)->reward;
}

/* r_ν of each sequence, [n], differentiable in ν. */
static RgTensor *reward_of_features(RgTape *t, ParlState *state, int64_t n, RgReal *features) {
    RgTensor *table = rg_borrow(t, RG_SHAPE(n, state->reward->count), features);
    RgTensor *weights =
        rg_reshape(t, rg_parameter(t, state->reward, 0), RG_SHAPE(state->reward->count, 1));
    return rg_reshape(t, rg_matmul(t, table, weights), RG_SHAPE(n));
}

/* Features of the sequences under the frozen reference, on the tape's arena. */
static RgReal *features_of(RgTrainer *trainer, RgTape *t, const ParlState *state,
                           const RgSequences *sequences) {
    int64_t count = sequences->count * state->reward->count;
    double *value = RG_ARENA_ARRAY(rg_tape_arena(t), double, count);
    RgReal *features = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, count);
    rg_policy_features(trainer->reference, sequences, value);
    for (int64_t i = 0; i < count; i++)
        features[i] = (RgReal)value[i];
    return features;
}

/* ---- exact: all contexts [C] and responses [R] ---- */

static RgTensor *exact_log_policy(RgTrainer *trainer, RgTape *t) {
    RgPolicy *policy = trainer->policy;
    return rg_log_softmax(t, policy->type->logits(policy, t, policy->parameters));
}

static RgTensor *exact_value(RgTrainer *trainer, const RgParlOptions *o, ParlState *state,
                             RgTape *t) {
    RgPolicy *reference = trainer->reference;
    RgTensor *log_policy = exact_log_policy(trainer, t); /* [C, R] */
    RgTensor *log_reference = rg_stop_gradient(
        t, rg_log_softmax(t, reference->type->logits(reference, t, reference->parameters)));
    RgTensor *reward = rg_reshape(
        t, reward_of_features(t, state, state->all->count, state->all_features), log_policy->shape);
    RgTensor *gain =
        rg_sub(t, reward, rg_scale(t, rg_sub(t, log_policy, log_reference), (RgReal)o->beta));
    RgTensor *total = rg_sum(t, rg_mul(t, rg_exp(t, log_policy), gain));
    return rg_scale(t, total, (RgReal)(1 / (double)state->contexts));
}

/* −(1/C) Σ_x Σ_{a,b} π_a π_b · 2 p*(a ≻ b) · log σ(r_a − r_b): both orders of a pair are summed, so
 * that each label's probability is taken twice. */
static RgTensor *exact_upper(RgTrainer *trainer, ParlState *state, RgTape *t) {
    RgTensor *log_policy = exact_log_policy(trainer, t);
    int64_t c = state->contexts, r = log_policy->count / c;
    RgTensor *probability = rg_exp(t, log_policy);
    RgTensor *reward = reward_of_features(t, state, state->all->count, state->all_features);
    RgTensor *margin = rg_sub(t, rg_reshape(t, reward, RG_SHAPE(c, r, 1)),
                              rg_reshape(t, reward, RG_SHAPE(c, 1, r)));
    RgTensor *joint = rg_mul(t, rg_reshape(t, probability, RG_SHAPE(c, r, 1)),
                             rg_reshape(t, probability, RG_SHAPE(c, 1, r)));
    RgTensor *label = rg_filled(t, RG_SHAPE(c, r, r), 0);
    for (int64_t x = 0; x < c; x++)
        for (int64_t a = 0; a < r; a++)
            for (int64_t b = 0; b < r; b++)
                label->data[(x * r + a) * r + b] = (RgReal)rg_preference_probability(
                    trainer->course, state->all_reward[x * r + a], state->all_reward[x * r + b]);
    RgTensor *fit = rg_mul(t, label, rg_log_sigmoid(t, margin));
    return rg_scale(t, rg_sum(t, rg_mul(t, joint, fit)), (RgReal)(-2 / (double)c));
}

/* ---- sampled: two responses of each prompt, next to each other ---- */

/* Weights exp(log π − sg[log π]): 1, with the score as gradient. */
static RgTensor *score_weight(RgTape *t, RgTensor *logprob) {
    return rg_exp(t, rg_sub(t, logprob, rg_stop_gradient(t, logprob)));
}

static RgTensor *first_of_pairs(RgTape *t, RgTensor *x) {
    return rg_slice(t, rg_reshape(t, x, RG_SHAPE(x->count / 2, 2)), 1, 0, 1);
}

static RgTensor *second_of_pairs(RgTape *t, RgTensor *x) {
    return rg_slice(t, rg_reshape(t, x, RG_SHAPE(x->count / 2, 2)), 1, 1, 1);
}

/* The other response's number, as the baseline of each: leave-one-out with two samples. */
static RgTensor *swap_pairs(RgTape *t, RgTensor *x) {
    RgTensor *swapped[] = {second_of_pairs(t, x), first_of_pairs(t, x)};
    return rg_reshape(t, rg_concatenate(t, 1, swapped, 2), x->shape);
}

/* Ṽ with E[∂Ṽ] = ∂V, E[∂²Ṽ] = ∂²V in θ, ν and mixed. The baseline does not depend on the sample
 * that it is taken from, so that it is free in expectation. */
static RgTensor *sampled_value(RgTrainer *trainer, const RgParlOptions *o, ParlState *state,
                               RgTape *t, const RgSequences *sequences) {
    int64_t n = sequences->count;
    RgTensor *logprob = rg_policy_logprob(t, trainer->policy, sequences);
    double *reference = RG_ARENA_ARRAY(rg_tape_arena(t), double, n);
    if (rg_tape_is_second_order(t)) /* whose products are in fp32 */
        rg_policy_logprob_values(trainer->reference, sequences, reference);
    else
        rg_policy_training_values(trainer->reference, sequences, reference);
    RgTensor *log_ratio = rg_sub(t, logprob, rg_constant_from_double(t, RG_SHAPE(n), reference));
    RgTensor *reward = reward_of_features(t, state, n, features_of(trainer, t, state, sequences));
    RgTensor *penalty = rg_scale(t, log_ratio, (RgReal)o->beta);
    RgTensor *gain = rg_sub(t, reward, penalty);
    RgTensor *baseline = swap_pairs(t, rg_sub(t, reward, rg_stop_gradient(t, penalty)));
    return rg_mean(t, rg_mul(t, score_weight(t, logprob), rg_sub(t, gain, baseline)));
}

/* G̃ with E[∂G̃] = ∂G in θ and ν; the baseline is the other pairs' mean loss. */
static RgTensor *sampled_upper(RgTrainer *trainer, ParlState *state, RgTape *t,
                               const RgSequences *sequences, const uint8_t *preferred,
                               double *upper) {
    int64_t n = sequences->count / 2;
    RgTensor *logprob = rg_policy_logprob(t, trainer->policy, sequences);
    RgTensor *reward =
        reward_of_features(t, state, 2 * n, features_of(trainer, t, state, sequences));
    RgTensor *margin = rg_sub(t, first_of_pairs(t, reward), second_of_pairs(t, reward));
    RgTensor *sign = rg_filled(t, margin->shape, 1);
    for (int64_t i = 0; i < n; i++)
        sign->data[i] = preferred[i] == 0 ? 1 : -1;
    RgTensor *loss = rg_negate(t, rg_log_sigmoid(t, rg_mul(t, sign, margin)));

    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += loss->data[i];
    *upper = sum / (double)n;
    RgTensor *baseline = rg_filled(t, loss->shape, 0);
    for (int64_t i = 0; i < n && n > 1; i++)
        baseline->data[i] = (RgReal)((sum - loss->data[i]) / (double)(n - 1));
    RgTensor *both = rg_add(t, first_of_pairs(t, logprob), second_of_pairs(t, logprob));
    return rg_mean(t, rg_mul(t, score_weight(t, both), rg_sub(t, loss, baseline)));
}

/* ---- the hypergradient ---- */

/* Stream numbers of the batches of one round: K lower steps, the upper level's, the Hessian's. */
static int64_t draw_number(const RgParlOptions *o, int64_t round, int64_t batch) {
    return round * (o->inner_steps + 2) + batch;
}

/* ∂_θ G into state->upper_gradient and ∂_ν G into the reward's gradient buffer. Returns G. */
static double upper_gradients(RgTrainer *trainer, const RgParlOptions *o, ParlState *state,
                              int64_t round) {
    RgTape *t = trainer->tape;
    RgParameters *policy = trainer->policy->parameters;
    RgSequences *sequences = rg_sequences_create();
    double upper = 0;
    RgTensor *surrogate;
    if (o->expectation == EXPECTATION_EXACT) {
        surrogate = exact_upper(trainer, state, t);
        upper = surrogate->data[0];
    } else {
        rg_trainer_sample(trainer, draw_number(o, round, o->inner_steps), trainer->training.batch,
                          2, sequences);
        uint8_t *preferred = rg_arena_allocate(rg_tape_arena(t), (size_t)sequences->count / 2);
        RgRandom labels = rg_random_at(rg_random_named(trainer->random, "labels"), (uint64_t)round);
        rg_course_label(trainer->course, sequences, labels, preferred);
        trainer->meter.judge_queries += sequences->count;
        trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, sequences);
        surrogate = sampled_upper(trainer, state, t, sequences, preferred, &upper);
    }
    rg_parameters_zero_gradient(policy);
    rg_parameters_zero_gradient(state->reward);
    rg_backward(t, surrogate, 1);
    memcpy(state->upper_gradient, policy->gradient, (size_t)policy->count * sizeof(RgReal));
    rg_parameters_zero_gradient(policy);
    rg_tape_reset(t);
    rg_sequences_destroy(sequences);
    return upper;
}

/* −∇²_{θθ}V · v from the Hessian of V. */
typedef struct NegativeHessian {
    RgHessian *hessian;
    int64_t count;
} NegativeHessian;

static void negative_product(void *context, const RgReal *v, RgReal *hv) {
    const NegativeHessian *h = context;
    rg_hessian_product(h->hessian, v, hv);
    for (int64_t i = 0; i < h->count; i++)
        hv[i] = -hv[i];
}

/* Add ∇²_{νθ}V · u to the reward's gradient: ∇_ν of (∇_θ V)·u. */
static void add_mixed_product(RgTape *t, RgTensor *value, RgParameters *policy, const RgReal *u,
                              RgParameters *reward) {
    RgTensor **leaves = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, policy->view_count);
    RgTensor **gradients = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, policy->view_count);
    for (int i = 0; i < policy->view_count; i++)
        leaves[i] = rg_parameter(t, policy, i);
    rg_gradients(t, value, leaves, policy->view_count, gradients);
    RgTensor *along = rg_scalar(t, 0);
    for (int i = 0; i < policy->view_count; i++) {
        RgTensor *direction = rg_constant(t, leaves[i]->shape, u + policy->views[i].offset);
        along = rg_add(t, along, rg_sum(t, rg_mul(t, gradients[i], direction)));
    }
    RgTensor *leaf = rg_parameter(t, reward, 0), *mixed;
    rg_gradients(t, along, &leaf, 1, &mixed);
    rg_axpy(reward->count, 1, mixed->data, reward->gradient);
}

/* Add the second term of the hypergradient to the reward's gradient. */
static void add_implicit_term(RgTrainer *trainer, const RgParlOptions *o, ParlState *state,
                              int64_t round, RgInverseReport *report) {
    RgTape *t = state->second_order;
    RgParameters *policy = trainer->policy->parameters;
    RgSequences *sequences = rg_sequences_create();
    RgTensor *value;
    if (o->expectation == EXPECTATION_EXACT) {
        value = exact_value(trainer, o, state, t);
    } else {
        rg_trainer_sample(trainer, draw_number(o, round, o->inner_steps + 1), o->curvature_prompts,
                          2, sequences);
        value = sampled_value(trainer, o, state, t, sequences);
    }
    RgInverseOptions inverse = {(RgEstimator)o->estimator, o->damping, o->iterations, o->tolerance,
                                o->neumann_step};
    NegativeHessian hessian = {rg_hessian_create(t, value, policy), policy->count};
    RgCurvature curvature = {policy->count, negative_product, &hessian};
    rg_inverse_product(&curvature, &inverse, state->upper_gradient, state->solution, report);
    trainer->meter.hessian_products += report->products;
    add_mixed_product(t, value, policy, state->solution, state->reward);
    rg_tape_reset(t);
    rg_sequences_destroy(sequences);
}

double rg_parl_hypergradient(RgTrainer *trainer, const RgParlOptions *options, void *opaque,
                             int64_t draw, double *hypergradient, RgInverseReport *report) {
    ParlState *state = opaque;
    *report = (RgInverseReport){0};
    double upper = upper_gradients(trainer, options, state, draw);
    if (options->estimator != RG_ESTIMATE_NONE)
        add_implicit_term(trainer, options, state, draw, report);
    for (int64_t i = 0; i < state->reward->count; i++)
        hypergradient[i] = state->reward->gradient[i];
    return upper;
}

/* ---- rounds ---- */

/* One ascent step of the policy on V(ν, ·). Returns the gradient's norm. */
static double lower_step(RgTrainer *trainer, const RgParlOptions *o, ParlState *state,
                         int64_t round, int64_t inner) {
    RgTape *t = trainer->tape;
    RgSequences *sequences = rg_sequences_create();
    RgTensor *value;
    if (o->expectation == EXPECTATION_EXACT) {
        value = exact_value(trainer, o, state, t);
    } else {
        rg_trainer_sample(trainer, draw_number(o, round, inner), trainer->training.batch, 2,
                          sequences);
        trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, sequences);
        value = sampled_value(trainer, o, state, t, sequences);
    }
    rg_parameters_zero_gradient(trainer->policy->parameters);
    rg_backward(t, value, -1);
    rg_parameters_zero_gradient(state->reward);
    rg_tape_reset(t);
    rg_sequences_destroy(sequences);
    return rg_optimizer_step(trainer->optimizer, trainer->policy->parameters);
}

static bool parl_step(RgTrainer *trainer, const void *options, void *opaque) {
    const RgParlOptions *o = options;
    ParlState *state = opaque;
    double flops = rg_tape_flops(state->second_order), lower_norm = 0;
    for (int64_t k = 0; k < o->inner_steps; k++) {
        lower_norm = lower_step(trainer, o, state, trainer->step, k);
        if (!isfinite(lower_norm))
            return rg_trainer_diverged(trainer, "the lower level's gradient is not finite");
    }
    RgInverseReport report;
    double *hypergradient = rg_allocate((size_t)state->reward->count * sizeof *hypergradient);
    double upper = rg_parl_hypergradient(trainer, o, state, trainer->step, hypergradient, &report);
    free(hypergradient);
    double norm = rg_optimizer_step(state->optimizer, state->reward);
    trainer->meter.flops += rg_tape_flops(state->second_order) - flops;

    rg_trainer_metric(trainer, "loss", upper);
    rg_trainer_metric(trainer, "gradient_norm", lower_norm);
    rg_trainer_metric(trainer, "hypergradient_norm", norm);
    rg_trainer_metric(trainer, "inverse_residual", report.residual);
    rg_trainer_metric(trainer, "inverse_failed", report.failure ? 1 : 0);
    rg_trainer_metric(trainer, "hessian_products", (double)report.products);
    if (!isfinite(norm) || !isfinite(upper))
        return rg_trainer_diverged(trainer, "the hypergradient is not finite");
    return true;
}

/* ---- life ---- */

/* Every (context, response), in order, with features and the judge's rewards. */
static void enumerate_responses(RgTrainer *trainer, ParlState *state) {
    RgPolicy *policy = trainer->policy;
    bool recorded = rg_tape_record(trainer->tape, false);
    RgTensor *logits = policy->type->logits(policy, trainer->tape, policy->parameters);
    int64_t contexts = logits->shape.size[0], responses = logits->shape.size[1];
    rg_tape_record(trainer->tape, recorded);
    rg_tape_reset(trainer->tape);

    state->contexts = contexts;
    state->all = rg_sequences_create();
    for (int32_t x = 0; x < contexts; x++)
        for (int32_t y = 0; y < responses; y++)
            rg_sequences_append(state->all, &x, 1, &y, 1);
    int64_t n = state->all->count;
    state->all_reward = rg_allocate((size_t)n * sizeof *state->all_reward);
    trainer->course->judge(trainer->course->environment, state->all, state->all_reward);
    trainer->meter.judge_queries += n;
    RgReal *features = features_of(trainer, trainer->tape, state, state->all);
    size_t bytes = (size_t)(n * state->reward->count) * sizeof(RgReal);
    state->all_features = rg_allocate(bytes);
    memcpy(state->all_features, features, bytes);
    rg_tape_reset(trainer->tape);
}

/* Fit ν to the offline pairs by logistic regression: a warm start of the upper level. */
static void pretrain_reward(RgTrainer *trainer, const RgParlOptions *o, ParlState *state) {
    const RgPairs *pairs = trainer->course->pairs;
    RgTape *t = trainer->tape;
    int64_t n = trainer->training.batch;
    RgSequences *sequences = rg_sequences_create();
    for (int64_t step = 0; step < o->pretrain; step++) {
        rg_sequences_clear(sequences);
        RgTensor *sign = rg_filled(t, RG_SHAPE(n, 1), 1);
        for (int64_t i = 0; i < n; i++) {
            int64_t pair = rg_shuffle_at(&trainer->pairs, step * n + i);
            rg_sequences_append_from(sequences, pairs->sequences, 2 * pair, false);
            rg_sequences_append_from(sequences, pairs->sequences, 2 * pair + 1, false);
            sign->data[i] = pairs->preferred[pair] == 0 ? 1 : -1;
        }
        RgTensor *reward =
            reward_of_features(t, state, 2 * n, features_of(trainer, t, state, sequences));
        RgTensor *margin = rg_sub(t, first_of_pairs(t, reward), second_of_pairs(t, reward));
        RgTensor *fit = rg_mean(t, rg_log_sigmoid(t, rg_mul(t, sign, margin)));
        rg_backward(t, fit, -1);
        rg_optimizer_step(state->optimizer, state->reward);
        rg_tape_reset(t);
    }
    rg_sequences_destroy(sequences);
}

static void parl_destroy(void *opaque) {
    ParlState *state = opaque;
    rg_parameters_destroy(state->reward);
    rg_optimizer_destroy(state->optimizer);
    rg_tape_destroy(state->second_order);
    rg_sequences_destroy(state->all);
    free(state->upper_gradient);
    free(state->solution);
    free(state->all_reward);
    free(state->all_features);
    free(state);
}

static RgStatus parl_create(RgTrainer *trainer, const void *options, void **opaque,
                            RgError *error) {
    const RgParlOptions *o = options;
    if (o->expectation == EXPECTATION_EXACT && !trainer->policy->type->logits)
        return rg_fail(error, RG_E_USAGE,
                       "parl: expectation = \"exact\" needs an enumerable policy, not %s",
                       trainer->policy->type->name);
    if (o->pretrain > 0 && (!trainer->course->pairs || trainer->course->pairs->count == 0))
        return rg_fail(error, RG_E_USAGE,
                       "parl: pretrain needs offline pairs, and the environment has none");
    double start = rg_clock_seconds();
    ParlState *state = rg_allocate(sizeof *state);
    int64_t features = rg_policy_feature_count(trainer->reference);
    state->reward = rg_parameters_create();
    rg_parameters_declare(state->reward, "reward", 1, &features, false);
    rg_parameters_allocate(state->reward);
    RgOptimizerOptions adamw = {.type = RG_ADAMW,
                                .learning_rate = o->reward_learning_rate,
                                .schedule = RG_SCHEDULE_CONSTANT,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .epsilon = 1e-8};
    state->optimizer = rg_optimizer_create(&adamw, features, 0);
    state->second_order = rg_tape_create();
    rg_tape_second_order(state->second_order, true);
    size_t bytes = (size_t)trainer->policy->parameters->count * sizeof(RgReal);
    state->upper_gradient = rg_allocate(bytes);
    state->solution = rg_allocate(bytes);
    if (o->expectation == EXPECTATION_EXACT)
        enumerate_responses(trainer, state);
    pretrain_reward(trainer, o, state);
    trainer->meter.seconds += rg_clock_seconds() - start;
    *opaque = state;
    return RG_OK;
}

static void parl_checkpoint(void *opaque, RgCheckpoint *checkpoint) {
    ParlState *state = opaque;
    rg_checkpoint_parameters(checkpoint, "reward", state->reward);
    rg_checkpoint_optimizer(checkpoint, "reward optimizer", state->optimizer);
}

static double beta(const void *options) {
    return ((const RgParlOptions *)options)->beta;
}

const RgAlgorithm rg_algorithm_parl = {
    .name = "parl",
    .summary = "Bilevel alignment: a reward optimised through the policy that is optimal for it",
    .reference = "Chakraborty et al. 2024, arXiv:2308.02585",
    .responses = RG_FROM_POLICY,
    .preferences = RG_FROM_JUDGE,
    .options = parl_options,
    .options_size = sizeof(RgParlOptions),
    .beta = beta,
    .create = parl_create,
    .step = parl_step,
    .destroy = parl_destroy,
    .checkpoint = parl_checkpoint,
};
