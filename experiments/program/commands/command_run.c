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

typedef struct RunArguments {
    RgConfigArguments config;
    RgRunOptions run;
    int ranks_per_trial;
    const char **only; /* [only_count] labels; none: all methods */
    int only_count;
    const char *share; /* "K/N" */
    bool dry, json, profile;
} RunArguments;

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
        rg_threads_set(a->run.threads); /* a pool divides them when it starts */
        rg_stop_on_signals();
        if (a->profile)
            rg_profile_start();
        status = run_experiment(experiment, ranks, a, complete, error);
        rg_profile_report(stderr);
    }
    rg_experiment_close(experiment);
    return status;
}

static RgStatus parse_share(const char *text, RgRunOptions *run, RgError *error) {
    int end = 0;
    return sscanf(text, "%d/%d%n", &run->share, &run->shares, &end) != 2 || text[end] ||
                   run->share < 1 || run->share > run->shares
               ? rg_fail(error, RG_E_USAGE,
                         "--share is \"%s\": expected K/N, as in 2/8, with K from 1 to N", text)
               : RG_OK;
}

static RgStatus check(void *arguments, RgError *error) {
    RunArguments *a = arguments;
    if (a->share)
        RG_TRY(parse_share(a->share, &a->run, error));
    if (a->json && !a->dry)
        return rg_fail(error, RG_E_USAGE, "--json requires --dry-run");
    if (a->dry && a->share)
        return rg_fail(error, RG_E_USAGE,
                       "--dry-run cannot be combined with --share: it lists all trials");
    if (a->dry && a->run.events)
        return rg_fail(error, RG_E_USAGE,
                       "--dry-run cannot be combined with --tensorboard: it writes nothing");
    if (a->profile && rg_run_in_pool(&a->run))
        return rg_fail(error, RG_E_USAGE,
                       "--profile cannot be combined with -j or --memory-limit: it measures "
                       "one process");
    return RG_OK;
}

/* Only the first rank reports an error, and before the others are ended. */
static RgStatus run_trials(void *arguments, RgError *error) {
    RunArguments *a = arguments;
    RgRanks ranks;
    bool complete = true;
    RgStatus status = rg_ranks_begin(&ranks, a->ranks_per_trial, error);
    if (status == RG_OK)
        status = run(a, &ranks, &complete, error);
    if (ranks.rank == 0)
        rg_command_end(status, error);
    else
        status = RG_OK;
    error->text[0] = '\0';
    rg_ranks_end(&ranks, complete);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(RunArguments, config, rg_config_arguments),
    RG_ARGUMENT_OPTION(RunArguments, run.results, "results", 'r', "FILE",
                       "results store (default: results/NAME.db)"),
    RG_ARGUMENT_OPTION(RunArguments, run.threads, "threads", 't', "N",
                       "threads (default: all processors; never changes the bits)", .low = 1,
                       .high = 4096),
    RG_ARGUMENT_OPTION(RunArguments, run.jobs, "jobs", 'j', "N",
                       "concurrent trials, each in its own process; the threads are divided among "
                       "them (default: 1; never changes the bits)",
                       .low = 1, .high = 4096),
    RG_ARGUMENT_SIZE(
        RunArguments, run.memory_limit, "memory-limit", 0, "SIZE",
        "start a trial only if its peak memory, as estimated by `regatta plan` or measured in "
        "similar trials, fits in SIZE bytes beside the running ones; 20G is 20e9"),
    RG_ARGUMENT_OPTION(
        RunArguments, ranks_per_trial, "ranks-per-trial", 0, "R",
        "under mpirun, ranks that run one trial together, each with some of its training.shards; "
        "the number of ranks is a multiple of R (default: 1; never changes the bits)",
        .low = 1, .high = 4096),
    RG_ARGUMENT_OPTION(RunArguments, share, "share", 0, "K/N",
                       "run every Nth trial from the Kth on, into a partial store; the next run "
                       "without --share merges the shares"),
    RG_ARGUMENT_REPEATED(RunArguments, only, only_count, "only", 0, "LABEL",
                         "run only the trials with this label; may be repeated. Tables show every "
                         "trial of CONFIG that has run"),
    RG_ARGUMENT_OPTION(RunArguments, run.checkpoint_seconds, "checkpoint-seconds", 0, "S",
                       "seconds between checkpoints (default: 10; 0: after every step)",
                       .high = 1e9),
    RG_ARGUMENT_OPTION(RunArguments, run.events, "tensorboard", 0, "FOLDER",
                       "write TensorBoard's event files of the trials while they run, a folder "
                       "each, as regatta export-results does of those that are done"),
    RG_ARGUMENT_OPTION(RunArguments, profile, "profile", 0, NULL,
                       "print time by operator, and the number of threads in use, at the end"),
    RG_ARGUMENT_OPTION(RunArguments, dry, "dry-run", 'n', NULL,
                       "list the trials with their status in the results store and their expected "
                       "cost, then exit"),
    RG_ARGUMENT_OPTION(RunArguments, json, "json", 0, NULL, "the list of --dry-run as JSON"),
    RG_ARGUMENT_OPTION(RunArguments, run.quiet, "quiet", 'q', NULL, "show no progress"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_run = {
    .name = "run",
    .summary = "run or resume an experiment's trials",
    .usage = "CONFIG",
    .purpose = "Run the trials of an experiment.",
    .details =
        "Each algorithm of CONFIG runs with each seed and each swept or drawn value. Trials that "
        "are finished in the results store are skipped. An interrupted trial resumes from its "
        "checkpoint, with the same bits. Ctrl-C ends the current trial after its step, with a "
        "checkpoint. Every key of the config is checked before the first step.\n\n"
        "With -j N, a trial whose process dies is reported and resumes from its checkpoint. Under "
        "mpirun, in a build with MPI, the trials are spread over the ranks; with --ranks-per-trial "
        "R, over process groups of R ranks, which split a trial's batches. Ranks and shares "
        "(--share) write partial stores beside the results store. The end of the run, or else the "
        "next run, merges them.\n\n"
        "--dry-run shows the measured cost of finished trials. For others it shows the mean over "
        "finished trials with the same method and values, or the estimate of `regatta plan`, which "
        "assumes responses of maximal length. Seconds, including evaluation, are never planned: "
        "they appear once a similar trial has finished. What would end the run before its first "
        "step, such as a missing file, ends --dry-run, too, with exit status 1 or 2.\n\n"
        "With --tensorboard FOLDER, `tensorboard --logdir FOLDER` shows the trials of this run "
        "while they train. The event file of a resumed trial is rewritten up to its checkpoint, "
        "and then appended to. Finished trials are not in it; regatta export-results -f "
        "tensorboard -o FOLDER adds them.\n\n"
        "Final weights are beside the store, in the folder of its name without .db.\n\n"
        "Exit status: 0 done, 1 failed or stopped, 2 bad usage or config.",
    .arguments = arguments,
    .size = sizeof(RunArguments),
    .defaults =
        &(const RunArguments){.run = {.jobs = 1, .checkpoint_seconds = 10}, .ranks_per_trial = 1},
    .check = check,
    .run = run_trials,
};
