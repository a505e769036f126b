/* SPDX-License-Identifier: MIT */
/* Claims about the contextual bandit and the mlp policy in the program's precision: the contexts that
 * pairs, prompts and evaluation have, the pairs of a group, exact metrics, files, refusals. */
#include "contextual.h"
#include "scratch.h"

#include <math.h>

TestSuite(contextual, .init = scratch_begin);

enum { N = 6 };
static const char small[] = "pair_contexts=20 fresh_contexts=5 test_contexts=8 responses=6 "
                            "feature_count=4 group_size=4 label_temperature=0";

Test(contextual, pairs_prompts_and_the_evaluation_have_contexts_of_their_own) {
    Contextual c = contextual_begin(small, "8", "gain=1");
    const RgTask *task = &c.environment->task;
    cr_assert_eq(c.environment->space.contexts, 33);
    cr_assert_eq(task->prompts->count, 25);
    cr_assert_eq(task->pairs->count, 20 * 6);
    cr_assert_eq(task->demonstrations->count, 20);
    for (int64_t i = 0; i < task->pairs->sequences->count; i++)
        cr_expect_eq(*rg_sequence_prompt(task->pairs->sequences, i), i / 12);
    contextual_end(&c);
}

Test(contextual, a_group_has_different_responses_and_its_best_is_the_demonstration) {
    Contextual c = contextual_begin(small, "8", "gain=1");
    const RgSequences *s = c.environment->task.pairs->sequences;
    double reward[25 * N];
    contextual_rewards(&c, 25, reward);
    for (int64_t i = 0; i < c.environment->task.pairs->count; i++) {
        const int32_t a = *rg_sequence_response(s, 2 * i), b = *rg_sequence_response(s, 2 * i + 1);
        const double *row = reward + i / 6 * N;
        int32_t best = *rg_sequence_response(c.environment->task.demonstrations, i / 6);
        cr_expect_neq(a, b);
        cr_expect(row[best] >= row[a] && row[best] >= row[b]);
        cr_expect_eq(c.environment->task.pairs->preferred[i], row[b] > row[a]);
    }
    contextual_end(&c);
}

Test(contextual, least_gap_leaves_out_pairs_and_no_demonstration) {
    Contextual all = contextual_begin(small, "8", "gain=1");
    char with_gap[200];
    snprintf(with_gap, sizeof with_gap, "%s least_gap=0.1", small);
    Contextual c = contextual_begin(with_gap, "8", "gain=1");
    double reward[25 * N];
    int64_t kept = 0;
    contextual_rewards(&c, 25, reward);
    const RgPairs *pairs = all.environment->task.pairs, *of_gap = c.environment->task.pairs;
    for (int64_t i = 0; i < pairs->count; i++) {
        const double *row = reward + *rg_sequence_prompt(pairs->sequences, 2 * i) * N;
        kept += fabs(row[*rg_sequence_response(pairs->sequences, 2 * i)] -
                     row[*rg_sequence_response(pairs->sequences, 2 * i + 1)]) >= 0.1;
    }
    cr_expect_eq(of_gap->count, kept);
    cr_expect(kept > 0 && kept < pairs->count, "%ld", (long)kept);
    cr_expect_eq(rg_sequences_hash(c.environment->task.demonstrations),
                 rg_sequences_hash(all.environment->task.demonstrations));
    contextual_end(&c);
    contextual_end(&all);
}

static RgEvaluation *evaluated(const Contextual *c) {
    RgError error = {0};
    RgContender contender = {.policy = c->policy, .reference = c->reference, .beta = 0.1};
    RgEvaluation *evaluation = rg_evaluation_create();
    cr_assert_eq(
        rg_environment_evaluate(c->environment, &contender, rg_random_root(1), evaluation, &error),
        RG_OK);
    return evaluation;
}

static void move(RgPolicy *policy) {
    for (int64_t i = 0; i < policy->parameters->count; i++)
        policy->parameters->value[i] +=
            (RgReal)(0.5 * rg_random_normal(rg_random_root(12), (uint64_t)i));
}

