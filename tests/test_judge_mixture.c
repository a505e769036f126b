/* SPDX-License-Identifier: MIT */
/* Mixtures of judges: sums of lexicons, whose rewards are known in closed form. */
#include "envs/judges/judge.h"
#include "scratch.h"

#include <math.h>

enum { TEXTS = 100, CALIBRATED = 20 };

static RgError error;
static RgJudgeText texts[TEXTS];
static char storage[TEXTS][2][400];

/* Responses with words of two lexicons, and with others that make them long: of text i the chosen
 * one has i % 7 good and i % 3 fine words, the rejected one none, among i % 11 others. */
static RgJudgeShare made_up_share(void) {
    for (int i = 0; i < TEXTS; i++) {
        storage[i][0][0] = storage[i][1][0] = '\0';
        for (int k = 0; k < i % 7; k++)
            strcat(storage[i][0], "good ");
        for (int k = 0; k < i % 3; k++)
            strcat(storage[i][0], "fine ");
        for (int k = 0; k < i % 11; k++) {
            strcat(storage[i][0], "word ");
            strcat(storage[i][1], "other ");
        }
        texts[i] = (RgJudgeText){"", storage[i][0], storage[i][1]};
    }
    return (RgJudgeShare){.texts = texts, .count = TEXTS, .path = "texts"};
}

typedef struct Chosen {
    RgOptionPart judge;
} Chosen;

static const RgOption table[] = {
    RG_OPTION_PART(Chosen, judge, "mixture", &rg_judge_family, "who judges"),
    RG_OPTION_END,
};

/* The lexicons of "good" and "fine" with weights; `scale` and `control` NULL: as by default. */
static RgSettings *settings_of(const char *scale, const char *control) {
    static const char *const words[] = {"good\t2\n", "fine\t1\n"}, *const weights[] = {"2.0",
                                                                                       "-0.5"};
    RgSettings *s = rg_settings_create();
    rg_settings_set(s, "judge.type", RG_SETTING_STRING, "mixture", "x.cfg", 1);
    for (int k = 0; k < 2; k++) {
        char path[64], name[16];
        snprintf(name, sizeof name, "lexicon%d", k);
        snprintf(path, sizeof path, "judge.judges.%d.type", k);
        rg_settings_set(s, path, RG_SETTING_STRING, "lexicon", "x.cfg", 2);
        snprintf(path, sizeof path, "judge.judges.%d.file", k);
        rg_settings_set(s, path, RG_SETTING_STRING, scratch_write(name, words[k]), "x.cfg", 3);
        snprintf(path, sizeof path, "judge.judges.%d.weight", k);
        rg_settings_set(s, path, RG_SETTING_REAL, weights[k], "x.cfg", 4);
    }
    if (scale)
        rg_settings_set(s, "judge.scale", RG_SETTING_STRING, scale, "x.cfg", 5);
    if (control)
        rg_settings_set(s, "judge.length_control", RG_SETTING_REAL, control, "x.cfg", 6);
    return s;
}

static RgStatus try_judge(RgSettings *s, const RgJudgeShare *share, RgJudge **judge) {
    Chosen chosen;
    *judge = NULL;
    RgStatus status = rg_options_read(table, s, "", &chosen, &error);
    if (status == RG_OK)
        status = rg_judge_create(&chosen.judge, share, rg_random_root(3), judge, &error);
    rg_settings_destroy(s);
    return status;
}

/* Rewards of all chosen and rejected responses in turn, by a mixture. */
static void rewards_of(RgSettings *s, double *reward) {
    RgJudgeShare share = made_up_share();
    RgJudge *judge;
    cr_assert_eq(try_judge(s, &share, &judge), RG_OK, "%s", error.text);
    RgJudgeItems items = rg_judge_items_of(&share);
    cr_assert_eq(rg_judge_rewards(judge, &items, reward, &error), RG_OK);
    rg_judge_items_free(&items);
    rg_judge_destroy(judge);
}

/* What each lexicon says: 3·(1 + S / √(S² + 15)) of S the sum of valences. */
static double lexicon_reward(int i, int which) {
    double sum = i % 2 ? 0 : which == 0 ? 2 * (i / 2 % 7) : i / 2 % 3;
    return 3 * (1 + sum / sqrt(sum * sum + 15));
}

/* Items of the texts that are calibrated on: every fifth. */
static bool calibrates(int i) {
    return i / 2 % 5 == 0;
}

TestSuite(mixture, .init = scratch_begin);

Test(mixture, is_the_weighted_sum_of_its_judges) {
    double reward[2 * TEXTS];
    rewards_of(settings_of("none", NULL), reward);
    for (int i = 0; i < 2 * TEXTS; i++)
        cr_expect_float_eq(reward[i], 2 * lexicon_reward(i, 0) - 0.5 * lexicon_reward(i, 1), 1e-12);
}

