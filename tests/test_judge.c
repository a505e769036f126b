/* SPDX-License-Identifier: MIT */
/* The judges: what they tell apart, what they punish, and on real text how often they are right. */
#include "envs/judges/judge_ngram.h"
#include "envs/judges/lexicon.h"
#include "scratch.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS = 300, MOST_LINES = 20000 };

/* Two styles of the same made-up sentences. */
static char storage[TEXTS][3][160];
static RgJudgeText texts[TEXTS];

static const RgJudgeText *made_up_texts(void) {
    static const char *const who[] = {"king", "priest", "shepherd", "stranger", "widow", "servant"};
    static const char *const what[] = {"house", "field", "river", "mountain", "city", "vineyard"};
    static const char *const when[] = {"that day", "the morning", "the feast", "the harvest"};
    RgRandom random = rg_random_root(11);
    for (int i = 0; i < TEXTS; i++) {
        const char *a = who[rg_random_below(random, (uint64_t)(4 * i), 6)];
        const char *b = what[rg_random_below(random, (uint64_t)(4 * i + 1), 6)];
        const char *c = when[rg_random_below(random, (uint64_t)(4 * i + 2), 4)];
        snprintf(storage[i][0], 160, "The %s came near in %s.", a, c);
        snprintf(storage[i][1], 160, "You have seen the %s, and he has gone to your %s on %s.", a,
                 b, c);
        snprintf(storage[i][2], 160, "Thou hast seen the %s, and he hath gone unto thy %s upon %s.",
                 a, b, c);
        texts[i] = (RgJudgeText){storage[i][0], storage[i][1], storage[i][2]};
    }
    return texts;
}

static RgError error;

static RgJudgeShare share_of(const RgJudgeText *from, int64_t count) {
    return (RgJudgeShare){.texts = from, .count = count, .path = "texts"};
}

/* The n-gram judge as the judge, of words, or as the independent one, of characters. */
static RgJudge *judge_of(int independent, const RgJudgeText *from, int64_t count) {
    RgJudge *judge;
    RgJudgeShare share = share_of(from, count);
    share.independent = independent;
    cr_assert_eq(rg_judge_create_named("ngram", &share, rg_random_root(3), &judge, &error), RG_OK,
                 "%s", error.text);
    return judge;
}

static double reward_of(RgJudge *judge, const char *prompt, const char *response) {
    double reward;
    RgJudgeItems items = {1, &prompt, &response, NULL, NULL};
    cr_assert_eq(rg_judge_rewards(judge, &items, &reward, &error), RG_OK, "%s", error.text);
    return reward;
}

static double accuracy_of(RgJudge *judge, const RgJudgeText *from, int64_t count) {
    double accuracy;
    RgJudgeShare share = share_of(from, count);
    cr_assert_eq(rg_judge_accuracy(judge, &share, &accuracy, &error), RG_OK, "%s", error.text);
    return accuracy;
}

Test(judge, prefers_the_chosen_side_of_texts_it_has_not_seen) {
    const RgJudgeText *all = made_up_texts();
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = judge_of(k, all, 200);
        cr_assert_gt(accuracy_of(judge, all + 200, 100), 0.95);
        rg_judge_destroy(judge);
    }
}

Test(judge, rewards_lie_between_0_and_6) {
    const RgJudgeText *all = made_up_texts();
    const char *const responses[] = {
        "", " ", "a", "You has.", "\xff\xfe", "......", "1 2 3 4 5 6 7"};
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = judge_of(k, all, TEXTS);
        for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
            double reward = reward_of(judge, "The king came near.", responses[i]);
            cr_assert(reward >= 0 && reward <= 6, "\"%s\": %g", responses[i], reward);
        }
        rg_judge_destroy(judge);
    }
}

Test(judge, degenerate_text_gets_less_than_real_text) {
    const RgJudgeText *all = made_up_texts();
    static const char loop[] = "you have you have you have you have you have you have you have you";
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = judge_of(k, all, TEXTS);
        double real = reward_of(judge, all[0].prompt, all[0].chosen);
        cr_assert_gt(real, 3);
        cr_assert_lt(reward_of(judge, all[0].prompt, ""), 0.1 * real, "nothing");
        cr_assert_lt(reward_of(judge, all[0].prompt, "You."), 0.5 * real, "one word");
        cr_assert_lt(reward_of(judge, all[0].prompt, loop), 0.5 * real, "a loop");
        cr_assert_lt(reward_of(judge, all[0].chosen, all[0].chosen), 0.5 * real, "an echo");
        rg_judge_destroy(judge);
    }
}

