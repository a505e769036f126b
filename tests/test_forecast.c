/* SPDX-License-Identifier: MIT */
/* What a dry run and the status say: states of trials, what they took and will take, and that plans
 * count what runs count. */
#include "analysis/store/run_status.h"
#include "experiments/program/config/units.h"
#include "experiments/program/run/dry_run.h"
#include "experiments/program/run/forecast.h"
#include "experiments/program/run/trial.h"
#include "scratch.h"

#include <jansson.h>
#include <math.h>
#include <sqlite3.h>

TestSuite(forecast, .init = scratch_begin);

#define BANDIT                                                                                     \
    "name = \"test\"; environment: { type = \"bandit\"; contexts = 4; responses = 6; pairs = 40; " \
    "};"                                                                                           \
    "policy: { type = \"tabular\"; }; optimizer: { learning_rate = 0.1; };"                        \
    "training: { batch = 8; };"

static void check(RgStatus status, const RgError *error) {
    cr_assert(status == RG_OK, "%s", error->text);
}

static RgExperiment *opened(const char *text) {
    RgError error = {0};
    RgExperiment *experiment;
    check(rg_experiment_open(scratch_write("test.cfg", text), NULL, 0, &experiment, &error),
          &error);
    return experiment;
}

static RgStore *store_of(const RgExperiment *e, int64_t *id) {
    RgError error = {0};
    RgStore *store;
    check(rg_store_open(scratch("test.db"), true, &store, &error), &error);
    check(rg_store_experiment(store, e->options.name, e->config_json, id, &error), &error);
    return store;
}

/* A trial that is at `step`, after so many operations and seconds, with one evaluation more. */
static void put_trial(RgStore *store, int64_t experiment, const RgTrialSpec *plan, int64_t step,
                      double seconds, const char *status, const char *reason) {
    RgError error = {0};
    bool finished;
    const char *names[] = {"loss"};
    double values[] = {0.5};
    RgTrialRecord record = {.experiment = experiment,
                            .key = plan->key,
                            .algorithm = plan->algorithm->about.name,
                            .label = plan->part.label,
                            .seed = plan->seed,
                            .swept_json = plan->swept_json,
                            .config_json = plan->resolved_json,
                            .provenance_json = "{}"};
    RgMeter meter = {.flops = 100 * (double)step, .seconds = seconds, .judge_queries = 2 * step};
    check(rg_store_trial(store, &record, &finished, &error), &error);
    if (step >= 0)
        check(rg_store_evaluation_time(store, record.id, step, 1, &error), &error);
    if (step >= 0)
        check(rg_store_step(store, record.id, step, &meter, names, values, 1, NULL, &error),
              &error);
    if (status)
        check(rg_store_trial_status(store, record.id, status, reason, &error), &error);
}

static RgForecast *forecast_of(const RgExperiment *e, RgRunStatuses *statuses, bool written) {
    RgError error = {0};
    check(rg_run_statuses_open(scratch("test.db"), NULL, statuses, &error), &error);
    cr_assert_eq(statuses->count, 1);
    cr_assert(statuses->at[0].latest);
    return rg_forecast(e, &statuses->at[0], written, NULL, NULL);
}

#define FIVE                                                                                       \
    BANDIT "seeds = [1, 2, 3, 4, 5]; budget: { steps = 10; };"                                     \
           "algorithms = ( { type = \"dpo\"; } );"

