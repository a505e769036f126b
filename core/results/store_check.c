/* SPDX-License-Identifier: MIT */
/* The checks, from the file down to a trial's curves. SQLite's own check comes first. If it finds
 * nothing, the indices agree with their tables, and each table can be trusted. */
#include "core/results/store_check.h"

#include "core/names.h"
#include "core/results/curve_gaps.h"
#include "core/results/rows.h"
#include "core/results/store_lock.h"
#include "core/results/weights.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FINDINGS = 20 }; /* of a kind; more add no information */

static const char *const trial_tables[] = {"readings",  "metrics",          "evaluations",
                                           "responses", "evaluation_times", "weights"};
static const char *const shared_tables[] = {"experiments", "last_run", "pair_values",
                                            "judge_answers"};
enum {
    TRIAL_TABLES = sizeof trial_tables / sizeof *trial_tables,
    SHARED_TABLES = sizeof shared_tables / sizeof *shared_tables
};

static void add(char ***findings, int *count, char *text) {
    rg_make_printable(text);
    *findings = rg_reallocate(*findings, (size_t)*count + 1, sizeof **findings);
    (*findings)[(*count)++] = text;
}

__attribute__((format(printf, 2, 3))) static void of_file(RgStoreCheck *check, const char *format,
                                                          ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add(&check->findings, &check->count, rg_string_copy(text));
}

/* A message without the file's name and the advice to run check-store. */
static char *message_about(const char *path, const RgError *error) {
    size_t length = strlen(path);
    bool named =
        strncmp(error->text, path, length) == 0 && strncmp(error->text + length, ": ", 2) == 0;
    char *text = rg_string_copy(error->text + (named ? length + 2 : 0));
    char *advice = strstr(text, "; regatta check-store");
    if (advice)
        *advice = '\0';
    return text;
}

static char *message_of(const RgStore *store, const RgError *error) {
    return message_about(rg_store_path(store), error);
}

/* ---- the file ---- */

static void check_file(RgStore *store, RgStoreCheck *check) {
    RgError error;
    char *query = rg_string_format("SELECT integrity_check AS \"any.text\" FROM"
                                   " pragma_integrity_check(%d)",
                                   MOST_FINDINGS);
    RgRows *rows = rg_rows_open(store, "any", query);
    free(query);
    while (rg_rows_next(rows))
        if (strcmp(rg_rows_text(rows, 0), "ok") != 0)
            of_file(check, "%s", rg_rows_text(rows, 0));
    if (rg_rows_close(rows, RG_OK, &error) != RG_OK)
        add(&check->findings, &check->count, message_of(store, &error));
}

/* Rows that refer to a missing experiment or trial. */
static void check_owners(RgStore *store, RgStoreCheck *check) {
    RgError error;
    RgRows *rows = rg_rows_open(store, "any",
                                "SELECT \"table\" AS \"any.text\", count(*) AS count, parent AS"
                                " \"any.text\" FROM pragma_foreign_key_check GROUP BY 1, 3");
    while (rg_rows_next(rows))
        of_file(check, "%lld rows of %s refer to no row of %s", (long long)rg_rows_integer(rows, 1),
                rg_rows_text(rows, 0), rg_rows_text(rows, 2));
    if (rg_rows_close(rows, RG_OK, &error) != RG_OK)
        add(&check->findings, &check->count, message_of(store, &error));
}

/* Checks every value of a table's rows against its column's rule, up to the first failure. */
static RgStatus read_rows(RgStore *store, const char *table, const char *query, int64_t trial,
                          RgError *error) {
    RgRows *rows = rg_rows_open(store, table, query);
    if (trial)
        rg_rows_of_trial(rows, trial);
    while (rg_rows_next(rows))
        continue;
    return rg_rows_close(rows, RG_OK, error);
}

/* Checks all rows of a table, or those of one trial. Older stores may not have the table. */
static RgStatus read_table(RgStore *store, const char *table, int64_t trial, RgError *error) {
    bool has;
    RG_TRY(rg_rows_has_table(store, table, &has, error));
    char *query = rg_string_format("SELECT * FROM %s%s%s", table,
                                   strcmp(table, "metrics") == 0 ? " NOT INDEXED" : "",
                                   trial ? " WHERE trial = ?1" : "");
    RgStatus status = has ? read_rows(store, table, query, trial, error) : RG_OK;
    free(query);
    return status;
}

static void check_shared(RgStore *store, RgStoreCheck *check) {
    for (int i = 0; i < SHARED_TABLES; i++) {
        RgError error;
        if (read_table(store, shared_tables[i], 0, &error) != RG_OK)
            add(&check->findings, &check->count, message_of(store, &error));
    }
}

/* ---- a trial ---- */

