/* SPDX-License-Identifier: MIT */
/* regatta run: runs an experiment's trials to their end. */
#include "core/stop.h"
#include "core/tensor/profile.h"
#include "core/tensor/threads.h"
#include "core/text/terminal.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/run/dry_run.h"
#include "experiments/program/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEY_CHECKPOINT = 256,
    KEY_JSON,
    KEY_MEMORY_LIMIT,
    KEY_ONLY,
    KEY_PROFILE,
    KEY_RANKS,
    KEY_SHARE
};

typedef struct RunArguments {
    RgConfigArguments config;
    RgRunOptions run;
    int ranks_per_trial;
    const char **only; /* labels; none: all methods */
    int only_count;
    bool dry, json, profile;
} RunArguments;

static const struct argp_option options[] = {
    {"results", 'r', "FILE", 0, "results store (default: results/NAME.db)", 0},
    {"threads", 't', "N", 0, "threads (default: all processors; never changes the bits)", 0},
    {"jobs", 'j', "N", 0,
     "concurrent trials, each in its own process; the threads are divided among them "
     "(default: 1; never changes the bits)",
     0},
    {"memory-limit", KEY_MEMORY_LIMIT, "SIZE", 0,
     "start a trial only if its peak memory, as estimated by `regatta plan` or measured in similar "
     "trials, fits in SIZE bytes beside the running ones; 20G is 20e9",
     0},
    {"ranks-per-trial", KEY_RANKS, "R", 0,
     "under mpirun, ranks that run one trial together, each with some of its training.shards; the "
     "number of ranks is a multiple of R (default: 1; never changes the bits)",
     0},
    {"share", KEY_SHARE, "K/N", 0,
     "run every Nth trial from the Kth on, into a partial store; the next run without --share "
     "merges the shares",
     0},
    {"only", KEY_ONLY, "LABEL", 0,
     "run only the trials with this label; may be repeated. Tables show every trial of CONFIG that "
     "has run",
     0},
    {"checkpoint-seconds", KEY_CHECKPOINT, "S", 0,
     "seconds between checkpoints (default: 10; 0: after every step)", 0},
    {"profile", KEY_PROFILE, NULL, 0,
     "print time by operator, and the number of threads in use, at the end", 0},
    {"dry-run", 'n', NULL, 0,
     "list the trials with their status in the results store and their expected cost, then exit",
     0},
    {"json", KEY_JSON, NULL, 0, "the list of --dry-run as JSON", 0},
    {"quiet", 'q', NULL, 0, "show no progress", 0},
    {0},
};

static void parse_share(const char *text, RgRunOptions *a, struct argp_state *state) {
    int end = 0;
    if (sscanf(text, "%d/%d%n", &a->share, &a->shares, &end) != 2 || text[end] || a->share < 1 ||
        a->share > a->shares)
        argp_error(state, "--share is \"%s\": expected K/N, as in 2/8, with K from 1 to N", text);
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    RunArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->config;
        return 0;
    case 'r':
        a->run.results = argument;
        return 0;
    case 't':
        a->run.threads = (int)rg_argument_integer(state, "--threads", argument, 1, 4096);
        return 0;
    case 'j':
        a->run.jobs = (int)rg_argument_integer(state, "--jobs", argument, 1, 4096);
        return 0;
    case KEY_RANKS:
        a->ranks_per_trial =
            (int)rg_argument_integer(state, "--ranks-per-trial", argument, 1, 4096);
        return 0;
    case KEY_SHARE:
        parse_share(argument, &a->run, state);
        return 0;
    case KEY_MEMORY_LIMIT:
        a->run.memory_limit = rg_argument_bytes(state, "--memory-limit", argument);
        return 0;
    case KEY_ONLY:
        a->only = rg_reallocate(a->only, (size_t)a->only_count + 1, sizeof *a->only);
        a->only[a->only_count++] = argument;
        return 0;
    case KEY_CHECKPOINT:
        a->run.checkpoint_seconds =
            rg_argument_real(state, "--checkpoint-seconds", argument, 0, 1e9);
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
        a->run.quiet = true;
        return 0;
    case ARGP_KEY_END:
        if (a->json && !a->dry)
            argp_error(state, "--json requires --dry-run");
        if (a->dry && a->run.share)
            argp_error(state, "--dry-run cannot be combined with --share: it lists all trials");
        if (a->profile && rg_run_in_pool(&a->run))
            argp_error(state, "--profile cannot be combined with -j or --memory-limit: it measures "
                              "one process");
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
    "finished in the results store are skipped. An interrupted trial resumes from its checkpoint, "
    "with the same bits. Ctrl-C ends the current trial after its step, with a checkpoint. Every "
    "key of the config is checked before the first step.\n\n"
    "With -j N, a trial whose process dies is reported and resumes from its checkpoint. Under "
    "mpirun, in a build with MPI, the trials are spread over the ranks; with --ranks-per-trial R, "
    "over process groups of R ranks, which split a trial's batches. Ranks and shares (--share) "
    "write partial stores beside the results store. The end of the run, or else the next run, "
    "merges them.\n\n"
    "--dry-run shows the measured cost of finished trials. For others it shows the mean over "
    "finished trials with the same method and values, or the estimate of `regatta plan`, which "
    "assumes responses of maximal length. Seconds, including evaluation, are never planned: they "
    "appear once a similar trial has finished.\n\n"
    "Final weights are beside the store, in the folder of its name without .db.\n\n"
    "Exit status: 0 done, 1 failed or stopped, 2 bad usage or config.",
    children,
    NULL,
    NULL,
};

