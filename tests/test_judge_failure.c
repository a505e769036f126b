/* SPDX-License-Identifier: MIT */
/* A judge that is asked elsewhere may fail: no algorithm goes on with rewards that nobody gave, and
 * a trial that ends so is told of, and goes on to the same numbers when the judge is back. */
#include "experiments/program/run/trial.h"
#include "race.h"
#include "scratch.h"

#include <sqlite3.h>

static RgError error;

/* ---- steps ---- */

/* The task's own judge, until it has answered so many times. */
static struct {
    RgStatus (*judge)(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error);
    int answers;
} patience;

static RgStatus impatient(void *environment, const RgSequences *sequences, double *reward,
                          RgError *why) {
    if (patience.answers-- <= 0)
        return rg_fail(why, RG_E_FILE, "nobody answers");
    return patience.judge(environment, sequences, reward, why);
}

static void lose_patience(RgTask *task, int answers) {
    if (task->judge != impatient)
        patience.judge = task->judge;
    patience.answers = answers;
    task->judge = impatient;
}

static void fail_step(const char *algorithm, const char *options, int answers) {
    Race race = race_begin(algorithm, options, "contexts=3 responses=5 pairs=20", 0, 8);
    RgTask *task = &race.environment->task;
    int64_t size = race.policy->parameters->count;
    for (int i = 0; i < 3; i++)
        cr_assert(take_step(race.trainer), "%s", algorithm);
    uint64_t hash = rg_parameters_hash(race.policy->parameters);
    lose_patience(task, answers);
    cr_expect_eq(rg_trainer_step(race.trainer, &error), RG_E_FILE, "%s", algorithm);
    cr_expect_null(race.trainer->outcome.diverged, "%s", algorithm);
    cr_expect_str_eq(error.text, "nobody answers");
    cr_expect(strcmp(algorithm, "parl") == 0 || rg_parameters_hash(race.policy->parameters) == hash,
              "%s took a step of %lld parameters all the same", algorithm, (long long)size);
    race_end(&race);
}

Test(judge_failure, ends_the_step_of_every_algorithm_that_asks) {
    fail_step("online-dpo", "", 0);
    fail_step("sail-pr", "mixture=1", 0);
    fail_step("selm", "", 0);
    fail_step("rloo", "", 0);
    fail_step("rloo", "group_size=2", 0);
    fail_step("ppo", "", 0);
    fail_step("parl", "expectation=sampled estimator=none", 0);
    fail_step("parl", "expectation=sampled estimator=none upper=utility", 0);
}

/* Rewards and labels of two responses are of one answer. */
Test(judge_failure, is_none_where_a_group_of_two_is_judged_once) {
    Race race = race_begin("rloo", "group_size=2", "contexts=3 responses=5 pairs=20", 0, 8);
    lose_patience(&race.environment->task, 1);
    cr_expect_eq(rg_trainer_step(race.trainer, &error), RG_OK, "%s", error.text);
    cr_expect_eq(race.trainer->meter.judge_queries, 16);
    race_end(&race);
}

Test(judge_failure, keeps_a_trainer_from_being_made_where_all_is_judged_at_first) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=20", 0, 8);
    lose_patience(&race.environment->task, 0);
    const RgAlgorithm *parl = rg_algorithm_find("parl");
    void *options = rg_allocate(1, parl->about.options_size);
    RgSettings *nothing = rg_settings_create();
    rg_small_race_set(nothing, "algorithm", "expectation=exact");
    cr_assert_eq(rg_options_read(parl->about.options, nothing, "algorithm", options, &error),
                 RG_OK);
    RgTrainer *trainer;
    cr_expect_eq(rg_trainer_create(parl, options, &race.trainer->training, race.policy,
                                   race.reference, &race.environment->task,
                                   &race.trainer->optimizer->options, 0, rg_random_root(1),
                                   &trainer, &error),
                 RG_E_FILE);
    cr_expect_null(trainer);
    rg_settings_destroy(nothing);
    free(options);
    race_end(&race);
}

Test(judge_failure, of_best_of_n_ends_the_evaluation) {
    RgSettings *settings = rg_settings_create();
    RgPolicySpace space = {.contexts = 2, .responses = 3};
    RgPolicy *policy;
    cr_assert_eq(
        rg_policy_create("tabular", settings, "policy", &space, rg_random_root(1), &policy, &error),
        RG_OK);
    RgTask task = {0};
    lose_patience(&task, 0);
    RgContender best = {.policy = policy, .reference = policy, .beta = 0.1, .best_of = 4};
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    int32_t context = 1;
    rg_sequences_append(prompts, &context, 1, NULL, 0);
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = 1, .end_token = -1};
    cr_expect_eq(
        rg_contender_sample(&best, &task, prompts, &sampling, rg_random_root(2), out, NULL, &error),
        RG_E_FILE);
    cr_expect_str_eq(error.text, "nobody answers");
    rg_sequences_destroy(out);
    rg_sequences_destroy(prompts);
    rg_policy_destroy(policy);
    rg_settings_destroy(settings);
}

