/* SPDX-License-Identifier: MIT */
/* PPO on a reward, token by token, with a value network and a penalty on the divergence.
 *
 *     r_t = −β·(log π_old − log π_ref)_t, and the reward r at the last step
 *     A   = GAE(γ, λ) of r and V_old, whitened over the batch
 *     L   = −E_t[ min(ρ·A, clip(ρ, 1 ± ε)·A) ] + c·½·E_t[ max((V − R)², (V_clipped − R)²) ]
 *
 *     Schulman et al. 2017, arXiv:1707.06347; with language models Ziegler et al. 2019,
 *     arXiv:1909.08593, and Ouyang et al. 2022, arXiv:2203.02155
 *
 * With unit = "response" the whole response is one action, without V: ρ is its ratio, and A is
 * R − E[R] over the batch, in units of its standard deviation, with R = r − β·(log π_old − log π_ref).
 *
 * With a target of the divergence β follows it after each step (Ziegler et al., section 2.2):
 *
 *     β ← β·(1 + 0.1·e),   e = clip((KL − target)/target, ±0.2),   KL of the batch at sampling
 *
 * r may be fitted to the offline pairs (fitted_reward.h) instead of the judge's.
 *
 * R = A + V_old before whitening. V is a separate network with one hidden layer. Its input is the
 * frozen reference's features before the step (its hidden state; in an MDP, the state or its
 * observation), so no gradient of V reaches the policy. A step samples one response to each prompt
 * and passes over them `epochs` times, in whole batches. In the log, `loss` is all of L,
 * `policy_loss` its first term, `value_loss` the second without c. */
#include "algorithms/ppo.h"

#include "algorithms/fitted_reward.h"

#include <math.h>
#include <stdlib.h>

enum { UNIT_TOKEN, UNIT_RESPONSE };
static const char *const units[] = {"token", "response", NULL};

typedef struct PpoOptions {
    double beta;
    int64_t epochs;
    double clip, value_clip, value_coefficient;
    double discount, lambda;
    int64_t value_hidden;
    double value_learning_rate;
    int unit;
    double kl_target;
    RgFittedRewardOptions fit;
} PpoOptions;

static const RgOption ppo_options[] = {
    RG_OPTION_REAL(PpoOptions, beta, "0.05", 0, 1e3, "strength β of the KL penalty"),
    RG_OPTION_INTEGER(PpoOptions, epochs, "4", 1, 1000, "passes over the samples of a step"),
    RG_OPTION_REAL(PpoOptions, clip, "0.2", 1e-6, 1e3, "ε, clip range of the probability ratio"),
    RG_OPTION_REAL(PpoOptions, value_clip, "0.2", 1e-6, 1e9,
                   "clip range of a value's change in a step"),
    RG_OPTION_REAL(PpoOptions, value_coefficient, "0.1", 0, 1e3,
                   "c, coefficient of the value loss"),
    RG_OPTION_REAL(PpoOptions, discount, "1", 0, 1, "discount γ of rewards and values"),
    RG_OPTION_REAL(PpoOptions, lambda, "0.95", 0, 1, "λ of generalised advantage estimation"),
    RG_OPTION_INTEGER(PpoOptions, value_hidden, "64", 1, 65536,
                      "hidden units of the value network"),
    RG_OPTION_REAL(PpoOptions, value_learning_rate, "0.01", 0, 1e3,
                   "learning rate of the value network"),
    RG_OPTION_CHOICE(PpoOptions, unit, "token", units,
                     "what ratios and advantages belong to: each token, with a value network; or "
                     "the whole response, whose advantage is its whitened reward",
                     .later = true),
    RG_OPTION_REAL(PpoOptions, kl_target, "0", 0, 1e6,
                   "target of a response's KL divergence from the reference, in nats, to which β "
                   "is adapted after each step; 0: β stays",
                   .later = true),
    RG_OPTION_INCLUDE(PpoOptions, fit, rg_fitted_reward_options),
    RG_OPTION_END,
};

/* ---- formulas ---- */

void rg_ppo_advantages(int64_t steps, const double *reward, const double *value, double discount,
                       double lambda, double *advantage) {
    double next_value = 0, next = 0;
    for (int64_t t = steps - 1; t >= 0; t--) {
        double td_error = reward[t] + discount * next_value - value[t];
        advantage[t] = next = td_error + discount * lambda * next;
        next_value = value[t];
    }
}

