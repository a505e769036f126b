/* SPDX-License-Identifier: MIT */
/* Claims about the bandit environment: its data follow its judge and its behaviour policy, its
 * files are refused with file and line, its evaluation is consistent. */
#include <criterion/criterion.h>

#include "core/models/enumerated.h"
#include "envs/bandit/bandit.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Settings from key, value, …, NULL; the kind of each value is guessed from its text. */
static RgSettings *settings_of(const char *const *entries) {
    RgSettings *settings = rg_settings_create();
    for (; entries[0]; entries += 2) {
        char *path = rg_string_format("environment.%s", entries[0]);
        RgSettingKind kind = RG_SETTING_STRING;
        if (strcmp(entries[1], "true") == 0 || strcmp(entries[1], "false") == 0)
            kind = RG_SETTING_BOOLEAN;
        else if (strspn(entries[1], "-0123456789") == strlen(entries[1]))
            kind = RG_SETTING_INTEGER;
        else if (strspn(entries[1], "-0123456789.e") == strlen(entries[1]))
            kind = RG_SETTING_REAL;
        rg_settings_set(settings, path, kind, entries[1], "test", 1);
        free(path);
    }
    return settings;
}

static RgStatus try_bandit(const char *const *entries, uint64_t seed, RgEnvironment **environment,
                           RgError *error) {
    RgSettings *settings = settings_of(entries);
    RgStatus status = rg_environment_create("bandit", settings, "environment", rg_random_root(seed),
                                            environment, error);
    rg_settings_destroy(settings);
    return status;
}

/* A prepared bandit and its reference policy. */
typedef struct World {
    RgEnvironment *environment;
    RgPolicy *reference;
} World;

static World world_of(const char *const *entries, uint64_t seed) {
    World w = {0};
    RgError error = {0};
    cr_assert_eq(try_bandit(entries, seed, &w.environment, &error), RG_OK, "%s", error.text);
    RgSettings *settings = rg_settings_create();
    cr_assert_eq(rg_policy_create("tabular", settings, "policy", &w.environment->space,
                                  rg_random_root(seed + 1), &w.reference, &error),
                 RG_OK, "%s", error.text);
    rg_settings_destroy(settings);
    cr_assert_eq(
        rg_environment_prepare(w.environment, w.reference, rg_random_root(seed + 2), &error), RG_OK,
        "%s", error.text);
    return w;
}

static void world_end(World w) {
    rg_policy_destroy(w.reference);
    rg_environment_destroy(w.environment);
}

#define WORLD(seed, ...) world_of((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, seed)

static const RgSequences *pair_sequences(World w) {
    return w.environment->task.pairs->sequences;
}

/* For each ordered pair of responses: how often it was labelled a, against p*. */
static void expect_bradley_terry(World w, double temperature, double noise) {
    RgRewardTable t = rg_bandit_rewards(w.environment);
    int64_t n = t.responses;
    double *share = rg_allocate(t.contexts * n * n, sizeof *share);
    double pairs = (double)w.environment->task.pairs->count;
    int tested = 0;
    rg_bandit_pair_shares(w.environment, share);
    for (int64_t c = 0; c < t.contexts; c++)
        for (int64_t a = 0; a < n; a++)
            for (int64_t b = 0; b < a; b++) {
                double wins = pairs * share[(c * n + a) * n + b];
                double shown = wins + pairs * share[(c * n + b) * n + a];
                double gap = t.reward[c * n + a] - t.reward[c * n + b];
                double p = 1 / (1 + exp(-gap / temperature));
                p = p * (1 - noise) + (1 - p) * noise;
                if (shown * p * (1 - p) < 5)
                    continue;
                tested++;
                cr_expect_lt(fabs(wins - shown * p), 4 * sqrt(shown * p * (1 - p)));
            }
    cr_expect_gt(tested, 5);
    free(share);
}

Test(bandit, label_frequencies_are_bradley_terry) {
    World w = WORLD(1, "contexts", "2", "responses", "4", "pairs", "20000");
    expect_bradley_terry(w, 1, 0);
    world_end(w);
    w = WORLD(2, "contexts", "2", "responses", "4", "pairs", "20000", "label_temperature", "2.5",
              "label_noise", "0.2");
    expect_bradley_terry(w, 2.5, 0.2);
    world_end(w);
}

