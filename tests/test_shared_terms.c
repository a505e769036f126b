/* SPDX-License-Identifier: MIT */
/* Terms that losses share, and the best against the worst of several responses, in trials: what the
 * reference does, what is in a checkpoint, what is asked of the judge, and what is refused. The
 * values of losses are in double_pair_terms.c. */
#include "algorithms/training/shared_terms.h"
#include "experiments/program/plugins/check_plugin.h"
#include "race.h"

#include <math.h>

static const char bandit[] = "contexts=3 responses=5 pairs=200";
static RgError error;

/* ---- a reference that follows the policy ---- */

/* Every `steps` steps the reference moves by a share of the way to the policy, and the race's own
 * stays. */
static void check_reference(const char *name, const char *options, int steps, RgReal share) {
    Race race = race_begin(name, options, bandit, 0, 16);
    const RgParameters *moving = race.trainer->reference->parameters, *policy;
    RgReal expected[15];
    uint64_t original = rg_parameters_hash(race.reference->parameters);
    policy = race.policy->parameters;
    cr_assert_eq(policy->count, 15);
    memcpy(expected, moving->value, sizeof expected);
    cr_assert_neq(race.trainer->reference, race.reference);
    for (int s = 1; s <= 7; s++) {
        cr_assert(take_step(race.trainer), "%s", race.trainer->outcome.diverged);
        for (int64_t i = 0; i < policy->count; i++) {
            double moved = (double)share * policy->value[i] + (1 - (double)share) * expected[i];
            if (s % steps == 0)
                cr_assert_float_eq(moving->value[i], moved, 1e-6 * (1 + fabs(moved)), "%s", name);
            else
                cr_assert_eq(moving->value[i], expected[i], "%s", name);
        }
        memcpy(expected, moving->value, sizeof expected);
    }
    cr_assert_eq(rg_parameters_hash(race.reference->parameters), original);
    race_end(&race);
}

Test(shared_terms, the_reference_moves_by_its_share_and_no_other) {
    check_reference("dpo", "reference_steps=1 reference_update=0.6", 1, (RgReal)0.6);
    check_reference("ipo", "reference_steps=3 reference_update=0.25", 3, (RgReal)0.25);
    check_reference("bco", "reference_steps=2", 2, 1);
    check_reference("online-dpo", "reference_steps=2 reference_update=0.5", 2, (RgReal)0.5);
}

/* Log-ratios are to the moved reference: to one that was just brought up to date they are 0. */
Test(shared_terms, log_ratios_are_to_the_moved_reference) {
    Race race = race_begin("dpo", "reference_steps=1", bandit, 0, 16);
    for (int s = 0; s < 5; s++) {
        cr_assert(take_step(race.trainer));
        for (int i = 0; i < race.trainer->outcome.metric_count; i++)
            if (strcmp(race.trainer->outcome.metrics[i].name, "rewards/margins") == 0)
                cr_assert_float_eq(race.trainer->outcome.metrics[i].value, 0, 1e-7);
    }
    race_end(&race);
}

/* ---- claims about every method, with all terms ---- */

static const char all_terms[] =
    "sft_coefficient=0.3 dpop_coefficient=2 length_normalisation=true length_coefficient=0.1 "
    "reference_steps=2 reference_update=0.5";

static bool has_all(const RgAlgorithm *a) {
    return rg_options_find(a->about.options, "dpop_coefficient") &&
           rg_options_find(a->about.options, "length_normalisation") &&
           rg_options_find(a->about.options, "reference_update");
}

static void expect_claims(const RgAlgorithm *a, const char *options) {
    RgClaims claims = {0};
    rg_claim_checkpoint(a, options, &claims);
    rg_claim_threads(a, options, &claims);
    rg_claim_parts(a, options, &claims);
    rg_claim_costs(a, options, &claims);
    rg_claim_flops(a, options, &claims);
    cr_expect_eq(claims.failed, 0, "%s %s: %s", a->about.name, options, claims.first_failure);
    cr_expect_geq(claims.held, 4, "%s: %d", a->about.name, claims.held);
}

static void expect_gradient(const RgAlgorithm *a, const char *options) {
    RgClaims claims = {0};
    Race race = race_begin(a->about.name, options, bandit, 0, 16);
    rg_claim_gradient(race.trainer, &claims);
    cr_expect(claims.failed == 0 && claims.held == 1, "%s %s: %s", a->about.name, options,
              claims.first_failure);
    race_end(&race);
}

Test(shared_terms, keep_what_is_claimed_of_every_method) {
    int found = 0;
    for (int i = 0; rg_algorithm(i); i++) {
        const RgAlgorithm *a = rg_algorithm(i);
        if (!has_all(a))
            continue;
        found++;
        expect_claims(a, all_terms);
        expect_gradient(a, all_terms);
    }
    cr_expect_eq(found, 14, "%d", found);
}

