/* SPDX-License-Identifier: MIT */
/* regatta status: the progress of a store's runs, during and after them. Only reads the store. */
#include "analysis/store/run_status.h"
#include "core/names.h"
#include "core/results/store_lock.h"
#include "core/text/terminal.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/units.h"
#include "experiments/program/run/forecast.h"
#include "experiments/program/run/recorded_inputs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct StatusArguments {
    const char *store;
    RgChoice choice; /* of an experiment */
    double watch;    /* seconds between updates; 0: print once */
} StatusArguments;

/* "exact seed 1, exploration 0.3" */
static void print_name(const char *label, int64_t seed, const char *swept) {
    char *swept_options = rg_swept_text(swept);
    printf("    %s seed %ld%s%s", label, (long)seed, swept_options[0] ? ", " : "", swept_options);
    free(swept_options);
}

static RgStatus print_metric(const RgRunStatuses *statuses, const RgTrialSummary *entry,
                             const char *stored, const char *name, RgError *error) {
    int64_t step;
    double value;
    RG_TRY(rg_run_statuses_metric(statuses, entry, stored, &value, &step, error));
    if (step < 0)
        return RG_OK;
    printf("  %s %.4g", name, value);
    if (step != entry->step)
        printf(" (step %ld)", (long)step);
    return RG_OK;
}

/* Prints the progress of a running or interrupted trial. */
static RgStatus print_progress(const RgRunStatuses *statuses, const RgForecast *f, RgError *error) {
    const RgTrialSummary *entry = f->entry;
    char text[32];
    RG_ASSERT(entry); /* only new trials have none */
    print_name(entry->label, entry->seed, entry->swept);
    if (entry->step < 0) {
        printf(": no step yet\n");
        return RG_OK;
    }
    RgCost cost;
    RgSpending spending = {entry->step, entry->meter};
    rg_budget_share(&f->plan->budget, &spending, &cost);
    printf(": step %ld", (long)entry->step);
    if (f->plan->budget.steps > 0)
        printf("/%ld", (long)f->plan->budget.steps);
    if (f->plan->budget.epochs > 0) /* whose steps are not known here */
        printf(", of %g epochs", f->plan->budget.epochs);
    else
        printf(", %.0f %% of its %s", 100 * f->share, rg_cost_names[cost]);
    printf(", %s", rg_duration_text(rg_trial_summary_seconds(entry), text));
    const char *primary_metric = rg_environment_type(f->plan->environment.type)->primary_metric;
    char *stored = rg_string_format("eval/%s", primary_metric);
    RgStatus status = print_metric(statuses, entry, stored, primary_metric, error);
    if (status == RG_OK)
        status = print_metric(statuses, entry, "loss", "loss", error);
    printf("\n");
    free(stored);
    return status;
}

static RgStatus print_state(const RgRunStatuses *statuses, const RgForecast *all, int64_t count,
                            RgTrialState state, RgError *error) {
    bool first = true;
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < count && status == RG_OK; i++) {
        if (all[i].state != state)
            continue;
        if (first)
            printf("  %s\n", rg_state_names[state]);
        first = false;
        if (state == RG_STATE_RUNNING || state == RG_STATE_INTERRUPTED) {
            status = print_progress(statuses, &all[i], error);
        } else {
            const RgTrialSummary *entry = all[i].entry;
            RG_ASSERT(entry);
            print_name(entry->label, entry->seed, entry->swept);
            printf(": %s\n", entry->reason ? entry->reason : "no reason recorded");
        }
    }
    return status;
}

static void print_counts(const int64_t by_state[RG_STATES], int64_t count, int64_t others) {
    const char *separator = ": ";
    printf("  %ld trials", (long)count);
    for (int i = 0; i < RG_STATES; i++) {
        if (by_state[i] == 0)
            continue;
        printf("%s%ld %s", separator, (long)by_state[i], rg_state_names[i]);
        separator = ", ";
    }
    if (others > 0)
        printf("; %ld more of other settings", (long)others);
    printf("\n");
}

static void print_left(const RgForecast *all, int64_t count, int64_t waiting, int64_t running) {
    char text[32];
    double left = rg_forecast_left(all, count);
    if (waiting == 0)
        return;
    if (isnan(left))
        printf("  left: %ld trials; no finished trial yet to estimate the time from\n",
               (long)waiting);
    else if (running > 1)
        printf("  left: about %s with %ld trials at a time\n",
               rg_duration_text(left / (double)running, text), (long)running);
    else
        printf("  left: about %s\n", rg_duration_text(left, text));
}

static void print_missing(const RgExperiment *experiment) {
    char *missing = rg_missing_inputs(experiment);
    if (missing) {
        rg_make_printable(missing);
        printf("  missing: %s\n", missing);
    }
    free(missing);
}

