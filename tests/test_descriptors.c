/* Half-filled descriptors are refused by name, where they are looked up; whole ones pass. */
#include "envs/judge.h"
#include "race.h"

static RgError error;

#define REFUSED(call, name, word)                                                                  \
    do {                                                                                           \
        cr_expect_eq(call, RG_E_USAGE, "%s: %s", name, word);                                      \
        cr_expect(strstr(error.text, name) && strstr(error.text, word), "%s", error.text);         \
    } while (0)

Test(descriptors, of_all_that_are_registered_are_complete) {
    for (int i = 0; rg_algorithms[i]; i++)
        cr_expect_eq(rg_algorithm_check(rg_algorithms[i], &error), RG_OK, "%s", error.text);
    for (int i = 0; rg_environment_types[i]; i++)
        cr_expect_eq(rg_environment_type_check(rg_environment_types[i], &error), RG_OK, "%s",
                     error.text);
    for (int i = 0; rg_policy_types[i]; i++)
        cr_expect_eq(rg_policy_type_check(rg_policy_types[i], &error), RG_OK, "%s", error.text);
    for (int i = 0; rg_judge_types[i]; i++)
        cr_expect_eq(rg_judge_type_check(rg_judge_types[i], &error), RG_OK, "%s", error.text);
}

/* A copy of a registered one with one member changed is refused. */
#define HALF_FILLED(type, original, check, member, value, word)                                    \
    do {                                                                                           \
        type half = *(original);                                                                   \
        half.member = value;                                                                       \
        REFUSED(check(&half, &error), half.name, word);                                            \
    } while (0)

