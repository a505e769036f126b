/* SPDX-License-Identifier: MIT */
/* The inputs of corpus/ through their targets, without libFuzzer: each is there because it once did
 * harm, or because it reaches what no other does.
 *
 *   replay                  all of them (RG_SOURCE_DIR tells where the sources are)
 *   replay TARGET FILE...   these
 *
 * The name of an input is told before it is tried, so that a crash has it on the last line. */
#include "core/files.h"
#include "tests/fuzz/fuzz.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* An input that asks for more memory, or takes longer on any machine, is refused too late. */
enum { MOST_SECONDS = 300 };
#define MOST_BYTES ((rlim_t)4 << 30)

static void limit_memory(void) {
#ifndef __SANITIZE_ADDRESS__ /* which takes terabytes of addresses */
    const struct rlimit limit = {MOST_BYTES, MOST_BYTES};
    RG_ASSERT(setrlimit(RLIMIT_AS, &limit) == 0);
#endif
}

static void replay(const FuzzTarget *target, const char *path) {
    RgError error = {0};
    char *content;
    size_t size;
    fprintf(stderr, "%s %s\n", target->name, path);
    if (rg_file_read(path, &content, &size, &error) != RG_OK) {
        fprintf(stderr, "replay: %s\n", error.text);
        exit(EXIT_FAILURE);
    }
    alarm(MOST_SECONDS);
    target->run((const uint8_t *)content, size);
    alarm(0);
    free(content);
}

static int replay_corpus(const char *sources, const FuzzTarget *target) {
    char *pattern = rg_string_format("%s/tests/fuzz/corpus/%s/*", sources, target->name);
    glob_t found;
    int count = glob(pattern, 0, NULL, &found) == 0 ? (int)found.gl_pathc : 0;
    for (int i = 0; i < count; i++)
        replay(target, found.gl_pathv[i]);
    if (count > 0)
        globfree(&found);
    else
        fprintf(stderr, "replay: no inputs: %s\n", pattern);
    free(pattern);
    return count;
}

static int replay_all(void) {
    const char *variable = getenv("RG_SOURCE_DIR");
    char *sources = realpath(variable ? variable : ".", NULL);
    int inputs = 0, missing = 0;
    fuzz_begin();
    for (const FuzzTarget *const *target = fuzz_targets; *target; target++) {
        int count = replay_corpus(sources, *target);
        inputs += count;
        missing += count == 0;
    }
    free(sources);
    fprintf(stderr, "%d inputs, %d targets without any\n", inputs, missing);
    return missing == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    limit_memory();
    if (argc == 1)
        return replay_all();
    const FuzzTarget *target = fuzz_target(argv[1]);
    if (!target || argc == 2) {
        fprintf(stderr, "replay: expected TARGET FILE..., the target a folder of corpus/\n");
        return 2;
    }
    char **paths = rg_allocate(argc, sizeof *paths);
    for (int i = 2; i < argc; i++)
        paths[i] = realpath(argv[i], NULL);
    fuzz_begin();
    for (int i = 2; i < argc; i++) {
        replay(target, paths[i] ? paths[i] : argv[i]);
        free(paths[i]);
    }
    free(paths);
    return EXIT_SUCCESS;
}
