/* SPDX-License-Identifier: MIT */
/* Measuring a trial in a process of its own. */
#include "experiments/program/run/measure.h"

#include "core/files.h"
#include "core/new_file.h"
#include "core/tensor/profile.h"
#include "core/tensor/threads.h"
#include "experiments/program/run/process_pool.h"
#include "experiments/program/run/trial_internal.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- steps ---- */

/* Processor time of this process, in seconds. */
static double processor_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Sums over measured steps. */
typedef struct Steps {
    int64_t count;
    double seconds, squares; /* of the seconds of each */
    double processor;
    RgMeter before;
} Steps;

static RgStatus take_step(RgTrialInHand *trial, Steps *steps, RgError *error) {
    RgTrainer *trainer = trial->trainer;
    double start = rg_clock_seconds(), processor = processor_seconds();
    RG_TRY(rg_trainer_step(trainer, error));
    if (trainer->outcome.diverged)
        return rg_fail(error, RG_E_RANGE, "step %ld diverges: %s", (long)trainer->step,
                       trainer->outcome.diverged);
    double seconds = rg_clock_seconds() - start;
    steps->count++;
    steps->seconds += seconds;
    steps->squares += seconds * seconds;
    steps->processor += processor_seconds() - processor;
    return RG_OK;
}

static void set_spent(double amount[RG_COSTS], const RgMeter *after, const RgMeter *before,
                      double steps) {
    const RgSpending now = {.meter = *after}, then = {.meter = *before};
    for (int i = 0; i < RG_COSTS; i++)
        amount[i] = (rg_spent(&now, (RgCost)i) - rg_spent(&then, (RgCost)i)) / steps;
}

static void set_steps(const Steps *steps, const RgTrainer *trainer, RgMeasurement *m) {
    double n = (double)steps->count, mean = steps->seconds / n;
    m->steps = steps->count;
    m->step = mean;
    m->step_error = n > 1 ? sqrt(fmax(steps->squares / n - mean * mean, 0) / (n - 1)) : (double)NAN;
    set_spent(m->each, &trainer->meter, &steps->before, n);
    m->each[RG_COST_STEPS] = 1;
    m->trained_tokens = (double)(trainer->meter.trained_tokens - steps->before.trained_tokens) / n;
    bool known = rg_threads() > 1 && steps->processor >= steps->seconds; /* else others were busy */
    m->serial_share = known
                          ? rg_profile_serial_share(steps->processor, steps->seconds, rg_threads())
                          : (double)NAN;
}

static bool budget_left(const RgTrialInHand *trial) {
    RgSpending now = {trial->trainer->step, trial->trainer->meter};
    return rg_budget_share(&trial->budget, &now, NULL) < 1;
}

/* The first step finds the sizes of memory, and counts only if it is the only one. */
static RgStatus measure_steps(RgTrialInHand *trial, double seconds, RgMeasurement *m,
                              RgError *error) {
    RgTrainer *trainer = trial->trainer;
    double start = rg_clock_seconds();
    Steps first = {.before = trainer->meter}, later = {0};
    RG_TRY(take_step(trial, &first, error));
    later.before = trainer->meter;
    while (rg_clock_seconds() - start < seconds && budget_left(trial))
        RG_TRY(take_step(trial, &later, error));
    set_steps(later.count > 0 ? &later : &first, trainer, m);
    return RG_OK;
}

/* ---- evaluation ---- */

/* Evaluates on about a share of the test data. Sets *share to what was used, and *seconds to what all
 * would take. */
static RgStatus evaluate(RgTrialInHand *trial, double *share, double *seconds, RgError *error) {
    RgEvaluation *evaluation = rg_evaluation_create();
    double start = rg_clock_seconds();
    RgStatus status = rg_trial_evaluate(trial, *share, evaluation, error);
    double used = rg_evaluation_find(evaluation, RG_EVALUATED_SHARE);
    *share = isnan(used) ? 1 : used;
    *seconds =
        isnan(used) ? rg_clock_seconds() - start : rg_evaluation_find(evaluation, RG_WHOLE_SECONDS);
    rg_evaluation_destroy(evaluation);
    return status;
}

/* From a small share to as large a one as fits into the time. Of exact gradients, which are
 * measured beside the test data, there are no shares. */
static RgStatus measure_evaluation(RgTrialInHand *trial, double seconds, RgMeasurement *m,
                                   RgError *error) {
    const double least = 1.0 / 256, fastest = 16; /* growth from one share to the next */
    double share = trial->plan->evaluation.gradients > 0 ? 1 : least;
    RG_TRY(evaluate(trial, &share, &m->first_evaluation, error));
    while (share < 1 && 2 * share * m->first_evaluation < seconds) {
        share = fmin(fmin(seconds / m->first_evaluation, fastest * share), 1);
        RG_TRY(evaluate(trial, &share, &m->first_evaluation, error));
    }
    m->evaluated_share = share;
    return evaluate(trial, &share, &m->evaluation, error);
}

/* ---- files ---- */

static RgStatus write_checkpoint(RgTrialInHand *trial, const char *path, RgError *error) {
    RgNewFile file;
    RG_TRY(rg_new_file_begin(path, &file, error));
    char sum[RG_SHA256_TEXT];
    file.hashing = rg_hashing_begin();
    RgStatus status = rg_checkpoint_write(trial->checkpoint, &file, trial->plan->key, error);
    rg_hashing_sum(file.hashing, sum);
    return rg_new_file_end(&file, status, error);
}

