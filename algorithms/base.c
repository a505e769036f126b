/* SPDX-License-Identifier: MIT */
/* The reference policy itself as a method: it takes no steps. Its row in a table is the starting
 * point of every other method. */
#include "algorithms/algorithm.h"

const RgAlgorithm rg_algorithm_base = {
    .about = {.name = "base",
              .summary = "The reference policy itself: no training",
              .reference = "the initial policy of every other method"},
};
