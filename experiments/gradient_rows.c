/* Measuring bias and variance of gradient estimators on the bandit. */
#include "experiments/gradient_rows.h"

#include "algorithms/parl.h"
#include "envs/bandit.h"
#include "envs/bandit_exact.h"
#include "experiments/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- mean and scatter of vectors ---- */

typedef struct Moments {
    int64_t dimension, samples;
    double *mean, *square; /* Welford's running mean and sum of squared deviations */
} Moments;

static Moments moments_create(int64_t dimension) {
    return (Moments){.dimension = dimension,
                     .mean = rg_allocate((size_t)dimension * sizeof(double)),
                     .square = rg_allocate((size_t)dimension * sizeof(double))};
}

static void moments_free(Moments *m) {
    free(m->mean);
    free(m->square);
}

static void moments_add(Moments *m, const double *x) {
    m->samples++;
    for (int64_t i = 0; i < m->dimension; i++) {
        double before = x[i] - m->mean[i];
        m->mean[i] += before / (double)m->samples;
        m->square[i] += before * (x[i] - m->mean[i]);
    }
}

static void moments_compare(const Moments *m, const double *exact, RgGradientRow *row) {
    double n = (double)m->samples, distance = 0, errors = 0, dot = 0, norm = 0, exact_norm = 0;
    row->worst = 0;
    for (int64_t i = 0; i < m->dimension; i++) {
        double gap = m->mean[i] - exact[i], error = sqrt(m->square[i] / (n - 1) / n);
        /* a coordinate that never varies must be right to rounding */
        double floor = 1e-5 * fabs(exact[i]) + 1e-7;
        row->worst = fmax(row->worst, fabs(gap) / fmax(error, floor));
        distance += gap * gap;
        errors += error * error;
        dot += m->mean[i] * exact[i];
        norm += m->mean[i] * m->mean[i];
        exact_norm += exact[i] * exact[i];
    }
    row->samples = m->samples;
    row->coordinates = m->dimension;
    row->exact_norm = sqrt(exact_norm);
    row->norm = sqrt(norm);
    row->bias = sqrt(distance / exact_norm);
    row->noise = sqrt(errors / exact_norm);
    row->variance = errors * n / exact_norm;
    row->cosine = dot / sqrt(norm * exact_norm);
}

/* ---- the exact side ---- */

/* The bandit's numbers as the exact objectives want them; freed by exact_free. */
typedef struct Exact {
    RgExactProblem problem;
    double *reference, *shares;
} Exact;

/* log π [contexts, responses] of an enumerated policy. */
static double *log_policy(RgPolicy *policy, RgTape *t) {
    RgTensor *y = rg_log_softmax(t, policy->type->logits(policy, t, policy->parameters));
    double *out = rg_allocate((size_t)y->count * sizeof *out);
    for (int64_t i = 0; i < y->count; i++)
        out[i] = y->data[i];
    rg_tape_reset(t);
    return out;
}

static Exact exact_create(const RgStage *stage, double beta, RgTape *t) {
    const RgEnvironment *e = stage->environment;
    RgRewardTable rewards = rg_bandit_rewards(e);
    int64_t cells = rewards.contexts * rewards.responses;
    Exact exact = {.reference = log_policy(stage->reference, t),
                   .shares = rg_allocate((size_t)(cells * rewards.responses) * sizeof(double))};
    rg_bandit_pair_shares(e, exact.shares);
    exact.problem = (RgExactProblem){.contexts = rewards.contexts,
                                     .responses = rewards.responses,
                                     .reference = exact.reference,
                                     .reward = rewards.reward,
                                     .pair_shares = exact.shares,
                                     .beta = beta,
                                     .label_temperature = e->course.label_temperature,
                                     .label_noise = e->course.label_noise};
    return exact;
}

static void exact_free(Exact *exact) {
    free(exact->reference);
    free(exact->shares);
}

static RgExactSources exact_sources(const RgAlgorithm *algorithm) {
    RgExactSources sources = {.responses = algorithm->responses == RG_FROM_POLICY
                                               ? RG_EXACT_POLICY_RESPONSES
                                               : RG_EXACT_DATASET_RESPONSES};
    sources.labels = algorithm->preferences == RG_FROM_POLICY  ? RG_EXACT_POLICY_LABELS
                     : algorithm->preferences == RG_FROM_JUDGE ? RG_EXACT_JUDGE_LABELS
                                                               : RG_EXACT_DATASET_LABELS;
    return sources;
}

