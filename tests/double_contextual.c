/* SPDX-License-Identifier: MIT */
/* Policies that are networks of a context's features, in double: values and gradients against
 * PyTorch and against central differences, expectations over the responses to a batch of prompts, the
 * fit of a reward to pairs; and the rewards of the contextual bandit against closed forms. */
#include "algorithms/rlhf_network.h"
#include "contextual.h"
#include "envs/bandit/contextual_rewards.h"

#include <math.h>

enum { CONTEXTS = 3, RESPONSES = 3, FEATURES = 4 };

/* ---- against PyTorch ---- */

static double context_features[CONTEXTS * FEATURES];

/* A policy of two hidden layers, 5 and 6 units, whose k-th view has the numbers 0.7·sin(1.7k + 0.9i).
 * Features are cos(0.8i). */
static RgPolicy *known_policy(const char *options) {
    RgError error = {0};
    RgSettings *settings = rg_settings_create();
    RgPolicy *policy = NULL;
    for (int i = 0; i < CONTEXTS * FEATURES; i++)
        context_features[i] = cos(0.8 * i);
    RgPolicySpace space = {.contexts = CONTEXTS,
                           .responses = RESPONSES,
                           .context_features = context_features,
                           .context_feature_count = FEATURES};
    rg_small_race_set(settings, "policy", options);
    rg_settings_set(settings, "policy.hidden", RG_SETTING_STRING, "5 6", "test", 1);
    cr_assert_eq(
        rg_policy_create("mlp", settings, "policy", &space, rg_random_root(2), &policy, &error),
        RG_OK, "%s", error.text);
    rg_settings_destroy(settings);
    RgParameters *p = policy->parameters;
    for (int k = 0; k < p->view_count; k++)
        for (int64_t i = 0; i < p->views[k].count; i++)
            p->value[p->views[k].offset + i] = 0.7 * sin(1.7 * k + 0.9 * (double)i);
    return policy;
}

/* Responses 1, 0 and 2 to the contexts, and one of the first again. */
static RgSequences *some_sequences(void) {
    RgSequences *sequences = rg_sequences_create();
    for (int32_t c = 0; c < CONTEXTS; c++)
        rg_sequences_append(sequences, &c, 1, (int32_t[]){(1 + 2 * c) % 3}, 1);
    rg_sequences_append(sequences, (int32_t[]){0}, 1, (int32_t[]){2}, 1);
    return sequences;
}

/* Σ_i w_i log π(i), w = (1, 2, −1, 0) */
static RgTensor *weighted(RgTape *t, RgPolicy *policy, const RgSequences *sequences) {
    RgTensor *weight = rg_constant(t, RG_SHAPE(4), (const double[]){1, 2, -1, 0});
    return rg_sum(t, rg_mul(t, weight, rg_policy_logprob(t, policy, sequences)));
}

/* log_softmax of torch.nn.functional.linear, layer_norm, relu and tanh in float64 (PyTorch 1.13), and
 * the norms of the gradient of the sum above by view: weight and bias of each layer, then the
 * norm's. */
static void check_golden(const char *options, const double *logprob, const double *norms) {
    RgPolicy *policy = known_policy(options);
    RgSequences *sequences = some_sequences();
    RgParameters *p = policy->parameters;
    RgTape *t = rg_tape_create();
    double table[CONTEXTS * RESPONSES];
    rg_policy_table(policy, table);
    for (int i = 0; i < CONTEXTS * RESPONSES; i++)
        cr_expect_float_eq(table[i], logprob[i], 1e-11, "%s: %d", options, i);
    rg_backward(t, weighted(t, policy, sequences), 1);
    for (int k = 0; k < p->view_count; k++) {
        double square = 0;
        for (int64_t i = 0; i < p->views[k].count; i++)
            square += pow(p->gradient[p->views[k].offset + i], 2);
        cr_expect_float_eq(sqrt(square), norms[k], 1e-11, "%s: %s", options, p->views[k].name);
    }
    rg_tape_destroy(t);
    rg_sequences_destroy(sequences);
    rg_policy_destroy(policy);
}

Test(contextual, an_mlp_has_the_values_and_gradients_of_pytorch) {
    check_golden("activation=relu first_norm=true",
                 (const double[]){-0.996967572390, -0.883635774827, -1.524519240853,
                                  -1.063631744309, -0.795457152664, -1.592456388103,
                                  -1.024197749262, -0.877167262450, -1.491850336784},
                 (const double[]){0.225476115157, 0.136439041887, 1.216601367987, 1.063292058971,
                                  3.010682794248, 1.912619240908, 0.494616338072, 0.473399958117});
    check_golden("activation=tanh",
                 (const double[]){-1.288440341724, -0.992175222078, -1.039786235946,
                                  -1.055834168631, -1.056751996620, -1.189035019446,
                                  -1.304996700311, -0.987744738558, -1.031670913560},
                 (const double[]){0.433985233220, 0.364998845993, 1.763469957542, 1.873671176676,
                                  2.834981469692, 2.088728008220});
}

