/* SPDX-License-Identifier: MIT */
/* Files for a test: written into a folder of its own that is removed when the test's process ends.
 * A test that fails may leave its folder behind in /tmp. */
#ifndef RG_TESTS_SCRATCH_H
#define RG_TESTS_SCRATCH_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_path[64];

static inline int scratch_unlink(const char *path, const struct stat *about, int kind,
                                 struct FTW *at) {
    (void)about, (void)kind, (void)at;
    return remove(path);
}

/* A process that a test forks is not to remove anything. */
static pid_t scratch_owner;
static inline void scratch_remove(void) {
    if (getpid() == scratch_owner)
        nftw(scratch_path, scratch_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

/* For .init of a test or suite. What begins here ends with the process, for a test that is skipped
 * has no .fini. */
static inline void scratch_begin(void) {
    strcpy(scratch_path, "/tmp/regatta-test-XXXXXX");
    cr_assert(mkdtemp(scratch_path));
    scratch_owner = getpid();
    cr_assert_eq(atexit(scratch_remove), 0);
}

/* Path of a file in the folder; the last eight results are kept. */
static inline const char *scratch(const char *name) {
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_path, name);
    return path;
}

/* Write a file there, making one folder above it if need be; its path. */
static inline const char *scratch_write(const char *name, const char *text) {
    const char *path = scratch(name), *slash = strchr(name, '/');
    if (slash) {
        char folder[256];
        snprintf(folder, sizeof folder, "%s/%.*s", scratch_path, (int)(slash - name), name);
        mkdir(folder, 0777);
    }
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
    return path;
}

#endif
