/* SPDX-License-Identifier: MIT */
/* What regatta check-plugin claims: it holds of what is built in, and fails of what is broken, by
 * name. Of algorithms the first is in test_algorithms.c, claim by claim. */
#include "core/files.h"
#include "core/tensor/threads.h"
#include "experiments/program/plugins/check_plugin.h"

#include "race.h"

#include <math.h>

static void check_all(RgKind kind, const char *const *except, int least) {
    int held = 0;
    const RgDescriptor *about;
    for (int i = 0; (about = rg_registered(kind, i)); i++) {
        RgClaims claims = {0};
        bool skipped = about->missing_packages != NULL;
        for (int k = 0; except[k]; k++)
            skipped = skipped || strcmp(except[k], about->name) == 0;
        if (skipped)
            continue;
        rg_check_registered(kind, about, "", &claims);
        cr_expect_eq(claims.failed, 0, "%s: %s", about->name, claims.first_failure);
        held += claims.held;
    }
    cr_expect_geq(held, least, "%d claims hold, expected %d", held, least);
}

TestSuite(claims, .timeout = 300);

Test(claims, hold_of_every_environment_that_needs_no_files) {
    /* control takes half a minute */
    static const char *const except[] = {"text", "language", "control", NULL};
    check_all(RG_ENVIRONMENT, except, 18);
}

Test(claims, hold_of_a_language) {
    RgClaims claims = {0};
    char *file = rg_own_file("experiments/published/four-words.language");
    char *options = rg_string_format("language=%s", file);
    rg_check_environment(rg_environment_type("language"), options, &claims);
    cr_expect_eq(claims.failed, 0, "%s", claims.first_failure);
    cr_expect_geq(claims.held, 9);
    free(options);
    free(file);
}

Test(claims, hold_of_every_policy_of_enumerated_responses_or_tokens) {
    static const char *const except[] = {NULL}; /* of processes it is said that they are others */
    check_all(RG_POLICY, except, 20);
}

Test(claims, hold_of_every_judge_that_needs_nothing_but_texts) {
    static const char *const except[] = {
        "command", "endpoint", "lexicon", "mixture", "reward-model", "sequence-classifier", NULL};
    check_all(RG_JUDGE, except, 7);
}

Test(claims, hold_of_every_estimator) {
    static const char *const except[] = {NULL};
    check_all(RG_ESTIMATOR, except, 40);
}

Test(claims, hold_of_every_optimiser) {
    static const char *const except[] = {NULL};
    check_all(RG_OPTIMIZER, except, 18);
}

/* ---- what is broken ---- */

/* Whether the claim fails whose words are given. */
static void check_fails(const char *what, void (*check)(RgClaims *claims), const char *words) {
    char *text = NULL;
    size_t size;
    RgClaims claims = {.stream = open_memstream(&text, &size)};
    check(&claims);
    fclose(claims.stream);
    bool found = false;
    char *next = text, *line;
    while ((line = strsep(&next, "\n")))
        found = found || (strncmp(line, "FAILED: ", 8) == 0 && strstr(line, words));
    cr_expect(found, "%s: no failure of \"%s\"; %d failed, first \"%s\"", what, words,
              claims.failed, claims.first_failure);
    free(text);
}

static void dataset_recipe(const void *options, RgRecipe *recipe) {
    (void)options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
}

static RgTensor *fit(RgStep *step, const RgBatch *batch) {
    RgTape *t = step->tape;
    return rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, 0.1)));
}

/* Half of the gradient is lost on a way that the tape does not see. */
static RgTensor *cut_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    RgTensor *margin = rg_log_ratio_margin(t, batch);
    RgTensor *copy = rg_constant(t, margin->shape, margin->data);
    RgTensor *half = rg_scale(t, rg_add(t, margin, copy), (RgReal)0.05);
    return rg_negate(t, rg_mean(t, rg_log_sigmoid(t, half)));
}

/* The gradient is 1.01 times that of the value. */
static RgTensor *off_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    RgTensor *loss = fit(step, batch);
    RgTensor *nothing = rg_sub(t, loss, rg_constant(t, loss->shape, loss->data));
    return rg_add(t, loss, rg_scale(t, nothing, (RgReal)0.01));
}

