/* SPDX-License-Identifier: MIT */
/* Claims about the game environment: its matrices are what their kind says, its labels and offline
 * pairs follow them, its files are refused with file and line, its evaluation knows the
 * equilibrium. */
#include <criterion/criterion.h>

#include "core/models/enumerated.h"
#include "envs/game/game.h"
#include "experiments/program/plugins/small_race.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* `options` as in rg_small_race_set; `path`: preference_file, or NULL. */
static RgStatus try_game(const char *options, const char *path, uint64_t seed,
                         RgEnvironment **environment, RgError *error) {
    RgSettings *settings = rg_settings_create();
    rg_small_race_set(settings, "environment", options);
    if (path)
        rg_settings_set(settings, "environment.preference_file", RG_SETTING_STRING, path, "test",
                        1);
    RgStatus status = rg_environment_create("game", settings, "environment", rg_random_root(seed),
                                            environment, error);
    rg_settings_destroy(settings);
    return status;
}

/* A prepared game and its reference policy. */
typedef struct World {
    RgEnvironment *environment;
    RgPolicy *reference;
} World;

static World world_of(const char *options, const char *path, uint64_t seed) {
    World w = {0};
    RgError error = {0};
    cr_assert_eq(try_game(options, path, seed, &w.environment, &error), RG_OK, "%s", error.text);
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

/* ---- matrices ---- */

static void expect_complementary(RgPreferenceTable t) {
    int64_t n = t.responses;
    for (int64_t c = 0; c < t.contexts; c++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                cr_expect_float_eq(t.preference[(c * n + i) * n + j] +
                                       t.preference[(c * n + j) * n + i],
                                   1, 1e-15);
}

Test(game, random_preferences_are_uniform_and_complementary) {
    World w = world_of("contexts=40 responses=16", NULL, 1);
    RgPreferenceTable t = rg_game_preferences(w.environment);
    double tenths[10] = {0}, count = 40 * 16 * 15 / 2.0;
    expect_complementary(t);
    for (int64_t c = 0; c < 40; c++)
        for (int64_t i = 0; i < 16; i++)
            for (int64_t j = 0; j < i; j++)
                tenths[(int)(10 * t.preference[(c * 16 + i) * 16 + j])]++;
    for (int k = 0; k < 10; k++)
        cr_expect_lt(fabs(tenths[k] / count - 0.1), 4 * sqrt(0.09 / count));
    cr_expect_null(w.environment->task.judge);
    world_end(w);
}

Test(game, a_seed_makes_one_game) {
    World a = world_of("contexts=2 responses=3", NULL, 2),
          b = world_of("contexts=2 responses=3", NULL, 2),
          c = world_of("contexts=2 responses=3", NULL, 3);
    const double *ta = rg_game_preferences(a.environment).preference,
                 *tb = rg_game_preferences(b.environment).preference,
                 *tc = rg_game_preferences(c.environment).preference;
    cr_expect_arr_eq(ta, tb, 18 * sizeof *ta);
    cr_expect_neq(ta[3], tc[3]);
    cr_expect_neq(ta[3], ta[12]); /* another context */
    cr_expect_eq(rg_sequences_hash(a.environment->task.pairs->sequences),
                 rg_sequences_hash(b.environment->task.pairs->sequences));
    world_end(a);
    world_end(b);
    world_end(c);
}

Test(game, in_a_cycle_each_response_beats_the_next) {
    static const double expected[] = {0.5, 0.9, 0.5, 0.1, 0.1, 0.5, 0.9, 0.5,
                                      0.5, 0.1, 0.5, 0.9, 0.9, 0.5, 0.1, 0.5};
    World w = world_of("contexts=2 responses=4 preferences=cyclic strength=0.9", NULL, 4);
    for (int i = 0; i < 32; i++)
        cr_expect_float_eq(rg_game_preferences(w.environment).preference[i], expected[i % 16],
                           1e-15);
    world_end(w);
}

Test(game, preferences_of_rewards_are_bradley_terry_of_what_the_judge_says) {
    World w = world_of("contexts=3 responses=5 preferences=rewards reward_scale=2 label_noise=0.2",
                       NULL, 5);
    RgPreferenceTable t = rg_game_preferences(w.environment);
    const RgTask *task = &w.environment->task;
    RgSequences *all = rg_sequences_create();
    double reward[15];
    for (int32_t c = 0; c < 3; c++)
        for (int32_t r = 0; r < 5; r++)
            rg_sequences_append(all, &c, 1, &r, 1);
    cr_assert_eq(rg_task_judge(task, all, reward, NULL), RG_OK);
    expect_complementary(t);
    for (int i = 0; i < 15; i++)
        for (int j = 0; j < 5; j++) {
            double a = reward[i], b = reward[i / 5 * 5 + j];
            cr_expect_float_eq(t.preference[i * 5 + j], 1 / (1 + exp(b - a)), 1e-15);
            cr_expect_float_eq(task->preference[i * 5 + j], rg_preference_probability(task, a, b),
                               1e-15);
        }
    rg_sequences_destroy(all);
    world_end(w);
}

/* ---- labels and offline data ---- */

/* How often each response was preferred to each other in a single context, against `task`. */
static void expect_labels(const char *options) {
    enum { N = 4, PAIRS = 40000 };
    World w = world_of(options, NULL, 6);
    const RgTask *task = &w.environment->task;
    RgSequences *pairs = rg_sequences_create();
    static uint8_t preferred[PAIRS];
    double wins[N * N] = {0};
    for (int64_t i = 0; i < PAIRS; i++)
        for (int64_t k = 0; k < 2; k++) {
            int32_t context = 0, response = (int32_t)(k ? i / N % N : i % N);
            rg_sequences_append(pairs, &context, 1, &response, 1);
        }
    cr_assert_eq(rg_task_label(task, pairs, rg_random_root(7), preferred, NULL), RG_OK);
    for (int64_t i = 0; i < PAIRS; i++)
        wins[i % N * N + i / N % N] += preferred[i] == 0;
    for (int i = 0; i < N * N; i++) {
        double p = task->preference[i], shown = PAIRS / (double)(N * N);
        cr_expect_leq(fabs(wins[i] - shown * p), 4 * sqrt(shown * p * (1 - p)));
    }
    rg_sequences_destroy(pairs);
    world_end(w);
}

Test(game, label_frequencies_are_the_matrix) {
    expect_labels("contexts=1 responses=4");
    expect_labels("contexts=1 responses=4 preferences=cyclic");
    expect_labels("contexts=1 responses=4 preferences=rewards label_noise=0.1");
}

Test(game, noise_flips_labels_and_leaves_the_game) {
    World plain = world_of("contexts=2 responses=3", NULL, 8),
          noisy = world_of("contexts=2 responses=3 label_noise=0.25", NULL, 8);
    for (int i = 0; i < 18; i++) {
        double p = rg_game_preferences(plain.environment).preference[i];
        cr_expect_eq(rg_game_preferences(noisy.environment).preference[i], p);
        cr_expect_eq(plain.environment->task.preference[i], p);
        cr_expect_float_eq(noisy.environment->task.preference[i], 0.75 * p + 0.25 * (1 - p), 1e-15);
    }
    world_end(plain);
    world_end(noisy);
}

Test(game, offline_pairs_are_of_the_reference_and_labelled_by_the_game) {
    World w = world_of("contexts=2 responses=5 pairs=20000", NULL, 9);
    const RgPairs *pairs = w.environment->task.pairs;
    double table[10], first[10] = {0}, wins[50] = {0}, shown[50] = {0};
    rg_policy_table(w.reference, table);
    cr_assert_eq(pairs->count, 20000);
    cr_assert_eq(w.environment->task.demonstrations->count, 20000);
    for (int64_t i = 0; i < pairs->count; i++) {
        int32_t context = *rg_sequence_prompt(pairs->sequences, 2 * i);
        int32_t a = *rg_sequence_response(pairs->sequences, 2 * i);
        int32_t b = *rg_sequence_response(pairs->sequences, 2 * i + 1);
        cr_expect_eq(context, i % 2);
        cr_expect_eq(*rg_sequence_prompt(pairs->sequences, 2 * i + 1), context);
        cr_expect_neq(a, b);
        first[context * 5 + a]++;
        shown[(context * 5 + a) * 5 + b]++;
        wins[(context * 5 + a) * 5 + b] += pairs->preferred[i] == 0;
    }
    for (int i = 0; i < 10; i++) {
        double p = exp(table[i]);
        cr_expect_lt(fabs(first[i] / 10000 - p), 4 * sqrt(p * (1 - p) / 10000));
    }
    for (int i = 0; i < 50; i++) {
        double p = rg_game_preferences(w.environment).preference[i];
        cr_expect_leq(fabs(wins[i] - shown[i] * p), 4 * sqrt(shown[i] * p * (1 - p)) + 1e-9);
    }
    world_end(w);
}

/* ---- files ---- */

Test(game, preferences_come_from_a_file, .init = scratch_begin) {
    const char *path = scratch_write("p.txt", "# rock, paper, scissors\n.5 0 1\n1 .5 0\n0 1 .5\n\n"
                                              "0.5 0.25 0.4\n0.75 0.5 0.3333333 # rounded\n"
                                              "0.6 0.6666667 0.5\n");
    static const double expected[] = {0.5, 0,    1,   1,    0.5, 0,         0,   1,         0.5,
                                      0.5, 0.25, 0.4, 0.75, 0.5, 0.3333333, 0.6, 0.6666667, 0.5};
    World w = world_of("contexts=2 responses=3 preferences=cyclic", path, 10);
    RgPreferenceTable t = rg_game_preferences(w.environment);
    for (int i = 0; i < 18; i++)
        cr_expect_float_eq(t.preference[i], expected[i], 1e-12);
    expect_complementary(t);
    cr_expect_null(w.environment->task.judge);
    world_end(w);
}

Test(game, bad_preference_files_are_refused_with_file_and_line, .init = scratch_begin) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {".5 1\n0 half\n", "p.txt:2: \"half\" is not a finite number"},
        {".5 1 0\n0 .5\n", "p.txt:1: more than the expected 2 numbers"},
        {".5 1\n\n0\n", "p.txt:3: 1 numbers, expected 2"},
        {".5 1\n0 .5\n", "the file ends after 2 rows, expected 4"},
        {".5 1\n0 .5\n.5 0\n1 .5\n.5 1\n", "p.txt:5: more than the expected 4 rows"},
        {".5 1.5\n-.5 .5\n.5 0\n1 .5\n",
         "p.txt:1: column 2 is 1.5, expected a probability from 0 to 1"},
        {".5 1\n-1 .5\n.5 0\n1 .5\n",
         "p.txt:2: column 1 is -1, expected a probability from 0 to 1"},
        {".5 .2\n.8 .6\n.5 0\n1 .5\n", "p.txt:2: column 2 is 0.6, expected 0.5"},
        {"# two games\n.5 .2\n.8 .5\n\n.5 .3\n.8 .5\n",
         "p.txt:6: column 1 is 0.8, expected 0.7: 1 minus column 2 of line 5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RgEnvironment *environment = NULL;
        RgError error = {0};
        const char *path = scratch_write("p.txt", cases[i].text);
        cr_expect_eq(try_game("contexts=2 responses=2", path, 1, &environment, &error),
                     RG_E_FORMAT);
        cr_expect_null(environment);
        cr_expect(strstr(error.text, cases[i].message), "%s", error.text);
    }
    RgEnvironment *environment = NULL;
    RgError error = {0};
    cr_expect_eq(try_game("contexts=2", "/nowhere/p.txt", 1, &environment, &error), RG_E_FILE);
    cr_expect(strstr(error.text, "/nowhere/p.txt"), "%s", error.text);
}

Test(game, options_that_do_not_fit_are_refused) {
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"contexts=8 pairs=7", "pairs is 7"},
        {"responses=2 preferences=cyclic", "responses is 2, expected at least 3"},
        {"contexts=65 responses=256", "at most 4194304 preferences"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RgEnvironment *environment = NULL;
        RgError error = {0};
        cr_expect_eq(try_game(cases[i].options, NULL, 1, &environment, &error), RG_E_RANGE);
        cr_expect_null(environment);
        cr_expect(strstr(error.text, cases[i].message), "%s", error.text);
    }
}

