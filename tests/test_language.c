/* SPDX-License-Identifier: MIT */
/* The language environment and the bigram policy: a published language against figures computed
 * elsewhere, samples against exact probabilities, offline data, every method unchanged, and files
 * that are refused. */
#include "core/files.h"
#include "core/models/bigram.h"
#include "core/tensor/threads.h"
#include "envs/bandit/bandit_metrics.h"
#include "envs/language/language_pairs.h"
#include "language.h"
#include "steps.h"

#include <math.h>

TestSuite(language, .init = scratch_begin, .timeout = 120);

/* ---- a published language ---- */

static LanguageStage published(const char *options, double deviation) {
    char *path = rg_own_file("experiments/published/four-words.language");
    LanguageStage s = language_begin(path, options, "bigram", "", deviation);
    free(path);
    return s;
}

static RgEvaluation *evaluate(const LanguageStage *s, RgPolicy *policy, int64_t best_of) {
    RgEvaluation *evaluation = rg_evaluation_create();
    RgError error = {0};
    RgContender contender = {
        .policy = policy, .reference = s->reference, .beta = 0.1, .best_of = best_of};
    cr_assert_eq(
        rg_environment_evaluate(s->environment, &contender, rg_random_root(1), evaluation, &error),
        RG_OK, "%s", error.text);
    return evaluation;
}

/* The figures were computed twice by other programs. */
Test(language, reference_of_the_published_language_is_as_computed_elsewhere) {
    LanguageStage s = published("", 0);
    RgLanguageView view = rg_language_view(s.environment);
    RgEvaluation *e = evaluate(&s, s.reference, 1);
    cr_expect_eq(view.sentences->count, 20736);
    cr_expect_eq(s.reference->parameters->count, 444);
    cr_expect_float_eq(rg_evaluation_find(e, "reward"), 0.367910, 1e-6);
    cr_expect_float_eq(rg_evaluation_find(e, "grammatical_mass"), 0.9130, 5e-5);
    cr_expect_float_eq(rg_evaluation_find(e, "optimality_gap") + rg_evaluation_find(e, "reward"),
                       0.9998, 5e-5);
    cr_expect_eq(rg_evaluation_find(e, "kl"), 0);
    cr_expect_float_eq(rg_evaluation_find(e, "grammar_kl"), 0, 1e-6);
    cr_expect_float_eq(rg_evaluation_find(e, "win_rate_base"), 0.5, 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "frontier_shortfall"), 0, 1e-12);
    rg_evaluation_destroy(e);
    language_end(&s);
}

Test(language, frontier_and_optimum_of_the_published_language_are_as_computed_elsewhere) {
    static const double frontier[][2] = {{0.5, 0.6891}, {1, 0.8028}, {2, 0.9066}, {3, 0.9493}};
    static const double optimum[][3] = {{1, 0.0535, 0.4735}, {0.1, 1.4725, 0.8649}};
    LanguageStage s = published("", 0);
    RgLanguageView view = rg_language_view(s.environment);
    RgRewardTable table = {1, view.sentences->count, view.reward};
    double *base = rg_allocate(table.responses, sizeof *base);
    double *best = rg_allocate(table.responses, sizeof *best);
    double *mass = rg_allocate(view.levels->levels, sizeof *mass);
    rg_language_table(s.environment, s.reference, base);
    rg_levels_mass(view.levels, base, mass);
    for (size_t i = 0; i < sizeof frontier / sizeof *frontier; i++)
        cr_expect_float_eq(rg_levels_frontier(view.levels, mass, frontier[i][0]), frontier[i][1],
                           5e-5);
    for (size_t i = 0; i < sizeof optimum / sizeof *optimum; i++) {
        rg_bandit_optimal(&table, base, optimum[i][0], best);
        double kl = rg_bandit_kl(&table, best, base, NULL);
        double reward = rg_bandit_expected_reward(&table, best, NULL);
        cr_expect_float_eq(kl, optimum[i][1], 5e-5);
        cr_expect_float_eq(reward, optimum[i][2], 5e-5);
        cr_expect_float_eq(rg_levels_frontier(view.levels, mass, kl), reward, 1e-9);
    }
    free(mass);
    free(best);
    free(base);
    language_end(&s);
}

