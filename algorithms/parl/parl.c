/* SPDX-License-Identifier: MIT */
/* PARL: bilevel alignment with a hypergradient (Chakraborty et al. 2024, arXiv:2308.02585).
 *
 *     upper:  min_ν  G(ν, θ*(ν))
 *             preferences: G = −E_{y0,y1 ~ π_θ*, labels}[ log σ(r_ν(y_w) − r_ν(y_l)) ]
 *             utility:     G = −E_{y ~ π_θ*}[ U(y) ]
 *     lower:  θ*(ν) = argmax_θ V(ν, θ) = E_{y ~ π_θ}[ r_ν(y) ] − β·KL(π_θ ‖ π_ref)
 *
 *     dG/dν = ∂_ν G + ∇²_{νθ}V · (−∇²_{θθ}V)⁻¹ · ∂_θ G        (implicit function theorem)
 *
 * This file has the rounds: the lower level, the hypergradient, the upper step, and the reaction to
 * failures. The levels are in parl_enumerated.c, parl_mdp.c, parl_bilevel.c, parl_sampled.c and
 * parl_visits.c, the estimators of the second term in estimator_*.c, the reward in reward.c. See
 * doc/bilevel.md. */
#include "algorithms/parl/parl_levels.h"
#include "core/tensor/vector_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const expectations[] = {"exact", "sampled", NULL};
static const char *const advantages[] = {"episode", "visits", "halves", NULL};
static const char *const contexts[] = {"all", "one", NULL};
static const char *const uppers[] = {"preferences", "utility", "none", NULL};
static const char *const lowers[] = {"steps", "solved", NULL};
static const char *const regularizers[] = {"kl", "entropy", NULL};
static const char *const failures[] = {"stop", "damp", "skip", NULL};
static const RgOptionFamily estimators = {.kind = RG_ESTIMATOR, .beside = true};
static const char *const reward_optimizers[] = {"adamw", "sgd", NULL};