Test(game, a_policy_of_another_size_is_refused) {
    World small = world_of("contexts=2", NULL, 11), large = world_of("contexts=3", NULL, 11);
    RgError error = {0};
    cr_expect_eq(
        rg_environment_prepare(large.environment, small.reference, rg_random_root(1), &error),
        RG_E_USAGE);
    cr_expect(strstr(error.text, "the game has 3 contexts with 10"), "%s", error.text);
    world_end(small);
    world_end(large);
}

/* ---- evaluation ---- */

static RgEvaluation *evaluate(World w, RgPolicy *policy, int64_t best_of) {
    RgEvaluation *e = rg_evaluation_create();
    RgError error = {0};
    cr_assert_eq(rg_environment_evaluate(w.environment,
                                         &(RgContender){.policy = policy,
                                                        .reference = w.reference,
                                                        .beta = 0.1,
                                                        .best_of = best_of},
                                         rg_random_root(1), e, &error),
                 RG_OK, "%s", error.text);
    return e;
}

Test(game, the_reference_ties_with_itself_and_is_no_equilibrium) {
    World w = world_of("contexts=3 responses=6", NULL, 12);
    RgEvaluation *e = evaluate(w, w.reference, 1);
    cr_expect_float_eq(rg_evaluation_find(e, "win_rate_base"), 0.5, 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "kl"), 0, 1e-12);
    cr_expect_gt(rg_evaluation_find(e, "duality_gap"), 0.01);
    cr_expect_gt(rg_evaluation_find(e, "nash_distance"), 0.01);
    cr_expect_lt(rg_evaluation_find(e, "win_rate_nash"), 0.49);
    cr_expect(isnan(rg_evaluation_find(e, "reward")));
    cr_expect_eq(rg_evaluation_items(e), 3);
    rg_evaluation_destroy(e);
    world_end(w);
}

