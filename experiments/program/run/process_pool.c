/* SPDX-License-Identifier: MIT */
/* Leading the processes of a run: who starts when, what becomes of each, and how all of them end.
 * What a process does inside is experiments/program/run/trial.c's, and nothing passes between them
 * but the store, the checkpoints and, at the end, a status with its message. */
#include "experiments/program/run/process_pool.h"

#include "core/new_file.h"
#include "core/results/judge_cache.h"
#include "core/stop.h"
#include "core/tensor/threads.h"
#include "experiments/program/config/cost_estimate.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_DEATHS = 3 }; /* of a trial that gets no further in between; as the message says */

/* What a trial's process leaves in shared memory when it ends in order. */
typedef struct Report {
    bool written;
    RgStatus status;
    RgError error;
} Report;

typedef struct CrewTrial {
    bool waiting;
    int deaths;             /* since its checkpoint last changed */
    struct stat checkpoint; /* as it was when the trial was last taken up */
    double memory;          /* bytes at its peak, planned or measured */
} CrewTrial;

typedef struct Worker {
    pid_t process; /* 0: the place is free */
    int64_t trial;
    Report *report;
} Worker;

typedef struct Crew {
    RgTrialRun *run;
    const RgExperiment *experiment;
    const RgCrewOptions *options;
    CrewTrial *trials; /* [experiment->trial_count] */
    Worker *workers;   /* [options->jobs] */
    Report *reports;   /* the same, shared with all children */
    int running;
    pid_t leader;
    bool told_to_stop;    /* the workers */
    int64_t given_up;     /* trials whose processes died again and again; the others go on */
    char *first_given_up; /* what is said of the first of them */
    RgStatus status;      /* the first failure, or RG_OK … */
    RgError error;        /* … and its message */
    sigset_t mask;        /* as it was before signals were held back */
} Crew;

static const RgTrialPlan *plan_of(const Crew *crew, int64_t trial) {
    return &crew->experiment->trials[trial];
}

/* "[3/12] dpo seed 2" */
static const char *name_of(const Crew *crew, int64_t trial, char name[160]) {
    snprintf(name, 160, "[%ld/%ld] %.80s seed %ld", (long)trial + 1,
             (long)crew->experiment->trial_count, plan_of(crew, trial)->part.label,
             (long)plan_of(crew, trial)->seed);
    return name;
}

/* ---- memory ---- */

/* Seeds change nothing in what a trial takes. */
static bool alike(const RgTrialPlan *a, const RgTrialPlan *b) {
    return strcmp(a->part.label, b->part.label) == 0 && strcmp(a->swept_json, b->swept_json) == 0;
}

static RgStatus refuse_memory(const Crew *crew, int64_t trial, double left, RgError *error) {
    char name[160];
    return rg_fail(error, RG_E_USAGE,
                   "%s takes %.1f MB at its peak, and --memory-limit leaves %.1f MB beside the "
                   "program's own",
                   name_of(crew, trial, name), crew->trials[trial].memory / 1e6, left / 1e6);
}

/* What each trial will take, and whether that fits at all. */
static RgStatus plan_memory(Crew *crew, RgError *error) {
    RgPlanner planner = {0};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < crew->experiment->trial_count && status == RG_OK; i++) {
        RgTrialCost cost;
        if (!crew->trials[i].waiting)
            continue;
        status = rg_plan_trial(&planner, plan_of(crew, i), &cost, error);
        crew->trials[i].memory = cost.total;
    }
    rg_planner_clear(&planner);
    double left = crew->options->memory_limit - rg_memory_in_use();
    for (int64_t i = 0; i < crew->experiment->trial_count && status == RG_OK; i++)
        if (crew->trials[i].waiting && crew->trials[i].memory > left)
            status = refuse_memory(crew, i, left, error);
    return status;
}

