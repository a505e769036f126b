/* SPDX-License-Identifier: MIT */
/* Writing experiments, trials and their steps to the results store. Queries for tables and plots
 * are in analysis, and rows.c reads for all.
 *
 * One process writes, or several that inherit its lock (store_lock.h); any number may read
 * meanwhile (WAL). Each step is one transaction, so a killed run leaves only complete steps.
 * Commits survive the death of the process. Commits with an evaluation or a change of status are
 * also synced to the disk, together with all earlier ones, so a power failure costs at most the
 * training rows since the last evaluation. */
#include "core/results/store.h"

#include "core/results/store_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef enum Statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    SYNC_ALWAYS,
    SYNC_RARELY,
    TRIAL_INSERT,
    TRIAL_UPDATE,
    TRIAL_STATUS,
    TRIAL_SELECTED,
    TRIAL_FORGET,
    REWIND_READINGS,
    REWIND_METRICS,
    REWIND_EVALUATIONS,
    REWIND_RESPONSES,
    REWIND_TIMES,
    READING,
    METRIC,
    ITEM,
    RESPONSE,
    TIME,
    SUM_FORGET,
    SUM,
    STATEMENT_COUNT,
} Statement;

#define NOW "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"

static const char *const statement_text[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [SYNC_ALWAYS] = "PRAGMA synchronous = FULL",
    [SYNC_RARELY] = "PRAGMA synchronous = NORMAL",
    [TRIAL_INSERT] = "INSERT INTO trials (experiment, key, algorithm, label, seed, swept, config,"
                     " provenance, status, updated)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'running', " NOW ")",
    [TRIAL_UPDATE] = "UPDATE trials SET algorithm = ?3, label = ?4, seed = ?5, swept = ?6,"
                     " config = ?7, provenance = ?8, status = 'running', reason = NULL,"
                     " updated = " NOW " WHERE experiment = ?1 AND key = ?2",
    [TRIAL_STATUS] = "UPDATE trials SET status = ?2, reason = ?3, updated = " NOW " WHERE id = ?1",
    [TRIAL_SELECTED] = "UPDATE trials SET selected = ?2 WHERE id = ?1",
    [TRIAL_FORGET] = "DELETE FROM trials WHERE id = ?1", /* and everything it owns */
    [REWIND_READINGS] = "DELETE FROM readings WHERE trial = ?1 AND step > ?2",
    [REWIND_METRICS] = "DELETE FROM metrics WHERE trial = ?1 AND step > ?2",
    [REWIND_EVALUATIONS] = "DELETE FROM evaluations WHERE trial = ?1 AND step > ?2",
    [REWIND_RESPONSES] = "DELETE FROM responses WHERE trial = ?1 AND step > ?2",
    [REWIND_TIMES] = "DELETE FROM evaluation_times WHERE trial = ?1 AND step > ?2",
    [TIME] = "INSERT OR REPLACE INTO evaluation_times VALUES (?1, ?2, ?3)",
    [SUM_FORGET] = "DELETE FROM weights WHERE trial = ?1 AND file = ?2",
    [SUM] = "INSERT OR IGNORE INTO weights VALUES (?1, ?2, ?3)",
    [READING] = "INSERT OR REPLACE INTO readings (trial, step, flops, seconds, trained_tokens,"
                " generated_tokens, judge_queries, dataset_responses, hessian_products,"
                " peak_memory, evaluated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [METRIC] = "INSERT OR REPLACE INTO metrics VALUES (?1, ?2, ?3, ?4)",
    [ITEM] = "INSERT OR REPLACE INTO evaluations VALUES (?1, ?2, ?3, ?4, ?5)",
    [RESPONSE] = "INSERT OR REPLACE INTO responses VALUES (?1, ?2, ?3, ?4, ?5)",
};

static const char experiment_text[] =
    "INSERT INTO experiments (name, config, created) VALUES (?1, ?2, " NOW ")"
    " ON CONFLICT (name) DO UPDATE SET config = excluded.config RETURNING id";
static const char find_text[] = "SELECT id, status FROM trials WHERE experiment = ?1 AND key = ?2";

RgStatus rg_store_prepare(RgStore *store, RgError *error) {
    store->statements = rg_allocate(STATEMENT_COUNT, sizeof *store->statements);
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(store->database, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK)
            return rg_store_refused(store, "use the results store", error);
    store->experiment = rg_rows_open(store, "experiments", experiment_text);
    store->find = rg_rows_open(store, "trials", find_text);
    return RG_OK;
}