Test(bandit, temperature_zero_labels_by_the_larger_reward) {
    World w = WORLD(3, "label_temperature", "0");
    const RgPairs *pairs = w.environment->task.pairs;
    double reward[2 * 2000];
    w.environment->task.judge(w.environment, pairs->sequences, reward, NULL);
    for (int64_t i = 0; i < pairs->count; i++)
        cr_expect_geq(reward[2 * i + pairs->preferred[i]], reward[2 * i + 1 - pairs->preferred[i]]);
    world_end(w);
}

/* The first of a pair is drawn from the behaviour policy itself. */
Test(bandit, first_responses_follow_the_reference_policy) {
    World w = WORLD(4, "contexts", "2", "responses", "5", "pairs", "20000");
    double table[10], count[10] = {0};
    rg_policy_table(w.reference, table);
    for (int64_t i = 0; i < 20000; i++)
        count[*rg_sequence_prompt(pair_sequences(w), 2 * i) * 5 +
              *rg_sequence_response(pair_sequences(w), 2 * i)]++;
    for (int i = 0; i < 10; i++) {
        double p = exp(table[i]);
        cr_expect_lt(fabs(count[i] / 10000 - p), 4 * sqrt(p * (1 - p) / 10000));
    }
    world_end(w);
}

Test(bandit, pairs_share_a_prompt_and_differ_in_response) {
    World w = WORLD(5, "responses", "3");
    const RgPairs *pairs = w.environment->task.pairs;
    cr_assert_eq(pairs->count, 2000);
    cr_assert_eq(w.environment->task.demonstrations->count, 2000);
    for (int64_t i = 0; i < pairs->count; i++) {
        cr_expect_eq(*rg_sequence_prompt(pairs->sequences, 2 * i), i % 8);
        cr_expect_eq(*rg_sequence_prompt(pairs->sequences, 2 * i + 1), i % 8);
        cr_expect_neq(*rg_sequence_response(pairs->sequences, 2 * i),
                      *rg_sequence_response(pairs->sequences, 2 * i + 1));
        cr_expect_eq(*rg_sequence_response(w.environment->task.demonstrations, i),
                     *rg_sequence_response(pairs->sequences, 2 * i + pairs->preferred[i]));
    }
    world_end(w);
}

static bool is_best(const RgRewardTable *t, int64_t cell) {
    for (int64_t r = 0; r < t->responses; r++)
        if (t->reward[cell / t->responses * t->responses + r] > t->reward[cell])
            return false;
    return true;
}

/* Only covered responses are shown, `expected` of them in each context; how many bests are hidden.
 */
static int expect_coverage(World w, int expected) {
    RgRewardTable t = rg_bandit_rewards(w.environment);
    const bool *covered = rg_bandit_covered(w.environment);
    const RgSequences *shown = pair_sequences(w);
    int hidden = 0;
    for (int64_t c = 0; c < t.contexts; c++) {
        int count = 0;
        for (int64_t r = 0; r < t.responses; r++) {
            count += covered[c * t.responses + r];
            hidden += is_best(&t, c * t.responses + r) && !covered[c * t.responses + r];
        }
        cr_expect_eq(count, expected);
    }
    for (int64_t i = 0; i < shown->count; i++)
        cr_expect(
            covered[*rg_sequence_prompt(shown, i) * t.responses + *rg_sequence_response(shown, i)]);
    return hidden;
}

Test(bandit, coverage_is_respected) {
    World w = WORLD(6);
    cr_expect_eq(expect_coverage(w, 12), 0);
    world_end(w);
    w = WORLD(6, "coverage", "0.5");
    cr_expect_lt(expect_coverage(w, 6), 8);
    world_end(w);
    w = WORLD(6, "coverage", "0.5", "hide_best", "true", "behaviour", "uniform");
    cr_expect_eq(expect_coverage(w, 6), 8);
    world_end(w);
    w = WORLD(6, "coverage", "0", "hide_best", "true");
    cr_expect_eq(expect_coverage(w, 2), 8);
    world_end(w);
}

Test(bandit, narrow_behaviour_shows_the_worst) {
    World w = WORLD(7, "coverage", "0.25", "behaviour", "narrow");
    RgRewardTable t = rg_bandit_rewards(w.environment);
    const bool *covered = rg_bandit_covered(w.environment);
    expect_coverage(w, 3);
    for (int64_t c = 0; c < t.contexts; c++)
        for (int64_t a = c * 12; a < (c + 1) * 12; a++)
            for (int64_t b = c * 12; b < (c + 1) * 12; b++)
                cr_expect(!(covered[a] && !covered[b]) || t.reward[a] <= t.reward[b]);
    world_end(w);
}