/* ---- against differences ---- */

static void gradient_at(RgPolicy *policy, const RgSequences *sequences, double *gradient) {
    RgTape *t = rg_tape_create();
    rg_parameters_zero_gradient(policy->parameters);
    RgTensor *logprob = rg_policy_logprob(t, policy, sequences);
    rg_backward(t, rg_sum(t, rg_square(t, logprob)), 1);
    for (int64_t i = 0; i < policy->parameters->count; i++)
        gradient[i] = policy->parameters->gradient[i];
    rg_tape_destroy(t);
}

static double value_at(RgPolicy *policy, const RgSequences *sequences) {
    double logprob[4], sum = 0;
    rg_policy_logprob_values(policy, sequences, logprob);
    for (int i = 0; i < 4; i++)
        sum += logprob[i] * logprob[i];
    return sum;
}

static void check_differences(const char *options) {
    const double step = 1e-6;
    RgPolicy *policy = known_policy(options);
    RgSequences *sequences = some_sequences();
    int64_t count = policy->parameters->count;
    double *gradient = rg_allocate(4 * count, sizeof *gradient), *above = gradient + count;
    double *below = above + count, *product = below + count;
    RgReal *x = policy->parameters->value, *v = rg_allocate(count, sizeof *v);
    gradient_at(policy, sequences, gradient);
    for (int64_t i = 0; i < count; i++) {
        double kept = x[i];
        x[i] = kept + step;
        double high = value_at(policy, sequences);
        x[i] = kept - step;
        cr_expect_float_eq(gradient[i], (high - value_at(policy, sequences)) / (2 * step), 1e-7,
                           "%s: %ld", options, (long)i);
        x[i] = kept;
        v[i] = rg_random_normal(rg_random_root(3), (uint64_t)i);
    }
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgTensor *logprob = rg_policy_logprob(t, policy, sequences);
    RgHessian *hessian = rg_hessian_create(t, rg_sum(t, rg_square(t, logprob)), policy->parameters);
    rg_hessian_product(hessian, v, product);
    rg_tape_destroy(t);
    for (int64_t i = 0; i < count; i++)
        x[i] += step * v[i];
    gradient_at(policy, sequences, above);
    for (int64_t i = 0; i < count; i++)
        x[i] -= 2 * step * v[i];
    gradient_at(policy, sequences, below);
    for (int64_t i = 0; i < count; i++)
        cr_expect_float_eq(product[i], (above[i] - below[i]) / (2 * step), 1e-5, "%s: %ld", options,
                           (long)i);
    free(v);
    free(gradient);
    rg_sequences_destroy(sequences);
    rg_policy_destroy(policy);
}

Test(contextual, first_and_second_derivatives_of_an_mlp_are_central_differences) {
    check_differences("activation=relu");
    check_differences("activation=relu first_norm=true");
    check_differences("activation=tanh first_norm=true");
}

/* ---- expectations over responses ---- */

static const char small[] =
    "pair_contexts=4 fresh_contexts=3 test_contexts=5 responses=4 feature_count=3";

/* −J, J = E_{c of the prompts, y ~ π}[r − β·h] over all seven prompts. */
static double negative_objective(const Contextual *c, const double *reward, double beta) {
    enum { PROMPTS = 7, N = 4 };
    double policy[12 * N], reference[12 * N], sum = 0;
    rg_policy_table(c->policy, policy);
    rg_policy_table(c->reference, reference);
    for (int i = 0; i < PROMPTS * N; i++)
        sum -= exp(policy[i]) * (reward[i] - beta * (policy[i] - reference[i])) / PROMPTS;
    return sum;
}

/* The recipe samples both responses of a group of two; with the exact expectation over all responses
 * its gradient is that of the objective itself, whatever the batch that holds each prompt once. */
