/* SPDX-License-Identifier: MIT */
/* The results store: one SQLite file (WAL mode), written by one run at a time: a process, or one
 * with its children. Experiments write it, analysis reads it, and they share nothing else.
 *
 * Tables (see store_open.c for the schema):
 *   experiments       name, resolved config as JSON, created
 *   trials            experiment, key (hash of resolved config, seed and version of the results),
 *                     algorithm, label, seed, status (running, finished, diverged, failed), reason,
 *                     swept options as JSON, provenance (version, commit, BLAS core, threads, host)
 *                     as JSON, selected (the evaluated step that is the result; NULL: the last)
 *   metrics           trial, step, name, value
 *   readings          trial, step, and the meter: flops, seconds, trained_tokens, generated_tokens,
 *                     judge_queries, dataset_responses, hessian_products, peak_memory
 *   evaluations       trial, step, item, name, value (numbers per item of evaluations)
 *   responses         trial, step, item, prompt, response
 *   evaluation_times  trial, step, seconds (not part of the meter)
 *   weights           trial, file (final or checkpoint), sha256 (see weights.h)
 *   last_run          experiment, key: the trials of the config that was run last (see last_run.h)
 *   pair_values       key, first, second, flops, seconds: the reference's log-probabilities of a
 *                     pair, shared by all trials (see reference_cache.h)
 *   judge_answers     key, judge, tries, answer, refused, answered: an external judge's answers,
 *                     shared by all trials (see judge_cache.h)
 *
 * Threads: one thread at a time per store. */
#ifndef RG_CORE_RESULTS_STORE_H
#define RG_CORE_RESULTS_STORE_H

#include "core/results/evaluation.h"
#include "core/train/meter.h"

typedef struct RgStore RgStore;

/* Opens a store. For writing: it is created with its folder if absent, and refused, naming the
 * writer, while another process writes it. For reading: it must exist, and may be written
 * meanwhile. A store with triggers, views or virtual tables is refused, because these are code by
 * the file's author. All failures here are RG_E_STORE and name the file. If the file is deleted,
 * moved, replaced or truncated while it is written, the next transaction fails. */
RgStatus rg_store_open(const char *path, bool writable, RgStore **store, RgError *error);
void rg_store_close(RgStore *store);
/* For reading what remains of a file that may be shorter than its header says. */
RgStatus rg_store_open_damaged(const char *path, RgStore **store, RgError *error);
/* Closes a store to which nothing was written. If opening it created it, the file, its lock and the
 * folders created for it are removed. */
void rg_store_discard(RgStore *store);

/* SQLite's connections must not survive a fork. A store at rest has none but keeps its lock, which
 * children inherit. Each child wakes the store for itself. Children may write concurrently, because
 * their transactions wait for each other. Such a child must not outlive the run. */
void rg_store_rest(RgStore *store);
RgStatus rg_store_wake(RgStore *store, RgError *error);

struct sqlite3 *rg_store_database(RgStore *store); /* read it through rows.h */
const char *rg_store_path(const RgStore *store);

/* Folder of the weights of the store at `path`: its name without .db; malloc'd. It contains
 * <key>.safetensors of a finished trial and <key>-checkpoint.safetensors of an unfinished one. */
char *rg_store_folder(const char *path);

/* Whether the file is intact. ALL: no page is damaged and the indices agree with their tables; use
 * it before computing numbers from a store or copying it. PAGES: no page is damaged. It takes a
 * fraction of the time if metrics are many (doc/performance.md, "Reading a large store"), and
 * suffices for adding to a store, but not otherwise: of 700 stores with up to eight flipped bytes
 * it refuses 142, ALL 240. */
typedef enum RgVerification { RG_VERIFY_ALL, RG_VERIFY_PAGES } RgVerification;
RgStatus rg_store_verify(RgStore *store, RgVerification how, RgError *error);

/* Everything read from now on is one snapshot, while a run continues to write. */
RgStatus rg_store_snapshot(RgStore *store, RgError *error);

/* RG_E_STORE with "results/x.db: cannot <doing>: <why>", from SQLite's last error. */
RgStatus rg_store_refused(const RgStore *store, const char *doing, RgError *error);

/* The row of the experiment or trial, created if absent. An experiment that is run again takes the
 * new config. An unfinished trial takes the new record and is `running` again. */
RgStatus rg_store_experiment(RgStore *store, const char *name, const char *config_json, int64_t *id,
                             RgError *error);
typedef struct RgTrialRecord {
    int64_t id;
    int64_t experiment;
    const char *key;
    const char *algorithm;
    const char *label; /* as shown in plots and tables */
    int64_t seed;
    const char *swept_json;  /* {"exploration": 0.3} */
    const char *config_json; /* resolved */
    const char *provenance_json;
} RgTrialRecord;
/* Sets record->id. `finished`: the trial is already done (finished or diverged). */
RgStatus rg_store_trial(RgStore *store, RgTrialRecord *record, bool *finished, RgError *error);
/* The same query for a trial that may not exist yet; writes nothing. */
RgStatus rg_store_trial_finished(RgStore *store, int64_t experiment, const char *key,
                                 bool *finished, RgError *error);
/* Marks an unfinished trial as failed for a reason; one that is not in the store stays away. */
RgStatus rg_store_trial_failed(RgStore *store, int64_t experiment, const char *key,
                               const char *reason, RgError *error);
RgStatus rg_store_trial_status(RgStore *store, int64_t trial, const char *status,
                               const char *reason, RgError *error);
/* Marks the trial as finished or, with the given reason, diverged, and records the SHA-256 of its
 * final weights. `selected` is the evaluated step that these are of; −1: the last. */
RgStatus rg_store_trial_done(RgStore *store, int64_t trial, const char *diverged,
                             const char *sha256, int64_t selected, RgError *error);
/* Announces that the checkpoint with SHA-256 `before` ("": none) will be replaced by one with
 * `next`. Until the next call both are accepted, as the file may be either. */
RgStatus rg_store_checkpoint(RgStore *store, int64_t trial, const char *before, const char *next,
                             RgError *error);
/* The trial's last recorded step; −1: none. */
RgStatus rg_store_last_step(RgStore *store, int64_t trial, int64_t *step, RgError *error);
/* Deletes a trial with all its rows. The caller removes its files of weights. */
RgStatus rg_store_trial_forget(RgStore *store, int64_t trial, RgError *error);
/* Deletes everything after `step` (−1: everything). A resumed trial writes it again. */
RgStatus rg_store_trial_rewind(RgStore *store, int64_t trial, int64_t step, RgError *error);

/* Writes all rows of one step in one transaction, replacing earlier rows of the same step. Metrics
 * of the evaluation are stored under "eval/<name>". `names` and `values` are training metrics.
 * `evaluation` may be NULL. */
RgStatus rg_store_step(RgStore *store, int64_t trial, int64_t step, const RgMeter *meter,
                       const char *const *names, const double *values, int count,
                       const RgEvaluation *evaluation, RgError *error);

/* Records the duration of that step's evaluation, which the meter excludes. */
RgStatus rg_store_evaluation_time(RgStore *store, int64_t trial, int64_t step, double seconds,
                                  RgError *error);

#endif