/* ---- trials ---- */

static const char config[] = "name = \"failing\"; seeds = [3];\n"
                             "environment: { type = \"bandit\"; contexts = 4; responses = 6; };\n"
                             "policy: { type = \"tabular\"; };\n"
                             "optimizer: { learning_rate = 0.05; };\n"
                             "training: { batch = 8; };\n"
                             "budget: { steps = 12; };\n"
                             "evaluation: { every = 4; log_every = 1; };\n"
                             "algorithms = ( { type = \"online-dpo\"; } );\n";

/* One number, or the text in *text, by a query on the results. */
static double ask(const char *path, const char *query, char *text) {
    sqlite3 *db;
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    double value = sqlite3_column_double(statement, 0);
    if (text)
        strcpy(text, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

/* In place of the environment's own; NULL: its own. */
static const RgEnvironmentType *other_type;

/* Run the one trial into `name`.db; with a judge that answers so many times, or with its own. */
static RgStatus run_trial(const char *name, int answers, double checkpoint_seconds) {
    RgExperiment *experiment;
    char path[256], folder[300];
    snprintf(path, sizeof path, "%s", scratch(name));
    snprintf(folder, sizeof folder, "%s.weights", path);
    mkdir(folder, 0777);
    cr_assert_eq(rg_experiment_open(scratch_write("x.cfg", config), NULL, 0, &experiment, &error),
                 RG_OK, "%s", error.text);
    RgProgress progress = rg_progress_create(1, true);
    RgTrialRun run = {
        .folder = folder, .checkpoint_seconds = checkpoint_seconds, .progress = &progress};
    cr_assert_eq(rg_store_open(path, true, &run.store, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_store_experiment(run.store, "failing", "{}", &run.experiment, &error), RG_OK);
    cr_assert_eq(rg_trial_setup_make(&run.setup, &experiment->trials[0], &error), RG_OK);
    if (answers >= 0)
        lose_patience(&run.setup.environment->task, answers);
    if (other_type)
        run.setup.environment->type = other_type;
    RgStatus status = rg_trial_run(&run, &experiment->trials[0], &error);
    rg_progress_end(&progress);
    rg_trial_setup_clear(&run.setup);
    rg_store_close(run.store);
    rg_experiment_close(experiment);
    return status;
}

static const char sum_of_metrics[] = "SELECT total(value * step) FROM metrics";

TestSuite(judge_failure_trial, .init = scratch_begin);

Test(judge_failure_trial, fails_with_the_judges_words_and_goes_on_to_the_same_numbers) {
    char text[256];
    for (int at_every_step = 0; at_every_step < 2; at_every_step++) {
        const char *name = at_every_step ? "a.db" : "b.db";
        double every = at_every_step ? 0 : 1e9;
        cr_assert_eq(run_trial("whole.db", -1, every), RG_OK, "%s", error.text);
        cr_assert_eq(run_trial(name, 6, every), RG_E_FILE);
        cr_expect_str_eq(error.text, "online-dpo, seed 3, step 7: nobody answers");
        ask(scratch(name), "SELECT status FROM trials", text);
        cr_expect_str_eq(text, "failed");
        ask(scratch(name), "SELECT reason FROM trials", text);
        cr_expect_str_eq(text, error.text);
        cr_expect_eq(ask(scratch(name), "SELECT max(step) FROM metrics", NULL), 6,
                     "the step that failed is not recorded");
        cr_assert_eq(run_trial(name, -1, every), RG_OK, "%s", error.text);
        ask(scratch(name), "SELECT status FROM trials", text);
        cr_expect_str_eq(text, "finished");
        cr_expect_eq(ask(scratch(name), sum_of_metrics, NULL),
                     ask(scratch("whole.db"), sum_of_metrics, NULL));
    }
}

/* One number more than there is room for, which a careless environment may claim. */
static int count_too_many(RgEnvironment *environment, RgEnvironmentCount *counts) {
    (void)environment;
    for (int i = 0; i < RG_ENVIRONMENT_COUNTS; i++)
        snprintf(counts[i].name, sizeof counts[i].name, "count_%d", i);
    return RG_ENVIRONMENT_COUNTS + 1;
}

Test(judge_failure_trial, more_counts_than_there_is_room_for_are_told_by_name) {
    RgEnvironmentType careless = *rg_environment_type("bandit");
    careless.about.name = "careless";
    careless.take_counts = count_too_many;
    other_type = &careless;
    cr_assert_eq(run_trial("x.db", -1, 1e9), RG_E_RANGE);
    cr_expect(strstr(error.text, "the environment \"careless\": take_counts gives 41 numbers"),
              "%s", error.text);
}