static const RgOption parl_options[] = {
    RG_OPTION_REAL(RgParlOptions, beta, "0.1", 1e-6, 1e3,
                   "strength β of the lower level's regulariser"),
    RG_OPTION_CHOICE(RgParlOptions, regularizer, "kl", regularizers,
                     "regulariser of the lower level: kl to the reference, or entropy"),
    RG_OPTION_CHOICE(RgParlOptions, expectation, "sampled", expectations,
                     "how V and G are computed: exact enumerates all responses, or solves the "
                     "known process; sampled samples responses from the policy"),
    RG_OPTION_CHOICE(
        RgParlOptions, advantage, "episode", advantages,
        "how sampled episodes in a known MDP give the gradient by the closed form: episode, from "
        "returns of whole episodes with a baseline; visits, as in HPGD, from advantages that are "
        "means over visits of a state and action, both factors from the same episodes; halves, "
        "each factor from the other half of them",
        .later = true),
    RG_OPTION_CHOICE(RgParlOptions, contexts, "all", contexts,
                     "with advantage = \"visits\" or \"halves\", the prompts of a round: all, as "
                     "many as the batch; one, as in HPGD, drawn for all its episodes",
                     .later = true),
    RG_OPTION_CHOICE(
        RgParlOptions, upper, "preferences", uppers,
        "what the upper level minimises: preferences, the negative log-likelihood of the judge's "
        "preferences between the policy's responses; utility, their negative utility (the judge's "
        "reward, or the environment's own objective); none keeps the reward of pretrain"),
    RG_OPTION_CHOICE(RgParlOptions, lower, "steps", lowers,
                     "how the lower level is solved in a round: by policy gradient steps, or "
                     "exactly (solved; tabular policies only)"),
    RG_OPTION_INTEGER(RgParlOptions, inner_steps, "1", 1, 1e6,
                      "K, steps of the lower level per round (a round is one step of the trial)"),
    RG_OPTION_REAL(RgParlOptions, lower_tolerance, "0", 0, 1e9,
                   "the lower level counts as not converged when the gradient norm of its last "
                   "step is above this; 0: not checked"),
    RG_OPTION_PART(RgParlOptions, estimator, "cg", &estimators,
                   "estimator of the hypergradient's implicit term; see: regatta list estimators"),
    RG_OPTION_REAL(RgParlOptions, damping, "0.001", 0, 1e6,
                   "damping: added to the diagonal of the Hessian"),
    RG_OPTION_INTEGER(RgParlOptions, iterations, "10", 1, 1e6,
                      "iteration limit of cg and finite-difference, terms of neumann, steps of "
                      "unrolled and penalty"),
    RG_OPTION_REAL(RgParlOptions, tolerance, "1e-6", 0, 1,
                   "relative residual at which cg, finite-difference and penalty stop"),
    RG_OPTION_REAL(
        RgParlOptions, residual_limit, "0.1", 0, 1e9,
        "the solution of exact, cg, finite-difference or penalty counts as not converged when its "
        "relative residual is above this, see on_failure; 0: not checked"),
    RG_OPTION_REAL(RgParlOptions, inverse_step, "0", 0, 1e9,
                   "η of neumann and unrolled, and the scalar of identity; 0: from the estimated "
                   "largest eigenvalue, and 1 for identity"),
    RG_OPTION_REAL(RgParlOptions, penalty, "100", 1e-6, 1e12,
                   "λ of the value-function penalty: its error is of order 1/λ"),
    RG_OPTION_REAL(
        RgParlOptions, difference, "0", 0, 1,
        "step of finite-difference relative to the policy's norm; 0: from the precision"),
    RG_OPTION_CHOICE(RgParlOptions, on_failure, "damp", failures,
                     "what to do when the lower level or the linear solve has not converged, the "
                     "Hessian is not positive definite, a series diverges or a number is not "
                     "finite: stop ends the trial; damp retries with more steps or more damping, "
                     "then skips; skip keeps the reward unchanged in this round"),
    RG_OPTION_INTEGER(RgParlOptions, curvature_prompts, "32", 1, 65536,
                      "prompts, with two responses each, that a sampled Hessian is estimated from"),
    RG_OPTION_CHOICE(
        RgParlOptions, reward, "linear", rg_reward_names,
        "reward model on features of the frozen reference: linear, or mlp (one hidden layer)"),
    RG_OPTION_INTEGER(RgParlOptions, reward_hidden, "64", 1, 65536, "hidden units of the mlp"),
    RG_OPTION_REAL(RgParlOptions, reward_deviation, "0", 0, 1e3,
                   "standard deviation of the reward's initial weights"),
    RG_OPTION_CHOICE(RgParlOptions, reward_optimizer, "adamw", reward_optimizers,
                     "optimiser of the upper level"),
    RG_OPTION_REAL(RgParlOptions, reward_learning_rate, "0.05", 0, 1e3,
                   "learning rate of the upper level"),
    RG_OPTION_REAL(RgParlOptions, reward_clip, "0", 0, 1e9,
                   "the hypergradient is scaled down to this norm if it is larger; 0: never"),
    RG_OPTION_REAL(
        RgParlOptions, reward_decay, "0", 0, 1e3,
        "strength of the upper level's regulariser, half the squared norm of the reward's "
        "weights"),
    RG_OPTION_INTEGER(
        RgParlOptions, pretrain, "0", 0, 1e6,
        "steps in which the reward is fitted to the offline pairs before the first round"),
    RG_OPTION_END,
};

RgParameters *rg_parl_reward(void *state) {
    return ((RgParl *)state)->reward.parameters;
}

static const RgEstimator *estimator_of(const RgParl *parl) {
    return (const RgEstimator *)parl->options->estimator.type;
}

/* ---- the levels as a bilevel problem ---- */

RgTensor *rg_parl_log_reference(const RgParl *parl, RgTape *tape, RgTensor *log_reference) {
    if (parl->options->regularizer == RG_PARL_ENTROPY)
        return rg_filled(tape, log_reference->shape, 0);
    return rg_stop_gradient(tape, log_reference);
}

/* Derivatives of a scalar on the trainer's tape, which is then reset; into arrays or NULL. */
static void take_gradients(RgParl *parl, RgTensor *y, RgReal *by_lower, RgReal *by_upper) {
    RgParameters *lower = parl->trainer->policy->parameters, *upper = parl->reward.parameters;
    rg_parameters_zero_gradient(lower);
    rg_parameters_zero_gradient(upper);
    rg_backward(parl->trainer->tape, y, 1);
    if (by_lower)
        memcpy(by_lower, lower->gradient, (size_t)lower->count * sizeof(RgReal));
    if (by_upper)
        memcpy(by_upper, upper->gradient, (size_t)upper->count * sizeof(RgReal));
    rg_parameters_zero_gradient(lower);
    rg_parameters_zero_gradient(upper);
    rg_tape_reset(parl->trainer->tape);
}

