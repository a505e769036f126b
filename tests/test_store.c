/* SPDX-License-Identifier: MIT */
/* The results store: what is written comes back, and what can go wrong says so. */
#include "core/results/curve_gaps.h"
#include "core/results/rows.h"
#include "core/results/store_check.h"
#include "core/results/store_lock.h"
#include "core/results/weights.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static RgError error;

TestSuite(store, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static RgStore *open_store(const char *path, bool writable) {
    RgStore *store = NULL;
    ASSERT_OK(rg_store_open(path, writable, &store, &error));
    return store;
}

/* Opening must fail with this message after the path. */
static void refuse_open(const char *path, bool writable, const char *expected) {
    RgStore *store = (RgStore *)&error;
    cr_assert_eq(rg_store_open(path, writable, &store, &error), RG_E_STORE, "%s", path);
    cr_assert_null(store);
    cr_assert_eq(strncmp(error.text, path, strlen(path)), 0, "%s", error.text);
    cr_assert(strstr(error.text, expected), "%s", error.text);
}

static int64_t add_trial(RgStore *store, const char *key, bool *finished) {
    RgTrialRecord record = {.key = key,
                            .algorithm = "dpo",
                            .label = "DPO",
                            .seed = 3,
                            .swept_json = "{}",
                            .config_json = "{\"a\":1}",
                            .provenance_json = "{}"};
    ASSERT_OK(rg_store_experiment(store, "bandit", "{}", &record.experiment, &error));
    ASSERT_OK(rg_store_trial(store, &record, finished, &error));
    return record.id;
}

static const char *const names[] = {"loss", "margin"};

static void add_step(RgStore *store, int64_t trial, int64_t step, const RgEvaluation *evaluation) {
    RgMeter meter = {.flops = 1e12 * (double)step, .judge_queries = 2 * step};
    ASSERT_OK(rg_store_step(store, trial, step, &meter, names, (const double[]){0.5, NAN}, 2,
                            evaluation, &error));
}

/* The first number of a query; NaN for NULL. */
static double query(RgStore *store, const char *text) {
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_prepare_v2(rg_store_database(store), text, -1, &statement, NULL),
                 SQLITE_OK, "%s", sqlite3_errmsg(rg_store_database(store)));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW, "%s gave no row", text);
    bool null = sqlite3_column_type(statement, 0) == SQLITE_NULL;
    double value = null ? NAN : sqlite3_column_double(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static RgEvaluation *evaluation_of_two(void) {
    RgEvaluation *e = rg_evaluation_create();
    rg_evaluation_column_and_mean(e, "reward", (const double[]){1, 4}, 2);
    rg_evaluation_column(e, "kl", (const double[]){0.25, NAN}, 2);
    rg_evaluation_response(e, 1, "Ahoy π", "Aye");
    return e;
}

Test(store, step_comes_back_after_reopening) {
    const char *path = scratch("results/deep/x.sqlite");
    RgStore *store = open_store(path, true);
    int64_t trial = add_trial(store, "k1", &(bool){0});
    RgEvaluation *e = evaluation_of_two();
    RgMeter meter = {1e18, 2.5, 3, 4, 5, 8, 6, 7e9};
    ASSERT_OK(rg_store_step(store, trial, 10, &meter, names, (const double[]){0.1 + 0.2, 2}, 2, e,
                            &error));
    rg_evaluation_destroy(e);
    rg_store_close(store);

    store = open_store(path, false);
    cr_assert_eq(query(store, "SELECT value FROM metrics WHERE name = 'loss'"), 0.1 + 0.2);
    cr_assert_eq(query(store, "SELECT value FROM metrics WHERE name = 'eval/reward'"), 2.5);
    cr_assert_eq(query(store, "SELECT count(*) FROM metrics"), 3);
    cr_assert_eq(query(store, "SELECT count(*) FROM evaluations WHERE step = 10"), 4);
    cr_assert_eq(query(store, "SELECT value FROM evaluations WHERE name='reward' AND item=1"), 4);
    cr_assert_eq(query(store, "SELECT response = 'Aye' AND prompt = 'Ahoy π' FROM responses"), 1);
    cr_assert_eq(query(store, "SELECT flops = 1e18 AND seconds = 2.5 AND trained_tokens = 3 AND "
                              "generated_tokens = 4 AND judge_queries = 5 AND "
                              "dataset_responses = 8 AND hessian_products = 6 "
                              "AND peak_memory = 7e9 AND evaluated = 1 FROM readings"),
                 1);
    cr_assert_eq(query(store, "SELECT algorithm = 'dpo' AND label = 'DPO' AND seed = 3 AND key = "
                              "'k1' AND status = 'running' AND reason IS NULL FROM trials"),
                 1);
    rg_store_close(store);
    rg_store_close(NULL);
}

Test(store, is_in_wal_mode_of_its_version) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    cr_assert_eq(query(store, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    cr_assert_eq(query(store, "SELECT user_version FROM pragma_user_version"), 6);
    cr_assert_eq(query(store, "SELECT foreign_keys FROM pragma_foreign_keys"), 1);
    rg_store_close(store);
}

Test(store, not_a_number_and_infinity_survive) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    int64_t trial = add_trial(store, "k", &(bool){0});
    const double odd[] = {NAN, -INFINITY};
    ASSERT_OK(rg_store_step(store, trial, 0, &(RgMeter){0}, names, odd, 2, NULL, &error));
    cr_assert(isnan(query(store, "SELECT value FROM metrics WHERE name = 'loss'")));
    cr_assert_eq(query(store, "SELECT value IS NULL FROM metrics WHERE name = 'loss'"), 1);
    cr_assert_eq(query(store, "SELECT value FROM metrics WHERE name = 'margin'"), -INFINITY);
    rg_store_close(store);
}

Test(store, trial_is_known_by_its_key_and_finished_ones_are_told) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    bool finished = true;
    int64_t first = add_trial(store, "k1", &finished);
    cr_assert_not(finished);
    int64_t second = add_trial(store, "k2", &finished);
    cr_assert_neq(first, second);
    ASSERT_OK(rg_store_trial_status(store, first, "finished", NULL, &error));
    ASSERT_OK(rg_store_trial_status(store, second, "failed", "no memory", &error));
    cr_assert_eq(add_trial(store, "k1", &finished), first);
    cr_assert(finished);
    cr_assert_eq(query(store, "SELECT status = 'finished' FROM trials WHERE key = 'k1'"), 1);
    cr_assert_eq(query(store, "SELECT reason = 'no memory' FROM trials WHERE key = 'k2'"), 1);
    cr_assert_eq(add_trial(store, "k2", &finished), second);
    cr_assert_not(finished, "a failed trial is run again");
    cr_assert_eq(query(store, "SELECT status = 'running' AND reason IS NULL FROM trials "
                              "WHERE key = 'k2'"),
                 1);
    ASSERT_OK(rg_store_trial_status(store, second, "diverged", "loss is NaN", &error));
    add_trial(store, "k2", &finished);
    cr_assert(finished, "divergence is an outcome");
    cr_assert_eq(query(store, "SELECT count(*) FROM trials"), 2);
    rg_store_close(store);
}

