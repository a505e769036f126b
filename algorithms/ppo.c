/* SPDX-License-Identifier: MIT */
/* PPO on the judge's reward, token by token, with a value of states and a penalty on the
 * divergence.
 *
 *     r_t = −β·(log π_old − log π_ref)_t, and the judge's reward at the last step
 *     A   = GAE(γ, λ) of r and V, whitened over the batch
 *     L   = −E_t[ min(ρ·A, clip(ρ, 1 ± ε)·A) ] + c·½·E_t[ max((V − R)², (V_clipped − R)²) ]
 *
 *     Schulman et al. 2017, arXiv:1707.06347; with language models Ziegler et al. 2019,
 *     arXiv:1909.08593, and Ouyang et al. 2022, arXiv:2203.02155
 *
 * R = A + V_old before whitening. V is a network of its own, with one hidden layer, over what the
 * frozen reference knows before the step (its hidden state; of a process, the state or what is
 * observed), so that no gradient of V moves the policy. A round samples one response to each
 * prompt and goes over them `epochs` times, in whole batches. */
#include "algorithms/ppo.h"

#include "algorithms/training/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    RG_OPTION_INTEGER(PpoOptions, epochs, "4", 1, 1000, "passes over the samples of a round"),
    RG_OPTION_REAL(PpoOptions, clip, "0.2", 1e-6, 1e3, "ε, how far a ratio counts"),
    RG_OPTION_REAL(PpoOptions, value_clip, "0.2", 1e-6, 1e9,
                   "how far a value may move in a round before its loss is held"),
    RG_OPTION_REAL(PpoOptions, value_coefficient, "0.1", 0, 1e3, "c, of the value's loss"),
    RG_OPTION_REAL(PpoOptions, discount, "1", 0, 1, "γ"),
    RG_OPTION_REAL(PpoOptions, lambda, "0.95", 0, 1, "λ of the advantages"),
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
        double surprise = reward[t] + discount * next_value - value[t];
        advantage[t] = next = surprise + discount * lambda * next;
        next_value = value[t];
    }
}

RgTensor *rg_ppo_surrogate(RgTape *t, RgTensor *logprob, RgTensor *old, RgTensor *advantage,
                           double clip) {
    RgTensor *ratio = rg_exp(t, rg_sub(t, logprob, old));
    RgTensor *free_gain = rg_mul(t, ratio, advantage);
    RgTensor *held_gain = rg_mul(t, rg_clip(t, ratio, 1 - clip, 1 + clip), advantage);
    return rg_sub(t, free_gain, rg_positive_part(t, rg_sub(t, free_gain, held_gain)));
}

/* ---- the value ---- */

typedef struct Ppo {
    RgTrainer *trainer;
    const PpoOptions *options;
    int64_t features;
    RgParameters *value;
    RgOptimizer *optimizer;
} Ppo;

enum { VIEW_INNER, VIEW_INNER_BIAS, VIEW_OUTER, VIEW_OUTER_BIAS };

static void declare_value(Ppo *ppo, RgRandom random) {
    int64_t hidden = ppo->options->value_hidden, features = ppo->features;
    RgParameters *p = ppo->value = rg_parameters_create();
    rg_parameters_declare(p, "value.inner", 2, (const int64_t[]){hidden, features}, true);
    rg_parameters_declare(p, "value.inner_bias", 1, &hidden, false);
    rg_parameters_declare(p, "value.outer", 2, (const int64_t[]){1, hidden}, true);
    rg_parameters_declare(p, "value.outer_bias", 1, (const int64_t[]){1}, false);
    rg_parameters_allocate(p);
    rg_parameters_fill_normal(p, VIEW_INNER, 1 / sqrt((double)features), random);
}

/* [steps] */
static RgTensor *value_of(RgTape *t, const Ppo *ppo, RgTensor *features) {
    RgParameters *p = ppo->value;
    RgTensor *hidden = rg_tanh(t, rg_linear(t, features, rg_parameter(t, p, VIEW_INNER),
                                            rg_parameter(t, p, VIEW_INNER_BIAS), NULL));
    RgTensor *value = rg_linear(t, hidden, rg_parameter(t, p, VIEW_OUTER),
                                rg_parameter(t, p, VIEW_OUTER_BIAS), NULL);
    return rg_reshape(t, value, RG_SHAPE(value->count));
}

/* ---- rounds ---- */

/* What was sampled in a round, and what was thought of it then; [steps] of all responses in a row.
 */
typedef struct Round {
    RgSequences *sequences;
    int64_t steps;
    RgReal *features;
    double *old, *reward, *value, *advantage, *target;
    double judged, kl; /* means over the responses */
} Round;

static double *numbers(int64_t count) {
    return rg_allocate((size_t)(count + 1) * sizeof(double));
}

