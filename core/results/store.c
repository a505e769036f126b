/* SPDX-License-Identifier: MIT */
/* The results store on SQLite: schema, opening and locking, and the few writes that a run makes.
 * Queries for tables and plots are not here: analysis makes its own, and rows.c reads for all.
 *
 * One process writes (an flock on "<store>.lock", which names its holder), or several that inherit
 * its lock; any number read meanwhile (WAL). Each step is one transaction, so that a killed run
 * leaves whole steps only. Commits survive the death of the process; those that carry an evaluation
 * or a change of status are also synced to the disk, and with them all that came before, so that a
 * power failure costs at most the training rows since the last evaluation. */
#include "core/results/store.h"

#include "core/files.h"
#include "core/notice.h"
#include "core/results/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Kept in the file's header (PRAGMA application_id, user_version): "RgSt", and the schema's
 * version, to be raised with every change that an older program would misread. */
#define STORE_APPLICATION 0x52675374
#define STORE_VERSION     5

/* Values are NULL where the number is not one (NaN), as SQLite has no NaN. Metrics of evaluations
 * are rows of `metrics` named "eval/<name>". Times are UTC. Tables are STRICT: a column holds what
 * its type says. Those of stores before version 3 are not, and readers check all of them alike (see
 * rows.c, which has a rule for every column). */
static const char schema[] =
    /* config: resolved settings of the whole experiment, a flat JSON object path → value */
    "CREATE TABLE experiments ("
    "  id INTEGER PRIMARY KEY, name TEXT UNIQUE, config TEXT, created TEXT)"
    "  STRICT;"

    /* key: hash of resolved config, seed and version of the results; label: as tables and plots
     * show it; status: running, finished, diverged or failed; reason: why it diverged or failed,
     * else NULL; swept: JSON object of the swept options; provenance: version, commit, BLAS core,
     * threads, host, ranks where there were several. */
    "CREATE TABLE trials ("
    "  id INTEGER PRIMARY KEY, experiment INTEGER REFERENCES experiments ON DELETE CASCADE,"
    "  key TEXT, algorithm TEXT, label TEXT, seed INTEGER, status TEXT, reason TEXT, swept TEXT,"
    "  config TEXT, provenance TEXT, updated TEXT, UNIQUE (experiment, key)) STRICT;"

    /* The meter after each step: totals since the trial began. flops, tokens and so on are counts,
     * seconds leave evaluation out, peak_memory is in bytes; evaluated: 1 where the step was also
     * evaluated. */
    "CREATE TABLE readings ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, flops REAL, seconds REAL,"
    "  trained_tokens INTEGER, generated_tokens INTEGER, judge_queries INTEGER,"
    "  dataset_responses INTEGER, hessian_products INTEGER, peak_memory REAL, evaluated INTEGER,"
    "  PRIMARY KEY (trial, step)) STRICT;"

    "CREATE TABLE metrics ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, name TEXT, value REAL,"
    "  PRIMARY KEY (trial, step, name)) WITHOUT ROWID, STRICT;"
    /* One metric over steps, of one trial or of all, without touching the table. */
    "CREATE INDEX metrics_by_name ON metrics (name, trial, step, value);"

    /* One number per item (test prompt or context) of an evaluation, for paired comparisons. */
    "CREATE TABLE evaluations ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, item INTEGER, name TEXT,"
    "  value REAL, PRIMARY KEY (trial, step, name, item)) WITHOUT ROWID, STRICT;"

    "CREATE TABLE responses ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, item INTEGER,"
    "  prompt TEXT, response TEXT, PRIMARY KEY (trial, step, item)) STRICT;";

/* Made when a store is opened for writing, so that older ones have it too. Not among the results,
 * as it is different each time. */
static const char times_schema[] =
    "CREATE TABLE IF NOT EXISTS evaluation_times ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, seconds REAL,"
    "  PRIMARY KEY (trial, step)) WITHOUT ROWID, STRICT";

/* The same, from version 4 on: an older program would train on, and leave sums that are wrong.
 * file: final or checkpoint. Of a checkpoint there are two while it is being replaced. */
static const char weights_schema[] =
    "CREATE TABLE IF NOT EXISTS weights ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, file TEXT, sha256 TEXT,"
    "  PRIMARY KEY (trial, file, sha256)) WITHOUT ROWID, STRICT";

/* What the config that was run last asks for (last_run.h), from version 5 on: an older program
 * would run another, and leave a record that is wrong. */
static const char last_run_schema[] =
    "CREATE TABLE IF NOT EXISTS last_run ("
    "  experiment INTEGER REFERENCES experiments ON DELETE CASCADE, key TEXT,"
    "  PRIMARY KEY (experiment, key)) WITHOUT ROWID, STRICT";

