/* SPDX-License-Identifier: MIT */
/* The reference policy itself, as a contender: it takes no step, so that its row in a table is what
 * every other method started from. */
#include "algorithms/algorithm.h"

const RgAlgorithm rg_algorithm_base = {
    .about = {.name = "base",
              .summary = "The reference policy itself: no training",
              .reference = "the initial policy of every other method"},
};