Test(contextual, metrics_are_sums_over_the_test_contexts) {
    Contextual c = contextual_begin(small, "8", "gain=1");
    double reward[33 * N], policy[33 * N], reference[33 * N];
    const double rounding = 1e-5; /* of logits in float, whose products have other shapes there */
    double mean = 0, best = 0, kl = 0, training = 0;
    move(c.policy);
    contextual_rewards(&c, 33, reward);
    rg_policy_table(c.policy, policy);
    rg_policy_table(c.reference, reference);
    for (int i = 0; i < 33; i++) {
        double most = -INFINITY;
        for (int a = i * N; a < (i + 1) * N; a++) {
            most = fmax(most, reward[a]);
            mean += i < 25 ? 0 : exp(policy[a]) * reward[a] / 8;
            kl += i < 25 ? 0 : exp(policy[a]) * (policy[a] - reference[a]) / 8;
            training += i >= 20 ? 0 : exp(policy[a]) * reward[a] / 20;
        }
        best += i < 25 ? 0 : most / 8;
    }
    RgEvaluation *e = evaluated(&c);
    cr_expect_float_eq(rg_evaluation_find(e, "reward"), mean, rounding);
    cr_expect_float_eq(rg_evaluation_find(e, "optimality_gap"), best - mean, rounding);
    cr_expect_float_eq(rg_evaluation_find(e, "kl"), kl, rounding);
    cr_expect_float_eq(rg_evaluation_find(e, "reward_training"), training, rounding);
    cr_expect_eq(rg_evaluation_items(e), 8);
    cr_expect_gt(kl, 0.01);
    rg_evaluation_destroy(e);
    contextual_end(&c);
}

Test(contextual, more_fresh_contexts_do_not_change_the_test) {
    Contextual few = contextual_begin(small, "8", "gain=1");
    Contextual many = contextual_begin("pair_contexts=20 fresh_contexts=9 test_contexts=8 "
                                       "responses=6 feature_count=4 group_size=4 "
                                       "label_temperature=0",
                                       "8", "gain=1");
    move(few.policy);
    move(many.policy);
    RgEvaluation *a = evaluated(&few), *b = evaluated(&many);
    for (int i = 0; i < rg_evaluation_metric_count(a); i++)
        cr_expect_eq(rg_evaluation_metric_value(a, i), rg_evaluation_metric_value(b, i), "%s",
                     rg_evaluation_metric_name(a, i));
    rg_evaluation_destroy(a);
    rg_evaluation_destroy(b);
    contextual_end(&few);
    contextual_end(&many);
}

Test(contextual, a_policy_that_starts_from_the_prior_is_the_data_policy) {
    Contextual c = contextual_begin("pair_contexts=20 test_contexts=8 responses=6 feature_count=4 "
                                    "behaviour=cauchy",
                                    "8", "start=prior initial_weights=xavier gain=0");
    double table[28 * N];
    rg_policy_table(c.reference, table);
    for (int i = 0; i < 28 * N; i++)
        cr_expect_float_eq(table[i], c.environment->space.prior[i % N], 1e-6);
    cr_expect_gt(fabs(table[0] - table[N - 1]), 0.1);
    contextual_end(&c);
}

/* ---- the mlp policy ---- */

Test(contextual, a_batch_has_the_rows_of_the_table) {
    Contextual c = contextual_begin(small, "8 7", "first_norm=true");
    double table[33 * N], logprob[200];
    RgSequences *sequences = rg_sequences_create();
    for (int32_t i = 0; i < 200; i++)
        rg_sequences_append(sequences, (int32_t[]){i * i % 33}, 1, (int32_t[]){i % N}, 1);
    rg_policy_table(c.reference, table);
    rg_policy_logprob_values(c.reference, sequences, logprob);
    for (int i = 0; i < 200; i++)
        cr_expect_float_eq(logprob[i], table[i * i % 33 * N + i % N], 1e-5);
    rg_sequences_destroy(sequences);
    contextual_end(&c);
}

Test(contextual, sampled_frequencies_of_an_mlp_are_its_probabilities) {
    enum { DRAWS = 20000 };
    Contextual c = contextual_begin(small, "8", "gain=3");
    double table[33 * N], count[3 * N] = {0};
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    RgSampling plain = {.temperature = 1, .top_p = 1, .response_limit = 1, .end_token = -1};
    for (int32_t i = 0; i < 3; i++)
        rg_sequences_append(prompts, &i, 1, NULL, 0);
    rg_policy_table(c.reference, table);
    rg_policy_sample(c.reference, prompts, DRAWS, &plain, rg_random_root(3), out, NULL);
    for (int64_t i = 0; i < out->count; i++)
        count[*rg_sequence_prompt(out, i) * N + *rg_sequence_response(out, i)]++;
    for (int i = 0; i < 3 * N; i++) {
        double p = exp(table[i]);
        cr_expect_lt(fabs(count[i] / DRAWS - p), 4.5 * sqrt(p * (1 - p) / DRAWS) + 1e-9);
    }
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    contextual_end(&c);
}

