/* SPDX-License-Identifier: MIT */
/* Evaluation in the text environment. One response to each test prompt is sampled from the policy
 * and one from the reference, on separate random streams that are the same for every policy; both
 * judges score them. The reference's results are kept between evaluations. */
#include "envs/text/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- samples ---- */

static void release_samples(RgTextSamples *samples) {
    rg_sequences_destroy(samples->sequences);
    free(samples->reward);
    free(samples->independent);
    free(samples->logprob);
    *samples = (RgTextSamples){0};
}

static RgStatus reward_samples(const RgTextState *s, RgJudge *judge, const RgSequences *sequences,
                               double **reward, RgError *error) {
    if (rg_judge_only_compares(judge))
        return RG_OK;
    *reward = rg_allocate(sequences->count, sizeof **reward);
    return rg_text_rewards(s, judge, sequences, *reward, error);
}

static RgStatus draw_samples(const RgTextState *s, const RgTask *task, const RgContender *contender,
                             RgRandom random, RgTextSamples *samples, RgError *error) {
    size_t count = (size_t)s->test_prompts->count;
    *samples = (RgTextSamples){.sequences = rg_sequences_create(),
                               .logprob = rg_allocate(count, sizeof(double))};
    RgSampling sampling = {.temperature = s->options.temperature,
                           .top_k = s->options.top_k,
                           .top_p = s->options.top_p,
                           .min_p = s->options.min_p,
                           .response_limit = s->options.response_limit,
                           .tokens = rg_tokenizer_vocabulary(s->tokenizer),
                           .end_token = rg_text_layout_end(s->layout),
                           .stop = task->stop,
                           .difference = &samples->difference};
    RG_TRY(rg_contender_sample(contender, task, s->test_prompts, &sampling, random,
                               samples->sequences, samples->logprob, error));
    RG_TRY(reward_samples(s, s->judge, samples->sequences, &samples->reward, error));
    return reward_samples(s, s->independent, samples->sequences, &samples->independent, error);
}

static void pair_values(RgTextState *s, RgPolicy *policy, double *logprob) {
    double start = rg_clock_seconds();
    rg_policy_logprob_values(policy, s->test_pairs, logprob);
    s->pair_seconds += rg_clock_seconds() - start;
}

/* ---- the reference ---- */

void rg_text_reference_clear(RgTextReference *of_reference) {
    release_samples(&of_reference->samples);
    free(of_reference->pair_logprob);
    *of_reference = (RgTextReference){0};
}

static RgStatus know_reference(RgTextState *s, const RgTask *task, RgPolicy *reference,
                               RgRandom random, RgError *error) {
    RgContender contender = {.policy = reference};
    RgTextReference *r = &s->of_reference;
    uint64_t hash = rg_parameters_hash(reference->parameters);
    bool same_data = r->known && r->samples.sequences->count == s->test_prompts->count &&
                     r->pairs == s->test_pairs->count;
    if (same_data && r->parameters_hash == hash && r->random.key[0] == random.key[0] &&
        r->random.key[1] == random.key[1])
        return RG_OK;
    rg_text_reference_clear(r);
    r->parameters_hash = hash;
    r->random = random;
    RG_TRY(draw_samples(s, task, &contender, random, &r->samples, error));
    r->known = true;
    r->pairs = s->test_pairs->count;
    r->pair_logprob = rg_allocate(s->test_pairs->count, sizeof *r->pair_logprob);
    pair_values(s, reference, r->pair_logprob);
    return RG_OK;
}

/* ---- columns: one number per test prompt ---- */

/* Responses and, if the judge gives rewards, their rewards. */
typedef struct Side {
    const RgSequences *sequences;
    const double *reward;
} Side;

/* By the larger reward, or by the verdict of a judge that only compares. */
static RgStatus win_rate(const RgTextState *s, RgJudge *judge, const char *name, Side own,
                         Side other, double *column, RgEvaluation *evaluation, RgError *error) {
    int64_t count = own.sequences->count;
    if (rg_judge_only_compares(judge)) {
        RG_TRY(rg_text_compare(s, judge, own.sequences, other.sequences, column, error));
    } else {
        RG_ASSERT(own.reward && other.reward);
        for (int64_t i = 0; i < count; i++) {
            double gap = own.reward[i] - other.reward[i];
            column[i] = gap > 0 ? 1 : gap < 0 ? 0 : 0.5;
        }
    }
    rg_evaluation_column_and_mean(evaluation, name, column, count);
    return RG_OK;
}

