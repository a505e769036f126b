/* SPDX-License-Identifier: MIT */
/* Preference games in double: sums against their definitions, the equilibrium against closed forms
 * and against another algorithm that finds it, and exact gradients in a game. */
#include <criterion/criterion.h>

#include "algorithms/training/trainer.h"
#include "core/models/enumerated.h"
#include "core/tensor/random.h"
#include "envs/game/game.h"
#include "experiments/program/plugins/small_race.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { C = 2, R = 10, CELLS = C * R };

static double matrices[CELLS * R], reference[CELLS], own[CELLS], other[CELLS];

static void normalise(double *table) {
    for (int c = 0; c < C; c++) {
        double sum = 0;
        for (int r = 0; r < R; r++)
            sum += exp(table[c * R + r]);
        for (int r = 0; r < R; r++)
            table[c * R + r] -= log(sum);
    }
}

/* Games of uniform probabilities, with policies of normal logits. */
static RgPreferenceTable draw(uint64_t seed) {
    RgRandom random = rg_random_root(seed);
    for (int c = 0; c < C; c++)
        for (int i = 0; i < R; i++)
            for (int j = 0; j <= i; j++) {
                int cell = (c * R + i) * R + j;
                double p = i == j ? 0.5 : rg_random_uniform(random, (uint64_t)cell);
                matrices[cell] = p;
                matrices[(c * R + j) * R + i] = 1 - p;
            }
    for (uint64_t i = 0; i < CELLS; i++) {
        reference[i] = rg_random_normal(random, 1000 + i);
        own[i] = rg_random_normal(random, 2000 + i);
        other[i] = rg_random_normal(random, 3000 + i);
    }
    normalise(reference);
    normalise(own);
    normalise(other);
    return (RgPreferenceTable){C, R, matrices};
}

/* V(π1, π2) of one context by its definition. */
static double value_of(int c, const double *first, const double *second, double beta) {
    double value = 0;
    for (int a = c * R; a < (c + 1) * R; a++) {
        value -= beta * exp(first[a]) * (first[a] - reference[a]);
        value += beta * exp(second[a]) * (second[a] - reference[a]);
        for (int b = 0; b < R; b++)
            value += exp(first[a]) * matrices[a * R + b] * exp(second[c * R + b]);
    }
    return value;
}

/* The duality gap by its definition. */
static double gap_of(const RgPreferenceTable *t, int c, const double *policy, double beta) {
    double reply[CELLS];
    rg_game_best_response(t, policy, reference, beta, reply);
    return value_of(c, reply, policy, beta) - value_of(c, policy, reply, beta);
}

Test(game_metrics, win_rates_are_their_sums) {
    RgPreferenceTable t = draw(1);
    double mean = 0, column[C];
    rg_game_win_rate(&t, own, other, column);
    for (int c = 0; c < C; c++) {
        double wins = 0;
        for (int a = 0; a < R; a++)
            for (int b = 0; b < R; b++)
                wins += exp(own[c * R + a] + other[c * R + b]) * matrices[(c * R + a) * R + b];
        cr_expect_float_eq(column[c], wins, 1e-14);
        mean += wins / C;
    }
    cr_expect_float_eq(rg_game_win_rate(&t, own, other, NULL), mean, 1e-14);
    cr_expect_float_eq(rg_game_win_rate(&t, other, own, NULL), 1 - mean, 1e-14);
    cr_expect_float_eq(rg_game_win_rate(&t, own, own, NULL), 0.5, 1e-14);
}

Test(game_metrics, the_worst_win_rate_is_the_least_over_single_responses) {
    RgPreferenceTable t = draw(2);
    double column[C];
    rg_game_worst_win_rate(&t, own, column);
    for (int c = 0; c < C; c++) {
        double least = 1;
        for (int b = 0; b < R; b++) {
            double wins = 0;
            for (int a = 0; a < R; a++)
                wins += exp(own[c * R + a]) * matrices[(c * R + a) * R + b];
            least = fmin(least, wins);
        }
        cr_expect_float_eq(column[c], least, 1e-14);
    }
}

