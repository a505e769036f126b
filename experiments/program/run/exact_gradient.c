/* SPDX-License-Identifier: MIT */
/* Exact gradients by enumeration: the bandit's on the tape, a language's by one backward pass over
 * all sentences with their coefficients. */
#include "experiments/program/run/exact_gradient.h"

#include "envs/bandit/bandit.h"
#include "envs/bandit/bandit_exact.h"

#include <math.h>
#include <stdlib.h>

bool rg_exact_gradient_known(const RgEnvironment *environment) {
    return environment->type == &rg_environment_bandit ||
           environment->type == &rg_environment_language;
}

RgExactSources rg_exact_sources(const RgRecipe *recipe) {
    RgExactSources sources = {.responses = recipe->responses == RG_FROM_POLICY
                                               ? RG_EXACT_POLICY_RESPONSES
                                               : RG_EXACT_DATASET_RESPONSES};
    sources.labels = recipe->preferences == RG_FROM_POLICY  ? RG_EXACT_POLICY_LABELS
                     : recipe->preferences == RG_FROM_JUDGE ? RG_EXACT_JUDGE_LABELS
                                                            : RG_EXACT_DATASET_LABELS;
    return sources;
}

/* ---- the bandit ---- */

/* The bandit's numbers in the form of the exact objectives. Released by problem_free. */
typedef struct Problem {
    RgExactProblem exact;
    double *reference, *shares;
} Problem;

/* log π [contexts, responses] of an enumerated policy. */
static double *log_policy(RgPolicy *policy, RgTape *t) {
    RgTensor *y = rg_log_softmax(t, policy->type->logits(policy, t, policy->parameters));
    double *out = rg_allocate(y->count, sizeof *out);
    for (int64_t i = 0; i < y->count; i++)
        out[i] = y->data[i];
    rg_tape_reset(t);
    return out;
}

static Problem problem_of(const RgTrialSetup *setup, double beta, RgTape *t) {
    const RgEnvironment *e = setup->environment;
    RgRewardTable rewards = rg_bandit_rewards(e);
    int64_t cells = rewards.contexts * rewards.responses;
    Problem problem = {.reference = log_policy(setup->reference, t),
                       .shares = rg_allocate(cells * rewards.responses, sizeof(double))};
    rg_bandit_pair_shares(e, problem.shares);
    problem.exact = (RgExactProblem){.contexts = rewards.contexts,
                                     .responses = rewards.responses,
                                     .reference = problem.reference,
                                     .reward = rewards.reward,
                                     .pair_shares = problem.shares,
                                     .beta = beta,
                                     .label_temperature = e->task.label_temperature,
                                     .label_noise = e->task.label_noise};
    return problem;
}

static void problem_free(Problem *problem) {
    free(problem->reference);
    free(problem->shares);
}

/* The gradient of a scalar that is on the tape, which is reset. */
static void take_gradient(RgTape *t, RgTensor *scalar, RgParameters *p, double *gradient) {
    rg_parameters_zero_gradient(p);
    rg_backward(t, scalar, 1);
    for (int64_t i = 0; i < p->count; i++)
        gradient[i] = p->gradient[i];
    rg_parameters_zero_gradient(p);
    rg_tape_reset(t);
}

/* With one distribution stopped, J's gradient is that through F and the other distribution. */
static void bandit_gradients(const RgTrialSetup *setup, RgPolicy *policy, RgExactSources sources,
                             double beta, double *const term[RG_SAIL_TERMS]) {
    RgTape *t = rg_tape_create();
    Problem problem = problem_of(setup, beta, t);
    for (int k = 0; k < RG_SAIL_TERMS; k++) {
        RgExactSources part = sources;
        part.stop_responses = k != RG_SAIL_TERM_RESPONSES;
        part.stop_labels = k != RG_SAIL_TERM_LABELS;
        RgTensor *logits = policy->type->logits(policy, t, policy->parameters);
        take_gradient(t, rg_exact_sail(t, logits, &problem.exact, part), policy->parameters,
                      term[k]);
    }
    for (int64_t i = 0; i < policy->parameters->count; i++) {
        term[RG_SAIL_TERM_RESPONSES][i] -= term[RG_SAIL_TERM_FIT][i];
        term[RG_SAIL_TERM_LABELS][i] -= term[RG_SAIL_TERM_FIT][i];
    }
    problem_free(&problem);
    rg_tape_destroy(t);
}