Test(language, metrics_are_the_same_bits_for_any_number_of_threads) {
    LanguageStage s = published("label_temperature=0.5 label_noise=0.1", 0.5);
    rg_threads_set(1);
    RgEvaluation *one = evaluate(&s, s.policy, 1);
    rg_threads_set(2);
    RgEvaluation *two = evaluate(&s, s.policy, 1);
    for (int i = 0; i < rg_evaluation_metric_count(one); i++)
        cr_expect_eq(rg_evaluation_metric_value(one, i), rg_evaluation_metric_value(two, i), "%s",
                     rg_evaluation_metric_name(one, i));
    rg_evaluation_destroy(two);
    rg_evaluation_destroy(one);
    language_end(&s);
}

/* ---- the bigram policy ---- */

/* χ² of 200,000 sentences over 27, which is above 55 once in a thousand times. */
Test(language, bigram_samples_follow_their_exact_probabilities) {
    enum { DRAWS = 200000 };
    LanguageStage s = small_begin("", 0.7);
    RgLanguageView view = rg_language_view(s.environment);
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = 3, .end_token = -1};
    RgSequences *out = rg_sequences_create();
    double table[SMALL_SENTENCES], count[SMALL_SENTENCES] = {0}, square = 0, sum = 0;
    double *told = rg_allocate(DRAWS, sizeof *told);
    rg_policy_sample(s.policy, s.environment->task.prompts, DRAWS, &sampling, rg_random_root(3),
                     out, told);
    rg_language_table(s.environment, s.policy, table);
    for (int64_t i = 0; i < DRAWS; i++) {
        cr_assert_eq(rg_sequence_response_length(out, i), 3);
        int64_t number = rg_language_number(view.language, rg_sequence_response(out, i));
        count[number]++;
        cr_assert_float_eq(told[i], table[number], 1e-5);
    }
    for (int i = 0; i < SMALL_SENTENCES; i++) {
        double expected = DRAWS * exp(table[i]);
        square += (count[i] - expected) * (count[i] - expected) / expected;
        sum += exp(table[i]);
    }
    cr_expect_float_eq(sum, 1, 1e-12);
    cr_expect_lt(square, 55);
    cr_expect_gt(square, 8); /* below once in a thousand times: not sampled at random */
    free(told);
    rg_sequences_destroy(out);
    language_end(&s);
}

Test(language, bigram_starts_where_its_options_say) {
    const char *path = scratch_write("small.language", small_language);
    LanguageStage uniform = language_begin(path, "", "bigram", "initial=uniform", 0);
    LanguageStage noisy = language_begin(path, "", "bigram", "initial_deviation=0.5", 0);
    RgEvaluation *even = evaluate(&uniform, uniform.reference, 1);
    cr_expect_float_eq(rg_evaluation_find(even, "entropy"), log(SMALL_SENTENCES), 1e-6);
    RgEvaluation *other = evaluate(&noisy, noisy.reference, 1);
    cr_expect_gt(rg_evaluation_find(other, "grammar_kl"), 0.01);
    rg_evaluation_destroy(other);
    rg_evaluation_destroy(even);
    language_end(&noisy);
    language_end(&uniform);
}

Test(language, a_bigram_stops_at_the_end_token_and_at_its_length) {
    LanguageStage s = small_begin("", 0);
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = 9, .end_token = 1};
    RgSequences *out = rg_sequences_create();
    rg_policy_sample(s.policy, s.environment->task.prompts, 200, &sampling, rg_random_root(3), out,
                     NULL);
    int64_t shorter = 0;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t length = rg_sequence_response_length(out, i);
        const int32_t *token = rg_sequence_response(out, i);
        cr_assert_leq(length, 3);
        for (int64_t k = 0; k < length - 1; k++)
            cr_assert_neq(token[k], 1);
        cr_assert(length == 3 || token[length - 1] == 1);
        shorter += length < 3;
    }
    cr_expect_gt(shorter, 0);
    rg_sequences_destroy(out);
    language_end(&s);
}

