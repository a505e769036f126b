/* SPDX-License-Identifier: MIT */
/* The game environment: its preferences, its offline pairs, its labels, and an evaluation that sums
 * over all responses. The sums are in game_metrics.c. */
#include "envs/game/game.h"

#include "core/models/enumerated.h"
#include "envs/bandit/bandit_files.h"
#include "envs/bandit/bandit_metrics.h"
#include "envs/enumerated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PREFER_AT_RANDOM, PREFER_IN_A_CYCLE, PREFER_BY_REWARDS };
static const char *const kinds[] = {"random", "cyclic", "rewards", NULL};

enum { MOST_PREFERENCES = 1 << 22 };
static const double SUM_TOLERANCE = 1e-6; /* of numbers in a file, which are rounded */

typedef struct Options {
    int64_t contexts, responses;
    int preferences;
    double strength, reward_scale;
    const char *preference_file;
    double label_noise;
    int64_t pairs;
    double kl_strength;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_INTEGER(Options, contexts, "10", 1, 4096, "number of contexts, each with its game"),
    RG_OPTION_INTEGER(Options, responses, "10", 2, 256, "number of responses to each context"),
    RG_OPTION_CHOICE(Options, preferences, "random", kinds,
                     "random: every probability is uniform between 0 and 1; cyclic: each response "
                     "beats the next, the last the first, and ties with the others; rewards: "
                     "Bradley-Terry of normally distributed rewards"),
    RG_OPTION_REAL(Options, strength, "1", 0.5, 1,
                   "cyclic: probability that a response is preferred to the next"),
    RG_OPTION_REAL(Options, reward_scale, "1", 0, 1e3,
                   "rewards: standard deviation of the hidden rewards"),
    RG_OPTION_PATH(Options, preference_file, "",
                   "text file with the probabilities that the row is preferred to the column, one "
                   "line per row, one matrix per context; empty: as preferences says"),
    RG_OPTION_REAL(Options, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_INTEGER(Options, pairs, "2000", 1, 1e7,
                      "offline preference pairs, each of two different responses of the reference "
                      "policy"),
    RG_OPTION_REAL(Options, kl_strength, "0.1", 1e-4, 1e3,
                   "strength of the KL terms in the game, beta, that equilibrium and duality gap "
                   "refer to"),
    RG_OPTION_END,
};

typedef struct State {
    Options options;    /* except preference_file */
    double *preference; /* [contexts, responses, responses] */
    double *labels;     /* the same, of labels with their noise */
    double *reward;     /* [contexts, responses], or NULL */
    RgSequences *prompts, *demonstrations;
    RgPairs *pairs;      /* of the last prepare */
    double *equilibrium; /* [contexts, responses], for the last prepare's reference */
} State;

static int64_t cell_count(const Options *o) {
    return o->contexts * o->responses;
}

RgPreferenceTable rg_game_preferences(const RgEnvironment *environment) {
    const State *s = environment->state;
    return (RgPreferenceTable){s->options.contexts, s->options.responses, s->preference};
}

const double *rg_game_nash(const RgEnvironment *environment) {
    return ((const State *)environment->state)->equilibrium;
}

/* Whether the preferences are those of rewards. */
static bool gives_rewards(const void *options) {
    const Options *o = options;
    return o->preferences == PREFER_BY_REWARDS && o->preference_file[0] == '\0';
}

/* ---- the judge ---- */

static int64_t cell_of(const State *s, const RgSequences *sequences, int64_t i) {
    return *rg_sequence_prompt(sequences, i) * s->options.responses +
           *rg_sequence_response(sequences, i);
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    const State *s = ((RgEnvironment *)environment)->state;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = s->reward[cell_of(s, sequences, i)];
    return RG_OK;
}

static RgStatus label(void *environment, const RgSequences *sequences, RgRandom random,
                      uint8_t *preferred, RgError *error) {
    (void)error;
    const State *s = ((RgEnvironment *)environment)->state;
    int64_t n = s->options.responses;
    for (int64_t i = 0; i < sequences->count / 2; i++) {
        int64_t first = cell_of(s, sequences, 2 * i), second = cell_of(s, sequences, 2 * i + 1);
        double probability = s->labels[first * n + second % n];
        preferred[i] = rg_random_uniform(random, (uint64_t)i) < probability ? 0 : 1;
    }
    return RG_OK;
}

/* ---- preferences ---- */

/* Probability that response i is preferred to response j < i in a context. */
static double preference_of(const State *s, int64_t context, int64_t i, int64_t j,
                            RgRandom random) {
    const Options *o = &s->options;
    int64_t n = o->responses;
    switch (o->preferences) {
    case PREFER_IN_A_CYCLE:
        return j == i - 1 ? 1 - o->strength : i == n - 1 && j == 0 ? o->strength : 0.5;
    case PREFER_BY_REWARDS:
        return 1 / (1 + exp(s->reward[context * n + j] - s->reward[context * n + i]));
    default:
        return rg_random_uniform(random, (uint64_t)((context * n + i) * n + j));
    }
}

/* Row i of a context's matrix from what is left of the diagonal; and the column above it. */
static void set_row(const State *s, int64_t context, int64_t i, const double *row) {
    int64_t n = s->options.responses;
    double *matrix = s->preference + context * n * n;
    matrix[i * n + i] = 0.5;
    for (int64_t j = 0; j < i; j++) {
        matrix[i * n + j] = row[j];
        matrix[j * n + i] = 1 - row[j];
    }
}

static void make_preferences(State *s, RgRandom random) {
    const Options *o = &s->options;
    double *row = rg_allocate(o->responses, sizeof *row);
    if (o->preferences == PREFER_BY_REWARDS) {
        s->reward = rg_allocate(cell_count(o), sizeof *s->reward);
        for (int64_t i = 0; i < cell_count(o); i++)
            s->reward[i] =
                o->reward_scale * rg_random_normal(rg_random_named(random, "reward"), (uint64_t)i);
    }
    for (int64_t c = 0; c < o->contexts; c++)
        for (int64_t i = 0; i < o->responses; i++) {
            for (int64_t j = 0; j < i; j++)
                row[j] = preference_of(s, c, i, j, rg_random_named(random, "preference"));
            set_row(s, c, i, row);
        }
    free(row);
}

/* Row i of a matrix [responses, responses] from a file, against the rows before it; `line` has the
 * number of each row's line. */
static RgStatus check_row(const char *path, const double *matrix, const int *line, int64_t n,
                          int64_t i, RgError *error) {
    for (int64_t j = 0; j < n; j++)
        if (matrix[i * n + j] < 0 || matrix[i * n + j] > 1)
            return rg_fail(error, RG_E_FORMAT,
                           "%s:%d: column %lld is %g, expected a probability from 0 to 1", path,
                           line[i], (long long)j + 1, matrix[i * n + j]);
    if (matrix[i * n + i] != 0.5)
        return rg_fail(error, RG_E_FORMAT,
                       "%s:%d: column %lld is %g, expected 0.5, because row %lld of this matrix is "
                       "the same response",
                       path, line[i], (long long)i + 1, matrix[i * n + i], (long long)i + 1);
    for (int64_t j = 0; j < i; j++)
        if (fabs(matrix[i * n + j] + matrix[j * n + i] - 1) > SUM_TOLERANCE)
            return rg_fail(error, RG_E_FORMAT,
                           "%s:%d: column %lld is %g, expected %g: 1 minus column %lld of line %d",
                           path, line[i], (long long)j + 1, matrix[i * n + j],
                           1 - matrix[j * n + i], (long long)i + 1, line[j]);
    return RG_OK;
}

static RgStatus read_preferences(State *s, const char *path, RgError *error) {
    int64_t n = s->options.responses, rows = cell_count(&s->options);
    double *table = rg_allocate(rows * n, sizeof *table);
    int *lines = rg_allocate(rows, sizeof *lines);
    RgStatus status = rg_bandit_read_table(path, rows, n, table, lines, error);
    for (int64_t r = 0; status == RG_OK && r < rows; r++) {
        int64_t first = r / n * n;
        status = check_row(path, table + first * n, lines + first, n, r - first, error);
        if (status == RG_OK)
            set_row(s, r / n, r - first, table + r * n);
    }
    free(lines);
    free(table);
    return status;
}

/* ---- life ---- */

static RgStatus check_options(const Options *o, RgError *error) {
    int64_t n = o->responses;
    if (o->contexts * n * n > MOST_PREFERENCES)
        return rg_fail(error, RG_E_RANGE,
                       "contexts is %lld and responses is %lld: expected at most %d preferences, "
                       "contexts times responses squared",
                       (long long)o->contexts, (long long)n, MOST_PREFERENCES);
    if (o->preferences == PREFER_IN_A_CYCLE && n < 3 && o->preference_file[0] == '\0')
        return rg_fail(error, RG_E_RANGE,
                       "responses is %lld, expected at least 3: fewer make no cycle", (long long)n);
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
    s->options.preference_file = NULL;
    int64_t count = cell_count(o) * o->responses;
    s->preference = rg_allocate(count, sizeof *s->preference);
    if (o->preference_file[0] != '\0')
        RG_TRY(read_preferences(s, o->preference_file, error));
    else
        make_preferences(s, random);
    s->labels = rg_allocate(count, sizeof *s->labels);
    for (int64_t i = 0; i < count; i++)
        s->labels[i] = s->preference[i] + o->label_noise * (1 - 2 * s->preference[i]);
    s->prompts = rg_enumerated_prompts(o->contexts);
    environment->space = (RgPolicySpace){.contexts = o->contexts, .responses = o->responses};
    environment->task = (RgTask){.prompts = s->prompts,
                                 .expected_pairs = o->pairs,
                                 .response_limit = 1,
                                 .end_token = -1,
                                 .judge = s->reward ? judge : NULL,
                                 .environment = environment,
                                 .label_temperature = 1,
                                 .label_noise = o->label_noise,
                                 .label = label,
                                 .preference = s->labels};
    return RG_OK;
}

static void destroy_data(State *s) {
    rg_sequences_destroy(s->demonstrations);
    rg_pairs_destroy(s->pairs);
    free(s->equilibrium);
    s->demonstrations = NULL;
    s->pairs = NULL;
    s->equilibrium = NULL;
}

static void destroy(RgEnvironment *environment) {
    State *s = environment->state;
    destroy_data(s);
    rg_sequences_destroy(s->prompts);
    free(s->reward);
    free(s->labels);
    free(s->preference);
    free(s);
}

/* ---- offline data and the equilibrium ---- */

/* Two different responses of the reference to context i mod contexts. */
static void append_pair(State *s, int64_t i, const double *reference, RgRandom random,
                        double *weight) {
    int64_t n = s->options.responses, context = i % s->options.contexts;
    rg_enumerated_weights(n, reference + context * n, NULL, weight);
    rg_enumerated_append_pair(s->pairs->sequences, (int32_t)context, n, weight,
                              rg_random_at(random, (uint64_t)i));
}

static RgStatus check(const RgEnvironment *environment, const RgPolicy *policy, RgError *error) {
    const Options *o = &((const State *)environment->state)->options;
    return rg_enumerated_check_policy("game", o->contexts, o->responses, policy, error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    State *s = environment->state;
    const Options *o = &s->options;
    destroy_data(s);
    s->pairs = rg_pairs_create();
    s->equilibrium = rg_allocate(cell_count(o), sizeof *s->equilibrium);
    double *table = rg_allocate(cell_count(o), sizeof *table);
    double *weight = rg_allocate(o->responses, sizeof *weight);
    rg_policy_table(reference, table);
    for (int64_t i = 0; i < o->pairs; i++)
        append_pair(s, i, table, rg_random_named(random, "offline responses"), weight);
    RgPreferenceTable preferences = rg_game_preferences(environment);
    RgStatus status =
        rg_game_equilibrium(&preferences, table, o->kl_strength, s->equilibrium, error);
    free(weight);
    free(table);
    RG_TRY(status);
    RG_TRY(rg_enumerated_label_pairs(s->pairs, &environment->task,
                                     rg_random_named(random, "offline labels"), error));
    environment->task.pairs = s->pairs;
    environment->task.demonstrations = s->demonstrations = rg_pairs_chosen(s->pairs);
    return RG_OK;
}

/* ---- evaluation ---- */

/* The metrics, all exact (see the functions in game_metrics.h). Per context, too:
 *   win_rate_worst, win_rate_base, win_rate_nash   min_b P(π ≻ b), P(π ≻ π_ref), P(π ≻ π*)
 *   duality_gap, nash_distance                     at β = kl_strength; KL(π* ‖ π)
 *   kl, entropy, reward                            reward where there are rewards
 */
static RgStatus evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    (void)random; /* nothing is sampled */
    (void)error;
    const State *s = environment->state;
    const Options *o = &s->options;
    RG_ASSERT(s->pairs); /* prepared */
    RgPreferenceTable game = rg_game_preferences(environment);
    RgRewardTable rewards = {o->contexts, o->responses, s->reward};
    double *table = rg_allocate(cell_count(o), sizeof *table);
    double *base = rg_allocate(cell_count(o), sizeof *base);
    double *column = rg_allocate(o->contexts, sizeof *column);
    rg_policy_table(contender->policy, table);
    rg_policy_table(contender->reference, base);
    rg_contender_table(contender, s->reward, o->contexts, o->responses, table);

    rg_game_worst_win_rate(&game, table, column);
    rg_evaluation_column_and_mean(evaluation, "win_rate_worst", column, o->contexts);
    rg_game_win_rate(&game, table, base, column);
    rg_evaluation_column_and_mean(evaluation, "win_rate_base", column, o->contexts);
    rg_game_win_rate(&game, table, s->equilibrium, column);
    rg_evaluation_column_and_mean(evaluation, "win_rate_nash", column, o->contexts);
    rg_game_duality_gap(&game, table, base, o->kl_strength, column);
    rg_evaluation_column_and_mean(evaluation, "duality_gap", column, o->contexts);
    rg_game_divergence(&game, s->equilibrium, table, column);
    rg_evaluation_column_and_mean(evaluation, "nash_distance", column, o->contexts);
    rg_bandit_kl(&rewards, table, base, column);
    rg_evaluation_column_and_mean(evaluation, "kl", column, o->contexts);
    rg_bandit_entropy(&rewards, table, column);
    rg_evaluation_column_and_mean(evaluation, "entropy", column, o->contexts);
    if (s->reward) {
        rg_bandit_expected_reward(&rewards, table, column);
        rg_evaluation_column_and_mean(evaluation, "reward", column, o->contexts);
    }
    free(column);
    free(base);
    free(table);
    return RG_OK;
}

static const char *const metrics[] = {
    "win_rate_worst", "win_rate_base", "win_rate_nash",
    "duality_gap",    "nash_distance", "kl",
    "entropy",        "reward",        NULL,
};

static bool measures(const void *options, const char *metric) {
    return strcmp(metric, "reward") != 0 || gives_rewards(options);
}

const RgEnvironmentType rg_environment_game = {
    .about = {.name = "game",
              .summary = "General preferences over enumerated responses, cyclic ones among them; "
                         "every metric is exact",
              .reference = "regularised preference games (Munos et al. 2023, arXiv:2312.00886)",
              .options = options_table,
              .options_size = sizeof(Options)},
    .primary_metric = "win_rate_worst",
    .metrics = metrics,
    .create = create,
    .check = check,
    .prepare = prepare,
    .evaluate = evaluate,
    .destroy = destroy,
    .gives_rewards = gives_rewards,
    .measures = measures,
};
