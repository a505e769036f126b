/* SPDX-License-Identifier: MIT */
/* RLHF in two stages: a reward fitted to the offline pairs, then the policy that is best for it.
 *
 *     1.  r̂ = argmax_r  E_(w,l)[ log σ(r(y_w) − r(y_l)) ] − ½λ‖r‖²      before the first step
 *     2.  ∇ E_π[ r̂ − β·h ], estimated from two responses a prompt as in RLOO
 *
 * Ouyang et al. 2022, arXiv:2203.02155, as DPO's paper states it (arXiv:2305.18290, eqs. 2 and 3).
 * The reward is a table with a number for every response, so that it can fit any Bradley-Terry
 * preferences, and only the policy's class limits what is learned; or a network of the context's
 * features (rlhf_network.h). Responses have to be enumerated. In units of the labels' temperature.
 * Text has the same two stages as ppo or rloo with a judge "reward_model".
 *
 * With training.expectation = "responses" stage 2 is the exact expectation over the responses to each
 * prompt: RMB-PO, and on prompts without pairs RMB-PO+ (Li et al. 2023, arXiv:2312.10584). */
#include "algorithms/rlhf_network.h"
#include "algorithms/training/expectation.h"
#include "algorithms/training/pair_sampler.h"
#include "core/models/dense.h"
#include "core/models/enumerated.h"
#include "core/tensor/lapack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REWARD_TABLE, REWARD_ADDITIVE, REWARD_JOINT };
static const char *const rewards[] = {"table", "additive", "joint", NULL};

typedef struct RlhfOptions {
    double beta, reward_decay;
    int reward;
    const char *reward_hidden;
    int64_t reward_epochs;
    double reward_learning_rate;
    int64_t sampler_steps;
} RlhfOptions;

static const RgOption rlhf_options[] = {
    RG_OPTION_REAL(RlhfOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_REAL(RlhfOptions, reward_decay, "1e-8", 1e-12, 1e3,
                   "strength λ of the penalty of the reward's fit, half its squared norm: it keeps "
                   "the reward finite where all labels agree"),
    RG_OPTION_CHOICE(RlhfOptions, reward, "table", rewards,
                     "the fitted reward: table, a number for every response to every context; "
                     "additive, a network of the context's features plus one of the response; or "
                     "joint, one network of both",
                     .later = true),
    RG_OPTION_CHECKED(
        RlhfOptions, reward_hidden, "64 64", rg_hidden_widths_fault,
        "units of each hidden layer of the reward's networks, separated by spaces; \"\": none",
        .later = true),
    RG_OPTION_INTEGER(RlhfOptions, reward_epochs, "20", 1, 1e6,
                      "passes over the pairs in which the reward's networks are fitted",
                      .later = true),
    RG_OPTION_REAL(RlhfOptions, reward_learning_rate, "1e-3", 0, 1e3,
                   "learning rate of the reward's networks (AdamW)", .later = true),
    RG_SAMPLER_STEPS(RlhfOptions, "1"),
    RG_OPTION_END,
};

typedef struct State {
    int64_t responses;
    double *reward; /* r̂ [contexts, responses] */
} State;

/* ---- the reward ---- */

/* One context's fit: share [n, n] of pairs in which the first was preferred to the second, of the
 * context's; and the work of a Newton step. */
typedef struct Fit {
    int64_t n;
    const double *share;
    double total, decay;
    double *reward, *tried; /* [n] */
    double *gradient;       /* [n], then the step */
    double *curvature;      /* [n, n] */
} Fit;

static double log_sigmoid(double x) {
    return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
}

/* The penalised negative log-likelihood. */
static double objective(const Fit *f, const double *reward) {
    double sum = 0;
    for (int64_t a = 0; a < f->n; a++) {
        sum += 0.5 * f->decay * reward[a] * reward[a];
        for (int64_t b = 0; b < f->n; b++)
            if (f->share[a * f->n + b] > 0)
                sum -= f->share[a * f->n + b] / f->total * log_sigmoid(reward[a] - reward[b]);
    }
    return sum;
}

/* Its gradient, and its Hessian. */
static void differentiate(Fit *f) {
    int64_t n = f->n;
    memset(f->curvature, 0, (size_t)(n * n) * sizeof *f->curvature);
    for (int64_t a = 0; a < n; a++) {
        f->gradient[a] = f->decay * f->reward[a];
        f->curvature[a * n + a] = f->decay;
    }
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = 0; b < n; b++) {
            double share = f->share[a * n + b] / f->total;
            double against = 1 / (1 + exp(f->reward[a] - f->reward[b]));
            double bend = share * against * (1 - against);
            f->gradient[a] -= share * against;
            f->gradient[b] += share * against;
            f->curvature[a * n + a] += bend;
            f->curvature[b * n + b] += bend;
            f->curvature[a * n + b] -= bend;
            f->curvature[b * n + a] -= bend;
        }
}

/* A Newton step, halved until it does not raise the objective. Returns its largest change of a
 * reward; 0: there is no such step. */
static double newton_step(Fit *f) {
    enum { MOST_HALVED = 34 };
    double now = objective(f, f->reward), largest = 0;
    differentiate(f); /* the penalty keeps the curvature positive definite */
    rg_solve_general(f->n, 1, false, f->curvature, f->gradient, f->gradient);
    for (int halved = 0; halved < MOST_HALVED; halved++) {
        for (int64_t a = 0; a < f->n; a++)
            f->tried[a] = f->reward[a] - ldexp(f->gradient[a], -halved);
        if (objective(f, f->tried) > now)
            continue;
        for (int64_t a = 0; a < f->n; a++)
            largest = fmax(largest, fabs(f->tried[a] - f->reward[a]));
        memcpy(f->reward, f->tried, (size_t)f->n * sizeof *f->tried);
        return largest;
    }
    return 0;
}