/* The judge's reward at the last step of each response, less the penalty at all of them. */
static void reward_steps(Ppo *ppo, Round *round, const double *judged) {
    RgTrainer *trainer = ppo->trainer;
    int64_t n = round->sequences->count, step = 0;
    double *reference = numbers(round->steps);
    rg_policy_step_values(trainer->policy, round->sequences, round->old);
    rg_policy_step_values(trainer->reference, round->sequences, reference);
    for (int64_t i = 0; i < n; i++) {
        int64_t length = rg_policy_steps(trainer->policy, round->sequences, i);
        for (int64_t k = 0; k < length; k++, step++) {
            double log_ratio = round->old[step] - reference[step];
            round->reward[step] = -ppo->options->beta * log_ratio + (k == length - 1) * judged[i];
            round->kl += log_ratio / (double)n;
        }
        round->judged += judged[i] / (double)n;
    }
    free(reference);
}

static void whiten(double *x, int64_t count) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < count; i++)
        mean += x[i] / (double)count;
    for (int64_t i = 0; i < count; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)count;
    for (int64_t i = 0; i < count; i++)
        x[i] = (x[i] - mean) / sqrt(square + 1e-8);
}

static void value_steps(Ppo *ppo, Round *round) {
    const PpoOptions *o = ppo->options;
    RgTape *t = ppo->trainer->tape;
    RgTensor *features = rg_borrow(t, RG_SHAPE(round->steps, ppo->features), round->features);
    const RgTensor *value = value_of(t, ppo, features);
    for (int64_t k = 0; k < round->steps; k++)
        round->value[k] = (double)value->data[k];
    rg_tape_reset(t);
    for (int64_t i = 0, step = 0; i < round->sequences->count; i++) {
        int64_t length = rg_policy_steps(ppo->trainer->policy, round->sequences, i);
        rg_ppo_advantages(length, round->reward + step, round->value + step, o->discount, o->lambda,
                          round->advantage + step);
        step += length;
    }
    for (int64_t k = 0; k < round->steps; k++)
        round->target[k] = round->advantage[k] + round->value[k];
    whiten(round->advantage, round->steps);
}

static Round round_sample(Ppo *ppo) {
    RgTrainer *trainer = ppo->trainer;
    Round round = {.sequences = rg_sequences_create()};
    rg_trainer_sample(trainer, trainer->step, trainer->training.batch, 1, round.sequences);
    for (int64_t i = 0; i < round.sequences->count; i++)
        round.steps += rg_policy_steps(trainer->policy, round.sequences, i);
    round.features =
        rg_allocate((size_t)(round.steps * ppo->features + 1) * sizeof *round.features);
    rg_policy_state_values(trainer->reference, round.sequences, round.features);
    round.old = numbers(round.steps);
    round.reward = numbers(round.steps);
    round.value = numbers(round.steps);
    round.advantage = numbers(round.steps);
    round.target = numbers(round.steps);
    return round;
}

static void round_release(Round *round) {
    rg_sequences_destroy(round->sequences);
    free(round->features);
    free(round->old);
    free(round->reward);
    free(round->value);
    free(round->advantage);
    free(round->target);
}

/* ½·E[ max((V − R)², (V_clipped − R)²) ] */
static RgTensor *value_loss(RgTape *t, const Ppo *ppo, const Round *round) {
    RgShape shape = RG_SHAPE(round->steps);
    double far = ppo->options->value_clip;
    RgTensor *old = rg_constant_from_double(t, shape, round->value);
    RgTensor *target = rg_constant_from_double(t, shape, round->target);
    RgTensor *value =
        value_of(t, ppo, rg_borrow(t, RG_SHAPE(round->steps, ppo->features), round->features));
    RgTensor *held = rg_add(t, old, rg_clip(t, rg_sub(t, value, old), -far, far));
    RgTensor *free_loss = rg_square(t, rg_sub(t, value, target));
    RgTensor *held_loss = rg_square(t, rg_sub(t, held, target));
    RgTensor *larger = rg_add(t, free_loss, rg_positive_part(t, rg_sub(t, held_loss, free_loss)));
    return rg_scale(t, rg_mean(t, larger), (RgReal)0.5);
}

/* One step of policy and value on the samples. Returns the gradient's norm. */
static double epoch(Ppo *ppo, const Round *round, double *policy_loss, double *worth_loss) {
    RgTrainer *trainer = ppo->trainer;
    RgTape *t = trainer->tape;
    RgShape shape = RG_SHAPE(round->steps);
    RgTensor *logprob = rg_policy_step_logprob(t, trainer->policy, round->sequences);
    RgTensor *gain =
        rg_ppo_surrogate(t, logprob, rg_constant_from_double(t, shape, round->old),
                         rg_constant_from_double(t, shape, round->advantage), ppo->options->clip);
    RgTensor *policy = rg_negate(t, rg_mean(t, gain)), *worth = value_loss(t, ppo, round);
    *policy_loss = (double)policy->data[0];
    *worth_loss = (double)worth->data[0];
    RgTensor *loss = rg_add(t, policy, rg_scale(t, worth, (RgReal)ppo->options->value_coefficient));
    rg_parameters_zero_gradient(trainer->policy->parameters);
    rg_parameters_zero_gradient(ppo->value);
    rg_backward(t, loss, 1);
    rg_tape_reset(t);
    trainer->meter.trained_tokens += round->steps;
    rg_optimizer_step(ppo->optimizer, ppo->value);
    return rg_trainer_step_policy(trainer);
}

