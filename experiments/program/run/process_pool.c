/* SPDX-License-Identifier: MIT */
/* The leader of a process pool: it starts the processes, handles their ends, and stops them. What a
 * process does is in experiments/program/run/trial.c. Leader and processes exchange only the store,
 * the checkpoints and, at the end, a status with its message. */
#include "experiments/program/run/process_pool.h"

#include "core/new_file.h"
#include "core/results/judge_cache.h"
#include "core/stop.h"
#include "core/tensor/threads.h"
#include "experiments/program/config/cost_estimate.h"

#include <errno.h>
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

enum { MOST_DEATHS = 3 }; /* without progress in between; the message has the same number */

/* Left in shared memory by a trial's process when it exits normally. */
typedef struct Report {
    bool written;
    RgStatus status;
    RgError error;
} Report;

typedef struct PoolTrial {
    bool waiting;
    int deaths;             /* since its checkpoint last changed */
    struct stat checkpoint; /* when the trial was last started */
    double memory;          /* peak bytes, planned or measured */
} PoolTrial;

typedef struct Worker {
    pid_t process; /* 0: the place is free */
    int64_t trial;
    Report *report;
} Worker;

typedef struct ProcessPool {
    RgTrialRun *run;
    const RgExperiment *experiment;
    const RgProcessPoolOptions *options;
    PoolTrial *trials;    /* [experiment->trial_count] */
    const int64_t *order; /* that they are started in */
    Worker *workers;      /* [options->jobs] */
    Report *reports;      /* the same, shared with all children */
    int running;
    pid_t leader;
    bool stopping;        /* the workers have been signalled */
    int64_t given_up;     /* trials whose processes died repeatedly; the others go on */
    char *first_given_up; /* message of the first of them */
    RgStatus status;      /* the first failure, or RG_OK … */
    RgError error;        /* … and its message */
    sigset_t mask;        /* signal mask before signals were blocked */
} ProcessPool;

static const RgTrialSpec *plan_of(const ProcessPool *pool, int64_t trial) {
    return &pool->experiment->trials[trial];
}

/* "[3/12] dpo seed 2" */
static const char *name_of(const ProcessPool *pool, int64_t trial, char name[160]) {
    snprintf(name, 160, "[%ld/%ld] %.80s seed %ld", (long)trial + 1,
             (long)pool->experiment->trial_count, plan_of(pool, trial)->part.label,
             (long)plan_of(pool, trial)->seed);
    return name;
}

/* ---- memory ---- */

/* Trials that differ only in their seed take the same memory. */
static bool alike(const RgTrialSpec *a, const RgTrialSpec *b) {
    return strcmp(a->part.label, b->part.label) == 0 && strcmp(a->swept_json, b->swept_json) == 0;
}

static RgStatus refuse_memory(const ProcessPool *pool, int64_t trial, double left, RgError *error) {
    char name[160];
    return rg_fail(error, RG_E_USAGE,
                   "%s needs %.1f MB at its peak, but --memory-limit leaves %.1f MB beside the "
                   "program's own",
                   name_of(pool, trial, name), pool->trials[trial].memory / 1e6, left / 1e6);
}

/* Plans the memory of each trial, and checks that each fits. */
static RgStatus plan_memory(ProcessPool *pool, RgError *error) {
    RgCostEstimator planner = {0};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < pool->experiment->trial_count && status == RG_OK; i++) {
        RgTrialCost cost;
        if (!pool->trials[i].waiting)
            continue;
        status = rg_cost_estimate_trial(&planner, plan_of(pool, i), &cost, error);
        pool->trials[i].memory = cost.total;
    }
    rg_cost_estimator_clear(&planner);
    double left = pool->options->memory_limit - rg_memory_in_use();
    for (int64_t i = 0; i < pool->experiment->trial_count && status == RG_OK; i++)
        if (pool->trials[i].waiting && pool->trials[i].memory > left)
            status = refuse_memory(pool, i, left, error);
    return status;
}

/* A trial took more than planned: the same is expected of similar trials. */
static void note_memory(ProcessPool *pool, int64_t trial, double measured) {
    for (int64_t i = 0; i < pool->experiment->trial_count; i++)
        if (pool->trials[i].memory < measured && alike(plan_of(pool, i), plan_of(pool, trial)))
            pool->trials[i].memory = measured;
}

