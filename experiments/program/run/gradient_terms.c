/* SPDX-License-Identifier: MIT */
/* Measuring the gradient of a loss by its terms: batches of a second trainer at the same policy,
 * their sums, and the exact gradients beside them. */
#include "experiments/program/run/gradient_terms.h"

#include "algorithms/training/shared_terms.h"
#include "experiments/program/run/exact_gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = RG_LOSS_TERMS + 1, TOTAL = RG_LOSS_TERMS };

/* Gradients of the terms and, last, of the whole. */
typedef struct Measured {
    int64_t parameters, samples;
    int terms;
    double *gradient[MOST];             /* of one batch */
    double *sum[MOST], squares[MOST];   /* Σ g and Σ |g|² over the batches */
    double *exact[MOST];                /* NULL: unknown */
    double cosine[MOST], aligned[MOST]; /* summed over the batches: with exact, with exact TOTAL */
} Measured;

static double dot(const double *a, const double *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Whether it is 0 up to the rounding of its coordinates. */
static bool is_zero(const double *a, int64_t count) {
    const double rounding = 1e-7;
    return dot(a, a, count) <= rounding * rounding * (double)count;
}

/* 0 for a batch without a gradient, which leads nowhere; not a number where `exact` is 0. */
static double cosine(const double *a, const double *exact, int64_t count) {
    if (is_zero(exact, count))
        return NAN;
    return is_zero(a, count)
               ? 0
               : dot(a, exact, count) / sqrt(dot(a, a, count) * dot(exact, exact, count));
}

static Measured measured_create(int64_t parameters, int terms) {
    Measured m = {.parameters = parameters, .terms = terms};
    for (int k = 0; k < MOST; k++)
        if (k < terms || k == TOTAL) {
            m.gradient[k] = rg_allocate(parameters, sizeof(double));
            m.sum[k] = rg_allocate(parameters, sizeof(double));
        }
    return m;
}

static void measured_free(Measured *m) {
    for (int k = 0; k < MOST; k++) {
        free(m->gradient[k]);
        free(m->sum[k]);
        free(m->exact[k]);
    }
}

/* ---- exact ---- */

/* The value of an option of the method, or NULL if it has none of this name. */
static const void *option_value(const RgTrialSpec *plan, const char *name) {
    const RgOption *option = rg_options_find(plan->algorithm->about.options, name);
    return option ? (const char *)plan->algorithm_options + option->offset : NULL;
}

/* The coefficient of SAIL's score terms. */
static double exploration(const RgTrialSpec *plan) {
    const double *value = option_value(plan, "exploration");
    return value ? *value : 0;
}

/* Whether the margin is DPO's, of log-ratios to the reference of the start, on pairs of independent
 * responses. */
static bool has_usual_margin(const RgTrialSpec *plan) {
    const RgRecipe *r = &plan->recipe;
    return !r->other_margin && !rg_shared_terms_shape(r) && r->candidates <= 2 &&
           r->shared.reference_steps == 0;
}

/* The exact gradients of the loss's terms: (1 − m)·DPO's on the offline pairs and m times those of
 * the method's own pairs, m the mixture; the score terms with their coefficient. */
static void know_exact(Measured *m, const RgTrialSetup *setup, const RgTrialSpec *plan,
                       RgPolicy *policy) {
    const RgRecipe *r = &plan->recipe;
    double *own[RG_SAIL_TERMS], *offline[RG_SAIL_TERMS], c = exploration(plan);
    RgExactSources pairs = {.responses = RG_EXACT_DATASET_RESPONSES,
                            .labels = RG_EXACT_DATASET_LABELS};
    for (int k = 0; k < RG_SAIL_TERMS; k++) {
        own[k] = rg_allocate(m->parameters, sizeof(double));
        offline[k] = rg_allocate(m->parameters, sizeof(double));
    }
    rg_exact_sail_gradients(setup, policy, rg_exact_sources(r), r->beta, own);
    rg_exact_sail_gradients(setup, policy, pairs, r->beta, offline);
    m->exact[TOTAL] = rg_allocate(m->parameters, sizeof(double));
    for (int k = 0; k < m->terms; k++) {
        const char *name = plan->algorithm->terms[k];
        bool dpo = strcmp(name, "dpo") == 0;
        const double *term = dpo                              ? own[RG_SAIL_TERM_FIT]
                             : strcmp(name, "responses") == 0 ? own[RG_SAIL_TERM_RESPONSES]
                                                              : own[RG_SAIL_TERM_LABELS];
        m->exact[k] = rg_allocate(m->parameters, sizeof(double));
        for (int64_t i = 0; i < m->parameters; i++) {
            m->exact[k][i] =
                dpo ? -(r->on_policy * term[i] + (1 - r->on_policy) * offline[RG_SAIL_TERM_FIT][i])
                    : -r->on_policy * c * term[i];
            m->exact[TOTAL][i] += m->exact[k][i];
        }
    }
    for (int k = 0; k < RG_SAIL_TERMS; k++) {
        free(own[k]);
        free(offline[k]);
    }
}

/* Whether every term of the loss is one whose exact gradient is known here. */
static bool is_known(const RgTrialSetup *setup, const RgTrialSpec *plan) {
    static const char *const known[] = {"dpo", "responses", "labels"};
    const char *const *terms = plan->algorithm->terms;
    bool all = terms && rg_exact_gradient_known(setup->environment) && has_usual_margin(plan);
    for (int k = 0; all && terms[k]; k++) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(terms[k], known[i]) == 0;
        all = found;
    }
    return all;
}

/* ---- batches ---- */