Test(judge, the_reward_is_made_of_its_parts) {
    const RgJudgeText *all = made_up_texts();
    RgJudge *judge = judge_of(0, all, TEXTS);
    RgNgramParts p = rg_judge_ngram_parts(judge, all[1].prompt, all[1].rejected);
    cr_assert_float_eq(p.reward, 6 * (0.6 * p.style + 0.4 * p.fluency) * p.length * p.repetition,
                       1e-12);
    cr_assert_eq(p.reward, reward_of(judge, all[1].prompt, all[1].rejected));
    rg_judge_destroy(judge);
}

Test(judge, the_same_texts_and_seed_give_the_same_bits) {
    const RgJudgeText *all = made_up_texts();
    for (int k = 0; k < 2; k++) {
        RgJudge *one = judge_of(k, all, TEXTS), *two = judge_of(k, all, TEXTS);
        for (int i = 0; i < 20; i++)
            cr_assert_eq(reward_of(one, all[i].prompt, all[i].chosen),
                         reward_of(two, all[i].prompt, all[i].chosen));
        rg_judge_destroy(one);
        rg_judge_destroy(two);
    }
}

Test(judge, too_few_texts_are_refused) {
    RgJudge *judge;
    RgJudgeShare share = share_of(made_up_texts(), 10);
    cr_assert_eq(rg_judge_create_named("ngram", &share, rg_random_root(1), &judge, &error),
                 RG_E_RANGE);
    cr_assert_null(judge);
    cr_assert(strstr(error.text, "found 10"), "%s", error.text);
}

/* ---- the real verses, where they were built ---- */

/* `objects` takes an array that holds the texts; the caller drops it. */
static int64_t read_verses(const char *name, RgJudgeText *lines, json_t **objects) {
    char path[512];
    const char *source = getenv("RG_SOURCE_DIR"), *folder = getenv("RG_VERSES_DATA");
    if (folder)
        snprintf(path, sizeof path, "%s/%s.jsonl", folder, name);
    else
        snprintf(path, sizeof path, "%s/data/verses/%s.jsonl", source ? source : ".", name);
    FILE *file = fopen(path, "r");
    if (!file)
        cr_skip_test("%s is not there: experiments/data/verses makes it", path);
    char *line = NULL;
    size_t capacity = 0;
    int64_t count = 0;
    *objects = json_array();
    while (count < MOST_LINES && getline(&line, &capacity, file) >= 0) {
        json_t *object = json_loads(line, 0, NULL);
        cr_assert(object, "%s:%ld", path, (long)count + 1);
        json_array_append_new(*objects, object);
        lines[count++] = (RgJudgeText){json_string_value(json_object_get(object, "prompt")),
                                       json_string_value(json_object_get(object, "chosen")),
                                       json_string_value(json_object_get(object, "rejected"))};
    }
    free(line);
    fclose(file);
    return count;
}

static double accuracy_on_verses(int independent, const char *split) {
    RgJudgeText *lines = rg_allocate(MOST_LINES, sizeof *lines);
    RgJudgeText *test = rg_allocate(MOST_LINES, sizeof *test);
    json_t *split_objects, *test_objects;
    int64_t count = read_verses(split, lines, &split_objects);
    int64_t tests = read_verses("test", test, &test_objects);
    RgJudge *judge = judge_of(independent, lines, count);
    double accuracy = accuracy_of(judge, test, tests);
    rg_judge_destroy(judge);
    json_decref(split_objects);
    json_decref(test_objects);
    free(lines);
    free(test);
    return accuracy;
}

Test(judge, the_gold_judge_tells_the_editions_apart) {
    double accuracy = accuracy_on_verses(0, "judge");
    cr_assert_geq(accuracy, 0.95, "held-out pairwise accuracy %g", accuracy);
}