static RgStatus round_judge(Ppo *ppo, Round *round, RgError *error) {
    double *judged = numbers(round->sequences->count);
    RgStatus status = rg_trainer_judge(ppo->trainer, round->sequences, judged, error);
    if (status == RG_OK) {
        reward_steps(ppo, round, judged);
        value_steps(ppo, round);
    }
    free(judged);
    return status;
}

static RgStatus ppo_step(RgTrainer *trainer, const void *options, void *state, RgError *error) {
    (void)options;
    Ppo *ppo = state;
    Round round = round_sample(ppo);
    RgStatus status = round_judge(ppo, &round, error);
    if (status != RG_OK) {
        round_release(&round);
        return status;
    }
    double policy_loss = 0, worth_loss = 0, norm = 0;
    for (int64_t e = 0; round.steps > 0 && e < ppo->options->epochs && isfinite(norm); e++)
        norm = epoch(ppo, &round, &policy_loss, &worth_loss);
    rg_trainer_metric(trainer, "loss", policy_loss);
    rg_trainer_metric(trainer, "value_loss", worth_loss);
    rg_trainer_metric(trainer, "gradient_norm", norm);
    rg_trainer_metric(trainer, "reward", round.judged);
    rg_trainer_metric(trainer, "kl", round.kl);
    round_release(&round);
    if (!isfinite(norm))
        rg_trainer_diverged(trainer, "the gradient is not finite");
    return RG_OK;
}

/* ---- life ---- */

static RgStatus ppo_create(RgTrainer *trainer, const void *options, void **state, RgError *error) {
    (void)error;
    Ppo *ppo = rg_allocate(sizeof *ppo);
    ppo->trainer = trainer;
    ppo->options = options;
    ppo->features = trainer->reference->type->state_feature_count(trainer->reference);
    declare_value(ppo, rg_random_named(trainer->random, "value"));
    RgOptimizerOptions adamw = {.type = {&rg_optimizer_adamw.about},
                                .learning_rate = ppo->options->value_learning_rate,
                                .schedule = RG_SCHEDULE_CONSTANT,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .epsilon = 1e-8};
    ppo->optimizer = rg_optimizer_create(&adamw, ppo->value->count, 0);
    *state = ppo;
    return RG_OK;
}

static void ppo_destroy(void *state) {
    Ppo *ppo = state;
    rg_parameters_destroy(ppo->value);
    rg_optimizer_destroy(ppo->optimizer);
    free(ppo);
}

static void ppo_checkpoint(void *state, RgCheckpoint *checkpoint) {
    Ppo *ppo = state;
    rg_checkpoint_parameters(checkpoint, "value", ppo->value);
    rg_checkpoint_optimizer(checkpoint, "value optimizer", ppo->optimizer);
}

/* FLOPs of V, and of its loss, at one step: forward, and with its gradient besides. The inner layer
 * has no gradient by what it reads. */
static double value_flops(int64_t features, int64_t hidden, bool gradient) {
    double inner = 2 * (double)features * (double)hidden, outer = 2 * (double)hidden;
    double layer = (double)hidden * 2, forward = inner + outer + layer;
    const double loss = 30; /* operators on single numbers: two clipped terms, forward and back */
    return gradient ? forward + inner + 2 * outer + 3 * layer + loss : forward;
}

static bool ppo_work(const void *options, const RgWorkTerms *terms, RgWork *create, RgWork *step) {
    (void)create;
    const PpoOptions *o = options;
    double steps = (double)terms->batch * (double)terms->steps, epochs = (double)o->epochs;
    rg_work_add(step, RG_WORK_SAMPLED, 1, terms->batch, 1);
    rg_work_add(step, RG_WORK_STATES, 1, terms->batch, 1);
    rg_work_add(step, RG_WORK_JUDGED, 1, terms->batch, 1);
    rg_work_add(step, RG_WORK_SCORED, 1, terms->batch, 1);
    rg_work_add(step, RG_WORK_REFERENCED, 1, terms->batch, 1);
    rg_work_add(step, RG_WORK_TRAINED, epochs, terms->batch, 1);
    step->flops = steps * (value_flops(terms->features, o->value_hidden, false) +
                           epochs * value_flops(terms->features, o->value_hidden, true));
    return true;
}

static void ppo_recipe(const void *options, RgRecipe *recipe) {
    const PpoOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->rewards = true;
}

const RgAlgorithm rg_algorithm_ppo = {
    .about = {.name = "ppo",
              .summary = "Proximal policy optimisation on the judge's reward, with a KL penalty",
              .reference =
                  "Schulman et al. 2017, arXiv:1707.06347; Ouyang et al. 2022, arXiv:2203.02155",
              .options = ppo_options,
              .options_size = sizeof(PpoOptions)},
    .recipe = ppo_recipe,
    .create = ppo_create,
    .step = ppo_step,
    .destroy = ppo_destroy,
    .checkpoint = ppo_checkpoint,
    .work = ppo_work,
};
