/* SPDX-License-Identifier: MIT */
/* The bandit environment: rewards, features, offline pairs from a behaviour policy with limited
 * coverage, the judge, and an evaluation that sums over all responses instead of sampling. The sums
 * are in bandit_metrics.c, differentiable objectives in bandit_exact.c. */
#include "envs/bandit/bandit.h"

#include "core/models/enumerated.h"
#include "envs/bandit/bandit_files.h"
#include "envs/enumerated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PAIRS = 1 << 22 };

enum { BEHAVIOUR_REFERENCE, BEHAVIOUR_UNIFORM, BEHAVIOUR_NARROW };
static const char *const behaviours[] = {"reference", "uniform", "narrow", NULL};

typedef struct Options {
    int64_t contexts, responses, feature_count;
    double reward_scale;
    const char *reward_file, *features_file, *pair_counts_file;
    bool population;
    double judge_error, label_temperature, label_noise;
    int64_t pairs;
    int behaviour;
    double coverage;
    bool hide_best;
    double kl_strength;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_INTEGER(Options, contexts, "8", 1, 4096, "number of contexts (prompts)"),
    RG_OPTION_INTEGER(Options, responses, "12", 2, 4096, "number of responses to each context"),
    RG_OPTION_INTEGER(Options, feature_count, "8", 0, 1024,
                      "features of context and response for log-linear policies, drawn from a "
                      "standard normal distribution; 0: none"),
    RG_OPTION_REAL(Options, reward_scale, "1", 0, 1e3,
                   "standard deviation of the hidden rewards, which are normally distributed"),
    RG_OPTION_PATH(Options, reward_file, "",
                   "text file with the rewards, one line per context; empty: drawn from the seed"),
    RG_OPTION_PATH(Options, features_file, "",
                   "text file with the features, one line per context and response, those of a "
                   "context together; empty: drawn from the seed",
                   .later = true),
    RG_OPTION_REAL(
        Options, judge_error, "0", 0, 1e3,
        "standard deviation of the judge's error, which is normally distributed for each "
        "context and response and stays the same; metrics are of the true rewards",
        .later = true),
    RG_OPTION_REAL(Options, label_temperature, "1", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger reward"),
    RG_OPTION_REAL(Options, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_INTEGER(Options, pairs, "2000", 1, 1e7,
                      "offline preference pairs, each of two different responses"),
    RG_OPTION_CHOICE(Options, behaviour, "reference", behaviours,
                     "policy that wrote the offline responses: reference, the reference policy; "
                     "uniform; or narrow, uniform over the worst responses"),
    RG_OPTION_REAL(Options, coverage, "1", 0, 1,
                   "share of each context's responses that the offline pairs may contain (at least "
                   "2): drawn from the seed, or the worst ones under narrow behaviour"),
    RG_OPTION_BOOLEAN(Options, hide_best, "false",
                      "exclude the best response of each context from the offline pairs"),
    RG_OPTION_PATH(Options, pair_counts_file, "",
                   "text file with how often each two responses are compared in the offline pairs, "
                   "relative to the others of the context: one line per context with the counts of "
                   "the pairs 1-2, 1-3, ..., 2-3, ...; empty: pairs are drawn by behaviour",
                   .later = true),
    RG_OPTION_BOOLEAN(Options, population, "false",
                      "exact expectations over the offline data are those of infinitely many "
                      "pairs and labels, in place of the pairs drawn",
                      .later = true),
    RG_OPTION_REAL(Options, kl_strength, "0.1", 1e-6, 1e3,
                   "strength of the KL term in the value that regret refers to, beta*"),
    RG_OPTION_END,
};

typedef struct State {
    Options options; /* except the files */
    double *reward;  /* [contexts, responses] */
    double *judged; /* the judge's: these and its error [contexts, responses], or `reward` itself */
    double *features;
    bool *covered;  /* [contexts, responses] */
    double *counts; /* [contexts, pairs of responses] of pair_counts_file, or NULL */
    double *shares; /* [contexts, responses, responses] of the population, or NULL */
    RgSequences *prompts, *demonstrations;
    RgPairs *pairs; /* of the last prepare */
} State;

static RgRewardTable true_rewards(const State *s) {
    return (RgRewardTable){s->options.contexts, s->options.responses, s->reward};
}

RgRewardTable rg_bandit_rewards(const RgEnvironment *environment) {
    const State *s = environment->state;
    return (RgRewardTable){s->options.contexts, s->options.responses, s->judged};
}

const bool *rg_bandit_covered(const RgEnvironment *environment) {
    return ((const State *)environment->state)->covered;
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    const State *s = ((RgEnvironment *)environment)->state;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = s->judged[*rg_sequence_prompt(sequences, i) * s->options.responses +
                              *rg_sequence_response(sequences, i)];
    return RG_OK;
}

static double *normal_numbers(int64_t count, double scale, RgRandom random) {
    double *numbers = rg_allocate(count, sizeof *numbers);
    for (int64_t i = 0; i < count; i++)
        numbers[i] = scale * rg_random_normal(random, (uint64_t)i);
    return numbers;
}

/* ---- coverage ---- */

typedef struct Ranked {
    double reward;
    int64_t response;
} Ranked;

static int compare_worst_first(const void *left, const void *right) {
    const Ranked *a = left, *b = right;
    if (a->reward != b->reward)
        return a->reward < b->reward ? -1 : 1;
    return (a->response > b->response) - (a->response < b->response);
}

/* Responses in the behaviour policy's support in one context: covered [responses] out. */
static void cover_context(const State *s, int64_t context, RgRandom random, bool *covered) {
    const Options *o = &s->options;
    int64_t n = o->responses, visible = n - (o->hide_best ? 1 : 0);
    int64_t wanted = (int64_t)ceil(o->coverage * (double)n);
    wanted = wanted < 2 ? 2 : wanted > visible ? visible : wanted;

    Ranked *ranked = rg_allocate(n, sizeof *ranked);
    int64_t *order = rg_allocate(n, sizeof *order);
    for (int64_t r = 0; r < n; r++)
        ranked[r] = (Ranked){s->reward[context * n + r], r};
    qsort(ranked, (size_t)n, sizeof *ranked, compare_worst_first);
    for (int64_t k = 0; k < visible; k++)
        order[k] = k;
    if (o->behaviour != BEHAVIOUR_NARROW)
        rg_random_permutation(rg_random_at(random, (uint64_t)context), order, visible);
    for (int64_t k = 0; k < wanted; k++)
        covered[ranked[order[k]].response] = true;
    free(order);
    free(ranked);
}

/* ---- life ---- */

static RgStatus check_options(const Options *o, RgError *error) {
    if (o->hide_best && o->responses < 3)
        return rg_fail(error, RG_E_RANGE,
                       "hide_best leaves fewer than the 2 responses that a pair needs: responses "
                       "is %lld, expected at least 3",
                       (long long)o->responses);
    if (o->pairs < o->contexts)
        return rg_fail(error, RG_E_RANGE,
                       "pairs is %lld, expected at least one for each of the %lld contexts",
                       (long long)o->pairs, (long long)o->contexts);
    bool counts = o->pair_counts_file[0] != '\0';
    if ((counts || o->population) &&
        (double)o->contexts * (double)o->responses * (double)o->responses > MOST_PAIRS)
        return rg_fail(error, RG_E_RANGE,
                       "%s has a number for each pair of responses: expected contexts times "
                       "responses squared of at most %d",
                       counts ? "pair_counts_file" : "population", MOST_PAIRS);
    if (counts && (o->behaviour != BEHAVIOUR_REFERENCE || o->coverage < 1 || o->hide_best))
        return rg_fail(error, RG_E_USAGE,
                       "pair_counts_file determines the offline pairs: expected no behaviour, "
                       "coverage or hide_best beside it");
    if (o->features_file[0] != '\0' && o->feature_count == 0)
        return rg_fail(error, RG_E_USAGE,
                       "feature_count is 0, expected the number of features on a line of "
                       "features_file");
    return RG_OK;
}

/* Unordered pairs of different responses to a context. */
static int64_t pair_count(const Options *o) {
    return o->responses * (o->responses - 1) / 2;
}

/* Numbers of the files take the place of those drawn. */
static RgStatus read_files(State *s, const Options *o, RgError *error) {
    if (o->reward_file[0] != '\0')
        RG_TRY(rg_bandit_read_table(o->reward_file, o->contexts, o->responses, s->reward, NULL,
                                    error));
    if (o->features_file[0] != '\0')
        RG_TRY(rg_bandit_read_table(o->features_file, o->contexts * o->responses, o->feature_count,
                                    s->features, NULL, error));
    if (o->pair_counts_file[0] == '\0')
        return RG_OK;
    s->counts = rg_allocate(o->contexts * pair_count(o), sizeof *s->counts);
    return rg_bandit_read_counts(o->pair_counts_file, o->contexts, pair_count(o), s->counts, error);
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    const Options *o = options;
    RG_TRY(check_options(o, error));
    State *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *o;
    s->options.reward_file = s->options.features_file = s->options.pair_counts_file = NULL;
    int64_t cells = o->contexts * o->responses;

    s->reward = normal_numbers(cells, o->reward_scale, rg_random_named(random, "reward"));
    s->features = normal_numbers(cells * o->feature_count, 1, rg_random_named(random, "features"));
    RG_TRY(read_files(s, o, error));
    s->judged = s->reward;
    if (o->judge_error > 0) {
        s->judged = normal_numbers(cells, o->judge_error, rg_random_named(random, "judge error"));
        for (int64_t i = 0; i < cells; i++)
            s->judged[i] += s->reward[i];
    }
    s->covered = rg_allocate(cells, sizeof *s->covered);
    for (int64_t c = 0; c < o->contexts; c++)
        cover_context(s, c, rg_random_named(random, "coverage"), s->covered + c * o->responses);
    s->prompts = rg_enumerated_prompts(o->contexts);

    environment->space = (RgPolicySpace){.contexts = o->contexts,
                                         .responses = o->responses,
                                         .features = o->feature_count > 0 ? s->features : NULL,
                                         .feature_count = o->feature_count};
    environment->task = (RgTask){.prompts = s->prompts,
                                 .expected_pairs = o->pairs,
                                 .response_limit = 1,
                                 .end_token = -1,
                                 .judge = judge,
                                 .environment = environment,
                                 .label_temperature = o->label_temperature,
                                 .label_noise = o->label_noise};
    return RG_OK;
}

static void destroy_data(State *s) {
    rg_sequences_destroy(s->demonstrations);
    rg_pairs_destroy(s->pairs);
    free(s->shares);
    s->shares = NULL;
    s->demonstrations = NULL;
    s->pairs = NULL;
}

static void destroy(RgEnvironment *environment) {
    State *s = environment->state;
    destroy_data(s);
    rg_sequences_destroy(s->prompts);
    free(s->covered);
    free(s->counts);
    free(s->features);
    if (s->judged != s->reward)
        free(s->judged);
    free(s->reward);
    free(s);
}

/* ---- offline data ---- */

/* Unnormalised probabilities of the behaviour policy in one context: weight [responses] out. */
static void behaviour_weights(const State *s, int64_t context, const double *reference,
                              double *weight) {
    int64_t n = s->options.responses, first = context * n;
    if (s->options.behaviour == BEHAVIOUR_REFERENCE) {
        rg_enumerated_weights(n, reference + first, s->covered + first, weight);
        return;
    }
    for (int64_t r = 0; r < n; r++)
        weight[r] = s->covered[first + r] ? 1 : 0;
}

/* The two responses of an unordered pair in the order of pair_counts_file. */
static void responses_of(int64_t pair, int64_t n, int32_t response[2]) {
    int32_t a = 0;
    for (; pair >= n - 1 - a; a++)
        pair -= n - 1 - a;
    response[0] = a;
    response[1] = (int32_t)(a + 1 + pair);
}

/* A pair by its count, in either order. */
static void append_counted(State *s, int32_t context, RgRandom random) {
    int64_t pairs = pair_count(&s->options);
    int32_t response[2];
    responses_of(
        (int64_t)rg_random_choice(rg_random_uniform(random, 0), s->counts + context * pairs, pairs),
        s->options.responses, response);
    bool swapped = rg_random_uniform(random, 1) < 0.5;
    for (int k = 0; k < 2; k++)
        rg_sequences_append(s->pairs->sequences, &context, 1, &response[swapped ? 1 - k : k], 1);
}

/* Two different responses to context i mod contexts, so that all contexts have equal shares. */
static void append_pair(State *s, int64_t i, const double *reference, RgRandom random,
                        double *weight) {
    int32_t context = (int32_t)(i % s->options.contexts);
    RgRandom own = rg_random_at(random, (uint64_t)i);
    if (s->counts) {
        append_counted(s, context, own);
        return;
    }
    behaviour_weights(s, context, reference, weight);
    rg_enumerated_append_pair(s->pairs->sequences, context, s->options.responses, weight, own);
}

/* Share of the pairs of a context that are of the responses a and b, by their count. */
static void shares_by_counts(const State *s, int64_t context, double *share) {
    int64_t n = s->options.responses, pairs = pair_count(&s->options);
    const double *count = s->counts + context * pairs;
    double sum = 0;
    for (int64_t i = 0; i < pairs; i++)
        sum += count[i];
    for (int64_t i = 0; i < pairs; i++) {
        int32_t r[2];
        responses_of(i, n, r);
        share[r[0] * n + r[1]] = share[r[1] * n + r[0]] = count[i] / sum;
    }
}

/* The same for two draws of the behaviour policy without replacement. */
static void shares_by_behaviour(const State *s, int64_t context, const double *reference,
                                double *share) {
    int64_t n = s->options.responses;
    double *weight = rg_allocate(n, sizeof *weight), sum = 0;
    behaviour_weights(s, context, reference, weight);
    for (int64_t a = 0; a < n; a++)
        sum += weight[a];
    for (int64_t a = 0; a < n; a++) {
        double others = 0; /* not sum − weight[a], which rounds to 0 */
        for (int64_t b = 0; b < n; b++)
            others += b == a ? 0 : weight[b];
        for (int64_t b = 0; b < n && weight[a] > 0; b++)
            if (b != a) {
                double drawn = weight[a] / sum * (weight[b] / others);
                share[a * n + b] += drawn;
                share[b * n + a] += drawn;
            }
    }
    free(weight);
}

/* The population's pairs under both labels. */
static void find_shares(State *s, const RgTask *task, const double *reference) {
    int64_t n = s->options.responses, contexts = s->options.contexts;
    s->shares = rg_allocate(contexts * n * n, sizeof *s->shares);
    for (int64_t c = 0; c < contexts; c++) {
        const double *reward = s->judged + c * n;
        double *share = s->shares + c * n * n;
        if (s->counts)
            shares_by_counts(s, c, share);
        else
            shares_by_behaviour(s, c, reference, share);
        for (int64_t i = 0; i < n * n; i++)
            share[i] *=
                rg_preference_probability(task, reward[i / n], reward[i % n]) / (double)contexts;
    }
}

static RgStatus check(const RgEnvironment *environment, const RgPolicy *policy, RgError *error) {
    const Options *o = &((const State *)environment->state)->options;
    return rg_enumerated_check_policy("bandit", o->contexts, o->responses, policy, error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    State *s = environment->state;
    const Options *o = &s->options;
    destroy_data(s);
    s->pairs = rg_pairs_create();
    double *table = rg_allocate(o->contexts * o->responses, sizeof *table);
    double *weight = rg_allocate(o->responses, sizeof *weight);
    rg_policy_table(reference, table);
    for (int64_t i = 0; i < o->pairs; i++)
        append_pair(s, i, table, rg_random_named(random, "offline responses"), weight);
    if (o->population)
        find_shares(s, &environment->task, table);
    environment->task.pair_shares = s->shares;
    free(weight);
    free(table);
    RG_TRY(rg_enumerated_label_pairs(s->pairs, &environment->task,
                                     rg_random_named(random, "offline labels"), error));
    environment->task.pairs = s->pairs;
    environment->task.demonstrations = s->demonstrations = rg_pairs_chosen(s->pairs);
    return RG_OK;
}

/* Index in the table of sequence i. */
static int64_t cell_of(const State *s, int64_t i) {
    const RgSequences *q = s->pairs->sequences;
    return *rg_sequence_prompt(q, i) * s->options.responses + *rg_sequence_response(q, i);
}

/* The offline data as weighted, labelled pairs of cells: each pair drawn, or every pair of the
 * population. */
typedef struct LabelledPair {
    int64_t chosen, rejected;
    double weight;
} LabelledPair;

static int64_t labelled_count(const State *s) {
    int64_t n = s->options.responses;
    return s->shares ? s->options.contexts * n * n : s->pairs->count;
}

static double total_weight(const State *s) {
    return s->shares ? 1 : (double)s->pairs->count;
}

static LabelledPair labelled_pair(const State *s, int64_t i) {
    int64_t n = s->options.responses;
    if (s->shares)
        return (LabelledPair){i / n, i / (n * n) * n + i % n, s->shares[i]};
    int64_t chosen = s->pairs->preferred[i];
    return (LabelledPair){cell_of(s, 2 * i + chosen), cell_of(s, 2 * i + 1 - chosen), 1};
}

void rg_bandit_pair_shares(const RgEnvironment *environment, double *share) {
    const State *s = environment->state;
    int64_t n = s->options.responses;
    RG_ASSERT(s->pairs);
    memset(share, 0, (size_t)(s->options.contexts * n * n) * sizeof *share);
    for (int64_t i = 0; i < labelled_count(s); i++) {
        LabelledPair pair = labelled_pair(s, i);
        share[pair.chosen * n + pair.rejected % n] += pair.weight / total_weight(s);
    }
}

/* ---- evaluation ---- */

/* Frequency with which each response was preferred, as a policy: logprob [contexts, responses]
 * out. */
static void preferred_policy(const State *s, double *logprob) {
    int64_t n = s->options.responses;
    memset(logprob, 0, (size_t)(s->options.contexts * n) * sizeof *logprob);
    for (int64_t i = 0; i < labelled_count(s); i++) {
        LabelledPair pair = labelled_pair(s, i);
        logprob[pair.chosen] += pair.weight;
    }
    for (int64_t c = 0; c < s->options.contexts; c++) {
        double sum = 0;
        for (int64_t r = 0; r < n; r++)
            sum += logprob[c * n + r];
        for (int64_t r = 0; r < n; r++)
            logprob[c * n + r] = log(logprob[c * n + r] / sum);
    }
}

/* β·Δ of the offline pairs in preferred order, and the share of positive ones (0 counts half). */
static void implicit_rewards(const State *s, const double *table, const double *base, double beta,
                             RgEvaluation *evaluation) {
    double margin = 0, right = 0, total = total_weight(s);
    for (int64_t i = 0; i < labelled_count(s); i++) {
        LabelledPair pair = labelled_pair(s, i);
        if (pair.weight == 0)
            continue; /* its gap may be infinite */
        double gap =
            (table[pair.chosen] - base[pair.chosen]) - (table[pair.rejected] - base[pair.rejected]);
        margin += pair.weight * (beta * gap) / total;
        right += pair.weight * (gap > 0 ? 1 : gap < 0 ? 0 : 0.5) / total;
    }
    rg_evaluation_metric(evaluation, "reward_margin", margin);
    rg_evaluation_metric(evaluation, "reward_accuracy", right);
}

/* How far the policy is from the one whose implicit reward is the judge's. */
static void differences(const State *s, const double *table, const double *base, double beta,
                        RgEvaluation *evaluation) {
    RgRewardTable rewards = {s->options.contexts, s->options.responses, s->judged};
    double temperature = s->options.label_temperature, strength = beta * temperature;
    rg_evaluation_metric(evaluation, "parameter_difference",
                         rg_bandit_parameter_difference(&rewards, table, base, beta, temperature));
    rg_evaluation_metric(evaluation, "value_difference",
                         rg_bandit_optimal(&rewards, base, strength, NULL) -
                             rg_bandit_value(&rewards, table, base, strength, NULL));
}

/* The metrics, all exact (see the functions in bandit_metrics.h):
 *   reward, kl, win_rate_base, win_rate_dataset, value   also per context
 *   judge_reward    what the judge takes for the reward; also per context
 *   regret          J*_β − J_β(π) at β = kl_strength
 *   optimality_gap  E_c[max r] − E_π[r]
 *   entropy, reward_margin, reward_accuracy, sail_objective (at the β of implicit rewards)
 *   parameter_difference, value_difference   if β and the temperature T of labels are not 0, from the policy whose
 *                                            implicit reward is r/T, which maximises J_βT */
static RgStatus evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    (void)random; /* nothing is sampled */
    (void)error;
    const State *s = environment->state;
    const Options *o = &s->options;
    RG_ASSERT(s->pairs); /* prepared */
    RgRewardTable rewards = true_rewards(s), judged = rg_bandit_rewards(environment);
    size_t cells = (size_t)(o->contexts * o->responses);
    double *table = rg_allocate(cells, sizeof *table), *base = rg_allocate(cells, sizeof *base);
    double *dataset = rg_allocate(cells, sizeof *dataset);
    double *column = rg_allocate(o->contexts, sizeof *column);
    double beta = contender->beta;
    rg_policy_table(contender->policy, table);
    rg_contender_table(contender, judged.reward, o->contexts, o->responses, table);
    rg_policy_table(contender->reference, base);
    preferred_policy(s, dataset);

    double reward = rg_bandit_expected_reward(&rewards, table, column);
    rg_evaluation_column_and_mean(evaluation, "reward", column, o->contexts);
    rg_bandit_expected_reward(&judged, table, column);
    rg_evaluation_column_and_mean(evaluation, "judge_reward", column, o->contexts);
    rg_bandit_win_rate(&rewards, table, base, column);
    rg_evaluation_column_and_mean(evaluation, "win_rate_base", column, o->contexts);
    rg_bandit_win_rate(&rewards, table, dataset, column);
    rg_evaluation_column_and_mean(evaluation, "win_rate_dataset", column, o->contexts);
    rg_bandit_kl(&rewards, table, base, column);
    rg_evaluation_column_and_mean(evaluation, "kl", column, o->contexts);
    rg_evaluation_metric(evaluation, "objective",
                         reward - beta * rg_evaluation_find(evaluation, "kl"));
    double value = rg_bandit_value(&rewards, table, base, o->kl_strength, column);
    rg_evaluation_column_and_mean(evaluation, "value", column, o->contexts);

    rg_evaluation_metric(evaluation, "regret",
                         rg_bandit_optimal(&rewards, base, o->kl_strength, NULL) - value);
    rg_evaluation_metric(evaluation, "optimality_gap",
                         rg_bandit_best_reward(&rewards, NULL) - reward);
    rg_evaluation_metric(evaluation, "entropy", rg_bandit_entropy(&rewards, table, NULL));
    rg_evaluation_metric(
        evaluation, "sail_objective",
        rg_bandit_sail_objective(&judged, table, base, beta, o->label_temperature, o->label_noise));
    implicit_rewards(s, table, base, beta, evaluation);
    if (o->label_temperature > 0 && beta > 0)
        differences(s, table, base, beta, evaluation);
    free(column);
    free(dataset);
    free(base);
    free(table);
    return RG_OK;
}

static const char *const metrics[] = {
    "reward",
    "judge_reward",
    "kl",
    "win_rate_base",
    "win_rate_dataset",
    "objective",
    "value",
    "regret",
    "entropy",
    "optimality_gap",
    "sail_objective",
    "reward_margin",
    "reward_accuracy",
    NULL,
};

const RgEnvironmentType rg_environment_bandit = {
    .about = {.name = "bandit",
              .summary =
                  "Hidden rewards of enumerated contexts and responses; every metric is exact",
              .reference = "contextual bandit whose KL-regularised optimum has a closed form",
              .options = options_table,
              .options_size = sizeof(Options)},
    .primary_metric = "reward",
    .metrics = metrics,
    .create = create,
    .check = check,
    .prepare = prepare,
    .evaluate = evaluate,
    .destroy = destroy,
};
