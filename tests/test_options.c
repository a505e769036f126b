/* SPDX-License-Identifier: MIT */
/* Option tables: defaults, types, ranges, choices and the messages. */
#include "core/options.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct BoatOptions {
    double beta;
    double rate;
    int64_t steps;
    int64_t seed;
    bool frozen;
    const char *name;
    int rule;
} BoatOptions;

static const char *const rules[] = {"sgd", "adam", "adamw", NULL};

static const RgOption boat[] = {
    RG_OPTION_REAL(BoatOptions, beta, "0.1", 1e-6, 1e3, "strength of the KL term, β of the paper"),
    RG_OPTION_REAL(BoatOptions, rate, NULL, 0, 1, "step size; without a default on purpose"),
    RG_OPTION_INTEGER(BoatOptions, steps, "100", 1, 100000, "steps"),
    RG_OPTION_INTEGER(BoatOptions, seed, "0", 0, 9.3e18, "seed"),
    RG_OPTION_BOOLEAN(BoatOptions, frozen, "false", "whether it stays as it is"),
    RG_OPTION_STRING(BoatOptions, name, "", "name"),
    RG_OPTION_CHOICE(BoatOptions, rule, "adamw", rules, "rule of the update"),
    RG_OPTION_END,
};

static RgSettings *table;
static RgError error;
static BoatOptions values;

static void begin(void) {
    table = rg_settings_create();
    rg_settings_set(table, "boats.1.rate", RG_SETTING_REAL, "0.5", "x.cfg", 4);
    memset(&values, 0xA5, sizeof values);
}

static void end(void) {
    rg_settings_destroy(table);
}

TestSuite(options, .init = begin, .fini = end);

static void set(const char *path, RgSettingKind kind, const char *text) {
    rg_settings_set(table, path, kind, text, "x.cfg", 12);
}

static RgStatus read_boat(void) {
    return rg_options_read(boat, table, "boats.1", &values, &error);
}

Test(options, defaults_fill_what_is_not_given) {
    cr_assert_eq(read_boat(), RG_OK, "%s", error.text);
    cr_assert_eq(values.beta, 0.1);
    cr_assert_eq(values.rate, 0.5);
    cr_assert_eq(values.steps, 100);
    cr_assert_eq(values.frozen, false);
    cr_assert_str_eq(values.name, "");
    cr_assert_eq(values.rule, 2);
}

Test(options, given_values_are_read_exactly) {
    set("boats.1.beta", RG_SETTING_REAL, "0.30000000000000004");
    set("boats.1.seed", RG_SETTING_INTEGER, "9223372036854775807");
    set("boats.1.frozen", RG_SETTING_BOOLEAN, "true");
    set("boats.1.name", RG_SETTING_STRING, "Pinta");
    set("boats.1.rule", RG_SETTING_STRING, "sgd");
    cr_assert_eq(read_boat(), RG_OK, "%s", error.text);
    cr_assert_eq(values.beta, 0.1 + 0.2);
    cr_assert_eq(values.seed, INT64_MAX);
    cr_assert(values.frozen);
    cr_assert_str_eq(values.name, "Pinta");
    cr_assert_eq(values.rule, 0);
    cr_assert_eq(rg_settings_check_used(table, "", NULL, NULL), RG_OK);
}

Test(options, real_accepts_an_integer_but_integer_no_real) {
    set("boats.1.beta", RG_SETTING_INTEGER, "2");
    cr_assert_eq(read_boat(), RG_OK, "%s", error.text);
    cr_assert_eq(values.beta, 2.0);
    set("boats.1.steps", RG_SETTING_REAL, "5.0");
    cr_assert_eq(read_boat(), RG_E_USAGE);
    cr_assert_str_eq(error.text,
                     "x.cfg:12: boats.1.steps = 5.0: expected an integer in [1, 100000]");
}

