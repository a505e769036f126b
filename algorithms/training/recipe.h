/* SPDX-License-Identifier: MIT */
/* What a method's recipe comes to: whether it is whole, whether a task and a policy have what it
 * draws on, and what a step of it costs. This stands once: drawing is tested against it, and plans,
 * budgets, `regatta show` and check-gradients read it. */
#ifndef RG_ALGORITHMS_TRAINING_RECIPE_H
#define RG_ALGORITHMS_TRAINING_RECIPE_H

#include "algorithms/algorithm.h"

/* The algorithm's recipe with these options. Of one without a recipe, an empty one. */
RgRecipe rg_recipe_of(const RgAlgorithm *algorithm, const void *options);

/* Refuse a recipe that lacks what its other fields call for, or that nothing draws: RG_E_USAGE,
 * with the algorithm's name. */
RgStatus rg_recipe_check(const RgAlgorithm *algorithm, const RgRecipe *recipe, RgError *error);

/* Refuse a recipe that draws on what the environment or the policy has not, such as offline pairs
 * or a judge that gives rewards: RG_E_USAGE, with the algorithm's name. */
RgStatus rg_recipe_check_sources(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                                 const RgTask *task, const RgPolicy *policy, RgError *error);

/* The part of it that can be told before there is an environment: `rewards` is whether its judge
 * gives any. */
RgStatus rg_recipe_check_rewards(const RgAlgorithm *algorithm, const RgRecipe *recipe, bool rewards,
                                 RgError *error);

/* Responses to one prompt of a batch, by what is done with them. Those marked * are drawn for
 * on-policy prompts alone, a share `on_policy` of all. Algorithms with a step of their own tell
 * their work instead. */
typedef struct RgRecipeCounts {
    int64_t sampled;    /* by policy, mixture or reference * */
    int64_t judged;     /* by the judge * */
    int64_t third;      /* sampled besides, on every prompt */
    int64_t trained;    /* that the gradient goes back through, in each epoch */
    int64_t scored;     /* that the policy is asked about without a gradient, in each epoch */
    int64_t referenced; /* that the reference is asked about */
} RgRecipeCounts;
RgRecipeCounts rg_recipe_counts(const RgRecipe *recipe);

/* The work of an algorithm with a step of its own. False: it does not tell. */
bool rg_algorithm_work(const RgAlgorithm *algorithm, const void *options, const RgWorkTerms *terms,
                       RgWork *create, RgWork *step);

#endif