Test(store, experiment_that_is_run_again_takes_the_new_config) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    int64_t first, other, again;
    ASSERT_OK(rg_store_experiment(store, "a", "{\"x\":1}", &first, &error));
    ASSERT_OK(rg_store_experiment(store, "b", "{}", &other, &error));
    ASSERT_OK(rg_store_experiment(store, "a", "{\"x\":2}", &again, &error));
    cr_assert_eq(first, again);
    cr_assert_neq(first, other);
    cr_assert_eq(query(store, "SELECT json_extract(config, '$.x') FROM experiments "
                              "WHERE name = 'a'"),
                 2);
    cr_assert_eq(query(store, "SELECT created LIKE '2%Z' FROM experiments WHERE name = 'a'"), 1);
    rg_store_close(store);
}

Test(store, rewind_forgets_what_came_after_the_step) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    int64_t trial = add_trial(store, "k1", &(bool){0}), other = add_trial(store, "k2", &(bool){0});
    RgEvaluation *e = evaluation_of_two();
    for (int64_t step = 1; step <= 4; step++) {
        add_step(store, trial, step, e);
        add_step(store, other, step, e);
    }
    rg_evaluation_destroy(e);
    ASSERT_OK(rg_store_trial_rewind(store, trial, 2, &error));
    cr_assert_eq(query(store, "SELECT max(step) FROM readings WHERE trial = 1"), 2);
    cr_assert_eq(query(store, "SELECT count(*) FROM metrics WHERE trial = 1"), 6);
    cr_assert_eq(query(store, "SELECT count(*) FROM evaluations WHERE trial = 1"), 8);
    cr_assert_eq(query(store, "SELECT count(*) FROM responses WHERE trial = 1"), 2);
    cr_assert_eq(query(store, "SELECT count(*) FROM metrics WHERE trial = 2"), 12);
    ASSERT_OK(rg_store_trial_rewind(store, trial, -1, &error));
    cr_assert_eq(query(store, "SELECT count(*) FROM readings WHERE trial = 1"), 0);
    add_step(store, trial, 0, NULL);
    ASSERT_OK(rg_store_trial_rewind(store, trial, -1, &error));
    cr_assert_eq(query(store, "SELECT count(*) FROM readings WHERE trial = 1"), 0);
    rg_store_close(store);
}

