/* SPDX-License-Identifier: MIT */
/* Preferences as they are published: formats, compressed files, chat templates, limits. */
#include "core/files.h"
#include "core/text/lines.h"
#include "envs/text/text_data.h"
#include "envs/text_layout.h"
#include "tests/chat_tokenizer.h"
#include "tests/shared_data.h"

#include <criterion/criterion.h>
#include <zlib.h>
#include <zstd.h>

TestSuite(preference_data, .init = scratch_begin);

static RgTextData *read_as(const char *content, RgTextFormat format, RgTextPreference preference) {
    RgTextData *data = NULL;
    RgTextReading reading = {.format = format, .preference = preference};
    ASSERT_OK(rg_text_data_read(scratch_write("x.jsonl", content), &reading, &data, &error));
    return data;
}

/* Refused with `stop`, or because nothing is left. */
static void refuse_as(const RgTextReading *reading, const char *content, const char *expected) {
    RgTextData *data;
    const char *path = scratch_write("bad.jsonl", content);
    cr_expect_eq(rg_text_data_read(path, reading, &data, &error), RG_E_FORMAT);
    cr_expect_null(data);
    cr_expect(strncmp(error.text, path, strlen(path)) == 0 && strstr(error.text, expected),
              "%s\nlacks: %s", error.text, expected);
}

static void refuse(RgTextFormat format, const char *content, const char *expected) {
    refuse_as(&(RgTextReading){.format = format, .stop = true}, content, expected);
}

static void expect_turn(const RgTextLine *line, int64_t i, RgRole role, const char *text) {
    cr_assert_lt(i, line->turn_count);
    cr_expect_eq(line->turns[i].role, role);
    cr_expect_str_eq(line->turns[i].text, text);
}

/* ---- formats ---- */

#define H "\\n\\nHuman: "
#define A "\\n\\nAssistant: "

Test(preference_data, hh_transcripts_part_at_the_last_answer) {
    RgTextData *d =
        read_as("{\"chosen\": \"" H "Hi" A "Hello." H "How?" A "Answer, so.\", "
                "\"rejected\": \"" H "Hi" A "Hello." H "How?" A "Answer not. \"}\n"
                "{\"chosen\": \"" H "a" A " \", \"rejected\": \"" H "a" A "b\"}\n"
                "{\"chosen\": \"" H "a" A "x" H "y" A "z\", \"rejected\": \"" H "a" A "w\"}\n"
                "{\"chosen\": \"" H "a" A "x\", \"rejected\": \"" H "b" A "x\"}\n",
                RG_TEXT_AUTO, RG_TEXT_BETTER);
    cr_assert_eq(d->count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_EMPTY].count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_PARTED].count, 2);
    cr_assert_eq(d->lines[0].turn_count, 3);
    expect_turn(&d->lines[0], 0, RG_USER, "Hi");
    expect_turn(&d->lines[0], 1, RG_ASSISTANT, "Hello.");
    expect_turn(&d->lines[0], 2, RG_USER, "How?");
    cr_expect_str_eq(d->lines[0].chosen, "Answer, so.");
    cr_expect_str_eq(d->lines[0].rejected, "Answer not.");
    cr_expect_str_eq(rg_text_line_prompt(&d->lines[0]), "How?");
    rg_text_data_destroy(d);
    refuse(RG_TEXT_HH, "{\"chosen\": \"Hi\", \"rejected\": \"" H "a" A "b\"}",
           ":1: \"chosen\" begins with something else, expected \"\\n\\nHuman:\"");
    refuse(RG_TEXT_HH, "{\"chosen\": \"" H "a" A "b\"}", ":1: \"rejected\" is missing");
    refuse_as(&(RgTextReading){.format = RG_TEXT_HH},
              "{\"chosen\": \"" H "a" A " \", \"rejected\": \"" H "a" A "b\"}",
              ": none of 1 lines is usable: 1 with a blank response (line 1: a response is blank)");
}

#define PKU(better, safer)                                                                         \
    "{\"prompt\": \"P\", \"response_0\": \"zero\", \"response_1\": \"one\", "                      \
    "\"better_response_id\": " better ", \"safer_response_id\": " safer "}\n"