Test(contextual, a_saved_mlp_is_the_same_policy) {
    Contextual c = contextual_begin(small, "8 7", "activation=tanh first_norm=true");
    RgError error = {0};
    RgPolicy *loaded = NULL;
    double a[33 * N], b[33 * N];
    move(c.policy);
    cr_assert_eq(rg_policy_save(c.policy, scratch("mlp"), &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(scratch("mlp"), &loaded, &error), RG_OK, "%s", error.text);
    rg_policy_table(c.policy, a);
    rg_policy_table(loaded, b);
    cr_expect_arr_eq(a, b, sizeof a);
    cr_expect_eq(rg_policy_digest(loaded).word[0], rg_policy_digest(c.policy).word[0]);
    rg_policy_destroy(loaded);
    contextual_end(&c);
}

Test(contextual, a_broken_description_is_refused) {
    static const char *const broken[] = {
        "",
        "{}",
        "{\"contexts\":1,\"responses\":2,\"feature_count\":2,\"hidden\":[3],\"activation\":"
        "\"relu\","
        "\"first_norm\":false,\"features\":[1]}",
        "{\"contexts\":1,\"responses\":2,\"feature_count\":1,\"hidden\":[0],\"activation\":"
        "\"relu\","
        "\"first_norm\":false,\"features\":[1]}",
        "{\"contexts\":1,\"responses\":2,\"feature_count\":1,\"hidden\":[3],\"activation\":"
        "\"other\","
        "\"first_norm\":false,\"features\":[1]}",
        "{\"contexts\":1,\"responses\":2,\"feature_count\":1,\"hidden\":[],\"activation\":\"relu\","
        "\"first_norm\":true,\"features\":[1]}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        RgPolicy *policy = rg_policy_new(&rg_policy_mlp);
        RgError error = {0};
        cr_expect_eq(rg_policy_mlp.restore(policy, broken[i], &error), RG_E_FORMAT, "%zu", i);
        cr_expect(strstr(error.text, "\"hidden\""), "%s", error.text);
        rg_parameters_destroy(policy->parameters);
        free(policy);
    }
}

/* ---- refusals ---- */

static void expect_refused(const char *environment, const char *message) {
    RgSettings *settings = rg_settings_create();
    RgEnvironment *made = NULL;
    RgError error = {0};
    rg_small_race_set(settings, "environment", environment);
    RgStatus status = rg_environment_create("contextual-bandit", settings, "environment",
                                            rg_random_root(1), &made, &error);
    cr_expect_neq(status, RG_OK, "%s", environment);
    cr_expect(strstr(error.text, message), "%s: %s", environment, error.text);
    cr_expect_null(made);
    rg_settings_destroy(settings);
}

Test(contextual, options_that_do_not_fit_are_refused) {
    expect_refused("feature_low=1 feature_high=1", "feature_low is 1, expected less than");
    expect_refused("responses=3 group_size=4", "group_size is 4, expected at most the 3 responses");
    expect_refused("pair_contexts=65536 responses=4096", "there are 66536 contexts");
    expect_refused("pair_contexts=5000 responses=100 group_size=64", "expected at most 4194304");
}

static void expect_policy_refused(const char *environment, const char *kind, const char *key,
                                  const char *value, const char *message) {
    Contextual c = contextual_begin(environment, "8", "gain=1");
    RgPolicy *policy = NULL;
    RgError error = {0};
    RgSettings *settings = rg_settings_create();
    if (key)
        rg_settings_set(settings, key, RG_SETTING_STRING, value, "test", 1);
    rg_small_race_set(settings, "policy", "first_norm=true");
    cr_expect_neq(rg_policy_create(kind, settings, "policy", &c.environment->space,
                                   rg_random_root(1), &policy, &error),
                  RG_OK);
    cr_expect(strstr(error.text, message), "%s", error.text);
    rg_settings_destroy(settings);
    contextual_end(&c);
}

Test(contextual, policies_that_do_not_fit_are_refused) {
    expect_policy_refused(small, "mlp", "policy.hidden", "8 x", "expected widths from 1 to 65536");
    expect_policy_refused(small, "mlp", "policy.hidden", "0", "expected widths from 1 to 65536");
    expect_policy_refused(small, "mlp", "policy.hidden", "", "first_norm is true");
    expect_policy_refused("behaviour=reference test_contexts=2", "mlp", "policy.start", "prior",
                          "no data policy");
    RgPolicySpace space = {.contexts = 2, .responses = 2};
    RgSettings *settings = rg_settings_create();
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_expect_eq(
        rg_policy_create("mlp", settings, "policy", &space, rg_random_root(1), &policy, &error),
        RG_E_USAGE);
    cr_expect(strstr(error.text, "whose contexts have features"), "%s", error.text);
    rg_settings_destroy(settings);
}

Test(contextual, a_gap_that_no_pair_has_is_refused) {
    RgSettings *settings = rg_settings_create();
    RgEnvironment *environment = NULL;
    RgPolicy *policy = NULL;
    RgError error = {0};
    rg_small_race_set(settings, "environment", "least_gap=100 test_contexts=2");
    cr_assert_eq(rg_environment_create("contextual-bandit", settings, "environment",
                                       rg_random_root(1), &environment, &error),
                 RG_OK);
    cr_assert_eq(rg_policy_create("mlp", settings, "policy", &environment->space, rg_random_root(1),
                                  &policy, &error),
                 RG_OK);
    cr_expect_eq(rg_environment_prepare(environment, policy, rg_random_root(1), &error),
                 RG_E_RANGE);
    cr_expect(strstr(error.text, "least_gap is 100"), "%s", error.text);
    rg_policy_destroy(policy);
    rg_environment_destroy(environment);
    rg_settings_destroy(settings);
}

/* Methods of offline pairs have no expectation over the responses to a batch of prompts. */
Test(contextual, the_expectation_over_responses_refuses_the_data_set) {
    Contextual c = contextual_begin(small, "8", "gain=1");
    static const char *const refused[] = {"dpo", "sft", "sail-pr"};
    for (int i = 0; i < 3; i++) {
        const RgAlgorithm *a = rg_algorithm_find(refused[i]);
        RgError error = {0};
        RgTrainer *trainer = NULL;
        RgTrainingOptions training = {
            .batch = 4, .temperature = 1, .top_p = 1, .expectation = RG_RESPONSE_EXPECTATION};
        void *options = rg_allocate(1, a->about.options_size);
        cr_assert_eq(rg_options_read(a->about.options, c.settings, "algorithm", options, &error),
                     RG_OK);
        cr_expect_eq(rg_trainer_create(a, options, &training, c.policy, c.reference,
                                       &c.environment->task, &rg_small_race_optimizer, 0,
                                       rg_random_root(1), &trainer, &error),
                     RG_E_USAGE);
        cr_expect(strstr(error.text, "training.expectation is \"responses\""), "%s", error.text);
        free(options);
    }
    contextual_end(&c);
}

/* PARL's exact levels are over all contexts, those of the test too, which are no training data. */
Test(contextual, exact_parl_refuses_contexts_that_are_no_prompts) {
    Contextual c = contextual_begin(small, "8", "gain=1");
    const RgAlgorithm *a = rg_algorithm_find("parl");
    RgError error = {0};
    RgTrainer *trainer = NULL;
    RgTrainingOptions training = {.batch = 4, .temperature = 1, .top_p = 1};
    void *options = rg_allocate(1, a->about.options_size);
    rg_small_race_set(c.settings, "algorithm", "expectation=exact");
    cr_assert_eq(rg_options_read(a->about.options, c.settings, "algorithm", options, &error),
                 RG_OK);
    cr_expect_eq(rg_trainer_create(a, options, &training, c.policy, c.reference,
                                   &c.environment->task, &rg_small_race_optimizer, 0,
                                   rg_random_root(1), &trainer, &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "only 25 of 33 are training prompts"), "%s", error.text);
    free(options);
    contextual_end(&c);
}

/* ---- methods ---- */

static double reward_after(const char *algorithm, const char *options, RgExpectation expectation,
                           int steps) {
    Contextual c = contextual_begin(
        "pair_contexts=200 test_contexts=50 responses=5 feature_count=4", "16", "gain=1");
    contextual_train(&c, algorithm, options, expectation, 50);
    for (int i = 0; i < steps; i++)
        cr_assert(take_step(c.trainer));
    RgEvaluation *e = evaluated(&c);
    double gap = rg_evaluation_find(e, "optimality_gap");
    rg_evaluation_destroy(e);
    contextual_end(&c);
    return gap;
}

/* Two hundred pairs of five responses suffice to find the best one; a policy against the fitted reward
 * and one against the true reward then come near the optimum in contexts that they never saw. */
Test(contextual, methods_learn_what_holds_in_contexts_they_never_saw) {
    double before = reward_after("base", "", RG_SAMPLED_EXPECTATION, 0);
    double fitted = reward_after("rlhf", "reward=additive reward_epochs=200 beta=0.01",
                                 RG_RESPONSE_EXPECTATION, 200);
    double best = reward_after("raft", "group_size=5", RG_SAMPLED_EXPECTATION, 200);
    double online = reward_after("online-dpo", "beta=0.1", RG_SAMPLED_EXPECTATION, 200);
    cr_expect_gt(before, 0.15, "%g", before);
    cr_expect_lt(fitted, 0.35 * before, "%g of %g", fitted, before);
    cr_expect_lt(best, 0.1 * before, "%g of %g", best, before);
    cr_expect_lt(online, 0.5 * before, "%g of %g", online, before);
}