/* The limit minus the memory of the leader and the present or expected memory of running trials.
 * Shared pages are counted for each, so the true rest is larger. */
static double memory_left(ProcessPool *pool) {
    double left = pool->options->memory_limit - rg_memory_in_use();
    for (int i = 0; i < pool->options->jobs; i++)
        if (pool->workers[i].process) {
            int64_t trial = pool->workers[i].trial;
            note_memory(pool, trial, rg_peak_memory_of(pool->workers[i].process));
            left -= pool->trials[trial].memory;
        }
    return left;
}

static bool fits(ProcessPool *pool, int64_t trial) {
    return pool->options->memory_limit == 0 || pool->trials[trial].memory <= memory_left(pool);
}

/* ---- one trial's process ---- */

static RgStatus run_alone(ProcessPool *pool, int64_t trial, RgError *error) {
    RgTrialRun *run = pool->run;
    run->progress->trial = trial + 1;
    RG_TRY(rg_store_wake(run->store, error));
    run->setup.ahead = false;
    RgStatus status = rg_reference_cache_open(run->store, &run->cache, error);
    if (status == RG_OK)
        status = rg_judge_cache_open(run->store, &run->setup.answers, error);
    if (status == RG_OK)
        status = rg_trial_run(run, plan_of(pool, trial), error);
    rg_judge_cache_close(run->setup.answers);
    rg_reference_cache_close(run->cache);
    rg_store_rest(run->store);
    return status;
}

void rg_die_with_parent(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* it died before PR_SET_PDEATHSIG was set */
}

static _Noreturn void work(ProcessPool *pool, int64_t trial, Report *report) {
    rg_die_with_parent(pool->leader);
    rg_stop_on_sigterm();
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &pool->mask, NULL);
    pool->run->progress->place = (int)(report - pool->reports);
    report->status = run_alone(pool, trial, &report->error);
    report->written = true;
    _exit(0);
}

/* ---- starting ---- */

typedef struct SetupWork {
    RgTrialSetup *setup;
    const RgTrialSpec *plan;
} SetupWork;

static void *make_setup(void *argument) {
    SetupWork *work = argument;
    RgError ignored = {0}; /* the trial will fail in the same way, and report it */
    rg_trial_setup_make(work->setup, work->plan, &ignored);
    return NULL;
}

/* Runs on a separate thread: its OpenMP threads end with it, before any fork. */
static void prepare_setup(ProcessPool *pool, int64_t trial, int threads) {
    pool->run->setup.ahead = true;
    SetupWork setup = {&pool->run->setup, plan_of(pool, trial)};
    pthread_t thread;
    rg_threads_set(pool->running == 0 ? pool->options->threads : threads);
    if (pthread_create(&thread, NULL, make_setup, &setup) == 0)
        pthread_join(thread, NULL);
    rg_threads_set(threads);
}

static void look_at_checkpoint(const ProcessPool *pool, int64_t trial, struct stat *about) {
    char *path = rg_trial_checkpoint(pool->run, plan_of(pool, trial));
    if (stat(path, about) != 0)
        memset(about, 0, sizeof *about);
    free(path);
}

/* Blocks SIGCHLD, SIGINT and SIGTERM where one could be missed: between checking for news and
 * waiting for it, and until a new process has its own handlers. */
static void hold_signals(ProcessPool *pool, int how) {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGCHLD);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(how, &held, how == SIG_BLOCK ? &pool->mask : NULL);
}

static void start(ProcessPool *pool, int64_t trial) {
    Worker *worker = pool->workers;
    while (worker->process)
        worker++;
    int threads = pool->options->threads / pool->options->jobs;
    prepare_setup(pool, trial, threads > 0 ? threads : 1);
    look_at_checkpoint(pool, trial, &pool->trials[trial].checkpoint);
    worker->trial = trial;
    worker->report = &pool->reports[worker - pool->workers];
    memset(worker->report, 0, sizeof *worker->report);
    fflush(NULL); /* buffered output is written by the leader only */
    hold_signals(pool, SIG_BLOCK);
    pid_t process = fork();
    if (process == 0)
        work(pool, trial, worker->report);
    hold_signals(pool, SIG_UNBLOCK);
    if (process < 0) {
        pool->status =
            rg_fail(&pool->error, RG_E_FILE, "cannot start a process: %s", strerror(errno));
        return;
    }
    worker->process = process;
    pool->trials[trial].waiting = false;
    pool->running++;
}

