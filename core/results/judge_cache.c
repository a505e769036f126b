/* SPDX-License-Identifier: MIT */
/* The table of judges' answers. */
#include "core/results/judge_cache.h"

#include "core/results/rows.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { TRY, KEEP, STATEMENTS };

static const double most_unsynced = 1; /* seconds */

struct RgJudgeCache {
    sqlite3 *database;
    double synced; /* clock at the last answer that was synced to the disk */
    sqlite3_stmt *statements[STATEMENTS];
    RgRows *find, *tries;
};

/* key: digest of the judge and of everything sent to it; judge: its name; tries: how often the
 * request was sent; answer: the raw answer, NULL while there is none; refused: the judge declined
 * to answer. The parsed meaning is not stored: the answer is parsed again each time. Programs
 * without this table work without it, so it does not change the schema version. */
static const char table[] = "CREATE TABLE IF NOT EXISTS judge_answers ("
                            "  key BLOB PRIMARY KEY, judge TEXT, tries INTEGER, answer TEXT, "
                            "refused INTEGER, answered TEXT)"
                            "  WITHOUT ROWID, STRICT";

static const char *const statement_text[STATEMENTS] = {
    [TRY] = "INSERT INTO judge_answers (key, judge, tries) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (key) DO UPDATE SET tries = tries + excluded.tries",
    [KEEP] = "UPDATE judge_answers SET answer = ?2, refused = ?3,"
             " answered = strftime('%Y-%m-%dT%H:%M:%SZ', 'now') WHERE key = ?1",
};
static const char find_text[] =
    "SELECT answer, refused FROM judge_answers WHERE key = ?1 AND answer IS NOT NULL";
static const char tries_text[] = "SELECT tries FROM judge_answers WHERE judge = ?1";

static RgStatus refused_to(const RgJudgeCache *cache, const char *doing, RgError *error) {
    return rg_fail(error, RG_E_STORE, "%s: cannot %s: %s",
                   sqlite3_db_filename(cache->database, "main"), doing,
                   sqlite3_errmsg(cache->database));
}

static bool run_text(RgJudgeCache *cache, const char *text) {
    return sqlite3_exec(cache->database, text, NULL, NULL, NULL) == SQLITE_OK;
}

RgStatus rg_judge_cache_open(RgStore *store, RgJudgeCache **result, RgError *error) {
    RgJudgeCache *cache = rg_allocate(1, sizeof *cache);
    cache->database = rg_store_database(store);
    *result = NULL;
    bool good = run_text(cache, table);
    for (int i = 0; i < STATEMENTS && good; i++)
        good = sqlite3_prepare_v3(cache->database, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &cache->statements[i], NULL) == SQLITE_OK;
    if (!good) {
        RgStatus status = refused_to(cache, "store the judge's answers", error);
        rg_judge_cache_close(cache);
        return status;
    }
    cache->find = rg_rows_open(store, "judge_answers", find_text);
    cache->tries = rg_rows_open(store, "judge_answers", tries_text);
    *result = cache;
    return RG_OK;
}

void rg_judge_cache_close(RgJudgeCache *cache) {
    if (!cache)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(cache->statements[i]);
    rg_rows_close(cache->find, RG_OK, NULL);
    rg_rows_close(cache->tries, RG_OK, NULL);
    free(cache);
}

static sqlite3_stmt *with_key(RgJudgeCache *cache, int which, const RgDigest *key) {
    sqlite3_stmt *statement = cache->statements[which];
    sqlite3_bind_blob(statement, 1, key, sizeof *key, SQLITE_STATIC);
    return statement;
}

RgStatus rg_judge_cache_find(RgJudgeCache *cache, const RgDigest *key, char **text, bool *refused,
                             RgError *error) {
    *text = NULL;
    rg_rows_bind_bytes(cache->find, 1, key, sizeof *key);
    if (rg_rows_next(cache->find)) {
        *text = rg_rows_text_copy(cache->find, 0);
        *refused = rg_rows_integer(cache->find, 1) != 0;
    }
    return rg_rows_reset(cache->find, RG_OK, error);
}

/* One change, as a transaction of its own. */
static RgStatus change(RgJudgeCache *cache, sqlite3_stmt *statement, bool sync, RgError *error) {
    bool good =
        run_text(cache, sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL") &&
        sqlite3_step(statement) == SQLITE_DONE;
    RgStatus status = good ? RG_OK : refused_to(cache, "store the judge's answers", error);
    sqlite3_reset(statement);
    return status;
}

RgStatus rg_judge_cache_note_try(RgJudgeCache *cache, const char *judge, const RgDigest *key,
                                 int count, RgError *error) {
    sqlite3_stmt *statement = with_key(cache, TRY, key);
    sqlite3_bind_text(statement, 2, judge, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 3, count);
    return change(cache, statement, false, error);
}

RgStatus rg_judge_cache_keep(RgJudgeCache *cache, const RgDigest *key, const char *text,
                             bool refused, RgError *error) {
    sqlite3_stmt *statement = with_key(cache, KEEP, key);
    sqlite3_bind_text(statement, 2, text, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 3, refused);
    double now = rg_clock_seconds();
    bool sync = now - cache->synced >= most_unsynced;
    if (sync)
        cache->synced = now;
    return change(cache, statement, sync, error);
}

RgStatus rg_judge_cache_tries(RgJudgeCache *cache, const char *judge, int64_t *tries,
                              RgError *error) {
    *tries = 0;
    rg_rows_bind_text(cache->tries, 1, judge);
    while (rg_rows_next(cache->tries))
        *tries += rg_rows_integer(cache->tries, 0);
    return rg_rows_reset(cache->tries, RG_OK, error);
}
