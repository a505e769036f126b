/* regatta run: an experiment's trials, to their end. */
#include "core/results/parts.h"
#include "core/tensor/blas.h"
#include "core/tensor/profile.h"
#include "experiments/command.h"
#include "experiments/crew.h"
#include "experiments/ranks.h"
#include "experiments/trial.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_CHECKPOINT = 256, KEY_MEMORY_LIMIT, KEY_PROFILE, KEY_SHARE };

typedef struct RunArguments {
    RgConfigArguments config;
    const char *results;
    int threads, jobs;
    int share, shares;   /* share 0: all trials */
    double memory_limit; /* bytes; 0: none */
    double checkpoint_seconds;
    bool quiet, dry, profile;
} RunArguments;

/* Where trials are run: alone into the whole store, or into a part of it. */
typedef struct Place {
    RgRanks *ranks; /* that share the trials out; NULL: nobody does */
    RgPart *part;   /* this rank's */
    const bool *skip;
} Place;

static const struct argp_option options[] = {
    {"results", 'r', "FILE", 0, "results store (default: results/NAME.db)", 0},
    {"threads", 't', "N", 0, "threads (default: all processors; never changes the bits)", 0},
    {"jobs", 'j', "N", 0,
     "trials at a time, each in a process of its own, among which the threads are divided "
     "(default: 1; never changes the bits)",
     0},
    {"memory-limit", KEY_MEMORY_LIMIT, "SIZE", 0,
     "start no trial whose peak, as `regatta plan` tells it or as trials like it were seen to "
     "have, is more than what the running ones leave of SIZE bytes; 20G is 20e9",
     0},
    {"share", KEY_SHARE, "K/N", 0,
     "run every Nth trial from the Kth on, into a store of its own; the next run without --share "
     "puts the shares together",
     0},
    {"checkpoint-seconds", KEY_CHECKPOINT, "S", 0,
     "seconds between checkpoints (default: 10; 0: after every step)", 0},
    {"profile", KEY_PROFILE, NULL, 0, "tell in the end where the time went, by operator", 0},
    {"dry-run", 'n', NULL, 0, "list the trials and stop", 0},
    {"quiet", 'q', NULL, 0, "no progress", 0},
    {0},
};

/* Processes of their own are for trials side by side, and for watching over what one takes. */
static bool in_crew(const RunArguments *a) {
    return a->jobs > 1 || a->memory_limit > 0;
}

static void parse_share(const char *text, RunArguments *a, struct argp_state *state) {
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
        a->results = argument;
        return 0;
    case 't':
        a->threads = (int)rg_argument_integer(state, "--threads", argument, 1, 4096);
        return 0;
    case 'j':
        a->jobs = (int)rg_argument_integer(state, "--jobs", argument, 1, 4096);
        return 0;
    case KEY_SHARE:
        parse_share(argument, a, state);
        return 0;
    case KEY_MEMORY_LIMIT:
        a->memory_limit = rg_argument_bytes(state, "--memory-limit", argument);
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
    case ARGP_KEY_END:
        if (a->profile && in_crew(a))
            argp_error(state, "--profile is of one process: expected neither -j nor "
                              "--memory-limit beside it");
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
    "With -j N, a trial whose process dies is named and goes on from its checkpoint. Under mpirun, "
    "in a build with MPI, the trials are spread over the ranks. Ranks and shares (--share) write "
    "stores of their own beside the results store; the end of the run, or else the next run, puts "
    "them together.\n\n"
    "Final weights lie beside the store, in the folder of its name without .db.\n\n"
    "Exit status: 0 done, 1 failed or stopped, 2 bad usage or config.",
    children,
    NULL,
    NULL,
};

