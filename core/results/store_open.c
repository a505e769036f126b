/* SPDX-License-Identifier: MIT */
/* Opening and closing a results store: schema, versions, new files, and untrusted files. */
#include "core/files.h"
#include "core/notice.h"
#include "core/results/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stored in the file's header (PRAGMA application_id, user_version): "RgSt", and the schema's
 * version. Raise it with every change that an older program would misread. */
#define STORE_APPLICATION 0x52675374
#define STORE_VERSION     6

/* Values are NULL for NaN, which SQLite does not have. Metrics of evaluations are rows of `metrics`
 * named "eval/<name>". Times are UTC. Tables are STRICT: values have the column's type. Tables of
 * stores before version 3 are not, so readers check all of them (rows.c has a rule for every
 * column). */
static const char schema[] =
    /* config: resolved settings of the whole experiment, a flat JSON object path → value */
    "CREATE TABLE experiments ("
    "  id INTEGER PRIMARY KEY, name TEXT UNIQUE, config TEXT, created TEXT)"
    "  STRICT;"

    /* key: hash of resolved config, seed and version of the results; label: as shown in tables and
     * plots; status: running, finished, diverged or failed; reason: why it diverged or failed, else
     * NULL; swept: JSON object of the swept options; provenance: version, commit, BLAS core,
     * threads, host, and ranks if there were several; selected (from version 6): the
     * evaluated step that is its result; NULL: the last. */
    "CREATE TABLE trials ("
    "  id INTEGER PRIMARY KEY, experiment INTEGER REFERENCES experiments ON DELETE CASCADE,"
    "  key TEXT, algorithm TEXT, label TEXT, seed INTEGER, status TEXT, reason TEXT, swept TEXT,"
    "  config TEXT, provenance TEXT, updated TEXT, selected INTEGER,"
    "  UNIQUE (experiment, key)) STRICT;"

    /* The meter after each step: totals since the trial began. flops, tokens and so on are counts,
     * seconds exclude evaluation, peak_memory is in bytes; evaluated: 1 if the step was also
     * evaluated. */
    "CREATE TABLE readings ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, flops REAL, seconds REAL,"
    "  trained_tokens INTEGER, generated_tokens INTEGER, judge_queries INTEGER,"
    "  dataset_responses INTEGER, hessian_products INTEGER, peak_memory REAL, evaluated INTEGER,"
    "  PRIMARY KEY (trial, step)) STRICT;"

    "CREATE TABLE metrics ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, name TEXT, value REAL,"
    "  PRIMARY KEY (trial, step, name)) WITHOUT ROWID, STRICT;"
    /* One metric over steps, of one trial or of all, without reading the table. */
    "CREATE INDEX metrics_by_name ON metrics (name, trial, step, value);"

    /* One number per item (test prompt or context) of an evaluation, for paired comparisons. */
    "CREATE TABLE evaluations ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, item INTEGER, name TEXT,"
    "  value REAL, PRIMARY KEY (trial, step, name, item)) WITHOUT ROWID, STRICT;"

    "CREATE TABLE responses ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, item INTEGER,"
    "  prompt TEXT, response TEXT, PRIMARY KEY (trial, step, item)) STRICT;";

/* Created when a store is opened for writing, so that older ones get it, too. Not part of the
 * results, as it differs each time. */
static const char times_schema[] =
    "CREATE TABLE IF NOT EXISTS evaluation_times ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, seconds REAL,"
    "  PRIMARY KEY (trial, step)) WITHOUT ROWID, STRICT";

/* The same, from version 4 on: an older program would continue training and leave wrong sums. file:
 * final or checkpoint. A checkpoint has two sums while it is being replaced. */
static const char weights_schema[] =
    "CREATE TABLE IF NOT EXISTS weights ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, file TEXT, sha256 TEXT,"
    "  PRIMARY KEY (trial, file, sha256)) WITHOUT ROWID, STRICT";

/* The trials of the last run's config (last_run.h), from version 5 on: an older program would run
 * another config and leave a wrong record. */
static const char last_run_schema[] =
    "CREATE TABLE IF NOT EXISTS last_run ("
    "  experiment INTEGER REFERENCES experiments ON DELETE CASCADE, key TEXT,"
    "  PRIMARY KEY (experiment, key)) WITHOUT ROWID, STRICT";

/* Milliseconds to wait for other transactions. Processes of the same run may be suspended in one
 * for a while, or wait for a slow disk. */
enum { PATIENCE = 10000, PATIENCE_OF_WRITERS = 600000 };