Test(store, step_that_fails_leaves_nothing_of_itself) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    int64_t trial = add_trial(store, "k", &(bool){0});
    sqlite3_db_config(rg_store_database(store), SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
    cr_assert_eq(sqlite3_exec(rg_store_database(store),
                              "CREATE TRIGGER t BEFORE INSERT ON metrics WHEN new.name = 'margin' "
                              "BEGIN SELECT RAISE(ABORT, 'no margins today'); END",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    RgMeter meter = {0};
    cr_assert_eq(
        rg_store_step(store, trial, 5, &meter, names, (const double[]){1, 2}, 2, NULL, &error),
        RG_E_STORE);
    cr_assert(strstr(error.text, "x.sqlite: cannot write step 5 of trial 1: no margins today"),
              "%s", error.text);
    cr_assert_eq(query(store, "SELECT count(*) FROM readings"), 0);
    cr_assert_eq(query(store, "SELECT count(*) FROM metrics"), 0);
    cr_assert_eq(
        rg_store_step(store, trial, 5, &meter, names, (const double[]){1}, 1, NULL, &error), RG_OK,
        "the store goes on");
    rg_store_close(store);
}

Test(store, rows_of_an_unknown_trial_are_refused) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    cr_assert_eq(
        rg_store_step(store, 99, 0, &(RgMeter){0}, names, (const double[]){1}, 1, NULL, &error),
        RG_E_STORE);
    cr_assert(strstr(error.text, "FOREIGN KEY"), "%s", error.text);
    rg_store_close(store);
}

Test(store, second_writer_is_told_who_holds_it) {
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    char holder[64];
    snprintf(holder, sizeof holder, "is being written by process %ld on ", (long)getpid());
    refuse_open(path, true, holder);
    add_trial(store, "k", &(bool){0});
    RgStore *reader = open_store(path, false);
    cr_assert_eq(query(reader, "SELECT count(*) FROM trials"), 1, "readers may look meanwhile");
    rg_store_close(reader);
    rg_store_close(store);
    rg_store_close(open_store(path, true));
}

Test(store, killed_writer_loses_no_step_and_frees_the_lock) {
    const char *path = scratch("x.sqlite");
    int written[2];
    cr_assert_eq(pipe(written), 0);
    pid_t child = fork();
    if (child == 0) {
        RgStore *store = open_store(path, true);
        int64_t trial = add_trial(store, "k", &(bool){0});
        for (int64_t step = 0;; step++) {
            add_step(store, trial, step, NULL);
            if (write(written[1], &step, sizeof step) != sizeof step)
                _exit(1);
        }
    }
    int64_t step = -1;
    while (step < 200)
        cr_assert_eq(read(written[0], &step, sizeof step), sizeof step);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(written[1]);
    while (read(written[0], &step, sizeof step) == sizeof step)
        continue;
    RgStore *store = open_store(path, true);
    cr_assert_geq(query(store, "SELECT max(step) FROM readings"), (double)step);
    cr_assert_eq(query(store, "SELECT count(*) - 2 * (SELECT count(*) FROM readings) FROM metrics"),
                 0, "whole steps only");
    cr_assert_eq(query(store, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    rg_store_close(store);
}

Test(store, children_write_side_by_side_under_the_lock_of_a_store_at_rest) {
    enum { CHILDREN = 3, STEPS = 60 };
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    rg_store_rest(store);
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        if ((children[i] = fork()) != 0)
            continue;
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        ASSERT_OK(rg_store_wake(store, &error));
        int64_t trial = add_trial(store, key, &(bool){0});
        for (int64_t step = 0; step < STEPS; step++)
            add_step(store, trial, step, NULL);
        rg_store_rest(store);
        _exit(0);
    }
    refuse_open(path, true, "is being written by process");
    for (int i = 0; i < CHILDREN; i++) {
        int how;
        waitpid(children[i], &how, 0);
        cr_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    ASSERT_OK(rg_store_wake(store, &error));
    cr_assert_eq(query(store, "SELECT count(*) FROM experiments"), 1);
    cr_assert_eq(query(store, "SELECT count(*) FROM trials"), CHILDREN);
    cr_assert_eq(query(store, "SELECT min(n) FROM (SELECT count(*) n FROM readings GROUP BY "
                              "trial)"),
                 STEPS);
    cr_assert_eq(query(store, "SELECT count(*) FROM metrics"), 2 * CHILDREN * STEPS);
    rg_store_close(store);
    rg_store_close(open_store(path, true)); /* the lock goes with its last holder */
}

Test(store, finished_trials_are_known_without_being_written) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    bool finished = true;
    int64_t trial = add_trial(store, "k", &finished), experiment = 1;
    ASSERT_OK(rg_store_trial_finished(store, experiment, "k", &finished, &error));
    cr_assert(!finished, "it is running");
    ASSERT_OK(rg_store_trial_status(store, trial, "finished", NULL, &error));
    ASSERT_OK(rg_store_trial_finished(store, experiment, "k", &finished, &error));
    cr_assert(finished);
    ASSERT_OK(rg_store_trial_finished(store, experiment, "other", &finished, &error));
    cr_assert(!finished);
    cr_assert_eq(query(store, "SELECT count(*) FROM trials"), 1);
    rg_store_close(store);
}

Test(store, what_is_no_store_is_refused) {
    refuse_open(scratch("none.sqlite"), false, "No such file or directory");
    refuse_open(scratch_path, false, "it is not a regular file");
    char text[8192];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *path = scratch_write("text.sqlite", text);
    refuse_open(path, false, "it is not an SQLite file");
    refuse_open(path, true, "it is not an SQLite file");
    path = scratch_write("folder/file", "");
    char below[256];
    snprintf(below, sizeof below, "%s/x.sqlite", path);
    refuse_open(below, true, "Not a directory");
    refuse_open(scratch_write("empty.sqlite", ""), false, "not a results store");
}

static void run_sql(const char *path, const char *text) {
    sqlite3 *database;
    cr_assert_eq(sqlite3_open(path, &database), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(database));
    sqlite3_close(database);
}

Test(store, other_databases_and_newer_versions_are_refused_and_left_alone) {
    const char *path = scratch("other.sqlite");
    run_sql(path, "CREATE TABLE mine (x)");
    refuse_open(path, true, "is an SQLite file, but not a results store");
    run_sql(path, "SELECT x FROM mine");
    path = scratch("newer.sqlite");
    rg_store_close(open_store(path, true));
    run_sql(path, "PRAGMA user_version = 7");
    refuse_open(path, true,
                "has schema version 7, written by a newer regatta; this one knows "
                "versions up to 6");
    refuse_open(path, false, "has schema version 7");
}

Test(store, damage_is_told) {
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    int64_t trial = add_trial(store, "k", &(bool){0});
    for (int64_t step = 0; step < 300; step++)
        add_step(store, trial, step, NULL);
    rg_store_close(store);
    FILE *file = fopen(path, "r+");
    char garbage[4096];
    memset(garbage, 0xA5, sizeof garbage);
    for (long page = 1; fseek(file, page * 4096, SEEK_SET) == 0 && page < 12; page++)
        cr_assert_eq(fwrite(garbage, 1, sizeof garbage, file), sizeof garbage);
    fclose(file);
    store = open_store(path, true);
    int64_t id;
    cr_assert_eq(rg_store_experiment(store, "bandit", "{}", &id, &error), RG_E_STORE);
    cr_assert(strstr(error.text, "x.sqlite: cannot read experiments: the file is damaged"), "%s",
              error.text);
    rg_store_close(store);
}

/* Tables of an older store, whose columns take anything. */
static RgStore *loose_store(const char *path) {
    RgStore *store = open_store(path, true);
    int64_t trial = add_trial(store, "0123456789abcdef", &(bool){0});
    cr_assert_eq(trial, 1);
    rg_store_close(store);
    run_sql(path,
            "DROP TABLE metrics; CREATE TABLE metrics (trial INTEGER, step INTEGER, name TEXT,"
            " value REAL, PRIMARY KEY (trial, step, name)) WITHOUT ROWID;"
            "CREATE INDEX metrics_by_name ON metrics (name, trial, step, value);"
            "PRAGMA user_version = 2");
    return open_store(path, true);
}

/* What reading all metrics of trial 1 ends with. */
static RgStatus read_metrics(RgStore *store, int *count) {
    RgRows *rows = rg_rows_open(store, "metrics",
                                "SELECT step, name, value FROM metrics WHERE"
                                " trial = ?1 ORDER BY step");
    rg_rows_of_trial(rows, 1);
    for (*count = 0; rg_rows_next(rows); ++*count)
        cr_assert(rg_rows_integer(rows, 0) >= 0 && rg_rows_text(rows, 1));
    cr_assert_not(rg_rows_next(rows), "nothing comes after the end");
    return rg_rows_close(rows, RG_OK, &error);
}

Test(store, row_that_breaks_a_rule_is_the_last_and_is_told) {
    static const struct {
        const char *step, *name, *value, *expected; /* NULL: sound */
    } cases[] = {
        {"1", "'loss'", "0.5", NULL},
        {"1", "'loss'", "3", NULL},
        {"1", "'loss'", "NULL", NULL},
        {"1", "'loss'", "-9e999", NULL},
        {"1", "'π'", "1", NULL},
        {"1", "'loss'", "'abc'", "metrics.value of trial 1: is text \"abc\", expected a number"},
        {"1", "'loss'", "x'00'", "metrics.value of trial 1: is a blob of 1 bytes"},
        {"'x'", "'loss'", "1",
         "metrics.step of trial 1: is text \"x\", expected an integer from 0"},
        {"-1", "'loss'", "1", "metrics.step of trial 1: is -1, expected"},
        {"1.5", "'loss'", "1", "metrics.step of trial 1: is 1.5, expected"},
        {"9223372036854775807", "'loss'", "1", "metrics.step of trial 1: is 9223372036854775807"},
        {"1", "CAST(x'ff' AS TEXT)", "1", "metrics.name of trial 1: is text that is not UTF-8"},
        {"1", "'a' || char(0)", "1", "metrics.name of trial 1: is text with a NUL byte"},
        {"1", "x'61'", "1", "metrics.name of trial 1: is a blob"},
        {"1", "char(27) || '[2J'", "1",
         "metrics.name of trial 1: is text \"?[2J\", expected text of"},
        {"1", "'loss'", "char(27) || '[2J'", "is text \"?[2J\""},
    };
    const char *path = scratch("x.sqlite");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgStore *store = loose_store(path);
        int count;
        char *text = rg_string_format("INSERT INTO metrics VALUES (1, 0, 'loss', 1), (1, %s, %s, "
                                      "%s), (1, 1e6, 'loss', 1)",
                                      cases[i].step, cases[i].name, cases[i].value);
        run_sql(path, text);
        RgStatus status = read_metrics(store, &count);
        if (cases[i].expected) {
            cr_assert_eq(status, RG_E_STORE, "%s", text);
            cr_assert(strstr(error.text, cases[i].expected), "%s", error.text);
            cr_assert_eq(strncmp(error.text, path, strlen(path)), 0);
        } else {
            cr_assert_eq(status, RG_OK, "%s", error.text);
            cr_assert_eq(count, 3);
        }
        free(text);
        rg_store_close(store);
        unlink(path);
    }
}

Test(store, caller_s_own_failure_comes_before_that_of_the_rows) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    RgRows *rows = rg_rows_open(store, "metrics", "SELECT step FROM nowhere");
    cr_assert_not(rg_rows_next(rows));
    rg_fail(&error, RG_E_FILE, "mine");
    cr_assert_eq(rg_rows_close(rows, RG_E_FILE, &error), RG_E_FILE);
    cr_assert_str_eq(error.text, "mine");
    rows = rg_rows_open(store, "metrics", "SELECT step FROM nowhere");
    cr_assert_eq(rg_rows_close(rows, RG_OK, &error), RG_E_STORE);
    cr_assert(strstr(error.text, "x.sqlite: cannot read the results store: no such table: nowhere"),
              "%s", error.text);
    rg_store_close(store);
}