void rg_parl_reward_gradient(RgParl *parl, RgTensor *y, RgReal *w) {
    take_gradients(parl, y, NULL, w);
}

static void value_gradients(void *context, RgReal *by_lower, RgReal *by_upper) {
    RgParl *parl = context;
    take_gradients(parl, parl->levels->value(parl, parl->trainer->tape), by_lower, by_upper);
}

static void objective_gradients(void *context, RgReal *by_lower, RgReal *by_upper) {
    RgParl *parl = context;
    RgTensor *y = parl->levels->objective(parl, parl->trainer->tape, &parl->upper);
    take_gradients(parl, y, by_lower, by_upper);
}

static void linearise(void *context) {
    RgParl *parl = context;
    rg_tape_reset(parl->second_order);
    parl->hessian =
        rg_hessian_create(parl->second_order, parl->levels->value(parl, parl->second_order),
                          parl->trainer->policy->parameters);
}

static void curvature(void *context, const RgReal *v, RgReal *hv) {
    const RgParl *parl = context;
    rg_hessian_product(parl->hessian, v, hv);
    for (int64_t i = 0; i < parl->trainer->policy->parameters->count; i++)
        hv[i] = -hv[i];
}

static void mixed(void *context, const RgReal *u, RgReal *w) {
    const RgParl *parl = context;
    rg_hessian_mixed_product(parl->hessian, u, parl->reward.parameters, w);
}

static void closed_form(void *context, const RgReal *upper_gradient, RgReal *w) {
    RgParl *parl = context;
    parl->levels->closed_form(parl, upper_gradient, w);
}

static RgBilevel problem_of(RgParl *parl) {
    return (RgBilevel){.lower = parl->trainer->policy->parameters,
                       .upper = parl->reward.parameters,
                       .value_gradients = value_gradients,
                       .objective_gradients = objective_gradients,
                       .linearise = linearise,
                       .curvature = curvature,
                       .mixed = mixed,
                       .closed_form = closed_form,
                       .context = parl};
}

RgBilevel rg_parl_problem(void *state, int64_t draw) {
    RgParl *parl = state;
    if (parl->levels->draw_upper) {
        RgStatus status = parl->levels->draw_upper(parl, draw, NULL);
        RG_ASSERT(status == RG_OK);
    }
    return problem_of(parl);
}

/* ---- the hypergradient ---- */

static bool all_finite(int64_t n, const RgReal *v) {
    return isfinite(rg_dot(n, v, v));
}

/* If the terms of ∂_θG cancel, as for a constant reward, the remainder is rounding error. */
static double rounding_of_gradient(const RgParl *parl) {
    const double units = 8;
    return units * RG_REAL_EPSILON * fabs(parl->upper);
}

RgEstimatorOptions rg_parl_estimator_options(const RgParlOptions *o, double damping) {
    return (RgEstimatorOptions){.damping = damping,
                                .iterations = o->iterations,
                                .tolerance = o->tolerance,
                                .residual_limit = o->residual_limit,
                                .step = o->inverse_step,
                                .penalty = o->penalty,
                                .difference = o->difference};
}

/* One estimate of the implicit term; its cost is added to the report. */
static void estimate(RgParl *parl, double damping, RgEstimateReport *report) {
    RgEstimateReport own;
    RgEstimatorOptions options = rg_parl_estimator_options(parl->options, damping);
    options.rounding = rounding_of_gradient(parl);
    RgBilevel problem = problem_of(parl);
    rg_estimator_apply(estimator_of(parl), &problem, &options, parl->upper_gradient, parl->implicit,
                       &own);
    parl->hessian = NULL;
    rg_tape_reset(parl->second_order);
    if (!all_finite(parl->reward.parameters->count, parl->implicit) ||
        !all_finite(parl->reward.parameters->count, parl->direct)) {
        own.failure = "the hypergradient is not finite";
        own.converged = false;
    }
    own.hessian_products += report->hessian_products;
    own.gradients += report->gradients;
    *report = own;
}

/* The implicit term with as much damping as needed: first the option's value, then ten times as
 * much each time, starting at a thousandth of the curvature. */
