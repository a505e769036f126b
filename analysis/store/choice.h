/* SPDX-License-Identifier: MIT */
/* Which trials of a store tables, figures and comparisons are of: those of the config that was run
 * last, unless others are asked for.
 *
 * A condition is "option=value", where the option is one of a trial's resolved settings, such as
 * "algorithm.beta", "environment.train" or "seed", or "label", the name that tables show. Numbers
 * are compared as numbers. Of several conditions all hold. They choose among the trials of the
 * config that was run last; where none of these fulfils them, among all. */
#ifndef RG_ANALYSIS_STORE_CHOICE_H
#define RG_ANALYSIS_STORE_CHOICE_H

#include "core/results/trial_find.h"

/* All zero: the experiment that was worked on last, and the config of it that was run last. */
typedef struct RgChoice {
    const char *experiment; /* NULL: the one worked on last */
    const char **where;     /* conditions [where_count] */
    int where_count;
    bool all; /* of every config that was run */
} RgChoice;

/* A trial that may be chosen. */
typedef struct RgCandidate {
    const char *label, *config; /* config: JSON as stored; may be NULL */
    int64_t seed;
    bool asked;  /* by the config that was run last */
    bool chosen; /* out */
} RgCandidate;

/* Choose; `left_out` counts those that only the config leaves out. RG_E_USAGE where a condition is
 * none, or no trial fulfils all: the message names the nearest option, or the values that it has.
 */
RgStatus rg_choose(const RgChoice *choice, RgCandidate *trials, int count, int *left_out,
                   RgError *error);

/* The one trial whose key or label is `name`, with `seed`, or with any where that is −1: of those
 * that the choice tells, in the experiment that it tells or, where that is NULL, in whichever has
 * it. A key names its trial whether the config that was run last asks for it or not. RG_E_USAGE
 * where none is chosen, or several: the message tells what sets them apart. The row is the caller's
 * to clear. */
RgStatus rg_choose_trial(RgStore *store, const RgChoice *choice, const char *name, int64_t seed,
                         RgTrialRow *row, RgError *error);

#endif
