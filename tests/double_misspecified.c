/* SPDX-License-Identifier: MIT */
/* Three responses and a policy of one weight, π ∝ (e^θ, e^−θ, 1), in double: the offline counts
 * decide where DPO ends, and neither RLHF nor AuxDPO depends on them. The numbers of the first two
 * are those of a published example (arXiv:2510.20413, Proposition 3, by a third party), computed
 * again by bisection of the stationary conditions outside of this program. */
#include <criterion/criterion.h>

#include "core/models/enumerated.h"
#include "envs/bandit/bandit.h"
#include "race.h"
#include "scratch.h"

#include <math.h>

/* A trial with exact expectations on the three responses. */
typedef struct Arms {
    RgSettings *settings;
    RgEnvironment *environment;
    RgPolicy *reference, *policy;
    void *options;
    RgTrainer *trainer;
} Arms;

static Arms arms_begin(const char *algorithm, const char *options, const char *counts) {
    const RgAlgorithm *a = rg_algorithm_find(algorithm);
    RgError error = {0};
    RgRandom random = rg_random_root(3);
    RgTrainingOptions training = {
        .batch = 8, .temperature = 1, .top_p = 1, .expectation = RG_EXACT_EXPECTATION};
    RgOptimizerOptions sgd = {.type = {&rg_optimizer_sgd.about}, .learning_rate = 0.5};
    char bandit[640];
    Arms s = {.settings = rg_settings_create()};
    snprintf(bandit, sizeof bandit,
             "contexts=1 responses=3 feature_count=1 population=true reward_file=%s "
             "features_file=%s pair_counts_file=%s",
             scratch_write("rewards", "1 2 0\n"), scratch_write("features", "1\n-1\n0\n"),
             scratch_write("counts", counts));
    rg_small_race_set(s.settings, "environment", bandit);
    rg_small_race_set(s.settings, "algorithm", options);
    rg_small_race_set(s.settings, "policy", "initial_deviation=0");
    cr_assert_eq(
        rg_environment_create("bandit", s.settings, "environment", random, &s.environment, &error),
        RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_create("log-linear", s.settings, "policy", &s.environment->space, random,
                                  &s.reference, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_environment_prepare(s.environment, s.reference, random, &error), RG_OK, "%s",
                 error.text);
    s.policy = rg_policy_clone(s.reference, false);
    s.options = rg_allocate(1, a->about.options_size);
    cr_assert_eq(rg_options_read(a->about.options, s.settings, "algorithm", s.options, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_trainer_create(a, s.options, &training, s.policy, s.reference,
                                   &s.environment->task, &sgd, 0, random, &s.trainer, &error),
                 RG_OK, "%s", error.text);
    return s;
}

static void arms_end(Arms *s) {
    rg_trainer_destroy(s->trainer);
    rg_policy_destroy(s->policy);
    rg_policy_destroy(s->reference);
    rg_environment_destroy(s->environment);
    rg_settings_destroy(s->settings);
    free(s->options);
}

/* θ after `steps` steps. */
static double trained(const Arms *s, int steps) {
    for (int i = 0; i < steps; i++)
        cr_assert(take_step(s->trainer));
    return s->policy->parameters->value[0];
}

static double expected_reward(const Arms *s) {
    double table[3];
    RgRewardTable rewards = rg_bandit_rewards(s->environment);
    rg_policy_table(s->policy, table);
    return rg_bandit_expected_reward(&rewards, table, NULL);
}

static const struct {
    const char *beta, *counts;
    double theta, reward; /* of DPO, as printed */
} rows[] = {{"beta=1", "1 100 1", 0.911, 0.846},
            {"beta=1", "100 1 1", -0.499, 1.199},
            {"beta=1", "1 1 1", -0.426, 1.167},
            {"beta=0.5", "1 100 1", 1.823, 0.886}};

Test(misspecified, dpo_ends_where_the_counts_lead_it, .init = scratch_begin) {
    for (int i = 0; i < 4; i++) {
        Arms s = arms_begin("dpo", rows[i].beta, rows[i].counts);
        double theta = trained(&s, 3000);
        cr_expect_float_eq(theta, rows[i].theta, 5e-4, "%g", theta);
        cr_expect_float_eq(expected_reward(&s), rows[i].reward, 5e-4);
        arms_end(&s);
    }
}

/* The log-ratio is linear in θ, so that β·θ is one number. */
Test(misspecified, dpo_moves_by_one_over_beta, .init = scratch_begin) {
    Arms whole = arms_begin("dpo", "beta=1", "1 100 1");
    Arms half = arms_begin("dpo", "beta=0.5", "1 100 1");
    double of_half = trained(&half, 5000), of_whole = trained(&whole, 5000);
    cr_expect_float_eq(0.5 * of_half, of_whole, 1e-6);
    arms_end(&whole);
    arms_end(&half);
}

Test(misspecified, rlhf_does_not_depend_on_the_counts, .init = scratch_begin) {
    static const double theta[] = {-0.995, -0.995, -0.995, -3.74};
    static const double digits[] = {5e-4, 5e-4, 5e-4, 5e-3};
    static const double reward[] = {1.418, 1.418, 1.418, 1.953};
    for (int i = 0; i < 4; i++) {
        Arms s = arms_begin("rlhf", rows[i].beta, rows[i].counts);
        double found = trained(&s, 8000);
        cr_expect_float_eq(found, theta[i], digits[i], "%g", found);
        cr_expect_float_eq(expected_reward(&s), reward[i], 5e-4);
        arms_end(&s);
    }
}

/* The reward is β·h + d for some d in the null space: β·F·θ = A·r with the Fisher information F =
 * 2/3 and A·r = E_ref[ r·∇log π ] = −1/3. */
Test(misspecified, auxdpo_keeps_the_order_of_the_responses, .init = scratch_begin) {
    for (int i = 0; i < 4; i++) {
        char options[64];
        snprintf(options, sizeof options, "%s auxiliary_learning_rate=0.002", rows[i].beta);
        Arms s = arms_begin("auxdpo", options, rows[i].counts);
        double beta = s.trainer->recipe.beta, theta = trained(&s, 12000);
        const RgReal *d = s.trainer->own.parameters->value;
        double implicit[3] = {beta * theta + d[0], -beta * theta + d[1], d[2]};
        cr_expect_float_eq(theta, -0.5 / beta, 2e-3, "%g", theta);
        cr_expect_float_eq(implicit[1] - implicit[0], 1, 2e-3, "%g", implicit[1] - implicit[0]);
        cr_expect_float_eq(implicit[0] - implicit[2], 1, 2e-3, "%g", implicit[0] - implicit[2]);
        arms_end(&s);
    }
}

/* ---- the loss of AuxDPO on a table ---- */

enum { C = 2, R = 3, PAIRS = 12 };

static Race auxdpo_race(RgExpectation expectation) {
    RgError error = {0};
    RgSmallRaceTerms terms = {.algorithm = rg_algorithm_find("auxdpo"),
                              .options = "beta=0.7 penalty=3",
                              .bandit = "contexts=2 responses=3 pairs=12",
                              .deviation = 0.5,
                              .batch = 5,
                              .expectation = expectation};
    Race race;
    cr_assert_eq(rg_small_race_begin(&terms, &race, &error), RG_OK, "%s", error.text);
    RgParameters *own = race.trainer->own.parameters;
    cr_assert_eq(own->count, expectation == RG_EXACT_EXPECTATION ? C * R : 2 * PAIRS);
    for (int64_t i = 0; i < own->count; i++)
        own->value[i] = rg_random_normal(rg_random_root(9), (uint64_t)i);
    return race;
}

/* Adds weight·d·∇log π_ref(y|c) to g [C, R]. */
static void add_score(const double *reference, int64_t c, int64_t y, double times, double *g) {
    for (int64_t k = 0; k < R; k++)
        g[c * R + k] += times * ((k == y) - exp(reference[c * R + k]));
}

/* The loss by its formula. */
static double by_formula(const Race *race) {
    double table[C * R], reference[C * R], g[C * R] = {0}, loss = 0;
    const double beta = 0.7, penalty = 3;
    const RgReal *d = race->trainer->own.parameters->value;
    bool exact = race->trainer->training.expectation == RG_EXACT_EXPECTATION;
    const RgPairs *pairs = race->environment->task.pairs;
    rg_policy_table(race->policy, table);
    rg_policy_table(race->reference, reference);
    int64_t count = exact ? PAIRS : 5;
    for (int64_t i = 0; i < count; i++) {
        int64_t pair = exact ? i : rg_trainer_read_pair(race->trainer, i), cell[2], number[2];
        for (int64_t k = 0; k < 2; k++) {
            int64_t y = 2 * pair + (k == 0 ? pairs->preferred[pair] : 1 - pairs->preferred[pair]);
            cell[k] = *rg_sequence_prompt(pairs->sequences, y) * R +
                      *rg_sequence_response(pairs->sequences, y);
            number[k] = exact ? cell[k] : y;
            if (!exact)
                add_score(reference, cell[k] / R, cell[k] % R, d[y] / (double)count, g);
        }
        double margin = table[cell[0]] - reference[cell[0]] - table[cell[1]] + reference[cell[1]];
        loss += log1p(exp(-(beta * margin + d[number[0]] - d[number[1]]))) / (double)count;
    }
    for (int64_t i = 0; exact && i < C * R; i++)
        add_score(reference, i / R, i % R, 2 * exp(reference[i]) * d[i] / C, g);
    for (int64_t i = 0; i < C * R; i++)
        loss += penalty * g[i] * g[i];
    return loss;
}

/* The gradient in one store against central differences of the formula. */
static void expect_differences(Race *race, RgParameters *parameters) {
    const double step = 1e-5;
    rg_parameters_zero_gradient(race->policy->parameters);
    double loss = step_gradient(race->trainer, 0);
    cr_expect_float_eq(loss, by_formula(race), 1e-12);
    for (int64_t i = 0; i < parameters->count; i++) {
        double here = parameters->value[i];
        parameters->value[i] = here + step;
        double above = by_formula(race);
        parameters->value[i] = here - step;
        double below = by_formula(race);
        parameters->value[i] = here;
        cr_expect_float_eq(parameters->gradient[i], (above - below) / (2 * step), 1e-8,
                           "%g, expected %g", parameters->gradient[i],
                           (above - below) / (2 * step));
    }
}

Test(misspecified, auxdpo_has_the_gradient_of_its_formula) {
    static const RgExpectation expectations[] = {RG_SAMPLED_EXPECTATION, RG_EXACT_EXPECTATION};
    for (int i = 0; i < 2; i++) {
        Race s = auxdpo_race(expectations[i]);
        expect_differences(&s, s.policy->parameters);
        expect_differences(&s, s.trainer->own.parameters);
        race_end(&s);
    }
}
