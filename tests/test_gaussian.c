/* SPDX-License-Identifier: MIT */
/* The gaussian policy: its samples against its density, bits that depend on nothing but the
 * episode, files and refusals. */
#include "core/models/gaussian.h"
#include "core/tensor/threads.h"
#include "linear_mdp.h"
#include "scratch.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(gaussian, .init = scratch_begin, .timeout = 60);

static RgError error;

Test(gaussian, sampled_log_probabilities_are_those_of_the_episodes) {
    enum { COUNT = 25 };
    RgPolicy *policy = linear_policy(&error);
    double sampled[COUNT], asked[COUNT];
    RgSequences *episodes = linear_episodes(policy, COUNT, 1, sampled);
    rg_policy_logprob_values(policy, episodes, asked);
    int64_t shortest = 12;
    for (int i = 0; i < COUNT; i++) {
        int64_t steps = rg_episode_steps(&linear_mdp, episodes, i);
        cr_assert_float_eq(sampled[i], asked[i], 1e-4, "%g and %g", sampled[i], asked[i]);
        shortest = steps < shortest ? steps : shortest;
    }
    cr_assert(shortest >= 1 && shortest < 12, "none ended early");
    rg_sequences_destroy(episodes);
    rg_policy_destroy(policy);
}

Test(gaussian, episodes_do_not_depend_on_threads_or_neighbours) {
    RgPolicy *policy = linear_policy(&error);
    rg_threads_set(1);
    RgSequences *one = linear_episodes(policy, 30, 1, NULL);
    rg_threads_set(4);
    RgSequences *four = linear_episodes(policy, 30, 1, NULL);
    RgSequences *few = linear_episodes(policy, 4, 1, NULL);
    rg_threads_set(1);
    cr_assert_eq(rg_sequences_hash(one), rg_sequences_hash(four));
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(rg_sequence_length(one, i), rg_sequence_length(few, i));
        cr_assert_arr_eq(rg_sequence_response(one, i), rg_sequence_response(few, i),
                         (size_t)rg_sequence_response_length(one, i) * sizeof(int32_t));
    }
    rg_sequences_destroy(one);
    rg_sequences_destroy(four);
    rg_sequences_destroy(few);
    rg_policy_destroy(policy);
}

/* First actions from one place: mean and variance within 4 standard errors of each other at
 * temperatures 1 and 1/4, of which the second halves the deviation; none at 0. */
Test(gaussian, temperature_scales_the_variance) {
    enum { COUNT = 4000 };
    static const double temperatures[] = {1, 0.25, 0};
    RgPolicy *policy = linear_policy(&error);
    RgSequences *prompts = rg_sequences_create(), *episodes = rg_sequences_create();
    double mean[3] = {0}, variance[3] = {0};
    int32_t start = 3;
    rg_sequences_append(prompts, &start, 1, NULL, 0);
    for (int k = 0; k < 3; k++) {
        RgSampling sampling = {
            .temperature = temperatures[k], .top_p = 1, .response_limit = 3, .end_token = -1};
        rg_policy_sample(policy, prompts, COUNT, &sampling, rg_random_root(6), episodes, NULL);
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < COUNT; i++) {
                double a = rg_word_float(*rg_episode_action(&linear_mdp, episodes, i, 0));
                if (pass == 0)
                    mean[k] += a / COUNT;
                else
                    variance[k] += (a - mean[k]) * (a - mean[k]) / COUNT;
            }
    }
    double deviation = policy->parameters->value[policy->parameters->count - 1];
    cr_assert_float_eq(variance[0] / exp(2 * deviation), 1, 4 * sqrt(2.0 / COUNT));
    cr_assert_float_eq(variance[1] / variance[0], 0.25, 0.001); /* of the same numbers */
    cr_assert_lt(variance[2], 1e-12);
    cr_assert_float_eq(mean[0], mean[2], 4 * exp(deviation) / sqrt(COUNT));
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(episodes);
    rg_policy_destroy(policy);
}

Test(gaussian, features_are_discounted_sums_of_what_is_observed_and_done) {
    RgPolicy *policy = linear_policy(&error);
    RgSequences *episodes = linear_episodes(policy, 3, 1, NULL);
    double features[3 * 4];
    cr_assert_eq(rg_policy_feature_count(policy), 4);
    rg_policy_features(policy, episodes, features);
    for (int i = 0; i < 3; i++) {
        double expected[4] = {0}, weight = 1;
        for (int64_t h = 0; h < rg_episode_steps(&linear_mdp, episodes, i); h++) {
            const int32_t *row = rg_episode_observation(&linear_mdp, episodes, i, h);
            expected[0] += weight * rg_word_float(row[0]);
            expected[1] += weight * rg_word_float(row[1]);
            expected[2] += weight * fmin(1, fmax(-1, rg_word_float(row[2])));
            expected[3] += weight;
            weight *= 0.9;
        }
        for (int k = 0; k < 4; k++)
            cr_assert_float_eq(features[4 * i + k], expected[k], 1e-4);
    }
    rg_sequences_destroy(episodes);
    rg_policy_destroy(policy);
}

Test(gaussian, a_saved_policy_acts_again_once_it_is_lent_a_process) {
    RgPolicy *policy = linear_policy(&error), *loaded;
    char path[300];
    snprintf(path, sizeof path, "%s/gaussian.safetensors", scratch_path);
    cr_assert_eq(rg_policy_save(policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &loaded, &error), RG_OK, "%s", error.text);
    RgSimulator wider = linear_mdp;
    wider.observation_words = 3;
    cr_assert_eq(rg_policy_use_simulator(loaded, &wider, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "3 observations"), "%s", error.text);
    cr_assert_eq(rg_policy_use_simulator(loaded, &linear_mdp, &error), RG_OK);
    RgSequences *before = linear_episodes(policy, 5, 1, NULL);
    RgSequences *after = linear_episodes(loaded, 5, 1, NULL);
    cr_assert_eq(rg_sequences_hash(before), rg_sequences_hash(after));
    rg_sequences_destroy(before);
    rg_sequences_destroy(after);
    rg_policy_destroy(loaded);
    rg_policy_destroy(policy);
}

Test(gaussian, an_environment_without_a_continuous_process_is_refused) {
    static const RgSimulator table = {.states = 4, .actions = 2};
    const RgPolicySpace spaces[] = {{.vocabulary = 10}, {.simulator = &table}};
    for (int k = 0; k < 2; k++) {
        RgSettings *settings = rg_settings_create();
        RgPolicy *policy;
        cr_assert_eq(rg_policy_create("gaussian", settings, "policy", &spaces[k], rg_random_root(1),
                                      &policy, &error),
                     RG_E_USAGE);
        cr_assert(strstr(error.text, "continuous observations and actions"), "%s", error.text);
        rg_settings_destroy(settings);
    }
}