static void list_trials(const RgExperiment *experiment, const RunArguments *a) {
    for (int64_t i = 0; i < experiment->trial_count; i++) {
        if (a->share && i % a->shares != a->share - 1)
            continue;
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

/* One after another, in this process. */
static RgStatus run_in_turn(RgTrialRun *run, const RgExperiment *experiment, RgError *error) {
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        run->progress->trial = i + 1;
        if (!run->skip || !run->skip[i])
            status = rg_trial_run(run, &experiment->trials[i], error);
    }
    return status;
}

static RgStatus run_in_crew(RgTrialRun *run, const RgExperiment *experiment, const RunArguments *a,
                            RgError *error) {
    RgCrewOptions crew = {.jobs = a->jobs, .threads = a->threads, .memory_limit = a->memory_limit};
    run->progress->terminal = false; /* several lines cannot all be the last */
    return rg_crew_run(run, experiment, &crew, error);
}

/* Those that rank 0 hands out, one at a time, unless the whole has them. */
static RgStatus run_as_given(RgTrialRun *run, const RgExperiment *experiment, const Place *place,
                             RgError *error) {
    int64_t i;
    run->progress->terminal = false;
    while ((i = rg_ranks_next(place->ranks)) >= 0) {
        bool finished;
        const RgTrialPlan *plan = &experiment->trials[i];
        run->progress->trial = i + 1;
        RG_TRY(rg_part_seed(place->part, experiment->options.name, plan->key, &finished, error));
        if (!finished)
            RG_TRY(rg_trial_run(run, plan, error));
    }
    return RG_OK;
}

/* Run what is this process's to run into a store. */
static RgStatus run_trials(const RgExperiment *experiment, RgStore *store, const Place *place,
                           const RunArguments *a, RgError *error) {
    char *folder = rg_store_folder(rg_store_path(store));
    RgProgress progress = rg_progress_create(experiment->trial_count, a->quiet);
    RgTrialRun run = {.store = store,
                      .skip = place->skip,
                      .folder = folder,
                      .checkpoint_seconds = a->checkpoint_seconds,
                      .progress = &progress};
    RgStatus status = make_folder(folder, error);
    if (status == RG_OK)
        status = rg_store_experiment(store, experiment->options.name, experiment->config_json,
                                     &run.experiment, error);
    if (status == RG_OK && in_crew(a))
        status = run_in_crew(&run, experiment, a, error);
    else if (status == RG_OK)
        status = rg_pair_shelf_open(store, &run.shelf, error);
    if (status == RG_OK && run.shelf)
        status = place->ranks ? run_as_given(&run, experiment, place, error)
                              : run_in_turn(&run, experiment, error);
    rg_pair_shelf_close(run.shelf);
    rg_progress_end(&progress);
    rg_stage_clear(&run.stage);
    free(folder);
    return status;
}

/* Open the store, and put into it what parts of an earlier run, or of this one, have left. */
static RgStatus open_whole(const char *path, RgStore **store, RgError *error) {
    RG_TRY(rg_store_open(path, true, store, error));
    RgStatus status = rg_parts_gather(*store, error);
    if (status != RG_OK) {
        rg_store_close(*store);
        *store = NULL;
    }
    return status;
}

static RgStatus run_whole(const RgExperiment *experiment, const char *path, const RunArguments *a,
                          RgError *error) {
    RgStore *store;
    RG_TRY(open_whole(path, &store, error));
    RgStatus status = run_trials(experiment, store, &(Place){0}, a, error);
    rg_store_close(store);
    return status;
}

/* ---- shares ---- */

/* Every `shares`th trial from number `share` on is ours, unless the whole has it. */
static RgStatus choose_share(const RgExperiment *experiment, RgPart *part, const RunArguments *a,
                             bool *skip, RgError *error) {
    for (int64_t i = 0; i < experiment->trial_count; i++) {
        skip[i] = i % a->shares != a->share - 1;
        if (!skip[i])
            RG_TRY(rg_part_seed(part, experiment->options.name, experiment->trials[i].key, &skip[i],
                                error));
    }
    return RG_OK;
}

static RgStatus run_share(const RgExperiment *experiment, const char *path, const RunArguments *a,
                          RgError *error) {
    RgPart *part;
    RG_TRY(rg_part_open(path, a->share, &part, error));
    bool *skip = rg_allocate(sizeof *skip * (size_t)experiment->trial_count);
    RgStatus status = choose_share(experiment, part, a, skip, error);
    if (status == RG_OK)
        status = run_trials(experiment, part->store, &(Place){.skip = skip}, a, error);
    rg_part_close(part);
    free(skip);
    return status;
}

/* ---- ranks ---- */

/* Open and close: what is left of an earlier run is in it then. */
static RgStatus gather(const char *path, RgError *error) {
    RgStore *store;
    RG_TRY(open_whole(path, &store, error));
    rg_store_close(store);
    return RG_OK;
}

static RgStatus run_part(const RgExperiment *experiment, const char *path, RgRanks *ranks,
                         const RunArguments *a, RgError *error) {
    Place place = {.ranks = ranks};
    RG_TRY(rg_part_open(path, ranks->rank, &place.part, error));
    RgStatus status = run_trials(experiment, place.part->store, &place, a, error);
    rg_part_close(place.part);
    return status;
}

static RgStatus run_ranks(const RgExperiment *experiment, const char *path, RgRanks *ranks,
                          const RunArguments *a, bool *complete, RgError *error) {
    RgStatus status = ranks->rank == 0 ? gather(path, error) : RG_OK;
    RG_TRY(rg_ranks_start(ranks, status, experiment->trial_count));
    status = run_part(experiment, path, ranks, a, error);
    status = rg_ranks_finish(ranks, status, complete, error);
    RgError later = {0}; /* the first error is the one to tell */
    if (ranks->rank == 0 && *complete && gather(path, &later) != RG_OK && status == RG_OK)
        status = rg_fail(error, RG_E_STORE, "%s", later.text);
    return status;
}

/* ---- the command ---- */

static RgStatus run_experiment(const RgExperiment *experiment, RgRanks *ranks,
                               const RunArguments *a, bool *complete, RgError *error) {
    char *path = a->results ? rg_string_copy(a->results)
                            : rg_string_format("results/%s.db", experiment->options.name);
    RgStatus status;
    if (ranks->size > 1)
        status = run_ranks(experiment, path, ranks, a, complete, error);
    else if (a->share)
        status = run_share(experiment, path, a, error);
    else
        status = run_whole(experiment, path, a, error);
    if (status == RG_OK && !a->quiet && !a->share && ranks->rank == 0)
        fprintf(stderr, "%ld trials done; next: regatta table %s\n", (long)experiment->trial_count,
                path);
    free(path);
    return status;
}

/* Processors that this process may use, less its neighbours' where they may use the same. */
static int default_threads(const RgRanks *ranks) {
    cpu_set_t allowed;
    int all = (int)sysconf(_SC_NPROCESSORS_ONLN), own = all;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        own = CPU_COUNT(&allowed);
    if (own == all)
        own /= ranks->neighbours;
    return own > 1 ? own : 1;
}

static RgStatus check_ranks(const RgRanks *ranks, const RunArguments *a, RgError *error) {
    return ranks->size == 1 || !(in_crew(a) || a->share || a->profile)
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "-j, --memory-limit, --share and --profile are of one process; expected "
                         "none of them beside mpirun, which starts %d",
                         ranks->size);
}

static RgStatus run(RunArguments *a, RgRanks *ranks, bool *complete, RgError *error) {
    RgExperiment *experiment;
    RG_TRY(rg_experiment_open(a->config.path, a->config.overrides, a->config.override_count,
                              &experiment, error));
    RgStatus status = check_ranks(ranks, a, error);
    if (status == RG_OK && a->dry && ranks->rank == 0)
        list_trials(experiment, a);
    else if (status == RG_OK && !a->dry) {
        if (a->threads == 0)
            a->threads = default_threads(ranks);
        if (!in_crew(a))
            rg_threads_set(a->threads);
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
    RunArguments a = {.jobs = 1, .checkpoint_seconds = 10};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgRanks ranks;
    bool complete = true;
    RgStatus status = rg_ranks_begin(&ranks, &error);
    if (status == RG_OK)
        status = run(&a, &ranks, &complete, &error);
    free(a.config.overrides);
    /* One of all ranks tells what went wrong. */
    int result = ranks.rank == 0 ? rg_command_end(status, &error) : 0;
    rg_ranks_end(&ranks, complete);
    return result;
}