static void estimate_damped(RgParl *parl, RgEstimateReport *report) {
    const double least = 1e-3, growth = 10;
    parl->damping = parl->options->damping;
    for (int attempt = 0; attempt < RG_PARL_DAMP_ATTEMPTS; attempt++) {
        estimate(parl, parl->damping, report);
        if (!report->failure || parl->options->on_failure != RG_PARL_DAMP ||
            !estimator_of(parl)->takes_damping)
            return;
        parl->damping = fmax(growth * parl->damping, least * fmax(report->curvature, least));
    }
}

/* The second-order tape has its own counter; a step is charged its increase. In an MDP it counts
 * thirds of operations, so the last bits of their sum depend on the order, and the readings in
 * results stores have this order. */
static double flops_so_far(const RgParl *parl) {
    return parl->trainer->flops + rg_tape_flops(parl->second_order);
}

/* ∂_θG, ∂_νG and w, for the batches of index `draw`. */
static RgStatus hypergradient(RgParl *parl, int64_t draw, RgEstimateReport *report,
                              RgError *error) {
    *report = (RgEstimateReport){0};
    double flops = flops_so_far(parl);
    if (parl->levels->draw_upper)
        RG_TRY(parl->levels->draw_upper(parl, draw, error));
    objective_gradients(parl, parl->upper_gradient, parl->direct);
    double upper = parl->upper;
    estimate_damped(parl, report);
    parl->upper = upper; /* estimators evaluate it elsewhere, too */
    report->flops = flops_so_far(parl) - flops;
    parl->trainer->meter.hessian_products += report->hessian_products;
    return RG_OK;
}

RgStatus rg_parl_hypergradient(RgTrainer *trainer, const RgParlOptions *options, void *state,
                               int64_t draw, double *objective, double *out,
                               RgEstimateReport *report, RgError *error) {
    RgParl *parl = state;
    RG_ASSERT(parl->trainer == trainer && parl->options == options);
    rg_trainer_charge(trainer, true);
    RgStatus status = hypergradient(parl, draw, report, error);
    rg_trainer_charge(trainer, false);
    if (status != RG_OK)
        return status;
    for (int64_t i = 0; i < parl->reward.parameters->count; i++)
        out[i] = (double)parl->direct[i] + (double)parl->implicit[i];
    *objective = parl->upper;
    return RG_OK;
}

/* ---- the lower level ---- */

/* One ascent step of the policy on V(ν, ·). Returns the gradient's norm. */
static double lower_step(RgParl *parl, int64_t inner) {
    RgTrainer *trainer = parl->trainer;
    RgParameters *policy = trainer->policy->parameters;
    if (parl->levels->draw_lower)
        parl->levels->draw_lower(parl, trainer->step, inner);
    rg_parameters_zero_gradient(policy);
    rg_backward(trainer->tape, parl->levels->value(parl, trainer->tape), -1);
    rg_parameters_zero_gradient(parl->reward.parameters);
    rg_tape_reset(trainer->tape);
    return rg_trainer_step_policy(trainer);
}

bool rg_parl_solve_lower(void *state) {
    RgParl *parl = state;
    if (parl->trainer->task->bilevel)
        return rg_parl_solve_bilevel(parl);
    return parl->trainer->task->mdp ? rg_parl_solve_mdp(parl) : rg_parl_solve_enumerated(parl);
}

/* Solve the lower level. Returns NULL, or the failure; *norm out is the last gradient's norm. */
static const char *lower_level(RgParl *parl, double *norm) {
    const RgParlOptions *o = parl->options;
    bool again = o->on_failure == RG_PARL_DAMP && o->lower_tolerance > 0;
    int attempts = again ? RG_PARL_LOWER_ATTEMPTS : 1;
    *norm = 0;
    if (o->lower == RG_PARL_SOLVED)
        return rg_parl_solve_lower(parl) ? NULL : "the lower level has not converged";
    for (int attempt = 0; attempt < attempts; attempt++) {
        for (int64_t k = 0; k < o->inner_steps; k++) {
            *norm = lower_step(parl, k);
            if (!isfinite(*norm))
                return "the lower level's gradient is not finite";
        }
        if (o->lower_tolerance == 0 || *norm <= o->lower_tolerance)
            return NULL;
    }
    return "the lower level has not converged";
}