Test(preference_data, pku_has_two_labels) {
    RgTextData *better = read_as(PKU("0", "1"), RG_TEXT_AUTO, RG_TEXT_BETTER);
    RgTextData *safer = read_as(PKU("0", "1"), RG_TEXT_PKU, RG_TEXT_SAFER);
    cr_expect_str_eq(better->lines[0].chosen, "zero");
    cr_expect_str_eq(safer->lines[0].chosen, "one");
    cr_expect_str_eq(safer->lines[0].rejected, "zero");
    expect_turn(&safer->lines[0], 0, RG_USER, "P");
    rg_text_data_destroy(better);
    rg_text_data_destroy(safer);
    refuse(RG_TEXT_AUTO, PKU("0", "1") PKU("2", "1"),
           ":2: \"better_response_id\" is 2, expected 0 or 1");
    refuse(RG_TEXT_AUTO, PKU("\"0\"", "1"),
           ":1: \"better_response_id\" is a string, expected 0 or 1");
    refuse(RG_TEXT_PKU, "{\"prompt\": \"P\", \"response_0\": \"a\"}", "\"response_1\" is missing");
}

#define COMPLETION(text, score) "{\"response\": \"" text "\", \"overall_score\": " score "}"

Test(preference_data, ultrafeedback_takes_the_best_and_the_worst) {
    RgTextData *d = read_as(
        "{\"instruction\": \"I\", \"completions\": [" COMPLETION("b", "7") ", " COMPLETION(
            "a",
            "8.5") ", " COMPLETION("z",
                                   "1") ", " COMPLETION("c",
                                                        "3") "]}\n"
                                                             "{\"instruction\": \"J\", "
                                                             "\"completions\": [" COMPLETION(
                                                                 "b",
                                                                 "7") ", " COMPLETION("a",
                                                                                      "7") "]}\n",
        RG_TEXT_AUTO, RG_TEXT_BETTER);
    cr_assert_eq(d->count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_TIES].count, 1);
    cr_expect_str_eq(d->lines[0].chosen, "a");
    cr_expect_str_eq(d->lines[0].rejected, "z");
    expect_turn(&d->lines[0], 0, RG_USER, "I");
    rg_text_data_destroy(d);
    refuse(RG_TEXT_AUTO, "{\"instruction\": \"I\", \"completions\": [" COMPLETION("b", "7") "]}",
           "\"completions\" is an array, expected an array of at least two");
    refuse(RG_TEXT_AUTO,
           "{\"instruction\": \"I\", \"completions\": [" COMPLETION("b", "\"7\"") ", 1]}",
           "\"overall_score\" is a string, expected a number");
    refuse(RG_TEXT_AUTO, "{\"instruction\": \"I\", \"completions\": [1, 2]}",
           "\"response\" is missing");
}

#define MESSAGE(role, text) "{\"role\": \"" role "\", \"content\": \"" text "\"}"

Test(preference_data, chats_are_lists_of_messages) {
    RgTextData *d =
        read_as("{\"prompt\": \"u\", \"chosen\": [" MESSAGE("system", "s") ", " MESSAGE("user", "u") ", " MESSAGE("assistant", "good") "], \"rejected\": [" MESSAGE(
                    "system",
                    "s") ", " MESSAGE("user",
                                      "u") ", " MESSAGE("assistant",
                                                        "bad") "]}\n"
                                                               "{\"chosen\": [" MESSAGE("user", "u") ", " MESSAGE(
                                                                   "assistant",
                                                                   "x") "], \"rejected\": "
                                                                        "[" MESSAGE(
                                                                            "user",
                                                                            "v") ","
                                                                                 " " MESSAGE(
                                                                                     "assistant",
                                                                                     "y") "]}\n",
                RG_TEXT_AUTO, RG_TEXT_BETTER);
    cr_assert_eq(d->count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_PARTED].count, 1);
    expect_turn(&d->lines[0], 0, RG_SYSTEM, "s");
    expect_turn(&d->lines[0], 1, RG_USER, "u");
    cr_expect_str_eq(d->lines[0].chosen, "good");
    cr_expect_str_eq(d->lines[0].rejected, "bad");
    rg_text_data_destroy(d);
    refuse(RG_TEXT_AUTO, "{\"chosen\": [1, 2], \"rejected\": [1, 2]}",
           "\"chosen\"[0] is not a message, expected strings \"role\" and \"content\"");
    refuse(RG_TEXT_AUTO,
           "{\"chosen\": [" MESSAGE("bot", "u") ", " MESSAGE("assistant",
                                                             "x") "], \"rejected\": [1, 2]}",
           "\"chosen\"[0]: role \"bot\", expected system, user or assistant");
    refuse(RG_TEXT_CHAT, "{\"chosen\": \"x\", \"rejected\": \"y\"}",
           "\"chosen\" is a string, expected a list of at least two messages");
}