/* At the equilibrium, as near as floats are, nobody gains; without a regulariser it would be beaten
 * by nobody, and with a weak one hardly. */
Test(game, the_equilibrium_has_no_gap) {
    World w = world_of("contexts=3 responses=6 kl_strength=0.001", NULL, 13);
    RgPolicy *policy = rg_policy_clone(w.reference, false);
    for (int i = 0; i < 18; i++)
        policy->parameters->value[i] = (RgReal)rg_game_nash(w.environment)[i];
    RgEvaluation *e = evaluate(w, policy, 1);
    cr_expect_lt(rg_evaluation_find(e, "duality_gap"), 1e-9);
    cr_expect_lt(rg_evaluation_find(e, "nash_distance"), 1e-9);
    cr_expect_float_eq(rg_evaluation_find(e, "win_rate_nash"), 0.5, 1e-6);
    cr_expect_gt(rg_evaluation_find(e, "win_rate_worst"), 0.48);
    cr_expect_gt(rg_evaluation_find(e, "win_rate_base"), 0.5);
    rg_evaluation_destroy(e);
    rg_policy_destroy(policy);
    world_end(w);
}

Test(game, rewards_are_measured_where_there_are_rewards) {
    World w = world_of("contexts=3 responses=6 preferences=rewards", NULL, 14);
    RgEvaluation *plain = evaluate(w, w.reference, 1), *best = evaluate(w, w.reference, 4);
    cr_expect_gt(rg_evaluation_find(best, "reward"), rg_evaluation_find(plain, "reward") + 0.1);
    cr_expect_gt(rg_evaluation_find(best, "win_rate_worst"),
                 rg_evaluation_find(plain, "win_rate_worst"));
    rg_evaluation_destroy(plain);
    rg_evaluation_destroy(best);
    world_end(w);
}