Test(language, kinds_and_languages_that_do_not_fit_are_refused) {
    LanguageStage s = small_begin("", 0);
    RgError error = {0};
    RgPolicy *policy = NULL;
    RgPolicySpace text = {.vocabulary = 5};
    cr_expect_eq(
        rg_policy_create("bigram", s.settings, "policy", &text, rg_random_root(1), &policy, &error),
        RG_E_USAGE);
    cr_expect(strstr(error.text, "such as language"), "%s", error.text);
    cr_expect_eq(rg_policy_create("tabular", s.settings, "policy", &s.environment->space,
                                  rg_random_root(1), &policy, &error),
                 RG_E_USAGE);
    static const double rows[9 * 9];
    RgPolicySpace other = {.vocabulary = 4, .response_length = 2, .bigram = rows};
    cr_assert_eq(rg_policy_create("bigram", s.settings, "policy", &other, rg_random_root(1),
                                  &policy, &error),
                 RG_OK);
    cr_expect_eq(rg_environment_prepare(s.environment, policy, rg_random_root(1), &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "3 words"), "%s", error.text);
    rg_policy_destroy(policy);
    other = (RgPolicySpace){.vocabulary = 3, .response_length = 2, .bigram = rows};
    cr_assert_eq(rg_policy_create("bigram", s.settings, "policy", &other, rg_random_root(1),
                                  &policy, &error),
                 RG_OK);
    cr_expect_eq(rg_environment_prepare(s.environment, policy, rg_random_root(1), &error),
                 RG_E_CONTEXT);
    rg_policy_destroy(policy);
    language_end(&s);
}

/* ---- data ---- */

Test(language, offline_pairs_have_different_rewards_and_true_labels) {
    LanguageStage s = small_begin("groups=50 group_size=3", 0);
    RgLanguageView view = rg_language_view(s.environment);
    const RgPairs *pairs = s.environment->task.pairs;
    cr_assert_gt(pairs->count, 50);
    cr_assert_leq(pairs->count, 150);
    for (int64_t i = 0; i < pairs->count; i++) {
        int64_t chosen = 2 * i + pairs->preferred[i], rejected = 2 * i + 1 - pairs->preferred[i];
        const RgSequences *q = pairs->sequences;
        cr_expect_gt(
            view.reward[rg_language_number(view.language, rg_sequence_response(q, chosen))],
            view.reward[rg_language_number(view.language, rg_sequence_response(q, rejected))]);
    }
    language_end(&s);
}

Test(language, label_noise_flips_its_share_of_the_labels) {
    LanguageStage s = small_begin("groups=2000 label_noise=0.25", 0);
    RgEvaluation *e = evaluate(&s, s.reference, 1);
    const RgPairs *pairs = s.environment->task.pairs;
    double flipped = 0, reward[2];
    for (int64_t i = 0; i < pairs->count; i++) {
        int64_t start[3];
        RgSequences pair = rg_sequences_view(pairs->sequences, 2 * i, 2 * i + 2, start);
        s.environment->task.judge(s.environment, &pair, reward, NULL);
        flipped += reward[pairs->preferred[i]] < reward[1 - pairs->preferred[i]];
    }
    double count = (double)pairs->count;
    cr_expect_lt(fabs(flipped / count - 0.25), 4 * sqrt(0.25 * 0.75 / count));
    rg_evaluation_destroy(e);
    language_end(&s);
}

/* Numbers and pairs of another implementation of mulberry32 and of the published study's draw. That
 * study has 5,229 pairs with labels of the larger reward: one more, of equal rewards whose sums differ
 * in the last bit. */
