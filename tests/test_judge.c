/* The judges: what they tell apart, what they punish, and on real text how often they are right. */
#include "envs/judge.h"
#include "envs/lexicon.h"
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

static RgJudge *judge_of(RgJudgeKind kind, const RgJudgeText *from, int64_t count) {
    RgError error = {0};
    RgJudge *judge;
    cr_assert(rg_judge_create(kind, from, count, rg_random_root(3), &judge, &error) == RG_OK, "%s",
              error.text);
    return judge;
}

static const RgJudgeKind kinds[] = {RG_JUDGE_WORDS, RG_JUDGE_CHARACTERS};

Test(judge, prefers_the_modern_side_of_texts_it_has_not_seen) {
    const RgJudgeText *all = made_up_texts();
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = judge_of(kinds[k], all, 200);
        cr_assert_gt(rg_judge_accuracy(judge, all + 200, 100), 0.95);
        rg_judge_destroy(judge);
    }
}

Test(judge, rewards_lie_between_0_and_6) {
    const RgJudgeText *all = made_up_texts();
    const char *const responses[] = {
        "", " ", "a", "You has.", "\xff\xfe", "......", "1 2 3 4 5 6 7"};
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = judge_of(kinds[k], all, TEXTS);
        for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
            double reward = rg_judge_reward(judge, "The king came near.", responses[i]);
            cr_assert(reward >= 0 && reward <= 6, "\"%s\": %g", responses[i], reward);
        }
        rg_judge_destroy(judge);
    }
}

Test(judge, degenerate_text_gets_less_than_real_text) {
    const RgJudgeText *all = made_up_texts();
    static const char loop[] = "you have you have you have you have you have you have you have you";
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = judge_of(kinds[k], all, TEXTS);
        double real = rg_judge_reward(judge, all[0].prompt, all[0].modern);
        cr_assert_gt(real, 3);
        cr_assert_lt(rg_judge_reward(judge, all[0].prompt, ""), 0.1 * real, "nothing");
        cr_assert_lt(rg_judge_reward(judge, all[0].prompt, "You."), 0.5 * real, "one word");
        cr_assert_lt(rg_judge_reward(judge, all[0].prompt, loop), 0.5 * real, "a loop");
        cr_assert_lt(rg_judge_reward(judge, all[0].modern, all[0].modern), 0.5 * real, "an echo");
        rg_judge_destroy(judge);
    }
}

Test(judge, the_reward_is_made_of_its_parts) {
    const RgJudgeText *all = made_up_texts();
    RgJudge *judge = judge_of(RG_JUDGE_WORDS, all, TEXTS);
    RgJudgeParts p = rg_judge_parts(judge, all[1].prompt, all[1].archaic);
    cr_assert_float_eq(p.reward, 6 * (0.6 * p.style + 0.4 * p.fluency) * p.length * p.repetition,
                       1e-12);
    cr_assert_eq(p.reward, rg_judge_reward(judge, all[1].prompt, all[1].archaic));
    rg_judge_destroy(judge);
}

Test(judge, the_same_texts_and_seed_give_the_same_bits) {
    const RgJudgeText *all = made_up_texts();
    for (int k = 0; k < 2; k++) {
        RgJudge *one = judge_of(kinds[k], all, TEXTS), *two = judge_of(kinds[k], all, TEXTS);
        for (int i = 0; i < 20; i++)
            cr_assert_eq(rg_judge_reward(one, all[i].prompt, all[i].modern),
                         rg_judge_reward(two, all[i].prompt, all[i].modern));
        rg_judge_destroy(one);
        rg_judge_destroy(two);
    }
}

Test(judge, too_few_texts_are_refused) {
    RgError error = {0};
    RgJudge *judge;
    cr_assert(rg_judge_create(RG_JUDGE_WORDS, made_up_texts(), 10, rg_random_root(1), &judge,
                              &error) == RG_E_RANGE);
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

static double accuracy_on_verses(RgJudgeKind kind, const char *split) {
    RgJudgeText *lines = rg_allocate(MOST_LINES * sizeof *lines);
    RgJudgeText *test = rg_allocate(MOST_LINES * sizeof *test);
    json_t *split_objects, *test_objects;
    int64_t count = read_verses(split, lines, &split_objects);
    int64_t tests = read_verses("test", test, &test_objects);
    RgJudge *judge = judge_of(kind, lines, count);
    double accuracy = rg_judge_accuracy(judge, test, tests);
    rg_judge_destroy(judge);
    json_decref(split_objects);
    json_decref(test_objects);
    free(lines);
    free(test);
    return accuracy;
}

Test(judge, the_gold_judge_tells_the_editions_apart) {
    double accuracy = accuracy_on_verses(RG_JUDGE_WORDS, "judge");
    cr_assert_geq(accuracy, 0.95, "held-out pairwise accuracy %g", accuracy);
}

Test(judge, the_independent_judge_tells_the_editions_apart) {
    double accuracy = accuracy_on_verses(RG_JUDGE_CHARACTERS, "judge-independent");
    cr_assert_geq(accuracy, 0.95, "held-out pairwise accuracy %g", accuracy);
}

/* ---- lexicons ---- */

static RgError error;

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

TestSuite(lexicon, .init = scratch_begin, .fini = scratch_remove);

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
    RgJudge *judge;
    RgJudgeText texts_of[] = {{"", "good", "bad"}, {"", "bad", "good"}, {"", "x", "y"}};
    cr_assert_eq(
        rg_judge_of_lexicon(scratch_write("lexicon", "good\t3\nbad\t-3\n"), &judge, &error), RG_OK);
    cr_expect_float_eq(rg_judge_reward(judge, "bad", "good"), 3 * (1 + normalised(3)), 1e-12);
    cr_expect_float_eq(rg_judge_reward(judge, "good", "plain"), 3, 1e-12);
    cr_expect_float_eq(rg_judge_accuracy(judge, texts_of, 3), 0.5, 1e-12);
    rg_judge_destroy(judge);
}
