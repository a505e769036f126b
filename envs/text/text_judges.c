/* SPDX-License-Identifier: MIT */
/* The two judges of the text environment: trained on their shares of the lines, queried about
 * sequences, and measured on the test lines. Each kind of judge is in its judge_*.c. */
#include "core/tensor/threads.h"
#include "envs/text/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- making them ---- */

/* The pairs among the lines in the form for judges, borrowed from `data`; to be released. */
static RgJudgeShare share_of(const RgTextState *s, const RgTextData *data) {
    RgJudgeText *texts = rg_allocate(data->count, sizeof *texts);
    RgConversation *conversations = rg_allocate(data->count, sizeof *conversations);
    RgSequences *sequences = rg_sequences_create();
    int64_t count = 0;
    for (int64_t i = 0; i < data->count; i++) {
        const RgTextLine *line = &data->lines[i];
        if (!rg_text_line_is_pair(line))
            continue;
        conversations[count] = (RgConversation){line->turns, line->turn_count};
        texts[count++] = (RgJudgeText){rg_text_line_prompt(line), line->chosen, line->rejected};
        rg_text_append(sequences, s->layout, line->turns, line->turn_count, line->chosen);
        rg_text_append(sequences, s->layout, line->turns, line->turn_count, line->rejected);
    }
    return (RgJudgeShare){.texts = texts,
                          .count = count,
                          .sequences = sequences,
                          .vocabulary = rg_tokenizer_vocabulary(s->tokenizer),
                          .tokenizer = s->tokenizer,
                          .conversations = conversations,
                          .path = data->path};
}

static void release_share(RgJudgeShare *share) {
    rg_sequences_destroy((RgSequences *)share->sequences);
    free((void *)share->texts);
    free((void *)share->conversations);
}

static RgStatus make_judge(const RgTextState *s, const RgOptionPart *part, const RgTextData *data,
                           bool independent, RgRandom random, RgJudge **new, RgError *error) {
    RgJudgeShare share = share_of(s, data);
    share.independent = independent;
    RgRandom own = rg_random_named(random, independent ? "judge-independent" : "judge");
    RgStatus status = rg_judge_create(part, &share, own, new, error);
    if (status == RG_E_RANGE && share.count < data->count)
        status = rg_fail_in(error, status,
                            "%lld of %lld lines are single responses, and this judge needs pairs",
                            (long long)(data->count - share.count), (long long)data->count);
    release_share(&share);
    if (status == RG_E_RANGE && data->count == 0)
        return rg_text_nothing_left(
            &s->options, independent ? RG_TEXT_PART_INDEPENDENT : RG_TEXT_PART_JUDGE, error);
    return status;
}

RgStatus rg_text_judges_create(RgTextState *s, const RgTextFiles *files, RgRandom random,
                               RgError *error) {
    const RgTextOptions *o = &s->options;
    RG_TRY(
        make_judge(s, &o->judge, files->part[RG_TEXT_PART_JUDGE], false, random, &s->judge, error));
    return make_judge(s, &o->independent_judge, files->part[RG_TEXT_PART_INDEPENDENT], true, random,
                      &s->independent, error);
}

/* ---- conversations ---- */

static RgStatus learn_turns(RgTextState *s, const RgTextData *data, int64_t *count,
                            RgError *error) {
    RgJudge *judges[] = {s->judge, s->independent};
    RgSequences *prompt = rg_sequences_create();
    RgError why = {0};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < data->count && status == RG_OK; i++) {
        const RgTextLine *line = &data->lines[i];
        RgConversation *own = &s->conversations[*count];
        *own = (RgConversation){line->turns, line->turn_count};
        rg_sequences_clear(prompt);
        rg_text_append(prompt, s->layout, line->turns, line->turn_count, NULL);
        int64_t *number = rg_lookup_at(s->conversation_of, (const char *)prompt->tokens,
                                       (size_t)prompt->prompt_length[0] * sizeof *prompt->tokens);
        if (*number < 0)
            *number = (*count)++;
        for (int k = 0; k < 2 && status == RG_OK; k++)
            status = rg_judge_check_conversation(judges[k], own, &why);
        if (status != RG_OK)
            status = rg_text_data_stop(data, line->number, why.text, error);
    }
    rg_sequences_destroy(prompt);
    return status;
}

