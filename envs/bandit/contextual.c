/* SPDX-License-Identifier: MIT */
/* The contextual-bandit environment: contexts are rows of features, drawn uniformly, and a policy
 * has to generalise over them. Some contexts have offline pairs, some are prompts without pairs, and
 * others are for evaluation alone, whose metrics sum over all responses. The rewards are in
 * contextual_rewards.c; bandit.c has contexts without features, which are evaluated themselves. */
#include "envs/bandit/bandit_metrics.h"
#include "envs/bandit/contextual_rewards.h"
#include "envs/enumerated.h"
#include "envs/environment.h"

#include "core/models/enumerated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CELLS = 1 << 24, MOST_PAIRS = 1 << 22 };

enum { REWARD_NETWORK, REWARD_PEAK, REWARD_WAVE };
static const char *const rewards[] = {"network", "peak", "wave", NULL};

enum { BEHAVIOUR_UNIFORM, BEHAVIOUR_CAUCHY, BEHAVIOUR_REFERENCE };
static const char *const behaviours[] = {"uniform", "cauchy", "reference", NULL};

typedef struct Options {
    int64_t pair_contexts, fresh_contexts, test_contexts, responses;
    int64_t feature_count;
    double feature_low, feature_high;
    int reward;
    int64_t reward_hidden;
    double peak_centre, peak_width;
    int behaviour;
    double cauchy_location, cauchy_scale;
    int64_t group_size;
    double least_gap, label_temperature, label_noise, kl_strength;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_INTEGER(Options, pair_contexts, "50", 1, 65536,
                      "contexts with offline pairs, which are training prompts, too"),
    RG_OPTION_INTEGER(Options, fresh_contexts, "0", 0, 65536,
                      "further training prompts, which have no pairs"),
    RG_OPTION_INTEGER(Options, test_contexts, "1000", 1, 65536,
                      "contexts of the evaluation, which no training prompt has"),
    RG_OPTION_INTEGER(Options, responses, "10", 2, 4096, "number of responses to each context"),
    RG_OPTION_INTEGER(Options, feature_count, "50", 1, 4096, "features of a context"),
    RG_OPTION_REAL(Options, feature_low, "-1", -1e3, 1e3,
                   "features are uniform between this number and feature_high"),
    RG_OPTION_REAL(Options, feature_high, "1", -1e3, 1e3, "upper end of the features' range"),
    RG_OPTION_CHOICE(
        Options, reward, "network", rewards,
        "reward of a response: network, r + sign(r) of a hidden network with one layer "
        "for the context and one for the response; peak, exp(-((a - centre)/width)^2) "
        "of the response a = 0, 1, ...; or wave, a cos(pi s) + 2 sin(pi s)/a of the "
        "context's first feature s and a = 1, 2, ..., with features for log-linear "
        "policies in which sine and cosine are exchanged"),
    RG_OPTION_INTEGER(Options, reward_hidden, "64", 1, 4096,
                      "units of each hidden layer of the reward \"network\""),
    RG_OPTION_REAL(Options, peak_centre, "0", -1e6, 1e6,
                   "best response of the reward \"peak\", counted from 0"),
    RG_OPTION_REAL(Options, peak_width, "10", 1e-3, 1e6, "width of the reward \"peak\""),
    RG_OPTION_CHOICE(
        Options, behaviour, "uniform", behaviours,
        "policy that wrote the offline responses: uniform; cauchy, the bins of tanh(z) "
        "on [-1, 1] with z of a Cauchy distribution; or reference, the reference "
        "policy"),
    RG_OPTION_REAL(Options, cauchy_location, "-0.7", -10, 10, "location of the behaviour cauchy"),
    RG_OPTION_REAL(Options, cauchy_scale, "0.4", 1e-3, 1e3, "scale of the behaviour cauchy"),
    RG_OPTION_INTEGER(Options, group_size, "2", 2, 64,
                      "different offline responses to a context; every two of them are a pair, and "
                      "the one preferred most often is the demonstration"),
    RG_OPTION_REAL(Options, least_gap, "0", 0, 1e6,
                   "offline pairs whose rewards differ by less are left out"),
    RG_OPTION_REAL(Options, label_temperature, "1", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger reward"),
    RG_OPTION_REAL(Options, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_REAL(Options, kl_strength, "0.01", 1e-6, 1e3,
                   "strength of the KL term in the value that regret refers to, beta*"),
    RG_OPTION_END,
};

/* Contexts in order: those with pairs, the fresh ones, those of the test. */
typedef struct State {
    Options options;
    int64_t contexts;
    double *features;        /* [contexts, feature_count] */
    double *reward;          /* [contexts, responses] */
    double *policy_features; /* [contexts, responses, 2] of the reward "wave", or NULL */
    double *prior;           /* [responses] of a behaviour that ignores the context, or NULL */
    RgSequences *prompts, *demonstrations;
    RgPairs *pairs; /* of the last prepare */
} State;

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    const State *s = ((RgEnvironment *)environment)->state;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = s->reward[*rg_sequence_prompt(sequences, i) * s->options.responses +
                              *rg_sequence_response(sequences, i)];
    return RG_OK;
}

/* ---- life ---- */

static int64_t pairs_of_group(const Options *o) {
    return o->group_size * (o->group_size - 1) / 2;
}

static RgStatus check_options(const Options *o, RgError *error) {
    double contexts = (double)(o->pair_contexts + o->fresh_contexts + o->test_contexts);
    double widest = (double)(o->responses > o->feature_count ? o->responses : o->feature_count);
    if (contexts * widest > MOST_CELLS)
        return rg_fail(error, RG_E_RANGE,
                       "there are %.0f contexts: expected contexts times responses, and contexts "
                       "times features, of at most %d",
                       contexts, MOST_CELLS);
    if (o->feature_low >= o->feature_high)
        return rg_fail(error, RG_E_RANGE,
                       "feature_low is %g, expected less than feature_high, which is %g",
                       o->feature_low, o->feature_high);
    if (o->group_size > o->responses)
        return rg_fail(error, RG_E_RANGE, "group_size is %lld, expected at most the %lld responses",
                       (long long)o->group_size, (long long)o->responses);
    if ((double)o->pair_contexts * (double)pairs_of_group(o) > MOST_PAIRS)
        return rg_fail(error, RG_E_RANGE,
                       "group_size is %lld, expected at most %d pairs over the %lld pair_contexts",
                       (long long)o->group_size, MOST_PAIRS, (long long)o->pair_contexts);
    return RG_OK;
}

/* The features of a context depend on its own number in its own part, so that more fresh contexts do
 * not change those of the test. */
static void draw_features(const Options *o, RgRandom random, double *features) {
    const char *const part[] = {"pair contexts", "fresh contexts", "test contexts"};
    const int64_t count[] = {o->pair_contexts, o->fresh_contexts, o->test_contexts};
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < count[k]; i++) {
            RgRandom own = rg_random_at(rg_random_named(random, part[k]), (uint64_t)i);
            for (int64_t j = 0; j < o->feature_count; j++)
                *features++ = o->feature_low + (o->feature_high - o->feature_low) *
                                                   rg_random_uniform(own, (uint64_t)j);
        }
}