/* Anthropic's published test file, where there is one to read. */
Test(preference_data, hh_harmless_is_read_whole) {
    const char *path = shared_data("hh-harmless-test.jsonl.gz");
    RgTextData *d = NULL;
    ASSERT_OK(rg_text_data_read(path, &(RgTextReading){RG_TEXT_AUTO}, &d, &error));
    cr_expect_eq(d->count + d->left_out[RG_TEXT_EMPTY].count, 2312);
    cr_expect_eq(d->left_out[RG_TEXT_EMPTY].count, 4);
    cr_expect_eq(d->left_out[RG_TEXT_PARTED].count, 0);
    for (int64_t i = 0; i < d->count; i++) {
        const RgTextLine *line = &d->lines[i];
        cr_expect_eq(line->turns[0].role, RG_USER);
        cr_expect_eq(line->turns[line->turn_count - 1].role, RG_USER);
        cr_expect_null(strstr(line->chosen, "\n\nHuman:"));
        cr_expect_str_neq(line->chosen, line->rejected);
    }
    rg_text_data_destroy(d);
}

/* ---- what is left out, and what is read all the same ---- */

#define PLAIN(chosen, rejected)                                                                    \
    "{\"prompt\": \"p\", \"chosen\": " chosen ", \"rejected\": " rejected "}\n"
#define SOUND PLAIN("\"c\"", "\"r\"")

/* One line that says nothing beside one that does. */
static void expect_left_out(const char *line, RgTextReason reason) {
    char *content = rg_string_format(
        "%s%s", line,
        line[0] == '{' && strstr(line, "completions")
            ? "{\"instruction\": \"I\", \"completions\": [" COMPLETION("a", "1") ", " COMPLETION(
                  "b", "2") "]}\n"
        : strstr(line, "role")
            ? "{\"chosen\": [" MESSAGE("user", "u") ", " MESSAGE(
                  "assistant", "x") "], \"rejected\": [" MESSAGE("user",
                                                                 "u") ", " MESSAGE("assistant",
                                                                                   "y") "]}\n"
            : SOUND);
    RgTextData *d = read_as(content, RG_TEXT_AUTO, RG_TEXT_BETTER);
    cr_expect_eq(d->count, 1, "%s", content);
    cr_expect_eq(d->left_out[reason].count, 1, "%s", content);
    cr_expect_eq(rg_text_data_left_out(d), 1, "%s", content);
    rg_text_data_destroy(d);
    free(content);
}

Test(preference_data, lines_that_say_nothing_are_left_out_and_counted_by_reason) {
    expect_left_out(PLAIN("\"c\"", "\"\""), RG_TEXT_EMPTY);
    expect_left_out(PLAIN("\" \\n\"", "\"r\""), RG_TEXT_EMPTY);
    expect_left_out(PLAIN("\"c\"", "\"c\""), RG_TEXT_SAME);
    expect_left_out(PLAIN("\"x\\u0000y\"", "\"z\""), RG_TEXT_UNREADABLE);
    expect_left_out(PLAIN("\"x \\ud83d y\"", "\"z\""), RG_TEXT_UNREADABLE);
    expect_left_out(PLAIN("\"x \xff y\"", "\"z\""), RG_TEXT_UNREADABLE);
    expect_left_out(PLAIN("\"x\", \"chosen\": \"q\"", "\"z\""), RG_TEXT_DUPLICATE);
    expect_left_out(PLAIN("\"c\"", "null"), RG_TEXT_EMPTY);
    expect_left_out("{\"prompt\": \"p\", \"chosen\": \"c\", \"reje\n", RG_TEXT_MALFORMED);
    expect_left_out("3]\n", RG_TEXT_MALFORMED);
    expect_left_out("{\"prompt\": \"p\", \"chosen\": \"c\"}\n", RG_TEXT_MISFIT);
    expect_left_out(PLAIN("3", "\"r\""), RG_TEXT_MISFIT);
    expect_left_out("{\"instruction\": \"I\", \"completions\": [" COMPLETION(
                        "a", "null") ", " COMPLETION("b", "3.0") "]}\n",
                    RG_TEXT_UNSCORED);
    expect_left_out("{\"instruction\": \"I\", \"completions\": [" COMPLETION(
                        "a", "4.0") ", " COMPLETION("a", "3.0") "]}\n",
                    RG_TEXT_SAME);
    expect_left_out(
        "{\"chosen\": [" MESSAGE("user", "u") ", " MESSAGE(
            "assistant", "x") "], \"rejected\": [" MESSAGE("user", "u") ", " MESSAGE("assistant",
                                                                                     "x") "]}\n",
        RG_TEXT_SAME);
}