RgStatus rg_store_refused(const RgStore *store, const char *doing, RgError *error) {
    int code = sqlite3_errcode(store->database);
    int system = sqlite3_system_errno(store->database);
    const char *why;
    switch (code & 0xff) {
    case SQLITE_FULL:
        why = "the disk is full";
        break;
    case SQLITE_READONLY:
        why = "the file or its folder is read-only";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        why = "another process has locked it";
        break;
    case SQLITE_NOTADB:
        why = "it is not an SQLite file";
        break;
    case SQLITE_CORRUPT:
        why = "the file is damaged; regatta check-store reports what can be recovered";
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        why = system ? strerror(system) : sqlite3_errmsg(store->database);
        break;
    default:
        why = sqlite3_errmsg(store->database);
    }
    return rg_fail(error, RG_E_STORE, "%s: cannot %s: %s", store->path, doing,
                   store->lost ? store->lost : why);
}

static bool run_text(RgStore *store, const char *text) {
    return sqlite3_exec(store->database, text, NULL, NULL, NULL) == SQLITE_OK;
}

/* Length of the path of the topmost missing folder above the file; 0: none is missing. */
static size_t missing_from(const char *path) {
    char *folder = rg_string_copy(path);
    size_t first = 0;
    for (char *c = folder + 1; folder[0] && *c && first == 0; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        first = access(folder, F_OK) == 0 ? 0 : (size_t)(c - folder);
        *c = '/';
    }
    free(folder);
    return first;
}

/* file: URI of a path, with immutable=1. */
static char *immutable_uri(const char *path) {
    char *uri = rg_allocate(3 * strlen(path) + 32, 1), *end = uri;
    end += sprintf(end, "file:");
    for (const char *c = path; *c; c++)
        end += sprintf(end, strchr("?#%", *c) ? "%%%02X" : "%c", (unsigned char)*c);
    sprintf(end, "?immutable=1");
    return uri;
}

/* SQLite's own waiting increases the delay up to a tenth of a second, while concurrent writers hold
 * a transaction for a millisecond. */
static int wait_for_others(void *context, int tries) {
    (void)context;
    usleep(1000);
    return tries < PATIENCE_OF_WRITERS;
}

/* Runs nothing that is stored in the file, and assumes no page to be well formed. See
 * sqlite.org/security.html, "Untrusted SQLite database files". */
