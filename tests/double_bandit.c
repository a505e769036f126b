/* SPDX-License-Identifier: MIT */
/* The bandit's exact numbers against sums written out by hand and against each other. */
#include <criterion/criterion.h>

#include "core/tensor/random.h"
#include "core/tensor/tensor.h"
#include "envs/bandit/bandit_exact.h"
#include "envs/bandit/bandit_metrics.h"

#include <math.h>

enum { C = 3, R = 4, CELLS = C * R };

static double reward[CELLS], reference[CELLS], own[CELLS];

static void normalise(double *table) {
    for (int c = 0; c < C; c++) {
        double sum = 0;
        for (int r = 0; r < R; r++)
            sum += exp(table[c * R + r]);
        for (int r = 0; r < R; r++)
            table[c * R + r] -= log(sum);
    }
}

static RgRewardTable draw(uint64_t seed) {
    RgRandom random = rg_random_root(seed);
    for (uint64_t i = 0; i < CELLS; i++) {
        reward[i] = rg_random_normal(random, i);
        reference[i] = rg_random_normal(random, 100 + i);
        own[i] = rg_random_normal(random, 200 + i);
    }
    reward[1] = reward[0]; /* a tie */
    normalise(reference);
    normalise(own);
    return (RgRewardTable){C, R, reward};
}

Test(bandit_metrics, win_rate_is_the_sum_over_pairs_and_ties_count_half) {
    RgRewardTable t = draw(1);
    double mean = 0, column[C];
    rg_bandit_win_rate(&t, own, reference, column);
    for (int c = 0; c < C; c++) {
        double wins = 0;
        for (int a = 0; a < R; a++)
            for (int b = 0; b < R; b++) {
                double gap = reward[c * R + a] - reward[c * R + b];
                double p = exp(own[c * R + a]) * exp(reference[c * R + b]);
                wins += gap > 0 ? p : gap == 0 ? p / 2 : 0;
            }
        cr_expect_float_eq(column[c], wins, 1e-14);
        mean += wins / C;
    }
    cr_expect_float_eq(rg_bandit_win_rate(&t, own, reference, NULL), mean, 1e-14);
    double other = rg_bandit_win_rate(&t, reference, own, NULL);
    cr_expect_float_eq(mean + other, 1, 1e-14); /* someone wins, or they share */
}

Test(bandit_metrics, no_policy_beats_the_closed_form_optimum) {
    RgRewardTable t = draw(2);
    double best[CELLS], beta = 0.4;
    double value = rg_bandit_optimal(&t, reference, beta, best);
    cr_expect_float_eq(rg_bandit_value(&t, best, reference, beta, NULL), value, 1e-13);
    for (uint64_t k = 0; k < 50; k++) {
        double near[CELLS];
        for (uint64_t i = 0; i < CELLS; i++)
            near[i] = best[i] + 0.05 * rg_random_normal(rg_random_at(rg_random_root(9), k), i);
        normalise(near);
        cr_expect_lt(rg_bandit_value(&t, near, reference, beta, NULL), value);
    }
    /* J* − J_β(π) = β KL(π ‖ π*) */
    double regret = value - rg_bandit_value(&t, own, reference, beta, NULL);
    cr_expect_float_eq(regret, beta * rg_bandit_kl(&t, own, best, NULL), 1e-13);
}

Test(bandit_metrics, kl_entropy_and_reward_are_their_sums) {
    RgRewardTable t = draw(3);
    double kl = 0, entropy = 0, expected = 0, column[C];
    for (int i = 0; i < CELLS; i++) {
        double p = exp(own[i]) / C;
        kl += p * log(exp(own[i]) / exp(reference[i]));
        entropy -= p * log(exp(own[i]));
        expected += p * reward[i];
    }
    cr_expect_float_eq(rg_bandit_kl(&t, own, reference, column), kl, 1e-14);
    cr_expect_float_eq((column[0] + column[1] + column[2]) / C, kl, 1e-14);
    cr_expect_float_eq(rg_bandit_entropy(&t, own, NULL), entropy, 1e-14);
    cr_expect_float_eq(rg_bandit_expected_reward(&t, own, NULL), expected, 1e-14);
    cr_expect_float_eq(rg_bandit_value(&t, own, reference, 0.7, column), expected - 0.7 * kl,
                       1e-14);
    cr_expect_float_eq((column[0] + column[1] + column[2]) / C, expected - 0.7 * kl, 1e-14);
}

static double fit(double beta, int c, int a, int b) {
    double margin = own[c * R + a] - reference[c * R + a] - own[c * R + b] + reference[c * R + b];
    return -log(1 + exp(-beta * margin));
}

/* E over y1, y2 and the label z, four loops, as the definition has it. */
static double sail_by_loops(double beta, double temperature, double noise) {
    double objective = 0;
    for (int c = 0; c < C; c++)
        for (int a = 0; a < R; a++)
            for (int b = 0; b < R; b++)
                for (int z = 0; z < 2; z++) {
                    double gap = reward[c * R + a] - reward[c * R + b];
                    double first = 1 / (1 + exp(-gap / temperature));
                    first = first * (1 - noise) + (1 - first) * noise;
                    double p = exp(own[c * R + a]) * exp(own[c * R + b]) / C;
                    objective += p * (z == 0 ? first * fit(beta, c, a, b)
                                             : (1 - first) * fit(beta, c, b, a));
                }
    return objective;
}

Test(bandit_metrics, sail_objective_is_the_expectation_over_pairs_and_labels) {
    RgRewardTable t = draw(4);
    double expected = sail_by_loops(0.5, 0.8, 0.15);
    cr_expect_float_eq(rg_bandit_sail_objective(&t, own, reference, 0.5, 0.8, 0.15), expected,
                       1e-14);

    RgTape *tape = rg_tape_create();
    RgExactProblem problem = {.contexts = C,
                              .responses = R,
                              .reference = reference,
                              .reward = reward,
                              .beta = 0.5,
                              .label_temperature = 0.8,
                              .label_noise = 0.15};
    RgTensor *logits = rg_constant_from_double(tape, RG_SHAPE(C, R), own);
    RgTensor *j = rg_exact_sail(tape, logits, &problem, (RgExactSources){0});
    cr_expect_float_eq(j->data[0], expected, 1e-13);
    rg_tape_destroy(tape);
}
