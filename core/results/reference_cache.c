/* SPDX-License-Identifier: MIT */
/* The table of pairs' values: looking them up, and writing those of a batch in one transaction. A
 * row contains a proof, a digest of its key and its numbers. A row with a wrong proof is
 * ignored. */
#include "core/results/reference_cache.h"

#include "core/results/rows.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct RgReferenceCache {
    sqlite3 *database;
    RgRows *find;
    sqlite3_stmt *keep;
    RgStatus status; /* the first failure, or RG_OK … */
    RgError error;   /* … and its message */
};

/* key: digest of a pair's tokens and of what the values depend on; first, second: log-probabilities
 * in nats; flops, seconds: the cost of computing them. Rows belong to no trial and are only read by
 * key. Programs without this table work without it, so it does not change the schema version. */
static const char table[] =
    "CREATE TABLE IF NOT EXISTS pair_values ("
    "  key BLOB PRIMARY KEY, first REAL, second REAL, flops REAL, seconds REAL, proof INTEGER)"
    "  WITHOUT ROWID, STRICT";

/* Values of any type: the proof shows whether they are what was written. */
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

static RgStatus refused(const RgReferenceCache *storage, const char *doing, RgError *error) {
    return rg_fail(error, RG_E_STORE, "%s: cannot %s: %s",
                   sqlite3_db_filename(storage->database, "main"), doing,
                   sqlite3_errmsg(storage->database));
}

static bool run(RgReferenceCache *storage, const char *text) {
    return sqlite3_exec(storage->database, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool prepare(RgReferenceCache *storage, const char *text, sqlite3_stmt **statement) {
    return sqlite3_prepare_v3(storage->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement,
                              NULL) == SQLITE_OK;
}

RgStatus rg_reference_cache_open(RgStore *store, RgReferenceCache **result, RgError *error) {
    RgReferenceCache *storage = rg_allocate(1, sizeof *storage);
    storage->database = rg_store_database(store);
    *result = NULL;
    if (!run(storage, table) || !prepare(storage, keep_text, &storage->keep)) {
        RgStatus status = refused(storage, "store values of pairs", error);
        rg_reference_cache_close(storage);
        return status;
    }
    storage->find = rg_rows_open(store, "pair_values", find_text);
    *result = storage;
    return RG_OK;
}

void rg_reference_cache_close(RgReferenceCache *storage) {
    if (!storage)
        return;
    rg_rows_close(storage->find, RG_OK, NULL);
    sqlite3_finalize(storage->keep);
    free(storage);
}

RgStatus rg_reference_cache_status(const RgReferenceCache *storage, RgError *error) {
    return storage->status == RG_OK ? RG_OK
                                    : rg_fail(error, storage->status, "%s", storage->error.text);
}

static void note_failure(RgReferenceCache *storage, const char *doing) {
    if (storage->status == RG_OK)
        storage->status = refused(storage, doing, &storage->error);
}

static void bind_key(sqlite3_stmt *statement, const RgDigest *key) {
    sqlite3_bind_blob(statement, 1, key, sizeof *key, SQLITE_STATIC);
}

/* Reads a row found by its key. False if it is not what was written under that key. */
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
    RgReferenceCache *storage = context;
    for (int64_t i = 0; i < count; i++) {
        RgError error;
        rg_rows_bind_bytes(storage->find, 1, &keys[i], sizeof keys[i]);
        found[i] = rg_rows_next(storage->find) && read_row(storage->find, &keys[i], &values[i]);
        RgStatus status = rg_rows_reset(storage->find, RG_OK, &error);
        if (status != RG_OK && storage->status == RG_OK) {
            storage->status = status;
            storage->error = error;
        }
    }
}

static bool write_row(RgReferenceCache *storage, const RgDigest *key, const RgPairValues *v) {
    const double numbers[] = {v->logprob[0], v->logprob[1], v->flops, v->seconds};
    bind_key(storage->keep, key);
    for (int i = 0; i < 4; i++)
        sqlite3_bind_double(storage->keep, 2 + i, numbers[i]);
    sqlite3_bind_int64(storage->keep, 6, proof_of(key, v));
    bool good = sqlite3_step(storage->keep) == SQLITE_DONE;
    sqlite3_reset(storage->keep);
    return good;
}

/* Stores the values, except log-probabilities that are not finite: SQLite has no NaN, and such a
 * trial is lost anyway. Rows are synced to the disk with the next evaluation, like a step's
 * (store.c). */
static void keep(void *context, const RgDigest *keys, const RgPairValues *values, int64_t count) {
    RgReferenceCache *storage = context;
    bool good = run(storage, "PRAGMA synchronous = NORMAL") && run(storage, "BEGIN IMMEDIATE");
    for (int64_t i = 0; i < count && good; i++)
        if (isfinite(values[i].logprob[0]) && isfinite(values[i].logprob[1]))
            good = write_row(storage, &keys[i], &values[i]);
    if (good && run(storage, "COMMIT"))
        return;
    note_failure(storage, "store values of pairs");
    if (!sqlite3_get_autocommit(storage->database))
        run(storage, "ROLLBACK");
}

RgPairCache rg_reference_cache_pairs(RgReferenceCache *storage, RgDigest source) {
    return (RgPairCache){.source = source, .storage = storage, .find = find, .keep = keep};
}
