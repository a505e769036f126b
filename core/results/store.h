/* The results store: one SQLite file (WAL mode), written by one process. Experiments write it,
 * analysis reads it, and nothing else passes between them.
 *
 * Tables (see store.c for the schema):
 *   experiments  name, resolved config as JSON, created
 *   trials       experiment, key (hash of resolved config, seed and code version), algorithm,
 * label, seed, status (running, finished, diverged, failed), reason, swept options as JSON,
 *                provenance (version, BLAS core, threads, host) as JSON
 *   metrics      trial, step, name, value; and the meter's reading of that step (one row per step
 * in table `readings`: flops, seconds, trained_tokens, generated_tokens, judge_queries,
 *                dataset_responses, hessian_products, peak_memory)
 *   evaluations  trial, step, item, name, value (per-item numbers of evaluations)
 *   responses    trial, step, item, prompt, response
 *   pair_values  key, first, second, flops, seconds: what a reference says of a pair, shared by all
 *                trials (see pair_shelf.h)
 *   judge_answers  key, judge, tries, answer, refused, answered: what an outside judge said, shared
 *                by all trials (see answer_shelf.h) */
#ifndef RG_CORE_RESULTS_STORE_H
#define RG_CORE_RESULTS_STORE_H

#include "core/results/evaluation.h"
#include "core/train/meter.h"

typedef struct RgStore RgStore;

/* Opened for writing: created with its folder if absent; refused, naming the holder, while another
 * process writes it. For reading: must exist; may be read while it is being written.
 * A store is used by one thread at a time. All failures here are RG_E_STORE and name the file. */
RgStatus rg_store_open(const char *path, bool writable, RgStore **store, RgError *error);
void rg_store_close(RgStore *store);
struct sqlite3 *rg_store_database(RgStore *store); /* for analysis' queries */

/* A number of a query's row. SQLite has no NaN: it is kept as NULL, and read back here as NaN. */
struct sqlite3_stmt;
double rg_store_double(struct sqlite3_stmt *row, int column);

/* The row of the experiment / trial, made if absent. An experiment that is run again takes the new
 * config; a trial that is not finished takes the new record and is `running` again. */
RgStatus rg_store_experiment(RgStore *store, const char *name, const char *config_json, int64_t *id,
                             RgError *error);
typedef struct RgTrialRecord {
    int64_t id;
    int64_t experiment;
    const char *key;
    const char *algorithm;
    const char *label; /* as plots and tables show it */
    int64_t seed;
    const char *swept_json;  /* {"exploration": 0.3} */
    const char *config_json; /* resolved */
    const char *provenance_json;
} RgTrialRecord;
/* Sets record->id; `finished` tells whether the trial is done (finished or diverged) already. */
RgStatus rg_store_trial(RgStore *store, RgTrialRecord *record, bool *finished, RgError *error);
RgStatus rg_store_trial_status(RgStore *store, int64_t trial, const char *status,
                               const char *reason, RgError *error);
/* Forget what was written after `step` (−1: everything): a resumed trial writes it again. */
RgStatus rg_store_trial_rewind(RgStore *store, int64_t trial, int64_t step, RgError *error);

/* All rows of one step in one transaction; what was written of the same step before is replaced.
 * Metrics of the evaluation are kept under "eval/<name>". `names`/`values` are training metrics;
 * `evaluation` may be NULL. */
RgStatus rg_store_step(RgStore *store, int64_t trial, int64_t step, const RgMeter *meter,
                       const char *const *names, const double *values, int count,
                       const RgEvaluation *evaluation, RgError *error);

#endif