Test(mixture, puts_each_judge_on_a_scale_of_what_it_is_calibrated_on) {
    const double weight[] = {2, -0.5};
    double by_deviation[2 * TEXTS] = {0}, by_range[2 * TEXTS] = {0}, reward[2 * TEXTS];
    for (int k = 0; k < 2; k++) {
        double sum = 0, square = 0, least = INFINITY, most = -INFINITY;
        for (int i = 0; i < 2 * TEXTS; i++) {
            double r = lexicon_reward(i, k);
            if (!calibrates(i))
                continue;
            sum += r / (2 * CALIBRATED);
            square += r * r / (2 * CALIBRATED);
            least = fmin(least, r);
            most = fmax(most, r);
        }
        for (int i = 0; i < 2 * TEXTS; i++) {
            double r = lexicon_reward(i, k);
            by_deviation[i] += weight[k] * (r - sum) / sqrt(square - sum * sum);
            by_range[i] += weight[k] * (r - least) / (most - least);
        }
    }
    rewards_of(settings_of(NULL, NULL), reward);
    for (int i = 0; i < 2 * TEXTS; i++)
        cr_expect_float_eq(reward[i], by_deviation[i], 1e-9);
    rewards_of(settings_of("range", NULL), reward);
    for (int i = 0; i < 2 * TEXTS; i++)
        cr_expect_float_eq(reward[i], by_range[i], 1e-9);
}

static double words_of(int i) {
    return i / 2 % 11 + (i % 2 ? 0 : i / 2 % 7 + i / 2 % 3);
}

/* Cov(reward, log(1 + words)) over what is calibrated on: zero is what a residual is. */
static double length_covariance(const double *reward) {
    double x = 0, y = 0, xy = 0, n = 2 * CALIBRATED;
    for (int i = 0; i < 2 * TEXTS; i++)
        if (calibrates(i)) {
            x += log(1 + words_of(i)) / n;
            y += reward[i] / n;
            xy += log(1 + words_of(i)) * reward[i] / n;
        }
    return xy - x * y;
}

Test(mixture, takes_from_the_reward_what_length_explains_of_it) {
    double plain[2 * TEXTS], half[2 * TEXTS], whole[2 * TEXTS];
    rewards_of(settings_of(NULL, NULL), plain);
    rewards_of(settings_of(NULL, "0.5"), half);
    rewards_of(settings_of(NULL, "1.0"), whole);
    double before = length_covariance(plain);
    cr_expect_gt(before, 0.1, "longer responses have more good words");
    cr_expect_float_eq(length_covariance(half), before / 2, 1e-9);
    cr_expect_float_eq(length_covariance(whole), 0, 1e-9);
    for (int i = 0; i < 2 * TEXTS; i++) /* and nothing else: it is linear in log length */
        cr_expect_float_eq(half[i], (plain[i] + whole[i]) / 2, 1e-9);
}

Test(mixture, of_nothing_or_of_what_cannot_be_is_refused) {
    RgJudgeShare share = made_up_share(), none = {.texts = texts, .path = "texts"};
    RgJudge *judge;
    RgSettings *s = rg_settings_create();
    cr_expect_eq(try_judge(s, &share, &judge), RG_E_USAGE);
    cr_expect(strstr(error.text, "judge.judges is empty: a mixture needs at least one"), "%s",
              error.text);
    cr_expect_eq(try_judge(settings_of(NULL, NULL), &none, &judge), RG_E_RANGE);
    cr_expect(strstr(error.text, "no pair to calibrate a mixture"), "%s", error.text);
    cr_expect_eq(try_judge(settings_of("none", "1.0"), &none, &judge), RG_E_RANGE);
    cr_expect_eq(try_judge(settings_of("none", NULL), &none, &judge), RG_OK, "nothing to learn");
    rg_judge_destroy(judge);
    s = settings_of(NULL, NULL);
    rg_settings_set(s, "judge.judges.1.file", RG_SETTING_STRING, "/nowhere", "x.cfg", 3);
    cr_expect_eq(try_judge(s, &share, &judge), RG_E_FILE);
    cr_expect_null(judge);
    s = settings_of(NULL, NULL);
    rg_settings_set(s, "judge.judges.1.type", RG_SETTING_STRING, "lexicn", "x.cfg", 3);
    cr_expect_eq(try_judge(s, &share, &judge), RG_E_USAGE);
    cr_expect(strstr(error.text, "did you mean \"lexicon\""), "%s", error.text);
}

/* What is read is recorded, and what was recorded is read to the same. */
Test(mixture, survives_the_resolved_config) {
    RgSettings *s = settings_of("range", "0.25"), *resolved = rg_settings_create();
    Chosen chosen;
    cr_assert_eq(rg_options_read(table, s, "", &chosen, &error), RG_OK, "%s", error.text);
    rg_options_record(table, &chosen, "", resolved);
    cr_expect_eq(rg_settings_length(resolved, "judge.judges"), 2);
    cr_expect_str_eq(rg_settings_find(resolved, "judge.judges.0.weight")->text, "2.0");
    cr_expect_str_eq(rg_settings_find(resolved, "judge.scale")->text, "range");
    double first[2 * TEXTS], second[2 * TEXTS];
    rewards_of(s, first);
    rewards_of(resolved, second);
    cr_expect_arr_eq(first, second, sizeof first);
}