/* The reward of one context, 0 where the data set has no pair of it. Returns its operations. */
static double fit_context(Fit *f) {
    enum { MOST_STEPS = 100 };
    const double converged = 1e-12;
    double n = (double)f->n, change = INFINITY;
    int steps = 0;
    for (int64_t i = 0; i < f->n * f->n; i++)
        f->total += f->share[i];
    while (f->total > 0 && steps < MOST_STEPS && change > converged) {
        change = newton_step(f);
        steps++;
    }
    return steps * (n * n * n / 3 + 20 * n * n);
}

static void fit_reward(RgTrainer *trainer, const double *shares, double decay, State *state) {
    int64_t n = state->responses, contexts = rg_policy_contexts(trainer->policy);
    Fit fit = {.n = n,
               .decay = decay,
               .tried = rg_allocate(n, sizeof(double)),
               .gradient = rg_allocate(n, sizeof(double)),
               .curvature = rg_allocate(n * n, sizeof(double))};
    double flops = 0;
    for (int64_t c = 0; c < contexts; c++) {
        fit.share = shares + c * n * n;
        fit.reward = state->reward + c * n;
        fit.total = 0;
        flops += fit_context(&fit);
    }
    rg_tape_count_flops(trainer->tape, flops);
    free(fit.tried);
    free(fit.gradient);
    free(fit.curvature);
}

static RgStatus rlhf_check(const void *options, const RgTask *task, const RgPolicy *policy,
                           RgError *error) {
    const RlhfOptions *o = options;
    if (!policy->type->logits)
        return rg_fail(
            error, RG_E_USAGE,
            "rlhf fits a reward to every response, and those of a %s policy cannot be "
            "enumerated: expected a tabular, log-linear or mlp policy, or ppo or rloo with "
            "a judge \"reward_model\"",
            policy->type->about.name);
    double n = (double)rg_policy_responses(policy);
    if (o->reward == REWARD_TABLE &&
        (double)rg_policy_contexts(policy) * n * n > RG_MOST_ENUMERATED_PAIRS)
        return rg_fail(error, RG_E_USAGE,
                       "rlhf: there are more than %d pairs of responses, expected fewer",
                       RG_MOST_ENUMERATED_PAIRS);
    if (!rg_task_has_pairs(task))
        return rg_fail(error, RG_E_USAGE,
                       "rlhf needs preference pairs, and the environment has none");
    return RG_OK;
}

static RgStatus rlhf_create(RgTrainer *trainer, const void *options, void **state, RgError *error) {
    (void)error;
    const RlhfOptions *o = options;
    State *s = rg_allocate(1, sizeof *s);
    s->responses = rg_policy_responses(trainer->policy);
    s->reward = rg_allocate(rg_policy_contexts(trainer->policy) * s->responses, sizeof *s->reward);
    if (o->reward == REWARD_TABLE)
        fit_reward(trainer, rg_pair_shares(trainer), o->reward_decay, s);
    else
        rg_reward_network_fit(trainer,
                              &(RgRewardNetworkOptions){.hidden = o->reward_hidden,
                                                        .joint = o->reward == REWARD_JOINT,
                                                        .epochs = o->reward_epochs,
                                                        .learning_rate = o->reward_learning_rate},
                              s->reward);
    *state = s;
    return RG_OK;
}

static void rlhf_destroy(void *state) {
    free(((State *)state)->reward);
    free(state);
}

/* ---- the policy ---- */

/* r̂ of the batch's responses, [prompts, k]. */
static RgTensor *fitted_reward(const RgStep *step, const RgBatch *batch) {
    const State *s = step->state;
    RgTensor *reward = rg_filled(step->tape, RG_SHAPE(batch->prompts, batch->k), 0);
    for (int64_t i = 0; i < reward->count; i++)
        reward->data[i] =
            (RgReal)s->reward[*rg_sequence_prompt(batch->sequences, i) * s->responses +
                              *rg_sequence_response(batch->sequences, i)];
    return reward;
}

static RgTensor *rlhf_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const RlhfOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *penalty = rg_scale(t, rg_stop_gradient(t, batch->log_ratio), (RgReal)o->beta);
    RgTensor *gain = rg_sub(t, fitted_reward(step, batch), penalty);
    /* R_i − R_j of two responses is twice R_i minus their mean */
    RgTensor *advantage = rg_scale(t, rg_sub(t, gain, rg_mean_last(t, gain)), 2);
    return rg_negate(t, rg_batch_mean(step, batch, rg_mul(t, advantage, batch->logprob)));
}

static void rlhf_recipe(const void *options, RgRecipe *recipe) {
    const RlhfOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->beta = o->beta;
    recipe->group = 2;
    recipe->sampler_steps = o->sampler_steps;
}

const RgAlgorithm rg_algorithm_rlhf = {
    .about = {.name = "rlhf",
              .summary = "Two stages: a Bradley-Terry reward fitted to the pairs, then the policy",
              .reference = "Ouyang et al. 2022, arXiv:2203.02155; arXiv:2305.18290, eqs. 2 and 3",
              .options = rlhf_options,
              .options_size = sizeof(RlhfOptions)},
    .recipe = rlhf_recipe,
    .loss = rlhf_loss,
    .check = rlhf_check,
    .create = rlhf_create,
    .destroy = rlhf_destroy,
};
