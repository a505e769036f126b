/* SPDX-License-Identifier: MIT */
/* regatta new: creates a folder for a new plug-in from experiments/program/templates/. In the
 * templates, @NAME@ is replaced by the name, @KIND@ by the kind, @AN@ by its article. */
#include "core/files.h"
#include "core/names.h"
#include "core/new_file.h"
#include "core/registry.h"
#include "core/suggest.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/plugins/build_settings.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct NewArguments {
    const char *kind, *name, *folder;
} NewArguments;

/* ---- templates ---- */

static const struct {
    RgKind kind;
    const char *article;
    bool texts; /* has texts.jsonl, from which the Makefile trains a tokenizer */
} kinds[] = {{RG_ALGORITHM, "an", false},
             {RG_ENVIRONMENT, "an", false},
             {RG_JUDGE, "a", true},
             {RG_ESTIMATOR, "an", false},
             {RG_OPTIMIZER, "an", false}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static RgStatus find_kind(const char *name, int *found, RgError *error) {
    const char *names[KINDS + 1] = {0};
    for (int i = 0; i < KINDS; i++) {
        names[i] = rg_kind_names[kinds[i].kind];
        if (strcmp(names[i], name) == 0) {
            *found = i;
            return RG_OK;
        }
    }
    return rg_fail(error, RG_E_USAGE,
                   "new: no kind \"%s\": expected algorithm, environment, judge, estimator or "
                   "optimizer%s",
                   name, rg_suggest(name, names).text);
}

/* Replaces every `word` in `text` by `by`. Frees `text`; the caller frees the result. */
static char *replace(char *text, const char *word, const char *by) {
    char *out = NULL, *at = text, *found;
    size_t size;
    FILE *stream = open_memstream(&out, &size);
    RG_ASSERT(stream);
    while ((found = strstr(at, word))) {
        fwrite(at, 1, (size_t)(found - at), stream);
        fputs(by, stream);
        at = found + strlen(word);
    }
    fputs(at, stream);
    fclose(stream);
    free(text);
    return out;
}

static RgStatus write_one(const NewArguments *a, int kind, const char *template, const char *name,
                          RgError *error) {
    char *own = rg_string_format("experiments/program/templates/%s", template);
    char *from = rg_own_file(own), *to = rg_string_format("%s/%s", a->folder, name);
    char *text = NULL;
    size_t size;
    RgStatus status = rg_file_read(from, &text, &size, error);
    if (status == RG_OK) {
        text = replace(text, "@NAME@", a->name);
        text = replace(text, "@KIND@", a->kind);
        text = replace(text, "@AN@", kinds[kind].article);
        RgBuildSettings build = rg_build_settings();
        text = replace(text, "@PROGRAM@", build.program);
        text = replace(text, "@FLAGS@", build.flags);
        text = replace(text, "@HEADERS@", build.headers);
        rg_build_settings_free(&build);
        status = rg_file_write(to, text, strlen(text), error);
    }
    free(text);
    free(from);
    free(own);
    free(to);
    return status;
}

static RgStatus write_all(const NewArguments *a, int kind, RgError *error) {
    static const char *const endings[] = {".c", ".cfg"};
    for (int i = 0; i < 2; i++) {
        char *template = rg_string_format("%s%s", a->kind, endings[i]);
        char *name = rg_string_format("%s%s", a->name, endings[i]);
        RgStatus status = write_one(a, kind, template, name, error);
        free(template);
        free(name);
        RG_TRY(status);
    }
    if (kinds[kind].texts)
        RG_TRY(write_one(a, kind, "judge.jsonl", "texts.jsonl", error));
    RG_TRY(write_one(a, kind, "plugin.mk", "Makefile", error));
    return write_one(a, kind, "README.in", "README.md", error);
}

/* ---- the folder ---- */

/* Creates the folder, or accepts an empty one. `made`: whether it was created. */
static RgStatus take_folder(const char *path, bool *made, RgError *error) {
    DIR *folder = opendir(path);
    *made = false;
    if (!folder && errno != ENOENT)
        return rg_fail(error, RG_E_USAGE,
                       "new: %s: %s: expected a folder that is empty or does not exist", path,
                       strerror(errno));
    if (!folder) {
        RG_TRY(rg_folders_make_above(path, error));
        *made = true;
        return rg_folder_make(path, error);
    }
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(folder));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty ? RG_OK
                 : rg_fail(error, RG_E_USAGE,
                           "new: %s is not empty: expected another FOLDER, or remove it", path);
}

static RgStatus make(NewArguments *a, RgError *error) {
    int kind = 0;
    RG_TRY(find_kind(a->kind, &kind, error));
    const char *fault = rg_descriptor_name_fault(a->name);
    if (fault)
        return rg_fail(error, RG_E_USAGE, "new: \"%s\": %s", a->name, fault);
    if (rg_find(kinds[kind].kind, a->name))
        return rg_fail(error, RG_E_USAGE, "new: %s %s \"%s\" exists already: expected a new name",
                       kinds[kind].article, a->kind, a->name);
    if (!a->folder)
        a->folder = a->name;
    bool made;
    RG_TRY(take_folder(a->folder, &made, error));
    RgStatus status = write_all(a, kind, error);
    if (status != RG_OK && made)
        rg_folder_remove(a->folder);
    return status;
}

static RgStatus create(void *arguments, RgError *error) {
    NewArguments *a = arguments;
    RG_TRY(make(a, error));
    printf("%s: %s.c, %s.cfg, Makefile, README.md\n"
           "next: cd %s && make && make check && make race\n",
           a->folder, a->name, a->name, a->folder);
    return RG_OK;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(NewArguments, kind, NULL),
    RG_ARGUMENT_POSITIONAL(NewArguments, name,
                           "expected a kind and a name, such as: algorithm mine"),
    RG_ARGUMENT_POSITIONAL(NewArguments, folder, NULL),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_new = {
    .name = "new",
    .summary = "create an algorithm, environment, judge, estimator or optimizer of your own",
    .usage = "KIND NAME [FOLDER]",
    .purpose =
        "Create a plug-in of your own: an algorithm, environment, judge, estimator or optimizer.",
    .details =
        "FOLDER (default: ./NAME) gets a working source, a Makefile, a config that compares it "
        "with the built-in types, and a README with the next steps:\n\n"
        "  regatta new algorithm mine\n"
        "  cd mine && make && make check && make race\n\n"
        "An existing folder must be empty. Names are lower-case letters, digits and hyphens.",
    .arguments = arguments,
    .size = sizeof(NewArguments),
    .run = create,
};
