/* SPDX-License-Identifier: MIT */
/* Running a paper's figures again: the experiments that its file names (analysis/papers/NAME.cfg),
 * each into a results store of its own, and the reported figures and claims beside what is found. Main thread
 * only. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_REPRODUCE_H
#define RG_EXPERIMENTS_PROGRAM_RUN_REPRODUCE_H

#include "analysis/compare/paper.h"
#include "experiments/program/run/run.h"

typedef struct RgReproduceOptions {
    const char *folder; /* of the stores, which have their experiments' names */
    RgRunOptions run;   /* `results` is ignored */
    RgTableOptions table;
    RgPaperPart part;
    bool only_table; /* run nothing */
} RgReproduceOptions;

/* Run what is missing of the paper's experiments, and write the paper's table, where an experiment
 * without a store has dashes. `verdicts` is counted up. RG_E_USAGE: the paper names no
 * experiments. */
RgStatus rg_reproduce(const RgPaper *paper, const RgReproduceOptions *options,
                      RgPaperVerdicts *verdicts, RgError *error);

#endif