/* Whether both judges agree on a policy's response and the reference's, from their columns; a tie
 * of one of them counts as half. */
static void agreement(double *judge, const double *independent, int64_t count,
                      RgEvaluation *evaluation) {
    for (int64_t i = 0; i < count; i++)
        judge[i] = 1 - fabs(judge[i] - independent[i]);
    rg_evaluation_column_and_mean(evaluation, "judge_agreement", judge, count);
}

static RgStatus win_rates(const RgTextState *s, const RgTextSamples *own, double *column,
                          RgEvaluation *evaluation, RgError *error) {
    const RgTextSamples *base = &s->of_reference.samples;
    int64_t count = own->sequences->count;
    Side by_judge = {own->sequences, own->reward}, of_base = {base->sequences, base->reward};
    Side by_other = {own->sequences, own->independent};
    Side base_by_other = {base->sequences, base->independent};
    Side dataset = {s->chosen, s->chosen_reward};
    double *other = rg_allocate(count, sizeof *other);
    RgStatus status =
        win_rate(s, s->judge, "win_rate_base", by_judge, of_base, column, evaluation, error);
    if (status == RG_OK)
        status = win_rate(s, s->independent, "independent_win_rate_base", by_other, base_by_other,
                          other, evaluation, error);
    if (status == RG_OK)
        agreement(column, other, count, evaluation);
    free(other);
    RG_TRY(status);
    return win_rate(s, s->judge, "win_rate_dataset", by_judge, dataset, column, evaluation, error);
}

/* log π(y|x) − log π_ref(y|x) of the policy's own responses: its mean estimates the KL. */
static void divergence(RgPolicy *reference, const RgTextSamples *samples, double *column,
                       RgEvaluation *evaluation) {
    rg_policy_logprob_values(reference, samples->sequences, column);
    for (int64_t i = 0; i < samples->sequences->count; i++)
        column[i] = samples->logprob[i] - column[i];
    rg_evaluation_column_and_mean(evaluation, "kl", column, samples->sequences->count);
}

/* For a policy that samples in bf16: the mean difference, per response, between its sampler's
 * log-probabilities and those in fp32. */
static void sampler_difference(const RgSamplerDifference *d, RgEvaluation *evaluation) {
    if (d->responses == 0)
        return;
    rg_evaluation_metric(evaluation, "sampler_kl", d->sum / (double)d->responses);
    rg_evaluation_metric(evaluation, "sampler_difference", d->absolute / (double)d->responses);
}

static int64_t count_words(const char *text) {
    int64_t words = 0;
    for (bool inside = false; *text; text++) {
        bool letter = !isspace((unsigned char)*text);
        words += letter && !inside;
        inside = letter;
    }
    return words;
}

/* Lengths of all responses, and the texts of the first prompts. */
static void describe_responses(const RgTextState *s, const RgSequences *samples, double *column,
                               RgEvaluation *evaluation) {
    for (int64_t i = 0; i < samples->count; i++)
        column[i] = (double)rg_sequence_response_length(samples, i);
    rg_evaluation_column_and_mean(evaluation, "length", column, samples->count);
    for (int64_t i = 0; i < samples->count; i++) {
        char *response = rg_text_response(s->layout, samples, i);
        column[i] = (double)count_words(response);
        if (i < s->options.response_samples) {
            char *prompt = rg_text_prompt(s->layout, samples, i);
            rg_evaluation_response(evaluation, i, prompt, response);
            free(prompt);
        }
        free(response);
    }
    rg_evaluation_column_and_mean(evaluation, "words", column, samples->count);
}

/* ---- written test pairs ---- */

/* With Δ = (log π − log π_ref)(chosen) − (log π − log π_ref)(rejected):
 *   reward_margin    mean of β·Δ
 *   reward_accuracy  share of Δ > 0 (0 counts half)
 *   logps_*          mean log π of the responses, nats
 *   nll              −log π per token, over chosen and rejected responses
 *   nll_chosen       the same over the chosen ones only, which is the loss of sft
 * Without pairs there are none of these. */
