/* SPDX-License-Identifier: MIT */
/* The bandit environment: rewards, features, offline pairs from a behaviour policy with limited
 * coverage, the judge, and an evaluation that sums over all responses instead of sampling. The sums
 * are in bandit_metrics.c, differentiable objectives in bandit_exact.c. */
#include "envs/bandit/bandit.h"

#include "core/files.h"
#include "core/models/enumerated.h"
#include "envs/enumerated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BEHAVIOUR_REFERENCE, BEHAVIOUR_UNIFORM, BEHAVIOUR_NARROW };
static const char *const behaviours[] = {"reference", "uniform", "narrow", NULL};

typedef struct Options {
    int64_t contexts, responses, feature_count;
    double reward_scale;
    const char *reward_file;
    double label_temperature, label_noise;
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
    RG_OPTION_REAL(Options, kl_strength, "0.1", 1e-6, 1e3,
                   "strength of the KL term in the value that regret refers to, beta*"),
    RG_OPTION_END,
};

typedef struct State {
    Options options; /* except reward_file */
    double *reward;  /* [contexts, responses] */
    double *features;
    bool *covered; /* [contexts, responses] */
    RgSequences *prompts, *demonstrations;
    RgPairs *pairs; /* of the last prepare */
} State;

RgRewardTable rg_bandit_rewards(const RgEnvironment *environment) {
    const State *s = environment->state;
    return (RgRewardTable){s->options.contexts, s->options.responses, s->reward};
}

const bool *rg_bandit_covered(const RgEnvironment *environment) {
    return ((const State *)environment->state)->covered;
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    const State *s = ((RgEnvironment *)environment)->state;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = s->reward[*rg_sequence_prompt(sequences, i) * s->options.responses +
                              *rg_sequence_response(sequences, i)];
    return RG_OK;
}

/* ---- rewards ---- */

/* Read the numbers of one line into row [columns]. Returns their number (at most columns + 1), or
 * −1 after an error. */
static int64_t read_row(char *line, const char *path, int number, int64_t columns, double *row,
                        RgError *error) {
    int64_t count = 0;
    char *rest = NULL;
    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, " \t\r,", &rest); word && count <= columns;
         word = strtok_r(NULL, " \t\r,", &rest), count++) {
        char *end;
        double value = strtod(word, &end);
        if (*end != '\0' || !isfinite(value)) {
            rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is not a finite number", path, number, word);
            return -1;
        }
        if (count < columns)
            row[count] = value;
    }
    return count;
}

static RgStatus read_rows(char *text, const char *path, int64_t rows, int64_t columns,
                          double *table, int *lines, RgError *error) {
    double *row = rg_allocate(columns, sizeof *row);
    int64_t found = 0;
    int number = 1;
    RgStatus status = RG_OK;
    for (char *line = text, *next; line && status == RG_OK; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        int64_t count = read_row(line, path, number, columns, row, error);
        if (count < 0)
            status = RG_E_FORMAT;
        else if (count > columns)
            status = rg_fail(error, RG_E_FORMAT, "%s:%d: more than the expected %lld numbers", path,
                             number, (long long)columns);
        else if (count > 0 && count < columns)
            status = rg_fail(error, RG_E_FORMAT, "%s:%d: %lld numbers, expected %lld", path, number,
                             (long long)count, (long long)columns);
        else if (count > 0 && found == rows)
            status = rg_fail(error, RG_E_FORMAT, "%s:%d: more than the expected %lld rows", path,
                             number, (long long)rows);
        else if (count > 0) {
            if (lines)
                lines[found] = number;
            memcpy(table + columns * found++, row, (size_t)columns * sizeof *row);
        }
    }
    free(row);
    if (status == RG_OK && found < rows)
        status = rg_fail(error, RG_E_FORMAT, "%s:%d: the file ends after %lld rows, expected %lld",
                         path, number - 1, (long long)found, (long long)rows);
    return status;
}

RgStatus rg_bandit_read_table(const char *path, int64_t rows, int64_t columns, double *table,
                              int *lines, RgError *error) {
    char *text = NULL;
    size_t size = 0;
    RG_TRY(rg_file_read(path, &text, &size, error));
    RgStatus status = RG_OK;
    if (strlen(text) != size)
        status = rg_fail(error, RG_E_FORMAT, "%s: not a text file", path);
    else
        status = read_rows(text, path, rows, columns, table, lines, error);
    free(text);
    return status;
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
    return RG_OK;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    const Options *o = options;
    RG_TRY(check_options(o, error));
    State *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *o;
    s->options.reward_file = NULL;
    int64_t cells = o->contexts * o->responses;

    s->reward = normal_numbers(cells, o->reward_scale, rg_random_named(random, "reward"));
    if (o->reward_file[0] != '\0')
        RG_TRY(rg_bandit_read_table(o->reward_file, o->contexts, o->responses, s->reward, NULL,
                                    error));
    s->features = normal_numbers(cells * o->feature_count, 1, rg_random_named(random, "features"));
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
    s->demonstrations = NULL;
    s->pairs = NULL;
}

static void destroy(RgEnvironment *environment) {
    State *s = environment->state;
    destroy_data(s);
    rg_sequences_destroy(s->prompts);
    free(s->covered);
    free(s->features);
    free(s->reward);
    free(s);
}

/* ---- offline data ---- */

