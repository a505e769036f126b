/* SPDX-License-Identifier: MIT */
/* Samplers of pairs in double: their distributions against the formula, and the rates of tabular
 * online DPO under them (arXiv:2409.19605), linear or quadratic. */
#include <criterion/criterion.h>

#include "algorithms/training/pair_sampler.h"
#include "core/models/enumerated.h"
#include "envs/bandit/bandit.h"
#include "race.h"

#include <math.h>

enum { N = 20, STEPS = 5 };
static const double strength = 3; /* β */

/* A race from the uniform reference by plain gradient steps. Rewards are uniform in [0, 1], or
 * standard normal as in the published code. */
static Race sampler_race(const char *sampler, const char *weights, double rate, bool normal) {
    char options[160];
    RgError error = {0};
    RgOptimizerOptions sgd = {.type = {&rg_optimizer_sgd.about}, .learning_rate = rate};
    snprintf(options, sizeof options, "beta=3 pair_sampler=%s sampler_weights=%s", sampler,
             weights);
    RgSmallRaceTerms terms = {.algorithm = rg_algorithm_find("online-dpo"),
                              .options = options,
                              .bandit = "contexts=1 responses=20 pairs=1",
                              .batch = 4,
                              .expectation = RG_EXACT_EXPECTATION};
    Race race;
    cr_assert_eq(rg_small_race_begin(&terms, &race, &error), RG_OK, "%s", error.text);
    double *reward = (double *)rg_bandit_rewards(race.environment).reward;
    for (int i = 0; i < N; i++) {
        reward[i] =
            (normal ? rg_random_normal : rg_random_uniform)(rg_random_root(11), (uint64_t)i);
        race.policy->parameters->value[i] = race.reference->parameters->value[i] = 0;
    }
    rg_optimizer_destroy(race.trainer->optimizer);
    race.trainer->optimizer = rg_optimizer_create(&sgd, N, 0);
    return race;
}

/* max |v_i − v_j|, v = r − β·log π, before each step: error [STEPS] out. */
static void errors_of(const char *sampler, const char *weights, double rate, bool normal,
                      double *error) {
    Race race = sampler_race(sampler, weights, rate, normal);
    const double *reward = rg_bandit_rewards(race.environment).reward;
    for (int step = 0; step < STEPS; step++) {
        double table[N], most = -INFINITY, least = INFINITY;
        rg_policy_table(race.policy, table);
        for (int i = 0; i < N; i++) {
            most = fmax(most, reward[i] - strength * table[i]);
            least = fmin(least, reward[i] - strength * table[i]);
        }
        error[step] = most - least;
        cr_assert(take_step(race.trainer));
    }
    race_end(&race);
}

/* The matched step: the loss's curvature is 2β²n in every direction. */
static const double matched_rate = 1 / (2 * 3.0 * 3.0 * N);

Test(samplers, matched_weights_and_step_square_the_error) {
    static const char *const samplers[] = {"reward-matched", "policy-matched"};
    for (int k = 0; k < 2; k++) {
        double e[STEPS];
        errors_of(samplers[k], "matched", matched_rate, false, e);
        cr_expect(e[0] > 0.8 && e[0] <= 1);
        /* of the order of .0855, 8.9e-4, 8.8e-8, which another draw of rewards gave */
        cr_expect(e[1] < 0.2 && e[2] < 5e-3 && e[3] < 5e-6, "%s: %g %g %g", samplers[k], e[1], e[2],
                  e[3]);
        for (int i = 0; i + 1 < STEPS; i++)
            cr_expect_leq(e[i + 1], e[i] * e[i] + 1e-13, "%s: %g after %g", samplers[k], e[i + 1],
                          e[i]);
    }
}

Test(samplers, uniform_pairs_are_linear_with_the_matched_step) {
    double e[STEPS];
    errors_of("uniform", "matched", matched_rate, false, e);
    for (int i = 1; i + 1 < STEPS; i++) /* .108 a step in another draw of rewards */
        cr_expect(e[i + 1] / e[i] > 0.03 && e[i + 1] / e[i] < 0.3, "%g", e[i + 1] / e[i]);
}

Test(samplers, normalised_weights_are_linear_only) {
    static const char *const samplers[] = {"reward-matched", "policy-matched",
                                           "policy-matched-clipped"};
    for (int k = 0; k < 3; k++) {
        double e[STEPS];
        errors_of(samplers[k], "normalised", 10, true, e);
        for (int i = 1; i + 1 < STEPS; i++)
            cr_expect(e[i + 1] / e[i] > 0.02 && e[i + 1] / e[i] < 0.8, "%s: %g", samplers[k],
                      e[i + 1] / e[i]);
    }
}

/* ---- the distributions ---- */

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* x of the sampler and its largest weight, at the race's policy. */
static double expected_x(const Race *race, const char *sampler, double *x) {
    const double *reward = rg_bandit_rewards(race->environment).reward;
    double table[N], reference[N], most = INFINITY, high = reward[0], low = reward[0];
    rg_policy_table(race->policy, table);
    rg_policy_table(race->reference, reference);
    for (int i = 0; i < N; i++) {
        bool by_policy = strncmp(sampler, "policy", 6) == 0;
        x[i] = by_policy ? strength * (table[i] - reference[i]) : reward[i];
        x[i] = strcmp(sampler, "uniform") == 0 ? 0 : x[i];
        high = fmax(high, reward[i]);
        low = fmin(low, reward[i]);
    }
    if (strstr(sampler, "clipped"))
        most = 2 + exp(high - low) + exp(low - high);
    return most;
}

