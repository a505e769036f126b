/* SPDX-License-Identifier: MIT */
/* Sums over the sentences of a language against sums over all pairs by hand, and gradients of its
 * policies and of SAIL's objective against central differences. */
#include "envs/bandit/bandit_metrics.h"
#include "envs/language/language_gradient.h"
#include "envs/language/language_metrics.h"
#include "language.h"

#include <math.h>

TestSuite(exact_language, .init = scratch_begin, .timeout = 120);

enum { N = SMALL_SENTENCES };

static RgRewardTable table_of(const LanguageStage *s) {
    return (RgRewardTable){1, N, rg_language_view(s->environment).reward};
}

/* ---- metrics ---- */

Test(exact_language, metrics_are_the_sums_over_all_pairs) {
    static const char *const options[] = {"", "label_noise=0.2",
                                          "label_temperature=0.3 label_noise=0.1"};
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        LanguageStage s = small_begin(options[k], 0.8);
        RgRewardTable rewards = table_of(&s);
        const RgTask *task = &s.environment->task;
        double own[N], base[N];
        rg_language_table(s.environment, s.policy, own);
        rg_language_table(s.environment, s.reference, base);
        RgEvaluation *e = rg_evaluation_create();
        rg_environment_evaluate(
            s.environment,
            &(RgContender){.policy = s.policy, .reference = s.reference, .beta = 0.7},
            rg_random_root(1), e, NULL);
        cr_expect_float_eq(rg_evaluation_find(e, "sail_objective"),
                           rg_bandit_sail_objective(&rewards, own, base, 0.7,
                                                    task->label_temperature, task->label_noise),
                           1e-13);
        cr_expect_float_eq(rg_evaluation_find(e, "win_rate_base"),
                           rg_bandit_win_rate(&rewards, own, base, NULL), 1e-13);
        double value = rg_bandit_value(&rewards, own, base, 0.1, NULL);
        cr_expect_float_eq(rg_evaluation_find(e, "value"), value, 1e-13);
        cr_expect_float_eq(rg_evaluation_find(e, "regret"),
                           rg_bandit_optimal(&rewards, base, 0.1, NULL) - value, 1e-13);
        rg_evaluation_destroy(e);
        language_end(&s);
    }
}

/* Log-ratios so far apart that no exponential relative to the largest can tell them. */
Test(exact_language, pair_sum_holds_where_exponentials_underflow) {
    LanguageStage s = small_begin("", 0);
    RgLanguageView view = rg_language_view(s.environment);
    RgRewardTable rewards = table_of(&s);
    double own[N], base[N];
    for (int i = 0; i < N; i++) {
        own[i] = -log(N);
        base[i] = 40 * rg_random_normal(rg_random_root(4), (uint64_t)i);
    }
    own[3] = own[7] = -INFINITY; /* never said */
    for (double beta = 0.01; beta < 2000; beta *= 10) {
        double expected = rg_bandit_sail_objective(&rewards, own, base, beta, 0, 0.1);
        double found = rg_levels_sail_objective(view.levels, own, base, beta, 0, 0.1);
        cr_expect_float_eq(found, expected, 1e-12 * fabs(expected), "%g: %.17g, %.17g", beta, found,
                           expected);
    }
    language_end(&s);
}

