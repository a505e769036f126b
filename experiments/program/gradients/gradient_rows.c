/* SPDX-License-Identifier: MIT */
/* Measuring bias and variance of gradient estimators on the bandit. */
#include "experiments/program/gradients/gradient_rows.h"

#include "algorithms/parl/parl.h"

#include "envs/bandit/bandit.h"
#include "envs/bandit/bandit_exact.h"
#include "experiments/program/gradients/gradient_moments.h"
#include "experiments/program/gradients/hypergradient_rows.h"
#include "experiments/program/run/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the exact side ---- */

/* The bandit's numbers in the form of the exact objectives. Released by exact_free. */
typedef struct Exact {
    RgExactProblem problem;
    double *reference, *shares;
} Exact;

/* log π [contexts, responses] of an enumerated policy. */
static double *log_policy(RgPolicy *policy, RgTape *t) {
    RgTensor *y = rg_log_softmax(t, policy->type->logits(policy, t, policy->parameters));
    double *out = rg_allocate(y->count, sizeof *out);
    for (int64_t i = 0; i < y->count; i++)
        out[i] = y->data[i];
    rg_tape_reset(t);
    return out;
}

static Exact exact_create(const RgTrialSetup *setup, double beta, RgTape *t) {
    const RgEnvironment *e = setup->environment;
    RgRewardTable rewards = rg_bandit_rewards(e);
    int64_t cells = rewards.contexts * rewards.responses;
    Exact exact = {.reference = log_policy(setup->reference, t),
                   .shares = rg_allocate(cells * rewards.responses, sizeof(double))};
    rg_bandit_pair_shares(e, exact.shares);
    exact.problem = (RgExactProblem){.contexts = rewards.contexts,
                                     .responses = rewards.responses,
                                     .reference = exact.reference,
                                     .reward = rewards.reward,
                                     .pair_shares = exact.shares,
                                     .beta = beta,
                                     .label_temperature = e->task.label_temperature,
                                     .label_noise = e->task.label_noise};
    return exact;
}

static void exact_free(Exact *exact) {
    free(exact->reference);
    free(exact->shares);
}

static RgExactSources exact_sources(const RgRecipe *recipe) {
    RgExactSources sources = {.responses = recipe->responses == RG_FROM_POLICY
                                               ? RG_EXACT_POLICY_RESPONSES
                                               : RG_EXACT_DATASET_RESPONSES};
    sources.labels = recipe->preferences == RG_FROM_POLICY  ? RG_EXACT_POLICY_LABELS
                     : recipe->preferences == RG_FROM_JUDGE ? RG_EXACT_JUDGE_LABELS
                                                            : RG_EXACT_DATASET_LABELS;
    return sources;
}

/* Gradient of the loss −J in the policy's parameters: gradient [parameters]. */
static void exact_gradient(RgPolicy *policy, const RgRecipe *recipe, const Exact *exact, RgTape *t,
                           double *gradient) {
    RgTensor *logits = policy->type->logits(policy, t, policy->parameters);
    RgTensor *objective = rg_exact_sail(t, logits, &exact->problem, exact_sources(recipe));
    rg_parameters_zero_gradient(policy->parameters);
    rg_backward(t, objective, -1);
    for (int64_t i = 0; i < policy->parameters->count; i++)
        gradient[i] = policy->parameters->gradient[i];
    rg_parameters_zero_gradient(policy->parameters);
    rg_tape_reset(t);
}

/* ---- one row ---- */

typedef struct Bench {
    const RgTrialSetup *setup;
    const RgTrialSpec *plan;
    int64_t samples;
    RgPolicy *policy; /* at which the gradients are taken */
    RgTape *tape;
    RgRandom random;
} Bench;

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

static RgStatus measure_loss(const Bench *b, const void *options, RgGradientRow *row,
                             RgError *error) {
    RgTrainer *trainer;
    RG_TRY(make_trainer(b, options, &trainer, error));
    RgParameters *p = b->policy->parameters;
    double *exact = rg_allocate(p->count, sizeof *exact);
    double *sample = rg_allocate(p->count, sizeof *sample);
    Exact problem = exact_create(b->setup, trainer->recipe.beta, b->tape);
    exact_gradient(b->policy, &trainer->recipe, &problem, b->tape, exact);

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
    rg_moments_compare(&moments, exact, row);
    rg_moments_free(&moments);
    exact_free(&problem);
    free(exact);
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
    b->policy = rg_policy_clone(b->setup->reference, false);
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
           !r->third_competes;
}

/* All rows of an algorithm that has a loss. */
static RgStatus loss_rows(const RgTrialSetup *setup, const RgTrialSpec *plan, RgTape *tape,
                          int64_t samples, double deviation,
                          void (*on_row)(const RgGradientRow *row, void *context), void *context,
                          RgError *error) {
    Bench bench = {.setup = setup,
                   .plan = plan,
                   .samples = samples,
                   .tape = tape,
                   .random =
                       rg_random_named(rg_random_root((uint64_t)plan->seed), "check-gradients")};
    const RgOption *variants = rg_options_find(plan->algorithm->about.options, "score_term");
    for (int k = 0; variants ? variants->choices[k] != NULL : k == 0; k++) {
        RgGradientRow row;
        RG_TRY(measure_variant(&bench, deviation, variants ? variants->name : NULL,
                               variants ? variants->choices[k] : NULL, &row, error));
        on_row(&row, context);
    }
    return RG_OK;
}

static RgStatus refuse_environment(const RgTrialSpec *plan, RgError *error) {
    return rg_fail(error, RG_E_USAGE,
                   "check-gradients needs an environment that can be enumerated: "
                   "environment.type = \"bandit\", found \"%s\"",
                   plan->environment.type);
}

RgStatus rg_gradient_rows(const RgExperiment *experiment, int64_t samples, double deviation,
                          void (*on_row)(const RgGradientRow *row, void *context), void *context,
                          RgError *error) {
    RgTrialSetup setup = {0};
    RgTape *tape = rg_tape_create();
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        const RgTrialSpec *plan = &experiment->trials[i];
        const RgAlgorithm *a = plan->algorithm;
        bool bilevel = a == &rg_algorithm_parl;
        bool first_seed = plan->seed == experiment->trials[0].seed;
        if (bilevel ? !first_seed : !has_objective(plan) || seen_before(experiment, i))
            continue;
        bool bandit = strcmp(plan->environment.type, rg_environment_bandit.about.name) == 0;
        status = rg_trial_setup_make(&setup, plan, error);
        if (status == RG_OK && !bandit && !(bilevel && setup.environment->task.mdp))
            status = refuse_environment(plan, error);
        if (status == RG_OK && bilevel) {
            RgGradientRow row;
            status = rg_hypergradient_row(&setup, plan, samples, deviation, &row, error);
            if (status == RG_OK)
                on_row(&row, context);
        } else if (status == RG_OK) {
            status = loss_rows(&setup, plan, tape, samples, deviation, on_row, context, error);
        }
    }
    rg_trial_setup_clear(&setup);
    rg_tape_destroy(tape);
    return status;
}