/* Queries that return a sentence for each fault of the trial ?1. */
static const char *const whole_text[] = {
    /* a measurement belongs to a step with a reading of the meter */
    "SELECT 'metrics: step ' || step || ' has no readings' AS \"any.text\" FROM metrics"
    " NOT INDEXED WHERE trial = ?1 AND step NOT IN (SELECT step FROM readings WHERE trial = ?1) "
    "GROUP BY step",
    "SELECT 'evaluations: step ' || step || ' is not one that was evaluated' AS \"any.text\""
    " FROM evaluations WHERE trial = ?1 AND step NOT IN"
    " (SELECT step FROM readings WHERE trial = ?1 AND evaluated) GROUP BY step",
    "SELECT 'responses: step ' || step || ' is not one that was evaluated' AS \"any.text\""
    " FROM responses WHERE trial = ?1 AND step NOT IN"
    " (SELECT step FROM readings WHERE trial = ?1 AND evaluated) GROUP BY step",
    /* every evaluation has all metrics, and all items of all columns, from 0 on */
    "SELECT 'metrics: step ' || r.step || ' has no ' || n.name AS \"any.text\" FROM readings r,"
    " (SELECT DISTINCT name FROM metrics NOT INDEXED WHERE trial = ?1 AND name GLOB 'eval/*') n"
    " WHERE r.trial = ?1 AND r.evaluated AND NOT EXISTS (SELECT 1 FROM metrics m NOT INDEXED WHERE "
    "m.trial ="
    " ?1 AND m.step = r.step AND m.name = n.name)",
    "SELECT 'evaluations: step ' || r.step || ' has no items of ' || n.name AS \"any.text\" FROM"
    " readings r, (SELECT DISTINCT name FROM evaluations WHERE trial = ?1) n WHERE r.trial = ?1"
    " AND r.evaluated AND NOT EXISTS (SELECT 1 FROM evaluations e WHERE e.trial = ?1 AND e.step ="
    " r.step AND e.name = n.name)",
    "SELECT 'evaluations: step ' || step || ' lacks items of ' || name AS \"any.text\" FROM"
    " evaluations e WHERE trial = ?1 GROUP BY step, name HAVING min(item) <> 0 OR count(*) <="
    " (SELECT max(item) FROM evaluations o WHERE o.trial = ?1 AND o.step = e.step)",
    /* a result needs an evaluation */
    "SELECT 'is finished, and has no evaluation' AS \"any.text\" FROM trials WHERE id = ?1 AND"
    " status = 'finished' AND NOT EXISTS (SELECT 1 FROM readings WHERE trial = ?1 AND evaluated)",
};

/* The same, of %s for trials. */
static const char selected_text[] =
    "SELECT 'has step ' || selected || ' selected, which was not evaluated' AS \"any.text\" FROM %s"
    " WHERE id = ?1 AND selected NOT IN (SELECT step FROM readings WHERE trial = ?1 AND evaluated)";

/* For a damaged file: does the index, from which curves are read, agree with the table? An
 * unreadable index is no fault, as it is rebuilt when the table is copied. */
static const char index_text[] =
    "WITH t AS (SELECT name, step, value FROM metrics NOT INDEXED WHERE trial = ?1),"
    " i AS (SELECT name, step, value FROM metrics INDEXED BY metrics_by_name WHERE trial = ?1)"
    " SELECT 'metrics: the index and the table differ' AS \"any.text\""
    " WHERE EXISTS (SELECT * FROM t EXCEPT SELECT * FROM i)"
    " OR EXISTS (SELECT * FROM i EXCEPT SELECT * FROM t)";

static void of_trial(RgTrialCheck *trial, char *text) {
    if (trial->count < MOST_FINDINGS)
        add(&trial->findings, &trial->count, text);
    else
        free(text);
}

static void check_query(RgStore *store, RgTrialCheck *trial, const char *query, bool needed) {
    RgError error;
    RgRows *rows = rg_rows_open(store, "any", query);
    rg_rows_of_trial(rows, trial->id);
    while (rg_rows_next(rows))
        of_trial(trial, rg_rows_text_copy(rows, 0));
    if (rg_rows_close(rows, RG_OK, &error) != RG_OK && needed)
        of_trial(trial, message_of(store, &error));
}

/* Reads its label, key and so on, each as far as it is readable. */
static void name_trial(RgStore *store, RgTrialCheck *trial) {
    static const char query[] = "SELECT t.label, t.seed, t.key, e.name AS \"experiments.name\""
                                " FROM trials t JOIN experiments e ON e.id = t.experiment"
                                " WHERE t.id = ?1";
    RgRows *rows = rg_rows_open(store, "trials", query);
    rg_rows_of_trial(rows, trial->id);
    if (rg_rows_next(rows)) {
        trial->label = rg_rows_text_copy(rows, 0);
        trial->seed = rg_rows_integer(rows, 1);
        trial->key = rg_rows_text_copy(rows, 2);
        trial->experiment = rg_rows_text_copy(rows, 3);
    }
    bool named = trial->key != NULL;
    if (rg_rows_close(rows, RG_OK, NULL) == RG_OK && !named)
        of_trial(trial, rg_string_copy("belongs to no experiment"));
}