/* A trial took more than was planned: so will those like it. */
static void learn_memory(Crew *crew, int64_t trial, double measured) {
    for (int64_t i = 0; i < crew->experiment->trial_count; i++)
        if (crew->trials[i].memory < measured && alike(plan_of(crew, i), plan_of(crew, trial)))
            crew->trials[i].memory = measured;
}

/* Of the limit, beside the leader and what the running trials take or will take. Pages that they
 * share are counted for each, so that there is more room than this says. */
static double memory_left(Crew *crew) {
    double left = crew->options->memory_limit - rg_memory_in_use();
    for (int i = 0; i < crew->options->jobs; i++)
        if (crew->workers[i].process) {
            int64_t trial = crew->workers[i].trial;
            learn_memory(crew, trial, rg_peak_memory_of(crew->workers[i].process));
            left -= crew->trials[trial].memory;
        }
    return left;
}

static bool fits(Crew *crew, int64_t trial) {
    return crew->options->memory_limit == 0 || crew->trials[trial].memory <= memory_left(crew);
}

/* ---- one trial's process ---- */

static RgStatus run_alone(Crew *crew, int64_t trial, RgError *error) {
    RgTrialRun *run = crew->run;
    run->progress->trial = trial + 1;
    RG_TRY(rg_store_wake(run->store, error));
    run->setup.ahead = false;
    RgStatus status = rg_pair_shelf_open(run->store, &run->shelf, error);
    if (status == RG_OK)
        status = rg_answer_shelf_open(run->store, &run->setup.answers, error);
    if (status == RG_OK)
        status = rg_trial_run(run, plan_of(crew, trial), error);
    rg_answer_shelf_close(run->setup.answers);
    rg_pair_shelf_close(run->shelf);
    rg_store_rest(run->store);
    return status;
}

static _Noreturn void work(Crew *crew, int64_t trial, Report *report) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != crew->leader)
        _exit(1); /* it died before that was said */
    rg_stop_when_told();
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &crew->mask, NULL);
    crew->run->progress->place = (int)(report - crew->reports);
    report->status = run_alone(crew, trial, &report->error);
    report->written = true;
    _exit(0);
}

/* ---- starting ---- */

typedef struct SetupWork {
    RgTrialSetup *setup;
    const RgTrialPlan *plan;
} SetupWork;

static void *make_setup(void *argument) {
    SetupWork *work = argument;
    RgError ignored = {0}; /* the trial will meet the same, and tell */
    rg_trial_setup_make(work->setup, work->plan, &ignored);
    return NULL;
}

/* On a thread of its own, with which the OpenMP threads that it uses end. */
static void prepare_setup(Crew *crew, int64_t trial, int threads) {
    crew->run->setup.ahead = true;
    SetupWork setup = {&crew->run->setup, plan_of(crew, trial)};
    pthread_t thread;
    rg_threads_set(crew->running == 0 ? crew->options->threads : threads);
    if (pthread_create(&thread, NULL, make_setup, &setup) == 0)
        pthread_join(thread, NULL);
    rg_threads_set(threads);
}

static void look_at_checkpoint(const Crew *crew, int64_t trial, struct stat *about) {
    char *path = rg_trial_checkpoint(crew->run, plan_of(crew, trial));
    if (stat(path, about) != 0)
        memset(about, 0, sizeof *about);
    free(path);
}

/* SIGCHLD, SIGINT and SIGTERM are held back where one that came in between would be missed: from
 * looking for news to waiting for some, and until a new process has handlers of its own. */
static void hold_signals(Crew *crew, int how) {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGCHLD);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(how, &held, how == SIG_BLOCK ? &crew->mask : NULL);
}

