/* SPDX-License-Identifier: MIT */
/* Judges that other people's libraries make: fluency by sphinxbase, grammar by link-grammar. Where
 * a library is missing, or the model, its tests are skipped and say so. */
#include "envs/judges/judge.h"
#include "scratch.h"

#include <math.h>
#include <unistd.h>

static RgError error;

typedef struct Chosen {
    RgOptionPart judge;
} Chosen;

static const RgOption table[] = {
    RG_OPTION_PART(Chosen, judge, "ngram", &rg_judge_family, "who judges"),
    RG_OPTION_END,
};

static const char real_model[] = "/usr/share/pocketsphinx/model/en-us/en-us.lm.bin";

static const RgJudgeType *type_of(const char *name) {
    return (const RgJudgeType *)rg_find(RG_JUDGE, name);
}

static void need(const char *judge) {
    if (type_of(judge)->about.missing_packages)
        cr_skip_test("built without the judge %s: %s", judge,
                     type_of(judge)->about.missing_packages);
}

static void need_model(void) {
    need("fluency");
    if (access(real_model, R_OK) != 0)
        cr_skip_test("%s is not there (Debian: pocketsphinx-en-us)", real_model);
}

/* A judge with one option, as text, or with none: key NULL. */
static RgStatus try_judge(const char *type, const char *key, RgSettingKind kind, const char *value,
                          RgJudge **judge) {
    static const RgJudgeText texts[] = {{"", "It is good.", "It good are."}};
    RgJudgeShare share = {.texts = texts, .count = 1, .path = "texts"};
    RgSettings *s = rg_settings_create();
    Chosen chosen;
    char path[64];
    *judge = NULL;
    rg_settings_set(s, "judge.type", RG_SETTING_STRING, type, "x.cfg", 3);
    snprintf(path, sizeof path, "judge.%s", key ? key : "");
    if (key)
        rg_settings_set(s, path, kind, value, "x.cfg", 4);
    RgStatus status = rg_options_read(table, s, "", &chosen, &error);
    if (status == RG_OK)
        status = rg_judge_create(&chosen.judge, &share, rg_random_root(3), judge, &error);
    rg_settings_destroy(s);
    return status;
}

static RgJudge *judge_of(const char *type, const char *key, RgSettingKind kind, const char *value) {
    RgJudge *judge;
    need(type);
    cr_assert_eq(try_judge(type, key, kind, value, &judge), RG_OK, "%s", error.text);
    return judge;
}

static double reward_of(RgJudge *judge, const char *response) {
    double reward;
    const char *prompt = "";
    RgJudgeItems items = {1, &prompt, &response, NULL, NULL};
    cr_assert_eq(rg_judge_rewards(judge, &items, &reward, &error), RG_OK, "%s", error.text);
    return reward;
}

static void refuse(const char *type, const char *key, const char *value, RgStatus expected,
                   const char *message) {
    RgJudge *judge;
    need(type);
    cr_expect_eq(try_judge(type, key, RG_SETTING_STRING, value, &judge), expected);
    cr_expect_null(judge);
    cr_expect(strstr(error.text, message), "%s\nlacks: %s", error.text, message);
}

TestSuite(judge_libraries, .init = scratch_begin);
TestSuite(fluency, .init = scratch_begin);
TestSuite(grammar, .init = scratch_begin);

/* ---- builds without ---- */

Test(judge_libraries, what_a_build_lacks_is_refused_with_what_to_install) {
    static const RgJudgeType lacking = {
        .about = {.name = "lacking", .summary = "s", .missing_packages = "a-package"}};
    cr_assert_eq(rg_judge_type_register(&lacking, &error), RG_OK, "%s", error.text);
    Chosen chosen;
    RgSettings *s = rg_settings_create();
    rg_settings_set(s, "judge", RG_SETTING_STRING, "lacking", "x.cfg", 3);
    cr_expect_eq(rg_options_read(table, s, "", &chosen, &error), RG_E_USAGE);
    cr_expect_str_eq(error.text, "x.cfg:3: judge = \"lacking\": not available in this build: "
                                 "install a-package and run configure again");
    rg_settings_destroy(s);
}

