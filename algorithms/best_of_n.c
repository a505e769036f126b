/* SPDX-License-Identifier: MIT */
/* Best of n: no training. Each response of an evaluation is the best, by the judge, of n samples of
 * the reference; the KL divergence is at most log n − (n−1)/n (Stiennon et al. 2020,
 * arXiv:2009.01325). It is the baseline that training has to beat, at the cost of n samples per
 * response. Only this method has this cost; it arises in evaluation and is not metered. */
#include "algorithms/algorithm.h"

typedef struct BestOfOptions {
    int64_t n;
} BestOfOptions;

static const RgOption best_of_options[] = {
    RG_OPTION_INTEGER(BestOfOptions, n, "16", 1, 65536, "number n of responses to choose from"),
    RG_OPTION_END,
};

static void best_of_n_recipe(const void *options, RgRecipe *recipe) {
    recipe->best_of = ((const BestOfOptions *)options)->n;
    recipe->rewards = true;
}

const RgAlgorithm rg_algorithm_best_of_n = {
    .about =
        {.name = "best-of-n",
         .summary =
             "The best of several responses of the reference, by the judge's reward: no training",
         .reference = "Stiennon et al. 2020, arXiv:2009.01325",
         .options = best_of_options,
         .options_size = sizeof(BestOfOptions)},
    .recipe = best_of_n_recipe,
};