Test(language, pairs_of_mulberry32_are_those_that_other_programs_draw) {
    static const double first[] = {2693262067.0, 11749833.0, 2265367787.0, 4213581821.0,
                                   4159151403.0};
    static const int32_t pairs[3][2][4] = {{{1, 1, 6, 11}, {2, 3, 6, 10}},
                                           {{1, 1, 6, 11}, {1, 9, 5, 10}},
                                           {{0, 3, 5, 8}, {1, 1, 6, 11}}};
    uint32_t state = 1;
    for (int i = 0; i < 5; i++)
        cr_expect_eq(rg_mulberry32(&state) * 4294967296.0, first[i]);
    LanguageStage s = published("pair_generator=mulberry32", 0);
    const RgPairs *p = s.environment->task.pairs;
    cr_assert_eq(p->count, 5228);
    for (int64_t i = 0; i < 3; i++)
        for (int64_t side = 0; side < 2; side++) {
            int64_t at = 2 * i + (side == 0 ? p->preferred[i] : 1 - p->preferred[i]);
            cr_expect_arr_eq(rg_sequence_response(p->sequences, at), pairs[i][side],
                             4 * sizeof(int32_t), "pair %d", (int)i);
        }
    language_end(&s);
    s = published("pair_generator=mulberry32 label_temperature=0.125", 0);
    cr_expect_eq(s.environment->task.pairs->count, 5236);
    language_end(&s);
    s = published("pair_generator=mulberry32 pair_seed=2", 0);
    cr_expect_neq(s.environment->task.pairs->count, 5228);
    language_end(&s);
}

/* The metrics of the pairs, from the table of all sentences. */
Test(language, metrics_of_the_pairs_are_sums_over_them) {
    LanguageStage s = small_begin("groups=3 pair_generator=mulberry32", 0.5);
    RgLanguageView view = rg_language_view(s.environment);
    const RgPairs *p = s.environment->task.pairs;
    double own[SMALL_SENTENCES], base[SMALL_SENTENCES], h[2] = {0}, loss = 0, unseen = 1;
    bool seen[SMALL_SENTENCES] = {0};
    rg_language_table(s.environment, s.policy, own);
    rg_language_table(s.environment, s.reference, base);
    for (int64_t i = 0; i < p->count; i++) {
        double side[2];
        for (int64_t k = 0; k < 2; k++) {
            int64_t y =
                rg_language_number(view.language, rg_sequence_response(p->sequences, 2 * i + k));
            unseen -= seen[y] ? 0 : exp(own[y]);
            seen[y] = true;
            side[k != p->preferred[i]] = own[y] - base[y];
        }
        h[0] += side[0] / (double)p->count;
        h[1] += side[1] / (double)p->count;
        loss += log(1 + exp(-0.1 * (side[0] - side[1]))) / (double)p->count;
    }
    RgEvaluation *e = evaluate(&s, s.policy, 1);
    cr_expect_float_eq(rg_evaluation_find(e, "chosen_log_ratio"), h[0], 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "rejected_log_ratio"), h[1], 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "pair_loss"), loss, 1e-12);
    cr_expect_float_eq(rg_evaluation_find(e, "unseen_mass"), unseen, 1e-12);
    cr_expect(unseen > 0.01 && unseen < 0.99, "%g", unseen);
    rg_evaluation_destroy(e);
    language_end(&s);
}

/* Its variance is that of the sum over the places, each of which has its share. Of 444 normal numbers
 * the mean square over all sentences is 4 ± 0.45. */
Test(language, judge_errs_by_its_error_and_metrics_are_of_the_true_rewards) {
    LanguageStage s = published("", 0), judged = published("judge_error=2", 0);
    RgLanguageView view = rg_language_view(s.environment),
                   other = rg_language_view(judged.environment);
    RgEvaluation *e = evaluate(&s, s.reference, 1), *f = evaluate(&judged, judged.reference, 1);
    double *table = rg_allocate(view.sentences->count, sizeof *table), squares = 0, expected = 0;
    rg_language_table(s.environment, s.reference, table);
    for (int64_t i = 0; i < view.sentences->count; i++) {
        double error = other.reward[i] - view.reward[i];
        squares += error * error / (double)view.sentences->count;
        expected += exp(table[i]) * other.reward[i];
    }
    cr_expect(squares > 2.2 && squares < 5.8, "%g", squares);
    cr_expect_eq(rg_evaluation_find(e, "reward"), rg_evaluation_find(f, "reward"));
    cr_expect_eq(rg_evaluation_find(e, "frontier_reward"),
                 rg_evaluation_find(f, "frontier_reward"));
    cr_expect_float_eq(rg_evaluation_find(f, "judge_reward"), expected, 1e-9);
    cr_expect_eq(rg_evaluation_find(e, "judge_reward"), rg_evaluation_find(e, "reward"));
    free(table);
    rg_evaluation_destroy(f);
    rg_evaluation_destroy(e);
    language_end(&judged);
    language_end(&s);
}