Test(judge, the_independent_judge_tells_the_editions_apart) {
    double accuracy = accuracy_on_verses(1, "judge-independent");
    cr_assert_geq(accuracy, 0.95, "held-out pairwise accuracy %g", accuracy);
}

/* ---- configs ---- */

typedef struct Chosen {
    RgOptionPart judge;
} Chosen;

static const RgOption table[] = {
    RG_OPTION_PART(Chosen, judge, "ngram", &rg_judge_family, "who judges"),
    RG_OPTION_END,
};

/* Settings judge.type and judge.KEY; NULL leaves them out. */
static RgSettings *settings_of(const char *type, const char *key, const char *value) {
    RgSettings *s = rg_settings_create();
    if (type)
        rg_settings_set(s, "e.judge.type", RG_SETTING_STRING, type, "x.cfg", 3);
    char path[64];
    snprintf(path, sizeof path, "e.judge.%s", key ? key : "");
    if (key)
        rg_settings_set(s, path, RG_SETTING_STRING, value, "x.cfg", 4);
    return s;
}

static RgJudge *configured(const char *type, const char *key, const char *value) {
    RgJudge *judge = NULL;
    Chosen chosen;
    RgSettings *s = settings_of(type, key, value);
    RgJudgeShare share = share_of(made_up_texts(), TEXTS);
    cr_assert_eq(rg_options_read(table, s, "e", &chosen, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_judge_create(&chosen.judge, &share, rg_random_root(3), &judge, &error), RG_OK,
                 "%s", error.text);
    rg_settings_destroy(s);
    return judge;
}

Test(judge_config, a_name_alone_stands_for_a_group_with_it) {
    RgSettings *whole = rg_settings_create(), *found = rg_settings_create();
    Chosen chosen;
    rg_settings_set(whole, "e.judge", RG_SETTING_STRING, "ngram", "x.cfg", 3);
    cr_assert_eq(rg_options_read(table, whole, "e", &chosen, &error), RG_OK, "%s", error.text);
    rg_options_record(table, &chosen, "e", found);
    cr_expect_eq(rg_settings_count(found), 2);
    cr_expect_str_eq(rg_settings_find(found, "e.judge.type")->text, "ngram");
    cr_expect_str_eq(rg_settings_find(found, "e.judge.symbols")->text, "auto");
    /* and what was recorded reads as what it was recorded from */
    cr_assert_eq(rg_options_read(table, found, "e", &chosen, &error), RG_OK, "%s", error.text);
    cr_expect_str_eq(chosen.judge.type->name, "ngram");
    cr_expect_str_eq(chosen.judge.path, "e.judge");
    rg_settings_destroy(whole);
    rg_settings_destroy(found);
}

Test(judge_config, options_of_a_judge_decide_what_it_does) {
    const RgJudgeText *all = made_up_texts();
    RgJudge *words = configured("ngram", "symbols", "words");
    RgJudge *characters = configured("ngram", "symbols", "characters"),
            *own = judge_of(1, all, TEXTS);
    double reward = reward_of(characters, all[1].prompt, all[1].rejected);
    cr_expect_eq(reward, reward_of(own, all[1].prompt, all[1].rejected));
    cr_expect_neq(reward, reward_of(words, all[1].prompt, all[1].rejected));
    rg_judge_destroy(own);
    rg_judge_destroy(words);
    rg_judge_destroy(characters);
}

static void refuse_config(RgSettings *s, const char *expected) {
    Chosen chosen;
    cr_expect_eq(rg_options_read(table, s, "e", &chosen, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
    rg_settings_destroy(s);
}

Test(judge_config, what_no_judge_takes_is_refused) {
    refuse_config(settings_of("ngrams", NULL, NULL), "did you mean \"ngram\"");
    refuse_config(settings_of("ngram", "symbols", "letters"), "x.cfg:4: e.judge.symbols");
    refuse_config(settings_of("lexicon", NULL, NULL), "e.judge.file is missing");
    refuse_config(settings_of(NULL, "symbols", "words"), "e.judge is a group or a list");
    RgSettings *s = settings_of("ngram", "symbol", "words");
    Chosen chosen;
    cr_assert_eq(rg_options_read(table, s, "e", &chosen, &error), RG_OK);
    cr_expect_eq(rg_settings_check_used(s, "e", (const char *[]){"judge.symbols", NULL}, &error),
                 RG_E_USAGE, "an option that no table has");
    rg_settings_destroy(s);
}

/* ---- lexicons ---- */

static RgLexicon *lexicon_of(const char *content, int64_t words) {
    RgLexicon *lexicon = NULL;
    cr_assert_eq(rg_lexicon_load(scratch_write("lexicon", content), &lexicon, &error), RG_OK, "%s",
                 error.text);
    cr_assert_eq(rg_lexicon_words(lexicon), words);
    return lexicon;
}

static double normalised(double sum) {
    return sum / sqrt(sum * sum + 15);
}

static void refuse_lexicon(const char *content, const char *expected) {
    RgLexicon *lexicon;
    cr_expect_eq(rg_lexicon_load(scratch_write("lexicon", content), &lexicon, &error), RG_E_FORMAT);
    cr_expect(strstr(error.text, expected), "%s", error.text);
}

TestSuite(lexicon, .init = scratch_begin);

/* VADER's columns, and valences that are its own. */
Test(lexicon, valence_is_the_normalised_sum_of_the_words) {
    RgLexicon *l = lexicon_of("good\t1.9\t0.9434\t[2, 1]\nbad\t-2.5\t0.67\nGreat\t3.1\t0.7\n"
                              ":)\t2.0\t1\n",
                              4);
    cr_expect_float_eq(rg_lexicon_valence(l, "A good day, a GREAT day!"), normalised(5), 1e-12);
    cr_expect_float_eq(rg_lexicon_valence(l, "bad"), normalised(-2.5), 1e-12);
    cr_expect_eq(rg_lexicon_valence(l, "goods and badly"), 0);
    cr_expect_eq(rg_lexicon_valence(l, ""), 0);
    rg_lexicon_destroy(l);
}

Test(lexicon, negations_turn_the_three_words_after_them) {
    RgLexicon *l = lexicon_of("good\t2\n", 1);
    cr_expect_float_eq(rg_lexicon_valence(l, "not good"), normalised(-1.48), 1e-12);
    cr_expect_float_eq(rg_lexicon_valence(l, "It isn't all that good"), normalised(-1.48), 1e-12);
    cr_expect_float_eq(rg_lexicon_valence(l, "not one of all good"), normalised(2), 1e-12);
    cr_expect_float_eq(rg_lexicon_valence(l, "good, not good"), normalised(0.52), 1e-12);
    rg_lexicon_destroy(l);
}

/* AFINN goes from −5 to 5: its 5 is VADER's 4. */
Test(lexicon, javascript_objects_are_read_and_scaled) {
    RgLexicon *l = lexicon_of("/** @type {Record<string, number>} */\nexport const afinn = {\n"
                              "  abandon: -2,\n  'can\\'t stand': -3,\n  \"superb\": 5\n}\n",
                              3);
    cr_expect_float_eq(rg_lexicon_valence(l, "Superb"), normalised(4), 1e-12);
    cr_expect_float_eq(rg_lexicon_valence(l, "They abandon it"), normalised(-1.6), 1e-12);
    rg_lexicon_destroy(l);
}

Test(lexicon, bad_files_are_refused) {
    refuse_lexicon("good\t1\nbad\tvery\n", ":2: no number after the word");
    refuse_lexicon("", "no words, expected lines of");
    refuse_lexicon("once upon a time\n", "no words, expected lines of");
}

Test(lexicon, a_judge_of_it_rewards_from_0_to_6) {
    RgJudgeText texts_of[] = {{"", "good", "bad"}, {"", "bad", "good"}, {"", "x", "y"}};
    RgJudge *judge = configured("lexicon", "file", scratch_write("lexicon", "good\t3\nbad\t-3\n"));
    cr_expect_float_eq(reward_of(judge, "bad", "good"), 3 * (1 + normalised(3)), 1e-12);
    cr_expect_float_eq(reward_of(judge, "good", "plain"), 3, 1e-12);
    cr_expect_float_eq(accuracy_of(judge, texts_of, 3), 0.5, 1e-12);
    rg_judge_destroy(judge);
}