Test(descriptors, of_environments_policies_and_judges_lack_nothing_that_is_called) {
    const RgEnvironmentType *bandit = rg_environment_type("bandit");
#define WITHOUT(member, word)                                                                      \
    HALF_FILLED(RgEnvironmentType, bandit, rg_environment_type_check, member, NULL, word)
    WITHOUT(summary, "summary");
    WITHOUT(headline, "headline");
    WITHOUT(create, "create");
    WITHOUT(evaluate, "evaluate");
    WITHOUT(destroy, "destroy");
#undef WITHOUT
    HALF_FILLED(RgEnvironmentType, bandit, rg_environment_type_check, options_size, 0,
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
    const RgJudgeType *command = rg_judge_types[0];
    HALF_FILLED(RgJudgeType, command, rg_judge_type_check, create, NULL, "create");
    HALF_FILLED(RgJudgeType, command, rg_judge_type_check, compare, NULL, "compare");
    HALF_FILLED(RgJudgeType, command, rg_judge_type_check, take_counts, NULL, "take_counts");
    RgJudgeType nameless = *command;
    nameless.name = NULL;
    REFUSED(rg_judge_type_check(&nameless, &error), "judge", "has no name");
}

Test(descriptors, of_algorithms_have_what_their_sources_call_for) {
#define CHANGED(name, member, value, word)                                                         \
    HALF_FILLED(RgAlgorithm, rg_algorithm_find(name), rg_algorithm_check, member, value, word)
    CHANGED("sail-pp", beta, NULL, "beta");
    CHANGED("nash-md", reference_share, NULL, "reference_share");
    CHANGED("selm", needs_rewards, NULL, "needs_rewards");
    CHANGED("selm", calibration, RG_FROM_NOWHERE, "calibration");
    CHANGED("dpo", responses, RG_FROM_MIXTURE, "responses from dataset or policy");
    CHANGED("dpo", responses, RG_FROM_NOWHERE, "responses from dataset or policy");
    CHANGED("xpo", opponents, RG_FROM_JUDGE, "opponents");
    CHANGED("dpo", preferences, RG_FROM_OTHERS, "preferences");
    CHANGED("kto", calibration, RG_FROM_JUDGE, "calibration");
    CHANGED("online-dpo", preferences, RG_FROM_NOWHERE, "beside responses from policy");
    CHANGED("rloo", responses, RG_FROM_DATASET, "beside group_size");
    CHANGED("sft", calibration, RG_FROM_REFERENCE, "pairs beside calibration");
    CHANGED("parl", create, NULL, "create");
    CHANGED("parl", loss, rg_algorithm_find("dpo")->loss, "not both");
    CHANGED("dpo", summary, NULL, "summary");
    CHANGED("dpo", options_size, 0, "options_size");
}

/* ---- methods of authors, as they might be written at first ---- */

typedef struct TrapOptions {
    double beta;
} TrapOptions;

static const RgOption trap_options[] = {
    RG_OPTION_REAL(TrapOptions, beta, "0.1", 1e-6, 1e3, "strength"),
    RG_OPTION_END,
};

static int64_t four(const void *options) {
    (void)options;
    return 4;
}

static int64_t none(const void *options) {
    (void)options;
    return 0;
}

static RgTensor *group_loss(RgTape *t, const void *options, const RgBatch *batch) {
    (void)options;
    return rg_negate(t, rg_mean(t, batch->groups.logprob));
}

static RgTensor *pair_loss(RgTape *t, const void *options, const RgBatch *batch) {
    const TrapOptions *o = options;
    return rg_negate(t, rg_mean(t, rg_preference_fit(t, batch, o->beta)));
}

#define TRAP(name_, loss_, ...)                                                                    \
    {                                                                                              \
        .name = name_, .summary = "s", .options = trap_options,                                    \
        .options_size = sizeof(TrapOptions), .loss = loss_, __VA_ARGS__                            \
    }

static const struct {
    RgAlgorithm algorithm;
    const char *refused; /* word of the message; NULL: it is sound */
} traps[] = {
    {TRAP("trap-group", group_loss, .responses = RG_FROM_POLICY, .preferences = RG_FROM_JUDGE,
          .group_size = four),
     NULL},
    {TRAP("trap-empty-group", group_loss, .responses = RG_FROM_POLICY, .preferences = RG_FROM_JUDGE,
          .group_size = none),
     "groups of 0"},
    {TRAP("trap-beta", pair_loss, .responses = RG_FROM_POLICY, .preferences = RG_FROM_POLICY),
     "beta"},
    {TRAP("trap-mix", pair_loss, .responses = RG_FROM_MIXTURE, .preferences = RG_FROM_JUDGE),
     "responses from dataset or policy"},
    {TRAP("trap-cal", pair_loss, .responses = RG_FROM_POLICY, .preferences = RG_FROM_JUDGE,
          .calibration = RG_FROM_REFERENCE),
     NULL},
    {TRAP("trap-opp", pair_loss, .responses = RG_FROM_DATASET, .opponents = RG_FROM_REFERENCE),
     NULL},
    {TRAP("trap-none", pair_loss, ), "responses from dataset or policy"},
};

static RgStatus train(const Race *race, const RgAlgorithm *algorithm, int steps) {
    static const TrapOptions options = {0.1};
    RgTrainer *trainer;
    RgStatus status = rg_trainer_create(
        algorithm, &options, &race->trainer->training, race->policy, race->reference,
        &race->environment->course, &race->trainer->optimizer->options, 0,
        rg_random_named(rg_random_root(3), "training"), &trainer, &error);
    for (int i = 0; status == RG_OK && i < steps; i++)
        cr_expect(rg_trainer_step(trainer), "%s", algorithm->name);
    rg_trainer_destroy(trainer);
    return status;
}

Test(descriptors, an_authors_first_draft_is_refused_by_name_or_runs) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=50", 0, 8);
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++) {
        const RgAlgorithm *trap = &traps[i].algorithm;
        if (traps[i].refused)
            REFUSED(train(&race, trap, 2), trap->name, traps[i].refused);
        else
            cr_expect_eq(train(&race, trap, 2), RG_OK, "%s", error.text);
    }
    race_end(&race);
}

Test(descriptors, groups_of_four_need_a_judge_that_gives_rewards) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=50", 0, 8);
    race.environment->course.judge = NULL;
    REFUSED(train(&race, &traps[0].algorithm, 1), "trap-group", "a judge that gives rewards");
    race_end(&race);
}
