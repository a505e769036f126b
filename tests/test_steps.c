/* SPDX-License-Identifier: MIT */
/* Steps of responses, for methods that look into them: their log-probabilities add up to the
 * response's, and what is known before a step does not depend on it. Every kind of policy. */
#include "linear_mdp.h"
#include "race.h"
#include "token_race.h"

static void check_steps(RgPolicy *policy, const RgSequences *sequences, const char *kind) {
    int64_t steps = 0, features = policy->type->state_feature_count(policy), step = 0;
    for (int64_t i = 0; i < sequences->count; i++)
        steps += rg_policy_steps(policy, sequences, i);
    cr_assert_gt(steps, 0);
    double *whole = rg_allocate(sequences->count, sizeof *whole);
    double *each = rg_allocate(steps, sizeof *each);
    RgReal *state = rg_allocate(steps * features, sizeof *state), size = 0;
    rg_policy_logprob_values(policy, sequences, whole);
    rg_policy_step_values(policy, sequences, each);
    rg_policy_state_values(policy, sequences, state);
    for (int64_t i = 0; i < sequences->count; i++) {
        double sum = 0;
        for (int64_t k = 0; k < rg_policy_steps(policy, sequences, i); k++)
            sum += each[step++];
        cr_expect_float_eq(sum, whole[i], 1e-4, "%s: %g, of all %g", kind, sum, whole[i]);
    }
    for (int64_t i = 0; i < steps * features; i++)
        size += state[i] * state[i];
    cr_expect(isfinite(size) && size > 0, "%s", kind);
    free(state);
    free(each);
    free(whole);
}

Test(steps, of_a_bandit_there_is_one) {
    Race race = race_begin("dpo", "", "contexts=3 responses=5 pairs=20", 0.5, 8);
    check_steps(race.policy, race.environment->task.pairs->sequences, "tabular");
    cr_expect_eq(rg_policy_steps(race.policy, race.environment->task.pairs->sequences, 0), 1);
    race_end(&race);
}

Test(steps, of_episodes_are_actions) {
    RgError error = {0};
    RgPolicy *policy = linear_policy(&error);
    RgSequences *episodes = linear_episodes(policy, 20, 1, NULL);
    check_steps(policy, episodes, "gaussian");
    cr_expect_eq(policy->type->state_feature_count(policy), 2);
    rg_sequences_destroy(episodes);
    rg_policy_destroy(policy);
}

Test(steps, of_sentences_are_words) {
    static const double rows[7 * 3];
    RgPolicySpace space = {.vocabulary = 3, .response_length = 3, .bigram = rows};
    RgSettings *settings = rg_settings_create();
    RgPolicy *policy;
    RgError error = {0};
    rg_small_race_set(settings, "policy", "initial_deviation=1");
    cr_assert_eq(
        rg_policy_create("bigram", settings, "policy", &space, rg_random_root(1), &policy, &error),
        RG_OK, "%s", error.text);
    RgSequences *s = rg_sequences_create();
    rg_sequences_append(s, (int32_t[]){0}, 1, (int32_t[]){2, 0, 1}, 3);
    rg_sequences_append(s, (int32_t[]){0, 2}, 2, (int32_t[]){1, 1}, 2);
    check_steps(policy, s, "bigram");
    cr_expect_eq(policy->type->state_feature_count(policy), 7);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
    rg_settings_destroy(settings);
}

/* The state before the first token is the prompt's, whatever the response. */
Test(steps, of_texts_are_tokens) {
    RgPolicy *policy = token_policy(&token_model, 1);
    RgSequences *s = rg_sequences_create();
    int32_t prompt[] = {1, 2}, response[2][3] = {{3, 4, 5}, {3, 1, 1}};
    for (int k = 0; k < 2; k++)
        rg_sequences_append(s, prompt, 2, response[k], 3);
    check_steps(policy, s, "transformer");
    int64_t features = policy->type->state_feature_count(policy);
    RgReal *state = rg_allocate(6 * features, sizeof *state);
    rg_policy_state_values(policy, s, state);
    for (int64_t i = 0; i < features; i++) { /* alike before tokens 1 and 2, not before token 3 */
        cr_expect_float_eq(state[i], state[3 * features + i], 1e-5);
        cr_expect_float_eq(state[features + i], state[4 * features + i], 1e-5);
    }
    cr_expect_neq(
        memcmp(state + 2 * features, state + 5 * features, (size_t)features * sizeof *state), 0);
    free(state);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}