void rg_store_unprepare(RgStore *store) {
    for (int i = 0; store->statements && i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    free(store->statements);
    store->statements = NULL;
    rg_rows_close(store->experiment, RG_OK, NULL);
    rg_rows_close(store->find, RG_OK, NULL);
    store->experiment = store->find = NULL;
}

/* Runs a statement that returns no rows (any are ignored) and clears its bindings. */
static bool run(sqlite3_stmt *statement) {
    int code;
    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text) {
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC); /* NULL binds NULL */
}

/* Checks that the file is still in place and complete. SQLite continues to write into a file that
 * lost its name, and past the end of a truncated one. It never shortens a file itself, as nothing
 * here vacuums. The log goes into the file it belongs to, wherever that is now, because otherwise
 * SQLite would take it for the log of the file that replaced it. */
static bool is_in_place(RgStore *store) {
    struct stat about;
    int moved = 0;
    sqlite3_file_control(store->database, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved || stat(store->path, &about) != 0) {
        store->lost = "the file was deleted, moved or replaced while it was being written";
        sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    } else if (about.st_size < store->size) {
        store->lost = "the file was truncated while it was being written";
    } else {
        store->size = about.st_size;
    }
    return !store->lost;
}

static bool begin(RgStore *store, bool durable) {
    return is_in_place(store) && run(store->statements[durable ? SYNC_ALWAYS : SYNC_RARELY]) &&
           run(store->statements[BEGIN]);
}

/* Ends the transaction. It is committed if nothing failed so far. Either SQLite refused to write
 * (not `good`), or what was read is wrong (`status`, with its message). The message is made before
 * rolling back, which clears SQLite's error. */
static RgStatus end(RgStore *store, bool good, RgStatus status, RgError *error, const char *doing) {
    if (good && status == RG_OK && run(store->statements[COMMIT]))
        return RG_OK;
    if (status == RG_OK)
        status = rg_store_refused(store, doing, error);
    if (!sqlite3_get_autocommit(store->database))
        run(store->statements[ROLLBACK]);
    return status;
}

RgStatus rg_store_experiment(RgStore *store, const char *name, const char *config_json, int64_t *id,
                             RgError *error) {
    RgStatus status = RG_OK;
    bool good = begin(store, true);
    *id = 0;
    if (good) {
        rg_rows_bind_text(store->experiment, 1, name);
        rg_rows_bind_text(store->experiment, 2, config_json);
        while (rg_rows_next(store->experiment))
            *id = rg_rows_integer(store->experiment, 0);
        status = rg_rows_reset(store->experiment, status, error);
    }
    return end(store, good, status, error, "record the experiment");
}

/* The id of the trial's row; 0 if there is none. */
static RgStatus find_trial(RgStore *store, RgTrialRecord *record, bool *finished, RgError *error) {
    record->id = 0;
    *finished = false;
    rg_rows_bind_integer(store->find, 1, record->experiment);
    rg_rows_bind_text(store->find, 2, record->key);
    if (rg_rows_next(store->find)) {
        record->id = rg_rows_integer(store->find, 0);
        *finished = rg_status_is_done(rg_rows_text(store->find, 1));
    }
    return rg_rows_reset(store->find, RG_OK, error);
}

RgStatus rg_store_trial_finished(RgStore *store, int64_t experiment, const char *key,
                                 bool *finished, RgError *error) {
    RgTrialRecord record = {.experiment = experiment, .key = key};
    return find_trial(store, &record, finished, error);
}

RgStatus rg_store_trial(RgStore *store, RgTrialRecord *record, bool *finished, RgError *error) {
    RgStatus status = RG_OK;
    bool good = begin(store, true);
    if (good)
        status = find_trial(store, record, finished, error);
    if (good && status == RG_OK && !*finished) {
        sqlite3_stmt *statement = store->statements[record->id ? TRIAL_UPDATE : TRIAL_INSERT];
        sqlite3_bind_int64(statement, 1, record->experiment);
        bind_text(statement, 2, record->key);
        bind_text(statement, 3, record->algorithm);
        bind_text(statement, 4, record->label);
        sqlite3_bind_int64(statement, 5, record->seed);
        bind_text(statement, 6, record->swept_json);
        bind_text(statement, 7, record->config_json);
        bind_text(statement, 8, record->provenance_json);
        good = run(statement);
        if (good && !record->id)
            record->id = sqlite3_last_insert_rowid(store->database);
    }
    return end(store, good, status, error, "record the trial");
}