Test(bandit, a_seed_makes_one_bandit) {
    World a = WORLD(8), b = WORLD(8), c = WORLD(9);
    RgRewardTable ta = rg_bandit_rewards(a.environment), tb = rg_bandit_rewards(b.environment),
                  tc = rg_bandit_rewards(c.environment);
    cr_expect_arr_eq(ta.reward, tb.reward, 96 * sizeof(double));
    cr_expect_neq(ta.reward[0], tc.reward[0]);
    cr_expect_eq(rg_sequences_hash(pair_sequences(a)), rg_sequences_hash(pair_sequences(b)));
    cr_expect_neq(rg_sequences_hash(pair_sequences(a)), rg_sequences_hash(pair_sequences(c)));
    world_end(a);
    world_end(b);
    world_end(c);
}

Test(bandit, rewards_come_from_a_file, .init = scratch_begin) {
    const char *path = scratch_write("reward.txt", "# two contexts\n1 2.5 -3\n\n4 5e-1 6 # last\n");
    World w = WORLD(10, "contexts", "2", "responses", "3", "reward_file", path);
    static const double expected[] = {1, 2.5, -3, 4, 0.5, 6};
    RgRewardTable t = rg_bandit_rewards(w.environment);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(t.reward[i], expected[i]);
    world_end(w);
}

Test(bandit, bad_reward_files_are_refused_with_file_and_line, .init = scratch_begin) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"1 2 3\n4 five 6\n", "r.txt:2: \"five\" is not a finite number"},
        {"1 2 3\n4 nan 6\n", "r.txt:2: \"nan\" is not a finite number"},
        {"1 2 3\n\n4 5\n", "r.txt:3: 2 numbers, expected 3"},
        {"1 2 3 4\n5 6 7\n", "r.txt:1: more than the expected 3 numbers"},
        {"1 2 3\n", "the file ends after 1 rows, expected 2"},
        {"1 2 3\n4 5 6\n7 8 9\n", "r.txt:3: more than the expected 2 rows"},
        {"", "the file ends after 0 rows, expected 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RgEnvironment *environment = NULL;
        RgError error = {0};
        const char *path = scratch_write("r.txt", cases[i].text);
        const char *entries[] = {"contexts", "2", "responses", "3", "reward_file", path, NULL};
        cr_expect_eq(try_bandit(entries, 1, &environment, &error), RG_E_FORMAT);
        cr_expect_null(environment);
        cr_expect(strstr(error.text, cases[i].message), "%s", error.text);
    }
    RgEnvironment *environment = NULL;
    RgError error = {0};
    const char *absent[] = {"reward_file", "/nowhere/r.txt", NULL};
    cr_expect_eq(try_bandit(absent, 1, &environment, &error), RG_E_FILE);
    cr_expect(strstr(error.text, "/nowhere/r.txt"), "%s", error.text);
}

Test(bandit, features_come_from_a_file, .init = scratch_begin) {
    const char *path = scratch_write("features.txt", "1 2\n3 4\n5 6\n7 8\n");
    World w =
        WORLD(10, "contexts", "2", "responses", "2", "feature_count", "2", "features_file", path);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(w.environment->space.features[i], 1 + i);
    world_end(w);
}