RgTensor *rg_ppo_surrogate(RgTape *t, RgTensor *logprob, RgTensor *old, RgTensor *advantage,
                           double clip) {
    RgTensor *ratio = rg_exp(t, rg_sub(t, logprob, old));
    RgTensor *unclipped = rg_mul(t, ratio, advantage);
    RgTensor *clipped = rg_mul(t, rg_clip(t, ratio, 1 - clip, 1 + clip), advantage);
    return rg_sub(t, unclipped, rg_positive_part(t, rg_sub(t, unclipped, clipped)));
}

bool rg_ppo_clips(double ratio, double advantage, double clip) {
    return (advantage > 0 && ratio > 1 + clip) || (advantage < 0 && ratio < 1 - clip);
}

/* Scale to mean 0 and standard deviation 1. */
static void whiten(double *x, int64_t count) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < count; i++)
        mean += x[i] / (double)count;
    for (int64_t i = 0; i < count; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)count;
    for (int64_t i = 0; i < count; i++)
        x[i] = (x[i] - mean) / sqrt(square + 1e-8);
}

/* ---- the value network ---- */

enum { VIEW_INNER, VIEW_INNER_BIAS, VIEW_OUTER, VIEW_OUTER_BIAS };

static RgParameters *declare_value(int64_t features, int64_t hidden, RgRandom random) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "value.inner", 2, (const int64_t[]){hidden, features}, true);
    rg_parameters_declare(p, "value.inner_bias", 1, &hidden, false);
    rg_parameters_declare(p, "value.outer", 2, (const int64_t[]){1, hidden}, true);
    rg_parameters_declare(p, "value.outer_bias", 1, (const int64_t[]){1}, false);
    rg_parameters_allocate(p);
    rg_parameters_fill_normal(p, VIEW_INNER, 1 / sqrt((double)features), random);
    return p;
}

typedef struct State {
    RgParameters *value; /* the trainer's; NULL: without a value network */
    RgPolicy *reference;
    bool adapts, fitted;
    double beta; /* of the step, where it adapts */
    RgFittedReward reward;
} State;

static RgParameters *create_value(RgTrainer *trainer, const PpoOptions *o) {
    const RgPolicy *reference = trainer->reference;
    RgParameters *value = declare_value(reference->type->state_feature_count(reference),
                                        o->value_hidden, rg_random_named(trainer->random, "value"));
    RgOptimizerOptions adamw = rg_adamw_options(o->value_learning_rate);
    rg_trainer_own(trainer, "value", value, &adamw);
    return value;
}

static RgStatus ppo_check(const void *options, const RgTask *task, const RgPolicy *policy,
                          RgError *error) {
    (void)policy;
    return rg_fitted_reward_check("ppo", &((const PpoOptions *)options)->fit, task, error);
}

static RgStatus ppo_create(RgTrainer *trainer, const void *options, void **state, RgError *error) {
    (void)error;
    const PpoOptions *o = options;
    State *s = rg_allocate(1, sizeof *s);
    *state = s;
    *s = (State){.reference = trainer->reference,
                 .adapts = o->kl_target > 0,
                 .fitted = o->fit.reward != RG_REWARD_JUDGED,
                 .beta = o->beta};
    if (o->unit == UNIT_TOKEN)
        s->value = create_value(trainer, o);
    if (s->fitted)
        rg_fitted_reward_create(trainer, &o->fit, &s->reward);
    return RG_OK;
}

static void ppo_destroy(void *state) {
    rg_fitted_reward_destroy(&((State *)state)->reward);
    free(state);
}

/* The fitted reward is fitted again, to the same bits. */
static void ppo_checkpoint(void *state, RgCheckpoint *checkpoint) {
    State *s = state;
    if (s->adapts)
        rg_checkpoint_doubles(checkpoint, "kl coefficient", &s->beta, 1);
}

/* V before each step, [steps]. */
static RgTensor *value_of(const RgStep *step, RgTensor *features) {
    RgTape *t = step->tape;
    RgParameters *p = ((const State *)step->state)->value;
    RgTensor *hidden = rg_tanh(t, rg_linear(t, features, rg_parameter(t, p, VIEW_INNER),
                                            rg_parameter(t, p, VIEW_INNER_BIAS), NULL));
    RgTensor *value = rg_linear(t, hidden, rg_parameter(t, p, VIEW_OUTER),
                                rg_parameter(t, p, VIEW_OUTER_BIAS), NULL);
    return rg_reshape(t, value, RG_SHAPE(value->count));
}

/* ---- before the first epoch ---- */

/* Quantities of policy and value network at sampling; by token [steps] each, by response
 * [prompts, 1]. */