Test(game_metrics, no_reply_is_worth_more_than_the_best_response) {
    RgPreferenceTable t = draw(3);
    double reply[CELLS], near[CELLS], beta = 0.2;
    rg_game_best_response(&t, own, reference, beta, reply);
    for (uint64_t k = 0; k < 50; k++) {
        for (uint64_t i = 0; i < CELLS; i++)
            near[i] = reply[i] + 0.05 * rg_random_normal(rg_random_at(rg_random_root(9), k), i);
        normalise(near);
        for (int c = 0; c < C; c++) {
            cr_expect_lt(value_of(c, near, own, beta), value_of(c, reply, own, beta));
            cr_expect_gt(value_of(c, own, near, beta), value_of(c, own, reply, beta));
        }
    }
}

Test(game_metrics, the_duality_gap_is_what_best_responses_gain) {
    for (uint64_t seed = 4; seed < 8; seed++) {
        RgPreferenceTable t = draw(seed);
        double column[C], beta = pow(10, 4 - (double)seed);
        double mean = rg_game_duality_gap(&t, own, reference, beta, column);
        cr_expect_float_eq(mean, (column[0] + column[1]) / 2, 1e-15);
        for (int c = 0; c < C; c++)
            cr_expect_float_eq(column[c], gap_of(&t, c, own, beta), 1e-13);
    }
}

/* KL(π ‖ π + ε·δ) = ½ε²·Var_π[δ] + O(ε³), far below the rounding of its plain sum. */
Test(game_metrics, divergences_are_exact_near_and_far) {
    RgPreferenceTable t = draw(8);
    double plain = 0, column[C];
    for (int i = 0; i < CELLS; i++)
        plain += exp(own[i]) * (own[i] - other[i]) / C;
    cr_expect_float_eq(rg_game_divergence(&t, own, other, NULL), plain, 1e-14);
    const double epsilon = 1e-6;
    double near[CELLS], variance[C];
    for (int c = 0; c < C; c++) {
        double mean = 0, square = 0;
        for (int r = 0; r < R; r++) {
            mean += exp(own[c * R + r]) * r;
            square += exp(own[c * R + r]) * r * r;
            near[c * R + r] = own[c * R + r] + epsilon * r;
        }
        variance[c] = square - mean * mean;
    }
    normalise(near);
    rg_game_divergence(&t, own, near, column);
    for (int c = 0; c < C; c++)
        cr_expect_float_eq(column[c] / (0.5 * epsilon * epsilon * variance[c]), 1, 1e-4);
    double certain[CELLS];
    for (int i = 0; i < CELLS; i++)
        certain[i] = i % R == 0 ? 0 : -INFINITY;
    cr_expect_float_eq(rg_game_divergence(&t, certain, own, NULL), -(own[0] + own[R]) / 2, 1e-14);
}

/* ---- the equilibrium ---- */

Test(game_equilibrium, nobody_gains_by_leaving_it) {
    static const double betas[] = {10, 1, 0.1, 0.01, 1e-3, 1e-4};
    for (size_t k = 0; k < sizeof betas / sizeof *betas; k++) {
        RgPreferenceTable t = draw(10 + k);
        RgError error = {0};
        double nash[CELLS], reply[CELLS];
        cr_assert_eq(rg_game_equilibrium(&t, reference, betas[k], nash, &error), RG_OK, "%s",
                     error.text);
        rg_game_best_response(&t, nash, reference, betas[k], reply);
        for (int c = 0; c < C; c++)
            cr_expect_lt(fabs(gap_of(&t, c, nash, betas[k])), 1e-10);
        for (int i = 0; i < CELLS; i++) /* log-probabilities are of the size of 1/β */
            cr_expect_float_eq(nash[i], reply[i], 1e-13 * fmax(10, 1 / betas[k]));
        cr_expect_gt(rg_game_duality_gap(&t, reference, reference, betas[k], NULL), 1e-5);
    }
}

