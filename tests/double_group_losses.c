/* SPDX-License-Identifier: MIT */
/* The losses of methods of groups, whole or token by token, in double: on batches of known numbers,
 * against their formulas by plain arithmetic, and their gradients against central differences of
 * these. */
#include "loss_method.h"

#include <math.h>
#include <string.h>

static double group_logprob[PAIRS * SIZE], group_reference[PAIRS * SIZE],
    group_reward[PAIRS * SIZE], group_win_rate[PAIRS * SIZE];
static int32_t ranking[PAIRS * SIZE];

static double group_loss(double *gradient) {
    RgTape *t = rg_tape_create();
    RgShape shape = RG_SHAPE(PAIRS, SIZE);
    RgTensor *x = rg_variable(t, shape, group_logprob), *g;
    RgStep step = {.tape = t};
    RgBatch batch = {.prompts = PAIRS,
                     .k = SIZE,
                     .logprob = x,
                     .log_ratio = rg_sub(t, x, rg_constant(t, shape, group_reference)),
                     .old = rg_stop_gradient(t, x),
                     .reward = rg_constant(t, shape, group_reward),
                     .judged = group_reward,
                     .win_rate = rg_constant(t, shape, group_win_rate),
                     .order = ranking};
    RgTensor *loss = algorithm->loss(&step, options, &batch);
    double value = loss->data[0];
    rg_gradients(t, loss, &x, 1, &g);
    memcpy(gradient, g->data, sizeof group_logprob);
    rg_tape_destroy(t);
    return value;
}

static void draw_groups(void) {
    for (int i = 0; i < PAIRS * SIZE; i++) {
        group_logprob[i] = -4 * chance(1000 + (uint64_t)i);
        group_reference[i] = -4 * chance(2000 + (uint64_t)i);
        group_reward[i] = 3 * chance(3000 + (uint64_t)i);
        group_win_rate[i] = chance(4000 + (uint64_t)i);
        ranking[i] = (i % SIZE + i / SIZE) % SIZE;
    }
}

Test(losses, rloo_weighs_scores_by_what_they_are_above_the_others) {
    double gradient[PAIRS * SIZE];
    begin_method("rloo", "beta=0.3");
    draw_groups();
    group_loss(gradient);
    for (int i = 0; i < PAIRS * SIZE; i++) {
        double own = 0, others = 0;
        for (int j = i / SIZE * SIZE; j < (i / SIZE + 1) * SIZE; j++) {
            double gain = group_reward[j] - 0.3 * (group_logprob[j] - group_reference[j]);
            *(j == i ? &own : &others) += gain;
        }
        cr_expect_float_eq(gradient[i], -(own - others / (SIZE - 1)) / (PAIRS * SIZE), 1e-12);
    }
    rg_settings_destroy(settings);
}

static double plackett_luce(void) {
    double total = 0;
    for (int i = 0; i < PAIRS; i++)
        for (int place = 0; place < SIZE - 1; place++) {
            double sum = 0, first = 0;
            for (int later = place; later < SIZE; later++) {
                int cell = i * SIZE + ranking[i * SIZE + later];
                double weight = exp(0.3 * (group_logprob[cell] - group_reference[cell]));
                sum += weight;
                first = later == place ? weight : first;
            }
            total -= log(first / sum) / PAIRS;
        }
    return total;
}

static double win_rates_fitted(void) {
    double total = 0;
    for (int i = 0; i < PAIRS * SIZE; i++)
        total += pow(group_logprob[i] - group_reference[i] - 3 * (group_win_rate[i] - 0.5), 2);
    return total / (PAIRS * SIZE);
}

static double likelihood_of_the_best(void) {
    double total = 0;
    for (int i = 0; i < PAIRS; i++) {
        int best = i * SIZE;
        for (int j = i * SIZE; j < (i + 1) * SIZE; j++)
            best = group_reward[j] > group_reward[best] ? j : best;
        total -= group_logprob[best] / PAIRS;
    }
    return total;
}

/* Whether the loss of groups is `formula`, and its gradient that of it. */
static void check_groups(const char *name, const char *given, double (*formula)(void)) {
    const double step = 1e-6;
    double gradient[PAIRS * SIZE];
    begin_method(name, given);
    draw_groups();
    cr_expect_float_eq(group_loss(gradient), formula(), 1e-12, "%s", name);
    for (int i = 0; i < PAIRS * SIZE; i++) {
        double here = group_logprob[i];
        group_logprob[i] = here + step;
        double high = formula();
        group_logprob[i] = here - step;
        cr_expect_float_eq(gradient[i], (high - formula()) / (2 * step), 1e-8, "%s", name);
        group_logprob[i] = here;
    }
    rg_settings_destroy(settings);
}

Test(losses, of_groups_are_their_formulas) {
    check_groups("listwise", "beta=0.3", plackett_luce);
    check_groups("sppo", "eta=3", win_rates_fitted);
    check_groups("raft", "", likelihood_of_the_best);
}

/* ---- GRPO: groups, token by token ---- */

enum { ALL_RESPONSES = PAIRS * SIZE, TOKENS = PAIRS * (0 + 1 + 2 + 3), LIMIT = 6 };

static double step_logprob[TOKENS], step_reference[TOKENS], step_old[TOKENS];
static int64_t step_offsets[ALL_RESPONSES + 1];

/* Responses of 0 to 3 tokens; the last group's rewards are all the same. */
static void draw_steps(void) {
    draw_groups();
    for (int i = 0; i < ALL_RESPONSES; i++) {
        step_offsets[i + 1] = step_offsets[i] + (i + i / SIZE) % SIZE;
        if (i >= ALL_RESPONSES - SIZE)
            group_reward[i] = 1.25;
    }
    for (uint64_t i = 0; i < TOKENS; i++) {
        step_logprob[i] = -3 * chance(7000 + i);
        step_reference[i] = -3 * chance(8000 + i);
        step_old[i] = step_logprob[i] + chance(9000 + i) - 0.5;
    }
}