/* BCO's shift is state: the mean of the rewards of all earlier steps. */
Test(shared_terms, the_shift_of_bco_is_the_mean_of_earlier_steps) {
    Race race = race_begin("bco", "beta=1", bandit, 0, 16);
    double sum = 0;
    for (int s = 0; s < 6; s++) {
        double shift = NAN, mean = NAN;
        cr_assert(take_step(race.trainer));
        for (int i = 0; i < race.trainer->outcome.metric_count; i++) {
            const struct RgMetric *m = &race.trainer->outcome.metrics[i];
            shift = strcmp(m->name, "reward_shift") == 0 ? m->value : shift;
            mean = strcmp(m->name, "reward_mean") == 0 ? m->value : mean;
        }
        cr_expect_float_eq(shift, s == 0 ? 0 : sum / s, 1e-9 * (1 + fabs(shift)));
        sum += mean;
    }
    cr_expect_neq(sum, 0);
    race_end(&race);
}

/* ---- the best against the worst of several ---- */

Test(candidates, are_all_sampled_and_judged_and_two_of_them_are_learned_from) {
    Race race = race_begin("online-dpo", "beta=1 candidates=6", bandit, 0.1, 32);
    double before = rg_small_race_reward(&race);
    cr_assert(take_step(race.trainer));
    cr_expect_eq(race.trainer->meter.judge_queries, 6 * 32);
    cr_expect_eq(race.trainer->meter.generated_tokens, 6 * 32);
    cr_expect_eq(race.trainer->meter.trained_tokens, 2 * 32);
    for (int s = 0; s < 60; s++)
        cr_assert(take_step(race.trainer));
    cr_expect_gt(rg_small_race_reward(&race), before + 0.2);
    race_end(&race);
    race = race_begin("online-dpo", "mixture=0.5 candidates=6", bandit, 0.1, 32);
    cr_assert(take_step(race.trainer));
    cr_expect_eq(race.trainer->meter.judge_queries % 6, 0);
    cr_expect_lt(race.trainer->meter.judge_queries, 6 * 32);
    race_end(&race);
}

Test(candidates, keep_what_is_claimed_of_every_method) {
    expect_claims(rg_algorithm_find("online-dpo"), "candidates=5");
    expect_claims(rg_algorithm_find("online-ipo"), "candidates=3 target=label");
    expect_gradient(rg_algorithm_find("online-dpo"), "candidates=5");
}

/* ---- what is refused ---- */

static void expect_refused(const char *name, const char *options, const char *word) {
    RgSmallRaceTerms terms = {
        .algorithm = rg_algorithm_find(name), .options = options, .bandit = bandit, .batch = 16};
    Race race;
    RgStatus status = rg_small_race_begin(&terms, &race, &error);
    cr_expect_eq(status, RG_E_USAGE, "%s %s", name, options);
    cr_expect(strstr(error.text, name) && strstr(error.text, word), "%s %s: %s", name, options,
              error.text);
    rg_small_race_end(&race);
}

Test(shared_terms, that_a_loss_would_not_see_are_refused) {
    expect_refused("dpo", "margin=probability length_normalisation=true", "length_normalisation");
    expect_refused("dpo", "margin=probability dpop_coefficient=1", "dpop_coefficient");
    expect_refused("dpo", "sft_logprob=sum", "sft_coefficient is 0");
    expect_refused("sail-pr", "sft_logprob=sum", "sft_coefficient is 0");
    expect_refused("online-ipo", "candidates=4", "as it has candidates");
    expect_refused("online-dpo", "candidates=4 pair_sampler=uniform", "as it has candidates");
}

/* Offline data alone: how responses would be sampled has no effect. */
Test(shared_terms, options_of_samples_without_samples_are_refused) {
    expect_refused("online-dpo", "mixture=0 candidates=4", "candidates is set, and mixture is 0");
    expect_refused("online-dpo", "mixture=0 sampler_steps=4", "sampler_steps is set");
    expect_refused("sail-pr", "mixture=0 pair_sampler=uniform", "pair_sampler is set");
    expect_refused("online-ipo", "target=label reference_share=0.5", "reference_share is 0.5");
}

/* The mean of two adapters' factors is no adapter; a hard update copies them. */
Test(shared_terms, a_soft_update_of_an_adapter_is_refused) {
    const RgAlgorithm *dpo = rg_algorithm_find("dpo");
    RgRecipe recipe = {.shared = {.reference_steps = 2, .reference_update = 0.5}};
    cr_expect_eq(rg_shared_terms_check(dpo, &recipe, false, &error), RG_OK);
    cr_expect_eq(rg_shared_terms_check(dpo, &recipe, true, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "reference_update is 0.5"), "%s", error.text);
    recipe.shared.reference_update = 1;
    cr_expect_eq(rg_shared_terms_check(dpo, &recipe, true, &error), RG_OK);
}
