/* SPDX-License-Identifier: MIT */
/* What the program prints: nothing in it is obeyed by a terminal, and files for programs keep their
 * bytes. */
#include "core/text/terminal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BAD "\uFFFD"

static void shows(const char *text, const char *shown) {
    RgBuffer out = {0};
    size_t size = strlen(text);
    cr_expect_eq(rg_terminal_filter(text, size, &out), size, "%s", shown);
    rg_buffer_append(&out, "", 1);
    cr_expect_str_eq(out.bytes, shown);
    rg_buffer_release(&out);
}

Test(terminal, text_passes_and_what_a_terminal_obeys_is_replaced) {
    shows("β = 0.1,\t50 %\n", "β = 0.1,\t50 %\n");
    shows("שלום عربي 日本語 👍", "שלום عربي 日本語 👍");
    shows("a\x1b[2Jb\rc\x07\x7f\x08", "a" BAD "[2Jb" BAD "c" BAD BAD BAD);
    shows("\xC2\x9B"
          "31m\xC2\x85",
          BAD "31m" BAD);
    shows("a\u202Eb\u2066c\u2028d", "a" BAD "b" BAD "c" BAD "d");
    shows("\x9B\xFF\xC0\xAF\xED\xA0\x80!", BAD BAD BAD BAD BAD BAD BAD "!");
    shows("\xE2\x82!", BAD BAD "!");
}

Test(terminal, a_character_may_come_in_two_writes) {
    const char text[] = "a\u20AC";
    for (size_t cut = 1; cut < 4; cut++) {
        RgBuffer out = {0};
        size_t taken = rg_terminal_filter(text, cut, &out);
        cr_expect_eq(taken, 1);
        taken += rg_terminal_filter(text + taken, strlen(text) - taken, &out);
        cr_expect_eq(taken, strlen(text));
        cr_expect(out.size == strlen(text) && memcmp(out.bytes, text, out.size) == 0);
        rg_buffer_release(&out);
    }
}

/* What `write` has printed on stdout and stderr, both of which are a pipe. */
static void printed(void (*write_all)(void), const char *expected) {
    int ends[2];
    char got[4096];
    size_t size = 0;
    ssize_t count;
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        rg_terminal_begin();
        write_all();
        fflush(NULL);
        _exit(0);
    }
    close(ends[1]);
    while ((count = read(ends[0], got + size, sizeof got - 1 - size)) > 0)
        size += (size_t)count;
    got[size] = '\0';
    close(ends[0]);
    waitpid(child, NULL, 0);
    cr_expect_str_eq(got, expected);
}

static void write_labels(void) {
    fprintf(stderr, "told: \x1b]0;x\x07 %s\n", "ä");
    printf("\x1b[2J%s", "\xE2\x82");
    fflush(stdout);
    printf("\xAC\n");
    puts("end\x9B");
}

Test(terminal, both_streams_are_filtered_also_into_files) {
    printed(write_labels, "told: " BAD "]0;x" BAD " ä\n" BAD "[2J€\nend" BAD "\n");
}

static void write_own(void) {
    printf("\x1b[1m");
    rg_terminal_control(stdout, "\r\x1b[J");
    printf("\x1b[0m\n");
    rg_terminal_control(stderr, "\x1b[3A");
    fputs("\x1b\n", stderr);
}

Test(terminal, only_the_programs_own_sequences_are_let_through) {
    printed(write_own, BAD "[1m\r\x1b[J\x1b[3A" BAD "\n" BAD "[0m\n");
}

static void write_data(void) {
    puts("\x1b");
    rg_terminal_data();
    puts("\x1b\xFF\u202E");
    fputs("\x1b\n", stderr);
}

Test(terminal, files_for_programs_keep_their_bytes) {
    printed(write_data, BAD "\n" BAD "\n\x1b\xFF\u202E\n");
}
