/* SPDX-License-Identifier: MIT */
/* The choice of a store's trials for tables, figures and comparisons. The default is the trials of
 * the config that was run last.
 *
 * A condition is "option=value". The option is one of a trial's resolved settings, such as
 * "algorithm.beta", "environment.train" or "seed", or "label", the name shown in tables. Numbers
 * are compared as numbers. Several conditions must all hold. They select from the trials of the
 * config that was run last; if none of these fulfils them, from all trials. */
#ifndef RG_ANALYSIS_STORE_CHOICE_H
#define RG_ANALYSIS_STORE_CHOICE_H

#include "core/results/trial_find.h"

/* All zero: the most recent experiment, and the config of it that was run last. */
typedef struct RgChoice {
    const char *experiment; /* NULL: the one worked on last */
    const char **where;     /* conditions [where_count] */
    int where_count;
    bool all; /* trials of every config that was run */
} RgChoice;

/* A candidate trial. */
typedef struct RgCandidate {
    const char *label, *config; /* config: JSON as stored; may be NULL */
    int64_t seed;
    bool latest; /* in the config that was run last */
    bool chosen; /* out */
} RgCandidate;

/* Choose; `left_out` out is the number of trials left out only because of the config. RG_E_USAGE if
 * a condition is malformed, or no trial fulfils all; the message suggests the nearest option, or
 * lists its values. */
RgStatus rg_choose(const RgChoice *choice, RgCandidate *trials, int count, int *left_out,
                   RgError *error);

/* Find the one trial with key or label `name` and `seed` (−1: any) among the trials of the choice.
 * It is searched in the experiment of the choice; if that is NULL, in all. A key finds its trial
 * also outside the config that was run last. RG_E_USAGE if there is no such trial, or several; the
 * message lists the settings in which they differ. The caller clears the row. */
RgStatus rg_choose_trial(RgStore *store, const RgChoice *choice, const char *name, int64_t seed,
                         RgTrialRow *row, RgError *error);

#endif