typedef enum Statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    SYNC_ALWAYS,
    SYNC_RARELY,
    TRIAL_INSERT,
    TRIAL_UPDATE,
    TRIAL_STATUS,
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
    [TRIAL_FORGET] = "DELETE FROM trials WHERE id = ?1", /* and what it owns */
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

/* Milliseconds to wait for the transactions of others. Those who write the same run may be stopped
 * in one for a while, or wait for a slow disk. */
enum { PATIENCE = 10000, PATIENCE_OF_WRITERS = 600000 };

struct RgStore {
    sqlite3 *database;
    char *path;
    int lock; /* file descriptor that holds the writer's flock; −1 when reading */
    bool locked;
    bool lenient;     /* read what there is of a file that is shorter than it says */
    bool ours;        /* a results store, and no other program's file */
    bool made;        /* opening it for writing has made it, … */
    size_t made_from; /* … with the folder that so many bytes of its path name; 0: with none */
    off_t size;       /* bytes of the file when it was last written to */
    const char *lost; /* why the file can be written no more; NULL: it can */
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* NULL when reading, like … */
    RgRows *experiment, *find;                 /* … the queries whose rows are read */
};

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
        why = "another process holds it locked";
        break;
    case SQLITE_NOTADB:
        why = "it is not an SQLite file";
        break;
    case SQLITE_CORRUPT:
        why = "the file is damaged; regatta check-store tells what can be saved";
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

/* Run a statement that gives no rows (any that come are ignored); its bindings are forgotten. */
static bool run(sqlite3_stmt *statement) {
    int code;
    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE;
}

static bool run_text(RgStore *store, const char *text) {
    return sqlite3_exec(store->database, text, NULL, NULL, NULL) == SQLITE_OK;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text) {
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC); /* NULL binds NULL */
}

/* Opening. */

/* Bytes of the path of the first folder above the file that is not there; 0: all are. */
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