/* Sets `waiting` if any trial is left to run. */
static RgStatus print_experiment(const RgRunStatuses *statuses, const RgRunStatus *run_status,
                                 const RgExperiment *experiment, bool written, bool *waiting,
                                 RgError *error) {
    static const RgTrialState listed[] = {RG_STATE_RUNNING, RG_STATE_INTERRUPTED, RG_STATE_DIVERGED,
                                          RG_STATE_FAILED};

    int64_t by_state[RG_STATES] = {0}, count = experiment->trial_count, known = 0;
    RgForecast *all = rg_forecast(experiment, run_status, written, NULL, NULL);
    for (int64_t i = 0; i < count; i++) {
        by_state[all[i].state]++;
        known += all[i].entry != NULL;
    }
    print_counts(by_state, count, run_status->count - known);
    print_missing(experiment);
    RgStatus status = RG_OK;
    for (size_t i = 0; i < sizeof listed / sizeof *listed && status == RG_OK; i++)
        status = print_state(statuses, all, count, listed[i], error);
    int64_t left = count - by_state[RG_STATE_FINISHED] - by_state[RG_STATE_DIVERGED];
    if (status == RG_OK)
        print_left(all, count, left, by_state[RG_STATE_RUNNING]);
    free(all);
    *waiting |= left > 0;
    return status;
}

/* For a config from another version of the program, which this one rejects: uses the rows alone. */
static void print_rows(const RgRunStatus *run_status, const RgError *reason) {
    printf("  %ld trials have begun; the total is not known: %s\n", (long)run_status->count,
           reason->text);
    for (int64_t i = 0; i < run_status->count; i++) {
        const RgTrialSummary *entry = &run_status->entries[i];
        print_name(entry->label, entry->seed, entry->swept);
        printf(": %s%s%s", entry->status, entry->reason ? ", " : "",
               entry->reason ? entry->reason : "");
        if (entry->step >= 0)
            printf(", step %ld", (long)entry->step);
        printf("\n");
    }
}

static RgStatus unknown_experiment(const StatusArguments *a, RgError *error) {
    if (!a->choice.experiment)
        return rg_fail(error, RG_E_USAGE, "%s: holds no experiment yet", a->store);
    return rg_fail(error, RG_E_USAGE, "%s: has no experiment \"%s\"; regatta status %s lists all",
                   a->store, a->choice.experiment, a->store);
}

/* Prints the status once. */
static RgStatus look(const StatusArguments *a, bool *waiting, RgError *error) {
    char holder[128];
    RgRunStatuses statuses;
    bool written = rg_store_writer(a->store, holder);
    RG_TRY(rg_run_statuses_open(a->store, a->choice.experiment, &statuses, error));
    RgStatus status = statuses.count > 0 ? RG_OK : unknown_experiment(a, error);
    *waiting = false;
    for (int64_t i = 0; i < statuses.count && status == RG_OK; i++) {
        const RgRunStatus *run_status = &statuses.at[i];
        bool runs = written && run_status->latest;
        RgExperiment *experiment;
        RgError reason = {0};
        printf("%s%s%s%s\n", i > 0 ? "\n" : "", run_status->experiment, runs ? ", run by " : "",
               runs ? holder : "");
        if (rg_experiment_restore(run_status->config, &experiment, &reason) != RG_OK) {
            print_rows(run_status, &reason);
            continue;
        }
        status = rg_use_recorded_inputs(experiment, statuses.store, error);
        if (status == RG_OK)
            status = print_experiment(&statuses, run_status, experiment, runs, waiting, error);
        rg_experiment_close(experiment);
    }
    rg_run_statuses_close(&statuses);
    if (fflush(stdout) != 0 && status == RG_OK) /* the reader has closed the pipe */
        status = rg_fail(error, RG_E_FILE, "standard output: %s", strerror(errno));
    return status;
}

static RgStatus watch(const StatusArguments *a, RgError *error) {
    bool terminal = isatty(STDOUT_FILENO) == 1, waiting = true;
    struct timespec pause = {.tv_sec = (time_t)a->watch,
                             .tv_nsec = (long)(1e9 * fmod(a->watch, 1))};
    for (;;) {
        if (terminal)
            rg_terminal_control(stdout, "\033[H\033[J");
        RG_TRY(look(a, &waiting, error));
        if (!waiting)
            return RG_OK;
        nanosleep(&pause, NULL);
        if (!terminal)
            putchar('\n');
    }
}

static RgStatus show_status(void *arguments, RgError *error) {
    const StatusArguments *a = arguments;
    bool waiting;
    return a->watch > 0 ? watch(a, error) : look(a, &waiting, error);
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(StatusArguments, choice, rg_experiment_arguments),
    RG_ARGUMENT_POSITIONAL(StatusArguments, store, RG_EXPECTED_STORE),
    RG_ARGUMENT_OPTION(StatusArguments, watch, "watch", 'w', "SECONDS",
                       "update every SECONDS seconds until all trials are done", .low = 0.1,
                       .high = 1e6),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_status = {
    .name = "status",
    .summary = "progress of the runs in a results store",
    .usage = "RESULTS",
    .purpose = "Show the progress of the experiments in a results store, also while they run.",
    .details =
        "For each experiment (with -e, for one): trials by status; for running and interrupted "
        "trials the step, the share of the budget, the seconds including evaluation, and the "
        "latest values; why trials diverged or failed; and the remaining time at the present rate. "
        "Steps are known as they are logged, see evaluation.log_every.",
    .arguments = arguments,
    .size = sizeof(StatusArguments),
    .run = show_status,
};