Test(judge_libraries, a_build_without_them_names_their_packages) {
    static const char *const names[] = {"fluency", "grammar"}, *const packages[] = {
                                                                   "libsphinxbase-dev",
                                                                   "liblink-grammar-dev"};
    if (!type_of("fluency")->about.missing_packages && !type_of("grammar")->about.missing_packages)
        cr_skip_test("this build has both libraries");
    for (int k = 0; k < 2; k++) {
        RgJudge *judge;
        if (!type_of(names[k])->about.missing_packages)
            continue;
        cr_expect_eq(try_judge(names[k], NULL, RG_SETTING_STRING, NULL, &judge), RG_E_USAGE);
        cr_expect(strstr(error.text, packages[k]), "%s", error.text);
        RgJudgeShare nothing = {.path = "texts"};
        cr_expect_eq(rg_judge_create_named(names[k], &nothing, rg_random_root(1), &judge, &error),
                     RG_E_USAGE);
        cr_expect(strstr(error.text, packages[k]), "%s", error.text);
    }
}

/* ---- fluency ---- */

/* A model of two words by hand, whose probabilities are known: log10 P, word, log10 of back-off. */
static const char tiny[] = "\\data\\\nngram 1=6\nngram 2=4\n\n\\1-grams:\n"
                           "-1.0 </s> 0\n-99 <s> -0.3\n-0.7 the -0.2\n-1.1 dog -0.4\n"
                           "-1.3 ran -0.5\n-1.7 it's -0.1\n\n\\2-grams:\n"
                           "-0.2 <s> the\n-0.4 the dog\n-0.6 dog ran\n-0.9 the it's\n\n\\end\\\n";

static RgJudge *tiny_judge(void) {
    return judge_of("fluency", "file", RG_SETTING_STRING, scratch_write("tiny.arpa", tiny));
}

/* What a response is worth whose words have this sum of log10 P, besides `unknown` ones. */
static double worth(double log10_sum, int words, int unknown) {
    double mean = (log10_sum * log(10) - 16 * unknown) / (words + unknown);
    return 6 * (1 + mean / 16);
}

Test(fluency, is_the_mean_log_probability_of_words_and_ends) {
    RgJudge *judge = tiny_judge();
    /* the dog ran </s>: the last is not among the pairs, and ran backs off */
    double whole = -0.2 - 0.4 - 0.6 + (-0.5 - 1.0);
    cr_expect_float_eq(reward_of(judge, "The dog ran."), worth(whole, 4, 0), 1e-3);
    /* dog the </s>, all by back-off */
    double turned = (-0.3 - 1.1) + (-0.4 - 0.7) + (-0.2 - 1.0);
    cr_expect_float_eq(reward_of(judge, "dog, the"), worth(turned, 3, 0), 1e-3);
    cr_expect_float_eq(reward_of(judge, "The dog ran. Dog -- 'the'!"), worth(whole + turned, 7, 0),
                       1e-3);
    rg_judge_destroy(judge);
}

Test(fluency, words_behind_an_unknown_one_start_afresh) {
    RgJudge *judge = tiny_judge();
    /* the cat ran </s> */
    double rest = -0.2 - 1.3 + (-0.5 - 1.0);
    cr_expect_float_eq(reward_of(judge, "The cat ran"), worth(rest, 3, 1), 1e-3);
    /* a number is no word, but one all the same for what follows it */
    cr_expect_float_eq(reward_of(judge, "The 22 ran"), worth(rest, 3, 0), 1e-3);
    cr_expect_float_eq(reward_of(judge, "The dog-cat"), worth(-0.2 - 0.4 - 1.0, 3, 1), 1e-3);
    cr_expect_eq(reward_of(judge, "42"), 0);
    rg_judge_destroy(judge);
}

