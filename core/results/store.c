/* The results store on SQLite: schema, opening and locking, and the few writes that a run makes.
 * Queries for tables and plots are not here: analysis makes its own over rg_store_database.
 *
 * One process writes (an flock on "<store>.lock", which names its holder), any number read
 * meanwhile (WAL). Each step is one transaction, so that a killed run leaves whole steps only.
 * Commits survive the death of the process; those that carry an evaluation or a change of status
 * are also synced to the disk, and with them all that came before, so that a power failure costs at
 * most the training rows since the last evaluation. */
#include "core/results/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Kept in the file's header (PRAGMA application_id, user_version): "RgSt", and the schema's version,
 * to be raised with every change that an older program would misread. */
#define STORE_APPLICATION 0x52675374
#define STORE_VERSION     1

/* Values are NULL where the number is not one (NaN), as SQLite has no NaN; rg_store_double reads
 * them back. Metrics of evaluations are rows of `metrics` named "eval/<name>". Times are UTC. */
static const char schema[] =
    /* config: resolved settings of the whole experiment, a flat JSON object path → value */
    "CREATE TABLE experiments ("
    "  id INTEGER PRIMARY KEY, name TEXT UNIQUE, config TEXT, created TEXT);"

    /* key: hash of resolved config, seed and code version; label: as tables and plots show it;
     * status: running, finished, diverged or failed; reason: why it diverged or failed, else NULL;
     * swept: JSON object of the swept options; provenance: version, BLAS core, threads, host. */
    "CREATE TABLE trials ("
    "  id INTEGER PRIMARY KEY, experiment INTEGER REFERENCES experiments ON DELETE CASCADE,"
    "  key TEXT, algorithm TEXT, label TEXT, seed INTEGER, status TEXT, reason TEXT, swept TEXT,"
    "  config TEXT, provenance TEXT, updated TEXT, UNIQUE (experiment, key));"

    /* The meter after each step: totals since the trial began. flops, tokens and so on are counts,
     * seconds leave evaluation out, peak_memory is in bytes; evaluated: 1 where the step was also
     * evaluated. */
    "CREATE TABLE readings ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, flops REAL, seconds REAL,"
    "  trained_tokens INTEGER, generated_tokens INTEGER, judge_queries INTEGER,"
    "  hessian_products INTEGER, peak_memory REAL, evaluated INTEGER, PRIMARY KEY (trial, step));"

    "CREATE TABLE metrics ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, name TEXT, value REAL,"
    "  PRIMARY KEY (trial, step, name)) WITHOUT ROWID;"
    /* One metric over steps, of one trial or of all, without touching the table. */
    "CREATE INDEX metrics_by_name ON metrics (name, trial, step, value);"

    /* One number per item (test prompt or context) of an evaluation, for paired comparisons. */
    "CREATE TABLE evaluations ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, item INTEGER, name TEXT,"
    "  value REAL, PRIMARY KEY (trial, step, name, item)) WITHOUT ROWID;"

    "CREATE TABLE responses ("
    "  trial INTEGER REFERENCES trials ON DELETE CASCADE, step INTEGER, item INTEGER,"
    "  prompt TEXT, response TEXT, PRIMARY KEY (trial, step, item));";