/* Of conversations that the policy cannot tell apart, the first counts. */
RgStatus rg_text_judges_learn_turns(RgTextState *s, const RgTextFiles *files, RgError *error) {
    const RgTextData *train = files->part[RG_TEXT_PART_TRAIN];
    const RgTextData *test = files->part[RG_TEXT_PART_TEST];
    int64_t count = 0;
    if (!s->judge->reads_turns && !s->independent->reads_turns)
        return RG_OK;
    s->conversation_of = rg_lookup_create();
    s->conversations = rg_allocate(train->count + test->count + 1, sizeof *s->conversations);
    RG_TRY(learn_turns(s, train, &count, error));
    return learn_turns(s, test, &count, error);
}

/* The conversations of sequences, by their prompts. */
static RgStatus find_turns(const RgTextState *s, const RgSequences *sequences,
                           RgConversation *conversations, RgError *error) {
    for (int64_t i = 0; i < sequences->count; i++) {
        int64_t number =
            rg_lookup_find(s->conversation_of, (const char *)rg_sequence_prompt(sequences, i),
                           (size_t)sequences->prompt_length[i] * sizeof *sequences->tokens);
        if (number < 0)
            return rg_fail(error, RG_E_USAGE,
                           "a judge that lays out conversations itself was asked about a prompt "
                           "that is none of the data's");
        conversations[i] = s->conversations[number];
    }
    return RG_OK;
}

/* ---- rewards ---- */

/* Sequences in the form for judges; to be released. */
static RgJudgeItems items_of(const RgTextState *s, const RgSequences *sequences) {
    int64_t count = sequences->count;
    char **text = rg_allocate(2 * count, sizeof *text); /* prompts, then responses */
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic, 16)
    for (int64_t i = 0; i < count; i++) {
        text[i] = rg_text_prompt(s->layout, sequences, i);
        text[count + i] = rg_text_response(s->layout, sequences, i);
    }
    return (RgJudgeItems){count, (const char *const *)text, (const char *const *)text + count,
                          sequences, NULL};
}

/* Items for this judge, to be released after an error, too. */
static RgStatus items_for(const RgTextState *s, const RgJudge *judge, const RgSequences *sequences,
                          RgJudgeItems *items, RgError *error) {
    *items = items_of(s, sequences);
    if (!judge->reads_turns)
        return RG_OK;
    RgConversation *conversations = rg_allocate(items->count, sizeof *conversations);
    items->conversations = conversations;
    return find_turns(s, sequences, conversations, error);
}

static void release_items(RgJudgeItems *items) {
    for (int64_t i = 0; i < items->count; i++) {
        free((char *)items->prompt[i]);
        free((char *)items->response[i]);
    }
    free((void *)items->prompt);
    free((void *)items->conversations);
}

RgStatus rg_text_rewards(const RgTextState *s, RgJudge *judge, const RgSequences *sequences,
                         double *reward, RgError *error) {
    RgJudgeItems items;
    RgStatus status = items_for(s, judge, sequences, &items, error);
    if (status == RG_OK)
        status = rg_judge_rewards(judge, &items, reward, error);
    release_items(&items);
    return status;
}

/* For pairs (2i, 2i + 1); see RgJudgeType. */
static RgStatus compare_pairs(const RgTextState *s, RgJudge *judge, const RgSequences *pairs,
                              double *first, RgError *error) {
    RgJudgeItems items;
    RgStatus status = items_for(s, judge, pairs, &items, error);
    if (status == RG_OK)
        status = rg_judge_compare(judge, &items, first, error);
    release_items(&items);
    return status;
}

RgStatus rg_text_compare(const RgTextState *s, RgJudge *judge, const RgSequences *first,
                         const RgSequences *second, double *share, RgError *error) {
    RgSequences *pairs = rg_sequences_create();
    for (int64_t i = 0; i < first->count; i++) {
        rg_sequences_append_from(pairs, first, i, false);
        rg_sequences_append_from(pairs, second, i, false);
    }
    RgStatus status = compare_pairs(s, judge, pairs, share, error);
    for (int64_t i = 0; status == RG_OK && i < first->count; i++)
        share[i] = isnan(share[i]) ? 0.5 : share[i];
    rg_sequences_destroy(pairs);
    return status;
}

RgStatus rg_text_judge(void *environment, const RgSequences *sequences, double *reward,
                       RgError *error) {
    const RgTextState *s = ((RgEnvironment *)environment)->state;
    return rg_text_rewards(s, s->judge, sequences, reward, error);
}

RgStatus rg_text_label(void *environment, const RgSequences *pairs, RgRandom random,
                       uint8_t *preferred, RgError *error) {
    const RgTextState *s = ((RgEnvironment *)environment)->state;
    int64_t count = pairs->count / 2;
    double *first = rg_allocate(count, sizeof *first), noise = s->options.label_noise;
    RgStatus status = compare_pairs(s, s->judge, pairs, first, error);
    for (int64_t i = 0; status == RG_OK && i < count; i++) {
        double p = first[i] * (1 - noise) + (1 - first[i]) * noise;
        preferred[i] = isnan(p)                                     ? RG_UNLABELLED
                       : rg_random_uniform(random, (uint64_t)i) < p ? 0
                                                                    : 1;
    }
    free(first);
    return status;
}