Test(forecast, states_are_those_of_the_store_and_of_who_writes_it) {
    static const RgTrialState idle[] = {RG_STATE_FINISHED, RG_STATE_DIVERGED, RG_STATE_FAILED,
                                        RG_STATE_INTERRUPTED, RG_STATE_NEW};
    RgExperiment *e = opened(FIVE);
    int64_t id;
    RgStore *store = store_of(e, &id);
    put_trial(store, id, &e->trials[0], 10, 4, "finished", NULL);
    put_trial(store, id, &e->trials[1], 3, 1, "diverged", "step 3: the loss is not finite");
    put_trial(store, id, &e->trials[2], -1, 0, "failed", "no data");
    put_trial(store, id, &e->trials[3], 4, 1, NULL, NULL);
    RgRunStatuses statuses;
    RgForecast *all = forecast_of(e, &statuses, false);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(all[i].state, idle[i], "trial %d is %s", i, rg_state_names[all[i].state]);
    cr_assert_str_eq(all[1].entry->reason, "step 3: the loss is not finite");
    cr_assert_eq(all[1].share, 1, "a diverged trial is done");
    cr_assert_eq(all[2].entry->step, -1);
    cr_assert_float_eq(all[3].share, 0.4, 1e-12);
    cr_assert_null(all[4].entry);
    free(all);
    rg_run_statuses_close(&statuses);
    all = forecast_of(e, &statuses, true);
    cr_assert_eq(all[3].state, RG_STATE_RUNNING);
    free(all);
    rg_run_statuses_close(&statuses);
    rg_store_close(store);
    rg_experiment_close(e);
}

Test(forecast, what_is_left_is_told_by_the_finished_ones) {
    RgExperiment *e = opened(FIVE);
    int64_t id;
    RgStore *store = store_of(e, &id);
    put_trial(store, id, &e->trials[0], 10, 4, "finished", NULL);
    put_trial(store, id, &e->trials[1], 10, 6, "finished", NULL);
    put_trial(store, id, &e->trials[2], 5, 1, NULL, NULL);
    rg_store_close(store);
    RgRunStatuses statuses;
    RgForecast *all = forecast_of(e, &statuses, true);
    /* 5 and 7 seconds with their evaluations: 6 on average, half a trial and two whole ones left */
    cr_assert_float_eq(all[0].amount[RG_FORECAST_SECONDS], 5, 1e-12);
    cr_assert_float_eq(all[2].amount[RG_FORECAST_SECONDS], 6, 1e-12);
    cr_assert_float_eq(all[4].amount[RG_FORECAST_FLOPS], 1000, 1e-9);
    cr_assert_float_eq(all[4].amount[RG_FORECAST_JUDGE_QUERIES], 20, 1e-9);
    cr_assert_float_eq(rg_forecast_left(all, 5), 2.5 * 6, 1e-9);
    free(all);
    rg_run_statuses_close(&statuses);
    rg_experiment_close(e);
}

Test(forecast, what_is_left_is_told_by_the_pace_where_nothing_has_finished) {
    RgExperiment *e = opened(FIVE);
    int64_t id;
    RgStore *store = store_of(e, &id);
    put_trial(store, id, &e->trials[0], 2, 3, NULL, NULL);
    rg_store_close(store);
    RgRunStatuses statuses;
    RgForecast *all = forecast_of(e, &statuses, true);
    cr_assert_float_eq(rg_forecast_left(all, 5), 0.8 * 20 + 4 * 20, 1e-9, "4 s for a fifth");
    free(all);
    rg_run_statuses_close(&statuses);
    all = rg_forecast(e, NULL, false, NULL, NULL);
    cr_assert(isnan(rg_forecast_left(all, 5)));
    free(all);
    rg_experiment_close(e);
}

Test(forecast, a_stored_config_unfolds_into_the_same_trials) {
    RgError error = {0};
    RgExperiment *again;
    RgExperiment *e = opened(
        BANDIT "seeds = [1, 2]; budget: { flops = 1.5e6; }; evaluation: { every = 1e5; per = "
               "\"flops\"; };"
               "algorithms = ( { type = \"base\"; }, { type = \"sail-pr\"; } );"
               "sweep = ( { option = \"algorithm.exploration\"; values = [0.0, 0.1]; } );"
               "search = { trials = 3; options = ( { option = \"optimizer.learning_rate\"; from = "
               "1e-4; to = 1e-2; scale = \"log\"; } ); };");
    check(rg_experiment_restore(e->config_json, &again, &error), &error);
    cr_assert_eq(e->trial_count, 2 * (1 + 2 * 3));
    cr_assert_eq(again->trial_count, e->trial_count);
    for (int64_t i = 0; i < e->trial_count; i++)
        cr_assert_str_eq(again->trials[i].key, e->trials[i].key);
    rg_experiment_close(again);
    rg_experiment_close(e);
    cr_assert_eq(rg_experiment_restore("{\"name\": \"x\", \"new_part\": 1}", &again, &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "new_part"));
    cr_assert_null(again);
}

