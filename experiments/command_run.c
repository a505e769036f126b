/* regatta run: an experiment's trials, to their end. */
#include "core/tensor/blas.h"
#include "core/tensor/profile.h"
#include "experiments/command.h"
#include "experiments/dry_run.h"
#include "experiments/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEY_CHECKPOINT = 256, KEY_PROFILE, KEY_JSON };

typedef struct RunArguments {
    RgConfigArguments config;
    const char *results;
    int threads;
    double checkpoint_seconds;
    bool quiet, dry, json, profile;
} RunArguments;

static const struct argp_option options[] = {
    {"results", 'r', "FILE", 0, "results store (default: results/NAME.db)", 0},
    {"threads", 't', "N", 0, "threads (default: all processors; never changes the bits)", 0},
    {"checkpoint-seconds", KEY_CHECKPOINT, "S", 0,
     "seconds between checkpoints (default: 10; 0: after every step)", 0},
    {"profile", KEY_PROFILE, NULL, 0, "tell in the end where the time went, by operator", 0},
    {"dry-run", 'n', NULL, 0,
     "list the trials, with where each stands in the results store and what it is expected to "
     "take, and stop",
     0},
    {"json", KEY_JSON, NULL, 0, "the list of --dry-run as JSON", 0},
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
    case KEY_JSON:
        a->json = true;
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    case ARGP_KEY_END:
        if (a->json && !a->dry)
            argp_error(state, "--json is of --dry-run, and expected beside it");
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
    "Each algorithm of CONFIG runs with each seed and each swept or drawn value. Trials that are "
    "finished "
    "in the results store are skipped; one that was interrupted, at whatever moment, goes on from "
    "its checkpoint to the same bits. Ctrl-C ends the trial in hand after its step, with a "
    "checkpoint. Every key of the config is checked before the first step.\n\n"
    "--dry-run tells what a trial took where it is done; of others, what finished trials of the "
    "same method and values took on average, or what `regatta plan` says, with responses as long "
    "as they may be. Seconds, evaluation included, are never planned: they are there once a like "
    "trial has finished.\n\n"
    "Final weights lie beside the store, in the folder of its name without .db.\n\n"
    "Exit status: 0 done, 1 failed or stopped, 2 bad usage or config.",
    children,
    NULL,
    NULL,
};

static RgStatus list_trials(const RgExperiment *experiment, const RunArguments *a, RgError *error) {
    char *path = rg_experiment_store_path(experiment, a->results);
    rg_threads_set(a->threads);
    RgStatus status = rg_dry_run(experiment, path, a->json, stdout, error);
    free(path);
    return status;
}

static RgStatus run_experiment(const RgExperiment *experiment, const RunArguments *a,
                               RgError *error) {
    char *path = rg_experiment_store_path(experiment, a->results);
    RgStatus status = rg_experiment_run(experiment, path, a->checkpoint_seconds, a->quiet, error);
    if (status == RG_OK && !a->quiet)
        fprintf(stderr, "%ld trials done; next: regatta table %s\n", (long)experiment->trial_count,
                path);
    free(path);
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
        status = list_trials(experiment, &a, &error);
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
