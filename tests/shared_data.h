/* SPDX-License-Identifier: MIT */
/* Data that is too large for the tree: in the folder that RG_SHARED_DATA names, or else in
 * shared/data beside the tree. A test that finds none is skipped. */
#ifndef RG_TESTS_SHARED_DATA_H
#define RG_TESTS_SHARED_DATA_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Path of a file; the last four results are kept. */
static inline const char *shared_data(const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    const char *data = getenv("RG_SHARED_DATA"), *source = getenv("RG_SOURCE_DIR");
    snprintf(path, sizeof paths[0], "%s%s/%s", data ? data : (source ? source : "."),
             data ? "" : "/../shared/data", name);
    if (access(path, R_OK) != 0)
        cr_skip_test("no %s", path);
    return path;
}

#endif