Test(fluency, words_are_spelt_as_the_model_does) {
    RgJudge *judge = tiny_judge();
    double reward = worth(-0.2 - 0.9 + (-0.1 - 1.0), 3, 0);
    cr_expect_float_eq(reward_of(judge, "the it's"), reward, 1e-3);
    cr_expect_float_eq(reward_of(judge, "THE\xe2\x80\x94It\xe2\x80\x99s."), reward, 1e-3);
    rg_judge_destroy(judge);
}

Test(fluency, what_has_no_words_gets_0) {
    RgJudge *judge = tiny_judge();
    cr_expect_float_eq(reward_of(judge, "xyzzy"), worth(-1.0, 1, 1), 1e-3, "but for its end");
    cr_expect_eq(reward_of(judge, ""), 0);
    cr_expect_eq(reward_of(judge, " ...\n"), 0);
    double noise = reward_of(judge, "\xff\xfe\xe2\x80 \x01\xc3");
    cr_expect(noise >= 0 && noise <= 6, "%g", noise);
    rg_judge_destroy(judge);
}

Test(fluency, of_real_english_is_more_than_of_shuffled_words) {
    need_model();
    RgJudge *judge = judge_of("fluency", NULL, RG_SETTING_STRING, NULL);
    double real = reward_of(judge, "The little girl went to the park with her mother.");
    double shuffled = reward_of(judge, "Mother park the with little her to girl went the.");
    double plain = reward_of(judge, "Once upon a time there was a big dog.");
    double invented = reward_of(judge, "Xqz vvrk ploof grmbl.");
    cr_expect_gt(plain, real, "%g, %g", plain, real);
    cr_expect_gt(real, shuffled + 1, "%g, %g", real, shuffled);
    cr_expect_gt(shuffled, invented, "%g, %g", shuffled, invented);
    rg_judge_destroy(judge);
}

/* No word of the sentence is as unlikely as either bound. */
Test(fluency, what_an_unknown_word_counts_is_where_the_scale_ends) {
    need_model();
    static const char text[] = "Once upon a time there was a big dog.";
    RgJudge *near = judge_of("fluency", "unknown", RG_SETTING_REAL, "-20");
    RgJudge *far = judge_of("fluency", "unknown", RG_SETTING_REAL, "-40");
    cr_expect_float_eq((6 - reward_of(near, text)) * 20, (6 - reward_of(far, text)) * 40, 1e-9);
    rg_judge_destroy(near);
    rg_judge_destroy(far);
}

Test(fluency, files_that_are_no_models_are_refused) {
    refuse("fluency", "file", "/nowhere/en.lm", RG_E_FILE, "pocketsphinx-en-us");
    refuse("fluency", "file", scratch_write("x.lm", "good\t2\n"), RG_E_FORMAT, "no n-gram model");
    refuse("fluency", "file",
           scratch_write("y.arpa", "\\data\\\nngram 1=2\n\n\\1-grams:\n-1 a\n-1 b\n\n\\end\\\n"),
           RG_E_FORMAT, "no words <s> and </s>");
}

/* ---- grammar ---- */

static RgJudge *grammar_judge(void) {
    return judge_of("grammar", NULL, RG_SETTING_STRING, NULL);
}

/* Of "She have three dog." link-parser leaves out two, with the full stop of five words. */
Test(grammar, is_the_share_of_words_in_a_linkage) {
    RgJudge *judge = grammar_judge();
    static const char right[] = "The little girl went to the park with her mother.",
                      wrong[] = "She have three dog.";
    cr_expect_eq(reward_of(judge, right), 6);
    cr_expect_float_eq(reward_of(judge, wrong), 6 * 3 / 5., 1e-12);
    char both[128];
    snprintf(both, sizeof both, "%s %s", right, wrong);
    cr_expect_float_eq(reward_of(judge, both), 6 * (1 - 2 / (11. + 5.)), 1e-12);
    cr_expect_lt(reward_of(judge, "Girl park the mother with little to her went the."), 5.5);
    rg_judge_destroy(judge);
}

