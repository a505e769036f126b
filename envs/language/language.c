/* SPDX-License-Identifier: MIT */
/* The language environment: all sentences with their rewards, offline pairs of the reference's
 * sentences, the judge, and an evaluation over all sentences. language_file.c reads the language,
 * language_metrics.c has the sums that go by rewards and over pairs, and bandit_metrics.c the plain
 * ones. */
#include "envs/language/language.h"

#include "envs/bandit/bandit_metrics.h"
#include "envs/language/language_pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEMONSTRATIONS_CHOSEN, DEMONSTRATIONS_GRAMMAR };
static const char *const demonstration_sources[] = {"chosen", "grammar", NULL};

enum { GENERATOR_OWN, GENERATOR_MULBERRY32 };
static const char *const generators[] = {"own", "mulberry32", NULL};

typedef struct Options {
    const char *language;
    int64_t groups, group_size;
    double judge_error, label_temperature, label_noise;
    int pair_generator;
    int64_t pair_seed;
    int demonstrations;
    int64_t demonstration_count;
    double kl_strength;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_PATH(Options, language, NULL,
                   "file of the language: its words, its grammar, and the reward of a sentence"),
    RG_OPTION_INTEGER(
        Options, groups, "1000", 1, 1e6,
        "groups of sentences sampled from the reference policy; the offline pairs are "
        "all pairs in a group with different rewards"),
    RG_OPTION_INTEGER(Options, group_size, "4", 2, 64, "sentences of a group"),
    RG_OPTION_REAL(
        Options, judge_error, "0", 0, 1e3,
        "standard deviation of the judge's error, a sum of normally distributed numbers, "
        "one for each word by its place and the word before it; metrics are of the true "
        "rewards",
        .later = true),
    RG_OPTION_REAL(Options, label_temperature, "0", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger reward"),
    RG_OPTION_REAL(Options, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_CHOICE(Options, pair_generator, "own", generators,
                     "random numbers of the offline pairs: own, the trial's, for sentences of the "
                     "reference policy; or mulberry32, for sentences of the grammar that other "
                     "programs can draw alike, the same in every trial",
                     .later = true),
    RG_OPTION_INTEGER(Options, pair_seed, "1", 0, 4294967295.0, "mulberry32: the generator's seed",
                      .later = true),
    RG_OPTION_CHOICE(Options, demonstrations, "chosen", demonstration_sources,
                     "sentences for supervised training: chosen, the preferred ones of the offline "
                     "pairs; grammar, sampled from the grammar, for the base model of a "
                     "transformer"),
    RG_OPTION_INTEGER(Options, demonstration_count, "20000", 1, 1e7,
                      "demonstrations sampled from the grammar"),
    RG_OPTION_REAL(Options, kl_strength, "0.1", 1e-6, 1e3,
                   "strength of the KL term in the value that regret refers to, beta*"),
    RG_OPTION_END,
};

/* What evaluations need of the reference; made in prepare. */
typedef struct Base {
    double *logprob;      /* [sentences] */
    double *mass;         /* [levels] */
    double optimal_value; /* J*_β at β = kl_strength */
    uint64_t parameters_hash;
} Base;

typedef struct State {
    Options options; /* except the path */
    RgLanguage *language;
    double *grammar;        /* log-probabilities of the smoothed rows [rows, words] */
    RgSequences *sentences; /* all */
    double *reward;         /* [sentences->count] */
    double *judged;         /* the judge's: these and its error, or `reward` itself */
    bool *grammatical;      /* [sentences->count] */
    RgLevels levels, judged_levels;
    RgSequences *prompts, *demonstrations;
    RgPairs *pairs; /* of the last prepare */
    Base base;
} State;

RgLanguageView rg_language_view(const RgEnvironment *environment) {
    const State *s = environment->state;
    return (RgLanguageView){s->language, s->sentences, s->judged, &s->judged_levels};
}

int64_t rg_language_number(const RgLanguage *l, const int32_t *sentence) {
    int64_t number = 0;
    for (int64_t t = 0; t < l->length; t++)
        number = number * l->words + sentence[t];
    return number;
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    const State *s = ((RgEnvironment *)environment)->state;
    for (int64_t i = 0; i < sequences->count; i++)
        reward[i] = s->judged[rg_language_number(s->language, rg_sequence_response(sequences, i))];
    return RG_OK;
}

/* ---- life ---- */

/* The prompt: one token, which at the first place of a sequence stands for the start. */
static const int32_t start_token = 0;

/* The judge's error in a sentence has this standard deviation over languages; sentences with words in
 * common have errors in common, as those of a learned reward have. */
static double error_of(const State *s, const int32_t *sentence, RgRandom random) {
    const RgLanguage *l = s->language;
    double sum = 0;
    for (int64_t t = 0; t < l->length; t++) {
        int64_t cell = rg_language_row(l, t, t > 0 ? sentence[t - 1] : 0) * l->words + sentence[t];
        sum += rg_random_normal(random, (uint64_t)cell);
    }
    return s->options.judge_error * sum / sqrt((double)l->length);
}

/* All sentences in the order of a dictionary, with their rewards. */
static void enumerate(State *s, RgRandom judge_error) {
    const RgLanguage *l = s->language;
    int64_t count = (int64_t)rg_language_sentences(l);
    int32_t *sentence = rg_allocate(l->length, sizeof *sentence);
    s->sentences = rg_sequences_create();
    s->reward = rg_allocate(count, sizeof *s->reward);
    s->judged = s->options.judge_error > 0 ? rg_allocate(count, sizeof *s->judged) : s->reward;
    s->grammatical = rg_allocate(count, sizeof *s->grammatical);
    for (int64_t i = 0; i < count; i++) {
        rg_sequences_append(s->sentences, &start_token, 1, sentence, l->length);
        s->reward[i] = rg_language_reward(l, sentence);
        if (s->judged != s->reward)
            s->judged[i] = s->reward[i] + error_of(s, sentence, judge_error);
        s->grammatical[i] = rg_language_is_grammatical(l, sentence);
        for (int64_t t = l->length - 1; t >= 0 && ++sentence[t] == l->words; t--)
            sentence[t] = 0;
    }
    free(sentence);
    s->levels = rg_levels_create(s->reward, count);
    s->judged_levels = s->judged != s->reward ? rg_levels_create(s->judged, count) : s->levels;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    const Options *o = options;
    State *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *o;
    s->options.language = NULL;
    RG_TRY(rg_language_read(o->language, &s->language, error));
    const RgLanguage *l = s->language;
    s->grammar = rg_allocate(rg_language_rows(l) * l->words, sizeof *s->grammar);
    rg_language_logprob(l, s->grammar);
    enumerate(s, rg_random_named(random, "judge error"));
    s->prompts = rg_sequences_create();
    rg_sequences_append(s->prompts, &start_token, 1, NULL, 0);

    environment->space =
        (RgPolicySpace){.vocabulary = l->words, .response_length = l->length, .bigram = s->grammar};
    environment->task =
        (RgTask){.prompts = s->prompts,
                 .expected_pairs = o->groups * o->group_size * (o->group_size - 1) / 2,
                 .response_limit = l->length,
                 .tokens = l->words,
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
    free(s->base.logprob);
    free(s->base.mass);
    s->demonstrations = NULL;
    s->pairs = NULL;
    s->base = (Base){0};
}

static void destroy(RgEnvironment *environment) {
    State *s = environment->state;
    destroy_data(s);
    rg_sequences_destroy(s->prompts);
    rg_sequences_destroy(s->sentences);
    if (s->judged != s->reward) {
        rg_levels_clear(&s->judged_levels);
        free(s->judged);
    }
    rg_levels_clear(&s->levels);
    rg_language_destroy(s->language);
    free(s->grammar);
    free(s->reward);
    free(s->grammatical);
    free(s);
}

/* ---- policies ---- */

void rg_language_table(const RgEnvironment *environment, RgPolicy *policy, double *logprob) {
    enum { AT_A_TIME = 2048 }; /* sentences of a pass, which bounds its memory */
    const RgSequences *all = ((const State *)environment->state)->sentences;
    int64_t start[AT_A_TIME + 1];
    double most = -INFINITY, sum = 0;
    for (int64_t first = 0; first < all->count; first += AT_A_TIME) {
        int64_t last = first + AT_A_TIME < all->count ? first + AT_A_TIME : all->count;
        RgSequences some = rg_sequences_view(all, first, last, start);
        rg_policy_logprob_values(policy, &some, logprob + first);
    }
    for (int64_t i = 0; i < all->count; i++)
        most = fmax(most, logprob[i]);
    for (int64_t i = 0; i < all->count; i++)
        sum += exp(logprob[i] - most);
    for (int64_t i = 0; i < all->count; i++)
        logprob[i] -= most + log(sum);
}

static void know_reference(const RgEnvironment *environment, RgPolicy *reference) {
    State *s = environment->state;
    Base *b = &s->base;
    RgRewardTable table = {1, s->sentences->count, s->reward};
    uint64_t hash = rg_parameters_hash(reference->parameters);
    if (b->logprob && b->parameters_hash == hash)
        return;
    free(b->logprob);
    free(b->mass);
    *b = (Base){.logprob = rg_allocate(table.responses, sizeof *b->logprob),
                .mass = rg_allocate(s->levels.levels, sizeof *b->mass),
                .parameters_hash = hash};
    rg_language_table(environment, reference, b->logprob);
    rg_levels_mass(&s->levels, b->logprob, b->mass);
    b->optimal_value = rg_bandit_optimal(&table, b->logprob, s->options.kl_strength, NULL);
}

/* ---- offline data ---- */

/* All pairs of a group with different rewards; `first` is the number of its first sentence. */
static void append_group(const State *s, const RgSequences *drawn, const double *reward,
                         int64_t first, RgSequences *out) {
    for (int64_t i = first; i < first + s->options.group_size; i++)
        for (int64_t j = i + 1; j < first + s->options.group_size; j++)
            if (reward[i] != reward[j]) {
                rg_sequences_append_from(out, drawn, i, false);
                rg_sequences_append_from(out, drawn, j, false);
            }
}

/* Pairs that do not depend on the trial. */
static void draw_published_pairs(State *s) {
    const Options *o = &s->options;
    const RgMulberryPairs from = {.language = s->language,
                                  .logprob = s->grammar,
                                  .reward = s->judged,
                                  .groups = o->groups,
                                  .group_size = o->group_size,
                                  .seed = (uint32_t)o->pair_seed,
                                  .label_temperature = o->label_temperature,
                                  .label_noise = o->label_noise,
                                  .start = start_token};
    rg_language_mulberry_pairs(&from, s->pairs);
}

static RgStatus sample_pairs(State *s, const RgTask *task, RgPolicy *reference, RgRandom random,
                             RgError *error) {
    const Options *o = &s->options;
    RgSampling sampling = {.temperature = 1,
                           .top_p = 1,
                           .response_limit = task->response_limit,
                           .tokens = task->tokens,
                           .end_token = -1};
    RgSequences *drawn = rg_sequences_create(), *pairs = rg_sequences_create();
    rg_policy_sample(reference, s->prompts, o->groups * o->group_size, &sampling,
                     rg_random_named(random, "offline responses"), drawn, NULL);
    double *reward = rg_allocate(drawn->count, sizeof *reward);
    judge(task->environment, drawn, reward, NULL);
    for (int64_t i = 0; i < drawn->count; i += o->group_size)
        append_group(s, drawn, reward, i, pairs);
    uint8_t *preferred = rg_allocate(pairs->count / 2, sizeof *preferred);
    RgStatus status =
        rg_task_label(task, pairs, rg_random_named(random, "offline labels"), preferred, error);
    if (status == RG_OK)
        rg_pairs_append_labelled(s->pairs, pairs, preferred);
    free(preferred);
    free(reward);
    rg_sequences_destroy(pairs);
    rg_sequences_destroy(drawn);
    return status;
}

static RgStatus make_pairs(State *s, const RgTask *task, RgPolicy *reference, RgRandom random,
                           RgError *error) {
    const Options *o = &s->options;
    s->pairs = rg_pairs_create();
    if (o->pair_generator == GENERATOR_MULBERRY32)
        draw_published_pairs(s);
    else
        RG_TRY(sample_pairs(s, task, reference, random, error));
    if (s->pairs->count == 0)
        return rg_fail(error, RG_E_USAGE,
                       "environment: none of the %lld groups of %lld sentences has two different "
                       "rewards: expected more groups, or a language with more rewards",
                       (long long)o->groups, (long long)o->group_size);
    return RG_OK;
}

/* Sentences sampled from the rows of the grammar. */
static RgSequences *sample_grammar(const State *s, RgRandom random) {
    const RgLanguage *l = s->language;
    RgSequences *out = rg_sequences_create();
    int32_t *sentence = rg_allocate(l->length, sizeof *sentence);
    double *row = rg_allocate(l->words, sizeof *row);
    for (int64_t i = 0; i < s->options.demonstration_count; i++) {
        RgRandom own = rg_random_at(random, (uint64_t)i);
        for (int64_t t = 0; t < l->length; t++) {
            int64_t at = rg_language_row(l, t, t > 0 ? sentence[t - 1] : 0) * l->words;
            for (int64_t w = 0; w < l->words; w++)
                row[w] = exp(s->grammar[at + w]);
            sentence[t] =
                (int32_t)rg_random_choice(rg_random_uniform(own, (uint64_t)t), row, l->words);
        }
        rg_sequences_append(out, &start_token, 1, sentence, l->length);
    }
    free(row);
    free(sentence);
    return out;
}

static RgStatus check(const RgEnvironment *environment, const RgPolicy *policy, RgError *error) {
    const State *s = environment->state;
    if (policy->type->logits || policy->type->words_per_token || !policy->type->vocabulary ||
        policy->type->vocabulary(policy, true) != s->language->words)
        return rg_fail(error, RG_E_USAGE,
                       "the language has %lld words, and the %s policy is none over as many "
                       "tokens: expected a bigram or transformer policy made for it",
                       (long long)s->language->words, policy->type->about.name);
    return rg_policy_check(policy, s->sentences, "sentences of the language", error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    State *s = environment->state;
    destroy_data(s);
    RG_TRY(make_pairs(s, &environment->task, reference, random, error));
    s->demonstrations = s->options.demonstrations == DEMONSTRATIONS_GRAMMAR
                            ? sample_grammar(s, rg_random_named(random, "demonstrations"))
                            : rg_pairs_chosen(s->pairs);
    know_reference(environment, reference);
    environment->task.pairs = s->pairs;
    environment->task.demonstrations = s->demonstrations;
    return RG_OK;
}

/* ---- evaluation ---- */

/* Number of sequence i of the pairs among all sentences. */
static int64_t number_of(const State *s, int64_t i) {
    return rg_language_number(s->language, rg_sequence_response(s->pairs->sequences, i));
}

/* The rewards of the preferred sentences of the pairs: mass [levels] out. */
static void preferred_mass(const State *s, double *mass) {
    memset(mass, 0, (size_t)s->levels.levels * sizeof *mass);
    for (int64_t i = 0; i < s->pairs->count; i++)
        mass[s->levels.level[number_of(s, 2 * i + s->pairs->preferred[i])]] +=
            1 / (double)s->pairs->count;
}

/* Of the offline pairs in preferred order: h of both sides, β·Δ, the share of positive ones (0
 * counts half), and −log σ(β·Δ). */
static void implicit_rewards(const State *s, const double *table, double beta,
                             RgEvaluation *evaluation) {
    const double *base = s->base.logprob;
    double margin = 0, right = 0, loss = 0, h[2] = {0}, count = (double)s->pairs->count;
    for (int64_t i = 0; i < s->pairs->count; i++) {
        int64_t chosen = number_of(s, 2 * i + s->pairs->preferred[i]);
        int64_t rejected = number_of(s, 2 * i + 1 - s->pairs->preferred[i]);
        double of_chosen = table[chosen] - base[chosen];
        double of_rejected = table[rejected] - base[rejected], gap = of_chosen - of_rejected;
        double u = beta * gap;
        h[0] += of_chosen / count;
        h[1] += of_rejected / count;
        loss += (fmax(-u, 0) + log1p(exp(-fabs(u)))) / count;
        margin += beta * gap / count;
        right += (gap > 0 ? 1 : gap < 0 ? 0 : 0.5) / count;
    }
    rg_evaluation_metric(evaluation, "reward_margin", margin);
    rg_evaluation_metric(evaluation, "reward_accuracy", right);
    rg_evaluation_metric(evaluation, "chosen_log_ratio", h[0]);
    rg_evaluation_metric(evaluation, "rejected_log_ratio", h[1]);
    rg_evaluation_metric(evaluation, "pair_loss", loss);
}

/* The probability of the sentences that are in no offline pair. */
static double unseen_mass(const State *s, const double *table) {
    bool *seen = rg_allocate(s->sentences->count, sizeof *seen);
    double mass = 0;
    for (int64_t i = 0; i < 2 * s->pairs->count; i++)
        seen[number_of(s, i)] = true;
    for (int64_t i = 0; i < s->sentences->count; i++)
        mass += seen[i] ? 0 : exp(table[i]);
    free(seen);
    return mass;
}

/* Of the grammar before and after smoothing: the probability of grammatical sentences, and
 * KL(grammar ‖ π). */
static void grammar_metrics(const State *s, const double *table, RgEvaluation *evaluation) {
    const RgLanguage *l = s->language;
    double mass = 0, kl = 0;
    for (int64_t i = 0; i < s->sentences->count; i++) {
        const int32_t *sentence = rg_sequence_response(s->sentences, i);
        double logprob = 0;
        for (int64_t t = 0; t < l->length; t++)
            logprob += s->grammar[rg_language_row(l, t, t > 0 ? sentence[t - 1] : 0) * l->words +
                                  sentence[t]];
        mass += s->grammatical[i] ? exp(table[i]) : 0;
        kl += exp(logprob) * (logprob - table[i]);
    }
    rg_evaluation_metric(evaluation, "grammatical_mass", mass);
    rg_evaluation_metric(evaluation, "grammar_kl", kl);
}

/* A metric that is also a column, of one item: the only prompt. */
static void of_prompt(RgEvaluation *evaluation, const char *name, double value) {
    rg_evaluation_column_and_mean(evaluation, name, &value, 1);
}

/* Metrics of `table` [sentences], the contender's log-probabilities. */
static void measure(const State *s, const RgContender *contender, const double *table,
                    RgEvaluation *evaluation) {
    const Options *o = &s->options;
    const RgLevels *l = &s->levels;
    const Base *base = &s->base;
    RgRewardTable rewards = {1, s->sentences->count, s->reward};
    RgRewardTable judged = {1, s->sentences->count, s->judged};
    double *mass = rg_allocate(l->levels, sizeof *mass);
    double *dataset = rg_allocate(l->levels, sizeof *dataset);
    rg_levels_mass(l, table, mass);
    preferred_mass(s, dataset);
    double reward = rg_bandit_expected_reward(&rewards, table, NULL);
    double kl = rg_bandit_kl(&rewards, table, base->logprob, NULL);
    double value = reward - o->kl_strength * kl, frontier = rg_levels_frontier(l, base->mass, kl);
    of_prompt(evaluation, "reward", reward);
    of_prompt(evaluation, "judge_reward", rg_bandit_expected_reward(&judged, table, NULL));
    of_prompt(evaluation, "win_rate_base", rg_levels_win_rate(l, mass, base->mass));
    of_prompt(evaluation, "win_rate_dataset", rg_levels_win_rate(l, mass, dataset));
    of_prompt(evaluation, "kl", kl);
    rg_evaluation_metric(evaluation, "objective", reward - contender->beta * kl);
    of_prompt(evaluation, "value", value);
    rg_evaluation_metric(evaluation, "regret", base->optimal_value - value);
    rg_evaluation_metric(evaluation, "optimality_gap", l->reward[l->levels - 1] - reward);
    rg_evaluation_metric(evaluation, "entropy", rg_bandit_entropy(&rewards, table, NULL));
    rg_evaluation_metric(evaluation, "frontier_reward", frontier);
    rg_evaluation_metric(evaluation, "frontier_shortfall", frontier - reward);
    rg_evaluation_metric(evaluation, "sail_objective",
                         rg_levels_sail_objective(&s->judged_levels, table, base->logprob,
                                                  contender->beta, o->label_temperature,
                                                  o->label_noise));
    grammar_metrics(s, table, evaluation);
    implicit_rewards(s, table, contender->beta, evaluation);
    rg_evaluation_metric(evaluation, "unseen_mass", unseen_mass(s, table));
    free(dataset);
    free(mass);
}

/* The metrics, all exact:
 *   reward, judge_reward, kl, entropy, objective (at the β of implicit rewards), value (at β = kl_strength)
 *   win_rate_base, win_rate_dataset   against the reference, and the preferred sentences
 *   regret, optimality_gap            J*_β − J_β(π), and max r − E_π[r]
 *   frontier_reward                   the largest reward of any policy with this KL
 *   frontier_shortfall                frontier_reward − reward
 *   sail_objective                    E[log σ(β·Δ)] over pairs and labels
 *   grammatical_mass, grammar_kl      see grammar_metrics
 *   reward_margin, reward_accuracy    of the offline pairs
 *   chosen_log_ratio, rejected_log_ratio   E[h] of their two sides
 *   pair_loss                         −E[log σ(β·Δ)] of them, DPO's loss
 *   unseen_mass                       probability of the sentences in none of them */
static RgStatus evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error) {
    (void)random; /* nothing is sampled */
    (void)error;
    const State *s = environment->state;
    RG_ASSERT(s->pairs); /* prepared */
    know_reference(environment, contender->reference);
    double *table = rg_allocate(s->sentences->count, sizeof *table);
    rg_language_table(environment, contender->policy, table);
    if (contender->best_of > 1)
        rg_levels_best_of(&s->judged_levels, contender->best_of, table);
    measure(s, contender, table, evaluation);
    free(table);
    return RG_OK;
}

static const char *const metrics[] = {
    "reward",
    "judge_reward",
    "kl",
    "entropy",
    "objective",
    "value",
    "win_rate_base",
    "win_rate_dataset",
    "regret",
    "optimality_gap",
    "frontier_reward",
    "frontier_shortfall",
    "sail_objective",
    "grammatical_mass",
    "grammar_kl",
    "reward_margin",
    "reward_accuracy",
    "chosen_log_ratio",
    "rejected_log_ratio",
    "pair_loss",
    "unseen_mass",
    NULL,
};

const RgEnvironmentType rg_environment_language = {
    .about = {.name = "language",
              .summary = "Sentences of a small language, all enumerated, with rewards of the text; "
                         "every metric is exact",
              .reference = "KL-reward frontier after Rafailov et al. 2023, arXiv:2305.18290, "
                           "figure 2",
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