Test(bandit, bad_counts_and_features_are_refused_with_file_and_line, .init = scratch_begin) {
    static const struct {
        const char *key, *text, *message;
    } cases[] = {
        {"pair_counts_file", "1 2 3\n4 -5 6\n", "f.txt:2: the count is -5, expected 0 to 1e+15"},
        {"pair_counts_file", "1 2 3\n4 1e300 6\n", "f.txt:2: the count is 1e+300"},
        {"pair_counts_file", "# pairs\n0 0 0\n4 5 6\n", "f.txt:2: every count of the context is 0"},
        {"pair_counts_file", "1 2\n4 5 6\n", "f.txt:1: 2 numbers, expected 3"},
        {"pair_counts_file", "1 2 3\n", "the file ends after 1 rows, expected 2"},
        {"features_file", "1\n2\n3\n4\n5\n", "the file ends after 5 rows, expected 6"},
        {"features_file", "1\n2 7\n3\n4\n5\n6\n", "f.txt:2: more than the expected 1 numbers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RgEnvironment *environment = NULL;
        RgError error = {0};
        const char *path = scratch_write("f.txt", cases[i].text);
        const char *entries[] = {"contexts", "2",          "responses", "3", "feature_count",
                                 "1",        cases[i].key, path,        NULL};
        cr_expect_eq(try_bandit(entries, 1, &environment, &error), RG_E_FORMAT);
        cr_expect_null(environment);
        cr_expect(strstr(error.text, cases[i].message), "%s", error.text);
    }
}

/* Frequency of each ordered pair among those drawn against the population's share. */
static void expect_drawn_from_population(World drawn, World population) {
    enum { CELLS = 2 * 3 * 3 };
    double counted[CELLS], exact[CELLS], sum = 0,
                                         pairs = (double)drawn.environment->task.pairs->count;
    cr_assert_null(drawn.environment->task.pair_shares);
    rg_bandit_pair_shares(drawn.environment, counted);
    rg_bandit_pair_shares(population.environment, exact);
    for (int i = 0; i < CELLS; i++) {
        cr_expect_eq(population.environment->task.pair_shares[i], exact[i]);
        cr_expect_leq(fabs(counted[i] - exact[i]), 4.5 * sqrt(exact[i] * (1 - exact[i]) / pairs),
                      "%d: %g, expected %g", i, counted[i], exact[i]);
        sum += exact[i];
    }
    cr_expect_float_eq(sum, 1, 1e-12);
}

Test(bandit, the_population_is_what_pairs_are_drawn_from, .init = scratch_begin) {
    const char *counts = scratch_write("counts.txt", "1 5 2\n0 3 1\n");
    World drawn = WORLD(4, "contexts", "2", "responses", "3", "pairs", "40000", "label_temperature",
                        "0.7", "label_noise", "0.1", "pair_counts_file", counts);
    World exact = WORLD(4, "contexts", "2", "responses", "3", "label_temperature", "0.7",
                        "label_noise", "0.1", "pair_counts_file", counts, "population", "true");
    expect_drawn_from_population(drawn, exact);
    /* pair 1-3 of the first context, once the labels are summed */
    const double *share = exact.environment->task.pair_shares;
    cr_expect_float_eq(share[2] + share[6], 0.5 * 5 / 8, 1e-12);
    world_end(drawn);
    world_end(exact);
    drawn = WORLD(5, "contexts", "2", "responses", "3", "pairs", "40000");
    exact = WORLD(5, "contexts", "2", "responses", "3", "population", "true");
    expect_drawn_from_population(drawn, exact);
    world_end(drawn);
    world_end(exact);
}

Test(bandit, options_that_do_not_fit_are_refused) {
    RgEnvironment *environment = NULL;
    RgError error = {0};
    const char *both[] = {"pair_counts_file", "x", "coverage", "0.5", NULL};
    cr_expect_eq(try_bandit(both, 1, &environment, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "coverage"), "%s", error.text);
    const char *large[] = {"contexts", "8", "responses", "1000", "population", "true", NULL};
    cr_expect_eq(try_bandit(large, 1, &environment, &error), RG_E_RANGE);
    cr_expect(strstr(error.text, "population"), "%s", error.text);
    const char *none[] = {"feature_count", "0", "features_file", "x", NULL};
    cr_expect_eq(try_bandit(none, 1, &environment, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "feature_count"), "%s", error.text);
    const char *few[] = {"responses", "2", "hide_best", "true", NULL};
    cr_expect_eq(try_bandit(few, 1, &environment, &error), RG_E_RANGE);
    cr_expect(strstr(error.text, "hide_best"), "%s", error.text);
    const char *pairs[] = {"contexts", "8", "pairs", "7", NULL};
    cr_expect_eq(try_bandit(pairs, 1, &environment, &error), RG_E_RANGE);
    cr_expect(strstr(error.text, "pairs is 7"), "%s", error.text);
    cr_expect_null(environment);
}

Test(bandit, an_unknown_environment_is_refused_with_the_nearest_name) {
    RgSettings *settings = rg_settings_create();
    RgEnvironment *environment = NULL;
    RgError error = {0};
    cr_expect_eq(rg_environment_create("bandits", settings, "environment", rg_random_root(1),
                                       &environment, &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "\"bandit\""), "%s", error.text);
    rg_settings_destroy(settings);
}

Test(bandit, a_policy_of_another_size_is_refused) {
    World small = WORLD(11, "contexts", "2"), large = WORLD(11);
    RgError error = {0};
    cr_expect_eq(
        rg_environment_prepare(large.environment, small.reference, rg_random_root(1), &error),
        RG_E_USAGE);
    cr_expect(strstr(error.text, "8 contexts with 12"), "%s", error.text);
    world_end(small);
    world_end(large);
}

Test(bandit, the_reference_ties_with_itself) {
    World w = WORLD(12);
    RgEvaluation *e = rg_evaluation_create();
    rg_environment_evaluate(
        w.environment, &(RgContender){.policy = w.reference, .reference = w.reference, .beta = 0.1},
        rg_random_root(1), e, NULL);
    cr_expect_float_eq(rg_evaluation_find(e, "win_rate_base"), 0.5, 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "kl"), 0, 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "reward_margin"), 0, 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "reward_accuracy"), 0.5, 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "sail_objective"), log(0.5), 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "value"), rg_evaluation_find(e, "reward"), 1e-12);
    cr_expect_gt(rg_evaluation_find(e, "regret"), 0.1);
    cr_expect_eq(rg_evaluation_items(e), 8);
    rg_evaluation_destroy(e);
    world_end(w);
}