/* Magnetic mirror descent (Sokota et al. 2023, arXiv:2206.05825), log π ← (1 − ηβ) log π + ηβ log
 * π_ref + η·P·π, contracts towards the equilibrium for small η. */
Test(game_equilibrium, is_where_mirror_descent_ends) {
    RgPreferenceTable t = draw(20);
    double nash[CELLS], policy[CELLS], reply[CELLS], beta = 0.3, eta = 0.2;
    cr_assert_eq(rg_game_equilibrium(&t, reference, beta, nash, NULL), RG_OK);
    memcpy(policy, other, sizeof policy);
    for (int k = 0; k < 2000; k++) {
        rg_game_best_response(&t, policy, reference, beta, reply);
        for (int i = 0; i < CELLS; i++)
            policy[i] += eta * beta * (reply[i] - policy[i]);
        normalise(policy);
    }
    for (int i = 0; i < CELLS; i++)
        cr_expect_float_eq(policy[i], nash[i], 1e-11);
}

/* With two responses P·π differs by p − ½ between them, whatever π is. */
Test(game_equilibrium, of_two_responses_has_a_closed_form) {
    static const double p = 0.8, beta = 0.05;
    double preference[] = {0.5, p, 1 - p, 0.5}, base[] = {log(0.1), log(0.9)}, nash[2];
    RgPreferenceTable t = {1, 2, preference};
    cr_assert_eq(rg_game_equilibrium(&t, base, beta, nash, NULL), RG_OK);
    cr_expect_float_eq(nash[0] - nash[1], base[0] - base[1] + (p - 0.5) / beta, 1e-12);
    cr_expect_float_eq(exp(nash[0]) + exp(nash[1]), 1, 1e-15);
}

Test(game_equilibrium, of_rock_paper_scissors_is_uniform_for_a_uniform_reference) {
    double preference[] = {0.5, 1, 0, 0, 0.5, 1, 1, 0, 0.5}, nash[3];
    double uniform[] = {-log(3), -log(3), -log(3)}, rock[] = {log(0.8), log(0.1), log(0.1)};
    RgPreferenceTable t = {1, 3, preference};
    for (double beta = 1; beta > 1e-4; beta /= 10) {
        cr_assert_eq(rg_game_equilibrium(&t, uniform, beta, nash, NULL), RG_OK);
        for (int i = 0; i < 3; i++)
            cr_expect_float_eq(nash[i], -log(3), 1e-12);
        cr_expect_float_eq(rg_game_worst_win_rate(&t, nash, NULL), 0.5, 1e-12);
    }
    /* A reference that likes rock draws the equilibrium to rock, and less the weaker it is. */
    cr_assert_eq(rg_game_equilibrium(&t, rock, 1, nash, NULL), RG_OK);
    cr_expect_gt(nash[0], log(0.5));
    cr_assert_eq(rg_game_equilibrium(&t, rock, 1e-3, nash, NULL), RG_OK);
    for (int i = 0; i < 3; i++)
        cr_expect_float_eq(exp(nash[i]), 1.0 / 3, 0.01);
}

Test(game_equilibrium, is_refused_where_it_is_not_found) {
    RgPreferenceTable t = draw(30);
    RgError error = {0};
    double nash[CELLS];
    cr_expect_eq(rg_game_equilibrium(&t, reference, 1e-7, nash, &error), RG_E_RANGE);
    cr_expect(strstr(error.text, "kl_strength is 1e-07"), "%s", error.text);
}

/* ---- exact expectations in a game ---- */

/* A game's task, a policy away from its reference, and a trainer of Nash-MD with exact
 * expectations. */
typedef struct Play {
    RgSettings *settings;
    RgEnvironment *environment;
    RgPolicy *policy, *reference;
    void *options;
    RgTrainer *trainer;
} Play;