Test(samplers, probabilities_are_the_reciprocal_curvature) {
    static const char *const samplers[] = {"uniform", "reward-matched", "policy-matched",
                                           "policy-matched-clipped"};
    for (int k = 0; k < 4; k++) {
        Race race = sampler_race(samplers[k], "matched", 0, false);
        const double *reward = rg_bandit_rewards(race.environment).reward;
        for (int i = 0; i < N; i++)
            race.policy->parameters->value[i] =
                0.8 * rg_random_normal(rg_random_root(5), (uint64_t)i);
        RgPairDistribution d = rg_pair_distribution(race.trainer, reward);
        double p[N * N], x[N], sum = 0, most = expected_x(&race, samplers[k], x);
        double mass = rg_pair_probabilities(&d, &race.trainer->recipe, 0, p);
        int clipped = 0;
        for (int i = 0; i < N * N; i++) {
            double gap = x[i / N] - x[i % N], weight = 1 / (sigmoid(gap) * sigmoid(-gap));
            clipped += weight > most;
            cr_expect_float_eq(p[i] * mass, fmin(weight, most), 1e-10 * mass, "%s", samplers[k]);
            sum += p[i];
        }
        cr_expect_float_eq(sum, 1, 1e-12);
        cr_expect(clipped > 0 || isinf(most));
        race_end(&race);
    }
}

/* Draws of a pair follow its probability, and carry the sum of the weights. */
Test(samplers, pairs_are_drawn_by_their_probability) {
    enum { DRAWS = 20000 };
    Race race = sampler_race("policy-matched", "matched", 0, false);
    RgError error = {0};
    for (int i = 0; i < N; i++)
        race.policy->parameters->value[i] = 0.4 * rg_random_normal(rg_random_root(5), (uint64_t)i);
    RgPairDistribution d = rg_pair_distribution(race.trainer, NULL);
    double p[N * N], *weight = rg_allocate(DRAWS, sizeof *weight), shown[N * N] = {0}, chi = 0;
    double mass = rg_pair_probabilities(&d, &race.trainer->recipe, 0, p);
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    for (int i = 0; i < DRAWS; i++)
        rg_sequences_append(prompts, &(int32_t){0}, 1, NULL, 0);
    cr_assert_eq(
        rg_pair_sampler_draw(race.trainer, rg_random_root(8), prompts, out, weight, &error), RG_OK,
        "%s", error.text);
    for (int i = 0; i < DRAWS; i++) {
        shown[*rg_sequence_response(out, 2 * i) * N + *rg_sequence_response(out, 2 * i + 1)] += 1;
        cr_assert_float_eq(weight[i], mass, 1e-9);
    }
    for (int i = 0; i < N * N; i++)
        chi += pow(shown[i] - DRAWS * p[i], 2) / (DRAWS * p[i]);
    cr_expect_lt(chi, 399 + 5 * sqrt(2 * 399.0), "%g", chi);
    cr_expect_eq(race.trainer->meter.generated_tokens, 2 * DRAWS);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    free(weight);
    race_end(&race);
}

/* A sampled step has the exact gradient as its mean. */
Test(samplers, sampled_steps_average_to_the_exact_gradient) {
    enum { DRAWS = 3000 };
    static const char *const samplers[] = {"uniform", "reward-matched", "policy-matched-clipped"};
    for (int k = 0; k < 3; k++) {
        Race race = sampler_race(samplers[k], "matched", 0, false);
        double exact[N], mean[N] = {0}, square[N] = {0};
        RgReal *gradient = race.policy->parameters->gradient;
        rg_parameters_zero_gradient(race.policy->parameters);
        step_gradient(race.trainer, 0);
        for (int i = 0; i < N; i++)
            exact[i] = gradient[i];
        race.trainer->training.expectation = RG_SAMPLED_EXPECTATION;
        for (int draw = 0; draw < DRAWS; draw++) {
            rg_parameters_zero_gradient(race.policy->parameters);
            step_gradient(race.trainer, draw);
            race.trainer->outcome = (RgOutcome){0};
            for (int i = 0; i < N; i++) {
                mean[i] += gradient[i] / DRAWS;
                square[i] += gradient[i] * gradient[i] / DRAWS;
            }
        }
        for (int i = 0; i < N; i++) {
            double error = sqrt((square[i] - mean[i] * mean[i]) / DRAWS);
            cr_expect_lt(fabs(mean[i] - exact[i]), 4.5 * error, "%s: %g, expected %g ± %g",
                         samplers[k], mean[i], exact[i], error);
        }
        race_end(&race);
    }
}

/* ---- what is refused ---- */

static void expect_refused(const char *options, const char *bandit, double temperature,
                           const char *word) {
    RgError error = {0};
    RgSmallRaceTerms terms = {.algorithm = rg_algorithm_find("online-dpo"),
                              .options = options,
                              .bandit = bandit,
                              .batch = 4};
    Race race;
    RgStatus status = rg_small_race_begin(&terms, &race, &error);
    if (status == RG_OK) {
        RgTrainingOptions training = race.trainer->training;
        training.temperature = temperature;
        status = rg_training_check(terms.algorithm, &race.trainer->recipe, &training, &error);
    }
    cr_expect_eq(status, RG_E_USAGE, "%s", options);
    cr_expect(strstr(error.text, word), "%s: %s", options, error.text);
    race_end(&race);
}

Test(samplers, what_a_sampler_cannot_do_is_refused) {
    expect_refused("sampler_weights=matched", "", 1, "independently");
    expect_refused("pair_sampler=uniform", "", 0.7, "training.temperature");
    expect_refused("pair_sampler=reward-matched", "label_temperature=0", 1, "above 0");
    expect_refused("pair_sampler=uniform", "contexts=2 responses=2000", 1, "pairs of responses");
}