/* Half of the gradient by rg_stop_gradient, which says that it is meant. */
static RgTensor *stopped_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    RgTensor *margin = rg_log_ratio_margin(t, batch);
    RgTensor *half = rg_add(t, margin, rg_stop_gradient(t, margin));
    return rg_negate(t, rg_mean(t, rg_log_sigmoid(t, rg_scale(t, half, (RgReal)0.05))));
}

/* Centred by the mean over the batch: no mean of terms of one prompt each. */
static RgTensor *coupled_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    RgTensor *margin = rg_log_ratio_margin(t, batch);
    RgTensor *apart = rg_sub(t, margin, rg_scale(t, rg_mean(t, margin), (RgReal)0.5));
    return rg_negate(t, rg_mean(t, rg_log_sigmoid(t, rg_scale(t, apart, (RgReal)0.5))));
}

/* Its strength goes by the number of calls: in no checkpoint, and another at each run. */
static RgTensor *counting_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    static int calls;
    return rg_scale(step->tape, fit(step, batch), (RgReal)(1 + ++calls % 7));
}

static RgTensor *threaded_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_scale(step->tape, fit(step, batch), (RgReal)(1 / (1 + (double)rg_threads())));
}

/* Operations that the trial's tape does not count. */
static RgTensor *elsewhere_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *other = rg_tape_create();
    rg_mean(other, rg_exp(other, rg_filled(other, RG_SHAPE(1000), 1)));
    rg_tape_destroy(other);
    return fit(step, batch);
}

static RgTensor *backward_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_negate(step->tape, fit(step, batch));
}

static RgTensor *vector_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_preference_fit(step->tape, batch, 0.1);
}

static RgTensor *infinite_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_scale(step->tape, fit(step, batch), (RgReal)INFINITY);
}

static RgTensor *flat_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_scale(step->tape, fit(step, batch), 0);
}

/* The last step of a checkpoint's second half, and of no shorter run. */
static RgTensor *late_loss(RgStep *step, const void *options, const RgBatch *batch) {
    return step->number < 9 ? fit(step, batch) : infinite_loss(step, options, batch);
}

static RgAlgorithm broken = {.about = {.name = "broken", .summary = "is broken"},
                             .recipe = dataset_recipe};

static void check_broken(RgClaims *claims) {
    rg_check_algorithm(&broken, "", claims);
}

Test(claims, fail_of_broken_algorithms_by_name) {
    static const struct {
        RgTensor *(*loss)(RgStep *step, const void *options, const RgBatch *batch);
        const char *words;
    } cases[] = {{cut_loss, "the loss's gradient equals its finite differences"},
                 {off_loss, "the loss's gradient equals its finite differences"},
                 {coupled_loss, "a batch in parts"},
                 {flat_loss, "whole one: the gradient of the whole batch is 0"},
                 {counting_loss, "the same bits again"},
                 {counting_loss, "resumes from its checkpoint"},
                 {threaded_loss, "the same bits again"},
                 {elsewhere_loss, "all operations are metered"},
                 {backward_loss, "preferences raise the reward"},
                 {late_loss, "checkpoint ends with the same bits: step 10: the loss is not finite"},
                 {infinite_loss, "any number of threads: step 1: the loss is not finite"},
                 {infinite_loss, "not a finite scalar"}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        broken.loss = cases[k].loss;
        check_fails(cases[k].words, check_broken, cases[k].words);
    }
}

static RgTensor *exact_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_negate(step->tape,
                     rg_batch_mean(step, batch, rg_preference_fit(step->tape, batch, 0.1)));
}

/* All lines of the check of a loss, which the caller frees. */
static char *lines_of(RgTensor *(*loss)(RgStep *step, const void *options, const RgBatch *batch),
                      int *failed) {
    char *lines;
    size_t size;
    RgClaims claims = {.stream = open_memstream(&lines, &size)};
    broken.loss = loss;
    check_broken(&claims);
    fclose(claims.stream);
    *failed = claims.failed;
    return lines;
}

