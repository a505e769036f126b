/* SPDX-License-Identifier: MIT */
/* Merging results stores: experiments and trials of one are copied into another, with the weights
 * and checkpoints beside them.
 *
 * A trial is the same in both when experiment and key agree. Of two records of it,
 *   - one that is done (finished or diverged) stands for one that is not;
 *   - two that are done must be the same result (see trial_compare.h), with the same weights: the
 *     target's stays. Two different results are refused, naming the trial and the measure that
 *     differs most: nothing of that source is then merged;
 *   - of two that are under way, the one that has come further.
 * Experiments go by their name; the target's config of an experiment stays. What was run last
 * (last_run.h) is what was run last in either.
 *
 * One source is one transaction. A merge that is killed at any moment leaves the target without the
 * source or with all of it; in either case it is run again, and ends alike. The source is only
 * read, and held still meanwhile: one that is being written is refused, and so is one whose file is
 * damaged. Every value is checked before it is copied (see rows.h), and a key by which files are
 * named is 16 hexadecimal digits. Files of weights and checkpoints are held against their SHA-256
 * as they are copied: damaged weights refuse the source; of an unfinished trial whose checkpoint is
 * damaged a notice is given, and it comes without, unless the target has a record of its own, which
 * stays then. A merge that is refused leaves no file in the target. */
#ifndef RG_CORE_RESULTS_STORE_MERGE_H
#define RG_CORE_RESULTS_STORE_MERGE_H

#include "core/results/store.h"

/* Trials of the sources, added up over calls: start zeroed. */
typedef struct RgMergeCounts {
    int64_t added;    /* that the target did not have */
    int64_t replaced; /* what the target had of them was not done, or not as far */
    int64_t kept;     /* the target has all of them already */
} RgMergeCounts;

/* Merge the store at `source` into `target`, which is open for writing. `counts` may be NULL. All
 * failures name a file; RG_E_STORE when the two do not agree. */
RgStatus rg_store_merge(RgStore *target, const char *source, RgMergeCounts *counts, RgError *error);

/* The same for one trial of the source, by its row, without what the source keeps for all trials
 * together (values of pairs). */
RgStatus rg_store_merge_trial(RgStore *target, const char *source, int64_t trial,
                              RgMergeCounts *counts, RgError *error);

/* The same of a source whose file is damaged elsewhere: store_check.h tells which trials are whole.
 */
RgStatus rg_store_save_trial(RgStore *target, const char *source, int64_t trial, RgError *error);

#endif