/* ---- external judges ---- */

RgStatus rg_text_use_answers(RgEnvironment *environment, RgJudgeCache *answers, RgError *error) {
    RgTextState *s = environment->state;
    RgJudge *judges[] = {s->judge, s->independent};
    for (int k = 0; k < 2; k++)
        if (judges[k]->type->use_answers && !answers)
            return rg_fail(error, RG_E_USAGE, "%s: there is no store to keep its answers in",
                           judges[k]->type->about.name);
        else if (judges[k]->type->use_answers)
            RG_TRY(judges[k]->type->use_answers(judges[k], answers, error));
    return RG_OK;
}

int rg_text_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts) {
    RgTextState *s = environment->state;
    RgJudge *judges[] = {s->judge, s->independent};
    RgJudgeCount taken[RG_JUDGE_COUNTS];
    int count = 0;
    for (int k = 0; k < 2; k++) {
        if (!judges[k]->type->take_counts)
            continue;
        judges[k]->type->take_counts(judges[k], taken);
        for (int i = 0; i < RG_JUDGE_COUNTS; i++, count++) {
            snprintf(counts[count].name, sizeof counts[count].name, "%s%s", k ? "independent_" : "",
                     taken[i].name);
            counts[count].value = taken[i].value;
        }
    }
    return count;
}

RgStatus rg_text_save(RgEnvironment *environment, RgError *error) {
    RgTextState *s = environment->state;
    RG_TRY(rg_judge_save(s->judge, error));
    return rg_judge_save(s->independent, error);
}

/* ---- measuring them ---- */

/* An answer costs, and there is no cache yet. */
static bool is_measured(const RgJudge *judge) {
    return !rg_judge_only_compares(judge) && !judge->type->use_answers;
}

/* The written chosen responses to the test prompts, and their rewards by a judge that gives some. */
static RgStatus reward_chosen(RgTextState *s, const RgTextData *test, RgError *error) {
    int64_t count = s->test_prompts->count;
    RgSequences *chosen = s->chosen = rg_sequences_create();
    const char **text = rg_allocate(2 * count, sizeof *text);
    RgConversation *conversations = rg_allocate(count, sizeof *conversations);
    for (int64_t i = 0; chosen->count < count; i++) {
        const RgTextLine *line = &test->lines[i];
        if (!line->chosen)
            continue;
        text[chosen->count] = rg_text_line_prompt(line);
        text[count + chosen->count] = line->chosen;
        conversations[chosen->count] = (RgConversation){line->turns, line->turn_count};
        rg_text_append(chosen, s->layout, line->turns, line->turn_count, line->chosen);
    }
    RgJudgeItems items = {count, text, text + count, chosen, conversations};
    RgStatus status = RG_OK;
    if (is_measured(s->judge)) {
        s->chosen_reward = rg_allocate(count, sizeof *s->chosen_reward);
        status = rg_judge_rewards(s->judge, &items, s->chosen_reward, error);
    }
    free(text);
    free(conversations);
    return status;
}

static RgStatus measure_judges(RgTextState *s, const RgTextData *test, RgError *error) {
    RgJudgeShare share = share_of(s, test);
    double temperature = s->options.label_temperature;
    RgStatus status = RG_OK;
    s->judge_quality.accuracy = s->independent_quality.accuracy = NAN;
    bool pairs = share.count > 0;
    if (pairs && is_measured(s->judge))
        status = rg_judge_quality(s->judge, &share, temperature, &s->judge_quality, error);
    if (status == RG_OK && pairs && is_measured(s->independent))
        status =
            rg_judge_quality(s->independent, &share, temperature, &s->independent_quality, error);
    release_share(&share);
    return status;
}

RgStatus rg_text_reward_chosen(RgTextState *s, RgError *error) {
    if (s->chosen_reward || rg_judge_only_compares(s->judge))
        return RG_OK;
    double *reward = rg_allocate(s->chosen->count, sizeof *reward);
    RgStatus status = rg_text_rewards(s, s->judge, s->chosen, reward, error);
    if (status == RG_OK)
        s->chosen_reward = reward;
    else
        free(reward);
    return status;
}

RgStatus rg_text_judges_measure(RgTextState *s, const RgTextData *test, RgError *error) {
    RG_TRY(measure_judges(s, test, error));
    return reward_chosen(s, test, error);
}