Test(store, sql_in_a_file_is_refused) {
    static const char *const statements[][2] = {
        {"CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM readings; END", "a trigger"},
        {"CREATE VIEW v AS SELECT 1", "a view"},
        {"CREATE VIRTUAL TABLE v USING fts5(x)", "a virtual table"},
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        const char *path = scratch("x.sqlite");
        rg_store_close(open_store(path, true));
        run_sql(path, statements[i][0]);
        refuse_open(path, false, statements[i][1]);
        refuse_open(path, true, "which no results store does");
        unlink(path);
    }
}

Test(store, first_version_can_be_written) {
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    int64_t trial = add_trial(store, "0123456789abcdef", &(bool){0});
    add_step(store, trial, 1, NULL);
    rg_store_close(store);
    run_sql(path, "ALTER TABLE readings DROP COLUMN dataset_responses;"
                  "ALTER TABLE trials DROP COLUMN selected; PRAGMA user_version = 1");
    store = open_store(path, false);
    RgRows *rows = rg_rows_open(store, "any", "SELECT count(*) AS count FROM readings");
    cr_assert(rg_rows_next(rows));
    ASSERT_OK(rg_rows_close(rows, RG_OK, &error));
    cr_assert_str_neq(rg_rows_readings(store), "readings");
    cr_assert_str_neq(rg_rows_trials(store), "trials");
    rg_store_close(store);
    store = open_store(path, true);
    RgMeter meter = {.dataset_responses = 7, .peak_memory = 5};
    ASSERT_OK(
        rg_store_step(store, trial, 2, &meter, names, (const double[]){1, 2}, 2, NULL, &error));
    cr_assert_eq(query(store, "SELECT dataset_responses FROM readings WHERE step = 2"), 7);
    cr_assert_eq(query(store, "SELECT peak_memory FROM readings WHERE step = 2"), 5);
    cr_assert_str_eq(rg_rows_trials(store), "trials");
    cr_assert_eq(query(store, "SELECT selected IS NULL FROM trials"), 1);
    cr_assert_eq(query(store, "SELECT dataset_responses IS NULL FROM readings WHERE step = 1"), 1);
    rg_store_close(store);
}