static RgStatus measure_files(RgTrialInHand *trial, RgMeasurement *m, RgError *error) {
    char *folder;
    RG_TRY(rg_scratch_folder("measure", &folder, error));
    char *path = rg_string_format("%s/file.safetensors", folder);
    double start = rg_clock_seconds();
    RgStatus status = m->steps > 0 ? write_checkpoint(trial, path, error) : RG_OK;
    m->checkpoint = rg_clock_seconds() - start;
    start = rg_clock_seconds();
    if (status == RG_OK)
        status = rg_policy_save(trial->policy, path, error);
    m->weights = rg_clock_seconds() - start;
    rg_folder_remove(folder);
    free(path);
    free(folder);
    return status;
}

/* ---- the trial's process ---- */

static RgStatus measure(RgTrialInHand *trial, double seconds, RgMeasurement *m, RgError *error) {
    const RgAlgorithm *a = trial->plan->algorithm;
    double start = rg_clock_seconds();
    RG_TRY(rg_trial_setup_make(&trial->run->setup, trial->plan, error));
    rg_peak_memory_restart(); /* as in a run */
    RG_TRY(rg_trial_begin(trial, error));
    m->setup = rg_clock_seconds() - start;
    const RgMeter none = {0};
    set_spent(m->before, &trial->trainer->meter, &none, 1);
    m->epoch_steps = trial->plan->budget.epochs > 0 ? trial->budget.steps : 0;
    if (a->loss || a->step)
        RG_TRY(measure_steps(trial, seconds, m, error));
    RG_TRY(measure_evaluation(trial, seconds, m, error));
    RG_TRY(measure_files(trial, m, error));
    m->peak_memory = rg_peak_memory();
    return RG_OK;
}

/* What the process leaves to its parent. */
typedef struct Report {
    bool written;
    RgStatus status;
    RgError error;
    RgMeasurement measurement;
} Report;

static _Noreturn void work(const RgTrialSpec *plan, double seconds, pid_t parent, Report *report) {
    rg_die_with_parent(parent);
    RgTrialRun run = {0};
    RgTrialInHand trial = {.run = &run, .plan = plan};
    report->status = measure(&trial, seconds, &report->measurement, &report->error);
    report->written = true;
    _exit(0);
}

static RgStatus killed(int how, RgError *error) {
    return WIFSIGNALED(how)
               ? rg_fail(error, RG_E_FILE, "its process was killed by signal %d (%s)%s",
                         WTERMSIG(how), strsignal(WTERMSIG(how)),
                         WTERMSIG(how) == SIGKILL ? ", as it is where memory is short" : "")
               : rg_fail(error, RG_E_FILE, "its process ended with status %d", WEXITSTATUS(how));
}

RgStatus rg_measure_trial(const RgTrialSpec *plan, double seconds, RgMeasurement *measurement,
                          RgError *error) {
    Report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return rg_fail(error, RG_E_FILE, "cannot share memory with a process: %s", strerror(errno));
    fflush(NULL); /* buffered output is written by this process only */
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        work(plan, seconds, parent, report);
    int how = 0;
    pid_t ended = child;
    while (child > 0 && (ended = waitpid(child, &how, 0)) < 0 && errno == EINTR) {
    }
    RgStatus status = RG_OK;
    if (child < 0 || ended < 0)
        status = rg_fail(error, RG_E_FILE, "cannot start a process: %s", strerror(errno));
    else if (!report->written)
        status = killed(how, error);
    else if (report->status != RG_OK)
        status = rg_fail(error, report->status, "%s", report->error.text);
    *measurement = report->measurement;
    munmap(report, sizeof *report);
    return status;
}

/* ---- the whole trial ---- */

/* Evaluations of a trial of so many steps: one at its end, and those due before. */
static double evaluations_of(const RgTrialSpec *plan, const RgMeasurement *m, double steps) {
    const RgEvaluationOptions *e = &plan->evaluation;
    if (m->steps == 0)
        return 1;
    double each = m->each[e->per], last = m->before[e->per] + steps * each, due = 0;
    if (e->every > 0)
        due = fmax(ceil(last / e->every) - 1, 0);
    return 1 + fmin(due, fmax(steps - 1, 0)) + (e->start ? 1 : 0);
}

RgMeasuredTrial rg_measured_trial(const RgTrialSpec *plan, const RgMeasurement *m,
                                  double checkpoint_seconds) {
    RgBudgetOptions budget = plan->budget;
    if (m->epoch_steps > 0)
        budget.steps = m->epoch_steps;
    double steps = m->steps > 0 ? rg_budget_steps(&budget, m->before, m->each) : 0;
    double evaluations = evaluations_of(plan, m, steps);
    double training = steps * m->step;
    double checkpoints = training / fmax(checkpoint_seconds, fmax(m->step, 1e-9));
    return (RgMeasuredTrial){.steps = steps,
                             .evaluations = evaluations,
                             .seconds = m->setup + training + m->first_evaluation +
                                        (evaluations - 1) * m->evaluation +
                                        checkpoints * m->checkpoint + m->weights};
}
