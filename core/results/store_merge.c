/* SPDX-License-Identifier: MIT */
/* Merging, in an order that allows it to be killed anywhere. Rows go into one transaction. Weights
 * of done trials are copied before the commit: in the target they are either missing or belong to a
 * trial that will be replaced, so nobody reads them. Checkpoints are copied or removed after the
 * commit, as a checkpoint must never be newer than the rows (experiments/program/run/trial.c). */
#include "core/results/store_merge.h"

#include "core/files.h"
#include "core/new_file.h"
#include "core/notice.h"
#include "core/results/judge_cache.h"
#include "core/results/last_run.h"
#include "core/results/reference_cache.h"
#include "core/results/rows.h"
#include "core/results/store_lock.h"
#include "core/results/trial_compare.h"
#include "core/results/weights.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What remains to be done with a trial's checkpoint after the commit. */
typedef struct Settlement {
    char *key;
    int64_t source; /* row of the trial whose checkpoint is copied; 0: the target's is removed */
} Settlement;

typedef struct Merge {
    RgStore *target, *source;
    sqlite3 *to;         /* the target's database */
    char *target_folder; /* folder of its weights */
    int hold;            /* locks the source against writing */
    Settlement *settlements;
    int settlement_count;
    char **copies; /* files of weights added to the target */
    int copy_count;
    bool folder_made; /* the target's folder was created */
    RgMergeCounts counts;
} Merge;

/* A trial of the source, with the target's record of it, if any. */
typedef struct Match {
    int64_t source, target; /* rows; target 0: none */
    char *experiment, *key, *label;
    int64_t seed;
    bool source_done, target_done;
    bool source_lost; /* its checkpoint is damaged: it would start from the beginning */
    int64_t source_step, target_step; /* last recorded step; −1: none */
} Match;

static RgStatus prepare(RgStore *store, const char *text, sqlite3_stmt **statement,
                        RgError *error) {
    if (sqlite3_prepare_v2(rg_store_database(store), text, -1, statement, NULL) == SQLITE_OK)
        return RG_OK;
    return rg_store_refused(store, "merge", error);
}

/* ---- rows ---- */

/* "INSERT INTO table (a, b) VALUES (?, ?)" with the columns of a query. */
static char *insert_text(const char *into, const RgRows *rows) {
    char *names = rg_string_copy(""), *marks = rg_string_copy("");
    for (int i = 0; i < rg_rows_columns(rows); i++) {
        char *more = rg_string_format("%s%s%s", names, i ? ", " : "", rg_rows_name(rows, i));
        char *marked = rg_string_format("%s%s?", marks, i ? ", " : "");
        free(names);
        free(marks);
        names = more;
        marks = marked;
    }
    char *text = rg_string_format("%s (%s) VALUES (%s)", into, names, marks);
    free(names);
    free(marks);
    return text;
}

/* What is copied from where to where. `into` is the verb. */
typedef struct Copy {
    const char *into, *table, *query;
    int64_t id; /* the query's parameter: a trial or 0 */
} Copy;

/* Copies the rows of a query on the source. The column `owner` becomes `new_owner`, because
 * experiments and trials have other ids in each store. */
static RgStatus copy_rows(Merge *m, const Copy *copy, const char *owner, int64_t new_owner,
                          RgError *error) {
    sqlite3_stmt *insert = NULL;
    RgRows *rows = rg_rows_open(m->source, copy->table, copy->query);
    rg_rows_of_trial(rows, copy->id);
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows)) {
        if (!insert) {
            char *into = rg_string_format("%s %s", copy->into, copy->table);
            char *text = insert_text(into, rows);
            status = prepare(m->target, text, &insert, error);
            free(into);
            free(text);
        }
        for (int i = 0; status == RG_OK && i < rg_rows_columns(rows); i++)
            if (owner && strcmp(rg_rows_name(rows, i), owner) == 0)
                sqlite3_bind_int64(insert, i + 1, new_owner);
            else
                rg_rows_pass(rows, i, insert, i + 1);
        if (status == RG_OK && sqlite3_step(insert) != SQLITE_DONE)
            status = rg_store_refused(m->target, "merge", error);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    return rg_rows_close(rows, status, error);
}