static void expect_two_lines(const char *content) {
    RgTextData *d = read_as(content, RG_TEXT_AUTO, RG_TEXT_BETTER);
    cr_assert_eq(d->count, 2, "%s", content);
    cr_expect_eq(d->lines[1].number, 2);
    cr_expect_eq(d->lines[1].turn_count, 1);
    expect_turn(&d->lines[1], 0, RG_USER, "p");
    cr_expect_str_eq(d->lines[1].chosen, "c");
    cr_expect_str_eq(d->lines[1].rejected, "r");
    rg_text_data_destroy(d);
}

Test(preference_data, a_byte_order_mark_and_one_array_and_explicit_prompts_are_read) {
    static const char explicit[] = "{\"prompt\": [" MESSAGE("user", "p") "], \"chosen\": [" MESSAGE(
        "assistant", "c") "], "
                          "\"rejected\": [" MESSAGE("model", "r") "]}\n";
    char *twice = rg_string_format("%s%s", explicit, explicit);
    expect_two_lines("\xEF\xBB\xBF" SOUND SOUND);
    expect_two_lines("[" SOUND "," SOUND "]");
    expect_two_lines("[\n  " SOUND ",\n" SOUND "]\n");
    expect_two_lines(twice);
    free(twice);
    refuse(RG_TEXT_AUTO, "[" SOUND ",\n 1]",
           ": element 2: the line is a number, expected an object");
    refuse(RG_TEXT_AUTO, "[" SOUND, ": the array ends in its element 1, expected a \"]\"");
    refuse(RG_TEXT_AUTO, "[" SOUND "] 1", ": there is text after the array's \"]\"");
    refuse(RG_TEXT_AUTO, "[]", ": no elements, expected at least one");
}

/* An array's elements are left out one by one, whatever is in them. */
Test(preference_data, elements_of_an_array_are_left_out_like_lines) {
    RgTextData *d = read_as("[" PLAIN("\"x\\u0000\"", "\"r\"") ", " PLAIN(
                                "\"a ] b, \\\" c\"", "\"r\"") ", {\"prompt\": }, 3, , " SOUND "]",
                            RG_TEXT_AUTO, RG_TEXT_BETTER);
    cr_assert_eq(d->count, 2);
    cr_expect_str_eq(d->lines[0].chosen, "a ] b, \" c");
    cr_expect_eq(d->lines[1].number, 6);
    cr_expect_eq(d->read, 6);
    cr_expect_eq(d->left_out[RG_TEXT_UNREADABLE].count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_MALFORMED].count, 3);
    cr_expect_eq(d->left_out[RG_TEXT_MALFORMED].first, 3);
    char *report = rg_text_data_report(d);
    cr_expect(strstr(report, ": left out 4 of 6 elements as unusable: 1 with text that cannot be "
                             "stored (element 1), 3 that are not JSON objects (first: element 3)"),
              "%s", report);
    free(report);
    rg_text_data_destroy(d);
}

/* ---- names of members ---- */

Test(preference_data, members_have_the_names_of_the_config) {
    RgTextReading reading = {.column = {[RG_TEXT_PROMPT] = "instruction",
                                        [RG_TEXT_CHOSEN] = "good",
                                        [RG_TEXT_CHOSEN_SCORE] = "s",
                                        [RG_TEXT_REJECTED_SCORE] = "score_rejected"}};
    RgTextData *d = NULL;
    static const char lines[] =
        "{\"instruction\": \"p\", \"good\": \"c\", \"rejected\": \"r\", "
        "\"score_rejected\": 3, \"s\": 4, \"completions\": 1}\n"
        "{\"instruction\": \"p\", \"good\": \"c\", \"rejected\": \"r\", "
        "\"score_rejected\": 3, \"s\": 3}\n"
        "{\"instruction\": \"p\", \"good\": \"c\", \"rejected\": \"r\", "
        "\"score_rejected\": 3, \"s\": null}\n"
        "{\"instruction\": [" MESSAGE("user", "p") "], \"good\": [" MESSAGE(
            "assistant", "c") "], \"rejected\": [" MESSAGE("assistant", "r") "]}\n";
    ASSERT_OK(rg_text_data_read(scratch_write("x.jsonl", lines), &reading, &d, &error));
    cr_assert_eq(d->count, 1);
    cr_expect_str_eq(d->lines[0].chosen, "c");
    cr_expect_eq(d->left_out[RG_TEXT_TIES].first, 2);
    cr_expect_eq(d->left_out[RG_TEXT_UNSCORED].first, 3);
    cr_expect_eq(d->left_out[RG_TEXT_MISFIT].first, 4, "the first line decides the format");
    rg_text_data_destroy(d);
    ASSERT_OK(rg_text_data_read(
        scratch_write("x.jsonl", lines),
        &(RgTextReading){.format = RG_TEXT_CHAT,
                         .column = {[RG_TEXT_PROMPT] = "instruction", [RG_TEXT_CHOSEN] = "good"}},
        &d, &error));
    cr_assert_eq(d->count, 1);
    expect_turn(&d->lines[0], 0, RG_USER, "p");
    cr_expect_str_eq(d->lines[0].chosen, "c");
    rg_text_data_destroy(d);
    reading.stop = true;
    refuse_as(&reading, SOUND, ":1: \"instruction\" is missing");
}