static void bandit_value_gradient(const RgTrialSetup *setup, RgPolicy *policy, double beta,
                                  double *gradient) {
    RgTape *t = rg_tape_create();
    Problem problem = problem_of(setup, beta, t);
    RgTensor *logits = policy->type->logits(policy, t, policy->parameters);
    RgTensor *reward = rg_constant_from_double(t, logits->shape, problem.exact.reward);
    take_gradient(t, rg_exact_value(t, reward, logits, &problem.exact), policy->parameters,
                  gradient);
    problem_free(&problem);
    rg_tape_destroy(t);
}

/* ---- a language ---- */

/* log π of all sentences under policy and reference. */
typedef struct Tables {
    int64_t count;
    double *own, *reference;
} Tables;

static Tables tables_of(const RgTrialSetup *setup, RgPolicy *policy) {
    const RgEnvironment *e = setup->environment;
    int64_t count = rg_language_view(e).sentences->count;
    Tables tables = {count, rg_allocate(count, sizeof(double)), rg_allocate(count, sizeof(double))};
    rg_language_table(e, policy, tables.own);
    rg_language_table(e, setup->reference, tables.reference);
    return tables;
}

static void tables_free(Tables *tables) {
    free(tables->own);
    free(tables->reference);
}

static void language_gradients(const RgTrialSetup *setup, RgPolicy *policy, RgExactSources sources,
                               double beta, double *const term[RG_SAIL_TERMS]) {
    Tables tables = tables_of(setup, policy);
    double *coefficient[RG_SAIL_TERMS];
    for (int k = 0; k < RG_SAIL_TERMS; k++)
        coefficient[k] = rg_allocate(tables.count, sizeof *coefficient[k]);
    rg_language_sail_terms(setup->environment, tables.own, tables.reference, sources.responses,
                           sources.labels, beta, coefficient);
    for (int k = 0; k < RG_SAIL_TERMS; k++) {
        rg_language_gradient(setup->environment, policy, coefficient[k], term[k]);
        free(coefficient[k]);
    }
    tables_free(&tables);
}

/* c_a = π_a·(r_a − β h_a − mean): the derivative −β of the penalty's own log π has mean 0. */
static void language_value_gradient(const RgTrialSetup *setup, RgPolicy *policy, double beta,
                                    double *gradient) {
    Tables tables = tables_of(setup, policy);
    const double *reward = rg_language_view(setup->environment).reward;
    double mean = 0;
    for (int64_t a = 0; a < tables.count; a++) {
        double probability = exp(tables.own[a]);
        double net = reward[a] - beta * (tables.own[a] - tables.reference[a]);
        tables.own[a] = probability; /* now the table of π, and of net rewards beside it */
        tables.reference[a] = net;
        mean += probability > 0 ? probability * net : 0;
    }
    for (int64_t a = 0; a < tables.count; a++)
        tables.own[a] *= tables.own[a] > 0 ? tables.reference[a] - mean : 0;
    rg_language_gradient(setup->environment, policy, tables.own, gradient);
    tables_free(&tables);
}

/* ---- either ---- */

void rg_exact_sail_gradients(const RgTrialSetup *setup, RgPolicy *policy, RgExactSources sources,
                             double beta, double *const term[RG_SAIL_TERMS]) {
    bool bandit = setup->environment->type == &rg_environment_bandit;
    (bandit ? bandit_gradients : language_gradients)(setup, policy, sources, beta, term);
}

void rg_exact_value_gradient(const RgTrialSetup *setup, RgPolicy *policy, double beta,
                             double *gradient) {
    bool bandit = setup->environment->type == &rg_environment_bandit;
    (bandit ? bandit_value_gradient : language_value_gradient)(setup, policy, beta, gradient);
}