/* ---- plans against runs ---- */

static RgStore *run_all(const RgExperiment *e) {
    RgError error = {0};
    int64_t id;
    RgStore *store = store_of(e, &id);
    RgProgress progress = rg_progress_create(e->trial_count, true);
    RgTrialRun run = {.store = store,
                      .experiment = id,
                      .folder = scratch_path,
                      .checkpoint_seconds = 1e9,
                      .progress = &progress};
    for (int64_t i = 0; i < e->trial_count; i++)
        check(rg_trial_run(&run, &e->trials[i], &error), &error);
    rg_progress_end(&progress);
    rg_trial_setup_clear(&run.setup);
    return store;
}

Test(forecast, plans_count_judge_queries_as_runs_do) {
    RgExperiment *e = opened(
        BANDIT "seeds = [1]; budget: { steps = 3; }; evaluation: { start = false; };"
               "algorithms = ( { type = \"dpo\"; }, { type = \"kto\"; }, { type = \"spin\"; },"
               " { type = \"hybrid\"; }, { type = \"chi-po\"; }, { type = \"online-dpo\"; },"
               " { type = \"sail-dp\"; mixture = 1.0; }, { type = \"sail-pr\"; mixture = 1.0; },"
               " { type = \"listwise\"; }, { type = \"rloo\"; }, { type = \"grpo\"; epochs = 2; },"
               " { type = \"rebel\"; }, { type = \"sppo\"; }, { type = \"xpo\"; },"
               " { type = \"vpo\"; }, { type = \"selm\"; }, { type = \"nash-md\"; },"
               " { type = \"ppo\"; }, { type = \"parl\"; }, { type = \"unlikelihood\"; },"
               " { type = \"ppo\"; label = \"fitted\"; reward = \"linear\"; unit = \"response\"; },"
               " { type = \"parl\"; label = \"closed\"; estimator = \"boltzmann\"; },"
               " { type = \"parl\"; label = \"fixed\"; upper = \"none\"; pretrain = 2;"
               " estimator = \"none\"; } );");
    RgCostEstimator planner = {0};
    RgRunStatuses statuses;
    RgError error = {0};
    rg_store_close(run_all(e));
    check(rg_run_statuses_open(scratch("test.db"), NULL, &statuses, &error), &error);
    for (int64_t i = 0; i < e->trial_count; i++) {
        const RgTrialSpec *plan = &e->trials[i];
        RgTrialCost cost;
        check(rg_cost_estimate_trial(&planner, plan, &cost, &error), &error);
        const RgTrialSummary *entry = rg_run_status_find(&statuses.at[0], plan->key);
        cr_assert_not_null(entry);
        cr_expect_eq((double)entry->meter.judge_queries, 3 * cost.judge_queries,
                     "%s: %ld found, %g planned", plan->part.label,
                     (long)entry->meter.judge_queries, 3 * cost.judge_queries);
        cr_expect_eq(entry->meter.generated_tokens > 0, cost.generated_tokens != 0, "%s",
                     plan->part.label);
        for (int k = RG_COST_GENERATED_TOKENS; k < RG_COSTS; k++) {
            RgSpending spending = {entry->step, entry->meter};
            bool spends =
                rg_step_spends(plan->algorithm, plan->algorithm_options, &plan->recipe, (RgCost)k);
            cr_expect_eq(spends, rg_spent(&spending, (RgCost)k) > 0, "%s: %s", plan->part.label,
                         rg_cost_names[k]);
        }
    }
    rg_run_statuses_close(&statuses);
    rg_cost_estimator_clear(&planner);
    rg_experiment_close(e);
}

/* ---- budgets at work ---- */

