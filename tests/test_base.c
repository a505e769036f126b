/* SPDX-License-Identifier: MIT */
/* Messages, names, hashes, memory and whole files. */
#include "core/base.h"
#include "core/digest.h"
#include "core/files.h"
#include "core/new_file.h"
#include "core/notice.h"
#include "core/suggest.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(base);
TestSuite(file, .init = scratch_begin);

Test(base, failure_gives_its_status_and_a_sentence) {
    RgError error = {0};
    cr_assert_eq(rg_fail(&error, RG_E_RANGE, "beta = %g, expected more than %d", -1.5, 0),
                 RG_E_RANGE);
    cr_assert_str_eq(error.text, "beta = -1.5, expected more than 0");
    cr_assert_eq(rg_fail(NULL, RG_E_FILE, "nobody listens"), RG_E_FILE);
    cr_assert_eq(rg_fail_in(NULL, RG_E_FILE, "nobody listens"), RG_E_FILE);
}

Test(base, reals_are_as_short_as_they_read_back) {
    static const struct {
        double value;
        int digits;
        const char *text;
    } cases[] = {{0.05, 6, "0.05"},
                 {0.050000000000000003, 15, "0.05"},
                 {3e-4, 6, "0.0003"},
                 {6e11, 6, "6e+11"},
                 {6e11, 15, "600000000000"},
                 {1.0 / 3, 6, "0.3333333333333333"},
                 {0.1 + 0.2, 6, "0.30000000000000004"},
                 {0.12345678, 6, "0.12345678"},
                 {5e-324, 15, "4.94065645841247e-324"},
                 {INFINITY, 6, "inf"}};
    char text[RG_REAL_TEXT];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_str_eq(rg_real_text(cases[i].value, cases[i].digits, text), cases[i].text);
        cr_expect_eq(strtod(text, NULL), cases[i].value);
    }
}

Test(base, context_goes_in_front) {
    RgError error = {0};
    rg_fail(&error, RG_E_FORMAT, "no magic number");
    cr_assert_eq(rg_fail_in(&error, RG_E_FORMAT, "%s:%d", "model.bin", 7), RG_E_FORMAT);
    cr_assert_str_eq(error.text, "model.bin:7: no magic number");
}

Test(base, long_messages_are_cut_and_end) {
    RgError error = {0};
    char longer[2 * sizeof error.text];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    rg_fail(&error, RG_E_FILE, "%s", longer);
    cr_assert_eq(strlen(error.text), sizeof error.text - 1);
    rg_fail_in(&error, RG_E_FILE, "context");
    cr_assert_eq(strlen(error.text), sizeof error.text - 1);
    cr_assert_eq(strncmp(error.text, "context: xxx", 12), 0);
    rg_fail_in(&error, RG_E_FILE, "%s", longer);
    cr_assert_eq(strlen(error.text), sizeof error.text - 1);
}

/* The sign stands at the end, and cuts no character in two. */
Test(base, cut_messages_show_it) {
    RgError error = {0};
    for (int before = 0; before < 3; before++) {
        char longer[2 * sizeof error.text] = "";
        memset(longer, 'x', (size_t)before);
        while (strlen(longer) < sizeof error.text)
            strcat(longer, "日");
        for (int in = 0; in < 3; in++) {
            rg_fail(&error, RG_E_FILE, "%s", in == 2 ? "inner" : longer);
            if (in > 0)
                rg_fail_in(&error, RG_E_FILE, "%s", in == 1 ? "context" : longer);
            size_t size = strlen(error.text);
            cr_assert(size > sizeof error.text - 5 && size < sizeof error.text, "%zu", size);
            cr_assert_str_eq(error.text + size - 3, "…");
            cr_assert_null(strchr(error.text, '?'), "half a character: %s", error.text);
        }
        longer[sizeof error.text / 3 * 3 - 6 + before] = '\0';
        rg_fail(&error, RG_E_FILE, "%s", longer);
        cr_assert_str_eq(error.text, longer);
    }
}

Test(base, suggestion_names_the_nearest_or_nothing) {
    const char *names[] = {"alpha", "beta", NULL};
    cr_assert_str_eq(rg_suggest("bta", names).text, "; did you mean \"beta\"?");
    cr_assert_str_eq(rg_suggest("spinnaker", names).text, "");
    cr_assert_str_eq(rg_suggest("bta", NULL).text, "");
    const char *letters[] = {"S", "A", "Bo", NULL};
    cr_assert_str_eq(rg_suggest("C", letters).text, "");
    cr_assert_str_eq(rg_suggest("B", letters).text, "; did you mean \"Bo\"?");
    cr_assert_str_eq(rg_suggest_this("beta").text, "; did you mean \"beta\"?");
}