Test(grammar, long_sentences_are_parsed_in_pieces) {
    static const char left[] = "she have three dog", right[] = "the cat slept well";
    RgJudge *judge = judge_of("grammar", "words", RG_SETTING_INTEGER, "4");
    char both[128], lines[128];
    snprintf(both, sizeof both, "%s %s", left, right);
    snprintf(lines, sizeof lines, "%s\n%s", left, right);
    cr_expect_lt(reward_of(judge, left), 6);
    cr_expect_eq(reward_of(judge, right), 6);
    cr_expect_eq(reward_of(judge, both), reward_of(judge, lines));
    rg_judge_destroy(judge);
}

/* All of it can be linked, but not by every linkage that is looked at. */
Test(grammar, a_linkage_of_all_words_is_found_among_others) {
    RgJudge *judge = grammar_judge();
    cr_expect_eq(reward_of(judge, "I told it to the magicians, but there was no one who could "
                                  "explain it to me."),
                 6);
    rg_judge_destroy(judge);
}

/* So many words that can all be linked to each other take minutes. */
Test(grammar, to_run_out_of_time_is_an_error) {
    static const char *const words[] = {"was ", "light ", ": ", "that ", "and "};
    RgSettings *s = rg_settings_create();
    RgJudgeShare share = {.path = "texts"};
    RgJudge *judge;
    Chosen chosen;
    need("grammar");
    rg_settings_set(s, "judge.type", RG_SETTING_STRING, "grammar", "x.cfg", 3);
    rg_settings_set(s, "judge.words", RG_SETTING_INTEGER, "200", "x.cfg", 4);
    rg_settings_set(s, "judge.seconds", RG_SETTING_INTEGER, "1", "x.cfg", 5);
    cr_assert_eq(rg_options_read(table, s, "", &chosen, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_judge_create(&chosen.judge, &share, rg_random_root(3), &judge, &error), RG_OK,
                 "%s", error.text);
    char text[2000] = "";
    for (int i = 0; i < 190; i++)
        strcat(text, words[(i * i * 7 + i / 3) % 5]);
    const char *prompt = "", *response = text;
    RgJudgeItems items = {1, &prompt, &response, NULL, NULL};
    double reward;
    cr_expect_eq(rg_judge_rewards(judge, &items, &reward, &error), RG_E_RANGE);
    cr_expect(strstr(error.text, "more than 1 seconds for \"was : that"), "%s", error.text);
    cr_expect_eq(reward_of(judge, "It is good."), 6, "the next sentence has its own time");
    rg_judge_destroy(judge);
    rg_settings_destroy(s);
}

/* No text may end the program, and each has a reward: bytes at random, from few kinds of them. */
Test(grammar, of_any_bytes_lies_between_0_and_6) {
    static const char *const pieces[] = {
        "a",  "I'm", "dogs ",    " ", "\xff", "\xe2\x80\x99", "\x01",         "\"", "$5.50",
        "--", "'",   "\xc2\xa0", "[", "...",  "the ",         "\xe2\x80\x8b", "<",  "12:30"};
    enum { KINDS = sizeof pieces / sizeof *pieces };
    RgJudge *judge = grammar_judge();
    RgRandom random = rg_random_root(5);
    char text[512];
    for (uint64_t i = 0, draw = 0; i < 300; i++) {
        text[0] = '\0';
        for (uint64_t k = rg_random_below(random, draw++, 30); k > 0; k--)
            strcat(text, pieces[rg_random_below(random, draw++, KINDS)]);
        double reward = reward_of(judge, text);
        cr_expect(reward >= 0 && reward <= 6, "\"%s\": %g", text, reward);
    }
    cr_expect_eq(reward_of(judge, ""), 0);
    cr_expect_eq(reward_of(judge, "?! \n--"), 0);
    rg_judge_destroy(judge);
}

Test(grammar, words_beyond_all_length_do_no_harm) {
    RgJudge *judge = grammar_judge();
    enum { BYTES = 20000 };
    char *text = rg_allocate(BYTES + 1, 1);
    memset(text, 'x', BYTES);
    double reward = reward_of(judge, text);
    cr_expect(reward >= 0 && reward <= 6, "%g", reward);
    free(text);
    rg_judge_destroy(judge);
}

Test(grammar, languages_without_a_dictionary_are_refused) {
    refuse("grammar", "language", "xx", RG_E_USAGE, "no dictionary \"xx\"");
}

/* link-grammar would take them for folders. */
Test(grammar, a_language_is_no_path) {
    static const char *const paths[] = {"", "/etc", "../en", "a/b", ".", "en\n"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        refuse("grammar", "language", paths[i], RG_E_USAGE, "expected a language");
}

/* ---- both ---- */

static const char *const responses[] = {
    "She has three dogs.",
    "She have three dog.",
    "",
    "Three she dogs has.",
    "I went to the market yesterday, and bought some fish.",
    "Fish some bought and yesterday market the to went I.",
};
enum { RESPONSES = sizeof responses / sizeof *responses };

static void reward_all(RgJudge *judge, double *reward) {
    const char *prompts[RESPONSES] = {0};
    RgJudgeItems items = {RESPONSES, prompts, responses, NULL, NULL};
    cr_assert_eq(rg_judge_rewards(judge, &items, reward, &error), RG_OK, "%s", error.text);
}

Test(judge_libraries, threads_that_ask_at_once_get_what_one_gets) {
    static const char *const names[] = {"fluency", "grammar"};
    for (int k = 0; k < 2; k++) {
        RgJudge *judge = k == 0 ? tiny_judge() : grammar_judge();
        double alone[RESPONSES], together[8][RESPONSES];
        reward_all(judge, alone);
#pragma omp parallel for num_threads(4)
        for (int i = 0; i < 8; i++)
            reward_all(judge, together[i]);
        for (int i = 0; i < 8; i++)
            cr_expect_arr_eq(together[i], alone, sizeof alone, "%s", names[k]);
        rg_judge_destroy(judge);
    }
}

Test(judge_libraries, a_mixture_weighs_them) {
    static const char *const names[] = {"fluency", "grammar"}, *const weights[] = {"0.5", "2.0"};
    need("grammar");
    RgJudge *parts[2] = {tiny_judge(), grammar_judge()}, *mixture;
    RgSettings *s = rg_settings_create();
    rg_settings_set(s, "judge.type", RG_SETTING_STRING, "mixture", "x.cfg", 1);
    rg_settings_set(s, "judge.scale", RG_SETTING_STRING, "none", "x.cfg", 1);
    rg_settings_set(s, "judge.judges.0.file", RG_SETTING_STRING, scratch("tiny.arpa"), "x.cfg", 2);
    for (int k = 0; k < 2; k++) {
        char path[64];
        snprintf(path, sizeof path, "judge.judges.%d.type", k);
        rg_settings_set(s, path, RG_SETTING_STRING, names[k], "x.cfg", 2);
        snprintf(path, sizeof path, "judge.judges.%d.weight", k);
        rg_settings_set(s, path, RG_SETTING_REAL, weights[k], "x.cfg", 2);
    }
    Chosen chosen;
    RgJudgeText text = {"", responses[0], responses[1]};
    RgJudgeShare share = {.texts = &text, .count = 1, .path = "texts"};
    cr_assert_eq(rg_options_read(table, s, "", &chosen, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_judge_create(&chosen.judge, &share, rg_random_root(3), &mixture, &error), RG_OK,
                 "%s", error.text);
    for (int i = 0; i < RESPONSES; i++) {
        double expected =
            0.5 * reward_of(parts[0], responses[i]) + 2 * reward_of(parts[1], responses[i]);
        cr_expect_float_eq(reward_of(mixture, responses[i]), expected, 1e-12);
    }
    cr_expect_gt(reward_of(mixture, responses[0]), reward_of(mixture, responses[1]));
    rg_judge_destroy(mixture);
    rg_judge_destroy(parts[0]);
    rg_judge_destroy(parts[1]);
    rg_settings_destroy(s);
}
