/* SPDX-License-Identifier: MIT */
/* PPO on the judge's reward, token by token, with a value network and a penalty on the
 * divergence.
 *
 *     r_t = −β·(log π_old − log π_ref)_t, and the judge's reward at the last step
 *     A   = GAE(γ, λ) of r and V_old, whitened over the batch
 *     L   = −E_t[ min(ρ·A, clip(ρ, 1 ± ε)·A) ] + c·½·E_t[ max((V − R)², (V_clipped − R)²) ]
 *
 *     Schulman et al. 2017, arXiv:1707.06347; with language models Ziegler et al. 2019,
 *     arXiv:1909.08593, and Ouyang et al. 2022, arXiv:2203.02155
 *
 * R = A + V_old before whitening. V is a separate network with one hidden layer. Its input is the
 * frozen reference's features before the step (its hidden state; in an MDP, the state or its
 * observation), so no gradient of V reaches the policy. A step samples one response to each prompt
 * and passes over them `epochs` times, in whole batches. In the log, `loss` is all of L,
 * `policy_loss` its first term, `value_loss` the second without c. */
#include "algorithms/ppo.h"

#include "algorithms/training/trainer.h"

#include <math.h>

typedef struct PpoOptions {
    double beta;
    int64_t epochs;
    double clip, value_clip, value_coefficient;
    double discount, lambda;
    int64_t value_hidden;
    double value_learning_rate;
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

static RgStatus ppo_create(RgTrainer *trainer, const void *options, void **state, RgError *error) {
    (void)error;
    const PpoOptions *o = options;
    const RgPolicy *reference = trainer->reference;
    RgParameters *value = declare_value(reference->type->state_feature_count(reference),
                                        o->value_hidden, rg_random_named(trainer->random, "value"));
    RgOptimizerOptions adamw = {.type = {.type = &rg_optimizer_adamw.about},
                                .learning_rate = o->value_learning_rate,
                                .schedule = RG_SCHEDULE_CONSTANT,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .epsilon = 1e-8};
    rg_trainer_own(trainer, "value", value, &adamw);
    *state = value;
    return RG_OK;
}

/* V before each step, [steps]. */
static RgTensor *value_of(const RgStep *step, RgTensor *features) {
    RgTape *t = step->tape;
    RgParameters *p = step->state;
    RgTensor *hidden = rg_tanh(t, rg_linear(t, features, rg_parameter(t, p, VIEW_INNER),
                                            rg_parameter(t, p, VIEW_INNER_BIAS), NULL));
    RgTensor *value = rg_linear(t, hidden, rg_parameter(t, p, VIEW_OUTER),
                                rg_parameter(t, p, VIEW_OUTER_BIAS), NULL);
    return rg_reshape(t, value, RG_SHAPE(value->count));
}

/* ---- before the first epoch ---- */

/* Quantities of policy and value network at sampling, [steps] each. */
typedef struct Prepared {
    RgTensor *value;     /* V_old */
    RgTensor *advantage; /* A */
    RgTensor *target;    /* R */
} Prepared;

/* The judge's reward at the last step of each response, minus the penalty at all steps. */
static void reward_steps(const RgBatch *batch, double beta, double *reward) {
    const RgSteps *s = &batch->steps;
    for (int64_t i = 0; i < batch->prompts; i++) {
        int64_t end = s->offsets[i + 1];
        for (int64_t k = s->offsets[i]; k < end; k++) {
            double log_ratio = (double)s->old->data[k] - (double)s->reference->data[k];
            reward[k] = -beta * log_ratio + (k == end - 1) * batch->judged[i];
        }
    }
}

/* Sums and means are computed in double. */
static const void *ppo_prepare(RgStep *step, const void *options, const RgBatch *batch) {
    const PpoOptions *o = options;
    const RgSteps *s = &batch->steps;
    RgArena *arena = rg_tape_arena(step->tape);
    double *reward = RG_ARENA_ARRAY(arena, double, s->count);
    double *value = RG_ARENA_ARRAY(arena, double, s->count);
    double *advantage = RG_ARENA_ARRAY(arena, double, s->count);
    double *target = RG_ARENA_ARRAY(arena, double, s->count);
    Prepared prepared = {.value = value_of(step, s->features)};
    for (int64_t k = 0; k < s->count; k++)
        value[k] = (double)prepared.value->data[k];
    reward_steps(batch, o->beta, reward);
    for (int64_t i = 0; i < batch->prompts; i++) {
        int64_t at = s->offsets[i], length = s->offsets[i + 1] - at;
        rg_ppo_advantages(length, reward + at, value + at, o->discount, o->lambda, advantage + at);
    }
    for (int64_t k = 0; k < s->count; k++)
        target[k] = advantage[k] + value[k];
    whiten(advantage, s->count);
    prepared.advantage = rg_constant_from_double(step->tape, RG_SHAPE(s->count), advantage);
    prepared.target = rg_constant_from_double(step->tape, RG_SHAPE(s->count), target);
    return rg_arena_copy(arena, &prepared, sizeof prepared);
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

/* Share of steps with a clipped ratio. */
static double clip_fraction(const RgSteps *s, const RgTensor *advantage, double clip) {
    double clipped = 0;
    for (int64_t k = 0; k < s->count; k++) {
        double ratio = exp((double)s->logprob->data[k] - (double)s->old->data[k]);
        clipped += rg_ppo_clips(ratio, (double)advantage->data[k], clip) / (double)s->count;
    }
    return clipped;
}

static RgTensor *ppo_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const PpoOptions *o = options;
    RgTape *t = step->tape;
    const RgSteps *s = &batch->steps;
    RgTensor *advantage = ((const Prepared *)step->prepared)->advantage;
    RgTensor *gain = rg_ppo_surrogate(t, s->logprob, s->old, advantage, o->clip);
    RgTensor *policy = rg_negate(t, mean_over_steps(t, gain));
    RgTensor *value = value_loss(step, o, s->features);
    rg_step_metric(step, "policy_loss", (double)policy->data[0]);
    rg_step_metric(step, "value_loss", (double)value->data[0]);
    rg_step_metric(step, "clip_fraction", clip_fraction(s, advantage, o->clip));
    return rg_add(t, policy, rg_scale(t, value, (RgReal)o->value_coefficient));
}

static void ppo_recipe(const void *options, RgRecipe *recipe) {
    const PpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->group = 1;
    recipe->rewards = true;
    recipe->steps = true;
    recipe->features = true;
    recipe->couples = true; /* advantages are whitened over the batch */
    recipe->epochs = o->epochs;
}

const RgAlgorithm rg_algorithm_ppo = {
    .about = {.name = "ppo",
              .summary = "Proximal policy optimisation on the judge's reward, with a KL penalty",
              .reference =
                  "Schulman et al. 2017, arXiv:1707.06347; Ouyang et al. 2022, arXiv:2203.02155",
              .options = ppo_options,
              .options_size = sizeof(PpoOptions)},
    .recipe = ppo_recipe,
    .loss = ppo_loss,
    .prepare = ppo_prepare,
    .create = ppo_create,
};
