/* SPDX-License-Identifier: MIT */
/* regatta forget: removes trials from a store. */
#include "core/names.h"
#include "core/new_file.h"
#include "core/results/parts.h"
#include "core/results/trial_find.h"
#include "core/results/weights.h"
#include "experiments/program/commands/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct ForgetArguments {
    const char *store, *name, *experiment;
    int64_t seed;
    bool yes;
} ForgetArguments;

static void print_trial(const RgTrialRow *row, FILE *out) {
    fprintf(out, "  %s, seed %lld, key %s: %s%s%s\n", row->label, (long long)row->seed, row->key,
            row->status, row->swept && strcmp(row->swept, "{}") != 0 ? ", " : "",
            row->swept && strcmp(row->swept, "{}") != 0 ? row->swept : "");
}

/* A name that matches trials of two experiments is ambiguous. */
static RgStatus check_experiments(const ForgetArguments *a, const RgTrialRows *rows,
                                  RgError *error) {
    for (int i = 1; i < rows->count; i++)
        if (strcmp(rows->at[i].experiment, rows->at[0].experiment) != 0)
            return rg_fail(
                error, RG_E_USAGE,
                "%s: trials of %s and of %s are called \"%s\": choose one by --experiment",
                a->store, rows->at[0].experiment, rows->at[i].experiment, a->name);
    return RG_OK;
}

static RgStatus ask(const ForgetArguments *a, const RgTrialRows *rows, RgError *error) {
    char answer[16] = "";
    if (a->yes)
        return RG_OK;
    for (int i = 0; i < rows->count; i++)
        print_trial(&rows->at[i], stderr);
    if (!isatty(STDIN_FILENO))
        return rg_fail(error, RG_E_USAGE,
                       "%s: %d trial%s would be removed, and there is no terminal to ask on: "
                       "expected --yes",
                       a->store, rows->count, rows->count == 1 ? "" : "s");
    fprintf(stderr, "Remove %s of %s, with the weights? [y/N] ",
            rows->count == 1 ? "this trial" : "these trials", rows->at[0].experiment);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')
               ? RG_OK
               : rg_fail(error, RG_E_STOPPED, "%s: nothing was removed", a->store);
}

static void remove_weights(RgStore *store, const RgTrialRow *row, RgWeightsFile file) {
    char *path = rg_weights_path(rg_store_path(store), row->key, file);
    rg_file_remove(path);
    free(path);
}

/* The checkpoint goes before the rows: a later run would resume from it without their earlier
 * steps. Final weights go after the rows, because the store may refuse to remove those. */
static RgStatus forget(RgStore *store, const RgTrialRow *row, RgError *error) {
    remove_weights(store, row, RG_WEIGHTS_CHECKPOINT);
    RG_TRY(rg_store_trial_forget(store, row->id, error));
    remove_weights(store, row, RG_WEIGHTS_FINAL);
    return RG_OK;
}

static RgStatus forget_all(const ForgetArguments *a, RgStore *store, RgError *error) {
    RgTrialRows rows;
    int done = 0;
    RG_TRY(rg_trial_find_all(store, a->experiment, a->name, a->seed, &rows, error));
    RgStatus status = check_experiments(a, &rows, error);
    if (status == RG_OK)
        status = ask(a, &rows, error);
    while (done < rows.count && status == RG_OK) {
        status = forget(store, &rows.at[done], error);
        done += status == RG_OK;
    }
    if (status == RG_OK)
        printf("%s: %d trial%s removed\n", a->store, done, done == 1 ? "" : "s");
    rg_trial_rows_clear(&rows);
    return status;
}

/* Opens the store. The partial stores of a parallel run are merged first: they contain trials. */
static RgStatus open_whole(const char *path, RgStore **store, RgError *error) {
    *store = NULL;
    if (access(path, F_OK) != 0) /* opening for writing would create it */
        return rg_store_open(path, false, store, error);
    RG_TRY(rg_store_open(path, true, store, error));
    RgStatus status = rg_store_verify(*store, RG_VERIFY_PAGES, error);
    return status == RG_OK ? rg_parts_gather(*store, error) : status;
}

static RgStatus forget_trials(void *arguments, RgError *error) {
    const ForgetArguments *a = arguments;
    RgStore *store;
    RgStatus status = open_whole(a->store, &store, error);
    if (status == RG_OK)
        status = forget_all(a, store, error);
    rg_store_close(store);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(ForgetArguments, store, NULL),
    RG_ARGUMENT_POSITIONAL(ForgetArguments, name,
                           "expected a results store, and a trial's label or key"),
    RG_ARGUMENT_OPTION(ForgetArguments, experiment, "experiment", 'e', "NAME",
                       "experiment in the store (default: whichever has the trials)"),
    RG_ARGUMENT_OPTION(ForgetArguments, seed, "seed", 0, "N",
                       "only the trial of this seed (default: trials of all seeds)",
                       .high = RG_ARGUMENT_NO_LIMIT),
    RG_ARGUMENT_OPTION(ForgetArguments, yes, "yes", 0, NULL, "do not ask for confirmation"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_forget = {
    .name = "forget",
    .summary = "remove trials from a results store",
    .usage = "RESULTS.db LABEL|KEY",
    .purpose = "Remove trials from a results store: their rows, weights and checkpoints.",
    .details = "A label selects the trials of all seeds and of every config that was run; a key "
               "selects one trial. regatta table prints labels; regatta run --dry-run prints keys. "
               "The command asks for confirmation; without a terminal, --yes is required. A store "
               "that is being written is refused. Cached judge scores and reference "
               "log-probabilities are kept. The next run of the config repeats the trials.",
    .arguments = arguments,
    .size = sizeof(ForgetArguments),
    .defaults = &(const ForgetArguments){.seed = -1},
    .run = forget_trials,
};