/* Gradient of the loss −J in the policy's parameters: gradient [parameters]. */
static void exact_gradient(RgPolicy *policy, const RgAlgorithm *algorithm, const Exact *exact,
                           RgTape *t, double *gradient) {
    RgTensor *logits = policy->type->logits(policy, t, policy->parameters);
    RgTensor *objective = rg_exact_sail(t, logits, &exact->problem, exact_sources(algorithm));
    rg_parameters_zero_gradient(policy->parameters);
    rg_backward(t, objective, -1);
    for (int64_t i = 0; i < policy->parameters->count; i++)
        gradient[i] = policy->parameters->gradient[i];
    rg_parameters_zero_gradient(policy->parameters);
    rg_tape_reset(t);
}

/* ---- one row ---- */

typedef struct Bench {
    const RgStage *stage;
    const RgTrialPlan *plan;
    int64_t samples;
    RgPolicy *policy; /* where the gradients are taken */
    RgTape *tape;
    RgRandom random;
} Bench;

static RgStatus make_trainer(const Bench *b, const void *options, RgTrainer **trainer,
                             RgError *error) {
    /* the policy's own distribution is what the objective is an expectation over */
    RgTrainingOptions training = b->plan->training;
    training.temperature = 1;
    training.top_k = 0;
    training.top_p = 1;
    return rg_trainer_create(b->plan->algorithm, options, &training, b->policy, b->stage->reference,
                             &b->stage->environment->course, &b->plan->optimizer, 0, b->random,
                             trainer, error);
}

static RgStatus measure_loss(const Bench *b, const void *options, RgGradientRow *row,
                             RgError *error) {
    const RgAlgorithm *a = b->plan->algorithm;
    RgTrainer *trainer;
    RG_TRY(make_trainer(b, options, &trainer, error));
    RgParameters *p = b->policy->parameters;
    double *exact = rg_allocate((size_t)p->count * sizeof *exact);
    double *sample = rg_allocate((size_t)p->count * sizeof *sample);
    Exact problem = exact_create(b->stage, a->beta(options), b->tape);
    exact_gradient(b->policy, a, &problem, b->tape, exact);

    Moments moments = moments_create(p->count);
    for (int64_t s = 0; s < b->samples; s++) {
        trainer->metric_count = 0;
        rg_parameters_zero_gradient(p);
        rg_trainer_gradient(trainer, s);
        for (int64_t i = 0; i < p->count; i++)
            sample[i] = p->gradient[i];
        moments_add(&moments, sample);
    }
    rg_parameters_zero_gradient(p);
    moments_compare(&moments, exact, row);
    moments_free(&moments);
    exact_free(&problem);
    free(exact);
    free(sample);
    rg_trainer_destroy(trainer);
    return RG_OK;
}

/* dG/dν through the closed-form lower level at reward ν = `reward` (a table, one per response). */
static void exact_hypergradient(const Exact *exact, const RgParameters *reward, RgTape *t,
                                double *gradient) {
    RgShape shape = RG_SHAPE(exact->problem.contexts, exact->problem.responses);
    RgTensor *nu = rg_variable(t, shape, reward->value), *total;
    RgTensor *upper =
        rg_exact_upper(t, nu, rg_exact_optimal_logits(t, nu, &exact->problem), &exact->problem);
    rg_gradients(t, upper, &nu, 1, &total);
    for (int64_t i = 0; i < reward->count; i++)
        gradient[i] = total->data[i];
    rg_tape_reset(t);
}

static RgStatus measure_parl(const Bench *b, const RgParlOptions *options, double deviation,
                             RgGradientRow *row, RgError *error) {
    RgTrainer *trainer;
    RG_TRY(make_trainer(b, options, &trainer, error));
    RgParameters *reward = rg_parl_reward(trainer->state), *p = b->policy->parameters;
    RG_ASSERT(reward->count == p->count); /* both are tables over (context, response) */
    Exact problem = exact_create(b->stage, options->beta, b->tape);
    /* a random reward, and its optimal policy: log π_ref + r/β as logits */
    rg_parameters_fill_normal(reward, 0, deviation * options->beta, b->random);
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] = (RgReal)(problem.reference[i] + reward->value[i] / options->beta);

    double *exact = rg_allocate((size_t)reward->count * sizeof *exact);
    double *sample = rg_allocate((size_t)reward->count * sizeof *sample);
    exact_hypergradient(&problem, reward, b->tape, exact);
    Moments moments = moments_create(reward->count);
    for (int64_t s = 0; s < b->samples; s++) {
        RgEstimateReport report;
        rg_parl_hypergradient(trainer, options, trainer->state, s, sample, &report);
        moments_add(&moments, sample);
    }
    moments_compare(&moments, exact, row);
    moments_free(&moments);
    exact_free(&problem);
    free(exact);
    free(sample);
    rg_trainer_destroy(trainer);
    return RG_OK;
}

