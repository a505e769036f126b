/* SPDX-License-Identifier: MIT */
/* Which evaluation of a trial is its result, and when evaluations end it.
 *
 * Where `evaluation.select` names a metric, that is the best one by it, and after
 * `evaluation.patience` without a better one the trial ends. With `budget.kl` it ends with the
 * first evaluation that is farther from the reference, which is never the result. The policy of the
 * result is kept, and is what the trial ends with. Of trials that ask for none of this there is no
 * selection: NULL, for which every function stands. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_SELECTION_H
#define RG_EXPERIMENTS_PROGRAM_RUN_SELECTION_H

#include "core/results/evaluation.h"
#include "core/train/checkpoint.h"
#include "experiments/program/config/budget.h"

typedef struct RgSelection RgSelection;

/* NULL where nothing is selected. `options` and `parameters`, those that are trained, are borrowed.
 */
RgSelection *rg_selection_create(const RgEvaluationOptions *options, const RgBudgetOptions *budget,
                                 const RgParameters *parameters);
void rg_selection_destroy(RgSelection *selection);

/* List the parameters of the result so far and what is known of it. */
void rg_selection_checkpoint(RgSelection *selection, RgCheckpoint *checkpoint);

/* The policy was evaluated as it is at `step`. Refused where the evaluation lacks a metric that is
 * asked for, with the nearest name. */
RgStatus rg_selection_see(RgSelection *selection, const RgEvaluation *evaluation, int64_t step,
                          RgError *error);

/* Why the trial ends here, as the end of a sentence, malloc'd; NULL: it goes on. */
char *rg_selection_end(const RgSelection *selection);
bool rg_selection_is_over(const RgSelection *selection);

/* Put what was selected into `parameters`. The step that it is of; −1: nothing was selected, and
 * they stay. */
int64_t rg_selection_restore(const RgSelection *selection, RgParameters *parameters);

#endif
