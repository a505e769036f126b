/* SPDX-License-Identifier: MIT */
/* The results store: one SQLite file (WAL mode), written by one run at a time: a process, or one
 * with its children. Experiments write it, analysis reads it, and nothing else passes between them.
 *
 * Tables (see store_open.c for the schema):
 *   experiments  name, resolved config as JSON, created
 *   trials       experiment, key (hash of resolved config, seed and version of the results),
 *                algorithm, label, seed, status (running, finished, diverged, failed), reason,
 *                swept options as JSON, provenance (version, commit, BLAS core, threads, host) as
 * JSON metrics      trial, step, name, value; and the meter's reading of that step (one row per
 * step in table `readings`: flops, seconds, trained_tokens, generated_tokens, judge_queries,
 *                dataset_responses, hessian_products, peak_memory)
 *   evaluations  trial, step, item, name, value (per-item numbers of evaluations)
 *   responses    trial, step, item, prompt, response
 *   evaluation_times  trial, step, seconds (which the meter leaves out)
 *   weights      trial, file (final or checkpoint), sha256 (see weights.h)
 *   last_run     experiment, key: what its config asks for that was run last (see last_run.h)
 *   pair_values  key, first, second, flops, seconds: what a reference says of a pair, shared by all
 *                trials (see reference_cache.h)
 *   judge_answers  key, judge, tries, answer, refused, answered: what an outside judge said, shared
 *                by all trials (see judge_cache.h) */
#ifndef RG_CORE_RESULTS_STORE_H
#define RG_CORE_RESULTS_STORE_H

#include "core/results/evaluation.h"
#include "core/train/meter.h"

typedef struct RgStore RgStore;

/* Opened for writing: created with its folder if absent; refused, naming the holder, while another
 * process writes it. For reading: must exist; may be read while it is being written.
 * Triggers, views and virtual tables are code of whoever made the file: a store that has any is
 * refused. A store is used by one thread at a time. All failures here are RG_E_STORE and name the
 * file. One that is deleted, moved, replaced or cut short while it is written is seen at the next
 * transaction. */
RgStatus rg_store_open(const char *path, bool writable, RgStore **store, RgError *error);
void rg_store_close(RgStore *store);
/* For reading what there is of a file that may be shorter than it says it is. */
RgStatus rg_store_open_damaged(const char *path, RgStore **store, RgError *error);
/* Close a store that nothing was put into: where opening it made it, it goes again, with its lock
 * and the folders that were made for it. */
void rg_store_discard(RgStore *store);

/* SQLite's connections must not be carried over a fork. A store at rest has none, but keeps its
 * lock, which children inherit: each wakes it for itself, and they may write it side by side, as
 * each transaction waits for the others'. A child that writes so must not outlive the run. */
void rg_store_rest(RgStore *store);
RgStatus rg_store_wake(RgStore *store, RgError *error);

struct sqlite3 *rg_store_database(RgStore *store); /* read through rows.h */
const char *rg_store_path(const RgStore *store);

/* Folder of the weights that belong to the store at `path`: its name without .db; malloc'd. In it
 * are <key>.safetensors of a finished trial, <key>-checkpoint.safetensors of one under way. */
char *rg_store_folder(const char *path);

/* Is the file as SQLite writes it? All: no page damaged, and indices that agree with their tables:
 * whoever makes numbers of a store, or copies it, asks so. Pages: no page damaged, in a fraction of
 * the time where metrics are many (doc/performance.md, "Reading a large store"); enough for who
 * only adds to it, and too little for the others: of 700 stores with up to eight bytes flipped it
 * refuses 142, where All refuses 240. */
typedef enum RgVerification { RG_VERIFY_ALL, RG_VERIFY_PAGES } RgVerification;
RgStatus rg_store_verify(RgStore *store, RgVerification how, RgError *error);

/* What is read from now on is of one moment, though a run goes on writing. */
RgStatus rg_store_snapshot(RgStore *store, RgError *error);

/* RG_E_STORE, "results/x.db: cannot <doing>: <why>", from SQLite's last error. */
RgStatus rg_store_refused(const RgStore *store, const char *doing, RgError *error);

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
/* The same query of a trial that may not be there yet; nothing is written. */
RgStatus rg_store_trial_finished(RgStore *store, int64_t experiment, const char *key,
                                 bool *finished, RgError *error);
RgStatus rg_store_trial_status(RgStore *store, int64_t trial, const char *status,
                               const char *reason, RgError *error);
/* It has finished, or diverged for the reason that is given; of its final weights the store knows
 * the SHA-256 from now on. */
RgStatus rg_store_trial_done(RgStore *store, int64_t trial, const char *diverged,
                             const char *sha256, RgError *error);
/* Its checkpoint of the SHA-256 `before` ("": none) is about to be replaced by one of `next`: until
 * this is called again both are known, so that the file may be either. */
RgStatus rg_store_checkpoint(RgStore *store, int64_t trial, const char *before, const char *next,
                             RgError *error);
/* The last step that was recorded of it; −1: none. */
RgStatus rg_store_last_step(RgStore *store, int64_t trial, int64_t *step, RgError *error);
/* Forget a trial with all that was written of it. Its files of weights are the caller's to remove.
 */
RgStatus rg_store_trial_forget(RgStore *store, int64_t trial, RgError *error);
/* Forget what was written after `step` (−1: everything): a resumed trial writes it again. */
RgStatus rg_store_trial_rewind(RgStore *store, int64_t trial, int64_t step, RgError *error);

/* All rows of one step in one transaction; what was written of the same step before is replaced.
 * Metrics of the evaluation are kept under "eval/<name>". `names`/`values` are training metrics;
 * `evaluation` may be NULL. */
RgStatus rg_store_step(RgStore *store, int64_t trial, int64_t step, const RgMeter *meter,
                       const char *const *names, const double *values, int count,
                       const RgEvaluation *evaluation, RgError *error);

/* How long the evaluation of that step took, which the meter leaves out. */
RgStatus rg_store_evaluation_time(RgStore *store, int64_t trial, int64_t step, double seconds,
                                  RgError *error);

#endif