Test(store, check_finds_a_good_store_clean_and_tells_what_is_missing) {
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    RgEvaluation *e = evaluation_of_two();
    int64_t trial = add_trial(store, "0123456789abcdef", &(bool){0});
    int64_t other = add_trial(store, "fedcba9876543210", &(bool){0});
    for (int64_t step = 0; step < 3; step++) {
        add_step(store, trial, step, e);
        add_step(store, other, step, e);
    }
    rg_evaluation_destroy(e);
    rg_store_close(store);
    RgStoreCheck check;
    ASSERT_OK(rg_store_check(path, &check, &error));
    cr_assert(rg_store_check_is_clean(&check), "%s",
              check.count ? check.findings[0] : check.trials[0].findings[0]);
    rg_store_check_clear(&check);
    run_sql(path,
            "DELETE FROM evaluations WHERE trial = 2 AND item = 1 AND step = 1 AND name = 'kl';"
            "DELETE FROM readings WHERE trial = 2 AND step = 2");
    ASSERT_OK(rg_store_check(path, &check, &error));
    cr_assert_eq(check.whole_count, 1);
    cr_assert_eq(check.trials[0].count, 0);
    cr_assert_str_eq(check.trials[1].key, "fedcba9876543210");
    cr_assert_str_eq(check.trials[1].findings[0], "metrics: step 2 has no readings");
    cr_assert_str_eq(check.trials[1].findings[check.trials[1].count - 1],
                     "evaluations: step 1 lacks items of kl");
    rg_store_check_clear(&check);
}

static const char sum_of_abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

Test(store, selected_step_is_kept_and_has_to_be_one_that_was_evaluated) {
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    RgEvaluation *e = evaluation_of_two();
    int64_t trial = add_trial(store, "0123456789abcdef", &(bool){0});
    for (int64_t step = 0; step < 4; step++)
        add_step(store, trial, step, step < 3 ? e : NULL);
    rg_evaluation_destroy(e);
    ASSERT_OK(rg_store_trial_done(store, trial, NULL, sum_of_abc, 1, &error));
    cr_assert_eq(query(store, "SELECT selected FROM trials"), 1);
    rg_store_close(store);
    RgStoreCheck check;
    ASSERT_OK(rg_store_check(path, &check, &error));
    cr_assert_eq(check.trials[0].count, 0);
    rg_store_check_clear(&check);
    run_sql(path, "UPDATE trials SET selected = 3");
    ASSERT_OK(rg_store_check(path, &check, &error));
    cr_assert_eq(check.trials[0].count, 1);
    cr_assert_str_eq(check.trials[0].findings[0], "has step 3 selected, which was not evaluated");
    rg_store_check_clear(&check);
}