/* Names far from the one that was meant are not in the order of their lengths. */
Test(base, like_names_come_first_and_the_others_by_the_alphabet) {
    const char *names[] = {"kl", "words", "independent_reward", "nll", "rewards", "entropy", NULL};
    const char **sorted = rg_names_by_likeness("reward", names);
    char *list = rg_list_names(sorted);
    cr_assert_str_eq(list, "rewards, independent_reward, entropy, kl, nll, words");
    free(list);
    free(sorted);
}

Test(base, lists_of_names_tell_how_many_are_left) {
    const char *few[] = {"dpo", "sail", NULL}, *many[201] = {NULL};
    for (int i = 0; i < 200; i++)
        many[i] = "some_name";
    char *all = rg_list_names(few), *some = rg_list_names(many), *none = rg_list_names(few + 2);
    cr_assert_str_eq(all, "dpo, sail");
    cr_assert_str_eq(none, "");
    cr_assert(strlen(some) < 450 && strstr(some, "some_name, some_name and 163 more"), "%s", some);
    free(all);
    free(some);
    free(none);
}

Test(base, broken_invariant_aborts, .signal = SIGABRT) {
    RG_ASSERT(1 + 1 == 3);
}

static RgStatus second_call(bool *reached) {
    RG_TRY(rg_fail(NULL, RG_E_STORE, "first"));
    *reached = true;
    return RG_OK;
}

Test(base, try_returns_at_the_first_failure) {
    bool reached = false;
    cr_assert_eq(second_call(&reached), RG_E_STORE);
    cr_assert_not(reached);
}

Test(base, memory_is_zeroed_and_aligned) {
    char *zeroed = rg_allocate(1000, 1);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(zeroed[i], 0);
    free(zeroed);
    char *nothing = rg_allocate(0, sizeof(double));
    cr_assert_eq(nothing[0], 0);
    free(nothing);
    for (size_t bytes = 0; bytes < 200; bytes += 33) {
        void *aligned = rg_allocate_aligned(bytes);
        cr_assert_eq((uintptr_t)aligned % 64, 0);
        free(aligned);
    }
}

Test(base, large_memory_is_zeroed_though_it_was_used_before) {
    enum { BYTES = 10 << 20 };
    for (int round = 0; round < 3; round++) {
        unsigned char *memory = rg_allocate_aligned_zeroed(BYTES);
        for (int i = 0; i < BYTES; i++)
            cr_assert_eq(memory[i], 0);
        memset(memory, 0xA5, BYTES);
        rg_discard(memory + 1, BYTES / 2);
        cr_assert_eq(memory[0], 0xA5);
        cr_assert_eq(memory[BYTES / 2 + 1], 0xA5);
        free(memory);
    }
}

Test(base, product_that_overflows_is_out_of_memory, .exit_code = 1) {
    rg_allocate(SIZE_MAX / 4 + 2, 4);
}

Test(base, size_that_overflows_is_out_of_memory, .exit_code = 1) {
    rg_reallocate(NULL, SIZE_MAX / 4, 16);
}

Test(base, strings_are_copied_and_formatted) {
    char *copy = rg_string_copy("spinnaker"), *text = rg_string_format("%s %d", "lap", 3);
    cr_assert_str_eq(copy, "spinnaker");
    cr_assert_str_eq(text, "lap 3");
    cr_assert_null(rg_string_copy(NULL));
    free(copy);
    free(text);
}

Test(base, nearest_name_is_what_was_meant) {
    const char *const names[] = {"alpha", "beta", "gamma", "learning_rate", NULL};
    cr_assert_str_eq(rg_nearest_name("bta", names), "beta");
    cr_assert_str_eq(rg_nearest_name("baet", names), "beta");
    cr_assert_str_eq(rg_nearest_name("gamma", names), "gamma");
    cr_assert_str_eq(rg_nearest_name("lerning_rat", names), "learning_rate");
    cr_assert_null(rg_nearest_name("spinnaker", names));
    cr_assert_null(rg_nearest_name("beta", (const char *const[]){NULL}));
}

