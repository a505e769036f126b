/* SPDX-License-Identifier: MIT */
/* Half-filled descriptors are refused by name, where they are looked up; whole ones pass. */
#include "envs/judges/judge.h"
#include "race.h"

static RgError error;

#define REFUSED(call, name, word)                                                                  \
    do {                                                                                           \
        cr_expect_eq(call, RG_E_USAGE, "%s: %s", name, word);                                      \
        cr_expect(strstr(error.text, name) && strstr(error.text, word), "%s", error.text);         \
    } while (0)

Test(descriptors, of_all_that_are_registered_are_complete) {
    for (int i = 0; rg_algorithm(i); i++)
        cr_expect_eq(rg_algorithm_check(rg_algorithm(i), &error), RG_OK, "%s", error.text);
#define ALL_COMPLETE(kind, type, check)                                                            \
    for (int i = 0; rg_registered(kind, i); i++)                                                   \
    cr_expect_eq(check((const type *)rg_registered(kind, i), &error), RG_OK, "%s", error.text)
    ALL_COMPLETE(RG_ENVIRONMENT, RgEnvironmentType, rg_environment_type_check);
    ALL_COMPLETE(RG_POLICY, RgPolicyType, rg_policy_type_check);
    ALL_COMPLETE(RG_JUDGE, RgJudgeType, rg_judge_type_check);
    ALL_COMPLETE(RG_ESTIMATOR, RgEstimator, rg_estimator_check);
    ALL_COMPLETE(RG_OPTIMIZER, RgOptimizerType, rg_optimizer_type_check);
}

/* A copy of a registered one with one member changed is refused. */
#define HALF_FILLED(type, original, check, member, value, word)                                    \
    do {                                                                                           \
        type half = *(original);                                                                   \
        half.member = value;                                                                       \
        REFUSED(check(&half, &error), half.about.name, word);                                      \
    } while (0)

Test(descriptors, of_environments_policies_and_judges_lack_nothing_that_is_called) {
    const RgEnvironmentType *bandit = rg_environment_type("bandit");
#define WITHOUT(member, word)                                                                      \
    HALF_FILLED(RgEnvironmentType, bandit, rg_environment_type_check, member, NULL, word)
    WITHOUT(about.summary, "summary");
    WITHOUT(primary_metric, "primary metric");
    WITHOUT(create, "create");
    WITHOUT(evaluate, "evaluate");
    WITHOUT(destroy, "destroy");
#undef WITHOUT
    HALF_FILLED(RgEnvironmentType, bandit, rg_environment_type_check, about.options_size, 0,
                "options_size");
    const RgPolicyType *gaussian = rg_policy_type("gaussian");
#define WITHOUT(member, word)                                                                      \
    HALF_FILLED(RgPolicyType, gaussian, rg_policy_type_check, member, NULL, word)
    WITHOUT(create, "create");
    WITHOUT(destroy, "destroy");
    WITHOUT(logprob, "logprob");
    WITHOUT(features, "features");
    WITHOUT(feature_count, "feature_count");
    WITHOUT(step_logprob, "step_logprob");
    WITHOUT(state_feature_count, "state_feature_count");
    WITHOUT(step_feature_count, "step_feature_count");
    WITHOUT(sample, "sample");
    WITHOUT(describe, "describe");
    WITHOUT(restore, "restore");
#undef WITHOUT
    HALF_FILLED(RgPolicyType, rg_policy_type("transformer"), rg_policy_type_check, merge, NULL,
                "merge");
    const RgJudgeType *command = (const RgJudgeType *)rg_find(RG_JUDGE, "command");
    HALF_FILLED(RgJudgeType, command, rg_judge_type_check, create, NULL, "create");
    HALF_FILLED(RgJudgeType, command, rg_judge_type_check, compare, NULL,
                "as it has gives_rewards");
    HALF_FILLED(RgJudgeType, command, rg_judge_type_check, rewards, NULL,
                "as it has gives_rewards");
    HALF_FILLED(RgJudgeType, command, rg_judge_type_check, take_counts, NULL, "take_counts");
    const RgJudgeType *ngram = (const RgJudgeType *)rg_find(RG_JUDGE, "ngram");
    HALF_FILLED(RgJudgeType, ngram, rg_judge_type_check, rewards, NULL, "rewards or compare");
    RgJudgeType nameless = *command;
    nameless.about.name = NULL;
    REFUSED(rg_judge_type_check(&nameless, &error), "judge", "has no name");
}