/* ---- curves ---- */

/* A trial that was evaluated at the start, every so much of a cost, and logged every 5 steps; of
 * each step the meter reads 1e12 operations and 2 queries. */
static int64_t add_trial_of(RgStore *store, const char *key, const char *per, const char *every) {
    char *config = rg_string_format("{\"evaluation.per\": \"%s\", \"evaluation.every\": %s,"
                                    " \"evaluation.start\": true, \"evaluation.log_every\": 5}",
                                    per, every);
    bool finished;
    RgTrialRecord record = {.key = key,
                            .algorithm = "dpo",
                            .label = key,
                            .swept_json = "{}",
                            .config_json = config,
                            .provenance_json = "{}"};
    ASSERT_OK(rg_store_experiment(store, "bandit", "{}", &record.experiment, &error));
    ASSERT_OK(rg_store_trial(store, &record, &finished, &error));
    free(config);
    return record.id;
}

/* Steps of a list that ends with −1: below 0 − n for a step n that is not evaluated. */
static void expect_gaps(RgStore *store, int64_t trial, const int *steps, const char *status,
                        const char *expected) {
    RgEvaluation *e = evaluation_of_two();
    ASSERT_OK(rg_store_trial_rewind(store, trial, -1, &error));
    for (; *steps != -1; steps++)
        add_step(store, trial, abs(*steps), *steps >= 0 ? e : NULL);
    rg_evaluation_destroy(e);
    ASSERT_OK(rg_store_trial_status(store, trial, status, "why", &error));
    char *gaps;
    ASSERT_OK(rg_curve_gaps(store, trial, &gaps, &error));
    cr_expect((!gaps && !expected) || (gaps && expected && strcmp(gaps, expected) == 0),
              "%s, expected %s", gaps ? gaps : "none", expected ? expected : "none");
    free(gaps);
}
#define STEPS(...) ((const int[]){__VA_ARGS__, -1})

Test(store, steps_that_curves_lack_follow_from_the_config) {
    RgStore *store = open_store(scratch("x.sqlite"), true);
    int64_t trial = add_trial_of(store, "0123456789abcdef", "steps", "10");
    expect_gaps(store, trial, STEPS(0, -5, 10, -15, 20, 23), "finished", NULL);
    expect_gaps(store, trial, STEPS(0, -5, 10, -15), "running", NULL);
    expect_gaps(store, trial, STEPS(-15, 20, 23), "finished", "steps 0 to 10");
    expect_gaps(store, trial, STEPS(0, 10, -15, 20), "finished", "step 5");
    expect_gaps(store, trial, STEPS(0, -5, -15, -20, 25), "finished", "steps 10, 20");
    expect_gaps(store, trial, STEPS(0, -5, 10, -15, 20, -23), "finished", "step 23");
    expect_gaps(store, trial, STEPS(0, -5, 10, -15, -20), "diverged", NULL);
    expect_gaps(store, trial, STEPS(0, 10, 20, 30, 40, 50, 60, 70), "finished",
                "steps 5, 15, 25, 35 and more");
    /* 3e13 operations are reached at step 30, which no log would tell of */
    trial = add_trial_of(store, "fedcba9876543210", "flops", "1.2e13");
    expect_gaps(store, trial, STEPS(0, -5, -10, 12, -15, -20, 24, -25), "running", NULL);
    expect_gaps(store, trial, STEPS(0, -5, -10, -15, -20, 24, -25), "running", "step 15");
    trial = add_trial_of(store, "00000000fedcba98", "judge_queries", "15");
    expect_gaps(store, trial, STEPS(0, -5, 8, -10, 15), "finished", NULL);
    expect_gaps(store, trial, STEPS(0, -5, -10, 15), "finished", "step 10");
    trial = add_trial_of(store, "0000000000000001", "moons", "15"); /* of no program of ours */
    expect_gaps(store, trial, STEPS(7, 9), "finished", NULL);
    rg_store_close(store);
}

/* ---- files that come and go ---- */

Test(store, what_is_discarded_leaves_nothing_where_it_was_made) {
    const char *path = scratch("new/folder/x.db"), *old = scratch("old.db");
    rg_store_discard(open_store(path, true));
    cr_assert_neq(access(scratch("new"), F_OK), 0);
    rg_store_close(open_store(old, true));
    rg_store_discard(open_store(old, true));
    rg_store_close(open_store(old, false));
    scratch_write("new/other", "");
    rg_store_discard(open_store(path, true));
    cr_assert_eq(access(scratch("new/other"), F_OK), 0);
    cr_assert_neq(access(scratch("new/folder"), F_OK), 0);
}