static RgStatus list_trials(RgExperiment *experiment, const RunArguments *a, RgError *error) {
    char *path = rg_experiment_store_path(experiment, a->run.results);
    rg_threads_set(a->run.threads);
    if (a->json)
        rg_terminal_data();
    RgStatus status = rg_dry_run(experiment, path, a->json, stdout, error);
    free(path);
    return status;
}

static RgStatus run_experiment(RgExperiment *experiment, RgRanks *ranks, const RunArguments *a,
                               bool *complete, RgError *error) {
    RgStatus status = rg_experiment_run(experiment, ranks, &a->run, complete, error);
    if (status != RG_OK || a->run.quiet || a->run.share || ranks->rank > 0)
        return status;
    char *path = rg_experiment_store_path(experiment, a->run.results);
    fprintf(stderr, "%ld trials done; next: regatta table %s\n", (long)experiment->trial_count,
            path);
    free(path);
    return RG_OK;
}

/* The processors available to this process, divided by the ranks that share them. */
static int default_threads(const RgRanks *ranks) {
    int all = (int)sysconf(_SC_NPROCESSORS_ONLN), own = rg_processors();
    if (own == all)
        own /= ranks->neighbours;
    return own > 1 ? own : 1;
}

static RgStatus check_ranks(const RgRanks *ranks, const RunArguments *a, RgError *error) {
    return ranks->size == 1 || !(rg_run_in_pool(&a->run) || a->run.share || a->profile)
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "-j, --memory-limit, --share and --profile need one process; they cannot "
                         "be combined with mpirun, which starts %d",
                         ranks->size);
}

static RgStatus run(RunArguments *a, RgRanks *ranks, bool *complete, RgError *error) {
    RgExperiment *experiment;
    RG_TRY(rg_experiment_open(a->config.path, a->config.overrides, a->config.override_count,
                              &experiment, error));
    RgStatus status = check_ranks(ranks, a, error);
    if (status == RG_OK && a->only_count > 0)
        status = rg_experiment_only(experiment, a->only, a->only_count, error);
    if (a->run.threads == 0)
        a->run.threads = default_threads(ranks);
    if (status == RG_OK && a->dry && ranks->rank == 0) {
        status = list_trials(experiment, a, error);
    } else if (status == RG_OK && !a->dry) {
        if (!rg_run_in_pool(&a->run))
            rg_threads_set(a->run.threads);
        rg_stop_on_signals();
        if (a->profile)
            rg_profile_start();
        status = run_experiment(experiment, ranks, a, complete, error);
        rg_profile_report(stderr);
    }
    rg_experiment_close(experiment);
    return status;
}

int rg_command_run(int argc, char **argv) {
    RunArguments a = {.run = {.jobs = 1, .checkpoint_seconds = 10}, .ranks_per_trial = 1};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgRanks ranks;
    bool complete = true;
    RgStatus status = rg_ranks_begin(&ranks, a.ranks_per_trial, &error);
    if (status == RG_OK)
        status = run(&a, &ranks, &complete, &error);
    free(a.config.overrides);
    free(a.only);
    /* Only the first rank prints the error. */
    int result = ranks.rank == 0 ? rg_command_end(status, &error) : 0;
    rg_ranks_end(&ranks, complete);
    return result;
}
