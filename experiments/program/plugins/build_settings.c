/* SPDX-License-Identifier: MIT */
/* Installed, or in a build folder? */
#include "experiments/program/plugins/build_settings.h"

#include "core/base.h"
#include "core/files.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A path as one word of a Makefile's command. */
static char *quoted(const char *path) {
    char *word = rg_allocate(2 * strlen(path) + 3, 1), *to = word;
    *to++ = '\'';
    for (; *path; path++) {
        if (*path == '$')
            *to++ = '$';
        *to++ = *path;
    }
    *to = '\'';
    return word;
}

/* The folder of the source tree, malloc'd; NULL if the program is not in its build folder. */
static char *source_tree(const char *build) {
    char *abi = rg_string_format("%s/core/abi.h", build), *header = rg_own_file("regatta.h");
    bool there = access(abi, R_OK) == 0 && access(header, R_OK) == 0;
    char *tree = NULL;
    if (there) {
        *strrchr(header, '/') = '\0';
        tree = realpath(header, NULL);
    }
    free(abi);
    free(header);
    return tree;
}

RgBuildSettings rg_build_settings(void) {
    char program[PATH_MAX] = "";
    bool known = readlink("/proc/self/exe", program, sizeof program - 1) > 0;
    char *slash = strrchr(program, '/');
    char *build = known && slash ? rg_string_format("%.*s", (int)(slash - program), program) : NULL;
    char *tree = build ? source_tree(build) : NULL;
    RgBuildSettings settings;
    if (tree) {
        char *from_tree = quoted(tree), *from_build = quoted(build);
        settings =
            (RgBuildSettings){quoted(program), rg_string_format("-I%s -I%s", from_tree, from_build),
                              rg_string_copy(build)};
        free(from_tree);
        free(from_build);
    } else {
        settings = (RgBuildSettings){
            rg_string_copy("regatta"), rg_string_copy("$(shell pkg-config --cflags regatta)"),
            rg_string_copy("$(shell pkg-config --variable=includedir regatta)/regatta")};
    }
    free(tree);
    free(build);
    return settings;
}

void rg_build_settings_free(RgBuildSettings *settings) {
    free(settings->program);
    free(settings->flags);
    free(settings->headers);
    *settings = (RgBuildSettings){0};
}