Test(claims, say_of_a_loss_of_pairs_that_it_has_no_exact_expectation) {
    static const char note[] = "-       exact expectations: it cannot be trained with "
                               "training.expectation = \"exact\"";
    int failed;
    char *sampled = lines_of(stopped_loss, &failed);
    cr_expect(strstr(sampled, note), "%s", sampled);
    char *exact = lines_of(exact_loss, &failed);
    cr_expect(!strstr(exact, "exact expectations"), "%s", exact);
    cr_expect_eq(failed, 0, "%s", exact);
    free(sampled);
    free(exact);
}

static void check_gradient_alone(RgClaims *claims) {
    RgSmallRaceTerms terms = {
        .algorithm = &broken, .options = "", .bandit = "contexts=3 responses=5", .batch = 8};
    RgSmallRace race;
    RgError error = {0};
    cr_assert_eq(rg_small_race_begin(&terms, &race, &error), RG_OK, "%s", error.text);
    rg_claim_gradient(race.trainer, claims);
    rg_small_race_end(&race);
}

Test(claims, of_gradients_know_what_is_stopped_on_purpose) {
    RgClaims claims = {0};
    broken.loss = stopped_loss;
    check_gradient_alone(&claims);
    cr_expect_eq(claims.failed, 0, "%s", claims.first_failure);
    cr_expect_eq(claims.held, 1);
    broken.loss = vector_loss;
    check_fails("a vector", check_gradient_alone, "not a finite scalar");
}

/* ---- broken estimators and optimisers ---- */

static RgEstimator estimator;
static const RgEstimator *sound;

static void wrong_sign(const RgBilevel *problem, const RgEstimatorOptions *options,
                       const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    sound->estimate(problem, options, upper_gradient, w, report);
    for (int64_t i = 0; i < problem->upper->count; i++)
        w[i] = -w[i];
}

static void moves_on(const RgBilevel *problem, const RgEstimatorOptions *options,
                     const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    sound->estimate(problem, options, upper_gradient, w, report);
    problem->lower->value[0] += 1;
}

static void keeps_quiet(const RgBilevel *problem, const RgEstimatorOptions *options,
                        const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    sound->estimate(problem, options, upper_gradient, w, report);
    report->hessian_products = 0;
}

static void check_estimator(RgClaims *claims) {
    rg_check_estimator(&estimator, claims);
}

Test(claims, fail_of_broken_estimators_by_name) {
    sound = (const RgEstimator *)rg_find(RG_ESTIMATOR, "cg");
    estimator = *sound;
    estimator.estimate = wrong_sign;
    check_fails("wrong sign", check_estimator, "the implicit term");
    estimator.estimate = moves_on;
    check_fails("moves on", check_estimator, "restores the values of both levels");
    estimator.estimate = keeps_quiet;
    check_fails("keeps quiet", check_estimator, "reports its requests");
    estimator.estimate = sound->estimate;
    estimator.order = 1;
    check_fails("of order 1", check_estimator, "no more than its descriptor says");
}

static const RgOptimizerType *optimizer_sound;
static RgOptimizerType optimizer;

static void uphill(RgOptimizer *o, RgParameters *p, const RgParameterView *view, double clip) {
    optimizer_sound->move(o, p, view, -clip);
}

static void unclipped(RgOptimizer *o, RgParameters *p, const RgParameterView *view, double clip) {
    (void)clip;
    optimizer_sound->move(o, p, view, 1);
}

/* Of a count that no checkpoint has. */
static void counting(RgOptimizer *o, RgParameters *p, const RgParameterView *view, double clip) {
    static double calls;
    optimizer_sound->move(o, p, view, clip * (1 + 0.1 * (calls += 1)));
}

static void by_itself(RgOptimizer *o, RgParameters *p, const RgParameterView *view, double clip) {
    optimizer_sound->move(o, p, view, clip);
    p->value[view->offset] += (RgReal)1e-3;
}

static void check_optimizer(RgClaims *claims) {
    rg_check_optimizer(&optimizer, "", claims);
}