typedef struct Prepared {
    RgTensor *value;     /* V_old; by token only */
    RgTensor *advantage; /* A */
    RgTensor *target;    /* R; by token only */
    double kl;           /* of the batch, nats per response */
    double reward;       /* mean of r */
} Prepared;

/* β of this step. */
static double strength(const RgStep *step, const PpoOptions *o) {
    const State *s = step->state;
    return s->adapts ? s->beta : o->beta;
}

/* The reward of each response, [prompts]: the judge's or the fitted one. */
static const double *rewards_of(const RgStep *step, const RgBatch *batch) {
    const State *s = step->state;
    if (!s->fitted)
        return batch->judged;
    double *reward = RG_ARENA_ARRAY(rg_tape_arena(step->tape), double, batch->prompts);
    rg_fitted_reward_values(&s->reward, s->reference, batch->sequences, reward);
    return reward;
}

/* The response's reward at its last step, minus the penalty at all steps. */
static void reward_steps(const RgBatch *batch, const double *judged, double beta, double *reward) {
    const RgSteps *s = &batch->steps;
    for (int64_t i = 0; i < batch->prompts; i++) {
        int64_t end = s->offsets[i + 1];
        for (int64_t k = s->offsets[i]; k < end; k++) {
            double log_ratio = (double)s->old->data[k] - (double)s->reference->data[k];
            reward[k] = -beta * log_ratio + (k == end - 1) * judged[i];
        }
    }
}

/* Sums and means are computed in double. */
static void prepare_tokens(const RgStep *step, const PpoOptions *o, const RgBatch *batch,
                           const double *judged, Prepared *prepared) {
    const RgSteps *s = &batch->steps;
    RgArena *arena = rg_tape_arena(step->tape);
    double *reward = RG_ARENA_ARRAY(arena, double, s->count);
    double *value = RG_ARENA_ARRAY(arena, double, s->count);
    double *advantage = RG_ARENA_ARRAY(arena, double, s->count);
    double *target = RG_ARENA_ARRAY(arena, double, s->count);
    prepared->value = value_of(step, s->features);
    for (int64_t k = 0; k < s->count; k++)
        value[k] = (double)prepared->value->data[k];
    reward_steps(batch, judged, strength(step, o), reward);
    for (int64_t i = 0; i < batch->prompts; i++) {
        int64_t at = s->offsets[i], length = s->offsets[i + 1] - at;
        rg_ppo_advantages(length, reward + at, value + at, o->discount, o->lambda, advantage + at);
    }
    for (int64_t k = 0; k < s->count; k++)
        target[k] = advantage[k] + value[k];
    whiten(advantage, s->count);
    prepared->advantage = rg_constant_from_double(step->tape, RG_SHAPE(s->count), advantage);
    prepared->target = rg_constant_from_double(step->tape, RG_SHAPE(s->count), target);
}

static double log_ratio_of(const RgBatch *batch, int64_t i) {
    return (double)batch->old->data[i] - (double)batch->reference->data[i];
}

static void prepare_responses(const RgStep *step, const PpoOptions *o, const RgBatch *batch,
                              const double *judged, Prepared *prepared) {
    double *advantage = RG_ARENA_ARRAY(rg_tape_arena(step->tape), double, batch->prompts);
    double beta = strength(step, o);
    for (int64_t i = 0; i < batch->prompts; i++)
        advantage[i] = judged[i] - beta * log_ratio_of(batch, i);
    whiten(advantage, batch->prompts);
    prepared->advantage =
        rg_constant_from_double(step->tape, RG_SHAPE(batch->prompts, 1), advantage);
}

static const void *ppo_prepare(RgStep *step, const void *options, const RgBatch *batch) {
    const PpoOptions *o = options;
    const double *judged = rewards_of(step, batch);
    Prepared prepared = {0};
    for (int64_t i = 0; i < batch->prompts; i++) {
        prepared.kl += log_ratio_of(batch, i) / (double)batch->prompts;
        prepared.reward += judged[i] / (double)batch->prompts;
    }
    (o->unit == UNIT_TOKEN ? prepare_tokens : prepare_responses)(step, o, batch, judged, &prepared);
    return rg_arena_copy(rg_tape_arena(step->tape), &prepared, sizeof prepared);
}

double rg_ppo_adapted(double beta, double kl, double target) {
    const double gain = 0.1, most = 0.2;
    return beta * (1 + gain * fmin(fmax((kl - target) / target, -most), most));
}

static void ppo_finish(RgStep *step, const void *options) {
    const PpoOptions *o = options;
    State *s = step->state;
    if (s->adapts)
        s->beta = rg_ppo_adapted(s->beta, ((const Prepared *)step->prepared)->kl, o->kl_target);
}