/* The sampled sentences have the grammar's probabilities. */
Test(language, demonstrations_may_come_from_the_grammar) {
    LanguageStage s = small_begin("demonstrations=grammar demonstration_count=50000", 0);
    RgLanguageView view = rg_language_view(s.environment);
    const RgSequences *d = s.environment->task.demonstrations;
    double table[SMALL_SENTENCES], count[SMALL_SENTENCES] = {0}, square = 0;
    rg_language_table(s.environment, s.reference, table);
    cr_assert_eq(d->count, 50000);
    for (int64_t i = 0; i < d->count; i++)
        count[rg_language_number(view.language, rg_sequence_response(d, i))]++;
    for (int i = 0; i < SMALL_SENTENCES; i++) {
        double expected = 50000 * exp(table[i]);
        square += (count[i] - expected) * (count[i] - expected) / expected;
    }
    cr_expect_lt(square, 55);
    language_end(&s);
}

/* The judge's labels of on-policy pairs come from the trainer; here every method takes steps on a
 * bigram and, as the methods know no kind by name, on a transformer. */
static void train(const LanguageStage *s, const RgAlgorithm *a) {
    RgError error = {0};
    RgTrainer *trainer;
    RgSettings *none = rg_settings_create();
    void *options = rg_allocate(1, a->about.options_size);
    RgTrainingOptions training = {.batch = 8, .temperature = 1, .top_p = 1};
    cr_assert_eq(rg_options_read(a->about.options, none, "algorithm", options, &error), RG_OK,
                 "%s: %s", a->about.name, error.text);
    RgPolicy *policy = rg_policy_clone(s->policy, false);
    uint64_t before = rg_parameters_hash(policy->parameters);
    cr_assert_eq(rg_trainer_create(a, options, &training, policy, s->reference,
                                   &s->environment->task, &rg_small_race_optimizer, 0,
                                   rg_random_root(3), &trainer, &error),
                 RG_OK, "%s: %s", a->about.name, error.text);
    for (int step = 0; step < 3; step++)
        cr_assert(take_step(trainer), "%s: %s", a->about.name, trainer->outcome.diverged);
    cr_expect_neq(rg_parameters_hash(policy->parameters), before, "%s", a->about.name);
    rg_trainer_destroy(trainer);
    rg_policy_destroy(policy);
    rg_settings_destroy(none);
    free(options);
}

Test(language, every_method_trains_a_bigram_and_a_transformer) {
    LanguageStage bigram = small_begin("", 0.2);
    LanguageStage transformer = language_begin(
        scratch("small.language"), "", "transformer",
        "layers=1 width=8 heads=2 context=4 positions=learned initial_deviation=0.3", 0.1);
    const RgDescriptor *about;
    int trained = 0;
    for (int i = 0; (about = rg_registered(RG_ALGORITHM, i)); i++) {
        const RgAlgorithm *a = (const RgAlgorithm *)about;
        bool by_table = strcmp(about->name, "rlhf") == 0; /* a reward for every response */
        if ((!a->loss && !a->step) || by_table)
            continue;
        train(&bigram, a);
        train(&transformer, a);
        trained++;
    }
    cr_expect_gt(trained, 20);
    language_end(&transformer);
    language_end(&bigram);
}

/* ---- files ---- */

/* The message of reading the small language with `from` replaced by `to`. */
static const char *message_of(const char *from, const char *to) {
    static RgError error;
    char *text = rg_string_copy(small_language);
    if (from) {
        char *at = strstr(text, from);
        cr_assert(at, "%s", from);
        char *changed = rg_string_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
        free(text);
        text = changed;
    }
    RgLanguage *language = NULL;
    error = (RgError){0};
    RgStatus status = rg_language_read(scratch_write("x.language", text), &language, &error);
    free(text);
    cr_assert_eq(status == RG_OK, language != NULL);
    rg_language_destroy(language);
    return status == RG_OK ? NULL : error.text;
}