/* ---- rounds ---- */

/* Step the reward along the hypergradient. Returns its norm. */
static double upper_step(RgParl *parl) {
    RgParameters *reward = parl->reward.parameters;
    memcpy(reward->gradient, parl->direct, (size_t)reward->count * sizeof(RgReal));
    rg_axpy(reward->count, 1, parl->implicit, reward->gradient);
    if (parl->options->reward_decay > 0)
        rg_axpy(reward->count, (RgReal)parl->options->reward_decay, reward->value,
                reward->gradient);
    return rg_optimizer_step(parl->optimizer, reward);
}

static double norm_of(int64_t n, const RgReal *v) {
    return sqrt(rg_dot(n, v, v));
}

static void note_metrics(RgParl *parl, double lower_norm, double norm, bool skipped,
                         const RgEstimateReport *report) {
    RgTrainer *trainer = parl->trainer;
    int64_t n = parl->reward.parameters->count;
    rg_trainer_metric(trainer, "loss", parl->upper);
    if (parl->options->upper == RG_PARL_UTILITY)
        rg_trainer_metric(trainer, "utility", -parl->upper);
    if (!isnan(parl->best_utility))
        rg_trainer_metric(trainer, "optimality_gap", parl->best_utility + parl->upper);
    rg_trainer_metric(trainer, "gradient_norm", lower_norm);
    rg_trainer_metric(trainer, "hypergradient_norm", norm);
    rg_trainer_metric(trainer, "direct_norm", norm_of(n, parl->direct));
    rg_trainer_metric(trainer, "implicit_norm", norm_of(n, parl->implicit));
    rg_trainer_metric(trainer, "estimator/hessian_products", (double)report->hessian_products);
    rg_trainer_metric(trainer, "estimator/gradients", (double)report->gradients);
    rg_trainer_metric(trainer, "estimator/flops", report->flops);
    rg_trainer_metric(trainer, "estimator/residual", report->residual);
    rg_trainer_metric(trainer, "estimator/converged", report->converged ? 1 : 0);
    rg_trainer_metric(trainer, "estimator/damping", parl->damping);
    rg_trainer_metric(trainer, "estimator/failed", report->failure ? 1 : 0);
    rg_trainer_metric(trainer, "upper_skipped", skipped ? 1 : 0);
}

/* Handle a failure in this round, and log it. Returns whether the trial continues. */
static bool goes_on(RgParl *parl, const char *failure) {
    bool stops = parl->options->on_failure == RG_PARL_STOP;
    (stops ? rg_trainer_diverged : rg_trainer_notice)(parl->trainer, failure);
    return !stops;
}

/* The upper level's part of a round, after the lower level was solved for the reward. */
static RgStatus upper_level(RgParl *parl, const char *failure, double lower_norm, RgError *error) {
    RgTrainer *trainer = parl->trainer;
    RgEstimateReport report = {0};
    double norm = 0;
    if (!failure) {
        RG_TRY(hypergradient(parl, trainer->step, &report, error));
        failure = report.failure ? report.failure : rg_trainer_failure(trainer);
        if (failure && !goes_on(parl, failure))
            return RG_OK;
    }
    if (!failure)
        norm = upper_step(parl);
    note_metrics(parl, lower_norm, norm, failure != NULL, &report);
    return RG_OK;
}

static RgStatus parl_step(RgTrainer *trainer, const void *options, void *state, RgError *error) {
    (void)options;
    RgParl *parl = state;
    double second_order = rg_tape_flops(parl->second_order), lower_norm;
    const char *failure = lower_level(parl, &lower_norm);
    rg_trainer_metric(trainer, "lower_failed", failure ? 1 : 0);
    if (failure && !isfinite(lower_norm)) {
        rg_trainer_diverged(trainer, failure);
        return RG_OK;
    }
    failure = failure ? failure : rg_trainer_failure(trainer);
    if (failure && !goes_on(parl, failure))
        return RG_OK;

    RgStatus status = RG_OK;
    if (parl->options->upper == RG_PARL_FIXED)
        rg_trainer_metric(trainer, "gradient_norm", lower_norm);
    else
        status = upper_level(parl, failure, lower_norm, error);
    trainer->meter.flops += rg_tape_flops(parl->second_order) - second_order;
    return status;
}

/* ---- life ---- */

