/* SPDX-License-Identifier: MIT */
/* Queries about a method's recipe: whether it is complete, whether a task and a policy provide what
 * it needs, and what a step costs. This is the single source: sampling is tested against it, and
 * plans, budgets, `regatta show` and check-gradients read it. All functions are thread-safe. */
#ifndef RG_ALGORITHMS_TRAINING_RECIPE_H
#define RG_ALGORITHMS_TRAINING_RECIPE_H

#include "algorithms/algorithm.h"

/* The algorithm's recipe with these options; empty for an algorithm without a recipe. */
RgRecipe rg_recipe_of(const RgAlgorithm *algorithm, const void *options);

/* Refuse a recipe that lacks what its other fields require, or that cannot be sampled: RG_E_USAGE,
 * with the algorithm's name. */
RgStatus rg_recipe_check(const RgAlgorithm *algorithm, const RgRecipe *recipe, RgError *error);

/* How many elements of a data set a step's batches go over, pass after pass, and of which: offline
 * pairs, also where some of a batch are sampled in their place, demonstrations, or prompts where
 * all is sampled. 0: there are none. An algorithm with a step of its own is taken to go over what
 * its recipe says. Before an environment is prepared its pairs are those that it expects to
 * have. */
int64_t rg_recipe_elements(const RgRecipe *recipe, const RgTask *task, const char **of);

/* Refuse a recipe that needs what the environment or the policy lacks, such as offline pairs or a
 * judge that gives rewards: RG_E_USAGE, with the algorithm's name. */
RgStatus rg_recipe_check_sources(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                                 const RgTask *task, const RgPolicy *policy, RgError *error);

/* The part of this check that needs no environment: `rewards` is whether its judge gives
 * rewards. */
RgStatus rg_recipe_check_rewards(const RgAlgorithm *algorithm, const RgRecipe *recipe, bool rewards,
                                 RgError *error);

/* Responses to one prompt of a batch, by what is done with them. Those marked * are sampled for
 * on-policy prompts only, a share `on_policy` of all. Algorithms with a step of their own report
 * their work instead. */
typedef struct RgRecipeCounts {
    int64_t sampled;    /* by policy, mixture or reference * */
    int64_t judged;     /* by the judge * */
    bool judges_all;    /* all responses that there are, once a step and not to one prompt * */
    int64_t third;      /* sampled in addition, for every prompt */
    int64_t trained;    /* log π_θ with its gradient, in each epoch */
    int64_t scored;     /* log π_θ without its gradient, in each epoch */
    int64_t referenced; /* log π_ref */
} RgRecipeCounts;
RgRecipeCounts rg_recipe_counts(const RgRecipe *recipe);

/* The work of an algorithm with a step of its own. False: unknown. */
bool rg_algorithm_work(const RgAlgorithm *algorithm, const void *options, const RgWorkTerms *terms,
                       RgWork *create, RgWork *step);

#endif