Test(contextual, the_expectation_over_responses_has_the_gradient_of_the_objective) {
    const double step = 1e-6, beta = 0.3;
    Contextual c = contextual_begin(small, "6", "activation=tanh");
    double reward[28];
    contextual_rewards(&c, 7, reward);
    contextual_train(&c, "rloo", "beta=0.3 group_size=2", RG_RESPONSE_EXPECTATION, 7);
    for (int64_t i = 0; i < c.policy->parameters->count; i++)
        c.policy->parameters->value[i] += 0.3 * rg_random_normal(rg_random_root(8), (uint64_t)i);
    step_gradient(c.trainer, 0);
    for (int64_t i = 0; i < c.policy->parameters->count; i++) {
        RgReal *x = &c.policy->parameters->value[i], kept = *x;
        *x = kept + step;
        double high = negative_objective(&c, reward, beta);
        *x = kept - step;
        double difference = (high - negative_objective(&c, reward, beta)) / (2 * step);
        *x = kept;
        cr_expect_float_eq(c.policy->parameters->gradient[i], difference, 1e-8, "%ld", (long)i);
    }
    contextual_end(&c);
}

/* Batches of 3 and 4 in shuffled order hold each of seven prompts once over seven steps' worth. */
Test(contextual, batches_of_prompts_take_turns) {
    Contextual one = contextual_begin(small, "6", "activation=tanh");
    Contextual all = contextual_begin(small, "6", "activation=tanh");
    contextual_train(&one, "rloo", "beta=0.3 group_size=2", RG_RESPONSE_EXPECTATION, 1);
    contextual_train(&all, "rloo", "beta=0.3 group_size=2", RG_EXACT_EXPECTATION, 1);
    for (int s = 0; s < 7; s++)
        step_gradient(one.trainer, s);
    step_gradient(all.trainer, 0);
    double largest = 0;
    for (int64_t i = 0; i < one.policy->parameters->count; i++) {
        double g = one.policy->parameters->gradient[i] / 7;
        cr_expect_float_eq(g, all.policy->parameters->gradient[i], 1e-12);
        largest = fmax(largest, fabs(g));
    }
    cr_expect_gt(largest, 1e-3);
    contextual_end(&one);
    contextual_end(&all);
}

/* ---- the fit of a reward ---- */

/* Bradley-Terry rewards of the responses by maximum likelihood, by gradient ascent: reward [n] out,
 * the first 0. */
static void fit_by_counts(const RgPairs *pairs, int n, double *reward) {
    for (int round = 0; round < 20000; round++) {
        double slope[8] = {0};
        for (int64_t i = 0; i < pairs->count; i++) {
            int32_t a = *rg_sequence_response(pairs->sequences, 2 * i + pairs->preferred[i]);
            int32_t b = *rg_sequence_response(pairs->sequences, 2 * i + 1 - pairs->preferred[i]);
            double against = 1 / (1 + exp(reward[a] - reward[b]));
            slope[a] += against / (double)pairs->count;
            slope[b] -= against / (double)pairs->count;
        }
        for (int a = 0; a < n; a++)
            reward[a] += 2 * slope[a];
    }
    for (int a = n - 1; a >= 0; a--)
        reward[a] -= reward[0];
}

/* Without hidden layers an additive reward is linear in the response's indicator: a number for each,
 * whose best fit is that of Bradley and Terry's model. */
Test(contextual, an_additive_reward_without_hidden_layers_is_bradley_terrys) {
    enum { N = 4 };
    Contextual c = contextual_begin("pair_contexts=300 test_contexts=1 responses=4 feature_count=3",
                                    "4", "activation=tanh");
    double expected[N] = {0}, *reward = rg_allocate(301 * N, sizeof *reward);
    contextual_train(&c, "rlhf", "", RG_SAMPLED_EXPECTATION, 300);
    rg_reward_network_fit(
        c.trainer, &(RgRewardNetworkOptions){.hidden = "", .epochs = 4000, .learning_rate = 0.01},
        reward);
    fit_by_counts(c.environment->task.pairs, N, expected);
    for (int64_t i = 0; i < 301 * N; i++)
        cr_expect_float_eq(reward[i] - reward[i / N * N], expected[i % N], 2e-4, "%ld", (long)i);
    cr_expect_gt(fabs(expected[1]) + fabs(expected[2]), 0.1);
    free(reward);
    contextual_end(&c);
}

/* A joint network prefers different responses in different contexts; an additive one cannot. */
Test(contextual, only_a_joint_reward_depends_on_the_context) {
    enum { N = 4, ALL = 41 };
    static const char *const kinds[] = {"additive", "joint"};
    for (int joint = 0; joint < 2; joint++) {
        Contextual c = contextual_begin(
            "pair_contexts=40 test_contexts=1 responses=4 feature_count=3 reward=wave", "4",
            "activation=tanh");
        double reward[ALL * N], most = 0;
        contextual_train(&c, "rlhf", "", RG_SAMPLED_EXPECTATION, 40);
        rg_reward_network_fit(
            c.trainer,
            &(RgRewardNetworkOptions){
                .hidden = "8 8", .joint = joint, .epochs = 200, .learning_rate = 0.01},
            reward);
        for (int i = 0; i < ALL * N; i++)
            most = fmax(most, fabs(reward[i] - reward[i / N * N] - (reward[i % N] - reward[0])));
        cr_expect(joint ? most > 0.05 : most < 1e-9, "%s: %g", kinds[joint], most);
        contextual_end(&c);
    }
}