static int64_t next_waiting(const ProcessPool *pool) {
    for (int64_t k = 0; k < pool->experiment->trial_count; k++)
        if (pool->trials[pool->order[k]].waiting)
            return pool->order[k];
    return -1;
}

/* Starts trials in their order, as places and memory allow. */
static void start_some(ProcessPool *pool) {
    while (pool->status == RG_OK && !rg_stop_wanted() && pool->running < pool->options->jobs) {
        int64_t trial = next_waiting(pool);
        if (trial < 0)
            return;
        if (fits(pool, trial))
            start(pool, trial);
        else if (pool->running > 0)
            return;
        else /* it was measured above its plan */
            pool->status = refuse_memory(pool, trial, memory_left(pool), &pool->error);
    }
}

/* ---- ending ---- */

/* The leader's store is at rest, so that it may fork: it is woken for this alone. */
static void record_given_up(ProcessPool *pool, int64_t trial, const char *reason) {
    RgStore *store = pool->run->store;
    RgError error = {0};
    RgStatus status = rg_store_wake(store, &error);
    if (status == RG_OK)
        status = rg_store_trial_failed(store, pool->run->experiment, plan_of(pool, trial)->key,
                                       reason, &error);
    rg_store_rest(store);
    if (status != RG_OK && pool->status == RG_OK) {
        pool->status = status;
        pool->error = error;
    }
}

/* A process ended without a report: its trial waits again, unless it makes no progress. */
static void on_worker_death(ProcessPool *pool, int64_t trial, int how) {
    PoolTrial *t = &pool->trials[trial];
    char name[160], end[96];
    if (WIFSIGNALED(how))
        snprintf(end, sizeof end, "was killed by signal %d (%s)", WTERMSIG(how),
                 strsignal(WTERMSIG(how)));
    else
        snprintf(end, sizeof end, "ended with status %d", WEXITSTATUS(how));
    struct stat now;
    look_at_checkpoint(pool, trial, &now);
    bool further = now.st_ino != t->checkpoint.st_ino ||
                   now.st_mtim.tv_sec != t->checkpoint.st_mtim.tv_sec ||
                   now.st_mtim.tv_nsec != t->checkpoint.st_mtim.tv_nsec;
    t->deaths = further ? 1 : t->deaths + 1;
    name_of(pool, trial, name);
    t->waiting = t->deaths < MOST_DEATHS;
    char *reason = rg_string_format("its process %s; %s", end,
                                    t->waiting ? "it resumes from its last checkpoint"
                                               : "it has died 3 times without progress");
    char *text = rg_string_format("%s: %s", name, reason);
    fprintf(stderr, "regatta: %s\n", text);
    if (!t->waiting)
        record_given_up(pool, trial, reason);
    free(reason);
    pool->given_up += !t->waiting;
    if (!t->waiting && !pool->first_given_up)
        pool->first_given_up = text;
    else
        free(text);
}

static void end_worker(ProcessPool *pool, Worker *worker, int how, const struct rusage *usage) {
    const Report *report = worker->report;
    worker->process = 0;
    pool->running--;
    rg_progress_leave(pool->run->progress, (int)(worker - pool->workers));
    note_memory(pool, worker->trial, 1024.0 * (double)usage->ru_maxrss);
    if (!report->written)
        on_worker_death(pool, worker->trial, how);
    else if (report->status == RG_E_STOPPED)
        pool->trials[worker->trial].waiting = true;
    else if (report->status != RG_OK && pool->status == RG_OK) {
        pool->status = report->status;
        pool->error = report->error;
    }
}

/* Handles the processes that have ended. Returns whether there was one. */
static bool reap(ProcessPool *pool) {
    bool any = false;
    int how;
    struct rusage usage;
    pid_t process;
    while ((process = wait4(-1, &how, WNOHANG, &usage)) > 0)
        for (int i = 0; i < pool->options->jobs; i++)
            if (pool->workers[i].process == process) {
                end_worker(pool, &pool->workers[i], how, &usage);
                any = true;
            }
    return any;
}