/* Counted as two edits, the swap would tie with the first name, which would win. */
Test(base, swap_of_neighbours_is_one_edit) {
    const char *const names[] = {"abxye", "bacde", NULL};
    cr_assert_str_eq(rg_nearest_name("abcde", names), "bacde");
}

Test(base, endless_names_are_no_one_elses_fault) {
    char endless[5000];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    cr_assert_null(rg_nearest_name(endless, (const char *const[]){"aaa", NULL}));
}

/* Vectors of the FNV reference code. */
/* The vectors of the authors' reference: key and message are bytes that count up from 0. */
Test(base, digest_is_siphash_2_4_of_128_bits) {
    static const struct {
        size_t size;
        const char *hex;
    } vectors[] = {{0, "a3817f04ba25a8e66df67214c7550293"},
                   {1, "da87c1d86b99af44347659119b22fc45"},
                   {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
                   {8, "3b62a9ba6258f5610f83e264f31497b4"},
                   {14, "31fcefac66d7de9c7ec7485fe4494902"}};
    unsigned char bytes[16];
    RgDigest key;
    for (int i = 0; i < 16; i++)
        bytes[i] = (unsigned char)i;
    memcpy(&key, bytes, sizeof key);
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        RgDigest digest = rg_digest(key, bytes, vectors[v].size);
        char hex[33] = "";
        for (size_t i = 0; i < sizeof digest; i++)
            sprintf(hex + 2 * i, "%02x", ((const unsigned char *)&digest)[i]);
        cr_assert_str_eq(hex, vectors[v].hex);
    }
}

