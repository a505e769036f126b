/* SPDX-License-Identifier: MIT */
/* Checks and costs of a recipe. */
#include "algorithms/training/recipe.h"

#include "algorithms/training/pair_sampler.h"
#include "algorithms/training/shared_terms.h"

#include <string.h>

RgRecipe rg_recipe_of(const RgAlgorithm *algorithm, const void *options) {
    RgRecipe recipe = {
        .on_policy = 1, .beta = 0.1, .third_temperature = -1, .sampler_steps = 1, .epochs = 1};
    if (algorithm->recipe)
        algorithm->recipe(options, &recipe);
    return recipe;
}

/* ---- costs ---- */

static RgRecipeCounts pair_counts(const RgRecipe *r) {
    bool policy = r->responses == RG_FROM_POLICY, opponent = r->opponents != RG_FROM_NOWHERE;
    bool judge = r->preferences == RG_FROM_JUDGE, sampled_third = r->third != RG_FROM_OTHERS;
    RgRecipeCounts c = {.sampled = opponent ? 1 + policy : 2 * policy, .trained = 2};
    c.judged = judge && c.sampled > 0 ? 2 : 0;
    if (r->candidates > 2)
        c.sampled = c.judged = r->candidates;
    c.judged += r->third_competes ? 3 : 0;
    if (r->rivals != RG_FROM_NOWHERE) {
        int64_t draws = r->extragradient ? 2 : 1;
        c.sampled += draws;
        c.judged += 4 * draws; /* two comparisons of two responses each */
    }
    c.judges_all = rg_pair_sampler_rewards(r);
    if (r->third != RG_FROM_NOWHERE && sampled_third) {
        c.third = 1;
        c.trained += 1;
    } else if (r->third == RG_FROM_OTHERS) {
        c.scored = r->third_chosen ? 1 : 2;
    }
    return c;
}

RgRecipeCounts rg_recipe_counts(const RgRecipe *r) {
    RgRecipeCounts c = {0};
    if (r->group > 0)
        c = (RgRecipeCounts){.sampled = r->group,
                             .judged = r->preferences == RG_FROM_JUDGE ? r->group : 0,
                             .trained = r->group};
    else if (r->single)
        c = (RgRecipeCounts){.trained = 1, .scored = r->third == RG_FROM_OTHERS};
    else if (rg_recipe_takes_pairs(r))
        c = pair_counts(r);
    else
        return (RgRecipeCounts){.trained = 1};
    c.referenced = r->reference_free ? 0 : c.trained + c.scored;
    return c;
}

/* ---- what it goes over ---- */

static int64_t count_of(const RgSequences *sequences) {
    return sequences ? sequences->count : 0;
}

static int64_t pairs_of(const RgTask *task) {
    return task->pairs                           ? task->pairs->count
           : task->expected_pairs == RG_NO_PAIRS ? 0
                                                 : task->expected_pairs;
}

/* Those of all pairs, where the task has no others. */
static int64_t singles_of(const RgTask *task) {
    return task->singles                ? task->singles->sequences->count
           : task->expected_singles > 0 ? task->expected_singles
                                        : 2 * pairs_of(task);
}

int64_t rg_recipe_elements(const RgRecipe *r, const RgTask *task, const char **of) {
    bool pairs = rg_recipe_takes_pairs(r), policy = r->responses == RG_FROM_POLICY;
    bool sampled = policy || r->opponents != RG_FROM_NOWHERE;
    *of = "single responses";
    if (r->single)
        return singles_of(task);
    *of = "training prompts";
    if (r->group > 0 || (pairs && policy && r->on_policy >= 1))
        return count_of(task->prompts);
    *of = pairs && !(sampled && r->on_policy >= 1) ? "offline pairs" : "demonstrations";
    return strcmp(*of, "offline pairs") == 0 ? pairs_of(task) : count_of(task->demonstrations);
}

/* ---- work ---- */

void rg_work_add(RgWork *work, RgWorkKind kind, double times, int64_t prompts, int64_t copies) {
    if (!(times > 0) || prompts * copies == 0)
        return;
    RG_ASSERT(work->count < (int)(sizeof work->item / sizeof *work->item));
    work->item[work->count++] = (struct RgWorkItem){kind, prompts, copies, times};
}

double rg_work_responses(const RgWork *work, RgWorkKind kind) {
    double sum = 0;
    for (int i = 0; i < work->count; i++) {
        const struct RgWorkItem *item = &work->item[i];
        if (item->kind == kind)
            sum += item->times * (double)item->prompts * (double)item->copies;
    }
    return sum;
}

bool rg_algorithm_work(const RgAlgorithm *algorithm, const void *options, const RgWorkTerms *terms,
                       RgWork *create, RgWork *step) {
    *create = *step = (RgWork){0};
    return algorithm->step && algorithm->work && algorithm->work(options, terms, create, step);
}

