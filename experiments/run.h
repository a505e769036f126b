/* Running an experiment into a results store. */
#ifndef RG_EXPERIMENTS_RUN_H
#define RG_EXPERIMENTS_RUN_H

#include "experiments/trial.h"

/* The store that `results` names; where that is NULL, results/NAME.db. Freed by the caller. */
char *rg_experiment_store_path(const RgExperiment *experiment, const char *results);

/* Run all trials of an experiment that are not done in the store at `results`; NULL:
 * results/NAME.db. The folder of its weights is made beside it. As rg_trial_run for each. */
RgStatus rg_experiment_run(const RgExperiment *experiment, const char *results,
                           double checkpoint_seconds, bool quiet, RgError *error);

#endif