static void start(Crew *crew, int64_t trial) {
    Worker *worker = crew->workers;
    while (worker->process)
        worker++;
    int threads = crew->options->threads / crew->options->jobs;
    prepare_setup(crew, trial, threads > 0 ? threads : 1);
    look_at_checkpoint(crew, trial, &crew->trials[trial].checkpoint);
    worker->trial = trial;
    worker->report = &crew->reports[worker - crew->workers];
    memset(worker->report, 0, sizeof *worker->report);
    fflush(NULL); /* what is buffered is the leader's to write */
    hold_signals(crew, SIG_BLOCK);
    pid_t process = fork();
    if (process == 0)
        work(crew, trial, worker->report);
    hold_signals(crew, SIG_UNBLOCK);
    if (process < 0) {
        crew->status = rg_fail(&crew->error, RG_E_FILE, "cannot start a process: %m");
        return;
    }
    worker->process = process;
    crew->trials[trial].waiting = false;
    crew->running++;
}

static int64_t next_waiting(const Crew *crew) {
    for (int64_t i = 0; i < crew->experiment->trial_count; i++)
        if (crew->trials[i].waiting)
            return i;
    return -1;
}

/* As many as there are places and memory for, in their order. */
static void start_some(Crew *crew) {
    while (crew->status == RG_OK && !rg_stop_wanted() && crew->running < crew->options->jobs) {
        int64_t trial = next_waiting(crew);
        if (trial < 0)
            return;
        if (fits(crew, trial))
            start(crew, trial);
        else if (crew->running > 0)
            return;
        else /* it was seen to take more than was planned */
            crew->status = refuse_memory(crew, trial, memory_left(crew), &crew->error);
    }
}

/* ---- ending ---- */

/* A process that ended without a report: its trial waits again, unless it gets nowhere. */
static void mourn(Crew *crew, int64_t trial, int how) {
    CrewTrial *t = &crew->trials[trial];
    char name[160], end[96];
    if (WIFSIGNALED(how))
        snprintf(end, sizeof end, "was killed by signal %d (%s)", WTERMSIG(how),
                 strsignal(WTERMSIG(how)));
    else
        snprintf(end, sizeof end, "ended with status %d", WEXITSTATUS(how));
    struct stat now;
    look_at_checkpoint(crew, trial, &now);
    bool further = now.st_ino != t->checkpoint.st_ino ||
                   now.st_mtim.tv_sec != t->checkpoint.st_mtim.tv_sec ||
                   now.st_mtim.tv_nsec != t->checkpoint.st_mtim.tv_nsec;
    t->deaths = further ? 1 : t->deaths + 1;
    name_of(crew, trial, name);
    t->waiting = t->deaths < MOST_DEATHS;
    char *text = rg_string_format("%s: its process %s; %s", name, end,
                                  t->waiting ? "it goes on from its last checkpoint"
                                             : "it has died 3 times without getting any further");
    fprintf(stderr, "regatta: %s\n", text);
    crew->given_up += !t->waiting;
    if (!t->waiting && !crew->first_given_up)
        crew->first_given_up = text;
    else
        free(text);
}

static void end_worker(Crew *crew, Worker *worker, int how, const struct rusage *usage) {
    const Report *report = worker->report;
    worker->process = 0;
    crew->running--;
    rg_progress_leave(crew->run->progress, (int)(worker - crew->workers));
    learn_memory(crew, worker->trial, 1024.0 * (double)usage->ru_maxrss);
    if (!report->written)
        mourn(crew, worker->trial, how);
    else if (report->status == RG_E_STOPPED)
        crew->trials[worker->trial].waiting = true;
    else if (report->status != RG_OK && crew->status == RG_OK) {
        crew->status = report->status;
        crew->error = report->error;
    }
}

/* See to those that have ended; whether there was one. */
static bool reap(Crew *crew) {
    bool any = false;
    int how;
    struct rusage usage;
    pid_t process;
    while ((process = wait4(-1, &how, WNOHANG, &usage)) > 0)
        for (int i = 0; i < crew->options->jobs; i++)
            if (crew->workers[i].process == process) {
                end_worker(crew, &crew->workers[i], how, &usage);
                any = true;
            }
    return any;
}