/* ---- completeness ---- */

static bool is_one_of(RgSource source, RgSource a, RgSource b, RgSource c) {
    return source == a || source == b || source == c;
}

RgStatus rg_recipe_check(const RgAlgorithm *a, const RgRecipe *r, RgError *error) {
    bool policy = r->responses == RG_FROM_POLICY, pairs = rg_recipe_takes_pairs(r);
    bool third = r->third != RG_FROM_NOWHERE;
    const RgRequirement requirements[] = {
        {policy || r->responses == RG_FROM_DATASET, "responses from dataset or policy"},
        {is_one_of(r->opponents, RG_FROM_NOWHERE, RG_FROM_REFERENCE, RG_FROM_MIXTURE) ||
             (policy && r->opponents == RG_FROM_POLICY),
         "opponents from reference, mixture or nowhere, or from policy as the responses"},
        {r->preferences == RG_FROM_NOWHERE ||
             is_one_of(r->preferences, RG_FROM_DATASET, RG_FROM_POLICY, RG_FROM_JUDGE),
         "preferences from dataset, policy, judge or nowhere"},
        {r->third == RG_FROM_NOWHERE ||
             is_one_of(r->third, RG_FROM_POLICY, RG_FROM_REFERENCE, RG_FROM_OTHERS),
         "a third response from policy, reference, others or nowhere"},
        {r->rivals == RG_FROM_NOWHERE ||
             is_one_of(r->rivals, RG_FROM_POLICY, RG_FROM_REFERENCE, RG_FROM_MIXTURE),
         "rivals from policy, reference, mixture or nowhere"},
        {r->rivals == RG_FROM_NOWHERE || (pairs && policy && r->on_policy == 1 && r->group == 0),
         "pairs of responses from policy alone with rivals"},
        {!r->extragradient || (r->rivals != RG_FROM_NOWHERE && r->epochs == 2),
         "rivals and two epochs with extragradient"},
        {r->group >= 0, "a group of 1 response or more, or 0 for none"},
        {!r->single || (r->responses == RG_FROM_DATASET && r->preferences == RG_FROM_DATASET &&
                        r->opponents == RG_FROM_NOWHERE && r->group == 0),
         "responses and preferences from dataset alone, as it has single"},
        {!r->single || !third || (r->third == RG_FROM_OTHERS && !r->third_chosen),
         "a third response from all others or nowhere, as it has single"},
        {pairs || r->group > 0 || !policy,
         "preferences, opponents or a group, as responses are from policy"},
        {r->group == 0 || policy, "responses from policy, as it has a group"},
        {r->group == 0 || r->preferences == RG_FROM_JUDGE || r->preferences == RG_FROM_NOWHERE,
         "preferences from judge or nowhere, as it has a group"},
        {r->pair_sampler == RG_PAIRS_INDEPENDENT ||
             (pairs && policy && !third &&
              (r->opponents == RG_FROM_NOWHERE || r->opponents == RG_FROM_POLICY)),
         "pairs of the policy and no third response, as it has a pair_sampler"},
        {r->candidates <= 2 ||
             (pairs && policy && r->preferences == RG_FROM_JUDGE && r->rewards &&
              r->pair_sampler == RG_PAIRS_INDEPENDENT && !third &&
              (r->opponents == RG_FROM_NOWHERE || r->opponents == RG_FROM_POLICY)),
         "independent pairs of the policy, labelled by a judge with rewards, as it has "
         "candidates"},
        {pairs || r->single || !third, "single responses or pairs, as it has a third response"},
        {third || !r->third_competes, "a third response, as third_competes is set"},
        {r->rewards || !r->third_competes, "rewards, as third_competes is set"},
        {r->on_policy >= 0 && r->on_policy <= 1, "on_policy from 0 to 1"},
        {r->beta > 0 || r->preferences != RG_FROM_POLICY,
         "beta above 0, as preferences are from policy"},
        {r->reference_share >= 0 && r->reference_share <= 1, "reference_share from 0 to 1"},
        {pairs || r->single || (r->shared.sft_coefficient == 0 && !rg_shared_terms_shape(r)),
         "pairs, as it has sft_coefficient, length or dpop_coefficient"},
        {r->shared.length_coefficient == 0 || r->beta > 0,
         "beta above 0, as it has length_coefficient"},
        {r->shared.dpop_coefficient >= 0, "dpop_coefficient of 0 or more"},
        {r->shared.dpop_coefficient == 0 || !r->reference_free,
         "a reference, as it has dpop_coefficient"},
        {r->shared.reference_steps >= 0, "reference_steps of 0 or more"},
        {r->shared.reference_steps == 0 || !r->reference_free,
         "a reference, as it has reference_steps"},
        {r->shared.reference_update >= 0 && r->shared.reference_update <= 1,
         "reference_update from 0 to 1"},
        {r->sampler_steps >= 0, "sampler_steps of 0 or more"},
        {r->epochs >= 1, "epochs of 1 or more"},
        {r->steps || !r->features, "steps, as features is set"},
        {pairs || r->group > 0 || !a->prepare, "pairs or a group, as it has prepare"},
        {r->couples || !a->prepare, "couples, as it has prepare"},
    };
    return rg_descriptor_check(RG_ALGORITHM, &a->about, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

/* ---- requirements on task and policy ---- */

static bool empty(const RgSequences *sequences) {
    return !sequences || sequences->count == 0;
}

/* Demonstrations may be taken from pairs or single responses later. */
static bool lacks_demonstrations(const RgTask *task) {
    return empty(task->demonstrations) && !(task->pending && rg_task_has_singles(task));
}

static RgStatus check_data(const char *name, const RgRecipe *r, const RgTask *task,
                           RgError *error) {
    bool pairs = rg_recipe_takes_pairs(r), opponents = r->opponents != RG_FROM_NOWHERE;
    bool dataset = r->responses == RG_FROM_DATASET;
    const char *lacking = NULL;
    if (r->single)
        lacking = rg_task_has_singles(task) ? NULL : "responses with labels";
    else if (pairs && (r->on_policy < 1 || (dataset && !opponents)) && !rg_task_has_pairs(task))
        lacking = "preference pairs";
    else if (r->responses == RG_FROM_POLICY && empty(task->prompts))
        lacking = "training prompts";
    else if (dataset && (!pairs || opponents) && lacks_demonstrations(task))
        lacking = "demonstrations";
    if (lacking)
        return rg_fail(error, RG_E_USAGE, "%s needs %s, and the environment has none%s", name,
                       lacking,
                       pairs && rg_task_has_singles(task)
                           ? " but single responses: expected a method with single = true"
                           : "");
    return RG_OK;
}

RgStatus rg_recipe_check_rewards(const RgAlgorithm *a, const RgRecipe *r, bool rewards,
                                 RgError *error) {
    bool ranked = r->group > 0 && r->preferences == RG_FROM_JUDGE;
    if (!rewards && (r->rewards || (ranked && r->group != 2)))
        return rg_fail(
            error, RG_E_USAGE,
            "%s needs a judge that gives rewards, and the environment's judge only compares",
            a->about.name);
    return RG_OK;
}

/* Some recipes need a judge with rewards, some a label for every pair. */
static RgStatus check_judge(const RgAlgorithm *a, const RgRecipe *r, const RgTask *task,
                            RgError *error) {
    RG_TRY(rg_recipe_check_rewards(a, r, task->judge != NULL, error));
    if (!task->skips || r->preferences != RG_FROM_JUDGE)
        return RG_OK;
    if (r->group > 1)
        return rg_fail(error, RG_E_USAGE,
                       "%s needs every group ranked, and the judge leaves some unlabelled",
                       a->about.name);
    if (!a->step && !rg_task_has_pairs(task))
        return rg_fail(error, RG_E_USAGE,
                       "%s needs preference pairs to replace those that the judge leaves "
                       "unlabelled, and the environment has none",
                       a->about.name);
    return RG_OK;
}

/* A method that samples nothing takes no notice of how it would. */
static RgStatus check_unused(const RgAlgorithm *a, const RgRecipe *r, RgError *error) {
    const struct {
        bool set;
        const char *option, *fallback;
    } unused[] = {
        {r->candidates > 2, "candidates", "2"},
        {r->pair_sampler != RG_PAIRS_INDEPENDENT, "pair_sampler", "\"independent\""},
        {r->sampler_steps != 1, "sampler_steps", "1"},
    };
    bool samples = r->responses != RG_FROM_POLICY || r->on_policy > 0 || r->third == RG_FROM_POLICY;
    for (size_t i = 0; i < sizeof unused / sizeof *unused && !samples; i++)
        if (unused[i].set)
            return rg_fail(error, RG_E_USAGE,
                           "%s: %s is set, and mixture is 0, so that no response is sampled: "
                           "expected its default, %s, or a larger mixture",
                           a->about.name, unused[i].option, unused[i].fallback);
    return RG_OK;
}

RgStatus rg_recipe_check_sources(const RgAlgorithm *a, const RgRecipe *r, const RgTask *task,
                                 const RgPolicy *policy, RgError *error) {
    RG_TRY(check_unused(a, r, error));
    RG_TRY(check_data(a->about.name, r, task, error));
    RG_TRY(check_judge(a, r, task, error));
    bool mixes = r->opponents == RG_FROM_MIXTURE || r->rivals == RG_FROM_MIXTURE;
    if (mixes && !policy->type->mixes)
        return rg_fail(error, RG_E_USAGE,
                       "%s samples from the geometric mixture of policy and reference, and a %s "
                       "policy does not support mixtures",
                       a->about.name, policy->type->about.name);
    return RG_OK;
}