Test(base, hash_is_fnv_1a) {
    cr_assert_eq(rg_hash(RG_HASH_START, "", 0), UINT64_C(0xcbf29ce484222325));
    cr_assert_eq(rg_hash(RG_HASH_START, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
    cr_assert_eq(rg_hash(RG_HASH_START, "foobar", 6), UINT64_C(0x85944171f73967e8));
    cr_assert_eq(rg_hash(rg_hash(RG_HASH_START, "foo", 3), "bar", 3), UINT64_C(0x85944171f73967e8));
}

Test(base, clock_goes_forward) {
    double before = rg_clock_seconds();
    for (int i = 0; i < 1000; i++) {
        double now = rg_clock_seconds();
        cr_assert_geq(now, before);
        before = now;
    }
}

static int files_in(const char *folder) {
    int count = 0;
    DIR *stream = opendir(folder);
    for (struct dirent *entry; (entry = readdir(stream));)
        count += entry->d_name[0] != '.';
    closedir(stream);
    return count;
}

Test(file, what_is_written_is_read) {
    char bytes[10000], *content;
    size_t size;
    RgError error = {0};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    for (size_t count = 0; count <= sizeof bytes; count += 2500) {
        cr_assert_eq(rg_file_write(scratch("log"), bytes, count, &error), RG_OK, "%s", error.text);
        cr_assert_eq(rg_file_read(scratch("log"), &content, &size, &error), RG_OK);
        cr_assert_eq(size, count);
        cr_assert_eq(memcmp(content, bytes, count), 0);
        cr_assert_eq(content[count], '\0');
        free(content);
    }
    cr_assert_eq(files_in(scratch_path), 1, "no temporary file is left");
}

Test(file, new_file_is_as_readable_as_any) {
    struct stat about;
    umask(022);
    rg_file_write(scratch("log"), "x", 1, NULL);
    cr_assert_eq(stat(scratch("log"), &about), 0);
    cr_assert_eq(about.st_mode & 0777, 0644);
}

Test(file, file_that_does_not_know_its_size_is_read_whole) {
    char *content;
    size_t size;
    cr_assert_eq(rg_file_read("/proc/self/smaps", &content, &size, NULL), RG_OK);
    cr_assert_gt(size, 4096);
    cr_assert_eq(strlen(content), size);
    free(content);
}

Test(file, missing_file_is_named) {
    char *content;
    size_t size;
    RgError error = {0};
    cr_assert_eq(rg_file_read("/nowhere/boat.cfg", &content, &size, &error), RG_E_FILE);
    cr_assert_str_eq(error.text, "/nowhere/boat.cfg: cannot open: No such file or directory");
    cr_assert_eq(rg_file_read("/tmp", &content, &size, &error), RG_E_FILE);
    cr_assert_str_eq(error.text, "/tmp: cannot read: Is a directory");
}

Test(file, folder_that_is_missing_refuses) {
    RgError error = {0};
    cr_assert_eq(rg_file_write("/nowhere/boat.bin", "x", 1, &error), RG_E_FILE);
    cr_assert_not_null(strstr(error.text, "/nowhere/boat.bin"));
    cr_assert_not_null(strstr(error.text, "No such file or directory"));
}

Test(file, failed_write_keeps_the_old_content) {
    static char large[1 << 16];
    char *content;
    size_t size;
    RgError error = {0};
    cr_assert_eq(rg_file_write(scratch("log"), "old", 3, NULL), RG_OK);

    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit, small;
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = 1000;
    setrlimit(RLIMIT_FSIZE, &small);
    RgStatus status = rg_file_write(scratch("log"), large, sizeof large, &error);
    setrlimit(RLIMIT_FSIZE, &limit);

    cr_assert_eq(status, RG_E_FILE);
    cr_assert_not_null(strstr(error.text, strerror(EFBIG)), "%s", error.text);
    cr_assert_eq(rg_file_read(scratch("log"), &content, &size, NULL), RG_OK);
    cr_assert_str_eq(content, "old");
    cr_assert_eq(files_in(scratch_path), 1, "the temporary file is removed");
    free(content);
}

/* As a process that is killed leaves it: exit handlers do not run. */
static void write_and_die(void) {
    pid_t child = fork();
    if (child == 0) {
        RgNewFile file;
        if (rg_new_file_begin(scratch("log"), &file, NULL) != RG_OK)
            _exit(1);
        rg_new_file_write(&file, "half", 4, NULL);
        raise(SIGKILL);
    }
    int how = 0;
    waitpid(child, &how, 0);
    cr_assert(WIFSIGNALED(how));
}

Test(file, killed_writer_leaves_nothing_that_stays) {
    char *content;
    cr_assert_eq(rg_file_write(scratch("log"), "old", 3, NULL), RG_OK);
    write_and_die();
    cr_assert_eq(rg_file_read(scratch("log"), &content, NULL, NULL), RG_OK);
    cr_assert_str_eq(content, "old");
    free(content);
    scratch_write("log.new", "left between two system calls, or on NFS");
    cr_assert_eq(rg_file_write(scratch("log"), "next", 4, NULL), RG_OK);
    cr_assert_eq(rg_file_read(scratch("log"), &content, NULL, NULL), RG_OK);
    cr_assert_str_eq(content, "next");
    free(content);
    cr_assert_eq(files_in(scratch_path), 1, "what was left is gone");
}

Test(file, writers_of_one_path_each_leave_a_whole_content) {
    enum { WRITERS = 4, TIMES = 50, SIZE = 20000 };
    char bytes[SIZE], *content;
    size_t size;
    for (int w = 0; w < WRITERS; w++) {
        memset(bytes, 'a' + w, sizeof bytes);
        if (fork() == 0) {
            int failures = 0;
            for (int i = 0; i < TIMES; i++)
                failures += rg_file_write(scratch("log"), bytes, sizeof bytes, NULL) != RG_OK;
            _exit(failures);
        }
    }
    for (int w = 0, how = 0; w < WRITERS; w++) {
        wait(&how);
        cr_assert_eq(how, 0);
    }
    cr_assert_eq(rg_file_read(scratch("log"), &content, &size, NULL), RG_OK);
    cr_assert_eq(size, SIZE);
    for (size_t i = 1; i < size; i++)
        cr_assert_eq(content[i], content[0]);
    free(content);
    cr_assert_eq(files_in(scratch_path), 1);
}

Test(file, device_stays_what_it_is) {
    RgError error = {0};
    struct stat about;
    cr_assert_eq(rg_file_write("/dev/null", "x", 1, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_file_write("/dev/full", "x", 1, &error), RG_E_FILE);
    cr_assert_str_eq(error.text, "/dev/full: cannot write: No space left on device");
    cr_assert_eq(stat("/dev/full", &about), 0);
    cr_assert(S_ISCHR(about.st_mode));
}

Test(file, new_folder_takes_what_a_killed_process_left) {
    char *folder;
    int lock, other;
    RgError error = {0};
    scratch_write("trial.parts/half", "left");
    cr_assert_eq(rg_new_folder_begin(scratch("trial"), &folder, &lock, &error), RG_OK);
    cr_assert_str_eq(folder, scratch("trial.parts"));
    cr_assert_eq(files_in(folder), 0);
    free(folder);
    cr_assert_eq(rg_new_folder_begin(scratch("trial"), &folder, &other, &error), RG_E_FILE);
    cr_assert_not_null(strstr(error.text, "another process is using it"), "%s", error.text);
    close(lock);
}

Test(file, scratch_folder_of_a_killed_process_is_removed) {
    char *own, *second;
    struct stat about;
    setenv("TMPDIR", scratch_path, 1);
    cr_assert_eq(mkdir(scratch(".regatta-scratch-report-abcdef"), 0700), 0);
    cr_assert_eq(mkdir(scratch(".regatta-scratch-report-ghijkl"), 0700), 0);
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    cr_assert_eq(utimensat(AT_FDCWD, scratch(".regatta-scratch-report-abcdef"), long_ago, 0), 0);
    cr_assert_eq(mkdir(scratch("regatta-report-abcdef"), 0700), 0);
    cr_assert_eq(utimensat(AT_FDCWD, scratch("regatta-report-abcdef"), long_ago, 0), 0);
    cr_assert_eq(rg_scratch_folder("report", &own, NULL), RG_OK);
    cr_expect_eq(stat(scratch("regatta-report-abcdef"), &about), 0, "of another's making");
    cr_expect_neq(stat(scratch(".regatta-scratch-report-abcdef"), &about), 0,
                  "of one that was killed");
    cr_expect_eq(stat(scratch(".regatta-scratch-report-ghijkl"), &about), 0,
                 "of one that has just begun");
    cr_assert_eq(utimensat(AT_FDCWD, own, long_ago, 0), 0);
    cr_assert_eq(rg_scratch_folder("report", &second, NULL), RG_OK);
    cr_expect_eq(stat(own, &about), 0, "of one that is at work");
    free(own);
    free(second);
}

Test(file, checksum_of_parts_is_that_of_the_whole) {
    char parts[RG_SHA256_TEXT];
    RgChecksum sum;
    const char *path = scratch_write("abc", "abc");
    RgHashing *hashing = rg_hashing_begin();
    rg_hashing_add(hashing, "a", 1);
    rg_hashing_add(hashing, "bc", 2);
    rg_hashing_sum(hashing, parts);
    rg_hashing_end(hashing);
    cr_assert_eq(rg_file_checksum(path, &sum, NULL), RG_OK);
    /* FIPS 180-2, B.1 */
    cr_expect_str_eq(parts, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cr_expect_str_eq(sum.sha256, parts);
}

Test(file, folder_in_the_way_refuses) {
    RgError error = {0};
    cr_assert_eq(mkdir(scratch("log"), 0777), 0);
    cr_assert_eq(rg_file_write(scratch("log"), "x", 1, &error), RG_E_FILE);
    cr_assert_not_null(strstr(error.text, "log: is a folder, expected a file"), "%s", error.text);
    cr_assert_eq(files_in(scratch_path), 1);
}

Test(file, paths_lose_what_leads_nowhere) {
    static const struct {
        const char *path, *shorter;
    } cases[] = {
        {"a/b/../../data/x", "data/x"},
        {"a/../b/x", "b/x"},
        {"a/b/../x", "a/x"},
        {"a/../x", "x"},
        {"./a/./b//x", "a/b/x"},
        {"a/..", "."},
        {"../../x", "../../x"},
        {"/a/../x", "/a/../x"},
        {"link/../x", "link/../x"},
        {"none/../x", "none/../x"},
        {"/usr/bin/../x", "/usr/x"},
        {"/usr/../x", "/x"},
        {"a/b/..", "a"},
        {"../sh -c x", "../sh -c x"},
    };
    cr_assert_eq(chdir(scratch_path), 0);
    cr_assert(mkdir("a", 0700) == 0 && mkdir("a/b", 0700) == 0 && symlink("a/b", "link") == 0);
    cr_assert(mkdir("b", 0700) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *found = rg_path_shorten(cases[i].path);
        cr_expect_str_eq(found, cases[i].shorter, "%s: %s", cases[i].path, found);
        free(found);
    }
}

static int noticed;

static void count_notice(void *context, const char *line) {
    (void)context;
    (void)line;
    noticed++;
}

Test(base, a_notice_that_is_given_once_is_not_given_again) {
    rg_notice_use(count_notice, NULL);
    for (int i = 0; i < 3; i++)
        rg_notice_once("%d lines", 7);
    cr_expect_eq(noticed, 1);
    rg_notice_once("%d lines", 8);
    cr_expect_eq(noticed, 2);
    rg_notice("%d lines", 7);
    cr_expect_eq(noticed, 3);
    rg_notice_use(NULL, NULL);
}
