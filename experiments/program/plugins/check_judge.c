/* SPDX-License-Identifier: MIT */
/* The contract of judges, checked on made-up texts. */
#include "core/tensor/threads.h"
#include "experiments/program/plugins/check_plugin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS = 240, ITEMS = 40 };

/* Texts of a few words. Rejected ones have their own vocabulary: a style that can be learned. */
typedef struct Texts {
    RgJudgeText text[TEXTS];
    char *words[3 * TEXTS];
} Texts;

static char *sentence(const char *const *words, int count, int64_t number) {
    char *text = rg_string_copy("");
    RgRandom random = rg_random_at(rg_random_root(17), (uint64_t)number);
    int64_t length = 4 + rg_random_below(random, 0, 7);
    for (int64_t i = 0; i < length; i++) {
        const char *word = words[rg_random_below(random, (uint64_t)i + 1, count)];
        char *longer = rg_string_format("%s%s%s", text, i ? " " : "", word);
        free(text);
        text = longer;
    }
    return text;
}

static void make_up(Texts *texts) {
    static const char *const prompt[] = {"tell", "me", "of", "the", "river", "king", "a", "winter"};
    static const char *const good[] = {"you", "have", "seen",   "the",   "river", "and",
                                       "it",  "is",   "bright", "today", "with",  "snow"};
    static const char *const poor[] = {"thou", "hast", "seen", "the",    "river", "lo",
                                       "ere",  "it",   "dim",  "yonder", "hath",  "snow"};
    for (int64_t i = 0; i < TEXTS; i++) {
        texts->words[3 * i] = sentence(prompt, 8, 3 * i);
        texts->words[3 * i + 1] = sentence(good, 12, 3 * i + 1);
        texts->words[3 * i + 2] = sentence(poor, 12, 3 * i + 2);
        texts->text[i] =
            (RgJudgeText){texts->words[3 * i], texts->words[3 * i + 1], texts->words[3 * i + 2]};
    }
}

/* A judge's answers about the first items of the texts, for one of several ways to query. */
typedef struct Answers {
    double reward[ITEMS], first[ITEMS / 2];
} Answers;

/* Judges pairs [first, first + pairs) of the items, in reverse order if `backwards`. */
static RgStatus ask_some(RgJudge *judge, const Texts *texts, int first, int pairs, bool backwards,
                         Answers *answers, RgError *error) {
    const char *prompt[ITEMS], *response[ITEMS];
    double reward[ITEMS], better[ITEMS / 2];
    for (int i = 0; i < pairs; i++) {
        const RgJudgeText *text = &texts->text[backwards ? first + pairs - 1 - i : first + i];
        prompt[2 * i] = prompt[2 * i + 1] = text->prompt;
        response[2 * i] = text->chosen;
        response[2 * i + 1] = text->rejected;
    }
    RgJudgeItems items = {.count = 2 * (int64_t)pairs, .prompt = prompt, .response = response};
    if (!rg_judge_only_compares(judge))
        RG_TRY(rg_judge_rewards(judge, &items, reward, error));
    RG_TRY(rg_judge_compare(judge, &items, better, error));
    for (int i = 0; i < pairs; i++) {
        int at = backwards ? first + pairs - 1 - i : first + i;
        answers->first[at] = better[i];
        for (int k = 0; !rg_judge_only_compares(judge) && k < 2; k++)
            answers->reward[2 * at + k] = reward[2 * i + k];
    }
    return RG_OK;
}

typedef enum Way { TOGETHER, BACKWARDS, ONE_BY_ONE } Way;

static RgStatus ask(RgJudge *judge, const Texts *texts, Way way, Answers *answers, RgError *error) {
    memset(answers, 0, sizeof *answers);
    if (way != ONE_BY_ONE)
        return ask_some(judge, texts, 0, ITEMS / 2, way == BACKWARDS, answers, error);
    for (int i = 0; i < ITEMS / 2; i++)
        RG_TRY(ask_some(judge, texts, i, 1, false, answers, error));
    return RG_OK;
}