static void written_pairs(RgTextState *s, RgPolicy *policy, const double *base, double beta,
                          RgEvaluation *evaluation) {
    if (s->test_pairs->count == 0)
        return; /* all responses of the test lines are single */
    double *own = rg_allocate(s->test_pairs->count, sizeof *own);
    double chosen = 0, rejected = 0, margin = 0, right = 0;
    double pairs = (double)s->test_pairs->count / 2;
    int64_t chosen_tokens = 0;
    pair_values(s, policy, own);
    for (int64_t i = 0; i < s->test_pairs->count; i += 2) {
        double gap = (own[i] - base[i]) - (own[i + 1] - base[i + 1]);
        chosen += own[i];
        chosen_tokens += rg_sequence_response_length(s->test_pairs, i);
        rejected += own[i + 1];
        margin += gap;
        right += gap > 0 ? 1 : gap < 0 ? 0 : 0.5;
    }
    free(own);
    rg_evaluation_metric(evaluation, "reward_margin", beta * margin / pairs);
    rg_evaluation_metric(evaluation, "reward_accuracy", right / pairs);
    rg_evaluation_metric(evaluation, "logps_chosen", chosen / pairs);
    rg_evaluation_metric(evaluation, "logps_rejected", rejected / pairs);
    rg_evaluation_metric(evaluation, "nll",
                         -(chosen + rejected) /
                             (double)rg_sequences_response_tokens(s->test_pairs));
    rg_evaluation_metric(evaluation, "nll_chosen", -chosen / (double)chosen_tokens);
}

/* ---- evaluation ---- */

/* `whose` is a judge's prefix: NAME_accuracy with its interval, and the calibration of its
 * probabilities; nothing if they are unknown. */
static void quality(const RgJudgeQuality *q, const char *whose, RgEvaluation *evaluation) {
    const struct {
        const char *what;
        double value;
    } metrics[] = {{"accuracy", q->accuracy},
                   {"accuracy_low", q->low},
                   {"accuracy_high", q->high},
                   {"calibration_error", q->calibration_error},
                   {"temperature", q->temperature}};
    for (size_t i = 0; !isnan(q->accuracy) && i < sizeof metrics / sizeof metrics[0]; i++) {
        char *name = rg_string_format("%s_%s", whose, metrics[i].what);
        rg_evaluation_metric(evaluation, name, metrics[i].value);
        free(name);
    }
}

/* Counts of all unusable lines, and of those with each reason that occurs. */
static void unusable_lines(const RgTextState *s, RgEvaluation *evaluation) {
    int64_t all = 0;
    for (int k = 0; k < RG_TEXT_REASONS; k++)
        all += s->left_out[k];
    rg_evaluation_metric(evaluation, "unusable_lines", (double)all);
    for (int k = 0; k < RG_TEXT_REASONS; k++) {
        char name[32];
        snprintf(name, sizeof name, "unusable_%s", rg_text_reasons[k]);
        if (s->left_out[k] > 0)
            rg_evaluation_metric(evaluation, name, (double)s->left_out[k]);
    }
}

static RgStatus measure(RgTextState *s, const RgTextSamples *own, const RgContender *contender,
                        double *column, RgEvaluation *evaluation, RgError *error) {
    RgPolicy *policy = contender->policy;
    double beta = contender->beta;
    int64_t count = s->test_prompts->count;
    if (own->reward)
        rg_evaluation_column_and_mean(evaluation, "reward", own->reward, count);
    if (own->independent)
        rg_evaluation_column_and_mean(evaluation, "independent_reward", own->independent, count);
    RG_TRY(win_rates(s, own, column, evaluation, error));
    divergence(contender->reference, own, column, evaluation);
    sampler_difference(&own->difference, evaluation);
    if (own->reward)
        rg_evaluation_metric(evaluation, "objective",
                             rg_evaluation_find(evaluation, "reward") -
                                 beta * rg_evaluation_find(evaluation, "kl"));
    describe_responses(s, own->sequences, column, evaluation);
    written_pairs(s, policy, s->of_reference.pair_logprob, beta, evaluation);
    quality(&s->judge_quality, "judge", evaluation);
    quality(&s->independent_quality, "independent_judge", evaluation);
    rg_evaluation_metric(evaluation, "dropped_pairs", (double)s->dropped_pairs);
    if (s->singles)
        rg_evaluation_metric(evaluation, "dropped_singles", (double)s->dropped_singles);
    rg_evaluation_metric(evaluation, "unlabelled_pairs", (double)s->unlabelled_pairs);
    unusable_lines(s, evaluation);
    rg_evaluation_metric(evaluation, "dropped_prompts", (double)s->dropped_prompts);
    rg_evaluation_metric(evaluation, "truncated_prompts", (double)s->truncated_prompts);
    return RG_OK;
}