/* Fit ν to the offline pairs by logistic regression: a warm start of the upper level. */
static void pretrain_reward(RgParl *parl) {
    RgTrainer *trainer = parl->trainer;
    const RgPairs *pairs = trainer->task->pairs;
    RgTape *t = trainer->tape;
    int64_t n = trainer->training.batch;
    RgSequences *sequences = rg_sequences_create();
    for (int64_t step = 0; step < parl->options->pretrain; step++) {
        rg_sequences_clear(sequences);
        RgTensor *sign = rg_filled(t, RG_SHAPE(n, 1), 1);
        for (int64_t i = 0; i < n; i++) {
            int64_t pair = rg_trainer_read_pair(trainer, step * n + i);
            rg_sequences_append_from(sequences, pairs->sequences, 2 * pair, false);
            rg_sequences_append_from(sequences, pairs->sequences, 2 * pair + 1, false);
            sign->data[i] = pairs->preferred[pair] == 0 ? 1 : -1;
        }
        RgRewardInput input = rg_reward_input(&parl->reward, trainer->reference, sequences);
        RgTensor *reward = rg_reshape(t, rg_reward_of(t, &parl->reward, &input), RG_SHAPE(n, 2));
        RgTensor *margin = rg_sub(t, rg_slice(t, reward, 1, 0, 1), rg_slice(t, reward, 1, 1, 1));
        RgTensor *fit = rg_mean(t, rg_log_sigmoid(t, rg_mul(t, sign, margin)));
        rg_backward(t, fit, -1);
        rg_optimizer_step(parl->optimizer, parl->reward.parameters);
        rg_tape_reset(t);
        rg_reward_input_free(&input);
    }
    rg_sequences_destroy(sequences);
}

static void parl_destroy(void *state) {
    RgParl *parl = state;
    if (parl->levels && parl->levels->destroy)
        parl->levels->destroy(parl);
    rg_parl_enumeration_destroy(parl->enumeration);
    rg_reward_destroy(&parl->reward);
    rg_optimizer_destroy(parl->optimizer);
    rg_tape_destroy(parl->second_order);
    free(parl->upper_gradient);
    free(parl->direct);
    free(parl->implicit);
    free(parl);
}

static const RgParlLevels *levels_for(const RgParlOptions *o, const RgTask *task) {
    if (task->bilevel)
        return &rg_parl_bilevel;
    if (o->advantage != RG_PARL_EPISODE)
        return &rg_parl_visits;
    if (o->expectation == RG_PARL_SAMPLED)
        return &rg_parl_sampled;
    return task->mdp ? &rg_parl_mdp : &rg_parl_enumerated;
}

/* Whether the closed form of the optimum is taken, which sets the logits of a table. */
static bool is_solved(const RgParlOptions *o, const RgTask *task) {
    bool closed =
        ((const RgEstimator *)o->estimator.type)->by_closed_form && o->expectation == RG_PARL_EXACT;
    return !task->bilevel && (o->lower == RG_PARL_SOLVED || closed);
}

static RgStatus check_solution(const RgParlOptions *o, const RgTask *task, const RgPolicy *policy,
                               RgError *error) {
    if (!is_solved(o, task))
        return RG_OK; /* the levels have checked the policy */
    const char *option =
        o->lower == RG_PARL_SOLVED ? "lower = \"solved\"" : "estimator = \"boltzmann\"";
    if (task->mdp)
        return rg_parl_check_table(o, task, policy, option, error);
    RG_TRY(rg_parl_check_enumerable(task, policy, error));
    const RgParameters *p = policy->parameters;
    if (p->view_count != 1 || p->views[0].rank != 2)
        return rg_fail(error, RG_E_USAGE,
                       "parl: %s needs a policy that can represent any distribution (policy.type = "
                       "\"tabular\"), not a %s policy",
                       option, policy->type->about.name);
    return RG_OK;
}