RgStatus rg_store_trial_forget(RgStore *store, int64_t trial, RgError *error) {
    bool good = begin(store, true);
    if (good) {
        sqlite3_bind_int64(store->statements[TRIAL_FORGET], 1, trial);
        good = run(store->statements[TRIAL_FORGET]);
    }
    return end(store, good, RG_OK, error, "delete the trial");
}

static bool forget_sums(RgStore *store, int64_t trial, const char *file) {
    sqlite3_bind_int64(store->statements[SUM_FORGET], 1, trial);
    bind_text(store->statements[SUM_FORGET], 2, file);
    return run(store->statements[SUM_FORGET]);
}

static bool write_sum(RgStore *store, int64_t trial, const char *file, const char *sha256) {
    sqlite3_bind_int64(store->statements[SUM], 1, trial);
    bind_text(store->statements[SUM], 2, file);
    bind_text(store->statements[SUM], 3, sha256);
    return run(store->statements[SUM]);
}

static bool write_status(RgStore *store, int64_t trial, const char *status, const char *reason) {
    sqlite3_bind_int64(store->statements[TRIAL_STATUS], 1, trial);
    bind_text(store->statements[TRIAL_STATUS], 2, status);
    bind_text(store->statements[TRIAL_STATUS], 3, reason);
    return run(store->statements[TRIAL_STATUS]);
}

static bool write_selected(RgStore *store, int64_t trial, int64_t step) {
    sqlite3_bind_int64(store->statements[TRIAL_SELECTED], 1, trial);
    if (step >= 0) /* what is not bound is NULL */
        sqlite3_bind_int64(store->statements[TRIAL_SELECTED], 2, step);
    return run(store->statements[TRIAL_SELECTED]);
}

RgStatus rg_store_trial_status(RgStore *store, int64_t trial, const char *status,
                               const char *reason, RgError *error) {
    bool good = begin(store, true) && write_status(store, trial, status, reason);
    return end(store, good, RG_OK, error, "record the trial's status");
}

RgStatus rg_store_trial_failed(RgStore *store, int64_t experiment, const char *key,
                               const char *reason, RgError *error) {
    RgTrialRecord record = {.experiment = experiment, .key = key};
    bool finished;
    RG_TRY(find_trial(store, &record, &finished, error));
    return record.id && !finished ? rg_store_trial_status(store, record.id, "failed", reason, error)
                                  : RG_OK;
}

RgStatus rg_store_trial_done(RgStore *store, int64_t trial, const char *diverged,
                             const char *sha256, int64_t selected, RgError *error) {
    bool good = begin(store, true) && forget_sums(store, trial, "checkpoint") &&
                forget_sums(store, trial, "final") && write_sum(store, trial, "final", sha256) &&
                write_selected(store, trial, selected) &&
                write_status(store, trial, diverged ? "diverged" : "finished", diverged);
    return end(store, good, RG_OK, error, "record the trial's end");
}

RgStatus rg_store_checkpoint(RgStore *store, int64_t trial, const char *before, const char *next,
                             RgError *error) {
    bool good = begin(store, true) && forget_sums(store, trial, "checkpoint") &&
                (!before[0] || write_sum(store, trial, "checkpoint", before)) &&
                write_sum(store, trial, "checkpoint", next);
    return end(store, good, RG_OK, error, "record the checkpoint");
}

RgStatus rg_store_trial_rewind(RgStore *store, int64_t trial, int64_t step, RgError *error) {
    bool good = begin(store, true);
    for (int i = REWIND_READINGS; i <= REWIND_TIMES && good; i++) {
        sqlite3_bind_int64(store->statements[i], 1, trial);
        sqlite3_bind_int64(store->statements[i], 2, step);
        good = run(store->statements[i]);
    }
    return end(store, good, RG_OK, error, "rewind the trial");
}

RgStatus rg_store_last_step(RgStore *store, int64_t trial, int64_t *step, RgError *error) {
    RgRows *rows = rg_rows_open(store, "readings",
                                "SELECT max(step) AS last_step FROM readings WHERE trial = ?1");
    rg_rows_of_trial(rows, trial);
    bool any = rg_rows_next(rows) && rg_rows_type(rows, 0) != RG_VALUE_NULL;
    *step = any ? rg_rows_integer(rows, 0) : -1;
    return rg_rows_close(rows, RG_OK, error);
}