Test(claims, fail_of_broken_optimisers_by_name) {
    optimizer = *(optimizer_sound = &rg_optimizer_sgd);
    static const struct {
        void (*move)(RgOptimizer *o, RgParameters *p, const RgParameterView *view, double clip);
        const char *words;
    } cases[] = {{uphill, "descends on a quadratic"},
                 {unclipped, "multiplies the gradient by `clip`"},
                 {counting, "the same bits again"},
                 {counting, "resumes from a checkpoint"},
                 {by_itself, "at a rate of 0 nothing moves"}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        optimizer.move = cases[k].move;
        check_fails(cases[k].words, check_optimizer, cases[k].words);
    }
}

/* ---- broken judges, environments and policies ---- */

static RgStatus make_nothing(RgJudge *judge, const void *options, const RgJudgeShare *share,
                             RgRandom random, RgError *error) {
    (void)judge, (void)options, (void)share, (void)random, (void)error;
    return RG_OK;
}

static RgStatus by_place(RgJudge *judge, const RgJudgeItems *items, double *reward,
                         RgError *error) {
    (void)judge, (void)error;
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = (double)i;
    return RG_OK;
}

static RgStatus by_mood(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    (void)judge, (void)error;
    static double calls;
    calls++;
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = calls;
    return RG_OK;
}

static RgStatus infinite(RgJudge *judge, const RgJudgeItems *items, double *reward,
                         RgError *error) {
    (void)judge, (void)error;
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = INFINITY;
    return RG_OK;
}

static RgJudgeType jury = {.about = {.name = "jury", .summary = "is broken"},
                           .create = make_nothing};

static void check_jury(RgClaims *claims) {
    rg_check_judge(&jury, "", claims);
}

Test(claims, fail_of_broken_judges_by_name) {
    jury.rewards = by_place;
    check_fails("by place", check_jury, "in another order");
    check_fails("by place", check_jury, "without its neighbours");
    jury.rewards = by_mood;
    check_fails("by mood", check_jury, "a repeated query has the same bits");
    jury.rewards = infinite;
    check_fails("infinite", check_jury, "rewards are finite");
}

static const RgEnvironmentType *bandit;
static RgEnvironmentType task;

static RgStatus forgetful(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                          RgEvaluation *evaluation, RgError *error) {
    static double calls;
    RG_TRY(bandit->evaluate(environment, contender, random, evaluation, error));
    rg_evaluation_metric(evaluation, "calls", calls += 1);
    return RG_OK;
}

static RgStatus unfair(void *environment, const RgSequences *sequences, double *reward,
                       RgError *error) {
    (void)environment, (void)error;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = (double)sequences->count;
    return RG_OK;
}

static RgStatus with_unfair_judge(RgEnvironment *environment, const void *options, RgRandom random,
                                  RgError *error) {
    RG_TRY(bandit->create(environment, options, random, error));
    environment->task.judge = unfair;
    return RG_OK;
}

static void check_task(RgClaims *claims) {
    rg_check_environment(&task, "", claims);
}

Test(claims, fail_of_broken_environments_by_name) {
    RgError error = {0};
    bandit = rg_environment_type("bandit");
    task = *bandit;
    task.about.name = "task";
    cr_assert_eq(rg_environment_type_register(&task, &error), RG_OK, "%s", error.text);
    task.evaluate = forgetful;
    check_fails("forgetful", check_task, "a repeated evaluation has the same bits");
    task.evaluate = bandit->evaluate;
    task.create = with_unfair_judge;
    check_fails("unfair", check_task, "its judge gives equal rewards");
    task.create = bandit->create;
    task.metrics = (const char *const[]){"reward", "glory", NULL};
    check_fails("boastful", check_task, "an evaluation has the metrics that it names");
    task.metrics = bandit->metrics;
    task.primary_metric = "glory";
    check_fails("glory", check_task, "has its primary metric");
}

static RgPolicyType choice;
static const RgPolicyType *tabular;

static RgTensor *too_likely(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                            const RgSequences *sequences) {
    RgTensor *logprob = tabular->logprob(policy, tape, parameters, sequences);
    return rg_add_scalar(tape, logprob, (RgReal)0.1);
}