/* ---- single responses ---- */

#define SINGLE(prompt, text, label)                                                                \
    "{\"prompt\": " prompt ", \"completion\": " text ", \"label\": " label "}\n"

Test(preference_data, single_responses_become_pairs_of_their_prompt) {
    RgTextData *d = read_as(
        SINGLE("\"p\"", "\"good\"", "true") SINGLE("\"q\"", "\"lonely\"", "false")
            SINGLE("\"p\"", "\"better\"", "1") SINGLE("\"p\"", "\"bad\"", "false")
                SINGLE("\"p\"", "\"worse\"", "0") SINGLE("\"p\"", "\"third\"", "false")
                    SINGLE("[" MESSAGE("user", "p") "]", "[" MESSAGE("assistant", "yes") "]",
                           "true") SINGLE("\"r\"", "\"x\"", "true")
                        SINGLE("\"r\"", "\"x\"", "false") SINGLE("\"p\"", "\"y\"", "null")
                            SINGLE("\"p\"", "\" \"", "true") SINGLE("\"p\"", "\"y\"", "2"),
        RG_TEXT_AUTO, RG_TEXT_BETTER);
    static const struct {
        int number;
        const char *chosen, *rejected;
    } expected[] = {{4, "good", "bad"}, {5, "better", "worse"}, {7, "yes", "third"}};
    cr_assert_eq(d->count, 3);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(d->lines[i].number, expected[i].number);
        cr_expect_eq(d->lines[i].turn_count, 1);
        expect_turn(&d->lines[i], 0, RG_USER, "p");
        cr_expect_str_eq(d->lines[i].chosen, expected[i].chosen);
        cr_expect_str_eq(d->lines[i].rejected, expected[i].rejected);
    }
    cr_expect_eq(d->left_out[RG_TEXT_UNMATCHED].count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_UNMATCHED].first, 2);
    cr_expect_eq(d->left_out[RG_TEXT_SAME].count, 2, "both lines");
    cr_expect_eq(d->left_out[RG_TEXT_UNSCORED].count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_EMPTY].count, 1);
    cr_expect_eq(d->left_out[RG_TEXT_MISFIT].count, 1);
    cr_expect_eq(d->read - rg_text_data_left_out(d), 2 * d->count);
    rg_text_data_destroy(d);
    refuse_as(&(RgTextReading){0},
              SINGLE("\"p\"", "\"a\"", "true") SINGLE("\"q\"", "\"b\"", "false"),
              ": none of 2 lines is usable: 2 without a response of the other label to the same "
              "prompt (first: line 1");
}

Test(preference_data, single_responses_can_be_kept_in_their_places) {
    RgTextData *d = NULL;
    const RgTextReading reading = {.singles = true};
    ASSERT_OK(rg_text_data_read(
        scratch_write("x.jsonl",
                      SINGLE("\"p\"", "\"good\"", "true") SINGLE("\"q\"", "\"lonely\"", "false")
                          SINGLE("\"p\"", "\"bad\"", "false") SINGLE("\"r\"", "\"x\"", "true")
                              SINGLE("\"r\"", "\"x\"", "false")
                                  SINGLE("\"p\"", "\"fine\"", "true")),
        &reading, &d, &error));
    static const struct {
        int number;
        const char *chosen, *rejected;
    } expected[] = {{2, NULL, "lonely"}, {3, "good", "bad"}, {6, "fine", NULL}};
    cr_assert_eq(d->count, 3);
    for (int i = 0; i < 3; i++) {
        const RgTextLine *line = &d->lines[i];
        cr_expect_eq(line->number, expected[i].number);
        cr_expect_eq(line->chosen == NULL, expected[i].chosen == NULL);
        cr_expect_eq(line->rejected == NULL, expected[i].rejected == NULL);
        cr_expect_eq(rg_text_line_is_pair(line), i == 1);
        if (line->chosen && expected[i].chosen)
            cr_expect_str_eq(line->chosen, expected[i].chosen);
        if (line->rejected && expected[i].rejected)
            cr_expect_str_eq(line->rejected, expected[i].rejected);
    }
    cr_expect_eq(d->left_out[RG_TEXT_UNMATCHED].count, 0);
    cr_expect_eq(d->left_out[RG_TEXT_SAME].count, 2, "of both labels");
    rg_text_data_destroy(d);
}