/* Checks its files next to the store, except a checkpoint that is being written. */
static void check_weights(RgStore *store, RgTrialCheck *trial, bool written, RgStoreCheck *check) {
    static const char *const names[] = {
        [RG_WEIGHTS_FINAL] = "weights", [RG_WEIGHTS_CHECKPOINT] = "checkpoint"};
    for (int i = 0; i < (written ? 1 : 2); i++) {
        RgError error;
        bool missing;
        RgWeightsFile file = (RgWeightsFile)i;
        if (rg_weights_look(store, trial->id, trial->key, file, &missing, &error) != RG_OK)
            of_trial(trial, message_of(store, &error));
        if (!missing)
            continue;
        char *path = rg_weights_path(rg_store_path(store), trial->key, file);
        add(&check->notes, &check->note_count,
            rg_string_format("%s not found: %s, of %s seed %lld of %s", names[i], path,
                             trial->label, (long long)trial->seed, trial->experiment));
        free(path);
    }
}

static void check_curves(RgStore *store, RgTrialCheck *trial) {
    RgError error;
    char *gaps;
    if (rg_curve_gaps(store, trial->id, &gaps, &error) != RG_OK)
        of_trial(trial, message_of(store, &error));
    else if (gaps)
        of_trial(trial, rg_string_format("its curves have no rows for %s", gaps));
    free(gaps);
}

static void check_trial(RgStore *store, RgTrialCheck *trial, bool file_is_whole, bool written,
                        RgStoreCheck *check) {
    RgError error;
    name_trial(store, trial);
    if (read_rows(store, "trials", "SELECT * FROM trials WHERE id = ?1", trial->id, &error) !=
        RG_OK)
        of_trial(trial, message_of(store, &error));
    if (read_rows(store, "experiments",
                  "SELECT * FROM experiments WHERE id = (SELECT experiment FROM trials"
                  " WHERE id = ?1)",
                  trial->id, &error) != RG_OK)
        of_trial(trial, message_of(store, &error));
    for (int i = 0; i < TRIAL_TABLES; i++)
        if (read_table(store, trial_tables[i], trial->id, &error) != RG_OK)
            of_trial(trial, message_of(store, &error));
    if (trial->count > 0) /* the following checks would only repeat it */
        return;
    for (size_t i = 0; i < sizeof whole_text / sizeof *whole_text; i++)
        check_query(store, trial, whole_text[i], true);
    char *selected = rg_string_format(selected_text, rg_rows_trials(store));
    check_query(store, trial, selected, true);
    free(selected);
    if (!file_is_whole)
        check_query(store, trial, index_text, false);
    check_curves(store, trial);
    if (trial->key)
        check_weights(store, trial, written, check);
}

static void list_trials(RgStore *store, RgStoreCheck *check) {
    RgError error;
    RgRows *rows = rg_rows_open(store, "trials", "SELECT id FROM trials NOT INDEXED ORDER BY id");
    while (rg_rows_next(rows)) {
        check->trials =
            rg_reallocate(check->trials, (size_t)check->trial_count + 1, sizeof *check->trials);
        check->trials[check->trial_count++] =
            (RgTrialCheck){.id = rg_rows_integer(rows, 0), .seed = -1};
    }
    if (rg_rows_close(rows, RG_OK, &error) != RG_OK)
        add(&check->findings, &check->count, message_of(store, &error));
}

/* Reports a store that cannot be opened, without the advice to run check-store. */
static RgStatus open_store(const char *path, RgStore **store, RgError *error) {
    RgError why = {0};
    RgStatus status = rg_store_open_damaged(path, store, &why);
    if (status == RG_OK)
        return RG_OK;
    char *message = message_about(path, &why);
    bool damaged = strstr(why.text, "; regatta check-store") != NULL;
    rg_fail(error, status, "%s: %s%s", path, message,
            damaged ? ", including its first page: nothing can be saved" : "");
    free(message);
    return status;
}

RgStatus rg_store_check(const char *path, RgStoreCheck *check, RgError *error) {
    RgStore *store;
    char holder[128];
    bool written = rg_store_writer(path, holder);
    *check = (RgStoreCheck){0};
    RG_TRY(open_store(path, &store, error));
    check_file(store, check);
    bool whole = check->count == 0;
    check_owners(store, check);
    check_shared(store, check);
    list_trials(store, check);
    for (int i = 0; i < check->trial_count; i++) {
        check_trial(store, &check->trials[i], whole, written, check);
        check->whole_count += check->trials[i].count == 0;
    }
    rg_store_close(store);
    return RG_OK;
}

bool rg_store_check_is_clean(const RgStoreCheck *check) {
    return check->count == 0 && check->whole_count == check->trial_count;
}

void rg_store_check_clear(RgStoreCheck *check) {
    for (int i = 0; i < check->count; i++)
        free(check->findings[i]);
    for (int i = 0; i < check->trial_count; i++) {
        RgTrialCheck *trial = &check->trials[i];
        for (int k = 0; k < trial->count; k++)
            free(trial->findings[k]);
        free(trial->findings);
        free(trial->experiment);
        free(trial->label);
        free(trial->key);
    }
    for (int i = 0; i < check->note_count; i++)
        free(check->notes[i]);
    free(check->notes);
    free(check->findings);
    free(check->trials);
    *check = (RgStoreCheck){0};
}