/* The target's experiment with that name, copied from the source if absent. */
static RgStatus merge_experiment(Merge *m, const Match *match, int64_t *id, RgError *error) {
    RgRows *rows =
        rg_rows_open(m->target, "experiments", "SELECT id FROM experiments WHERE name = ?1");
    rg_rows_bind_text(rows, 1, match->experiment);
    *id = rg_rows_next(rows) ? rg_rows_integer(rows, 0) : 0;
    RG_TRY(rg_rows_close(rows, RG_OK, error));
    if (*id)
        return RG_OK;
    const Copy copy = {"INSERT INTO", "experiments",
                       "SELECT name, config, created FROM experiments"
                       " WHERE id = (SELECT experiment FROM trials WHERE id = ?1)",
                       match->source};
    RG_TRY(copy_rows(m, &copy, NULL, 0, error));
    *id = sqlite3_last_insert_rowid(m->to);
    return RG_OK;
}

/* Replaces the target's record of a trial, if any, by the source's. */
static RgStatus take_rows(Merge *m, const Match *match, RgError *error) {
    static const char *const tables[] = {"readings",  "metrics",          "evaluations",
                                         "responses", "evaluation_times", "weights"};
    enum { TABLES = sizeof tables / sizeof *tables };
    int64_t experiment;
    if (match->target) {
        char *text =
            rg_string_format("DELETE FROM trials WHERE id = %lld", (long long)match->target);
        bool good = sqlite3_exec(m->to, text, NULL, NULL, NULL) == SQLITE_OK; /* and everything it
                                                                               * owns */
        free(text);
        if (!good)
            return rg_store_refused(m->target, "merge", error);
    }
    RG_TRY(merge_experiment(m, match, &experiment, error));
    char *source =
        rg_string_format("SELECT experiment, key, algorithm, label, seed, status, reason,"
                         " swept, config, provenance, updated, selected FROM %s"
                         " WHERE id = ?1",
                         rg_rows_trials(m->source));
    const Copy row = {"INSERT INTO", "trials", source, match->source};
    RgStatus status = copy_rows(m, &row, "experiment", experiment, error);
    free(source);
    RG_TRY(status);
    int64_t trial = sqlite3_last_insert_rowid(m->to);
    for (int i = 0; i < TABLES && status == RG_OK; i++) {
        bool has;
        status = rg_rows_has_table(m->source, tables[i], &has, error); /* older stores do not have
                                                                        * all tables */
        if (status != RG_OK || !has)
            continue;
        char *query = rg_string_format("SELECT * FROM %s%s WHERE trial = ?1", tables[i],
                                       strcmp(tables[i], "metrics") == 0 ? " NOT INDEXED" : "");
        const Copy copy = {"INSERT INTO", tables[i], query, match->source};
        status = copy_rows(m, &copy, "trial", trial, error);
        free(query);
    }
    return status;
}

/* Merges the caches: values of pairs and answers of judges, if the source has any. Each row
 * contains its own proof. An answered request takes precedence over one that was only sent. */
static RgStatus merge_caches(Merge *m, RgError *error) {
    static const Copy copies[] = {
        {"INSERT OR IGNORE INTO", "pair_values", "SELECT * FROM pair_values", 0},
        {"INSERT OR REPLACE INTO", "judge_answers",
         "SELECT * FROM judge_answers WHERE answer IS NOT NULL", 0},
        {"INSERT OR IGNORE INTO", "judge_answers", "SELECT * FROM judge_answers", 0},
    };
    RgStatus status = RG_OK;
    for (size_t i = 0; i < sizeof copies / sizeof *copies && status == RG_OK; i++) {
        bool has;
        status = rg_rows_has_table(m->source, copies[i].table, &has, error);
        if (status == RG_OK && has)
            status = copy_rows(m, &copies[i], NULL, 0, error);
    }
    return status;
}

/* ---- files ---- */

/* Both paths of a trial's file. Returns whether the source has it. */
static bool has_file(const Merge *m, const char *key, RgWeightsFile file, char **from, char **to) {
    *from = rg_weights_path(rg_store_path(m->source), key, file);
    *to = rg_weights_path(rg_store_path(m->target), key, file);
    return access(*from, F_OK) == 0;
}

static RgStatus make_folder(Merge *m, RgError *error) {
    if (access(m->target_folder, F_OK) == 0)
        return RG_OK;
    m->folder_made = true;
    return rg_folder_make(m->target_folder, error);
}

