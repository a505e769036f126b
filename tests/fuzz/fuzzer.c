/* SPDX-License-Identifier: MIT */
/* The door to libFuzzer, which brings main: the target is the one that FUZZ_TARGET names. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const FuzzTarget *target;

/* The folder that targets work in is not the one that libFuzzer was called in: what names a file is
 * made to do so from the root, and what is found is left where it was called. */
static void name_from_root(int *argc, char ***argv) {
    char **names = rg_allocate(*argc + 2, sizeof *names), *here = realpath(".", NULL);
    int count = 0;
    names[count++] = (*argv)[0];
    names[count++] = rg_string_format("-artifact_prefix=%s/", here);
    for (int i = 1; i < *argc; i++) {
        char *path = (*argv)[i][0] == '-' ? NULL : realpath((*argv)[i], NULL);
        names[count++] = path ? path : (*argv)[i];
    }
    *argc = count;
    *argv = names;
    free(here);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *name = getenv("FUZZ_TARGET");
    target = name ? fuzz_target(name) : NULL;
    if (!target) {
        fprintf(stderr, "FUZZ_TARGET: expected one of");
        for (const FuzzTarget *const *each = fuzz_targets; *each; each++)
            fprintf(stderr, " %s", (*each)->name);
        fprintf(stderr, "\n");
        exit(2);
    }
    name_from_root(argc, argv);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool begun;
    if (!begun)
        fuzz_begin();
    begun = true;
    target->run(data, size);
    return 0;
}