/* Where all true rewards are 0, the judge's are its error alone. */
Test(bandit, judge_errs_by_its_error_and_metrics_are_of_the_true_rewards) {
    World w =
        WORLD(12, "reward_scale", "0", "judge_error", "2", "responses", "500", "pairs", "100");
    RgRewardTable judged = rg_bandit_rewards(w.environment);
    RgEvaluation *e = rg_evaluation_create();
    int64_t cells = judged.contexts * judged.responses;
    double *table = rg_allocate(cells, sizeof *table), expected = 0, square = 0;
    rg_policy_table(w.reference, table);
    for (int64_t i = 0; i < cells; i++) {
        expected += exp(table[i]) * judged.reward[i] / (double)judged.contexts;
        square += judged.reward[i] * judged.reward[i] / (double)cells;
    }
    cr_expect_lt(fabs(square - 4), 4 * 4 * sqrt(2 / (double)cells));
    rg_environment_evaluate(
        w.environment, &(RgContender){.policy = w.reference, .reference = w.reference, .beta = 0.1},
        rg_random_root(1), e, NULL);
    cr_expect_eq(rg_evaluation_find(e, "reward"), 0);
    cr_expect_eq(rg_evaluation_find(e, "optimality_gap"), 0);
    cr_expect_float_eq(rg_evaluation_find(e, "judge_reward"), expected, 1e-9);
    free(table);
    rg_evaluation_destroy(e);
    world_end(w);
}

/* At π*(β) regret vanishes, and a policy that always plays the best has no optimality gap. */
Test(bandit, regret_vanishes_at_the_optimum) {
    World w = WORLD(13, "kl_strength", "0.3");
    RgRewardTable t = rg_bandit_rewards(w.environment);
    RgPolicy *policy = rg_policy_clone(w.reference, false);
    double base[96], best[96];
    rg_policy_table(w.reference, base);
    rg_bandit_optimal(&t, base, 0.3, best);
    RgEvaluation *e = rg_evaluation_create(), *greedy = rg_evaluation_create();
    for (int i = 0; i < 96; i++)
        policy->parameters->value[i] = (RgReal)best[i];
    rg_environment_evaluate(w.environment,
                            &(RgContender){.policy = policy, .reference = w.reference, .beta = 0.3},
                            rg_random_root(1), e, NULL);
    cr_expect_float_eq(rg_evaluation_find(e, "regret"), 0, 1e-6);
    cr_expect_gt(rg_evaluation_find(e, "optimality_gap"), 0.01);
    for (int i = 0; i < 96; i++)
        policy->parameters->value[i] = is_best(&t, i) ? 80 : 0;
    rg_environment_evaluate(w.environment,
                            &(RgContender){.policy = policy, .reference = w.reference, .beta = 0.3},
                            rg_random_root(1), greedy, NULL);
    cr_expect_float_eq(rg_evaluation_find(greedy, "optimality_gap"), 0, 1e-6);
    cr_expect_gt(rg_evaluation_find(greedy, "regret"), 0.01);
    cr_expect_float_eq(rg_evaluation_find(greedy, "entropy"), 0, 1e-6);
    rg_evaluation_destroy(e);
    rg_evaluation_destroy(greedy);
    rg_policy_destroy(policy);
    world_end(w);
}