Test(language, bad_files_are_refused_with_line_and_expectation) {
    static const struct {
        const char *from, *to, *line, *expected;
    } cases[] = {
        {"words = [ \"a\", \"b\", \"c\" ]", "words = [ \"a\", \"b\", \"b\" ]", ":1: words.2",
         "each word once"},
        {"words = [ \"a\", \"b\", \"c\" ]", "words = [ \"a\", \"b\", \"c d\" ]", ":1: words.2",
         "without white space"},
        {"words = [ \"a\", \"b\", \"c\" ]", "words = [ 1, 2, 3 ]", ":1: words.0",
         "expected a string"},
        {"words = [ \"a\", \"b\", \"c\" ]", "words = \"a b c\"", ":1: words", "expected a list"},
        {"words = [ \"a\", \"b\", \"c\" ]", "words = [ \"a\" ]", ":1: words.0", "expected 2 to"},
        {"words = [ \"a\", \"b\", \"c\" ];", "", "", "words is missing"},
        {"length = 3;", "", "", "length is missing"},
        {"length = 3;", "length = 0;", ":2: length", "expected an integer in [1, 64]"},
        {"length = 3;", "length = 3.5;", ":2: length", "expected an integer"},
        {"length = 3;", "length = 60;", ":2: length", "4.239115828e+28 sentences"},
        {"length = 3;", "length = 2;", ":7: grammar.2.position", "position of 1 to 2"},
        {"smoothing = 0.1;", "smoothing = 0.0;", ":3: smoothing", "expected a real in"},
        {"smoothing = 0.1;", "smoothing = \"a\";", ":3: smoothing", "expected a real"},
        {"smoothing = 0.1;", "smooth = 0.1;", "", "smoothing is missing"},
        {"smoothing = 0.1;", "smoothing = 0.1; more = 1;", ":3", "unknown key \"more\""},
        {"[ 0.7, 0.3 ]", "[ 0.7, 0.4 ]", ":5: grammar.0.probabilities.1", "sum to 1.1, expected 1"},
        {"[ 0.7, 0.3 ]", "[ 1.3, -0.3 ]", ":5: grammar.0.probabilities.0", "a number in [0, 1]"},
        {"[ 0.7, 0.3 ]", "[ 1.0 ]", ":5: grammar.0.probabilities.0", "expected 2"},
        {"[ 0.7, 0.3 ]", "[ 0.5, 0.2, 0.3 ]", ":5: grammar.0.probabilities.2",
         "expected 2 numbers, one for each of next"},
        {"[ 0.7, 0.3 ]", "[ \"a\", \"b\" ]", ":5: grammar.0.probabilities.0", "expected a number"},
        {"probabilities = [ 0.7, 0.3 ]", "p = 1", "", "grammar.0.probabilities is missing"},
        {"next = [ \"a\", \"b\" ]", "next = [ \"a\", \"bb\" ]", ":5: grammar.0.next.1",
         "one of the words of the language"},
        {"next = [ \"a\", \"b\" ]", "next = [ \"a\", \"a\" ]", ":5: grammar.0.next.1",
         "each word once"},
        {"position = 1;", "position = 1; after = [ \"a\" ];", ":5: grammar.0.after.0",
         "expected no after"},
        {"position = 1;", "position = 1; after = \"a\";", ":5: grammar.0.after",
         "expected no after"},
        {"position = 1;", "position = 1; after: { a = 1; };", "grammar.0.after",
         "expected no after"},
        {"position = 1;", "position = 2;", "", "grammar.0.after is missing"},
        {"position = 1;", "position = 0;", ":5: grammar.0.position", "expected an integer in"},
        {"position = 1;", "", "", "grammar.0.position is missing"},
        {"position = 3; after = [ \"c\" ]", "position = 2; after = [ \"b\" ]",
         ":7: grammar.2.after.0", "each row once"},
        {"position = 1;", "position = 1; weight = 2;", ":5", "unknown key \"grammar.0.weight\""},
        {"intercept = -0.2;", "intercept = \"none\";", ":10: reward.intercept", "expected a real"},
        {"weights = [ 1.5, -1.0 ];", "weights = [ 1.5 ];", ":12: reward.weights.0", "expected 2"},
        {"weights = [ 1.5, -1.0 ];", "", "", "reward.weights is missing"},
        {"words = [ \"a\", \"c\" ];", "words = [ \"a\", \"d\" ];", ":11: reward.words.1",
         "one of the words"},
        {"factor = -0.5;", "", "", "reward.factors.0.factor is missing"},
        {"after = [ \"b\" ]; factor", "after = [ \"b\", \"b\" ]; factor",
         ":13: reward.factors.0.after.1", "each word once"},
        {"{ after = [ \"b\" ]; factor = -0.5; }",
         "{ after = [ \"b\" ]; factor = -0.5; }, { after = [ \"b\" ]; factor = 2.0; }",
         ":13: reward.factors.1.after.0", "one factor per word"},
        {"factors = ( { after = [ \"b\" ]; factor = -0.5; } );", "factors = 2;",
         ":13: reward.factors", "expected a list"},
        {"\"sigmoid\"", "\"tanh\"", ":14: reward.squashing", "one of \"none\", \"sigmoid\""},
        {"squashing =", "squash =", ":14", "unknown key \"reward.squash\""},
        {"length = 3;", "length = ;", ":2", "syntax error"},
    };
    cr_assert_null(message_of(NULL, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *message = message_of(cases[i].from, cases[i].to);
        cr_assert(message, "%s → %s is read", cases[i].from, cases[i].to);
        cr_expect(strstr(message, "x.language") && strstr(message, cases[i].line) &&
                      strstr(message, cases[i].expected),
                  "%s → %s: %s", cases[i].from, cases[i].to, message);
    }
}

Test(language, what_may_be_left_out_has_its_default) {
    cr_expect_null(message_of("intercept = -0.2;", ""));
    cr_expect_null(message_of("squashing = \"sigmoid\";", ""));
    cr_expect_null(message_of("factors = ( { after = [ \"b\" ]; factor = -0.5; } );", ""));
    cr_expect_null(message_of("( { after = [ \"b\" ]; factor = -0.5; } )", "()"));
}

/* The key of a trial has the contents of the file that its option names, and of no other. */
Test(language, a_language_is_one_file) {
    scratch_write("base.language", "length = 3;\n");
    const char *message = message_of("length = 3;", "extends = \"base.language\";");
    cr_assert(message);
    cr_expect(strstr(message, "base.language:1: length") && strstr(message, "expected all of"),
              "%s", message);
    message = message_of("length = 3;", "\n@include \"base.language\"\n");
    cr_assert(message);
    cr_expect(strstr(message, "base.language:1: length"), "%s", message);
}

Test(language, groups_without_two_rewards_are_refused) {
    RgSettings *settings = rg_settings_create();
    RgEnvironment *environment;
    RgPolicy *policy;
    RgError error = {0};
    const char *weights = "1.5, -1.0", *at = strstr(small_language, weights);
    char *text = rg_string_format("%.*s0.0, 0.0%s", (int)(at - small_language), small_language,
                                  at + strlen(weights));
    rg_settings_set(settings, "environment.language", RG_SETTING_STRING,
                    scratch_write("flat.language", text), "test", 1);
    cr_assert_eq(rg_environment_create("language", settings, "environment", rg_random_root(1),
                                       &environment, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_create("bigram", settings, "policy", &environment->space,
                                  rg_random_root(1), &policy, &error),
                 RG_OK, "%s", error.text);
    cr_expect_eq(rg_environment_prepare(environment, policy, rg_random_root(1), &error),
                 RG_E_USAGE);
    cr_expect(strstr(error.text, "two different rewards"), "%s", error.text);
    free(text);
    rg_policy_destroy(policy);
    rg_environment_destroy(environment);
    rg_settings_destroy(settings);
}