static void find_rewards(State *s, RgRandom random) {
    const Options *o = &s->options;
    RgContexts contexts = {s->contexts, o->feature_count, s->features};
    if (o->reward == REWARD_NETWORK)
        rg_contextual_network_reward(&contexts, o->responses, o->reward_hidden,
                                     rg_random_named(random, "reward"), s->reward);
    else if (o->reward == REWARD_PEAK)
        rg_contextual_peak_reward(&contexts, o->responses, o->peak_centre, o->peak_width,
                                  s->reward);
    else
        rg_contextual_wave_reward(&contexts, o->responses, s->reward);
    if (o->reward == REWARD_WAVE) {
        s->policy_features = rg_allocate(2 * s->contexts * o->responses, sizeof(double));
        rg_contextual_flipped_features(&contexts, o->responses, s->policy_features);
    }
}

static void find_prior(State *s) {
    const Options *o = &s->options;
    if (o->behaviour == BEHAVIOUR_REFERENCE)
        return;
    s->prior = rg_allocate(o->responses, sizeof *s->prior);
    if (o->behaviour == BEHAVIOUR_CAUCHY)
        rg_contextual_cauchy_policy(o->responses, o->cauchy_location, o->cauchy_scale, s->prior);
    for (int64_t r = 0; o->behaviour == BEHAVIOUR_UNIFORM && r < o->responses; r++)
        s->prior[r] = -log((double)o->responses);
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    const Options *o = options;
    RG_TRY(check_options(o, error));
    State *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *o;
    s->contexts = o->pair_contexts + o->fresh_contexts + o->test_contexts;
    s->features = rg_allocate(s->contexts * o->feature_count, sizeof *s->features);
    s->reward = rg_allocate(s->contexts * o->responses, sizeof *s->reward);
    draw_features(o, random, s->features);
    find_rewards(s, random);
    find_prior(s);
    s->prompts = rg_enumerated_prompts(o->pair_contexts + o->fresh_contexts);

    environment->space = (RgPolicySpace){.contexts = s->contexts,
                                         .responses = o->responses,
                                         .features = s->policy_features,
                                         .feature_count = s->policy_features ? 2 : 0,
                                         .context_features = s->features,
                                         .context_feature_count = o->feature_count,
                                         .prior = s->prior};
    environment->task = (RgTask){.prompts = s->prompts,
                                 .expected_pairs = o->pair_contexts * pairs_of_group(o),
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
    free(s->prior);
    free(s->policy_features);
    free(s->reward);
    free(s->features);
    free(s);
}

/* ---- offline data ---- */

/* Every two responses of a context's group, as pairs without labels. */
static void append_group(const State *s, int32_t context, const double *logprob, RgRandom random,
                         RgSequences *pairs) {
    const Options *o = &s->options;
    int32_t *group = rg_allocate(o->group_size, sizeof *group);
    double *weight = rg_allocate(o->responses, sizeof *weight);
    rg_enumerated_weights(o->responses, logprob, NULL, weight);
    for (int64_t k = 0; k < o->group_size; k++) {
        group[k] =
            (int32_t)rg_random_choice(rg_random_uniform(random, (uint64_t)k), weight, o->responses);
        weight[group[k]] = 0;
    }
    for (int64_t a = 0; a < o->group_size; a++)
        for (int64_t b = a + 1; b < o->group_size; b++) {
            rg_sequences_append(pairs, &context, 1, &group[a], 1);
            rg_sequences_append(pairs, &context, 1, &group[b], 1);
        }
    free(weight);
    free(group);
}

/* All pairs of all groups, with labels. */
static RgStatus draw_groups(const State *s, const RgTask *task, const RgPolicy *reference,
                            RgRandom random, RgPairs *pairs, RgError *error) {
    const Options *o = &s->options;
    RgRandom draw = rg_random_named(random, "offline responses");
    double *table = rg_allocate(o->responses, sizeof *table);
    for (int32_t c = 0; c < o->pair_contexts; c++) {
        if (!s->prior)
            rg_policy_table_rows(reference, &c, 1, table);
        append_group(s, c, s->prior ? s->prior : table, rg_random_at(draw, (uint64_t)c),
                     pairs->sequences);
    }
    free(table);
    return rg_enumerated_label_pairs(pairs, task, rg_random_named(random, "offline labels"), error);
}

/* The response of each group that was preferred most often, the first of equals. */
static RgSequences *most_preferred(const State *s, const RgPairs *pairs) {
    int64_t n = s->options.responses, of_group = pairs_of_group(&s->options);
    int64_t *wins = rg_allocate(n, sizeof *wins);
    RgSequences *chosen = rg_sequences_create();
    for (int64_t first = 0; first < pairs->count; first += of_group) {
        int64_t best = 2 * first + pairs->preferred[first];
        memset(wins, 0, (size_t)n * sizeof *wins);
        for (int64_t i = first; i < first + of_group; i++) {
            int64_t y = 2 * i + pairs->preferred[i];
            wins[*rg_sequence_response(pairs->sequences, y)]++;
        }
        for (int64_t y = 2 * first; y < 2 * (first + of_group); y++)
            if (wins[*rg_sequence_response(pairs->sequences, y)] >
                wins[*rg_sequence_response(pairs->sequences, best)])
                best = y;
        rg_sequences_append_from(chosen, pairs->sequences, best, false);
    }
    free(wins);
    return chosen;
}

static double reward_of(const State *s, const RgSequences *sequences, int64_t i) {
    return s->reward[*rg_sequence_prompt(sequences, i) * s->options.responses +
                     *rg_sequence_response(sequences, i)];
}

/* Those pairs whose rewards differ by least_gap or more. */
static RgPairs *with_gap(const State *s, const RgPairs *all) {
    RgPairs *kept = rg_pairs_create();
    for (int64_t i = 0; i < all->count; i++) {
        double gap = reward_of(s, all->sequences, 2 * i) - reward_of(s, all->sequences, 2 * i + 1);
        if (fabs(gap) < s->options.least_gap)
            continue;
        rg_sequences_append_pair(kept->sequences, all->sequences, i);
        rg_pairs_append_label(kept, all->preferred[i]);
    }
    return kept;
}

static RgStatus check(const RgEnvironment *environment, const RgPolicy *policy, RgError *error) {
    const State *s = environment->state;
    return rg_enumerated_check_policy("contextual-bandit", s->contexts, s->options.responses,
                                      policy, error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    State *s = environment->state;
    destroy_data(s);
    RgPairs *all = rg_pairs_create();
    RgStatus status = draw_groups(s, &environment->task, reference, random, all, error);
    if (status == RG_OK) {
        s->demonstrations = most_preferred(s, all);
        s->pairs = with_gap(s, all);
    }
    rg_pairs_destroy(all);
    RG_TRY(status);
    if (s->pairs->count == 0)
        return rg_fail(error, RG_E_RANGE,
                       "least_gap is %g, and the rewards of no offline pair differ by so much: "
                       "expected less, or more pair_contexts",
                       s->options.least_gap);
    environment->task.pairs = s->pairs;
    environment->task.demonstrations = s->demonstrations;
    return RG_OK;
}

/* ---- evaluation ---- */

/* Log-probabilities of contender and reference in `count` contexts from `first` on, and the rewards
 * there. */
typedef struct View {
    RgRewardTable rewards;
    double *policy, *reference; /* [count, responses] */
} View;

static View view_of(const State *s, const RgContender *contender, int64_t first, int64_t count) {
    int64_t n = s->options.responses;
    View v = {.rewards = {count, n, s->reward + first * n},
              .policy = rg_allocate(count * n, sizeof(double)),
              .reference = rg_allocate(count * n, sizeof(double))};
    int32_t *contexts = rg_allocate(count, sizeof *contexts);
    for (int64_t i = 0; i < count; i++)
        contexts[i] = (int32_t)(first + i);
    rg_policy_table_rows(contender->policy, contexts, count, v.policy);
    rg_contender_table(contender, v.rewards.reward, count, n, v.policy);
    rg_policy_table_rows(contender->reference, contexts, count, v.reference);
    free(contexts);
    return v;
}

static void view_end(View v) {
    free(v.policy);
    free(v.reference);
}

/* Share of the offline pairs whose preferred response has the larger implicit reward; 0 counts
 * half. */
static double reward_accuracy(const State *s, const View *of_pairs) {
    const RgSequences *q = s->pairs->sequences;
    int64_t n = s->options.responses;
    double right = 0;
    for (int64_t i = 0; i < s->pairs->count; i++) {
        double h[2];
        for (int k = 0; k < 2; k++) {
            int64_t cell =
                *rg_sequence_prompt(q, 2 * i + k) * n + *rg_sequence_response(q, 2 * i + k);
            h[k] = of_pairs->policy[cell] - of_pairs->reference[cell];
        }
        double gap = s->pairs->preferred[i] == 0 ? h[0] - h[1] : h[1] - h[0];
        right += gap > 0 ? 1 : gap < 0 ? 0 : 0.5;
    }
    return right / (double)s->pairs->count;
}

/* The metrics, exact over responses and means over the test contexts (bandit_metrics.h):
 *   reward           also per context
 *   optimality_gap   E_c[max r] − E_π[r]
 *   kl, entropy, win_rate_base, objective (at the β of implicit rewards)
 *   value, regret    J_β(π) and J*_β − J_β(π) at β = kl_strength
 * and of the contexts with pairs: reward_training, reward_accuracy. */
static RgStatus evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    (void)random; /* nothing is sampled */
    (void)error;
    const State *s = environment->state;
    const Options *o = &s->options;
    RG_ASSERT(s->pairs); /* prepared */
    View v = view_of(s, contender, o->pair_contexts + o->fresh_contexts, o->test_contexts);
    View known = view_of(s, contender, 0, o->pair_contexts);
    double *column = rg_allocate(o->test_contexts, sizeof *column);
    double reward = rg_bandit_expected_reward(&v.rewards, v.policy, column);
    double kl = rg_bandit_kl(&v.rewards, v.policy, v.reference, NULL);
    double value = rg_bandit_value(&v.rewards, v.policy, v.reference, o->kl_strength, NULL);
    rg_evaluation_column_and_mean(evaluation, "reward", column, o->test_contexts);
    rg_evaluation_metric(evaluation, "optimality_gap",
                         rg_bandit_best_reward(&v.rewards, NULL) - reward);
    rg_evaluation_metric(evaluation, "kl", kl);
    rg_evaluation_metric(evaluation, "entropy", rg_bandit_entropy(&v.rewards, v.policy, NULL));
    rg_evaluation_metric(evaluation, "win_rate_base",
                         rg_bandit_win_rate(&v.rewards, v.policy, v.reference, NULL));
    rg_evaluation_metric(evaluation, "objective", reward - contender->beta * kl);
    rg_evaluation_metric(evaluation, "value", value);
    rg_evaluation_metric(evaluation, "regret",
                         rg_bandit_optimal(&v.rewards, v.reference, o->kl_strength, NULL) - value);
    rg_evaluation_metric(evaluation, "reward_training",
                         rg_bandit_expected_reward(&known.rewards, known.policy, NULL));
    rg_evaluation_metric(evaluation, "reward_accuracy", reward_accuracy(s, &known));
    free(column);
    view_end(known);
    view_end(v);
    return RG_OK;
}

static const char *const metrics[] = {
    "reward",          "optimality_gap",  "kl",    "entropy",
    "win_rate_base",   "objective",       "value", "regret",
    "reward_training", "reward_accuracy", NULL,
};

const RgEnvironmentType rg_environment_contextual_bandit = {
    .about = {.name = "contextual-bandit",
              .summary =
                  "Contexts with features, some of them held out; every metric is exact over "
                  "responses",
              .reference =
                  "contextual bandits with a known reward; the settings of arXiv:2312.10584 "
                  "and arXiv:2404.14367",
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