/* A number that a query gives. */
static double ask(RgStore *store, const char *query) {
    sqlite3_stmt *row;
    cr_assert_eq(sqlite3_prepare_v2(rg_store_database(store), query, -1, &row, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(row), SQLITE_ROW);
    double value = sqlite3_column_double(row, 0);
    sqlite3_finalize(row);
    return value;
}

Test(forecast, methods_are_evaluated_at_equal_spending) {
    RgExperiment *e = opened(
        BANDIT "seeds = [1, 2]; budget: { flops = 20000.0; };"
               "evaluation: { every = 5000.0; per = \"flops\"; start = false; log_every = 1; };"
               "algorithms = ( { type = \"dpo\"; }, { type = \"online-dpo\"; } );");
    RgStore *store = run_all(e);
    /* What the largest step costs, by which a point may come late. */
    double step = ask(store, "SELECT max(a.flops - ifnull(b.flops, 0)) FROM readings a LEFT JOIN "
                             "readings b ON b.trial = a.trial AND b.step = a.step - 1");
    cr_assert_gt(step, 0);
    cr_assert_lt(step, 5000);
    cr_assert_eq(ask(store, "SELECT count(*) FROM readings WHERE evaluated"), 4 * 4);
    for (int k = 1; k <= 4; k++) {
        char query[200];
        snprintf(query, sizeof query,
                 "SELECT count(DISTINCT trial) FROM readings WHERE evaluated AND flops >= %d AND "
                 "flops < %d + %.17g",
                 5000 * k, 5000 * k, step);
        cr_assert_eq(ask(store, query), 4, "point %d", k);
    }
    cr_assert_eq(ask(store, "SELECT count(*) FROM trials WHERE status = 'finished'"), 4);
    cr_assert_gt(ask(store, "SELECT max(step) FROM readings WHERE trial = 1"),
                 ask(store, "SELECT max(step) FROM readings WHERE trial = 2"),
                 "a step of online DPO costs more than one of DPO");
    rg_store_close(store);
    rg_experiment_close(e);
}

Test(forecast, every_budget_ends_with_the_step_that_reaches_it) {
    static const struct {
        const char *budget, *column;
        double limit, each; /* the most that a step takes */
    } cases[] = {
        {"flops = 1.0", "flops", 1, INFINITY}, /* less than a step */
        {"generated_tokens = 50", "generated_tokens", 50, 16},
        {"judge_queries = 33", "judge_queries", 33, 16},
        {"seconds = 1e-9", "seconds", 1e-9, INFINITY},
        {"steps = 3; judge_queries = 1000", "step", 3, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = rg_string_format(BANDIT "seeds = [1]; budget: { %s; }; evaluation: { "
                                             "log_every = 1; };"
                                             "algorithms = ( { type = \"online-dpo\"; } );",
                                      cases[i].budget);
        RgExperiment *e = opened(text);
        RgStore *store = run_all(e);
        char *last = rg_string_format("SELECT max(%s) FROM readings", cases[i].column);
        char *before = rg_string_format(
            "SELECT %s FROM readings ORDER BY step DESC LIMIT 1 OFFSET 1", cases[i].column);
        cr_assert_geq(ask(store, last), cases[i].limit, "%s", cases[i].budget);
        cr_assert_lt(ask(store, last), cases[i].limit + cases[i].each, "%s", cases[i].budget);
        cr_assert_lt(ask(store, before), cases[i].limit, "%s", cases[i].budget);
        free(last);
        free(before);
        free(text);
        rg_store_close(store);
        remove(scratch("test.db"));
        rg_experiment_close(e);
    }
}

/* ---- the list ---- */

static char *listed(RgExperiment *e, bool json) {
    RgError error = {0};
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    check(rg_dry_run(e, scratch("test.db"), json, stream, &error), &error);
    fclose(stream);
    return text;
}

Test(forecast, a_dry_run_adds_up_what_is_known) {
    RgExperiment *e = opened(BANDIT "seeds = [1, 2]; budget: { steps = 10; };"
                                    "algorithms = ( { type = \"online-dpo\"; }, { type = \"parl\"; "
                                    "} );");
    int64_t id;
    RgStore *store = store_of(e, &id);
    put_trial(store, id, &e->trials[0], 10, 4, "finished", NULL);
    put_trial(store, id, &e->trials[1], 5, 4, NULL, NULL);
    rg_store_close(store);
    char *text = listed(e, true);
    json_t *root = json_loads(text, 0, NULL), *trials = json_object_get(root, "trials");
    cr_assert_eq(json_array_size(trials), 4);
    json_t *third = json_array_get(trials, 2), *second = json_array_get(trials, 1);
    cr_assert_str_eq(json_string_value(json_object_get(third, "status")), "new");
    cr_assert_float_eq(json_real_value(json_object_get(third, "judge_queries")), 20, 1e-9,
                       "as its like took, not as planned");
    cr_assert(json_is_null(json_object_get(second, "flops")),
              "passes over a table are not planned");
    cr_assert_str_eq(json_string_value(json_object_get(second, "status")), "interrupted");
    json_t *total = json_object_get(root, "total"), *rest = json_object_get(root, "to_run");
    cr_assert_eq(json_real_value(json_object_get(total, "steps")), 40);
    cr_assert_eq(json_real_value(json_object_get(rest, "steps")), 5 + 20);
    cr_assert(json_is_null(json_object_get(total, "flops")));
    json_decref(root);
    free(text);
    text = listed(e, false);
    cr_assert(strstr(text, "interrupted, step 5"), "%s", text);
    cr_assert(strstr(text, "to run: 3"), "%s", text);
    cr_assert(strstr(text, "≥ 2.00 k"), "what is known of FLOPs: %s", text);
    free(text);
    rg_experiment_close(e);
}

Test(forecast, a_dry_run_without_data_lists_all_the_same_and_fails) {
    RgExperiment *e = opened("name = \"test\"; environment: { type = \"text\"; data = \"nowhere\"; "
                             "tokenizer = \"none.json\"; }; policy: { type = \"transformer\"; };"
                             "optimizer: { learning_rate = 0.1; }; seeds = [7];"
                             "budget: { steps = 2; }; algorithms = ( { type = \"dpo\"; } );");
    RgError error = {0};
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    cr_assert_eq(rg_dry_run(e, scratch("test.db"), false, stream, &error), RG_E_FILE);
    fclose(stream);
    cr_assert(strstr(text, "dpo"), "%s", text);
    cr_assert(strstr(error.text, ":1: environment.data = \""), "%s", error.text);
    cr_assert(strstr(error.text, ":1: environment.tokenizer = \""), "%s", error.text);
    free(text);
    rg_experiment_close(e);
}

/* ---- text ---- */

Test(forecast, amounts_have_three_digits_and_durations_two_parts) {
    char text[32];
    cr_assert_str_eq(rg_units_text(0, text), "0");
    cr_assert_str_eq(rg_units_text(999, text), "999");
    cr_assert_str_eq(rg_units_text(999.6, text), "1.00 k");
    cr_assert_str_eq(rg_units_text(15320, text), "15.3 k");
    cr_assert_str_eq(rg_units_text(4.309e12, text), "4.31 T");
    cr_assert_str_eq(rg_units_text(NAN, text), "–");
    cr_assert_str_eq(rg_duration_text(59.4, text), "59s");
    cr_assert_str_eq(rg_duration_text(59.6, text), "1m00s");
    cr_assert_str_eq(rg_duration_text(7503, text), "2h05m");
    cr_assert_str_eq(rg_duration_text(NAN, text), "–");
    char *swept_options = rg_swept_text("{\"batch\":16,\"learning_rate\":0.00031269999999999998,"
                                        "\"hide\":true,\"score_term\":\"exact\"}");
    cr_assert_str_eq(swept_options,
                     "batch 16, learning_rate 0.0003127, hide true, score_term exact");
    free(swept_options);
    swept_options = rg_swept_exact_text("{\"beta\":0.050000000000000003,\"rate\":0.12345678}");
    cr_assert_str_eq(swept_options, "beta 0.05, rate 0.12345678");
    free(swept_options);
}
