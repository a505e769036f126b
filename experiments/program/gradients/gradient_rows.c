/* SPDX-License-Identifier: MIT */
/* Measuring bias and variance of gradient estimators on the bandit and on a language. */
#include "experiments/program/gradients/gradient_rows.h"

#include "algorithms/parl/parl.h"
#include "algorithms/training/shared_terms.h"

#include "envs/bandit/bandit.h"
#include "envs/language/language.h"
#include "experiments/program/gradients/gradient_moments.h"
#include "experiments/program/gradients/hypergradient_rows.h"
#include "experiments/program/run/exact_gradient.h"
#include "experiments/program/run/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gradient of the loss −J in the policy's parameters: gradient [parameters]. */
static void exact_gradient(const RgTrialSetup *setup, RgPolicy *policy, const RgRecipe *recipe,
                           double *gradient) {
    double *term[RG_SAIL_TERMS];
    int64_t count = policy->parameters->count;
    for (int k = 0; k < RG_SAIL_TERMS; k++)
        term[k] = rg_allocate(count, sizeof *term[k]);
    rg_exact_sail_gradients(setup, policy, rg_exact_sources(recipe), recipe->beta, term);
    for (int64_t i = 0; i < count; i++)
        gradient[i] = -(term[RG_SAIL_TERM_RESPONSES][i] + term[RG_SAIL_TERM_LABELS][i] +
                        term[RG_SAIL_TERM_FIT][i]);
    for (int k = 0; k < RG_SAIL_TERMS; k++)
        free(term[k]);
}

/* ---- one row ---- */

typedef struct Bench {
    const RgTrialSetup *setup;
    const RgTrialSpec *plan;
    int64_t samples;
    RgPolicy *policy; /* at which the gradients are taken */
    RgRandom random;
    double *exact; /* [parameters], of the variants before, or NULL; with their sources and β */
    RgExactSources sources;
    double beta;
} Bench;

static bool is_language(const RgTrialSpec *plan) {
    return strcmp(plan->environment.type, rg_environment_language.about.name) == 0;
}

/* The variants of an algorithm differ in how they estimate one gradient, which is computed once. */
static void know_exact(Bench *b, const RgRecipe *recipe) {
    RgExactSources sources = rg_exact_sources(recipe);
    if (b->exact && sources.responses == b->sources.responses &&
        sources.labels == b->sources.labels && recipe->beta == b->beta)
        return;
    free(b->exact);
    b->exact = rg_allocate(b->policy->parameters->count, sizeof *b->exact);
    b->sources = sources;
    b->beta = recipe->beta;
    exact_gradient(b->setup, b->policy, recipe, b->exact);
}

static RgStatus make_trainer(const Bench *b, const void *options, RgTrainer **trainer,
                             RgError *error) {
    /* the objective is an expectation over the policy's own distribution */
    RgTrainingOptions training = b->plan->training;
    training.temperature = 1;
    training.top_k = 0;
    training.top_p = 1;
    return rg_trainer_create(b->plan->algorithm, options, &training, b->policy, b->setup->reference,
                             &b->setup->environment->task, &b->plan->optimizer, 0, b->random,
                             trainer, error);
}

static RgStatus measure_loss(Bench *b, const void *options, RgGradientRow *row, RgError *error) {
    RgTrainer *trainer;
    RG_TRY(make_trainer(b, options, &trainer, error));
    RgParameters *p = b->policy->parameters;
    double *sample = rg_allocate(p->count, sizeof *sample);
    know_exact(b, &trainer->recipe);

    RgMoments moments = rg_moments_create(p->count);
    RgStatus status = RG_OK;
    for (int64_t s = 0; s < b->samples && status == RG_OK; s++) {
        double loss;
        trainer->outcome = (RgOutcome){0};
        rg_parameters_zero_gradient(p);
        status = rg_trainer_gradient(trainer, s, &loss, error);
        for (int64_t i = 0; i < p->count; i++)
            sample[i] = p->gradient[i];
        rg_moments_add(&moments, sample);
    }
    rg_parameters_zero_gradient(p);
    rg_moments_compare(&moments, b->exact, row);
    rg_moments_free(&moments);
    free(sample);
    rg_trainer_destroy(trainer);
    return status;
}

/* ---- all rows ---- */

/* The algorithm's options with mixture and exploration at 1 and `variant` (an option's name, or
 * NULL) at `choice`. */
static RgStatus variant_options(const RgTrialSpec *plan, const char *variant, const char *choice,
                                RgSettings *settings, void *options, RgError *error) {
    static const char *const ones[] = {"mixture", "exploration"};
    const RgOption *table = plan->algorithm->about.options;
    rg_settings_copy_group(settings, "algorithm", plan->resolved, "algorithm");
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "algorithm.%s", ones[i]);
        if (rg_options_find(table, ones[i]))
            rg_settings_set(settings, path, RG_SETTING_REAL, "1", "check-gradients", 0);
    }
    if (variant) {
        char path[64];
        snprintf(path, sizeof path, "algorithm.%s", variant);
        rg_settings_set(settings, path, RG_SETTING_STRING, choice, "check-gradients", 0);
    }
    return rg_options_read(table, settings, "algorithm", options, error);
}

