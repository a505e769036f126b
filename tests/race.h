/* SPDX-License-Identifier: MIT */
/* The small race (experiments/program/plugins/small_race.h) of a named algorithm, for tests: what
 * fails there fails the test. */
#ifndef RG_TESTS_RACE_H
#define RG_TESTS_RACE_H

#include "algorithms/parl/parl.h"
#include "core/tensor/profile.h"
#include "envs/environment.h"
#include "experiments/program/plugins/small_race.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef RgSmallRace Race;

/* `bandit` and `options` as in rg_small_race_set; the policy starts `deviation` away from the
 * reference. */
static inline Race race_begin(const char *algorithm, const char *options, const char *bandit,
                              double deviation, int64_t batch) {
    RgError error = {0};
    RgSmallRaceTerms terms = {.algorithm = rg_algorithm_find(algorithm),
                              .options = options,
                              .bandit = bandit,
                              .deviation = deviation,
                              .batch = batch};
    Race race;
    cr_assert_eq(rg_small_race_begin(&terms, &race, &error), RG_OK, "%s", error.text);
    return race;
}

static inline void race_end(Race *race) {
    rg_small_race_end(race);
}

/* PARL's G where the race is, and its hypergradient. */
static inline double race_hypergradient(const Race *race, int64_t draw, double *found,
                                        RgEstimateReport *report) {
    RgError error = {0};
    double objective;
    cr_assert_eq(rg_parl_hypergradient(race->trainer, race->options, race->trainer->state, draw,
                                       &objective, found, report, &error),
                 RG_OK, "%s", error.text);
    return objective;
}

#endif