/* 3 MiB of one letter, as a file and compressed, when a line may have 2. */
Test(preference_data, a_line_over_the_limit_is_refused_by_its_number) {
    const char *names[] = {"long.jsonl", "long.jsonl.gz"};
    for (int k = 0; k < 2; k++) {
        RgTextData *d;
        const char *path = scratch(names[k]);
        gzFile file = gzopen(path, k ? "wb" : "wbT");
        char *letters = rg_allocate(1 << 20, 1);
        memset(letters, 'a', 1 << 20);
        gzputs(file, SOUND);
        for (int i = 0; i < 3; i++)
            gzwrite(file, letters, 1 << 20);
        gzclose(file);
        free(letters);
        cr_expect_eq(rg_text_data_read(path, &(RgTextReading){.line_limit = 2}, &d, &error),
                     RG_E_RANGE);
        cr_expect(strstr(error.text, ":2: the line is longer than 2 MiB"), "%s", error.text);
    }
}

/* ---- compressed files ---- */

enum { LINES = 3000 };

/* Some lines, one of them longer than any buffer. */
static char *many_lines(size_t *size) {
    char *text;
    FILE *stream = open_memstream(&text, size);
    for (int i = 0; i < LINES; i++) {
        fprintf(stream, "line %d of many, ", i * 7919 % LINES);
        for (int k = 0; i == 1234 && k < 50000; k++)
            fprintf(stream, "%d", k);
        fputc('\n', stream);
    }
    fputs("the last has no newline", stream);
    fclose(stream);
    return text;
}

static const char *write_bytes(const char *name, const void *bytes, size_t size) {
    const char *path = scratch(name);
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    return path;
}

/* The text of a file by its lines; NULL in the error's place when it ends badly. */
static char *by_lines(const char *path, size_t *size, RgStatus *status) {
    char *text;
    const char *line;
    size_t length;
    int64_t count = 0;
    RgLines *lines;
    FILE *stream = open_memstream(&text, size);
    ASSERT_OK(rg_lines_open(path, &lines, &error));
    while ((*status = rg_lines_next(lines, &line, &length, &error)) == RG_OK && line) {
        cr_assert_eq(line[length], '\0');
        if (count++ > 0)
            fputc('\n', stream);
        fwrite(line, 1, length, stream);
        cr_assert_eq(rg_lines_number(lines), count);
    }
    rg_lines_close(lines);
    fclose(stream);
    return text;
}

static void expect_same(const char *path, const char *text, size_t size) {
    RgStatus status;
    size_t found;
    char *back = by_lines(path, &found, &status);
    cr_assert_eq(status, RG_OK, "%s", error.text);
    cr_assert_eq(found, size);
    cr_assert_arr_eq(back, text, size);
    free(back);
}

static void expect_broken(const char *path, const char *expected) {
    RgStatus status;
    size_t found;
    free(by_lines(path, &found, &status));
    cr_expect_eq(status, RG_E_FORMAT);
    cr_expect(strncmp(error.text, path, strlen(path)) == 0 && strstr(error.text, expected), "%s",
              error.text);
}

Test(preference_data, compressed_lines_are_those_of_the_text) {
    size_t size;
    char *text = many_lines(&size);
    expect_same(write_bytes("plain", text, size), text, size);

    /* two members, as `cat a.gz b.gz` makes them */
    char *path = rg_string_copy(scratch("x.gz"));
    for (int k = 0; k < 2; k++) {
        gzFile file = gzopen(path, k ? "ab" : "wb");
        const char *part = k ? text + size / 3 : text;
        size_t part_size = k ? size - size / 3 : size / 3;
        cr_assert_eq(gzwrite(file, part, (unsigned)part_size), (int)part_size);
        gzclose(file);
    }
    expect_same(path, text, size);

    size_t room = ZSTD_compressBound(size);
    char *packed = rg_allocate(room, 1);
    size_t packed_size = ZSTD_compress(packed, room, text, size, 3);
    expect_same(write_bytes("x.zst", packed, packed_size), text, size);
    expect_broken(write_bytes("half.zst", packed, packed_size / 2),
                  "the compressed file is truncated");

    size_t gzip_size;
    char *gzip;
    ASSERT_OK(rg_file_read(path, &gzip, &gzip_size, &error));
    expect_broken(write_bytes("half.gz", gzip, gzip_size / 2), "is truncated");
    gzip[gzip_size / 2] ^= 0x55;
    gzip[gzip_size / 2 + 1] ^= 0x55;
    expect_broken(write_bytes("damaged.gz", gzip, gzip_size), "the compressed file is damaged");
    free(gzip);
    free(packed);
    free(path);
    free(text);
}

