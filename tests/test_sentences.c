/* SPDX-License-Identifier: MIT */
/* Texts cut into sentences. */
#include <criterion/criterion.h>

#include "envs/judges/sentences.h"

#include <stdio.h>
#include <string.h>

/* The sentences of a text with "|" behind each. */
static const char *cut(const char *text) {
    static char all[512];
    const char *sentence;
    size_t size, used = 0;
    all[0] = '\0';
    while (rg_sentence_next(&text, &sentence, &size))
        used += (size_t)snprintf(all + used, sizeof all - used, "%.*s|", (int)size, sentence);
    cr_expect_eq(*text, '\0');
    return all;
}

Test(sentences, end_with_marks_and_lines) {
    cr_expect_str_eq(cut("He came. She went!  Why? Nobody knows"),
                     "He came.|She went!|Why?|Nobody knows|");
    cr_expect_str_eq(cut("Wait... What?! \"Yes.\" (No.) Well"),
                     "Wait...|What?!|\"Yes.\"|(No.)|Well|");
    cr_expect_str_eq(cut("\xe2\x80\x9cYes.\xe2\x80\x9d So"), "\xe2\x80\x9cYes.\xe2\x80\x9d|So|");
    cr_expect_str_eq(cut("one\ntwo \r\n\n three"), "one|two|three|");
}

Test(sentences, go_on_behind_abbreviations_and_within_words) {
    cr_expect_str_eq(cut("Mr. Smith saw J. S. Bach, e.g. at 3.50. So did I. You?"),
                     "Mr. Smith saw J. S. Bach, e.g. at 3.50.|So did I.|You?|");
    cr_expect_str_eq(cut("Is it Mr? No"), "Is it Mr?|No|");
}

Test(sentences, without_words_are_none) {
    cr_expect_str_eq(cut(""), "");
    cr_expect_str_eq(cut(" \n ... !\n***\n"), "");
    cr_expect_str_eq(cut("- \n-- a\n\n..."), "-- a|");
}