static double length_of(int i) {
    return fmax(1, (double)(step_offsets[i + 1] - step_offsets[i]));
}

/* The method's loss, its gradient in the tokens' log-probabilities and what it logs. */
static double steps_loss(double *gradient, RgStep *step) {
    RgTape *t = rg_tape_create();
    RgShape shape = RG_SHAPE(PAIRS, SIZE), tokens = RG_SHAPE(TOKENS);
    RgTensor *x = rg_variable(t, tokens, step_logprob), *g;
    double of_each[ALL_RESPONSES];
    for (int i = 0; i < ALL_RESPONSES; i++)
        of_each[i] = length_of(i);
    *step = (RgStep){.tape = t, .share = 1};
    RgBatch batch = {.prompts = PAIRS,
                     .k = SIZE,
                     .response_limit = LIMIT,
                     .length = rg_constant(t, shape, of_each),
                     .reward = rg_constant(t, shape, group_reward),
                     .steps = {.count = TOKENS,
                               .offsets = step_offsets,
                               .logprob = x,
                               .reference = rg_constant(t, tokens, step_reference),
                               .old = rg_constant(t, tokens, step_old)}};
    RgTensor *loss = algorithm->loss(step, options, &batch);
    double value = loss->data[0];
    rg_gradients(t, loss, &x, 1, &g);
    memcpy(gradient, g->data, sizeof step_logprob);
    rg_tape_destroy(t);
    return value;
}

static double group_advantage(int i, bool by_std) {
    double mean = 0, squares = 0;
    int first = i / SIZE * SIZE;
    for (int j = first; j < first + SIZE; j++)
        mean += group_reward[j] / SIZE;
    for (int j = first; j < first + SIZE; j++)
        squares += pow(group_reward[j] - mean, 2);
    return (group_reward[i] - mean) / (by_std ? sqrt(squares / (SIZE - 1)) + 1e-4 : 1);
}

static double grpo(double beta, bool by_length, bool by_std) {
    double total = 0;
    for (int i = 0; i < ALL_RESPONSES; i++) {
        double a = group_advantage(i, by_std), sum = 0;
        for (int64_t j = step_offsets[i]; j < step_offsets[i + 1]; j++) {
            double ratio = exp(step_logprob[j] - step_old[j]);
            double h = step_logprob[j] - step_reference[j];
            sum += fmin(ratio * a, fmin(fmax(ratio, 0.8), 1.2) * a) - beta * (exp(-h) - 1 + h);
        }
        total -= sum / (by_length ? length_of(i) : LIMIT) / ALL_RESPONSES;
    }
    return total;
}

static void check_grpo(const char *given, double beta, bool by_length, bool by_std) {
    const double step = 1e-6;
    double gradient[TOKENS];
    RgStep logged;
    begin_method("grpo", given);
    draw_steps();
    cr_expect_float_eq(steps_loss(gradient, &logged), grpo(beta, by_length, by_std), 1e-12, "%s",
                       given);
    for (int i = 0; i < TOKENS; i++) {
        double here = step_logprob[i];
        step_logprob[i] = here + step;
        double high = grpo(beta, by_length, by_std);
        step_logprob[i] = here - step;
        double difference = (high - grpo(beta, by_length, by_std)) / (2 * step);
        step_logprob[i] = here;
        cr_expect_float_eq(gradient[i], difference, 1e-8, "%s: %d: %g, expected %g", given, i,
                           gradient[i], difference);
    }
    rg_settings_destroy(settings);
}

Test(losses, grpo_is_its_formula_with_and_without_its_normalisations) {
    check_grpo("beta=0.3", 0.3, true, true);
    check_grpo("beta=0", 0, true, true);
    check_grpo("beta=0.3 length_normalisation=false", 0.3, false, true);
    check_grpo("beta=0.3 std_normalisation=false", 0.3, true, false);
    check_grpo("beta=0.3 std_normalisation=false length_normalisation=false", 0.3, false, false);
}

Test(losses, grpo_logs_how_many_ratios_are_held_and_how_far_the_policy_has_moved) {
    double gradient[TOKENS], held = 0, moved = 0, spread = 0;
    RgStep logged;
    begin_method("grpo", "beta=0");
    draw_steps();
    steps_loss(gradient, &logged);
    for (int i = 0; i < ALL_RESPONSES; i++) {
        double each = 1 / (ALL_RESPONSES * length_of(i));
        spread += pow(group_advantage(i, true), 2) / (SIZE - 1); /* 1 a group, or 0 */
        for (int64_t j = step_offsets[i]; j < step_offsets[i + 1]; j++) {
            double ratio = exp(step_logprob[j] - step_old[j]);
            held += group_advantage(i, true) != 0 && gradient[j] == 0 ? each : 0;
            moved += each * (ratio - 1 - log(ratio));
        }
    }
    cr_assert_eq(logged.metric_count, 3);
    cr_expect_str_eq(logged.metric[0], "advantage_spread");
    cr_expect_float_eq(logged.sum[0], spread / PAIRS, 1e-3);
    cr_expect_str_eq(logged.metric[1], "clip_fraction");
    cr_expect_float_eq(logged.sum[1], held, 1e-12);
    cr_expect(held > 0.05 && held < 0.5, "%g", held);
    cr_expect_str_eq(logged.metric[2], "approx_kl");
    cr_expect_float_eq(logged.sum[2], moved, 1e-12);
    rg_settings_destroy(settings);
}