static void tell_to_stop(Crew *crew) {
    for (int i = 0; i < crew->options->jobs; i++)
        if (crew->workers[i].process)
            kill(crew->workers[i].process, SIGTERM);
    crew->told_to_stop = true;
}

static void notice_child(int signal_number) {
    (void)signal_number; /* it only has to end the wait */
}

/* For news of a child, or until the lines on the terminal are to be drawn again. */
static void wait_for_news(Crew *crew) {
    const struct timespec moment = {.tv_nsec = 200000000};
    bool drawn = crew->run->progress->terminal && !crew->run->progress->quiet;
    if (drawn)
        rg_progress_draw(crew->run->progress);
    ppoll(NULL, 0, drawn ? &moment : NULL, &crew->mask);
}

static void lead(Crew *crew) {
    struct sigaction action = {.sa_handler = notice_child};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    for (;;) {
        start_some(crew);
        if (crew->running == 0)
            break; /* all is done, or nothing more may start */
        hold_signals(crew, SIG_BLOCK);
        if ((crew->status != RG_OK || rg_stop_wanted()) && !crew->told_to_stop)
            tell_to_stop(crew);
        if (!reap(crew))
            wait_for_news(crew);
        hold_signals(crew, SIG_UNBLOCK);
    }
    signal(SIGCHLD, SIG_DFL);
}

/* ---- the whole ---- */

static RgStatus find_work(Crew *crew, RgError *error) {
    RgTrialRun *run = crew->run;
    for (int64_t i = 0; i < crew->experiment->trial_count; i++) {
        bool finished = false;
        const RgTrialPlan *plan = plan_of(crew, i);
        RG_TRY(rg_store_trial_finished(run->store, run->experiment, plan->key, &finished, error));
        crew->trials[i].waiting = !finished && !(run->skip && run->skip[i]);
        if (finished) { /* as rg_trial_run does */
            char *path = rg_trial_checkpoint(run, plan);
            rg_file_remove(path);
            free(path);
        }
    }
    return RG_OK;
}

static RgStatus outcome(const Crew *crew, RgError *error) {
    if (crew->status != RG_OK)
        return rg_fail(error, crew->status, "%s", crew->error.text);
    if (next_waiting(crew) < 0)
        return crew->given_up == 0
                   ? RG_OK
                   : rg_fail(error, RG_E_FILE, "%ld of %ld trials given up: %s",
                             (long)crew->given_up, (long)crew->experiment->trial_count,
                             crew->first_given_up);
    int64_t left = 0;
    for (int64_t i = 0; i < crew->experiment->trial_count; i++)
        left += crew->trials[i].waiting;
    return rg_fail(error, RG_E_STOPPED,
                   "stopped by a signal with %ld of %ld trials unfinished; run again to continue",
                   (long)left, (long)crew->experiment->trial_count);
}

RgStatus rg_crew_run(RgTrialRun *run, const RgExperiment *experiment, const RgCrewOptions *options,
                     RgError *error) {
    size_t shared = sizeof(Report) * (size_t)options->jobs;
    Crew crew = {.run = run,
                 .experiment = experiment,
                 .options = options,
                 .leader = getpid(),
                 .trials = rg_allocate(experiment->trial_count, sizeof *crew.trials),
                 .workers = rg_allocate(options->jobs, sizeof *crew.workers),
                 .reports =
                     mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    RgStatus status = crew.reports == MAP_FAILED
                          ? rg_fail(error, RG_E_FILE, "cannot share memory with trials: %m")
                          : find_work(&crew, error);
    if (status == RG_OK && options->memory_limit > 0)
        status = plan_memory(&crew, error);
    rg_store_rest(run->store);
    if (status == RG_OK) {
        lead(&crew);
        status = outcome(&crew, error);
    }
    if (crew.reports != MAP_FAILED)
        munmap(crew.reports, shared);
    free(crew.first_given_up);
    free(crew.trials);
    free(crew.workers);
    return status;
}