/* So many sentences that the sum over pairs goes by a series, between few and many of an interval. */
Test(exact_language, pair_sum_of_many_sentences_is_that_of_all_pairs) {
    enum { MANY = 1500 };
    double own[MANY], base[MANY], reward[MANY], total[2] = {0};
    RgRandom random = rg_random_root(6);
    for (int i = 0; i < MANY; i++) {
        own[i] = rg_random_normal(random, (uint64_t)(3 * i));
        base[i] = 3 * rg_random_normal(random, (uint64_t)(3 * i + 1));
        reward[i] = rg_random_normal(random, (uint64_t)(3 * i + 2));
        total[0] += exp(own[i]);
        total[1] += exp(base[i]);
    }
    for (int i = 0; i < MANY; i++) {
        own[i] -= log(total[0]);
        base[i] -= log(total[1]);
    }
    RgLevels levels = rg_levels_create(reward, MANY);
    const RgRewardTable table = {1, MANY, reward};
    for (double beta = 0.001; beta < 2000; beta *= 4) {
        double expected = rg_bandit_sail_objective(&table, own, base, beta, 0.5, 0.1);
        double found = rg_levels_sail_objective(&levels, own, base, beta, 0.5, 0.1);
        cr_expect_float_eq(found, expected, 1e-12 * fabs(expected), "%g: %.17g, %.17g", beta, found,
                           expected);
    }
    rg_levels_clear(&levels);
}

Test(exact_language, win_rate_against_the_data_counts_its_preferred_sentences) {
    LanguageStage s = small_begin("groups=30", 0.8);
    RgLanguageView view = rg_language_view(s.environment);
    const RgPairs *pairs = s.environment->task.pairs;
    RgRewardTable rewards = table_of(&s);
    double own[N], chosen[N] = {0};
    rg_language_table(s.environment, s.policy, own);
    for (int64_t i = 0; i < pairs->count; i++)
        chosen[rg_language_number(
            view.language, rg_sequence_response(pairs->sequences, 2 * i + pairs->preferred[i]))] +=
            1 / (double)pairs->count;
    for (int i = 0; i < N; i++)
        chosen[i] = log(chosen[i]);
    RgEvaluation *e = rg_evaluation_create();
    rg_environment_evaluate(
        s.environment, &(RgContender){.policy = s.policy, .reference = s.reference, .beta = 0.7},
        rg_random_root(1), e, NULL);
    cr_expect_float_eq(rg_evaluation_find(e, "win_rate_dataset"),
                       rg_bandit_win_rate(&rewards, own, chosen, NULL), 1e-13);
    rg_evaluation_destroy(e);
    language_end(&s);
}

Test(exact_language, best_of_n_is_that_of_enumerated_responses) {
    LanguageStage s = small_begin("", 0.8);
    RgLanguageView view = rg_language_view(s.environment);
    double own[N], expected[N];
    rg_language_table(s.environment, s.policy, own);
    memcpy(expected, own, sizeof own);
    rg_levels_best_of(view.levels, 5, own);
    rg_contender_table(&(RgContender){.best_of = 5}, view.reward, 1, N, expected);
    for (int i = 0; i < N; i++)
        cr_expect_float_eq(own[i], expected[i], 1e-12);
    language_end(&s);
}

/* No policy is above the frontier, the optimum at any β is on it, it ends at the best reward. */
Test(exact_language, frontier_bounds_every_policy) {
    LanguageStage s = small_begin("", 0);
    RgLanguageView view = rg_language_view(s.environment);
    RgRewardTable rewards = table_of(&s);
    double base[N], other[N], mass[N];
    rg_language_table(s.environment, s.reference, base);
    rg_levels_mass(view.levels, base, mass);
    for (int k = 0; k < 200; k++) {
        double sum = 0;
        for (int i = 0; i < N; i++)
            sum += exp(other[i] =
                           base[i] +
                           0.02 * k * rg_random_normal(rg_random_root((uint64_t)k), (uint64_t)i) +
                           0.05 * k * view.reward[i]);
        for (int i = 0; i < N; i++)
            other[i] -= log(sum);
        double kl = rg_bandit_kl(&rewards, other, base, NULL);
        double reward = rg_bandit_expected_reward(&rewards, other, NULL);
        cr_expect_geq(rg_levels_frontier(view.levels, mass, kl), reward - 1e-12, "%d", k);
    }
    for (double beta = 0.01; beta < 100; beta *= 3) {
        rg_bandit_optimal(&rewards, base, beta, other);
        cr_expect_float_eq(
            rg_levels_frontier(view.levels, mass, rg_bandit_kl(&rewards, other, base, NULL)),
            rg_bandit_expected_reward(&rewards, other, NULL), 1e-9, "%g", beta);
    }
    cr_expect_float_eq(rg_levels_frontier(view.levels, mass, 50),
                       view.levels->reward[view.levels->levels - 1], 1e-9);
    cr_expect_float_eq(rg_levels_frontier(view.levels, mass, 0),
                       rg_bandit_expected_reward(&rewards, base, NULL), 1e-12);
    language_end(&s);
}

