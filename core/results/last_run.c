/* SPDX-License-Identifier: MIT */
/* The record of the last run's config: writing, reading and merging it. */
#include "core/results/last_run.h"

#include "core/results/rows.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static const char add_text[] = "INSERT OR IGNORE INTO last_run VALUES (?1, ?2)";

static RgStatus refused(RgStore *store, RgError *error) {
    return rg_store_refused(store, "record which trials are run", error);
}

static RgStatus prepare_add(RgStore *store, sqlite3_stmt **add, RgError *error) {
    return sqlite3_prepare_v2(rg_store_database(store), add_text, -1, add, NULL) == SQLITE_OK
               ? RG_OK
               : refused(store, error);
}

static bool add_key(sqlite3_stmt *add, int64_t experiment, const char *key) {
    sqlite3_bind_int64(add, 1, experiment);
    sqlite3_bind_text(add, 2, key, -1, SQLITE_TRANSIENT);
    bool good = sqlite3_step(add) == SQLITE_DONE;
    return sqlite3_reset(add) == SQLITE_OK && good;
}

static bool replace(sqlite3 *database, sqlite3_stmt *add, int64_t experiment,
                    const char *const *keys, int64_t count) {
    char *forget =
        rg_string_format("DELETE FROM last_run WHERE experiment = %lld", (long long)experiment);
    bool good = sqlite3_exec(database, forget, NULL, NULL, NULL) == SQLITE_OK;
    free(forget);
    for (int64_t i = 0; i < count && good; i++)
        good = add_key(add, experiment, keys[i]);
    return good;
}

RgStatus rg_last_run_record(RgStore *store, int64_t experiment, const char *const *keys,
                            int64_t count, RgError *error) {
    sqlite3 *database = rg_store_database(store);
    sqlite3_stmt *add;
    RG_TRY(prepare_add(store, &add, error));
    bool good = sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
                replace(database, add, experiment, keys, count) &&
                sqlite3_exec(database, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    RgStatus status = good ? RG_OK : refused(store, error);
    if (!sqlite3_get_autocommit(database))
        sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_finalize(add);
    return status;
}

RgStatus rg_last_run_keys(RgStore *store, int64_t experiment, RgLookup **keys, RgError *error) {
    bool has;
    *keys = NULL;
    RG_TRY(rg_rows_has_table(store, "last_run", &has, error));
    if (!has)
        return RG_OK;
    RgRows *rows =
        rg_rows_open(store, "last_run", "SELECT key FROM last_run WHERE experiment = ?1");
    rg_rows_bind_integer(rows, 1, experiment);
    for (int64_t number = 0; rg_rows_next(rows); number++) {
        const char *key = rg_rows_text(rows, 0);
        if (!*keys)
            *keys = rg_lookup_create();
        *rg_lookup_at(*keys, key, strlen(key)) = number;
    }
    RgStatus status = rg_rows_close(rows, RG_OK, error);
    if (status != RG_OK) {
        rg_lookup_destroy(*keys);
        *keys = NULL;
    }
    return status;
}

/* ---- merging ---- */

/* Calls `f` for every experiment that source and target both have, with both ids. */
typedef RgStatus OfBoth(RgStore *target, RgStore *source, int64_t to, int64_t from, RgError *error);

static RgStatus number_of(RgStore *store, const char *name, int64_t *id, RgError *error) {
    RgRows *rows = rg_rows_open(store, "experiments", "SELECT id FROM experiments WHERE name = ?1");
    rg_rows_bind_text(rows, 1, name);
    *id = rg_rows_next(rows) ? rg_rows_integer(rows, 0) : 0;
    return rg_rows_close(rows, RG_OK, error);
}

static RgStatus visit(RgStore *target, RgStore *source, OfBoth *of_both, RgError *error) {
    RgRows *rows = rg_rows_open(source, "experiments", "SELECT id, name FROM experiments");
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows)) {
        int64_t to;
        status = number_of(target, rg_rows_text(rows, 1), &to, error);
        if (status == RG_OK && to)
            status = of_both(target, source, to, rg_rows_integer(rows, 0), error);
    }
    return rg_rows_close(rows, status, error);
}

static RgStatus has_record(RgStore *store, int64_t experiment, bool *has, RgError *error) {
    RgLookup *keys;
    RG_TRY(rg_last_run_keys(store, experiment, &keys, error));
    *has = keys;
    rg_lookup_destroy(keys);
    return RG_OK;
}

/* Adds the keys of `store`'s experiment to the record of the target's. */
static RgStatus add_keys(RgStore *target, int64_t to, RgStore *store, int64_t from,
                         const char *table, const char *query, RgError *error) {
    sqlite3_stmt *add;
    RG_TRY(prepare_add(target, &add, error));
    RgRows *rows = rg_rows_open(store, table, query);
    rg_rows_bind_integer(rows, 1, from);
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows))
        if (!add_key(add, to, rg_rows_text(rows, 0)))
            status = refused(target, error);
    sqlite3_finalize(add);
    return rg_rows_close(rows, status, error);
}

static const char trials_text[] = "SELECT key FROM trials WHERE experiment = ?1";

static RgStatus complete(RgStore *target, RgStore *source, int64_t to, int64_t from,
                         RgError *error) {
    bool ours, theirs;
    RG_TRY(has_record(target, to, &ours, error));
    RG_TRY(has_record(source, from, &theirs, error));
    return theirs && !ours ? add_keys(target, to, target, to, "trials", trials_text, error) : RG_OK;
}

static RgStatus join(RgStore *target, RgStore *source, int64_t to, int64_t from, RgError *error) {
    bool ours, theirs;
    RG_TRY(has_record(target, to, &ours, error));
    RG_TRY(has_record(source, from, &theirs, error));
    if (theirs)
        return add_keys(target, to, source, from, "last_run",
                        "SELECT key FROM last_run WHERE experiment = ?1", error);
    return ours ? add_keys(target, to, source, from, "trials", trials_text, error) : RG_OK;
}

RgStatus rg_last_run_merge_before(RgStore *target, RgStore *source, RgError *error) {
    return visit(target, source, complete, error);
}

RgStatus rg_last_run_merge_after(RgStore *target, RgStore *source, RgError *error) {
    return visit(target, source, join, error);
}

RgStatus rg_last_run_merge_trial(RgStore *target, RgStore *source, int64_t trial, RgError *error) {
    bool has;
    int64_t to;
    sqlite3_stmt *add;
    RG_TRY(rg_rows_has_table(source, "last_run", &has, error));
    if (!has)
        return RG_OK;
    RG_TRY(prepare_add(target, &add, error));
    RgRows *rows = rg_rows_open(source, "trials",
                                "SELECT t.key, e.name AS \"experiments.name\" FROM trials t JOIN"
                                " experiments e ON e.id = t.experiment JOIN last_run l ON"
                                " l.experiment = t.experiment AND l.key = t.key WHERE t.id = ?1");
    rg_rows_of_trial(rows, trial);
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows)) {
        status = number_of(target, rg_rows_text(rows, 1), &to, error);
        if (status == RG_OK && !add_key(add, to, rg_rows_text(rows, 0)))
            status = refused(target, error);
    }
    sqlite3_finalize(add);
    return rg_rows_close(rows, status, error);
}