RgStatus rg_store_evaluation_time(RgStore *store, int64_t trial, int64_t step, double seconds,
                                  RgError *error) {
    sqlite3_stmt *statement = store->statements[TIME];
    bool good = begin(store, false);
    if (good) {
        sqlite3_bind_int64(statement, 1, trial);
        sqlite3_bind_int64(statement, 2, step);
        sqlite3_bind_double(statement, 3, seconds);
        good = run(statement);
    }
    return end(store, good, RG_OK, error, "write the time of an evaluation");
}

static bool write_reading(RgStore *store, int64_t trial, int64_t step, const RgMeter *meter,
                          bool evaluated) {
    sqlite3_stmt *statement = store->statements[READING];
    sqlite3_bind_int64(statement, 1, trial);
    sqlite3_bind_int64(statement, 2, step);
    sqlite3_bind_double(statement, 3, meter->flops);
    sqlite3_bind_double(statement, 4, meter->seconds);
    sqlite3_bind_int64(statement, 5, meter->trained_tokens);
    sqlite3_bind_int64(statement, 6, meter->generated_tokens);
    sqlite3_bind_int64(statement, 7, meter->judge_queries);
    sqlite3_bind_int64(statement, 8, meter->dataset_responses);
    sqlite3_bind_int64(statement, 9, meter->hessian_products);
    sqlite3_bind_double(statement, 10, meter->peak_memory);
    sqlite3_bind_int(statement, 11, evaluated);
    return run(statement);
}

static bool write_metric(RgStore *store, int64_t trial, int64_t step, const char *name,
                         double value) {
    sqlite3_stmt *statement = store->statements[METRIC];
    sqlite3_bind_int64(statement, 1, trial);
    sqlite3_bind_int64(statement, 2, step);
    bind_text(statement, 3, name);
    sqlite3_bind_double(statement, 4, value); /* NaN binds NULL */
    return run(statement);
}

static bool write_items(RgStore *store, int64_t trial, int64_t step, const RgEvaluation *e) {
    sqlite3_stmt *statement = store->statements[ITEM];
    for (int column = 0; column < rg_evaluation_column_count(e); column++) {
        const double *values = rg_evaluation_column_values(e, column);
        for (int64_t item = 0; item < rg_evaluation_items(e); item++) {
            sqlite3_bind_int64(statement, 1, trial);
            sqlite3_bind_int64(statement, 2, step);
            sqlite3_bind_int64(statement, 3, item);
            bind_text(statement, 4, rg_evaluation_column_name(e, column));
            sqlite3_bind_double(statement, 5, values[item]);
            if (!run(statement))
                return false;
        }
    }
    return true;
}

static bool write_responses(RgStore *store, int64_t trial, int64_t step, const RgEvaluation *e) {
    sqlite3_stmt *statement = store->statements[RESPONSE];
    for (int64_t i = 0; i < rg_evaluation_response_count(e); i++) {
        int64_t item;
        const char *prompt, *response;
        rg_evaluation_response_at(e, i, &item, &prompt, &response);
        sqlite3_bind_int64(statement, 1, trial);
        sqlite3_bind_int64(statement, 2, step);
        sqlite3_bind_int64(statement, 3, item);
        bind_text(statement, 4, prompt);
        bind_text(statement, 5, response);
        if (!run(statement))
            return false;
    }
    return true;
}

static bool write_evaluation(RgStore *store, int64_t trial, int64_t step, const RgEvaluation *e) {
    for (int i = 0; i < rg_evaluation_metric_count(e); i++) {
        char *name = rg_string_format("eval/%s", rg_evaluation_metric_name(e, i));
        bool good = write_metric(store, trial, step, name, rg_evaluation_metric_value(e, i));
        free(name);
        if (!good)
            return false;
    }
    return write_items(store, trial, step, e) && write_responses(store, trial, step, e);
}

RgStatus rg_store_step(RgStore *store, int64_t trial, int64_t step, const RgMeter *meter,
                       const char *const *names, const double *values, int count,
                       const RgEvaluation *evaluation, RgError *error) {
    bool good = begin(store, evaluation != NULL) &&
                write_reading(store, trial, step, meter, evaluation != NULL);
    for (int i = 0; i < count && good; i++)
        good = write_metric(store, trial, step, names[i], values[i]);
    if (good && evaluation)
        good = write_evaluation(store, trial, step, evaluation);
    char doing[96];
    snprintf(doing, sizeof doing, "write step %lld of trial %lld", (long long)step,
             (long long)trial);
    return end(store, good, RG_OK, error, doing);
}