/* ---- gradients ---- */

static LanguageStage transformer_begin(void) {
    return language_begin(scratch_write("small.language", small_language), "groups=40",
                          "transformer",
                          "layers=2 width=8 heads=2 context=4 positions=learned "
                          "initial_deviation=0.4",
                          0.2);
}

/* Σ_a c_a log π(a) */
static double weighted(const LanguageStage *s, const double *c) {
    double logprob[N], sum = 0;
    rg_policy_logprob_values(s->policy, rg_language_view(s->environment).sentences, logprob);
    for (int i = 0; i < N; i++)
        sum += c[i] * logprob[i];
    return sum;
}

Test(exact_language, gradient_of_log_probabilities_is_their_central_difference) {
    LanguageStage stages[] = {small_begin("", 0.5), transformer_begin()};
    double c[N];
    for (int i = 0; i < N; i++)
        c[i] = rg_random_normal(rg_random_root(2), (uint64_t)i);
    for (int k = 0; k < 2; k++) {
        LanguageStage *s = &stages[k];
        RgParameters *p = s->policy->parameters;
        double *gradient = rg_allocate(p->count, sizeof *gradient), step = 1e-5;
        rg_language_gradient(s->environment, s->policy, c, gradient);
        for (int64_t i = 0; i < p->count; i += 1 + p->count / 60) {
            double kept = p->value[i];
            p->value[i] = kept + step;
            double above = weighted(s, c);
            p->value[i] = kept - step;
            double difference = (above - weighted(s, c)) / (2 * step);
            p->value[i] = kept;
            cr_expect_float_eq(gradient[i], difference, 1e-7, "%d, %lld", k, (long long)i);
        }
        free(gradient);
        language_end(s);
    }
}

/* One kind of objective, with all of its terms. */
typedef struct Sources {
    RgExactResponses responses;
    RgExactLabels labels;
} Sources;
static const Sources all_sources[] = {
    {RG_EXACT_POLICY_RESPONSES, RG_EXACT_JUDGE_LABELS},
    {RG_EXACT_POLICY_RESPONSES, RG_EXACT_POLICY_LABELS},
    {RG_EXACT_DATASET_RESPONSES, RG_EXACT_JUDGE_LABELS},
    {RG_EXACT_DATASET_RESPONSES, RG_EXACT_POLICY_LABELS},
    {RG_EXACT_DATASET_RESPONSES, RG_EXACT_DATASET_LABELS},
};
enum { SOURCES = sizeof all_sources / sizeof *all_sources };
static const double beta = 0.6;

static double terms_of(const LanguageStage *s, Sources sources, double term[RG_SAIL_TERMS][N]) {
    double own[N], base[N];
    double *c[] = {term[0], term[1], term[2]};
    rg_language_table(s->environment, s->policy, own);
    rg_language_table(s->environment, s->reference, base);
    return rg_language_sail_terms(s->environment, own, base, sources.responses, sources.labels,
                                  beta, c);
}

