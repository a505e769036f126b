/* SPDX-License-Identifier: MIT */
/* regatta check-store: finds damage in a results store, and saves its intact trials. */
#include "core/results/store_check.h"
#include "core/results/store_merge.h"
#include "experiments/program/commands/command.h"

#include <stdio.h>

typedef struct CheckArguments {
    const char *path, *save;
} CheckArguments;

/* "trial 3, dpo seed 1 of small, key 0123456789abcdef" */
static void print_trial(const RgTrialCheck *trial) {
    printf("  trial %ld", (long)trial->id);
    if (trial->key)
        printf(", %s seed %ld of %s, key %s", trial->label, (long)trial->seed, trial->experiment,
               trial->key);
    printf(":\n");
    for (int i = 0; i < trial->count; i++)
        printf("    %s\n", trial->findings[i]);
}

static void print_check(const CheckArguments *a, const RgStoreCheck *check) {
    bool clean = rg_store_check_is_clean(check);
    printf("%s: %d trials, %d of them intact%s\n", a->path, check->trial_count, check->whole_count,
           clean ? ", no other damage" : "");
    for (int i = 0; i < check->count; i++)
        printf("  %s\n", check->findings[i]);
    for (int i = 0; i < check->trial_count; i++)
        if (check->trials[i].count > 0)
            print_trial(&check->trials[i]);
    for (int i = 0; i < check->note_count; i++)
        printf("  note: %s\n", check->notes[i]);
    if (check->whole_count == 0 && (a->save || !clean))
        printf("nothing can be saved: every trial is damaged\n");
    else if (!clean && !a->save)
        printf("to save the intact trials: regatta check-store %s --save NEW.db\n", a->path);
}

static RgStatus save(const CheckArguments *a, const RgStoreCheck *check, RgError *error) {
    RgStore *store;
    int saved = 0;
    RG_TRY(rg_store_open(a->save, true, &store, error));
    RgStatus status = RG_OK;
    for (int i = 0; i < check->trial_count && status == RG_OK; i++) {
        if (check->trials[i].count > 0)
            continue;
        status = rg_store_save_trial(store, a->path, check->trials[i].id, error);
        saved += status == RG_OK;
    }
    (saved > 0 ? rg_store_close : rg_store_discard)(store);
    if (status == RG_OK)
        printf("%s: now has %d of its trials\n", a->save, check->whole_count);
    return status;
}

static RgStatus check_store(void *arguments, RgError *error) {
    const CheckArguments *a = arguments;
    RgStoreCheck check;
    RgStatus status = rg_store_check(a->path, &check, error);
    if (status == RG_OK)
        print_check(a, &check);
    if (status == RG_OK && a->save && check.whole_count > 0)
        status = save(a, &check, error);
    if (status == RG_OK && !rg_store_check_is_clean(&check))
        status = rg_fail(error, RG_E_STORE, "%s: is damaged", a->path);
    rg_store_check_clear(&check);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(CheckArguments, path, "expected a results store"),
    RG_ARGUMENT_OPTION(CheckArguments, save, "save", 's', "NEW.db",
                       "copy the intact trials into this store"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_check_store = {
    .name = "check-store",
    .summary = "check a results store for damage, and save its intact trials",
    .usage = "RESULTS.db",
    .purpose =
        "Check a results store for damage, such as from a bad disk or an incomplete transfer.",
    .details =
        "Checked are the file's pages and indices, the type and range of every value, keys and "
        "labels, the owner of each row, whether every evaluation has all its metrics and items, "
        "whether curves have rows for all steps required by a trial's config, and whether the "
        "weights and checkpoints beside the store match it. Absent weights, as of a store that was "
        "sent alone, are noted and are no damage. Damage is reported by experiment and trial. A "
        "number that was replaced by another valid number cannot be detected. The exit status is 0 "
        "only if nothing is wrong. The store is only read.\n\n"
        "With --save, intact trials are copied into another store, with their weights and "
        "checkpoints, as by regatta merge; regatta run repeats the others.",
    .arguments = arguments,
    .size = sizeof(CheckArguments),
    .run = check_store,
};