/* ---- all rows ---- */

static const RgOption *find_option(const RgOption *table, const char *name) {
    for (; table && table->kind != RG_KIND_END; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

/* The algorithm's options with mixture and exploration at 1 and `variant` (an option's name, or
 * NULL) at `choice`. */
static RgStatus variant_options(const RgTrialPlan *plan, const char *variant, const char *choice,
                                RgSettings *settings, void *options, RgError *error) {
    static const char *const ones[] = {"mixture", "exploration"};
    const RgOption *table = plan->algorithm->options;
    rg_settings_copy_group(settings, "algorithm", plan->resolved, "algorithm");
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "algorithm.%s", ones[i]);
        if (find_option(table, ones[i]))
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
    const RgTrialPlan *plan = b->plan;
    RgSettings *settings = rg_settings_create();
    void *options = rg_allocate(plan->algorithm->options_size + 1);
    RgStatus status = variant_options(plan, variant, choice, settings, options, error);
    b->policy = rg_policy_clone(b->stage->reference, false);
    *row = (RgGradientRow){.algorithm = plan->algorithm->name, .variant = choice ? choice : ""};
    if (status == RG_OK && plan->algorithm->step) {
        status = measure_parl(b, options, deviation, row, error);
    } else if (status == RG_OK) {
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

/* The option whose choices are an algorithm's variants: SAIL's score terms, PARL's estimators. */
static const RgOption *variant_option(const RgAlgorithm *algorithm) {
    const RgOption *option = find_option(algorithm->options, "score_term");
    return option ? option : find_option(algorithm->options, "estimator");
}

static bool seen_before(const RgExperiment *experiment, int64_t trial) {
    for (int64_t i = 0; i < trial; i++)
        if (experiment->trials[i].algorithm == experiment->trials[trial].algorithm)
            return true;
    return false;
}

RgStatus rg_gradient_rows(const RgExperiment *experiment, int64_t samples, double deviation,
                          void (*on_row)(const RgGradientRow *row, void *context), void *context,
                          RgError *error) {
    RgStage stage = {0};
    RgTape *tape = rg_tape_create();
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        const RgTrialPlan *plan = &experiment->trials[i];
        const RgAlgorithm *a = plan->algorithm;
        bool pairwise = a->preferences != RG_FROM_NOWHERE && a->beta;
        if (seen_before(experiment, i) || !pairwise)
            continue;
        if (strcmp(plan->environment.type, rg_environment_bandit.name) != 0) {
            status = rg_fail(error, RG_E_USAGE,
                             "check-gradients needs an environment that can be enumerated: "
                             "environment.type = \"bandit\", found \"%s\"",
                             plan->environment.type);
            break;
        }
        status = rg_stage_set(&stage, plan, error);
        if (status == RG_OK && a->step && strcmp(stage.reference->type->name, "tabular") != 0)
            continue; /* the closed-form lower level needs a policy that can be any distribution */
        Bench bench = {
            .stage = &stage,
            .plan = plan,
            .samples = samples,
            .tape = tape,
            .random = rg_random_named(rg_random_root((uint64_t)plan->seed), "check-gradients")};
        const RgOption *variants = variant_option(a);
        for (int k = 0; status == RG_OK && (variants ? variants->choices[k] != NULL : k == 0);
             k++) {
            RgGradientRow row;
            status = measure_variant(&bench, deviation, variants ? variants->name : NULL,
                                     variants ? variants->choices[k] : NULL, &row, error);
            if (status == RG_OK)
                on_row(&row, context);
        }
    }
    rg_stage_clear(&stage);
    rg_tape_destroy(tape);
    return status;
}