static double always_first(RgPolicy *policy, const RgSequences *prompts, const RgSampling *sampling,
                           RgRandom random, int32_t *tokens, int64_t *length, double *logprob) {
    double flops = tabular->sample(policy, prompts, sampling, random, tokens, length, logprob);
    for (int64_t i = 0; i < prompts->count; i++)
        tokens[i * sampling->response_limit] = 0;
    return flops;
}

static void check_choice(RgClaims *claims) {
    rg_check_policy(&choice, "", claims);
}

Test(claims, fail_of_broken_policies_by_name) {
    RgError error = {0};
    tabular = rg_policy_type("tabular");
    choice = *tabular;
    choice.about.name = "choice";
    cr_assert_eq(rg_policy_type_register(&choice, &error), RG_OK, "%s", error.text);
    choice.logprob = too_likely;
    check_fails("too likely", check_choice, "add up to 1");
    choice.logprob = tabular->logprob;
    choice.sample = always_first;
    check_fails("always the first", check_choice, "sampled as often");
    check_fails("always the first", check_choice, "log-probabilities of its responses");
}

/* ---- tables of options ---- */

Test(claims, a_table_of_options_is_refused_for_its_first_fault) {
    typedef struct Options {
        double real;
        int64_t integer;
        int choice;
    } Options;
    static const char *const choices[] = {"one", "two", NULL};
    RgAlgorithm method = {.about = {.name = "method", .summary = "s"}};
    const struct {
        RgOption option;
        size_t size;
        const char *words; /* NULL: nothing is wrong */
    } cases[] = {
        {RG_OPTION_REAL(Options, real, "0.5", 0, 1, "help"), sizeof(Options), NULL},
        {RG_OPTION_REAL(Options, real, NULL, 0, 1, "help"), sizeof(Options), NULL},
        {RG_OPTION_CHOICE(Options, choice, "two", choices, "help"), sizeof(Options), NULL},
        {RG_OPTION_REAL(Options, real, "2", 0, 1, "help"), sizeof(Options),
         "not one of its values"},
        {RG_OPTION_REAL(Options, real, "half", 0, 1, "h"), sizeof(Options),
         "not one of its values"},
        {RG_OPTION_INTEGER(Options, integer, "1.5", 0, 9, "help"), sizeof(Options),
         "not one of its values"},
        {RG_OPTION_CHOICE(Options, choice, "three", choices, "help"), sizeof(Options),
         "not one of its values"},
        {RG_OPTION_CHOICE(Options, choice, "one", NULL, "help"), sizeof(Options), "no list"},
        {RG_OPTION_REAL(Options, real, "0.5", 0, 1, ""), sizeof(Options), "no help text"},
        {RG_OPTION_INTEGER(Options, integer, "1", 0, 9, "help"), sizeof(double),
         "beyond options_size"},
        {{.name = "a b", .kind = RG_KIND_REAL, .fallback = "0", .help = "help"},
         sizeof(Options),
         "no valid name"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        RgOption table[] = {cases[k].option, RG_OPTION_END};
        RgError error = {0};
        method.about.options = table;
        method.about.options_size = cases[k].size;
        RgStatus status = rg_algorithm_check(&method, &error);
        cr_expect_eq(status, cases[k].words ? RG_E_USAGE : RG_OK, "%zu: %s", k, error.text);
        cr_expect(!cases[k].words || strstr(error.text, cases[k].words), "%s", error.text);
    }
    RgOption twice[] = {cases[0].option, cases[0].option, RG_OPTION_END};
    RgError error = {0};
    method.about.options = twice;
    method.about.options_size = sizeof(Options);
    cr_expect_eq(rg_algorithm_check(&method, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "option \"real\" is defined twice"), "%s", error.text);
}

Test(claims, an_optimisers_own_options_have_names_of_their_own) {
    typedef struct Options {
        double beta1;
    } Options;
    static const RgOption table[] = {RG_OPTION_REAL(Options, beta1, "0.5", 0, 1, "help"),
                                     RG_OPTION_END};
    RgOptimizerType type = rg_optimizer_sgd;
    RgError error = {0};
    type.about.options = table;
    type.about.options_size = sizeof(Options);
    cr_expect_eq(rg_optimizer_type_check(&type, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "option \"beta1\" is common to all optimizers"), "%s", error.text);
}