/* A trainer of the same method at a copy of the policy, with the followers that the trial's has. */
static RgStatus create_trainer(const RgTrialSetup *setup, const RgTrialSpec *plan,
                               const RgTrainer *trainer, RgPolicy *policy, RgTrainer **new,
                               RgError *error) {
    const RgEvaluationOptions *e = &plan->evaluation;
    RgTrainingOptions training = plan->training;
    RgRandom random = rg_random_named(rg_random_root((uint64_t)plan->seed), "gradients");
    if (e->gradient_batch > 0)
        training.batch = e->gradient_batch;
    if (e->gradient_temperature > 0)
        training.temperature = e->gradient_temperature;
    RG_TRY(rg_trainer_create(plan->algorithm, plan->algorithm_options, &training, policy,
                             setup->reference, &setup->environment->task, &plan->optimizer, 0,
                             rg_random_at(random, (uint64_t)trainer->step), new, error));
    if (trainer->moving_reference)
        rg_parameters_copy(trainer->moving_reference->parameters,
                           (*new)->moving_reference->parameters);
    if (trainer->moving_sampler)
        rg_parameters_copy(trainer->moving_sampler->parameters, (*new)->moving_sampler->parameters);
    return RG_OK;
}

static void add_batch(Measured *m) {
    memset(m->gradient[TOTAL], 0, (size_t)m->parameters * sizeof(double));
    for (int k = 0; k < m->terms; k++)
        for (int64_t i = 0; i < m->parameters; i++)
            m->gradient[TOTAL][i] += m->gradient[k][i];
    for (int k = 0; k < MOST; k++) {
        if (!m->gradient[k])
            continue;
        const double *g = m->gradient[k];
        m->squares[k] += dot(g, g, m->parameters);
        for (int64_t i = 0; i < m->parameters; i++)
            m->sum[k][i] += g[i];
        if (!m->exact[k])
            continue;
        m->cosine[k] += cosine(g, m->exact[k], m->parameters);
        m->aligned[k] += cosine(g, m->exact[TOTAL], m->parameters);
    }
    m->samples++;
}

static RgStatus draw_batches(Measured *m, const RgTrialSetup *setup, const RgTrialSpec *plan,
                             const RgTrainer *trainer, RgPolicy *policy, RgError *error) {
    RgTrainer *own = NULL;
    RgStatus status = create_trainer(setup, plan, trainer, policy, &own, error);
    for (int64_t i = 0; i < plan->evaluation.gradients && status == RG_OK; i++) {
        status = rg_trainer_term_gradients(own, i, m->gradient, error);
        if (status == RG_OK)
            add_batch(m);
    }
    rg_trainer_destroy(own);
    RgEnvironmentCount counts[RG_ENVIRONMENT_COUNTS]; /* of these batches: no step's */
    rg_environment_take_counts(setup->environment, counts);
    return status;
}

/* ---- metrics ---- */

static void report(RgEvaluation *evaluation, const char *what, const char *term, double value) {
    char name[96];
    snprintf(name, sizeof name, "gradient_%s_%s", what, term);
    if (isfinite(value))
        rg_evaluation_metric(evaluation, name, value);
}

/* Of |E g|², E|g − E g|² and |E g − exact|² the estimates without bias: |mean|² is too large by the
 * variance of the mean. */
static void report_term(const Measured *m, int k, const char *term, const double *value,
                        RgEvaluation *evaluation) {
    double n = (double)m->samples, square = dot(m->sum[k], m->sum[k], m->parameters) / (n * n);
    double variance = fmax(0, (m->squares[k] / n - square) * n / (n - 1)), distance = 0;
    double norm = sqrt(fmax(0, square - variance / n));
    if (m->exact[k])
        norm = sqrt(dot(m->exact[k], m->exact[k], m->parameters));
    report(evaluation, "norm", term, norm);
    report(evaluation, "deviation", term, sqrt(variance));
    if (!m->exact[k])
        return;
    for (int64_t i = 0; i < m->parameters; i++)
        distance += pow(m->sum[k][i] / n - m->exact[k][i], 2);
    report(evaluation, "bias", term, sqrt(fmax(0, distance - variance / n)));
    report(evaluation, "cosine", term, m->cosine[k] / n);
    report(evaluation, "total_cosine", term, m->aligned[k] / n);
    if (!is_zero(m->exact[k], m->parameters))
        report(evaluation, "value_cosine", term, -cosine(m->exact[k], value, m->parameters));
}

static void report_all(const Measured *m, const RgTrialSpec *plan, const double *value,
                       RgEvaluation *evaluation) {
    const char *const *terms = plan->algorithm->terms;
    for (int k = 0; terms && k < m->terms; k++)
        report_term(m, k, terms[k], value, evaluation);
    if (m->terms > 1 || !terms)
        report_term(m, TOTAL, "total", value, evaluation);
}

RgStatus rg_gradient_terms(const RgTrialSetup *setup, const RgTrialSpec *plan,
                           const RgTrainer *trainer, RgEvaluation *evaluation, RgError *error) {
    if (!plan->algorithm->loss || plan->algorithm->create)
        return RG_OK;
    RgPolicy *policy = rg_policy_clone(trainer->policy, false);
    Measured m = measured_create(policy->parameters->count, rg_loss_terms(plan->algorithm));
    double *value = NULL;
    if (is_known(setup, plan)) {
        know_exact(&m, setup, plan, policy);
        value = rg_allocate(m.parameters, sizeof *value);
        rg_exact_value_gradient(setup, policy, plan->recipe.beta, value);
    }
    RgStatus status = draw_batches(&m, setup, plan, trainer, policy, error);
    if (status == RG_OK)
        report_all(&m, plan, value, evaluation);
    free(value);
    measured_free(&m);
    rg_policy_destroy(policy);
    return status;
}
