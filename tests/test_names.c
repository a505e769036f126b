/* SPDX-License-Identifier: MIT */
/* One grammar for each kind of name: what is one, and what would lead elsewhere. */
#include "core/names.h"

#include <criterion/criterion.h>
#include <string.h>

Test(names, an_experiment_is_no_path_no_option_and_no_line_of_a_script) {
    static const char *const good[] = {"verses",        "bandit-head-to-head", "a b",
                                       "it's \"x\" $y", "Vérité 1.0",          "x..y"};
    static const char *const bad[] = {"",
                                      "../../escaped",
                                      "a/b",
                                      "/etc",
                                      ".",
                                      "..",
                                      ".hidden",
                                      "-r",
                                      "a\nb",
                                      "a\x1b[2J",
                                      "a\t",
                                      "\x7f",
                                      "\xC2\x9B"
                                      "1m",
                                      "a\xff",
                                      "\xC0\xAF"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect_null(rg_experiment_name_fault(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not_null(rg_experiment_name_fault(bad[i]), "%s", bad[i]);
    cr_expect_not_null(rg_experiment_name_fault(NULL));
    char name[130] = "";
    memset(name, 'n', 128);
    cr_expect_null(rg_experiment_name_fault(name));
    name[128] = 'n';
    cr_expect_not_null(rg_experiment_name_fault(name));
}

Test(names, a_label_is_one_line_of_text) {
    static const char *const good[] = {"", "SAIL-PR", "β = 0.1, 50 % # 'x'", "../x", "=1+1"};
    static const char *const bad[] = {"a\nb",     "\x1b]0;x\x07", "\xC2\x85",
                                      "\xff\xfe", "a\u202Eb",     "\u2067"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect_null(rg_label_fault(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not_null(rg_label_fault(bad[i]));
    cr_expect_not_null(rg_label_fault(NULL));
    char label[258] = "";
    memset(label, 'l', 256);
    cr_expect_null(rg_label_fault(label));
    label[256] = 'l';
    cr_expect_not_null(rg_label_fault(label));
}

Test(names, a_key_is_sixteen_digits) {
    cr_expect(rg_key_is_valid("0123456789abcdef"));
    static const char *const bad[] = {"",
                                      "0123456789abcde",
                                      "0123456789abcdef0",
                                      "0123456789ABCDEF",
                                      "../other/victim",
                                      "0123456789abcde/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(rg_key_is_valid(bad[i]), "%s", bad[i]);
    cr_expect_not(rg_key_is_valid(NULL));
}

Test(names, an_inner_path_stays_inside) {
    static const char *const good[] = {"a", "results/x.db", "..a/b..", ".a", "a/.b/...c"};
    static const char *const bad[] = {"",     "/a",   "a/",    "a//b",      ".",    "..",
                                      "../a", "a/..", "a/./b", "a/../../b", "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(rg_inner_path_is_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(rg_inner_path_is_valid(bad[i]), "%s", bad[i]);
    cr_expect_not(rg_inner_path_is_valid(NULL));
}

Test(names, a_message_is_one_line_whatever_it_quotes) {
    RgError error = {0};
    rg_fail(&error, RG_E_USAGE, "found \"%s\"", "a\x1b[2J\nb\xC2\x9B\xff \xC3\xA9");
    cr_expect_str_eq(error.text, "found \"a?[2J b??? \xC3\xA9\"");
    rg_fail_in(&error, RG_E_USAGE, "%s", "x\r\x07");
    cr_expect_str_eq(error.text, "x ?: found \"a?[2J b??? \xC3\xA9\"");
    char text[] = "a\tb\u202Ec";
    rg_make_printable(text);
    cr_expect_str_eq(text, "a b???c");
}