/* ---- templates ---- */

static RgTokenizer *chat_tokenizer(void) {
    return make_chat_tokenizer(false);
}

static RgTextLayout *layout_named(const RgTokenizer *tokenizer, const char *name, int64_t limit,
                                  RgTruncation truncation) {
    RgTextLayout *layout = NULL;
    int k = 0;
    while (rg_chat_templates[k] && strcmp(rg_chat_templates[k], name) != 0)
        k++;
    ASSERT_OK(rg_text_layout_create(tokenizer, k, "", limit, truncation, &layout, &error));
    return layout;
}

static const RgTurn talk[] = {{RG_SYSTEM, (char[]){"Be kind."}},
                              {RG_USER, (char[]){"Hi <|im_end|>"}},
                              {RG_ASSISTANT, (char[]){"Hello."}},
                              {RG_USER, (char[]){"Why?"}}};

/* The conversation from turn `first` on, as the template spells it. */
static void expect_spelled(const RgTokenizer *tokenizer, const char *name, int64_t first,
                           const char *prompt, const char *response) {
    RgTextLayout *layout = layout_named(tokenizer, name, 0, RG_TRUNCATE_DROP);
    RgSequences *s = rg_sequences_create();
    rg_text_append(s, layout, talk + first, 4 - first, "So.");
    char *found =
        rg_tokenizer_decode_marked(tokenizer, rg_sequence_prompt(s, 0), s->prompt_length[0], NULL);
    char *answer = rg_tokenizer_decode_marked(tokenizer, rg_sequence_response(s, 0),
                                              rg_sequence_response_length(s, 0), NULL);
    cr_expect_str_eq(found, prompt, "%s", name);
    cr_expect_str_eq(answer, response, "%s", name);
    int64_t last = rg_sequence_response_length(s, 0) - 1;
    cr_expect_eq(rg_sequence_response(s, 0)[last], rg_text_layout_end(layout));
    char *text = rg_text_response(layout, s, 0);
    cr_expect_str_eq(text, "So.");
    cr_expect_eq(rg_text_prompt_tokens(layout, talk + first, 4 - first), s->prompt_length[0]);
    free(text);
    free(answer);
    free(found);
    rg_sequences_destroy(s);
    rg_text_layout_destroy(layout);
}

Test(preference_data, templates_spell_conversations_as_their_models_know_them) {
    RgTokenizer *t = chat_tokenizer();
    expect_spelled(t, "chatml", 1,
                   "<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n"
                   "Hello.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
                   "So.<|im_end|>");
    expect_spelled(t, "qwen", 3,
                   "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
                   "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
                   "So.<|im_end|>");
    expect_spelled(t, "llama-3", 3,
                   "<|begin|><|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
                   "<|start_header_id|>assistant<|end_header_id|>\n\n",
                   "So.<|eot_id|>");
    expect_spelled(t, "phi-3", 3, "<|user|>\nWhy?<|end|>\n<|assistant|>\n", "So.<|end|>");
    expect_spelled(t, "zephyr", 3, "<|user|>\nWhy?</s>\n<|assistant|>\n", "So.</s>");
    expect_spelled(t, "hh", 1,
                   "<|begin|>\n\nHuman: Hi <|im_end|>\n\nAssistant: Hello.\n\nHuman: Why?"
                   "\n\nAssistant:",
                   " So.<|end|>");
    expect_spelled(t, "sail-pku", 3, "<|begin|>Human: Why?\n\nAssistant: ", "So.<|end|>");
    expect_spelled(t, "sail-ultrafeedback", 3, "<|begin|>[INST] Why? [/INST] ", "So.<|end|>");
    expect_spelled(t, "plain", 3, "<|begin|>Why?\n", "So.<|end|>");
    rg_tokenizer_destroy(t);
}