Test(descriptors, of_algorithms_have_what_their_sources_call_for) {
#define CHANGED(name, member, value, word)                                                         \
    HALF_FILLED(RgAlgorithm, rg_algorithm_find(name), rg_algorithm_check, member, value, word)
    CHANGED("parl", create, NULL, "create");
    CHANGED("parl", loss, rg_algorithm_find("dpo")->loss, "not both");
    CHANGED("ppo", loss, NULL, "a loss, as it has prepare");
    CHANGED("parl", finish, rg_algorithm_find("ppo")->finish, "a loss, as it has finish");
    CHANGED("dpo", work, rg_algorithm_find("parl")->work, "a step of its own, as it has work");
    CHANGED("dpo", recipe, NULL, "a recipe");
    CHANGED("ipo", loss, NULL, "a loss or a step, as it has a recipe");
    CHANGED("dpo", loss, NULL, "a loss, as it has terms");
    static const char *const five[] = {"a", "b", "c", "d", "e", NULL};
    CHANGED("dpo", terms, five, "at most 4 terms");
    CHANGED("dpo", about.summary, NULL, "summary");
    CHANGED("dpo", about.options_size, 0, "options_size");
}

static RgRecipe usual_recipe(const RgAlgorithm *a) {
    RgSettings *nothing = rg_settings_create();
    void *options = rg_allocate(1, a->about.options_size);
    cr_assert_eq(rg_options_read(a->about.options, nothing, "a", options, &error), RG_OK);
    RgRecipe recipe = rg_recipe_of(a, options);
    free(options);
    rg_settings_destroy(nothing);
    return recipe;
}

Test(descriptors, of_recipes_have_what_their_sources_call_for) {
#define LACKING(name_, member, value, word)                                                        \
    do {                                                                                           \
        const RgAlgorithm *a = rg_algorithm_find(name_);                                           \
        RgRecipe recipe = usual_recipe(a);                                                         \
        recipe.member = value;                                                                     \
        REFUSED(rg_recipe_check(a, &recipe, &error), name_, word);                                 \
    } while (0)
    LACKING("sail-pp", beta, 0, "beta");
    LACKING("nash-md", reference_share, 2, "reference_share");
    LACKING("selm", rewards, false, "rewards");
    LACKING("selm", third, RG_FROM_NOWHERE, "third response");
    LACKING("dpo", responses, RG_FROM_MIXTURE, "responses from dataset or policy");
    LACKING("dpo", responses, RG_FROM_NOWHERE, "responses from dataset or policy");
    LACKING("xpo", opponents, RG_FROM_JUDGE, "opponents");
    LACKING("dpo", preferences, RG_FROM_OTHERS, "preferences");
    LACKING("kto", third, RG_FROM_JUDGE, "third response");
    LACKING("online-dpo", preferences, RG_FROM_NOWHERE, "as responses are from policy");
    LACKING("rloo", responses, RG_FROM_DATASET, "as it has a group");
    LACKING("rloo", preferences, RG_FROM_POLICY,
            "preferences from judge or nowhere, as it has a group");
    LACKING("rloo", group, -1, "group");
    LACKING("dpo", pair_sampler, RG_PAIRS_UNIFORM, "as it has a pair_sampler");
    LACKING("xpo", pair_sampler, RG_PAIRS_UNIFORM, "as it has a pair_sampler");
    LACKING("sft", third, RG_FROM_REFERENCE, "pairs, as it has a third response");
    LACKING("online-dpo", single, true, "from dataset alone, as it has single");
    LACKING("hybrid", single, true, "a third response from all others or nowhere");
    LACKING("online-dpo", on_policy, 1.5, "on_policy");
    LACKING("dpo", epochs, 0, "epochs");
    LACKING("dpo", sampler_steps, -1, "sampler_steps");
    LACKING("ppo", steps, false, "steps, as features is set");
    LACKING("ppo", couples, false, "couples, as it has prepare");
    LACKING("spin", shared.reference_steps, -1, "reference_steps");
    LACKING("orpo", shared.reference_steps, 3, "a reference, as it has reference_steps");
    LACKING("cpo", shared.dpop_coefficient, 1, "a reference, as it has dpop_coefficient");
    LACKING("dpo", shared.reference_update, 2, "reference_update");
    LACKING("sppo", shared.sft_coefficient, 1, "pairs, as it has sft_coefficient");
    LACKING("sft", shared.length_coefficient, 1, "pairs, as it has sft_coefficient");
    LACKING("dpo", candidates, 4, "as it has candidates");
    LACKING("vpo", candidates, 4, "as it has candidates");
}