Test(options, string_for_a_number_is_refused_with_file_line_and_range) {
    set("boats.1.beta", RG_SETTING_STRING, "high");
    cr_assert_eq(read_boat(), RG_E_USAGE);
    cr_assert_str_eq(error.text,
                     "x.cfg:12: boats.1.beta = \"high\": expected a real in [1e-06, 1000]");
}

Test(options, wrong_types_are_refused) {
    const struct {
        const char *path;
        RgSettingKind kind;
        const char *text, *expected;
    } cases[] = {
        {"boats.1.frozen", RG_SETTING_INTEGER, "1", "= 1: expected true or false"},
        {"boats.1.name", RG_SETTING_INTEGER, "3", "= 3: expected a string"},
        {"boats.1.rule", RG_SETTING_INTEGER, "3",
         "= 3: expected one of \"sgd\", \"adam\", \"adamw\""},
        {"boats.1.beta", RG_SETTING_BOOLEAN, "true", "= true: expected a real in [1e-06, 1000]"},
        {"boats.1.beta", RG_SETTING_EMPTY, "", "= (empty): expected a real in [1e-06, 1000]"},
        {"boats.1.seed", RG_SETTING_STRING, "x", "= \"x\": expected an integer of at least 0"},
        {"boats.1.beta.0", RG_SETTING_REAL, "0.1",
         "x.cfg:12: boats.1.beta is a group or a list: expected a real in [1e-06, 1000]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        end(), begin();
        set(cases[i].path, cases[i].kind, cases[i].text);
        cr_assert_eq(read_boat(), RG_E_USAGE, "%s", cases[i].path);
        cr_assert(strstr(error.text, cases[i].expected), "%s", error.text);
    }
}

Test(options, bounds_are_inclusive_and_beyond_them_is_refused) {
    const char *good[] = {"1e-06", "1000"}, *bad[] = {"9.99999e-07", "1000.0000001", "-1"};
    for (int i = 0; i < 2; i++) {
        set("boats.1.beta", RG_SETTING_REAL, good[i]);
        cr_assert_eq(read_boat(), RG_OK, "%s", error.text);
    }
    for (int i = 0; i < 3; i++) {
        set("boats.1.beta", RG_SETTING_REAL, bad[i]);
        cr_assert_eq(read_boat(), RG_E_USAGE, "%s", bad[i]);
        cr_assert(strstr(error.text, "expected a real in [1e-06, 1000]"), "%s", error.text);
    }
}

Test(options, unknown_choice_lists_the_choices_and_the_nearest) {
    set("boats.1.rule", RG_SETTING_STRING, "adma");
    cr_assert_eq(read_boat(), RG_E_USAGE);
    cr_assert_str_eq(error.text, "x.cfg:12: boats.1.rule = \"adma\": expected one of \"sgd\", "
                                 "\"adam\", \"adamw\"; did you mean \"adam\"?");
}

Test(options, missing_key_names_file_and_what_was_expected) {
    rg_settings_remove(table, "boats.1");
    set("policy", RG_SETTING_STRING, "tabular");
    cr_assert_eq(read_boat(), RG_E_USAGE);
    cr_assert_str_eq(error.text, "x.cfg: boats.1.rate is missing: expected a real in [0, 1]");
    rg_settings_set(table, "boats.1.raet", RG_SETTING_REAL, "0.1", "y.cfg", 3);
    read_boat();
    cr_assert_str_eq(error.text, "y.cfg: boats.1.rate is missing: expected a real in [0, 1]; is "
                                 "\"boats.1.raet\" in line 3 a misspelling?");
}

Test(options, recorded_options_read_back_the_same) {
    set("boats.1.beta", RG_SETTING_REAL, "0.30000000000000004");
    set("boats.1.name", RG_SETTING_STRING, "Niña");
    cr_assert_eq(read_boat(), RG_OK);
    RgSettings *resolved = rg_settings_create();
    rg_options_record(boat, &values, "again", resolved);
    cr_assert_eq(rg_settings_count(resolved), 7);
    BoatOptions second;
    cr_assert_eq(rg_options_read(boat, resolved, "again", &second, &error), RG_OK, "%s",
                 error.text);
    cr_assert_eq(second.beta, values.beta);
    cr_assert_eq(second.rate, values.rate);
    cr_assert_eq(second.steps, values.steps);
    cr_assert_eq(second.seed, values.seed);
    cr_assert_eq(second.frozen, values.frozen);
    cr_assert_eq(second.rule, values.rule);
    cr_assert_str_eq(second.name, "Niña");
    rg_settings_destroy(resolved);
}

typedef struct WordOptions {
    RgOptionList words;
} WordOptions;

static const RgOption word_options[] = {
    RG_OPTION_LIST(WordOptions, words, "names, or numbers"),
    RG_OPTION_END,
};

Test(options, lists_of_words_and_integers_are_read_recorded_and_told) {
    WordOptions read = {.words = {.count = 3}};
    cr_assert_eq(rg_options_read(word_options, table, "boats.1", &read, &error), RG_OK);
    cr_assert_eq(read.words.count, 0, "the default");
    set("boats.1.words", RG_SETTING_EMPTY, "");
    cr_assert_eq(rg_options_read(word_options, table, "boats.1", &read, &error), RG_OK);
    cr_assert_eq(read.words.count, 0);
    set("boats.1.words.0", RG_SETTING_STRING, "13");
    set("boats.1.words.1", RG_SETTING_INTEGER, "13");
    RgSettings *resolved = rg_settings_create();
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(
            rg_options_read(word_options, again ? resolved : table, "boats.1", &read, &error),
            RG_OK, "%s", error.text);
        cr_assert_eq(read.words.count, 2);
        cr_assert(!read.words.item[0].is_integer && read.words.item[1].is_integer);
        cr_assert_str_eq(read.words.item[0].text, "13");
        cr_assert_str_eq(read.words.item[1].text, "13");
        rg_options_record(word_options, &read, "boats.1", resolved);
    }
    rg_settings_destroy(resolved);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    rg_options_print(word_options, stream);
    fclose(stream);
    cr_assert_str_eq(text, "  words: a list of at most 32 strings and integers; default []\n"
                           "      names, or numbers\n");
    free(text);
}