/* ---- rewards ---- */

/* Means over s ~ U(0, 1): optimal 1.8634, uniform 0.6631, computed by quadrature outside of this
 * program. */
Test(contextual, the_wave_reward_has_the_published_problems_means) {
    enum { GRID = 20000, N = 4 };
    double *s = rg_allocate(GRID, sizeof *s), *reward = rg_allocate(GRID * N, sizeof *reward);
    double best = 0, mean = 0;
    for (int i = 0; i < GRID; i++)
        s[i] = (i + 0.5) / GRID;
    rg_contextual_wave_reward(&(RgContexts){GRID, 1, s}, N, reward);
    for (int i = 0; i < GRID; i++) {
        double most = -INFINITY;
        for (int a = 0; a < N; a++) {
            most = fmax(most, reward[i * N + a]);
            mean += reward[i * N + a] / (GRID * N);
        }
        best += most / GRID;
    }
    cr_expect_float_eq(best, 1.8634, 5e-5, "%.6f", best);
    cr_expect_float_eq(mean, 0.6631, 5e-5, "%.6f", mean);
    free(s);
    free(reward);
}

/* 2·sin(πs)·(1 + 1/2 + 1/3 + 1/4) and the cosines' mean of 0 over [0, 1]. */
Test(contextual, the_wave_rewards_uniform_mean_is_its_closed_form) {
    cr_expect_float_eq(4 / acos(-1) * (1 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4) / 4, 0.6631, 5e-5);
}

/* One response is the best in every context, for the reward is a sum before its sign is added. */
Test(contextual, the_network_reward_is_additive_and_has_a_gap_of_two_at_its_sign) {
    enum { C = 50, N = 10, F = 5 };
    double features[C * F], reward[C * N];
    int best = -1, negative = 0;
    for (int i = 0; i < C * F; i++)
        features[i] = 2 * rg_random_uniform(rg_random_root(1), (uint64_t)i) - 1;
    rg_contextual_network_reward(&(RgContexts){C, F, features}, N, 64, rg_random_root(4), reward);
    for (int c = 0; c < C; c++) {
        int own = 0;
        for (int a = 0; a < N; a++) {
            double r = reward[c * N + a], plain = r - (r > 0) + (r < 0);
            double first = reward[c * N], of_first = first - (first > 0) + (first < 0);
            double r0 = reward[a], plain0 = r0 - (r0 > 0) + (r0 < 0);
            double first0 = reward[0] - (reward[0] > 0) + (reward[0] < 0);
            cr_expect_gt(fabs(r), 1);
            cr_expect_float_eq(plain - of_first, plain0 - first0, 1e-12);
            own = r > reward[c * N + own] ? a : own;
            negative += r < 0;
        }
        cr_expect(best < 0 || own == best);
        best = own;
    }
    cr_expect(negative > 0 && negative < C * N, "%d", negative);
}

/* The bins up to 2·Φ/n − 1 have the mass of a Cauchy variable below artanh of it; the median of tanh(z)
 * is tanh(−0.7) = −0.604. */
Test(contextual, the_cauchy_policy_is_a_histogram_of_its_distribution) {
    enum { N = 100, DRAWS = 200000 };
    double logprob[N], sum = 0, below = 0, count[N] = {0};
    rg_contextual_cauchy_policy(N, -0.7, 0.4, logprob);
    for (int a = 0; a < N; a++) {
        sum += exp(logprob[a]);
        below += a < 20 ? exp(logprob[a]) : 0; /* up to −0.6 */
    }
    cr_expect_float_eq(sum, 1, 1e-12);
    cr_expect_float_eq(below, 0.5 + atan((atanh(-0.6) + 0.7) / 0.4) / acos(-1), 1e-12);
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = rg_random_uniform(rg_random_root(9), i);
        double x = tanh(-0.7 + 0.4 * tan(acos(-1) * (u - 0.5)));
        int bin = (int)((x + 1) / 2 * N);
        count[bin < N ? bin : N - 1]++;
    }
    for (int a = 0; a < N; a++) {
        double p = exp(logprob[a]);
        cr_expect_lt(fabs(count[a] / DRAWS - p), 4.5 * sqrt(p / DRAWS), "%d", a);
    }
}