/* Copies final weights. A store that was copied without its folder has none. */
static RgStatus copy_weights(Merge *m, const Match *match, RgError *error) {
    char *from, *to;
    RgStatus status = RG_OK;
    if (has_file(m, match->key, RG_WEIGHTS_FINAL, &from, &to)) {
        bool there = access(to, F_OK) == 0;
        status = make_folder(m, error);
        if (status == RG_OK)
            status = rg_weights_copy(m->source, match->source, RG_WEIGHTS_FINAL, from, to, error);
        if (status == RG_OK && !there) {
            m->copies = rg_reallocate(m->copies, (size_t)m->copy_count + 1, sizeof *m->copies);
            m->copies[m->copy_count++] = rg_string_copy(to);
        }
    }
    free(from);
    free(to);
    return status;
}

/* Removes copied weights after a failure: the target does not have their rows. */
static void remove_copies(const Merge *m) {
    for (int i = 0; i < m->copy_count; i++)
        unlink(m->copies[i]);
    if (m->folder_made)
        rmdir(m->target_folder); /* if it is empty */
}

static RgStatus same_content(const char *a, const char *b, bool *same, RgError *error) {
    RgBytes left, right = {0};
    RG_TRY(rg_file_map(a, &left, error));
    RgStatus status = rg_file_map(b, &right, error);
    *same = status == RG_OK && left.size == right.size &&
            (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
    rg_file_unmap(&left);
    rg_file_unmap(&right);
    return status;
}

/* Weights of a trial that is done in both stores: equal, or copied if the target has none. */
static RgStatus agree_on_weights(Merge *m, const Match *match, RgError *error) {
    char *from, *to;
    RgStatus status = RG_OK;
    bool same = true;
    if (has_file(m, match->key, RG_WEIGHTS_FINAL, &from, &to)) {
        if (access(to, F_OK) != 0)
            status = copy_weights(m, match, error);
        else
            status = same_content(from, to, &same, error);
    }
    RgChecksum unused;
    if (!same)
        status = rg_weights_check(m->source, match->source, RG_WEIGHTS_FINAL, from, &unused, error);
    if (!same && status == RG_OK)
        status = rg_weights_check(m->target, match->target, RG_WEIGHTS_FINAL, to, &unused, error);
    if (!same && status == RG_OK)
        status = rg_fail(error, RG_E_STORE,
                         "%s: %s, seed %lld (key %s) has different weights from %s: the two stores "
                         "hold different results for the same trial",
                         from, match->label, (long long)match->seed, match->key, to);
    free(from);
    free(to);
    return status;
}

static void settle_later(Merge *m, const char *key, int64_t source) {
    m->settlements =
        rg_reallocate(m->settlements, (size_t)m->settlement_count + 1, sizeof *m->settlements);
    m->settlements[m->settlement_count++] = (Settlement){rg_string_copy(key), source};
}

static RgStatus settle_checkpoint(Merge *m, const Settlement *s, RgError *error) {
    char *from, *to;
    RgStatus status = RG_OK;
    bool there = has_file(m, s->key, RG_WEIGHTS_CHECKPOINT, &from, &to);
    if (s->source && there) {
        status = make_folder(m, error);
        if (status == RG_OK)
            status = rg_weights_copy(m->source, s->source, RG_WEIGHTS_CHECKPOINT, from, to, error);
    } else if (!s->source) {
        rg_file_remove(to); /* of a done trial, or one that starts from the beginning */
    }
    free(from);
    free(to);
    return status;
}

/* An unfinished trial with a damaged checkpoint is merged without it. If the target has a record of
 * the trial, it keeps that. */
static RgStatus look_at_checkpoint(const Merge *m, Match *match, RgError *error) {
    bool missing;
    RgError why = {0};
    RgStatus status = rg_weights_look(m->source, match->source, match->key, RG_WEIGHTS_CHECKPOINT,
                                      &missing, &why);
    match->source_lost = status == RG_E_FORMAT;
    if (match->source_lost)
        rg_notice("%s; %s, seed %lld of experiment %s is merged without it%s", why.text,
                  match->label, (long long)match->seed, match->experiment,
                  match->target ? ", and the target keeps its record"
                                : ", and will start from the beginning");
    return status == RG_OK || match->source_lost ? RG_OK : rg_fail(error, status, "%s", why.text);
}

/* ---- trials ---- */

/* Two done records of one trial must be the same result. */
static RgStatus agree(Merge *m, const Match *match, RgError *error) {
    RgTrialComparison comparison;
    RG_TRY(
        rg_trial_compare(m->source, match->source, m->target, match->target, &comparison, error));
    const RgMeasureDifference *worst = comparison.worst;
    RgStatus status = RG_OK;
    if (worst)
        status = rg_fail(error, RG_E_STORE,
                         "%s: %s, seed %lld (key %s) of experiment %s has a different result from "
                         "%s: %s %s at step %lld",
                         rg_store_path(m->source), match->label, (long long)match->seed, match->key,
                         match->experiment, rg_store_path(m->target), worst->name,
                         worst->missing ? "is not in both" : "differs", (long long)worst->step);
    rg_trial_comparison_clear(&comparison);
    return status == RG_OK ? agree_on_weights(m, match, error) : status;
}

static RgStatus take(Merge *m, const Match *match, RgError *error) {
    RG_TRY(take_rows(m, match, error));
    if (match->source_done)
        RG_TRY(copy_weights(m, match, error));
    settle_later(m, match->key, match->source_done || match->source_lost ? 0 : match->source);
    *(match->target ? &m->counts.replaced : &m->counts.added) += 1;
    return RG_OK;
}

/* Of records with equally many steps the source's is taken. So a merge that was killed before
 * copying the checkpoint copies it when repeated. */
static RgStatus merge_match(Merge *m, const Match *match, RgError *error) {
    bool further =
        match->source_done || (!match->source_lost && match->source_step >= match->target_step);
    if (!match->target || (!match->target_done && further))
        return take(m, match, error);
    m->counts.kept++;
    if (!match->source_done)
        return RG_OK;
    settle_later(m, match->key, 0);
    return agree(m, match, error);
}

#define TRIAL_COLUMNS                                                                              \
    " t.id, t.status,"                                                                             \
    " (SELECT max(step) FROM readings WHERE trial = t.id) AS \"readings.last_step\""

static int64_t last_step(const RgRows *rows, int column) {
    return rg_rows_type(rows, column) == RG_VALUE_NULL ? -1 : rg_rows_integer(rows, column);
}

/* Finds the target's record of a trial. */
static RgStatus find_match(Merge *m, Match *match, RgError *error) {
    RgRows *rows = rg_rows_open(m->target, "trials",
                                "SELECT" TRIAL_COLUMNS " FROM trials t JOIN experiments e"
                                " ON e.id = t.experiment WHERE e.name = ?1 AND t.key = ?2");
    rg_rows_bind_text(rows, 1, match->experiment);
    rg_rows_bind_text(rows, 2, match->key);
    if (rg_rows_next(rows)) {
        match->target = rg_rows_integer(rows, 0);
        match->target_done = rg_status_is_done(rg_rows_text(rows, 1));
        match->target_step = last_step(rows, 2);
    }
    return rg_rows_close(rows, RG_OK, error);
}

static RgStatus merge_row(Merge *m, RgRows *rows, RgError *error) {
    Match match = {.source = rg_rows_integer(rows, 0),
                   .source_done = rg_status_is_done(rg_rows_text(rows, 1)),
                   .source_step = last_step(rows, 2),
                   .experiment = rg_rows_text_copy(rows, 3),
                   .key = rg_rows_text_copy(rows, 4),
                   .label = rg_rows_text_copy(rows, 5),
                   .seed = rg_rows_integer(rows, 6)};
    RgStatus status = find_match(m, &match, error);
    if (status == RG_OK && !match.source_done && !match.target_done)
        status = look_at_checkpoint(m, &match, error);
    if (status == RG_OK)
        status = merge_match(m, &match, error);
    free(match.experiment);
    free(match.key);
    free(match.label);
    return status;
}

/* Merges the source's trial `only`; 0: all trials. */
static RgStatus merge_trials(Merge *m, int64_t only, RgError *error) {
    RgRows *rows = rg_rows_open(
        m->source, "trials",
        "SELECT" TRIAL_COLUMNS ", e.name AS \"experiments.name\", t.key, t.label, t.seed"
        " FROM trials t JOIN experiments e ON e.id = t.experiment WHERE ?1 IN (0, t.id)"
        " ORDER BY t.id");
    rg_rows_bind_integer(rows, 1, only);
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows))
        status = merge_row(m, rows, error);
    return rg_rows_close(rows, status, error);
}

