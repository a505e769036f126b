/* SPDX-License-Identifier: MIT */
/* The programs that a config's commands start, such as a judge's: whether they are there. One
 * thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_PROGRAMS_H
#define RG_EXPERIMENTS_PROGRAM_RUN_PROGRAMS_H

#include "experiments/program/config/experiment.h"

/* RG_E_USAGE if a trial that is not done in the store at `path`, which need not exist, has a
 * command whose program the shell does not find or cannot run. The message has file, line and key.
 * Only the first word of a command is looked at, and only if it is a plain name. */
RgStatus rg_check_programs(const RgExperiment *experiment, const char *path, RgError *error);

#endif