/* ---- methods of authors, as they might be written at first ---- */

typedef struct TrapOptions {
    double beta;
} TrapOptions;

static const RgOption trap_options[] = {
    RG_OPTION_REAL(TrapOptions, beta, "0.1", 1e-6, 1e3, "strength"),
    RG_OPTION_END,
};

static RgTensor *group_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_negate(step->tape, rg_mean(step->tape, batch->logprob));
}

static RgTensor *pair_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const TrapOptions *o = options;
    RgTape *t = step->tape;
    return rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, o->beta)));
}

/* A recipe of one statement. */
#define RECIPE(name, ...)                                                                          \
    static void name(const void *options, RgRecipe *recipe) {                                      \
        (void)options;                                                                             \
        __VA_ARGS__;                                                                               \
    }

RECIPE(group, recipe->responses = RG_FROM_POLICY, recipe->preferences = RG_FROM_JUDGE,
       recipe->group = 4)
RECIPE(negative_group, group(options, recipe), recipe->group = -4)
RECIPE(own_labels, recipe->responses = recipe->preferences = RG_FROM_POLICY, recipe->beta = 0)
RECIPE(mixed, recipe->responses = RG_FROM_MIXTURE, recipe->preferences = RG_FROM_JUDGE)
RECIPE(third, recipe->responses = RG_FROM_POLICY, recipe->preferences = RG_FROM_JUDGE,
       recipe->third = RG_FROM_REFERENCE)
RECIPE(opponents, recipe->responses = RG_FROM_DATASET, recipe->opponents = RG_FROM_REFERENCE)
RECIPE(nothing, (void)recipe)

#define TRAP(name_, loss_, recipe_)                                                                \
    {                                                                                              \
        .about = {.name = name_,                                                                   \
                  .summary = "s",                                                                  \
                  .options = trap_options,                                                         \
                  .options_size = sizeof(TrapOptions)},                                            \
        .loss = loss_, .recipe = recipe_                                                           \
    }

static const struct {
    RgAlgorithm algorithm;
    const char *refused; /* word of the message; NULL: it is sound */
} traps[] = {
    {TRAP("trap-group", group_loss, group), NULL},
    {TRAP("trap-negative-group", group_loss, negative_group), "a group of 1 response or more"},
    {TRAP("trap-beta", pair_loss, own_labels), "beta"},
    {TRAP("trap-mix", pair_loss, mixed), "responses from dataset or policy"},
    {TRAP("trap-third", pair_loss, third), NULL},
    {TRAP("trap-opp", pair_loss, opponents), NULL},
    {TRAP("trap-none", pair_loss, nothing), "responses from dataset or policy"},
    {TRAP("trap-without", pair_loss, NULL), "a recipe"},
};

static RgStatus train(const Race *race, const RgAlgorithm *algorithm, int steps) {
    static const TrapOptions options = {0.1};
    RgTrainer *trainer;
    RgStatus status = rg_trainer_create(
        algorithm, &options, &race->trainer->training, race->policy, race->reference,
        &race->environment->task, &race->trainer->optimizer->options, 0,
        rg_random_named(rg_random_root(3), "training"), &trainer, &error);
    for (int i = 0; status == RG_OK && i < steps; i++)
        cr_expect(take_step(trainer), "%s", algorithm->about.name);
    rg_trainer_destroy(trainer);
    return status;
}

Test(descriptors, an_authors_first_draft_is_refused_by_name_or_runs) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=50", 0, 8);
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++) {
        const RgAlgorithm *trap = &traps[i].algorithm;
        if (traps[i].refused)
            REFUSED(train(&race, trap, 2), trap->about.name, traps[i].refused);
        else
            cr_expect_eq(train(&race, trap, 2), RG_OK, "%s", error.text);
    }
    race_end(&race);
}

Test(descriptors, groups_of_four_need_a_judge_that_gives_rewards) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=50", 0, 8);
    race.environment->task.judge = NULL;
    REFUSED(train(&race, &traps[0].algorithm, 1), "trap-group", "a judge that gives rewards");
    race_end(&race);
}

