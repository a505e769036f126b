/* SPDX-License-Identifier: MIT */
/* Functions of all judges: creation, comparison by reward, and agreement with human preferences. */
#include "envs/judges/judge.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static RgStatus create(const RgJudgeType *type, const RgSettings *settings, const char *path,
                       const RgJudgeShare *share, RgRandom random, RgJudge **judge,
                       RgError *error) {
    *judge = NULL;
    if (type->about.missing_packages)
        return rg_fail(error, RG_E_USAGE, "the judge %s needs %s: install it and configure again",
                       type->about.name, type->about.missing_packages);
    RG_TRY(rg_judge_type_check(type, error));
    RgJudge *new = rg_allocate(1, sizeof *new);
    new->type = type;
    void *options = rg_allocate(1, type->about.options_size);
    RgStatus status = rg_options_read(type->about.options, settings, path, options, error);
    new->only_compares = status == RG_OK && type->gives_rewards && !type->gives_rewards(options);
    if (status == RG_OK)
        status = type->create(new, options, share, random, error);
    if (status == RG_E_USAGE)
        status = rg_options_name_key(type->about.options, path, status, error);
    free(options);
    if (status != RG_OK) {
        rg_judge_destroy(new);
        return status;
    }
    *judge = new;
    return RG_OK;
}

RgStatus rg_judge_create(const RgOptionPart *part, const RgJudgeShare *share, RgRandom random,
                         RgJudge **judge, RgError *error) {
    return create((const RgJudgeType *)part->type, part->settings, part->path, share, random, judge,
                  error);
}

RgStatus rg_judge_create_named(const char *name, const RgJudgeShare *share, RgRandom random,
                               RgJudge **judge, RgError *error) {
    const RgJudgeType *type = (const RgJudgeType *)rg_find(RG_JUDGE, name);
    RG_ASSERT(type);
    RgSettings *nothing = rg_settings_create();
    RgStatus status = create(type, nothing, "judge", share, random, judge, error);
    rg_settings_destroy(nothing);
    return status;
}

bool rg_judge_part_gives_rewards(const RgOptionPart *part) {
    const RgJudgeType *type = (const RgJudgeType *)part->type;
    if (!type->gives_rewards)
        return type->rewards || !type->compare;
    void *options = rg_allocate(1, type->about.options_size);
    RgStatus status =
        rg_options_read(type->about.options, part->settings, part->path, options, NULL);
    bool gives = status == RG_OK && type->gives_rewards(options);
    free(options);
    return gives;
}

void rg_judge_destroy(RgJudge *judge) {
    if (!judge)
        return;
    if (judge->state && judge->type->destroy)
        judge->type->destroy(judge);
    else
        free(judge->state);
    free(judge);
}

/* ---- judging ---- */

RgStatus rg_judge_rewards(RgJudge *judge, const RgJudgeItems *items, double *reward,
                          RgError *error) {
    if (judge->reads_turns && !items->conversations)
        return rg_fail(error, RG_E_USAGE, "%s lays out conversations itself, and was given none",
                       judge->type->about.name);
    return items->count > 0 ? judge->type->rewards(judge, items, reward, error) : RG_OK;
}

RgStatus rg_judge_check_conversation(RgJudge *judge, const RgConversation *conversation,
                                     RgError *error) {
    return judge->reads_turns ? judge->type->check_conversation(judge, conversation, error) : RG_OK;
}

RgStatus rg_judge_save(RgJudge *judge, RgError *error) {
    return judge->type->save ? judge->type->save(judge, error) : RG_OK;
}

RgStatus rg_judge_compare(RgJudge *judge, const RgJudgeItems *items, double *first,
                          RgError *error) {
    RG_ASSERT(items->count % 2 == 0);
    bool by_reward = judge->type->gives_rewards && !judge->only_compares;
    if (judge->type->compare && !by_reward)
        return judge->type->compare(judge, items, first, error);
    double *reward = rg_allocate(items->count, sizeof *reward);
    RgStatus status = rg_judge_rewards(judge, items, reward, error);
    for (int64_t i = 0; status == RG_OK && i < items->count / 2; i++) {
        double gap = reward[2 * i] - reward[2 * i + 1];
        first[i] = gap > 0 ? 1 : gap < 0 ? 0 : 0.5;
    }
    free(reward);
    return status;
}

/* ---- shares ---- */

RgJudgeItems rg_judge_items_of(const RgJudgeShare *share) {
    size_t bytes = (size_t)(2 * share->count + 1) * sizeof(char *);
    const char **prompt = rg_allocate(1, bytes), **response = rg_allocate(1, bytes);
    RgConversation *conversations = NULL;
    if (share->conversations)
        conversations = rg_allocate(2 * share->count, sizeof *conversations);
    for (int64_t i = 0; i < share->count; i++) {
        if (conversations)
            conversations[2 * i] = conversations[2 * i + 1] = share->conversations[i];
        prompt[2 * i] = prompt[2 * i + 1] = share->texts[i].prompt;
        response[2 * i] = share->texts[i].chosen;
        response[2 * i + 1] = share->texts[i].rejected;
    }
    return (RgJudgeItems){2 * share->count, prompt, response, share->sequences, conversations};
}

void rg_judge_items_free(RgJudgeItems *items) {
    free((void *)items->prompt);
    free((void *)items->response);
    free((void *)items->conversations);
}

RgStatus rg_judge_accuracy(RgJudge *judge, const RgJudgeShare *share, double *accuracy,
                           RgError *error) {
    *accuracy = 0;
    RgJudgeItems items = rg_judge_items_of(share);
    double *first = rg_allocate(share->count, sizeof *first), right = 0;
    RgStatus status = rg_judge_compare(judge, &items, first, error);
    for (int64_t i = 0; status == RG_OK && i < share->count; i++)
        right += first[i];
    free(first);
    rg_judge_items_free(&items);
    if (share->count > 0)
        *accuracy = right / (double)share->count;
    return status;
}