static RgStatus parl_check(const void *options, const RgTask *task, const RgPolicy *policy,
                           RgError *error) {
    const RgParlOptions *o = options;
    if (o->pretrain > 0 && !rg_task_has_pairs(task))
        return rg_fail(error, RG_E_USAGE,
                       "parl: pretrain needs offline pairs, and the environment has none");
    if (o->pretrain > 0 && task->mdp && task->mdp->dynamics)
        return rg_fail(
            error, RG_E_USAGE,
            "parl: pretrain fits a reward to pairs, and here the upper level's parameters "
            "are those of transitions, too: expected pretrain = 0");
    if (o->advantage != RG_PARL_EPISODE && o->expectation != RG_PARL_SAMPLED)
        return rg_fail(error, RG_E_USAGE,
                       "parl: advantage is an option of expectation = \"sampled\", and expectation "
                       "is \"exact\"");
    if (o->contexts != RG_PARL_ALL && o->advantage == RG_PARL_EPISODE)
        return rg_fail(error, RG_E_USAGE,
                       "parl: contexts = \"one\" is an option of advantage = \"visits\" or "
                       "\"halves\", and advantage is \"episode\"");
    bool implicit = strcmp(o->estimator.type->name, "none") != 0;
    if (o->upper == RG_PARL_FIXED && (o->pretrain == 0 || implicit))
        return rg_fail(error, RG_E_USAGE,
                       "parl: upper = \"none\" keeps the reward of pretrain: expected pretrain of "
                       "at least 1 and estimator = \"none\"");
    RG_TRY(rg_reward_check(o->reward, task, error));
    RG_TRY(levels_for(o, task)->check(o, task, policy, error));
    return check_solution(o, task, policy, error);
}

static RgOptimizer *reward_optimizer(const RgParlOptions *o, int64_t count) {
    const RgOptimizerType *types[] = {&rg_optimizer_adamw, &rg_optimizer_sgd};
    RgOptimizerOptions options = rg_adamw_options(o->reward_learning_rate);
    options.type.type = &types[o->reward_optimizer]->about;
    options.clip = o->reward_clip;
    return rg_optimizer_create(&options, count, 0);
}

static RgStatus set_up(RgParl *parl, RgError *error) {
    RgTrainer *trainer = parl->trainer;
    const RgParlOptions *o = parl->options;
    rg_reward_create(o->reward, o->reward_hidden, o->reward_deviation, trainer->reference,
                     trainer->task, rg_random_named(trainer->random, "reward"), &parl->reward);
    parl->levels = levels_for(o, trainer->task);
    if (parl->levels->create)
        RG_TRY(parl->levels->create(parl, error));
    if (is_solved(o, trainer->task) && !trainer->task->mdp)
        RG_TRY(rg_parl_enumerate(parl, error));
    parl->best_utility = rg_parl_best_utility(parl);
    int64_t features = parl->reward.parameters->count;
    size_t bytes = (size_t)features * sizeof(RgReal);
    parl->optimizer = reward_optimizer(o, features);
    parl->second_order = rg_tape_create();
    rg_tape_second_order(parl->second_order, true);
    parl->upper_gradient = rg_allocate(trainer->policy->parameters->count, sizeof(RgReal));
    parl->direct = rg_allocate(1, bytes);
    parl->implicit = rg_allocate(1, bytes);
    pretrain_reward(parl);
    return RG_OK;
}

static RgStatus parl_create(RgTrainer *trainer, const void *options, void **state, RgError *error) {
    RgParl *parl = rg_allocate(1, sizeof *parl);
    parl->trainer = trainer;
    parl->options = options;
    RgStatus status = set_up(parl, error);
    if (status != RG_OK) {
        parl_destroy(parl);
        return status;
    }
    *state = parl;
    return RG_OK;
}

static void parl_checkpoint(void *state, RgCheckpoint *checkpoint) {
    RgParl *parl = state;
    rg_checkpoint_parameters(checkpoint, "reward", parl->reward.parameters);
    rg_checkpoint_optimizer(checkpoint, "reward optimizer", parl->optimizer);
}

static void parl_recipe(const void *options, RgRecipe *recipe) {
    const RgParlOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->rewards = o->upper == RG_PARL_UTILITY;
}

const RgAlgorithm rg_algorithm_parl = {
    .about = {.name = "parl",
              .summary =
                  "Bilevel alignment: optimises a reward through the policy that is optimal for it",
              .reference = "Chakraborty et al. 2024, arXiv:2308.02585",
              .options = parl_options,
              .options_size = sizeof(RgParlOptions)},
    .recipe = parl_recipe,
    .check = parl_check,
    .create = parl_create,
    .step = parl_step,
    .destroy = parl_destroy,
    .checkpoint = parl_checkpoint,
    .work = rg_parl_work,
};