static RgStatus measure_variant(Bench *b, double deviation, const char *variant, const char *choice,
                                RgGradientRow *row, RgError *error) {
    const RgTrialSpec *plan = b->plan;
    RgSettings *settings = rg_settings_create();
    void *options = rg_allocate(1, plan->algorithm->about.options_size);
    RgStatus status = variant_options(plan, variant, choice, settings, options, error);
    b->policy = rg_policy_clone(rg_trial_setup_start(b->setup), false);
    *row = (RgGradientRow){
        .algorithm = plan->algorithm->about.name, .variant = choice ? choice : "", .sampled = true};
    if (status == RG_OK) {
        RgParameters *p = b->policy->parameters;
        for (int64_t i = 0; i < p->count; i++)
            p->value[i] += (RgReal)(deviation * rg_random_normal(b->random, (uint64_t)i));
        status = measure_loss(b, options, row, error);
    }
    rg_policy_destroy(b->policy);
    free(options);
    rg_settings_destroy(settings);
    return status;
}

static bool seen_before(const RgExperiment *experiment, int64_t trial) {
    for (int64_t i = 0; i < trial; i++)
        if (experiment->trials[i].algorithm == experiment->trials[trial].algorithm)
            return true;
    return false;
}

/* Whether J is an expectation over what the algorithm samples: pairs from one source. */
static bool has_objective(const RgTrialSpec *plan) {
    const RgRecipe *r = &plan->recipe;
    return plan->algorithm->loss && rg_recipe_takes_pairs(r) && r->opponents == RG_FROM_NOWHERE &&
           !r->third_competes && r->candidates <= 2 && !rg_shared_terms_shape(r) &&
           r->shared.sft_coefficient == 0;
}

/* All rows of an algorithm that has a loss. */
static RgStatus loss_rows(const RgTrialSetup *setup, const RgTrialSpec *plan, int64_t samples,
                          double deviation, void (*on_row)(const RgGradientRow *row, void *context),
                          void *context, RgError *error) {
    Bench bench = {.setup = setup,
                   .plan = plan,
                   .samples = samples,
                   .random =
                       rg_random_named(rg_random_root((uint64_t)plan->seed), "check-gradients")};
    const RgOption *variants = rg_options_find(plan->algorithm->about.options, "score_term");
    RgStatus status = RG_OK;
    for (int k = 0; status == RG_OK && (variants ? variants->choices[k] != NULL : k == 0); k++) {
        RgGradientRow row;
        status = measure_variant(&bench, deviation, variants ? variants->name : NULL,
                                 variants ? variants->choices[k] : NULL, &row, error);
        if (status == RG_OK)
            on_row(&row, context);
    }
    free(bench.exact);
    return status;
}

static RgStatus refuse_environment(const RgTrialSpec *plan, RgError *error) {
    return plan->algorithm == &rg_algorithm_parl
               ? rg_fail(error, RG_E_USAGE,
                         "check-gradients needs an environment in which PARL's hypergradient is "
                         "known: environment.type = \"bandit\" or \"mdp\", found \"%s\"",
                         plan->environment.type)
               : rg_fail(error, RG_E_USAGE,
                         "check-gradients needs an environment that can be enumerated: "
                         "environment.type = \"bandit\" or \"language\", found \"%s\"",
                         plan->environment.type);
}

bool rg_gradients_are_small(const RgExperiment *experiment) {
    for (int64_t i = 0; i < experiment->trial_count; i++)
        if (is_language(&experiment->trials[i]))
            return false;
    return true;
}

/* Whether a trial has rows: the first of each estimator, or of each algorithm. */
static bool has_rows(const RgExperiment *experiment, int64_t trial) {
    const RgTrialSpec *plan = &experiment->trials[trial];
    if (plan->algorithm == &rg_algorithm_parl)
        return plan->seed == experiment->trials[0].seed;
    return has_objective(plan) && !seen_before(experiment, trial);
}

/* On a language PARL's exact hypergradient is unknown: it has no row beside methods that have. */
static bool is_left_out(const RgExperiment *experiment, int64_t trial) {
    const RgTrialSpec *plan = &experiment->trials[trial];
    bool others = false;
    for (int64_t i = 0; i < experiment->trial_count; i++)
        others = others || has_objective(&experiment->trials[i]);
    return plan->algorithm == &rg_algorithm_parl && is_language(plan) && others;
}

/* The rows of one trial. */
static RgStatus trial_rows(RgTrialSetup *setup, const RgTrialSpec *plan, int64_t samples,
                           double deviation,
                           void (*on_row)(const RgGradientRow *row, void *context), void *context,
                           RgError *error) {
    bool bilevel = plan->algorithm == &rg_algorithm_parl;
    bool bandit = strcmp(plan->environment.type, rg_environment_bandit.about.name) == 0;
    RG_TRY(rg_trial_setup_make(setup, plan, error));
    if (!bandit && !(bilevel ? setup->environment->task.mdp != NULL : is_language(plan)))
        return refuse_environment(plan, error);
    if (!bilevel)
        return loss_rows(setup, plan, samples, deviation, on_row, context, error);
    RgGradientRow row;
    RG_TRY(rg_hypergradient_row(setup, plan, samples, deviation, &row, error));
    on_row(&row, context);
    return RG_OK;
}

RgStatus rg_gradient_rows(const RgExperiment *experiment, int64_t samples, double deviation,
                          void (*on_row)(const RgGradientRow *row, void *context), void *context,
                          RgError *error) {
    RgTrialSetup setup = {0};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++)
        if (has_rows(experiment, i) && !is_left_out(experiment, i))
            status = trial_rows(&setup, &experiment->trials[i], samples, deviation, on_row, context,
                                error);
    rg_trial_setup_clear(&setup);
    return status;
}
