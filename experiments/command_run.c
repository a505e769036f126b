/* regatta run: an experiment's trials, to their end. */
#include "core/stop.h"
#include "core/tensor/blas.h"
#include "core/tensor/profile.h"
#include "experiments/command.h"
#include "experiments/trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_CHECKPOINT = 256, KEY_PROFILE };

typedef struct RunArguments {
    RgConfigArguments config;
    const char *results;
    int threads;
    double checkpoint_seconds;
    bool quiet, dry, profile;
} RunArguments;

static const struct argp_option options[] = {
    {"results", 'r', "FILE", 0, "results store (default: results/NAME.db)", 0},
    {"threads", 't', "N", 0, "threads (default: all processors; never changes the bits)", 0},
    {"checkpoint-seconds", KEY_CHECKPOINT, "S", 0,
     "seconds between checkpoints (default: 10; 0: after every step)", 0},
    {"profile", KEY_PROFILE, NULL, 0, "tell in the end where the time went, by operator", 0},
    {"dry-run", 'n', NULL, 0, "list the trials and stop", 0},
    {"quiet", 'q', NULL, 0, "no progress", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    RunArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->config;
        return 0;
    case 'r':
        a->results = argument;
        return 0;
    case 't':
        a->threads = (int)rg_argument_integer(state, "--threads", argument, 1, 4096);
        return 0;
    case KEY_CHECKPOINT:
        a->checkpoint_seconds = rg_argument_real(state, "--checkpoint-seconds", argument, 0, 1e9);
        return 0;
    case KEY_PROFILE:
        a->profile = true;
        return 0;
    case 'n':
        a->dry = true;
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&rg_config_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    options,
    parse,
    "CONFIG",
    "Run the trials of an experiment.\v"
    "Each algorithm of CONFIG runs with each seed and each swept value. Trials that are finished "
    "in the results store are skipped; one that was interrupted, at whatever moment, goes on from "
    "its checkpoint to the same bits. Ctrl-C ends the trial in hand after its step, with a "
    "checkpoint. Every key of the config is checked before the first step.\n\n"
    "Final weights lie beside the store, in the folder of its name without .db.\n\n"
    "Exit status: 0 done, 1 failed or stopped, 2 bad usage or config.",
    children,
    NULL,
    NULL,
};

static void list_trials(const RgExperiment *experiment) {
    for (int64_t i = 0; i < experiment->trial_count; i++) {
        const RgTrialPlan *plan = &experiment->trials[i];
        printf("%s  %-14s seed %-4ld %s\n", plan->key, plan->part.label, (long)plan->seed,
               plan->swept_json);
    }
}

static RgStatus make_folder(const char *path, RgError *error) {
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return rg_fail(error, RG_E_FILE, "%s: cannot make the folder: %s", path, strerror(errno));
    return RG_OK;
}

/* The folder of weights: the store's path without its suffix. */
static char *weights_folder(const char *store) {
    size_t length = strlen(store);
    if (length > 3 && strcmp(store + length - 3, ".db") == 0)
        return rg_string_format("%.*s", (int)(length - 3), store);
    return rg_string_format("%s.weights", store);
}

/* Tables of the store that trials share. */
typedef struct Shelves {
    RgPairShelf *pairs;
    RgAnswerShelf *answers;
} Shelves;

static RgStatus run_trials(const RgExperiment *experiment, RgStore *store, const Shelves *shelves,
                           const char *folder, const RunArguments *a, RgError *error) {
    RgProgress progress = rg_progress_create(experiment->trial_count, a->quiet);
    RgTrialRun run = {.store = store,
                      .shelf = shelves->pairs,
                      .stage = {.answers = shelves->answers},
                      .folder = folder,
                      .checkpoint_seconds = a->checkpoint_seconds,
                      .progress = &progress};
    RG_TRY(rg_store_experiment(store, experiment->options.name, experiment->config_json,
                               &run.experiment, error));
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        progress.trial = i + 1;
        status = rg_trial_run(&run, &experiment->trials[i], error);
    }
    rg_progress_end(&progress);
    rg_stage_clear(&run.stage);
    return status;
}

static RgStatus run_experiment(const RgExperiment *experiment, const RunArguments *a,
                               RgError *error) {
    RgStore *store;
    Shelves shelves = {NULL, NULL};
    char *path = a->results ? rg_string_copy(a->results)
                            : rg_string_format("results/%s.db", experiment->options.name);
    char *folder = weights_folder(path);
    RgStatus status = rg_store_open(path, true, &store, error);
    if (status == RG_OK) {
        status = make_folder(folder, error);
        if (status == RG_OK)
            status = rg_pair_shelf_open(store, &shelves.pairs, error);
        if (status == RG_OK)
            status = rg_answer_shelf_open(store, &shelves.answers, error);
        if (status == RG_OK)
            status = run_trials(experiment, store, &shelves, folder, a, error);
        rg_answer_shelf_close(shelves.answers);
        rg_pair_shelf_close(shelves.pairs);
        rg_store_close(store);
    }
    if (status == RG_OK && !a->quiet)
        fprintf(stderr, "%ld trials done; next: regatta table %s\n", (long)experiment->trial_count,
                path);
    free(path);
    free(folder);
    return status;
}

int rg_command_run(int argc, char **argv) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    RunArguments a = {.threads = processors > 0 ? (int)processors : 1, .checkpoint_seconds = 10};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgExperiment *experiment;
    RgStatus status = rg_experiment_open(a.config.path, a.config.overrides, a.config.override_count,
                                         &experiment, &error);
    if (status == RG_OK && a.dry)
        list_trials(experiment);
    else if (status == RG_OK) {
        rg_threads_set(a.threads);
        rg_stop_on_signals();
        if (a.profile)
            rg_profile_start();
        status = run_experiment(experiment, &a, &error);
        rg_profile_report(stderr);
    }
    rg_experiment_close(experiment);
    free(a.config.overrides);
    return rg_command_end(status, &error);
}
