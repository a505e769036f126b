/* SPDX-License-Identifier: MIT */
/* A method by name, with options of its own, whose loss is made of known numbers, for tests. */
#ifndef RG_TESTS_LOSS_METHOD_H
#define RG_TESTS_LOSS_METHOD_H

#include "race.h"

#include <criterion/criterion.h>

enum { PAIRS = 5, SIZE = 4 }; /* pairs, or groups; responses of a group */

static RgSettings *settings;
static const RgAlgorithm *algorithm;
static RgRecipe recipe;
static char options[256] __attribute__((aligned(16)));

static inline double chance(uint64_t i) {
    return rg_random_uniform(rg_random_root(21), i);
}

static inline void begin_method(const char *name, const char *given) {
    RgError error = {0};
    memset(options, 0, sizeof options);
    settings = rg_settings_create();
    algorithm = rg_algorithm_find(name);
    cr_assert(algorithm && algorithm->about.options_size <= sizeof options);
    rg_small_race_set(settings, "algorithm", given);
    cr_assert_eq(rg_options_read(algorithm->about.options, settings, "algorithm", options, &error),
                 RG_OK, "%s", error.text);
    recipe = rg_recipe_of(algorithm, options);
}

#endif