static RgStatus create(const RgJudgeType *type, const RgSettings *settings, const Texts *texts,
                       RgJudge **judge, RgError *error) {
    RgJudgeShare share = {.texts = texts->text, .count = TEXTS, .path = "made-up texts"};
    RgOptionPart part = {.type = &type->about, .settings = settings, .path = "judge"};
    return rg_judge_create(&part, &share, rg_random_root(19), judge, error);
}

static void claim_same(RgJudge *judge, const Texts *texts, const Answers *expected, Way way,
                       const char *claim, RgClaims *claims) {
    Answers found;
    RgError error = {0};
    RgStatus status = ask(judge, texts, way, &found, &error);
    int at = 0;
    while (at < ITEMS && found.reward[at] == expected->reward[at] &&
           (found.first[at / 2] == expected->first[at / 2] || isnan(expected->first[at / 2])))
        at++;
    if (status != RG_OK)
        rg_claim(claims, false, claim, "%s", error.text);
    else if (at == ITEMS)
        rg_claim(claims, true, claim, "%d items", ITEMS);
    else
        rg_claim(
            claims, false, claim,
            "item %d has a reward of %.9g and was %.9g, the pair's first is better by %.9g and "
            "was %.9g",
            at, found.reward[at], expected->reward[at], found.first[at / 2],
            expected->first[at / 2]);
}

static void claim_ranges(const RgJudge *judge, const Answers *answers, RgClaims *claims) {
    double low = INFINITY, high = -INFINITY;
    bool finite = true, chances = true;
    for (int i = 0; i < ITEMS; i++) {
        double reward = answers->reward[i], first = answers->first[i / 2];
        finite = finite && isfinite(reward);
        low = fmin(low, reward);
        high = fmax(high, reward);
        chances = chances && ((first >= 0 && first <= 1) || (isnan(first) && judge->skips));
    }
    if (!rg_judge_only_compares(judge))
        rg_claim(claims, finite, "rewards are finite", "from %.4g to %.4g", low, high);
    else
        rg_claim_nothing(claims, "rewards", "it only compares");
    rg_claim(claims, chances, "comparisons are probabilities", "%s",
             judge->skips ? "or none, where it leaves a pair open" : "");
}

static void claim_all(RgJudge *judge, const RgJudgeType *type, const RgSettings *settings,
                      const Texts *texts, RgClaims *claims) {
    Answers answers;
    RgError error = {0};
    if (!rg_claim(claims, ask(judge, texts, TOGETHER, &answers, &error) == RG_OK, "it answers",
                  "%s", error.text))
        return;
    claim_ranges(judge, &answers, claims);
    claim_same(judge, texts, &answers, TOGETHER, "a repeated query has the same bits", claims);
    claim_same(judge, texts, &answers, BACKWARDS, "and in another order", claims);
    claim_same(judge, texts, &answers, ONE_BY_ONE, "and without its neighbours", claims);
    int threads = rg_threads();
    rg_threads_set(threads == 1 ? 2 : 1);
    RgJudge *other = NULL;
    RgStatus status = create(type, settings, texts, &other, &error);
    if (status == RG_OK)
        claim_same(
            other, texts, &answers, TOGETHER,
            "a judge created from equal texts gives equal answers, with any number of threads",
            claims);
    else
        rg_claim(claims, false, "it can be created again", "%s", error.text);
    rg_judge_destroy(other);
    rg_threads_set(threads);
}

void rg_check_judge(const RgJudgeType *type, const char *options, RgClaims *claims) {
    RgSettings *settings = rg_settings_create();
    Texts *texts = rg_allocate(1, sizeof *texts);
    RgJudge *judge = NULL;
    RgError error = {0};
    make_up(texts);
    rg_small_race_set(settings, "judge", options);
    RgStatus status = create(type, settings, texts, &judge, &error);
    if (rg_claim(claims, status == RG_OK, "it can be created from texts", "%s", error.text))
        claim_all(judge, type, settings, texts, claims);
    rg_judge_destroy(judge);
    for (int i = 0; i < 3 * TEXTS; i++)
        free(texts->words[i]);
    free(texts);
    rg_settings_destroy(settings);
}