/* Unnormalised probabilities of the behaviour policy in one context: weight [responses] out. */
static void behaviour_weights(const State *s, int64_t context, const double *reference,
                              double *weight) {
    int64_t n = s->options.responses;
    double most = -INFINITY; /* largest covered log-probability: keeps a weight above zero */
    for (int64_t r = 0; r < n; r++)
        if (s->covered[context * n + r])
            most = fmax(most, reference[context * n + r]);
    for (int64_t r = 0; r < n; r++) {
        weight[r] = s->covered[context * n + r] ? 1 : 0;
        if (s->options.behaviour == BEHAVIOUR_REFERENCE)
            weight[r] *= exp(fmax(reference[context * n + r] - most, -600));
    }
}

/* Two different responses to context i mod contexts, so that all contexts have equal shares. */
static void append_pair(State *s, int64_t i, const double *reference, RgRandom random,
                        double *weight) {
    int32_t context = (int32_t)(i % s->options.contexts);
    behaviour_weights(s, context, reference, weight);
    rg_enumerated_append_pair(s->pairs->sequences, context, s->options.responses, weight,
                              rg_random_at(random, (uint64_t)i));
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    State *s = environment->state;
    const Options *o = &s->options;
    RG_TRY(rg_enumerated_check_policy("bandit", o->contexts, o->responses, reference, error));
    destroy_data(s);
    s->pairs = rg_pairs_create();
    double *table = rg_allocate(o->contexts * o->responses, sizeof *table);
    double *weight = rg_allocate(o->responses, sizeof *weight);
    rg_policy_table(reference, table);
    for (int64_t i = 0; i < o->pairs; i++)
        append_pair(s, i, table, rg_random_named(random, "offline responses"), weight);
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

void rg_bandit_pair_shares(const RgEnvironment *environment, double *share) {
    const State *s = environment->state;
    int64_t n = s->options.responses;
    RG_ASSERT(s->pairs);
    memset(share, 0, (size_t)(s->options.contexts * n * n) * sizeof *share);
    for (int64_t i = 0; i < s->pairs->count; i++) {
        int64_t chosen = cell_of(s, 2 * i + s->pairs->preferred[i]);
        int64_t rejected = cell_of(s, 2 * i + 1 - s->pairs->preferred[i]);
        share[chosen * n + rejected % n] += 1 / (double)s->pairs->count;
    }
}

/* ---- evaluation ---- */

/* Frequency with which each response was preferred, as a policy: logprob [contexts, responses]
 * out. */
static void preferred_policy(const State *s, double *logprob) {
    int64_t n = s->options.responses;
    memset(logprob, 0, (size_t)(s->options.contexts * n) * sizeof *logprob);
    for (int64_t i = 0; i < s->pairs->count; i++)
        logprob[cell_of(s, 2 * i + s->pairs->preferred[i])] += 1;
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
    double margin = 0, right = 0, count = (double)s->pairs->count;
    for (int64_t i = 0; i < s->pairs->count; i++) {
        int64_t chosen = cell_of(s, 2 * i + s->pairs->preferred[i]);
        int64_t rejected = cell_of(s, 2 * i + 1 - s->pairs->preferred[i]);
        double gap = (table[chosen] - base[chosen]) - (table[rejected] - base[rejected]);
        margin += beta * gap / count;
        right += (gap > 0 ? 1 : gap < 0 ? 0 : 0.5) / count;
    }
    rg_evaluation_metric(evaluation, "reward_margin", margin);
    rg_evaluation_metric(evaluation, "reward_accuracy", right);
}

/* The metrics, all exact (see the functions in bandit_metrics.h):
 *   reward, kl, win_rate_base, win_rate_dataset, value   also per context
 *   regret          J*_β − J_β(π) at β = kl_strength
 *   optimality_gap  E_c[max r] − E_π[r]
 *   entropy, reward_margin, reward_accuracy, sail_objective (at the β of implicit rewards) */
static RgStatus evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    (void)random; /* nothing is sampled */
    (void)error;
    const State *s = environment->state;
    const Options *o = &s->options;
    RG_ASSERT(s->pairs); /* prepared */
    RgRewardTable rewards = rg_bandit_rewards(environment);
    size_t cells = (size_t)(o->contexts * o->responses);
    double *table = rg_allocate(cells, sizeof *table), *base = rg_allocate(cells, sizeof *base);
    double *dataset = rg_allocate(cells, sizeof *dataset);
    double *column = rg_allocate(o->contexts, sizeof *column);
    double beta = contender->beta;
    rg_policy_table(contender->policy, table);
    rg_contender_table(contender, rewards.reward, o->contexts, o->responses, table);
    rg_policy_table(contender->reference, base);
    preferred_policy(s, dataset);

    double reward = rg_bandit_expected_reward(&rewards, table, column);
    rg_evaluation_column_and_mean(evaluation, "reward", column, o->contexts);
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
    rg_evaluation_metric(evaluation, "sail_objective",
                         rg_bandit_sail_objective(&rewards, table, base, beta, o->label_temperature,
                                                  o->label_noise));
    implicit_rewards(s, table, base, beta, evaluation);
    free(column);
    free(dataset);
    free(base);
    free(table);
    return RG_OK;
}

static const char *const metrics[] = {
    "reward", "kl",      "win_rate_base",  "win_rate_dataset", "objective",     "value",
    "regret", "entropy", "optimality_gap", "sail_objective",   "reward_margin", "reward_accuracy",
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
    .prepare = prepare,
    .evaluate = evaluate,
    .destroy = destroy,
};
