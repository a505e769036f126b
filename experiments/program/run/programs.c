/* SPDX-License-Identifier: MIT */
/* Looking for the programs of commands, by the shell that will start them. */
#include "experiments/program/run/programs.h"

#include "core/lookup.h"
#include "experiments/program/run/recorded_inputs.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first word of a command, malloc'd; NULL if the shell would expand, assign or quote there. */
static char *first_word(const char *command) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./+@%:,-";
    command += strspn(command, " \t");
    size_t length = strspn(command, plain);
    bool whole = strchr(" \t\n;|&<>", command[length]) != NULL; /* also at the end */
    return length > 0 && whole ? rg_string_format("%.*s", (int)length, command) : NULL;
}

/* Whether the shell knows a word without a slash: as a program in PATH, or by itself. */
static bool shell_knows(const char *word) {
    char *arguments[] = {"sh", "-c", "command -v \"$1\" >/dev/null", "sh", (char *)word, NULL};
    pid_t child;
    int status = 0;
    if (posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) != 0)
        return true; /* it will be seen when the command starts */
    while (waitpid(child, &status, 0) < 0)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Why the program of a command cannot be run, malloc'd, to end a sentence; NULL if it can. */
static char *fault_of(const char *command) {
    char *word = first_word(command), *fault = NULL;
    struct stat file;
    if (!word)
        return NULL;
    if (!strchr(word, '/'))
        fault =
            shell_knows(word) ? NULL : rg_string_format("the shell finds no program \"%s\"", word);
    else if (stat(word, &file) != 0)
        fault = rg_string_format("there is no program \"%s\"", word);
    else if (!S_ISREG(file.st_mode) || access(word, X_OK) != 0)
        fault = rg_string_format("\"%s\" is not an executable file", word);
    free(word);
    return fault;
}

/* The trial that is looked at, and what is known of all. */
typedef struct Search {
    const RgExperiment *experiment;
    const RgTrialSpec *trial;
    const char *path;
    RgLookup *done;  /* keys of trials; NULL: not read yet */
    RgLookup *sound; /* commands */
} Search;

static RgStatus read_done(Search *search, RgError *error) {
    search->done = rg_lookup_create();
    if (access(search->path, F_OK) != 0)
        return RG_OK;
    RgStore *store;
    RG_TRY(rg_store_open(search->path, false, &store, error));
    RgStatus status = rg_done_trials(store, search->experiment->options.name, search->done, error);
    rg_store_close(store);
    return status;
}

static RgStatus look_at(void *context, const RgOption *option, const RgSetting *setting,
                        RgError *error) {
    Search *search = context;
    size_t size = strlen(setting->text);
    if (option->act != RG_ACT_COMMAND || rg_lookup_find(search->sound, setting->text, size) >= 0)
        return RG_OK;
    char *fault = fault_of(setting->text);
    if (!fault) {
        *rg_lookup_at(search->sound, setting->text, size) = 0;
        return RG_OK;
    }
    const char *key = search->trial->key;
    RgStatus status = search->done ? RG_OK : read_done(search, error);
    if (status == RG_OK && rg_lookup_find(search->done, key, strlen(key)) < 0) {
        char folder[4096];
        const char *here = getcwd(folder, sizeof folder);
        status = rg_setting_refuse(setting, error,
                                   "%s; commands run in the folder that regatta runs in%s%s", fault,
                                   here ? ", " : "", here ? here : "");
    }
    free(fault);
    return status;
}

RgStatus rg_check_programs(const RgExperiment *experiment, const char *path, RgError *error) {
    Search search = {.experiment = experiment, .path = path, .sound = rg_lookup_create()};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        search.trial = &experiment->trials[i];
        status = rg_resolved_visit(search.trial->resolved, look_at, &search, error);
    }
    rg_lookup_destroy(search.done);
    rg_lookup_destroy(search.sound);
    return status;
}
