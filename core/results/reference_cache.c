/* SPDX-License-Identifier: MIT */
/* The table of pairs' values: looking them up, and writing those of a batch in one transaction. A
 * row carries a proof, a digest of its key and its numbers: one that does not hold is no row. */
#include "core/results/reference_cache.h"

#include "core/results/rows.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct RgPairShelf {
    sqlite3 *database;
    RgRows *find;
    sqlite3_stmt *keep;
    RgStatus status; /* the first failure, or RG_OK … */
    RgError error;   /* … and its message */
};

/* key: digest of a pair's tokens and of what the values hang on; first, second: log-probabilities
 * in nats; flops, seconds: what computing them cost. Rows belong to no trial, and none is read that
 * is not asked for by its key. Programs that do not know the table do not miss it, so it raises no
 * version. */
static const char table[] =
    "CREATE TABLE IF NOT EXISTS pair_values ("
    "  key BLOB PRIMARY KEY, first REAL, second REAL, flops REAL, seconds REAL, proof INTEGER)"
    "  WITHOUT ROWID, STRICT";

/* Of any types: the proof tells whether they are what was written. */
static const char find_text[] =
    "SELECT first AS \"any.value\", second AS \"any.value\", flops AS \"any.value\", seconds AS"
    " \"any.value\", proof AS \"any.value\" FROM pair_values WHERE key = ?1";
static const char keep_text[] =
    "INSERT OR REPLACE INTO pair_values VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

static sqlite3_int64 proof_of(const RgDigest *key, const RgPairValues *values) {
    double numbers[] = {values->logprob[0], values->logprob[1], values->flops, values->seconds};
    uint64_t word = rg_digest(*key, numbers, sizeof numbers).word[0];
    sqlite3_int64 proof;
    memcpy(&proof, &word, sizeof proof);
    return proof;
}

static RgStatus refused(const RgPairShelf *shelf, const char *doing, RgError *error) {
    return rg_fail(error, RG_E_STORE, "%s: cannot %s: %s",
                   sqlite3_db_filename(shelf->database, "main"), doing,
                   sqlite3_errmsg(shelf->database));
}

static bool run(RgPairShelf *shelf, const char *text) {
    return sqlite3_exec(shelf->database, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool prepare(RgPairShelf *shelf, const char *text, sqlite3_stmt **statement) {
    return sqlite3_prepare_v3(shelf->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement,
                              NULL) == SQLITE_OK;
}

RgStatus rg_pair_shelf_open(RgStore *store, RgPairShelf **result, RgError *error) {
    RgPairShelf *shelf = rg_allocate(1, sizeof *shelf);
    shelf->database = rg_store_database(store);
    *result = NULL;
    if (!run(shelf, table) || !prepare(shelf, keep_text, &shelf->keep)) {
        RgStatus status = refused(shelf, "keep values of pairs", error);
        rg_pair_shelf_close(shelf);
        return status;
    }
    shelf->find = rg_rows_open(store, "pair_values", find_text);
    *result = shelf;
    return RG_OK;
}

void rg_pair_shelf_close(RgPairShelf *shelf) {
    if (!shelf)
        return;
    rg_rows_close(shelf->find, RG_OK, NULL);
    sqlite3_finalize(shelf->keep);
    free(shelf);
}

RgStatus rg_pair_shelf_status(const RgPairShelf *shelf, RgError *error) {
    return shelf->status == RG_OK ? RG_OK : rg_fail(error, shelf->status, "%s", shelf->error.text);
}

static void note_failure(RgPairShelf *shelf, const char *doing) {
    if (shelf->status == RG_OK)
        shelf->status = refused(shelf, doing, &shelf->error);
}

static void bind_key(sqlite3_stmt *statement, const RgDigest *key) {
    sqlite3_bind_blob(statement, 1, key, sizeof *key, SQLITE_STATIC);
}

/* A row whose key was found, if it is what was once written under that key. */
static bool read_row(RgRows *row, const RgDigest *key, RgPairValues *values) {
    for (int column = 0; column < 4; column++)
        if (rg_rows_type(row, column) != RG_VALUE_REAL)
            return false;
    RgPairValues read = {.logprob = {rg_rows_number(row, 0), rg_rows_number(row, 1)},
                         .flops = rg_rows_number(row, 2),
                         .seconds = rg_rows_number(row, 3)};
    if (rg_rows_type(row, 4) != RG_VALUE_INTEGER || rg_rows_integer(row, 4) != proof_of(key, &read))
        return false;
    *values = read;
    return true;
}

static void find(void *context, const RgDigest *keys, int64_t count, RgPairValues *values,
                 bool *found) {
    RgPairShelf *shelf = context;
    for (int64_t i = 0; i < count; i++) {
        RgError error;
        rg_rows_bind_bytes(shelf->find, 1, &keys[i], sizeof keys[i]);
        found[i] = rg_rows_next(shelf->find) && read_row(shelf->find, &keys[i], &values[i]);
        RgStatus status = rg_rows_reset(shelf->find, RG_OK, &error);
        if (status != RG_OK && shelf->status == RG_OK) {
            shelf->status = status;
            shelf->error = error;
        }
    }
}

static bool write_row(RgPairShelf *shelf, const RgDigest *key, const RgPairValues *v) {
    const double numbers[] = {v->logprob[0], v->logprob[1], v->flops, v->seconds};
    bind_key(shelf->keep, key);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_double(shelf->keep, 2 + i, numbers[i]);
    sqlite3_bind_int64(shelf->keep, 6, proof_of(key, v));
    bool good = sqlite3_step(shelf->keep) == SQLITE_DONE;
    sqlite3_reset(shelf->keep);
    return good;
}

/* A log-probability that is not finite is not kept: SQLite has no NaN, and the trial is lost. Rows
 * are synced to the disk with the next evaluation, as a step's are (see store.c). */
static void keep(void *context, const RgDigest *keys, const RgPairValues *values, int64_t count) {
    RgPairShelf *shelf = context;
    bool good = run(shelf, "PRAGMA synchronous = NORMAL") && run(shelf, "BEGIN IMMEDIATE");
    for (int64_t i = 0; i < count && good; i++)
        if (isfinite(values[i].logprob[0]) && isfinite(values[i].logprob[1]))
            good = write_row(shelf, &keys[i], &values[i]);
    if (good && run(shelf, "COMMIT"))
        return;
    note_failure(shelf, "keep values of pairs");
    if (!sqlite3_get_autocommit(shelf->database))
        run(shelf, "ROLLBACK");
}

RgPairCache rg_pair_shelf_cache(RgPairShelf *shelf, RgDigest source) {
    return (RgPairCache){.source = source, .shelf = shelf, .find = find, .keep = keep};
}