static void stop_workers(ProcessPool *pool) {
    for (int i = 0; i < pool->options->jobs; i++)
        if (pool->workers[i].process)
            kill(pool->workers[i].process, SIGTERM);
    pool->stopping = true;
}

static void notice_child(int signal_number) {
    (void)signal_number; /* only interrupts the wait */
}

/* Waits for a child to end, or until the progress lines are due. */
static void wait_for_news(ProcessPool *pool) {
    const struct timespec moment = {.tv_nsec = 200000000};
    bool drawn = pool->run->progress->terminal && !pool->run->progress->quiet;
    if (drawn)
        rg_progress_draw(pool->run->progress);
    ppoll(NULL, 0, drawn ? &moment : NULL, &pool->mask);
}

static void lead(ProcessPool *pool) {
    struct sigaction action = {.sa_handler = notice_child};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    for (;;) {
        start_some(pool);
        if (pool->running == 0)
            break; /* all trials are done, or no more may start */
        hold_signals(pool, SIG_BLOCK);
        if ((pool->status != RG_OK || rg_stop_wanted()) && !pool->stopping)
            stop_workers(pool);
        if (!reap(pool))
            wait_for_news(pool);
        hold_signals(pool, SIG_UNBLOCK);
    }
    signal(SIGCHLD, SIG_DFL);
}

/* ---- the whole run ---- */

static RgStatus find_work(ProcessPool *pool, RgError *error) {
    RgTrialRun *run = pool->run;
    for (int64_t i = 0; i < pool->experiment->trial_count; i++) {
        bool finished = false;
        const RgTrialSpec *plan = plan_of(pool, i);
        RG_TRY(rg_store_trial_finished(run->store, run->experiment, plan->key, &finished, error));
        pool->trials[i].waiting = !finished && !(run->skip && run->skip[i]);
        if (finished) { /* as in rg_trial_run */
            char *path = rg_trial_checkpoint(run, plan);
            rg_file_remove(path);
            free(path);
        }
    }
    return RG_OK;
}

static RgStatus outcome(const ProcessPool *pool, RgError *error) {
    if (pool->status != RG_OK)
        return rg_fail(error, pool->status, "%s", pool->error.text);
    if (next_waiting(pool) < 0)
        return pool->given_up == 0
                   ? RG_OK
                   : rg_fail(error, RG_E_FILE, "%ld of %ld trials given up: %s",
                             (long)pool->given_up, (long)pool->experiment->trial_count,
                             pool->first_given_up);
    int64_t left = 0;
    for (int64_t i = 0; i < pool->experiment->trial_count; i++)
        left += pool->trials[i].waiting;
    return rg_fail(error, RG_E_STOPPED,
                   "stopped by a signal with %ld of %ld trials unfinished; run again to continue",
                   (long)left, (long)pool->experiment->trial_count);
}

RgStatus rg_process_pool_run(RgTrialRun *run, const RgExperiment *experiment,
                             const RgProcessPoolOptions *options, RgError *error) {
    size_t shared = sizeof(Report) * (size_t)options->jobs;
    int64_t *order = rg_trial_setup_order(experiment);
    ProcessPool pool = {
        .run = run,
        .experiment = experiment,
        .options = options,
        .order = order,
        .leader = getpid(),
        .trials = rg_allocate(experiment->trial_count, sizeof *pool.trials),
        .workers = rg_allocate(options->jobs, sizeof *pool.workers),
        .reports = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    RgStatus status =
        pool.reports == MAP_FAILED
            ? rg_fail(error, RG_E_FILE, "cannot share memory with trials: %s", strerror(errno))
            : find_work(&pool, error);
    if (status == RG_OK && options->memory_limit > 0)
        status = plan_memory(&pool, error);
    rg_store_rest(run->store);
    if (status == RG_OK) {
        lead(&pool);
        status = outcome(&pool, error);
    }
    if (pool.reports != MAP_FAILED)
        munmap(pool.reports, shared);
    free(pool.first_given_up);
    free(order);
    free(pool.trials);
    free(pool.workers);
    return status;
}