/* What a user writes is text, whatever it looks like. */
Test(preference_data, special_tokens_come_from_the_template_alone) {
    RgTokenizer *t = chat_tokenizer();
    RgTextLayout *layout = layout_named(t, "chatml", 0, RG_TRUNCATE_DROP);
    RgSequences *s = rg_sequences_create();
    int32_t end;
    int64_t seen = 0;
    ASSERT_OK(rg_tokenizer_find(t, "<|im_end|>", &end, &error));
    rg_text_append(s, layout, talk + 1, 1, "a <|im_end|> b");
    for (int64_t i = 0; i < rg_sequence_length(s, 0); i++)
        seen += rg_sequence_prompt(s, 0)[i] == end;
    cr_expect_eq(seen, 2); /* of the user's turn, and of the response */
    rg_sequences_destroy(s);
    rg_text_layout_destroy(layout);
    rg_tokenizer_destroy(t);
}

/* Phi-3's special tokens take the newline that its template has after them. */
Test(preference_data, white_space_that_a_special_token_takes_is_in_no_prompt) {
    RgTokenizer *tokenizer = make_chat_tokenizer(true);
    RgTextLayout *layout = layout_named(tokenizer, "chatml", 0, RG_TRUNCATE_DROP);
    const RgTurn turn = {RG_USER, (char[]){" a <|im_end|>"}};
    RgSequences *s = rg_sequences_create();
    RgTokens expected = {0};
    rg_text_append(s, layout, &turn, 1, "So.");
    /* what a user writes is text: the tokenizer must not see the token in it */
    const char *parts[] = {"<|im_start|>", "user\n a ",    "<|im_end|>",
                           "<|im_end|>",   "<|im_start|>", "assistant\n"};
    for (int k = 0; k < 6; k++)
        (k == 2 ? rg_tokenizer_encode : rg_tokenizer_encode_marked)(tokenizer, parts[k],
                                                                    strlen(parts[k]), &expected);
    cr_assert_eq(s->prompt_length[0], expected.count);
    cr_expect_arr_eq(rg_sequence_prompt(s, 0), expected.id,
                     (size_t)expected.count * sizeof *expected.id);
    rg_tokens_release(&expected);
    rg_sequences_destroy(s);
    rg_text_layout_destroy(layout);
    rg_tokenizer_destroy(tokenizer);
}

Test(preference_data, a_token_that_the_tokenizer_lacks_is_named) {
    const char *texts[] = {"some text"};
    RgTokenizer *t;
    RgTextLayout *layout;
    ASSERT_OK(rg_tokenizer_train(texts, 1, 260, &t, &error));
    cr_expect_eq(rg_text_layout_create(t, 1, "", 0, RG_TRUNCATE_DROP, &layout, &error),
                 RG_E_FORMAT);
    cr_expect(strstr(error.text, "template \"chatml\" needs the token <|im_start|>"), "%s",
              error.text);
    cr_expect_eq(rg_text_layout_create(t, 0, "", 2, RG_TRUNCATE_DROP, &layout, &error), RG_E_RANGE);
    cr_expect(strstr(error.text, "prompt_limit is 2, expected more than the 2 tokens"), "%s",
              error.text);
    rg_tokenizer_destroy(t);
}

Test(preference_data, prompts_are_cut_within_their_template) {
    static const char *const kept[] = {"<|user|>\nabcdef<|end|>\n<|assistant|>\n",
                                       "<|user|>\nabc<|end|>\n<|assistant|>\n",
                                       "def<|end|>\n<|assistant|>\n"};
    RgTurn turn = {RG_USER, (char[]){"abcdef"}};
    RgTokenizer *t = chat_tokenizer();
    for (int k = 0; k < 3; k++) {
        RgTextLayout *layout = layout_named(t, "phi-3", 0, RG_TRUNCATE_DROP);
        int64_t all = rg_text_prompt_tokens(layout, &turn, 1);
        rg_text_layout_destroy(layout);
        layout = layout_named(t, "phi-3", k == 2 ? all - 5 : all - 3, (RgTruncation)k);
        RgSequences *s = rg_sequences_create();
        rg_text_append(s, layout, &turn, 1, NULL);
        char *found =
            rg_tokenizer_decode_marked(t, rg_sequence_prompt(s, 0), s->prompt_length[0], NULL);
        cr_expect_str_eq(found, kept[k]);
        free(found);
        rg_sequences_destroy(s);
        rg_text_layout_destroy(layout);
    }
    rg_tokenizer_destroy(t);
}