static Play play_begin(void) {
    const RgAlgorithm *a = rg_algorithm_find("nash-md");
    Play play = {.settings = rg_settings_create(), .options = NULL};
    RgRandom random = rg_random_root(5);
    RgError error = {0};
    rg_settings_set(play.settings, "environment.contexts", RG_SETTING_INTEGER, "2", "test", 1);
    rg_settings_set(play.settings, "environment.label_noise", RG_SETTING_REAL, "0.1", "test", 2);
    rg_settings_set(play.settings, "algorithm.beta", RG_SETTING_REAL, "0.3", "test", 3);
    rg_settings_set(play.settings, "algorithm.reference_share", RG_SETTING_REAL, "0.25", "test", 4);
    cr_assert_eq(rg_environment_create("game", play.settings, "environment", random,
                                       &play.environment, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_create("tabular", play.settings, "policy", &play.environment->space,
                                  random, &play.reference, &error),
                 RG_OK);
    cr_assert_eq(rg_environment_prepare(play.environment, play.reference, random, &error), RG_OK);
    play.policy = rg_policy_clone(play.reference, false);
    for (int i = 0; i < CELLS; i++)
        play.policy->parameters->value[i] += 0.5 * rg_random_normal(random, (uint64_t)i);
    play.options = rg_allocate(1, a->about.options_size);
    cr_assert_eq(
        rg_options_read(a->about.options, play.settings, "algorithm", play.options, &error), RG_OK);
    RgTrainingOptions training = {
        .batch = 8, .temperature = 1, .top_p = 1, .expectation = RG_EXACT_EXPECTATION};
    cr_assert_eq(rg_trainer_create(a, play.options, &training, play.policy, play.reference,
                                   &play.environment->task, &rg_small_race_optimizer, 0, random,
                                   &play.trainer, &error),
                 RG_OK, "%s", error.text);
    return play;
}

static void play_end(Play *play) {
    rg_trainer_destroy(play->trainer);
    rg_policy_destroy(play->policy);
    rg_policy_destroy(play->reference);
    rg_environment_destroy(play->environment);
    rg_settings_destroy(play->settings);
    free(play->options);
}

/* −∇ = E_c Σ_y π(y)·∇log π(y)·((P̃·π_mix)(y) − ½ − β·h(y)), P̃ with the noise of labels. */
Test(game_expectation, nash_md_ascends_the_preference_over_the_mixture) {
    Play play = play_begin();
    RgPreferenceTable t = rg_game_preferences(play.environment);
    double loss, mixture[CELLS], advantage[CELLS];
    RgError error = {0};
    rg_policy_table(play.policy, own);
    rg_policy_table(play.reference, reference);
    for (int i = 0; i < CELLS; i++)
        mixture[i] = 0.75 * own[i] + 0.25 * reference[i];
    normalise(mixture);
    rg_parameters_zero_gradient(play.policy->parameters);
    cr_assert_eq(rg_trainer_gradient(play.trainer, 0, &loss, &error), RG_OK, "%s", error.text);
    for (int i = 0; i < CELLS; i++) {
        advantage[i] = -0.5 - 0.3 * (own[i] - reference[i]);
        for (int b = 0; b < R; b++) {
            double noisy = 0.9 * t.preference[i * R + b] + 0.1 * (1 - t.preference[i * R + b]);
            advantage[i] += exp(mixture[i / R * R + b]) * noisy;
        }
    }
    for (int i = 0; i < CELLS; i++) {
        double mean = 0;
        for (int r = i / R * R; r < (i / R + 1) * R; r++)
            mean += exp(own[r]) * advantage[r];
        double ascent = exp(own[i]) * (advantage[i] - mean) / C;
        cr_expect_float_eq(play.policy->parameters->gradient[i], -ascent, 1e-14);
    }
    play_end(&play);
}