Test(options, what_is_no_list_of_words_and_integers_is_refused) {
    WordOptions read;
    const struct {
        const char *path;
        RgSettingKind kind;
        const char *text, *expected;
    } cases[] = {
        {"boats.1.words", RG_SETTING_STRING, "Ana",
         "x.cfg:12: boats.1.words = \"Ana\": expected a list of at most 32 strings and integers, "
         "as "
         "in words = [\"Ana\"];"},
        {"boats.1.words", RG_SETTING_INTEGER, "13", ", as in words = [13];"},
        {"boats.1.words.0", RG_SETTING_REAL, "0.5", "x.cfg:12: boats.1.words.0 = 0.5: expected a "},
        {"boats.1.words.0.name", RG_SETTING_STRING, "Ana", "boats.1.words is a group or a list"},
        {"boats.1.words.captain", RG_SETTING_STRING, "Ana", "boats.1.words is a group or a list"},
        {"boats.1.words.32", RG_SETTING_STRING, "Ana", "expected a list of at most 32 strings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        end(), begin();
        set(cases[i].path, cases[i].kind, cases[i].text);
        cr_assert_eq(rg_options_read(word_options, table, "boats.1", &read, &error), RG_E_USAGE,
                     "%s", cases[i].path);
        cr_assert(strstr(error.text, cases[i].expected), "%s", error.text);
    }
}

Test(options, top_level_and_empty_groups_and_tables_work) {
    set("rate", RG_SETTING_REAL, "0.25");
    cr_assert_eq(rg_options_read(boat, table, "", &values, &error), RG_OK, "%s", error.text);
    cr_assert_eq(values.rate, 0.25);
    set("nothing", RG_SETTING_EMPTY, "");
    const RgOption none[] = {RG_OPTION_END};
    cr_assert_eq(rg_options_read(none, table, "nothing", NULL, &error), RG_OK);
    cr_assert_eq(rg_options_read(NULL, table, "", NULL, &error), RG_OK);
    cr_assert(rg_settings_find(table, "nothing")->used);
}

/* Options shared by several structs: one table, at another place in each. */
typedef struct Crate {
    int64_t weight;
    struct {
        BoatOptions boat;
        bool open;
    } inner;
} Crate;

static const RgOption first_half[] = {
    RG_OPTION_INTEGER(Crate, weight, "3", 0, 10, "weight"),
    RG_OPTION_INCLUDE(Crate, inner.boat, boat),
    RG_OPTION_END,
};

static const RgOption crate[] = {
    RG_OPTION_EXTEND(first_half),
    RG_OPTION_BOOLEAN(Crate, inner.open, "true", "open"),
    RG_OPTION_END,
};

Test(options, included_tables_are_read_and_recorded_at_their_place) {
    Crate read, again;
    set("boats.1.seed", RG_SETTING_INTEGER, "77");
    set("boats.1.rule", RG_SETTING_STRING, "sgd");
    set("boats.1.weight", RG_SETTING_INTEGER, "9");
    memset(&read, 0xA5, sizeof read);
    cr_assert_eq(rg_options_read(crate, table, "boats.1", &read, &error), RG_OK, "%s", error.text);
    cr_expect_eq(read.weight, 9);
    cr_expect_eq(read.inner.boat.rate, 0.5);
    cr_expect_eq(read.inner.boat.seed, 77);
    cr_expect_eq(read.inner.boat.rule, 0);
    cr_expect(read.inner.open);
    RgSettings *resolved = rg_settings_create();
    rg_options_record(crate, &read, "a", resolved);
    cr_assert_eq(rg_options_read(crate, resolved, "a", &again, &error), RG_OK, "%s", error.text);
    cr_expect_eq(again.weight, 9);
    cr_expect_eq(again.inner.boat.rate, 0.5);
    cr_expect_eq(again.inner.boat.seed, 77);
    cr_expect_eq(again.inner.boat.rule, 0);
    cr_expect(again.inner.open);
    rg_settings_destroy(resolved);
}

Test(options, included_options_are_counted_and_found_in_their_order) {
    static const char *const expected[] = {"weight", "beta", "rate", "steps",      "seed",
                                           "frozen", "name", "rule", "inner.open", NULL};
    size_t base;
    int count = 0;
    for (const RgOption *o; (o = rg_options_at(crate, count, &base)); count++) {
        cr_assert(expected[count]);
        cr_expect_str_eq(o->name, expected[count]);
        cr_expect_eq(rg_options_find(crate, expected[count]), o);
        cr_expect_eq(base, count >= 1 && count <= 7 ? offsetof(Crate, inner.boat) : 0);
    }
    cr_expect_null(expected[count]);
    cr_expect_null(rg_options_find(crate, "wheel"));
}

Test(options, faults_of_included_tables_are_found) {
    static const RgOption small[] = {RG_OPTION_INTEGER(Crate, weight, "3", 0, 10, "weight"),
                                     RG_OPTION_END};
    static const RgOption twice[] = {RG_OPTION_EXTEND(small), RG_OPTION_EXTEND(small),
                                     RG_OPTION_END};
    char *fault = rg_options_fault(twice, sizeof(Crate));
    cr_expect_str_eq(fault, "option \"weight\" is defined twice");
    free(fault);
    fault = rg_options_fault(first_half, sizeof(Crate));
    cr_expect_null(fault, "%s", fault);
    fault = rg_options_fault(first_half, offsetof(Crate, inner.boat.rule));
    cr_expect_str_eq(fault, "option \"rule\" has a member beyond options_size");
    free(fault);
}

Test(options, print_wraps_at_80_columns_and_says_it_all) {
    static const RgOption wordy[] = {
        RG_OPTION_REAL(BoatOptions, beta, "0.1", 1e-6, 1e3,
                       "strength β of the Kullback-Leibler term that keeps the policy near its "
                       "reference, in nats of reward per nat of divergence"),
        RG_OPTION_CHOICE(BoatOptions, rule, NULL, rules, "rule"),
        RG_OPTION_END,
    };
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    rg_options_print(wordy, stream);
    fclose(stream);
    cr_assert_str_eq(
        text, "  beta: a real in [1e-06, 1000]; default 0.1\n"
              "      strength β of the Kullback-Leibler term that keeps the policy near its\n"
              "      reference, in nats of reward per nat of divergence\n"
              "  rule: one of \"sgd\", \"adam\", \"adamw\"; must be given\n"
              "      rule\n");
    free(text);
}

/* A point in a name is a group in the config. */
Test(options, an_option_may_be_of_a_group) {
    typedef struct Names {
        const char *prompt;
    } Names;
    static const RgOption names[] = {{.name = "columns.prompt",
                                      .kind = RG_KIND_STRING,
                                      .offset = offsetof(Names, prompt),
                                      .fallback = "prompt",
                                      .help = "name"},
                                     RG_OPTION_END};
    static const RgOption bad[] = {
        {.name = "columns.", .kind = RG_KIND_BOOLEAN, .fallback = "true", .help = "none"},
        RG_OPTION_END};
    cr_expect_null(rg_options_fault(names, sizeof(Names)));
    char *fault = rg_options_fault(bad, sizeof(Names));
    cr_expect_str_eq(fault, "option 0 has no valid name");
    free(fault);
    Names read;
    RgSettings *settings = rg_settings_create();
    cr_assert_eq(rg_options_read(names, settings, "data", &read, &error), RG_OK);
    cr_expect_str_eq(read.prompt, "prompt");
    rg_settings_set(settings, "data.columns.prompt", RG_SETTING_STRING, "question", "x.cfg", 3);
    cr_assert_eq(rg_options_read(names, settings, "data", &read, &error), RG_OK);
    cr_expect_str_eq(read.prompt, "question");
    rg_settings_destroy(settings);
}

/* ---- messages ---- */

Test(options, a_message_about_an_option_gets_its_key) {
    static const RgOption judge[] = {
        {.name = "limit", .kind = RG_KIND_INTEGER, .help = "a limit"},
        {.name = "on_failure", .kind = RG_KIND_INTEGER, .help = "a word"},
        RG_OPTION_END,
    };
    static const struct {
        const char *message, *expected;
    } cases[] = {
        {"limit is 3, expected more", "a.b.limit is 3, expected more"},
        {"on_failure: expected 1", "a.b.on_failure: expected 1"},
        {"n-gram: limit is 3", "a.b.limit: n-gram: limit is 3"},
        {"n-gram: no limit", "a.b: n-gram: no limit"},
        {"nothing is there", "a.b: nothing is there"},
        {"limits are none", "a.b: limits are none"},
        {"a.b.limit is 3", "a.b.limit is 3"},
        {"a.b: nothing", "a.b: nothing"},
        {"training.batch is 1", "training.batch is 1"},
        {"x.cfg:7: limit", "x.cfg:7: limit"},
        {"folder/x: limit", "folder/x: limit"},
        {"-s: limit", "-s: limit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgError message = {0};
        rg_fail(&message, RG_E_USAGE, "%s", cases[i].message);
        cr_expect_eq(rg_options_name_key(judge, "a.b", RG_E_USAGE, &message), RG_E_USAGE);
        cr_expect_str_eq(message.text, cases[i].expected);
    }
    RgError message = {"limit"};
    cr_expect_eq(rg_options_name_key(judge, "a.b", RG_OK, &message), RG_OK);
    cr_expect_str_eq(message.text, "limit");
    cr_expect_eq(rg_options_name_key(NULL, "a.b", RG_E_USAGE, &message), RG_E_USAGE);
    cr_expect_str_eq(message.text, "a.b: limit");
}