/* ---- the loss ---- */

/* The mean over steps; 0 without steps. */
static RgTensor *mean_over_steps(RgTape *t, RgTensor *x) {
    return x->count > 0 ? rg_mean(t, x) : rg_scalar(t, 0);
}

/* ½·E[ max((V − R)², (V_clipped − R)²) ] */
static RgTensor *value_loss(const RgStep *step, const PpoOptions *o, RgTensor *features) {
    RgTape *t = step->tape;
    const Prepared *prepared = step->prepared;
    RgTensor *value = value_of(step, features), *old = prepared->value;
    RgTensor *change = rg_clip(t, rg_sub(t, value, old), -o->value_clip, o->value_clip);
    RgTensor *unclipped = rg_square(t, rg_sub(t, value, prepared->target));
    RgTensor *clipped = rg_square(t, rg_sub(t, rg_add(t, old, change), prepared->target));
    RgTensor *larger = rg_add(t, unclipped, rg_positive_part(t, rg_sub(t, clipped, unclipped)));
    return rg_scale(t, mean_over_steps(t, larger), (RgReal)0.5);
}

/* Share of ratios that are clipped, of log π and its old values of the advantages' size. */
static double clip_fraction(const RgTensor *logprob, const RgTensor *old, const RgTensor *advantage,
                            double clip) {
    double clipped = 0;
    for (int64_t k = 0; k < advantage->count; k++) {
        double ratio = exp((double)logprob->data[k] - (double)old->data[k]);
        clipped += rg_ppo_clips(ratio, (double)advantage->data[k], clip) / (double)advantage->count;
    }
    return clipped;
}

/* What is the same in all epochs of a step. */
static void note_options(RgStep *step, const PpoOptions *o) {
    const State *s = step->state;
    if (s->adapts)
        rg_step_metric(step, "kl_coefficient", strength(step, o));
    if (!s->fitted)
        return;
    rg_step_metric(step, "fitted_reward", ((const Prepared *)step->prepared)->reward);
    rg_step_metric(step, "fitted_reward_loss", s->reward.loss);
    rg_step_metric(step, "fitted_reward_accuracy", s->reward.accuracy);
}

static RgTensor *ppo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const PpoOptions *o = options;
    RgTape *t = step->tape;
    const RgSteps *s = &batch->steps;
    bool tokens = o->unit == UNIT_TOKEN;
    RgTensor *logprob = tokens ? s->logprob : batch->logprob, *old = tokens ? s->old : batch->old;
    RgTensor *advantage = ((const Prepared *)step->prepared)->advantage;
    RgTensor *gain = rg_ppo_surrogate(t, logprob, old, advantage, o->clip);
    RgTensor *policy = rg_negate(t, mean_over_steps(t, gain));
    RgTensor *value = tokens ? value_loss(step, o, s->features) : NULL;
    rg_step_metric(step, "policy_loss", (double)policy->data[0]);
    if (value)
        rg_step_metric(step, "value_loss", (double)value->data[0]);
    rg_step_metric(step, "clip_fraction", clip_fraction(logprob, old, advantage, o->clip));
    note_options(step, o);
    return value ? rg_add(t, policy, rg_scale(t, value, (RgReal)o->value_coefficient)) : policy;
}

static void ppo_recipe(const void *options, RgRecipe *recipe) {
    const PpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->rewards = o->fit.reward == RG_REWARD_JUDGED;
    recipe->preferences = recipe->rewards ? RG_FROM_JUDGE : RG_FROM_NOWHERE;
    recipe->beta = o->beta;
    recipe->group = 1;
    recipe->steps = recipe->features = o->unit == UNIT_TOKEN;
    recipe->owns = o->unit == UNIT_TOKEN;
    recipe->couples = true; /* advantages are whitened over the batch */
    recipe->epochs = o->epochs;
}

const RgAlgorithm rg_algorithm_ppo = {
    .about = {.name = "ppo",
              .summary =
                  "Proximal policy optimisation on the judge's reward or one fitted to the pairs, "
                  "with a KL penalty",
              .reference =
                  "Schulman et al. 2017, arXiv:1707.06347; Ouyang et al. 2022, arXiv:2203.02155",
              .options = ppo_options,
              .options_size = sizeof(PpoOptions)},
    .recipe = ppo_recipe,
    .loss = ppo_loss,
    .prepare = ppo_prepare,
    .finish = ppo_finish,
    .check = ppo_check,
    .create = ppo_create,
    .destroy = ppo_destroy,
    .checkpoint = ppo_checkpoint,
};