/* One who has opened the lock of a store that is discarded then has that of the next one. */
Test(store, lock_that_is_discarded_locks_nobody_out) {
    const char *path = scratch("x.db");
    int ready[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork(); /* first, as it would have the lock that its parent has */
    if (child == 0) {
        RgStore *second;
        char holder[128];
        bool good = read(ready[0], &byte, 1) == 1 &&
                    rg_store_open(path, true, &second, NULL) == RG_OK &&
                    rg_store_writer(path, holder);
        _exit(good ? 0 : 1);
    }
    RgStore *store = open_store(path, true);
    cr_assert_eq(write(ready[1], &byte, 1), 1);
    usleep(10000); /* less than the time for which a lock is asked for */
    rg_store_discard(store);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

Test(store, reading_leaves_no_log) {
    const char *path = scratch("x.db");
    RgStore *store = open_store(path, true), *reader;
    add_trial(store, "0123456789abcdef", &(bool){0});
    reader = open_store(path, false);
    rg_store_close(reader);
    cr_assert_eq(access(scratch("x.db-wal"), F_OK), 0, "the writer's stays");
    cr_assert_eq(add_trial(store, "0123456789abcdee", &(bool){0}), 2);
    rg_store_close(store);
    reader = open_store(path, false);
    cr_assert_eq(query(reader, "SELECT count(*) FROM trials"), 2);
    RgStore *other = open_store(path, false);
    rg_store_close(reader);
    cr_assert_eq(query(other, "SELECT count(*) FROM trials"), 2);
    rg_store_close(other);
    cr_assert_neq(access(scratch("x.db-wal"), F_OK), 0);
    cr_assert_neq(access(scratch("x.db-shm"), F_OK), 0);
}

/* Root may write anything: what follows must be tried as somebody else. */
static void become_nobody(void) {
    if (geteuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
}

Test(store, read_only_file_is_refused_for_writing) {
    const char *path = scratch("x.sqlite");
    rg_store_close(open_store(path, true));
    uid_t owner = geteuid();
    cr_assert_eq(chmod(scratch_path, 0777), 0);
    cr_assert_eq(chmod(scratch("x.sqlite.lock"), 0666), 0);
    cr_assert_eq(chmod(path, 0444), 0);
    become_nobody();
    refuse_open(path, true, "read-only");
    cr_assert_eq(seteuid(owner), 0);
}

Test(store, read_only_folder_can_be_read_but_not_written) {
    const char *path = scratch("a%b?c#d.sqlite");
    RgStore *store = open_store(path, true);
    add_trial(store, "k", &(bool){0});
    rg_store_close(store);
    uid_t owner = geteuid();
    cr_assert_eq(chmod(path, 0444), 0);
    cr_assert_eq(chmod(scratch_path, 0555), 0);
    cr_assert_eq(unlink(scratch("a%b?c#d.sqlite.lock")) == 0 || geteuid() != 0, 1);
    become_nobody();
    store = open_store(path, false);
    cr_assert_eq(query(store, "SELECT count(*) FROM trials"), 1);
    rg_store_close(store);
    refuse_open(path, true, "Permission denied");
    cr_assert_eq(seteuid(owner), 0);
    cr_assert_eq(chmod(scratch_path, 0755), 0);
}

Test(store, full_disk_is_told_and_costs_only_the_step) {
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    int64_t trial = add_trial(store, "k", &(bool){0});
    /* SQLite's own limit, as a full disk cannot be had in a test. */
    query(store, "PRAGMA max_page_count = 40");
    int64_t step = 0;
    RgStatus status = RG_OK;
    for (; step < 100000 && status == RG_OK; step++)
        status = rg_store_step(store, trial, step, &(RgMeter){0}, names, (const double[]){1, 2}, 2,
                               NULL, &error);
    cr_assert_eq(status, RG_E_STORE);
    cr_assert(strstr(error.text, ": the disk is full"), "%s", error.text);
    cr_assert_eq(query(store, "SELECT max(step) FROM readings"), (double)(step - 2));
    rg_store_close(store);
}

Test(store, file_system_that_refuses_more_is_told) {
    const char *path = scratch("x.sqlite");
    RgStore *store = open_store(path, true);
    int64_t trial = add_trial(store, "k", &(bool){0});
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {300000, 300000};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    RgStatus status = RG_OK;
    for (int64_t step = 0; step < 10000 && status == RG_OK; step++)
        status = rg_store_step(store, trial, step, &(RgMeter){0}, names, (const double[]){1, 2}, 2,
                               NULL, &error);
    cr_assert_eq(status, RG_E_STORE);
    cr_assert(strstr(error.text, "x.sqlite: cannot write step"), "%s", error.text);
    cr_assert(strstr(error.text, "disk I/O error") || strstr(error.text, "File too large"), "%s",
              error.text);
    rg_store_close(store);
}

Test(store, who_writes_it_can_be_asked) {
    const char *path = scratch("x.sqlite");
    char holder[128] = "", expected[64];
    cr_assert_not(rg_store_writer(path, holder), "nothing is there");
    RgStore *store = open_store(path, true);
    snprintf(expected, sizeof expected, "process %ld on ", (long)getpid());
    cr_assert(rg_store_writer(path, holder));
    cr_assert_eq(strncmp(holder, expected, strlen(expected)), 0, "%s", holder);
    rg_store_close(store);
    cr_assert_not(rg_store_writer(path, holder));
    store = open_store(path, true);
    pid_t heir = fork();
    if (heir == 0)
        pause();
    rg_store_close(store);
    cr_assert(rg_store_writer(path, holder), "the lock is its children's too");
    kill(heir, SIGKILL);
    waitpid(heir, NULL, 0);
    cr_assert_not(rg_store_writer(path, holder));
}

/* ---- weights ---- */

static void expect_check(RgStore *store, int64_t trial, RgWeightsFile file, const char *path,
                         const char *why) {
    RgChecksum sum;
    RgStatus status = rg_weights_check(store, trial, file, path, &sum, &error);
    cr_expect_eq(status == RG_OK, why == NULL, "%s", status == RG_OK ? "taken" : error.text);
    if (why && status != RG_OK)
        cr_expect(strstr(error.text, path) && strstr(error.text, why), "%s", error.text);
}

Test(store, weights_are_those_that_it_knows) {
    RgStore *store = open_store(scratch("x.db"), true);
    int64_t trial = add_trial(store, "0123456789abcdef", &(bool){0});
    const char *path = scratch_write("x/0123456789abcdef.safetensors", "abc");
    /* FIPS 180-2, B.1; and that of nothing */
    const char *abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const char *nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    expect_check(store, trial, RG_WEIGHTS_CHECKPOINT, path, NULL); /* none is known */
    ASSERT_OK(rg_store_checkpoint(store, trial, "", nothing, &error));
    expect_check(store, trial, RG_WEIGHTS_CHECKPOINT, path, "is damaged: its SHA-256 is ba7816bf");
    expect_check(store, trial, RG_WEIGHTS_FINAL, path, NULL);
    ASSERT_OK(rg_store_checkpoint(store, trial, nothing, abc, &error)); /* is being replaced */
    expect_check(store, trial, RG_WEIGHTS_CHECKPOINT, path, NULL);
    expect_check(store, trial, RG_WEIGHTS_CHECKPOINT, scratch_write("empty", ""), NULL);
    ASSERT_OK(rg_store_checkpoint(store, trial, abc, abc, &error));
    expect_check(store, trial, RG_WEIGHTS_CHECKPOINT, scratch("empty"), abc);
    ASSERT_OK(rg_store_trial_done(store, trial, NULL, abc, -1, &error));
    cr_assert_eq(query(store, "SELECT count(*) FROM weights"), 1);
    cr_assert_eq(query(store, "SELECT status = 'finished' FROM trials"), 1);
    expect_check(store, trial, RG_WEIGHTS_FINAL, path, NULL);
    ASSERT_OK(rg_weights_check_path(path, &error));
    scratch_write("x/0123456789abcdef.safetensors", "abd");
    cr_assert_eq(rg_weights_check_path(path, &error), RG_E_FORMAT);
    cr_assert(strstr(error.text, abc), "%s", error.text);
    ASSERT_OK(rg_weights_check_path(scratch("empty"), &error));
    run_sql(scratch("x.db"), "DROP TABLE weights; PRAGMA user_version = 3");
    ASSERT_OK(rg_weights_check_path(path, &error));
    rg_store_close(store);
}

/* ---- a store that goes away ---- */

static void lose(void (*how)(const char *path), const char *why) {
    const char *path = scratch("x.db");
    RgStore *store = open_store(path, true);
    int64_t trial = add_trial(store, "0123456789abcdef", &(bool){0});
    add_step(store, trial, 1, NULL);
    how(path);
    RgMeter meter = {0};
    cr_assert_eq(
        rg_store_step(store, trial, 2, &meter, names, (const double[]){1, 2}, 2, NULL, &error),
        RG_E_STORE);
    cr_assert(strstr(error.text, ": cannot write step 2 of trial ") && strstr(error.text, why),
              "%s", error.text);
    rg_store_close(store);
}

static void delete_it(const char *path) {
    cr_assert_eq(unlink(path), 0);
}

static void replace_it(const char *path) {
    rg_store_close(open_store(scratch("y.db"), true));
    cr_assert_eq(rename(scratch("y.db"), path), 0);
}

static void cut_it(const char *path) {
    cr_assert_eq(truncate(path, 4096), 0);
}

Test(store, one_that_is_deleted_under_a_run_is_noticed) {
    lose(delete_it, "the file was deleted, moved or replaced while it was being written");
    struct stat about;
    cr_assert_neq(stat(scratch("x.db"), &about), 0, "and is not made again");
}

Test(store, one_that_is_replaced_under_a_run_is_noticed_and_left_alone) {
    lose(replace_it, "the file was deleted, moved or replaced while it was being written");
    run_sql(scratch("x.db"), "SELECT 1 FROM trials");
}

Test(store, one_that_is_cut_short_under_a_run_is_noticed) {
    const char *path = scratch("x.db");
    RgStore *store = open_store(path, true);
    add_step(store, add_trial(store, "fedcba9876543210", &(bool){0}), 1, NULL);
    rg_store_close(store); /* so that the file has more than a page */
    lose(cut_it, "the file was truncated while it was being written");
}