/* ---- a merge ---- */

static RgStatus open_source(Merge *m, const char *path, bool whole, RgError *error) {
    struct stat source, target;
    if (stat(path, &source) == 0 && stat(rg_store_path(m->target), &target) == 0 &&
        source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        return rg_fail(error, RG_E_USAGE, "%s: cannot be merged into itself", path);
    RG_TRY(whole ? rg_store_open(path, false, &m->source, error)
                 : rg_store_open_damaged(path, &m->source, error));
    RG_TRY(rg_store_hold(path, &m->hold, error));
    return whole ? rg_store_verify(m->source, RG_VERIFY_ALL, error) : RG_OK;
}

/* Opening the caches creates their tables. */
static RgStatus prepare_target(Merge *m, RgError *error) {
    RgReferenceCache *pairs;
    RgJudgeCache *answers;
    RG_TRY(rg_reference_cache_open(m->target, &pairs, error));
    rg_reference_cache_close(pairs);
    RG_TRY(rg_judge_cache_open(m->target, &answers, error));
    rg_judge_cache_close(answers);
    m->target_folder = rg_store_folder(rg_store_path(m->target));
    return RG_OK;
}

/* If the source is damaged, its last-run record may be, too; the trial does not depend on it. */
static RgStatus merge_last_run(Merge *m, int64_t only, bool whole, RgError *error) {
    RgError ignored = {0};
    if (!only)
        return rg_last_run_merge_after(m->target, m->source, error);
    RgStatus status = rg_last_run_merge_trial(m->target, m->source, only, whole ? error : &ignored);
    return whole ? status : RG_OK;
}

static RgStatus merge_rows(Merge *m, int64_t only, bool whole, RgError *error) {
    if (sqlite3_exec(m->to, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", NULL, NULL, NULL) !=
        SQLITE_OK)
        return rg_store_refused(m->target, "merge", error);
    RgStatus status = only ? RG_OK : rg_last_run_merge_before(m->target, m->source, error);
    if (status == RG_OK)
        status = merge_trials(m, only, error);
    if (status == RG_OK)
        status = merge_last_run(m, only, whole, error);
    if (status == RG_OK && !only)
        status = merge_caches(m, error);
    if (status == RG_OK && sqlite3_exec(m->to, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        status = rg_store_refused(m->target, "merge", error);
    if (!sqlite3_get_autocommit(m->to))
        sqlite3_exec(m->to, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Merges all trials of the source, or one, from a file that must be intact, or need not be. */
static RgStatus merge(RgStore *target, const char *source, int64_t trial, bool whole,
                      RgMergeCounts *counts, RgError *error) {
    Merge m = {.target = target, .to = rg_store_database(target), .hold = -1};
    RgStatus status = open_source(&m, source, whole, error);
    if (status == RG_OK)
        status = prepare_target(&m, error);
    if (status == RG_OK)
        status = merge_rows(&m, trial, whole, error);
    if (status != RG_OK)
        remove_copies(&m);
    for (int i = 0; i < m.settlement_count; i++) {
        if (status == RG_OK)
            status = settle_checkpoint(&m, &m.settlements[i], error);
        free(m.settlements[i].key);
    }
    if (status == RG_OK && counts) {
        counts->added += m.counts.added;
        counts->replaced += m.counts.replaced;
        counts->kept += m.counts.kept;
    }
    for (int i = 0; i < m.copy_count; i++)
        free(m.copies[i]);
    free(m.copies);
    free(m.settlements);
    free(m.target_folder);
    rg_store_close(m.source);
    if (m.hold >= 0)
        close(m.hold);
    return status;
}

RgStatus rg_store_merge(RgStore *target, const char *source, RgMergeCounts *counts,
                        RgError *error) {
    return merge(target, source, 0, true, counts, error);
}

RgStatus rg_store_merge_trial(RgStore *target, const char *source, int64_t trial,
                              RgMergeCounts *counts, RgError *error) {
    return merge(target, source, trial, true, counts, error);
}

RgStatus rg_store_save_trial(RgStore *target, const char *source, int64_t trial, RgError *error) {
    return merge(target, source, trial, false, NULL, error);
}