/* Counts of requests of this evaluation. */
static void judge_counts(RgEnvironment *environment, RgEvaluation *evaluation) {
    RgEnvironmentCount counts[RG_ENVIRONMENT_COUNTS];
    int count = rg_text_take_counts(environment, counts);
    for (int i = 0; i < count; i++)
        rg_evaluation_metric(evaluation, counts[i].name, counts[i].value);
}

static RgStatus evaluate_all(RgEnvironment *environment, const RgContender *contender,
                             RgRandom random, RgEvaluation *evaluation, RgError *error) {
    RgTextState *s = environment->state;
    RgTextSamples own;
    const RgTask *task = &environment->task;
    RG_TRY(
        know_reference(s, task, contender->reference, rg_random_named(random, "reference"), error));
    RG_TRY(rg_text_reward_chosen(s, error));
    RgStatus status =
        draw_samples(s, task, contender, rg_random_named(random, "policy"), &own, error);
    double *column = rg_allocate(s->test_prompts->count, sizeof *column);
    if (status == RG_OK)
        status = measure(s, &own, contender, column, evaluation, error);
    if (status == RG_OK)
        judge_counts(environment, evaluation);
    free(column);
    release_samples(&own);
    return status;
}

/* The first of `count` elements: a share, and at least so many. */
static int64_t first_of(int64_t count, double share, int64_t least) {
    int64_t first = (int64_t)round(share * (double)count);
    first = first > least ? first : least;
    return first < count ? first : count;
}

/* On the first test prompts and written pairs. The time of sampling hardly depends on the number of
 * prompts while these are few, because every token reads all weights: so they are not too few. */
static RgStatus evaluate_share(RgEnvironment *environment, const RgContender *contender,
                               RgRandom random, RgEvaluation *evaluation, RgError *error) {
    enum { LEAST_PROMPTS = 16, LEAST_PAIRS = 2 };
    RgTextState *s = environment->state;
    RgSequences *all_prompts = s->test_prompts, *all_pairs = s->test_pairs;
    RgSequences prompts = *all_prompts, pairs = *all_pairs; /* views */
    prompts.count = first_of(all_prompts->count, contender->share, LEAST_PROMPTS);
    pairs.count = 2 * first_of(all_pairs->count / 2, contender->share, LEAST_PAIRS);
    double start = rg_clock_seconds(), before = s->pair_seconds;
    s->test_prompts = &prompts;
    s->test_pairs = &pairs;
    RgStatus status = evaluate_all(environment, contender, random, evaluation, error);
    s->test_prompts = all_prompts;
    s->test_pairs = all_pairs;
    double of_pairs = s->pair_seconds - before, rest = rg_clock_seconds() - start - of_pairs;
    double prompt_share = (double)prompts.count / (double)all_prompts->count;
    double pair_share = (double)pairs.count / (double)all_pairs->count;
    double whole = rest / prompt_share + (pairs.count > 0 ? of_pairs / pair_share : 0);
    rg_evaluation_metric(evaluation, RG_WHOLE_SECONDS, whole);
    rg_evaluation_metric(evaluation, RG_EVALUATED_SHARE, (rest + of_pairs) / whole);
    return status;
}

RgStatus rg_text_evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                          RgEvaluation *evaluation, RgError *error) {
    bool all = contender->share <= 0 || contender->share >= 1;
    return (all ? evaluate_all : evaluate_share)(environment, contender, random, evaluation, error);
}