/* What the file says of its holder, without the line's end. */
static void read_holder(int lock, char holder[128]) {
    ssize_t size = pread(lock, holder, 127, 0);
    holder[size > 0 ? size : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
}

/* One who asks whether the store is written (rg_store_writer) has the lock for a moment. */
static bool take_lock(int lock) {
    const struct timespec moment = {.tv_nsec = 20000000};
    bool taken = flock(lock, LOCK_EX | LOCK_NB) == 0;
    for (int tries = 1; tries < 5 && !taken; tries++) {
        nanosleep(&moment, NULL);
        taken = flock(lock, LOCK_EX | LOCK_NB) == 0;
    }
    return taken;
}

bool rg_store_writer(const char *path, char holder[128]) {
    char *lock_path = rg_string_format("%s.lock", path);
    int lock = open(lock_path, O_RDONLY | O_CLOEXEC);
    free(lock_path);
    if (lock < 0)
        return false;
    bool written = flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (written)
        read_holder(lock, holder);
    close(lock);
    return written;
}

/* Refuse, naming who holds the lock. */
static RgStatus refuse_held(const char *path, int lock, RgError *error) {
    char holder[128];
    read_holder(lock, holder);
    return rg_fail(error, RG_E_STORE, "%s: is being written by %s", path,
                   holder[0] ? holder : "another process");
}

/* The lock belongs to the open file, so that it goes with the process however that ends. The text
 * in the file only tells others who has it. The file stays, but for one that rg_store_discard
 * removes while it holds it: then the lock of that file is nobody's, and is taken of the next. */
static RgStatus lock_for_writing(RgStore *store, RgError *error) {
    RgStatus status = RG_OK;
    struct stat about;
    bool taken = false;
    char *path = rg_string_format("%s.lock", store->path);
    do {
        if (store->lock >= 0)
            close(store->lock);
        store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        taken = store->lock >= 0 && take_lock(store->lock);
    } while (taken && fstat(store->lock, &about) == 0 && about.st_nlink == 0);
    if (store->lock < 0) {
        status = rg_fail(error, RG_E_STORE, "%s: cannot open %s for writing: %s", store->path, path,
                         strerror(errno));
    } else if (!taken) {
        status = refuse_held(store->path, store->lock, error);
    } else {
        char host[64] = "unknown host", text[128];
        store->locked = true;
        gethostname(host, sizeof host - 1);
        int size = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
        if (ftruncate(store->lock, 0) != 0 || pwrite(store->lock, text, (size_t)size, 0) != size)
            status = rg_fail(error, RG_E_STORE, "%s: cannot write %s: %s", store->path, path,
                             strerror(errno));
    }
    free(path);
    return status;
}

RgStatus rg_store_hold(const char *path, int *hold, RgError *error) {
    struct stat about;
    char *lock = rg_string_format("%s.lock", path);
    *hold = -1;
    do {
        if (*hold >= 0)
            close(*hold);
        *hold = open(lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
        if (*hold < 0) /* a folder that is read-only may have the file all the same */
            *hold = open(lock, O_RDONLY | O_CLOEXEC);
        if (*hold >= 0 && flock(*hold, LOCK_SH | LOCK_NB) != 0) {
            RgStatus status = refuse_held(path, *hold, error);
            close(*hold);
            *hold = -1;
            free(lock);
            return status;
        }
    } while (*hold >= 0 && fstat(*hold, &about) == 0 && about.st_nlink == 0);
    free(lock);
    return RG_OK;
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

/* SQLite's own waiting sleeps longer from try to try, up to a tenth of a second, where those who
 * write side by side hold a transaction for a millisecond. */
static int wait_for_others(void *context, int tries) {
    (void)context;
    usleep(1000);
    return tries < PATIENCE_OF_WRITERS;
}

/* Nothing that is written in the file is run, and no page of it is taken to be well formed. See
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
 * was closed in order has no log beside it, and then can be read as it stands. */
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

/* What says whose file it is. Whether it can be read at all shows here, too. */
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

/* A results store has tables and indices only. What else a file may bring is code of whoever made
 * it. */
static RgStatus check_parts(RgStore *store, RgError *error) {
    RgRows *rows = rg_rows_open(
        store, "any",
        "SELECT iif(type = 'table', 'virtual table', type) AS \"any.text\" FROM sqlite_master"
        " WHERE type NOT IN ('table', 'index') OR (type = 'table' AND rootpage < 1) LIMIT 1");
    if (rg_rows_next(rows))
        rg_rows_refuse(rows,
                       "contains a %s, which no results store does: it was not written by regatta "
                       "alone, and is not opened",
                       rg_rows_text(rows, 0));
    return rg_rows_close(rows, RG_OK, error);
}

/* SQLite refuses a file that has fewer pages than its header says, unless the schema may be
 * written, which it may not on a connection that only reads. */
static RgStatus read_short_file(RgStore *store, SchemaMarks *marks, RgError *error) {
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
    run_text(store, "PRAGMA writable_schema = ON");
    return read_marks(store, marks, error);
}

/* Is it ours, and of a version that we know? An empty file is made ours when writing. */
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

/* An older store has now what this version writes. */
static RgStatus raise_version(RgStore *store, RgError *error) {
    SchemaMarks marks = {0};
    RG_TRY(read_marks(store, &marks, error));
    char *text = rg_string_format("PRAGMA user_version = %d", STORE_VERSION);
    bool good = marks.version == STORE_VERSION || run_text(store, text);
    free(text);
    return good ? RG_OK : rg_store_refused(store, "open the results store", error);
}

static RgStatus prepare_statements(RgStore *store, RgError *error) {
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
    if (strcmp(rg_rows_readings(store), "readings") != 0 && /* of the first version */
        !run_text(store, "ALTER TABLE readings ADD COLUMN dataset_responses INTEGER"))
        return rg_store_refused(store, "open the results store", error);
    RG_TRY(raise_version(store, error));
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(store->database, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK)
            return rg_store_refused(store, "use the results store", error);
    store->experiment = rg_rows_open(store, "experiments", experiment_text);
    store->find = rg_rows_open(store, "trials", find_text);
    return RG_OK;
}

static RgStatus connect_database(RgStore *store, bool writable, RgError *error) {
    RG_TRY(open_database(store, writable, error));
    RG_TRY(check_schema(store, writable, error));
    return writable ? prepare_statements(store, error) : RG_OK;
}

/* Where a lock was taken for a file that is not there yet, the store is made here. */
static RgStatus open_store(RgStore *store, bool writable, RgError *error) {
    RgStatus status = RG_OK;
    store->made_from = writable ? missing_from(store->path) : 0;
    if (writable && (status = rg_folders_make_above(store->path, error)) == RG_OK)
        status = lock_for_writing(store, error);
    if (status != RG_OK)
        return status;
    store->made = writable && access(store->path, F_OK) != 0;
    return connect_database(store, writable, error);
}

static RgStatus open_as(const char *path, bool writable, bool lenient, RgStore **result,
                        RgError *error) {
    RgStore *store = rg_allocate(1, sizeof *store);
    *store = (RgStore){.path = rg_string_copy(path), .lock = -1, .lenient = lenient};
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
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    rg_rows_close(store->experiment, RG_OK, NULL);
    rg_rows_close(store->find, RG_OK, NULL);
    store->experiment = store->find = NULL;
    sqlite3_close(store->database);
    store->database = NULL;
}

RgStatus rg_store_wake(RgStore *store, RgError *error) {
    RgStatus status = connect_database(store, true, error);
    if (status != RG_OK)
        rg_store_rest(store);
    return status;
}

/* A connection that only reads makes a log and its index, and cannot remove them when it is the
 * last. One that may write does, where nobody else has the store open, and where the log is empty
 * it writes nothing. */
static void remove_empty_log(const RgStore *store) {
    struct stat about;
    sqlite3 *database = NULL;
    char *log = rg_string_format("%s-wal", store->path);
    if (stat(log, &about) == 0 && about.st_size == 0 && access(store->path, W_OK) == 0 &&
        sqlite3_open_v2(store->path, &database, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        distrust(database);
        sqlite3_exec(database, "PRAGMA schema_version", NULL, NULL, NULL); /* takes up the log */
    }
    sqlite3_close(database);
    free(log);
}

void rg_store_close(RgStore *store) {
    if (!store)
        return;
    rg_store_rest(store);
    if (store->ours && store->lock < 0)
        remove_empty_log(store);
    if (store->locked && ftruncate(store->lock, 0) != 0)
        store->locked = false; /* it then names one who has gone: nothing to be done about it */
    if (store->lock >= 0)
        close(store->lock);
    free(store->path);
    free(store);
}

/* From the store's own folder up to the first that was made, as far as they are empty. */
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

static int tell_of_verifying(void *context) {
    Verifying *verifying = context;
    rg_wait_tell(&verifying->wait, "%s: is being read through, whether it is damaged",
                 verifying->path);
    return 0;
}

RgStatus rg_store_verify(RgStore *store, RgVerification how, RgError *error) {
    const int operations = 1000000; /* of SQLite's, between looks at the clock */
    Verifying verifying = {store->path, rg_wait_begin()};
    sqlite3_progress_handler(store->database, operations, tell_of_verifying, &verifying);
    RgRows *rows =
        rg_rows_open(store, "any",
                     how == RG_VERIFY_ALL
                         ? "SELECT integrity_check AS \"any.text\" FROM pragma_integrity_check(1)"
                         : "SELECT quick_check AS \"any.text\" FROM pragma_quick_check(1)");
    if (rg_rows_next(rows) && strcmp(rg_rows_text(rows, 0), "ok") != 0)
        rg_rows_refuse(rows,
                       "the file is damaged: regatta check-store tells where, and what can be "
                       "saved");
    sqlite3_progress_handler(store->database, 0, NULL, NULL);
    return rg_rows_close(rows, RG_OK, error);
}

RgStatus rg_store_snapshot(RgStore *store, RgError *error) {
    return run_text(store, "BEGIN") ? RG_OK
                                    : rg_store_refused(store, "read the results store", error);
}

/* Writing. */

/* SQLite writes on into a file that has lost its name, and past the end of one that was cut. It
 * never makes one shorter, as nothing here vacuums. The log is put into the file that it belongs
 * to, wherever that is now: it would be taken for the log of what has taken the file's place. */
static bool is_in_place(RgStore *store) {
    struct stat about;
    int moved = 0;
    sqlite3_file_control(store->database, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved || stat(store->path, &about) != 0) {
        store->lost = "the file was deleted, moved or replaced while it was being written";
        sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    } else if (about.st_size < store->size) {
        store->lost = "the file was cut short while it was being written";
    } else {
        store->size = about.st_size;
    }
    return !store->lost;
}

static bool begin(RgStore *store, bool durable) {
    return is_in_place(store) && run(store->statements[durable ? SYNC_ALWAYS : SYNC_RARELY]) &&
           run(store->statements[BEGIN]);
}

/* End the transaction in which all went well so far, or not: SQLite refused to write (not `good`),
 * or what was read was not as it should be (`status`, with its message). The message is taken
 * before rolling back, which forgets SQLite's error. */
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

/* The trial's row, if there is one: its id, else 0. */
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
    return end(store, good, RG_OK, error, "forget the trial");
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

RgStatus rg_store_trial_status(RgStore *store, int64_t trial, const char *status,
                               const char *reason, RgError *error) {
    bool good = begin(store, true) && write_status(store, trial, status, reason);
    return end(store, good, RG_OK, error, "record the trial's status");
}

RgStatus rg_store_trial_done(RgStore *store, int64_t trial, const char *diverged,
                             const char *sha256, RgError *error) {
    bool good = begin(store, true) && forget_sums(store, trial, "checkpoint") &&
                forget_sums(store, trial, "final") && write_sum(store, trial, "final", sha256) &&
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