Test(exact_language, gradient_of_sail_is_the_central_difference_of_its_objective) {
    LanguageStage stages[] = {small_begin("groups=40 label_temperature=0.4 label_noise=0.1", 0.5),
                              transformer_begin()};
    for (int k = 0; k < 2 * SOURCES; k++) {
        LanguageStage *s = &stages[k % 2];
        Sources sources = all_sources[k / 2];
        RgParameters *p = s->policy->parameters;
        double term[RG_SAIL_TERMS][N], ignored[RG_SAIL_TERMS][N], sum[N], step = 1e-5;
        double *gradient = rg_allocate(p->count, sizeof *gradient), size = 0;
        terms_of(s, sources, term);
        for (int i = 0; i < N; i++)
            sum[i] = term[0][i] + term[1][i] + term[2][i];
        rg_language_gradient(s->environment, s->policy, sum, gradient);
        for (int64_t i = 0; i < p->count; i += 1 + p->count / 40) {
            double kept = p->value[i];
            p->value[i] = kept + step;
            double above = terms_of(s, sources, ignored);
            p->value[i] = kept - step;
            double difference = (above - terms_of(s, sources, ignored)) / (2 * step);
            p->value[i] = kept;
            size = fmax(size, fabs(difference));
            cr_expect_float_eq(gradient[i], difference, 1e-8, "%d, %lld: %g, %g", k, (long long)i,
                               gradient[i], difference);
        }
        cr_expect_gt(size, 1e-3);
        free(gradient);
    }
    language_end(&stages[0]);
    language_end(&stages[1]);
}

/* In the logits of a table over the sentences: what the tape has of the same objective, with no
 * gradient through the other sources. */
Test(exact_language, terms_of_sail_are_those_of_enumerated_responses) {
    LanguageStage s = small_begin("groups=40 label_temperature=0.4 label_noise=0.1", 0.5);
    RgLanguageView view = rg_language_view(s.environment);
    const RgTask *task = &s.environment->task;
    double own[N], base[N], shares[N * N] = {0};
    rg_language_table(s.environment, s.policy, own);
    rg_language_table(s.environment, s.reference, base);
    for (int64_t i = 0; i < task->pairs->count; i++) {
        int64_t number[2];
        for (int k = 0; k < 2; k++)
            number[k] = rg_language_number(view.language,
                                           rg_sequence_response(task->pairs->sequences, 2 * i + k));
        int chosen = task->pairs->preferred[i];
        shares[number[chosen] * N + number[1 - chosen]] += 1 / (double)task->pairs->count;
    }
    RgExactProblem problem = {.contexts = 1,
                              .responses = N,
                              .reference = base,
                              .reward = view.reward,
                              .pair_shares = shares,
                              .beta = beta,
                              .label_temperature = task->label_temperature,
                              .label_noise = task->label_noise};
    for (int k = 0; k < SOURCES; k++) {
        double term[RG_SAIL_TERMS][N], found[RG_SAIL_TERMS][N] = {{0}};
        double value = terms_of(&s, all_sources[k], term);
        for (int stop = 0; stop < 3; stop++) { /* 0: labels, 1: responses, 2: both */
            RgExactSources sources = {all_sources[k].responses, all_sources[k].labels, stop != 0,
                                      stop != 1};
            RgTape *tape = rg_tape_create();
            RgTensor *x = rg_variable(tape, RG_SHAPE(1, N), own), *g;
            RgTensor *j = rg_exact_sail(tape, x, &problem, sources);
            rg_gradients(tape, j, &x, 1, &g);
            memcpy(found[stop], g->data, sizeof found[stop]);
            cr_expect_float_eq(j->data[0], value, 1e-12);
            rg_tape_destroy(tape);
        }
        for (int t = 0; t < RG_SAIL_TERMS; t++) {
            double total = 0;
            for (int i = 0; i < N; i++)
                total += term[t][i];
            for (int i = 0; i < N; i++) { /* of log π(a) by the logits: 1 at a, less π */
                double mine = term[t][i] - exp(own[i]) * total;
                double fit = found[2][i];
                double expected = t == RG_SAIL_TERM_FIT         ? fit
                                  : t == RG_SAIL_TERM_RESPONSES ? found[0][i] - fit
                                                                : found[1][i] - fit;
                cr_expect_float_eq(mine, expected, 1e-12, "%d, term %d, %d", k, t, i);
            }
        }
    }
    language_end(&s);
}