static void distrust(sqlite3 *database) {
    sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_exec(database, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0", NULL, NULL, NULL);
}

static RgStatus open_database(RgStore *store, bool writable, RgError *error) {
    struct stat about;
    if (stat(store->path, &about) != 0) {
        if (!writable || errno != ENOENT)
            return rg_fail(error, RG_E_STORE, "%s: cannot open the results store: %s", store->path,
                           strerror(errno));
    } else if (!S_ISREG(about.st_mode)) {
        return rg_fail(error, RG_E_STORE,
                       "%s: cannot open the results store: it is not a regular file", store->path);
    }
    int flags = writable ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    if (sqlite3_open_v2(store->path, &store->database, flags, NULL) != SQLITE_OK)
        return rg_store_refused(store, "open the results store", error);
    distrust(store->database);
    if (writable)
        sqlite3_busy_handler(store->database, wait_for_others, NULL);
    else
        sqlite3_busy_timeout(store->database, PATIENCE);
    return RG_OK;
}

/* SQLite cannot read a WAL file in a folder where it may not create its shared memory. A store that
 * was closed properly has no log and can be read without one. */
static RgStatus reopen_immutable(RgStore *store, RgError *error) {
    char *log = rg_string_format("%s-wal", store->path), *uri = immutable_uri(store->path);
    RgStatus status = RG_OK;
    if (access(log, F_OK) == 0) {
        status = rg_store_refused(store, "read the results store", error);
    } else {
        sqlite3_close(store->database);
        if (sqlite3_open_v2(uri, &store->database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) !=
            SQLITE_OK)
            status = rg_store_refused(store, "open the results store", error);
        else
            distrust(store->database);
    }
    free(uri);
    free(log);
    return status;
}

static RgStatus create_schema(RgStore *store, RgError *error) {
    char *text = rg_string_format("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; %s"
                                  "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                                  schema, STORE_APPLICATION, STORE_VERSION);
    bool done = run_text(store, text);
    free(text);
    return done ? RG_OK : rg_store_refused(store, "create the results store", error);
}

/* What identifies the file. Reading it also shows whether the file is readable at all. */
typedef struct SchemaMarks {
    int64_t application, version, tables;
} SchemaMarks;

static RgStatus read_marks(RgStore *store, SchemaMarks *marks, RgError *error) {
    RgRows *rows = rg_rows_open(store, "any",
                                "SELECT application_id AS \"any.integer\", user_version AS"
                                " \"any.integer\", (SELECT count(*) FROM sqlite_master) AS count"
                                " FROM pragma_application_id, pragma_user_version");
    if (rg_rows_next(rows))
        *marks = (SchemaMarks){rg_rows_integer(rows, 0), rg_rows_integer(rows, 1),
                               rg_rows_integer(rows, 2)};
    return rg_rows_close(rows, RG_OK, error);
}

/* A results store has only tables and indices. Anything else in a file is code by its author. */
static RgStatus check_parts(RgStore *store, RgError *error) {
    RgRows *rows = rg_rows_open(
        store, "any",
        "SELECT iif(type = 'table', 'virtual table', type) AS \"any.text\" FROM sqlite_master"
        " WHERE type NOT IN ('table', 'index') OR (type = 'table' AND rootpage < 1) LIMIT 1");
    if (rg_rows_next(rows))
        rg_rows_refuse(rows,
                       "contains a %s, which no results store does: another program changed it, so "
                       "it is not opened",
                       rg_rows_text(rows, 0));
    return rg_rows_close(rows, RG_OK, error);
}

/* SQLite refuses a file with fewer pages than its header says, unless the schema may be written,
 * which is impossible on a read-only connection. */
static RgStatus read_short_file(RgStore *store, SchemaMarks *marks, RgError *error) {
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
    run_text(store, "PRAGMA writable_schema = ON");
    return read_marks(store, marks, error);
}

/* Checks that it is a results store of a known version. An empty file becomes one when writing. */
static RgStatus check_schema(RgStore *store, bool writable, RgError *error) {
    SchemaMarks marks = {0};
    RgStatus status = read_marks(store, &marks, error);
    int code = sqlite3_errcode(store->database) & 0xff;
    if (status != RG_OK && code == SQLITE_CORRUPT && store->lenient)
        status = read_short_file(store, &marks, error);
    if (status != RG_OK && (code == SQLITE_CANTOPEN || code == SQLITE_READONLY) && !writable) {
        RG_TRY(reopen_immutable(store, error));
        status = read_marks(store, &marks, error);
    }
    RG_TRY(status);
    if (marks.tables == 0 && marks.application == 0 && writable)
        return create_schema(store, error);
    if (marks.application != STORE_APPLICATION || marks.version < 1)
        return rg_fail(error, RG_E_STORE, "%s: is an SQLite file, but not a results store",
                       store->path);
    if (marks.version > STORE_VERSION)
        return rg_fail(error, RG_E_STORE,
                       "%s: has schema version %lld, written by a newer regatta; this one knows "
                       "versions up to %d",
                       store->path, (long long)marks.version, STORE_VERSION);
    store->ours = true;
    return check_parts(store, error);
}

/* An older store now has what this version writes. */
static RgStatus raise_version(RgStore *store, RgError *error) {
    SchemaMarks marks = {0};
    RG_TRY(read_marks(store, &marks, error));
    char *text = rg_string_format("PRAGMA user_version = %d", STORE_VERSION);
    bool good = marks.version == STORE_VERSION || run_text(store, text);
    free(text);
    return good ? RG_OK : rg_store_refused(store, "open the results store", error);
}

/* Creates the tables that every writable store has. */
static RgStatus prepare_tables(RgStore *store, RgError *error) {
    if (sqlite3_db_readonly(store->database, "main"))
        return rg_fail(error, RG_E_STORE,
                       "%s: cannot write the results store: the file is "
                       "read-only",
                       store->path);
    if (!run_text(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                         "PRAGMA foreign_keys = ON") ||
        !run_text(store, times_schema) || !run_text(store, weights_schema) ||
        !run_text(store, last_run_schema))
        return rg_store_refused(store, "open the results store", error);
    if (strcmp(rg_rows_readings(store), "readings") != 0 && /* a store of the first version */
        !run_text(store, "ALTER TABLE readings ADD COLUMN dataset_responses INTEGER"))
        return rg_store_refused(store, "open the results store", error);
    if (strcmp(rg_rows_trials(store), "trials") != 0 && /* before version 6 */
        !run_text(store, "ALTER TABLE trials ADD COLUMN selected INTEGER"))
        return rg_store_refused(store, "open the results store", error);
    return raise_version(store, error);
}

static RgStatus connect_database(RgStore *store, bool writable, RgError *error) {
    RG_TRY(open_database(store, writable, error));
    RG_TRY(check_schema(store, writable, error));
    if (!writable)
        return RG_OK;
    RG_TRY(prepare_tables(store, error));
    return rg_store_prepare(store, error);
}

/* If a lock was taken for a file that does not exist yet, the store is created here. */
static RgStatus open_store(RgStore *store, bool writable, RgError *error) {
    RgStatus status = RG_OK;
    store->made_from = writable ? missing_from(store->path) : 0;
    if (writable && (status = rg_folders_make_above(store->path, error)) == RG_OK)
        status = rg_store_lock(store->path, &store->lock, error);
    if (status != RG_OK)
        return status;
    store->made = writable && access(store->path, F_OK) != 0;
    return connect_database(store, writable, error);
}

static RgStatus open_as(const char *path, bool writable, bool lenient, RgStore **result,
                        RgError *error) {
    RgStore *store = rg_allocate(1, sizeof *store);
    *store =
        (RgStore){.path = rg_string_copy(path), .lock = {.descriptor = -1}, .lenient = lenient};
    RgStatus status = open_store(store, writable, error);
    *result = status == RG_OK ? store : NULL;
    if (status != RG_OK)
        rg_store_close(store);
    return status;
}

RgStatus rg_store_open(const char *path, bool writable, RgStore **store, RgError *error) {
    return open_as(path, writable, false, store, error);
}

RgStatus rg_store_open_damaged(const char *path, RgStore **store, RgError *error) {
    return open_as(path, false, true, store, error);
}

void rg_store_rest(RgStore *store) {
    rg_store_unprepare(store);
    sqlite3_close(store->database);
    store->database = NULL;
}

RgStatus rg_store_wake(RgStore *store, RgError *error) {
    RgStatus status = connect_database(store, true, error);
    if (status != RG_OK)
        rg_store_rest(store);
    return status;
}

/* A read-only connection creates a log and its index but cannot remove them when it is the last. A
 * writable one can, if no other process has the store open. If the log is empty, it writes
 * nothing. */
static void remove_empty_log(const RgStore *store) {
    struct stat about;
    sqlite3 *database = NULL;
    char *log = rg_string_format("%s-wal", store->path);
    if (stat(log, &about) == 0 && about.st_size == 0 && access(store->path, W_OK) == 0 &&
        sqlite3_open_v2(store->path, &database, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        distrust(database);
        sqlite3_exec(database, "PRAGMA schema_version", NULL, NULL, NULL); /* reads the log */
    }
    sqlite3_close(database);
    free(log);
}

void rg_store_close(RgStore *store) {
    if (!store)
        return;
    rg_store_rest(store);
    if (store->ours && store->lock.descriptor < 0)
        remove_empty_log(store);
    rg_store_unlock(&store->lock);
    free(store->path);
    free(store);
}

/* Removes the folders that were created, from the store's own one up, if they are empty. */
static void remove_folders(const RgStore *store) {
    char *path = rg_string_copy(store->path), *slash;
    while (store->made_from > 0 && (slash = strrchr(path, '/')) &&
           (size_t)(slash - path) >= store->made_from) {
        *slash = '\0';
        if (rmdir(path) != 0)
            break;
    }
    free(path);
}

void rg_store_discard(RgStore *store) {
    if (!store || !store->made) {
        rg_store_close(store);
        return;
    }
    char *lock = rg_string_format("%s.lock", store->path);
    rg_store_rest(store);
    unlink(store->path);
    unlink(lock);
    remove_folders(store);
    rg_store_close(store);
    free(lock);
}

sqlite3 *rg_store_database(RgStore *store) {
    return store->database;
}

const char *rg_store_path(const RgStore *store) {
    return store->path;
}

char *rg_store_folder(const char *path) {
    size_t length = strlen(path);
    if (length > 3 && strcmp(path + length - 3, ".db") == 0)
        return rg_string_format("%.*s", (int)(length - 3), path);
    return rg_string_format("%s.weights", path);
}

typedef struct Verifying {
    const char *path;
    RgWait wait;
} Verifying;

static int report_verifying(void *context) {
    Verifying *verifying = context;
    rg_wait_report(&verifying->wait, "%s: being checked for damage", verifying->path);
    return 0;
}

RgStatus rg_store_verify(RgStore *store, RgVerification how, RgError *error) {
    const int operations = 1000000; /* of SQLite, between looks at the clock */
    Verifying verifying = {store->path, rg_wait_begin()};
    sqlite3_progress_handler(store->database, operations, report_verifying, &verifying);
    RgRows *rows =
        rg_rows_open(store, "any",
                     how == RG_VERIFY_ALL
                         ? "SELECT integrity_check AS \"any.text\" FROM pragma_integrity_check(1)"
                         : "SELECT quick_check AS \"any.text\" FROM pragma_quick_check(1)");
    if (rg_rows_next(rows) && strcmp(rg_rows_text(rows, 0), "ok") != 0)
        rg_rows_refuse(
            rows,
            "the file is damaged: regatta check-store reports where, and what can be recovered");
    sqlite3_progress_handler(store->database, 0, NULL, NULL);
    return rg_rows_close(rows, RG_OK, error);
}

RgStatus rg_store_snapshot(RgStore *store, RgError *error) {
    return run_text(store, "BEGIN") ? RG_OK
                                    : rg_store_refused(store, "read the results store", error);
}
