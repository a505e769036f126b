/* SPDX-License-Identifier: MIT */
/* Merging results stores: experiments and trials of a source are copied into a target, with their
 * weights and checkpoints.
 *
 * A trial is the same in both if experiment and key agree. Of two records of it,
 *   - a done one (finished or diverged) replaces one that is not done;
 *   - two done ones must be the same result (trial_compare.h) with the same weights, and the
 *     target's is kept. Different results are refused, naming the trial and the measure that
 *     differs most, and nothing of that source is merged;
 *   - of two unfinished ones, the one with more steps is kept.
 *
 * Experiments are identified by name, and the target keeps its config of an experiment. The last
 * run (last_run.h) becomes the union of both.
 *
 * Each source is one transaction. A merge that is killed leaves the target with nothing or all of
 * the source; it can be repeated with the same result. The source is only read, and locked against
 * writing meanwhile. A source that is being written or whose file is damaged is refused. Every
 * value is checked before it is copied (rows.h), and a key used as a file name is 16 hexadecimal
 * digits. The SHA-256 of weights and checkpoints is checked as they are copied. Damaged weights
 * refuse the source. An unfinished trial with a damaged checkpoint is merged without it, with a
 * notice, unless the target has a record of the trial, which it then keeps. A refused merge leaves
 * no file in the target.
 *
 * Threads: as the stores. */
#ifndef RG_CORE_RESULTS_STORE_MERGE_H
#define RG_CORE_RESULTS_STORE_MERGE_H

#include "core/results/store.h"

/* Numbers of the sources' trials, summed over calls. Initialise it to zero. */
typedef struct RgMergeCounts {
    int64_t added;    /* the target did not have them */
    int64_t replaced; /* the target's were unfinished, or had fewer steps */
    int64_t kept;     /* the target's were complete already */
} RgMergeCounts;

/* Merges the store at `source` into `target`, which is open for writing. `counts` may be NULL. All
 * failures name a file. RG_E_STORE: the two contradict each other. */
RgStatus rg_store_merge(RgStore *target, const char *source, RgMergeCounts *counts, RgError *error);

/* The same for one trial of the source, given by its row, without what the source stores for all
 * trials (values of pairs). */
RgStatus rg_store_merge_trial(RgStore *target, const char *source, int64_t trial,
                              RgMergeCounts *counts, RgError *error);

/* The same for a source that is damaged elsewhere: store_check.h reports which trials are
 * intact. */
RgStatus rg_store_save_trial(RgStore *target, const char *source, int64_t trial, RgError *error);

#endif