/* ---- losses that are wrong ---- */

static int calls; /* of the loss */

static RgTensor *fit_of(RgStep *step, const void *options, const RgBatch *batch) {
    calls++;
    return rg_preference_fit(step->tape, batch, ((const TrapOptions *)options)->beta);
}

static RgTensor *sound_loss(RgStep *step, const void *options, const RgBatch *batch) {
    RgTensor *fit = fit_of(step, options, batch);
    rg_step_metric(step, "fit", (double)fit->data[0]);
    return rg_negate(step->tape, rg_mean(step->tape, fit));
}

/* A loss that does something before the sound one. */
#define LOSS(name, ...)                                                                            \
    static RgTensor *name(RgStep *step, const void *options, const RgBatch *batch) {               \
        __VA_ARGS__;                                                                               \
        return sound_loss(step, options, batch);                                                   \
    }

LOSS(of_the_trainer, rg_step_metric(step, "loss", 1))
LOSS(nameless, rg_step_metric(step, "", 1))
LOSS(with_a_blank, rg_step_metric(step, "bad name", 1))
LOSS(too_long, rg_step_metric(step, "a-name-that-is-longer-than-any-metric-may-have", 1))
LOSS(twice, rg_step_metric(step, "fit", 1))
LOSS(too_many, for (int i = 0; i < 17; i++)
                   rg_step_metric(step,
                                  (const char *[]){"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
                                                   "k", "l", "m", "n", "o", "p", "q"}[i],
                                  1))
LOSS(now_and_then, if (calls % 2 == 0) rg_step_metric(step, "even", 1))
LOSS(later_more, if (calls % 2 == 1) rg_step_metric(step, "zz", 1))

static RgTensor *of_pairs(RgStep *step, const void *options, const RgBatch *batch) {
    return fit_of(step, options, batch);
}

static RgTensor *none_at_all(RgStep *step, const void *options, const RgBatch *batch) {
    fit_of(step, options, batch);
    return NULL;
}

RECIPE(offline, recipe->responses = recipe->preferences = RG_FROM_DATASET)

Test(descriptors, a_loss_that_is_wrong_fails_its_step_by_name) {
    static const struct {
        RgAlgorithm algorithm;
        const char *word; /* NULL: it is sound */
    } cases[] = {
        {TRAP("sound", sound_loss, offline), NULL},
        {TRAP("of-the-trainer", of_the_trainer, offline), "which the trainer logs itself"},
        {TRAP("nameless", nameless, offline), "1 to 31 letters"},
        {TRAP("with-a-blank", with_a_blank, offline), "1 to 31 letters"},
        {TRAP("too-long", too_long, offline), "1 to 31 letters"},
        {TRAP("twice", twice, offline), "a name twice"},
        {TRAP("too-many", too_many, offline), "more than 16"},
        {TRAP("now-and-then", now_and_then, offline), "in this step"},
        {TRAP("later-more", later_more, offline), "in this step"},
        {TRAP("of-pairs", of_pairs, offline), "expected a scalar (rg_batch_mean)"},
        {TRAP("none-at-all", none_at_all, offline), "the loss is NULL"},
    };
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=50", 0, 8);
    RgTrainingOptions training = race.trainer->training;
    training.micro_batch = 4; /* two parts */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const TrapOptions options = {0.1};
        const char *name = cases[i].algorithm.about.name;
        RgTrainer *trainer;
        calls = 0;
        cr_assert_eq(rg_trainer_create(&cases[i].algorithm, &options, &training, race.policy,
                                       race.reference, &race.environment->task,
                                       &race.trainer->optimizer->options, 0, rg_random_root(3),
                                       &trainer, &error),
                     RG_OK, "%s", error.text);
        uint64_t before = rg_parameters_hash(race.policy->parameters);
        RgStatus status = rg_trainer_step(trainer, &error);
        cr_expect_eq(status, cases[i].word ? RG_E_USAGE : RG_OK, "%s", name);
        if (cases[i].word)
            cr_expect(strstr(error.text, name) && strstr(error.text, cases[i].word), "%s",
                      error.text);
        if (cases[i].word && strcmp(name, "of-the-trainer") != 0)
            cr_expect_eq(rg_parameters_hash(race.policy->parameters), before, "%s", name);
        rg_trainer_destroy(trainer);
    }
    race_end(&race);
}
