/* SPDX-License-Identifier: MIT */
/* regatta plan: estimates the memory and FLOPs of a config's trials, and measures their time. */
#include "core/notice.h"
#include "core/tensor/threads.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/allowed.h"
#include "experiments/program/config/cost_estimate.h"
#include "experiments/program/config/units.h"
#include "experiments/program/run/machines.h"
#include "experiments/program/run/measure.h"
#include "experiments/program/run/recorded_inputs.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct PlanArguments {
    RgConfigArguments config;
    int threads;
    bool exact, measure;
    double seconds;                      /* 0: default_seconds */
    int machines, cores;                 /* 0: one, and the threads of the measurement */
    const char **kinds, **key_variables; /* of --allow, --key-variable */
    int kind_count, key_variable_count;
    RgAllowed allowed;
} PlanArguments;

static const double default_seconds = 5, checkpoint_seconds = 10; /* the latter as of regatta run */

/* With three digits, or in full if `exact`. */
static const char *amount(double value, bool exact, char text[32]) {
    if (!exact)
        return rg_units_text(value, text);
    snprintf(text, 32, "%.0f", value);
    return text;
}

/* Prints one line; zero values are omitted. */
static void print_amount(const char *what, double value, const char *unit, const char *note,
                         bool exact) {
    char text[32];
    if (value > 0)
        printf("    %-22s %s%s%s%s\n", what, amount(value, exact, text), exact ? "" : unit,
               note[0] ? "  " : "", note);
}

static void print_operations(const RgTrialCost *cost, bool exact) {
    const struct {
        const char *what;
        double flops;
    } lines[] = {
        {"policy", cost->policy_flops},       {"reference", cost->reference_flops},
        {"sampling", cost->sampling_flops},   {"other networks", cost->other_flops},
        {"total", rg_trial_step_flops(cost)}, {"before the first step", cost->create_flops}};
    if (cost->policy_flops > 0)
        printf("  operations per step%s\n",
               cost->at_most ? ", at most: their number depends on intermediate results" : "");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[32];
        if (lines[i].flops > 0)
            printf("    %-22s %s%s\n", lines[i].what, cost->at_most ? "≤ " : "",
                   amount(lines[i].flops, exact, text));
    }
}

static void show(const RgTrialSpec *plan, const RgTrialCost *cost, bool exact) {
    char *swept_options = rg_swept_exact_text(plan->swept_json);
    printf("%s%s%s\n", plan->part.label, swept_options[0] ? ", " : "", swept_options);
    free(swept_options);
    if (cost->epoch_steps > 0)
        printf("  %g epochs: %lld steps\n", plan->budget.epochs, (long long)cost->epoch_steps);
    if (cost->response_length > 0)
        printf("  sequences of at most %lld + %lld tokens\n", (long long)cost->prompt_length,
               (long long)cost->response_length);
    printf("  parameters\n");
    print_amount("trained", (double)cost->trained, "", "", exact);
    print_amount("frozen", (double)cost->frozen, "",
                 plan->adapter.rank == 0    ? "the reference"
                 : plan->adapter.weights[0] ? "the policy's, and again with the adapter for the "
                                              "reference"
                                            : "shared",
                 exact);
    printf("  memory\n");
    print_amount("program and data", cost->program, "B", "", exact);
    print_amount("weights", cost->weights, "B", "", exact);
    print_amount("reference", cost->reference, "B", "", exact);
    print_amount("gradients", cost->gradients, "B", "", exact);
    print_amount("optimizer", cost->optimizer, "B", "", exact);
    print_amount("the method's own", cost->own, "B", "", exact);
    print_amount("activations", cost->activations, "B", "with their gradients", exact);
    print_amount("evaluated passes", cost->values, "B", "of policy and reference", exact);
    print_amount("operands", cost->copies, "B", "in bf16, or widened from it", exact);
    print_amount("largest temporary", cost->temporary, "B",
                 cost->temporary_of ? cost->temporary_of : "", exact);
    print_amount(cost->left_out ? "total, at least" : "total, at the peak", cost->total, "B", "",
                 exact);
    print_operations(cost, exact);
    if (cost->left_out)
        printf("  without %s\n", cost->left_out);
}

/* ---- measurements ---- */

/* What is known of a trial of the first seed. */
typedef struct Planned {
    RgTrialCost cost;
    RgMeasurement measurement;
    RgMeasuredTrial trial;
    bool measured;
} Planned;

/* With three digits below a minute, or in full if `exact`. */
static const char *duration(double seconds, bool exact, char text[32]) {
    if (exact)
        snprintf(text, 32, "%.6f", seconds);
    else if (seconds < 60)
        snprintf(text, 32, "%.3g s", seconds);
    else
        rg_duration_text(seconds, text);
    return text;
}

static void print_duration(const char *what, double seconds, const char *note, bool exact) {
    char text[32];
    duration(seconds, exact, text);
    printf("    %-22s %s%s%s\n", what, text, note[0] ? "  " : "", note);
}

static void print_share(const RgMeasurement *m) {
    if (m->evaluated_share < 1)
        printf("%.2g %% of an evaluation", 100 * m->evaluated_share);
    else
        printf("an evaluation");
}

static void show_measurement(const Planned *p, bool exact) {
    const RgMeasurement *m = &p->measurement;
    char note[96], text[32];
    printf("  measured on %d thread%s: ", rg_threads(), rg_threads() > 1 ? "s" : "");
    if (m->steps > 0)
        printf("%lld step%s and ", (long long)m->steps, m->steps > 1 ? "s" : "");
    print_share(m);
    printf("\n");
    snprintf(note, sizeof note, "%.0f %% of what is planned", 100 * m->peak_memory / p->cost.total);
    print_amount("memory, at the peak", m->peak_memory, "B", note, exact);
    print_duration("before the first step", m->setup, "", exact);
    note[0] = '\0';
    if (!isnan(m->step_error) && !exact)
        snprintf(note, sizeof note, "± %.2g s", m->step_error);
    if (m->steps > 0) {
        print_duration("step", m->step, note, exact);
        print_amount("operations per second", m->each[RG_COST_FLOPS] / m->step, "", "", exact);
        print_amount("trained tokens", m->trained_tokens / m->step, "", "a second", exact);
        print_amount("generated tokens", m->each[RG_COST_GENERATED_TOKENS] / m->step, "",
                     "a second, of all of a step", exact);
    }
    snprintf(note, sizeof note, "the first %s", duration(m->first_evaluation, exact, text));
    print_duration("evaluation", m->evaluation, note, exact);
    if (m->steps > 0)
        print_duration("checkpoint", m->checkpoint, "", exact);
    snprintf(note, sizeof note, "%s step%s, %.0f evaluation%s", rg_units_text(p->trial.steps, text),
             p->trial.steps == 1 ? "" : "s", p->trial.evaluations,
             p->trial.evaluations == 1 ? "" : "s");
    print_duration("the whole trial", p->trial.seconds, note, exact);
}

/* Whether two trials do the same work: they differ in values alone, such as β, that change neither
 * operations nor memory. */
static bool works_alike(const RgTrialSpec *a, const RgTrialCost *of_a, const RgTrialSpec *b,
                        const RgTrialCost *of_b) {
    static const char *const parts[] = {"environment", "policy", "training",
                                        "evaluation",  "budget", NULL};
    double flops = rg_trial_step_flops(of_a);
    bool alike = a->algorithm == b->algorithm && flops > 0 && flops == rg_trial_step_flops(of_b) &&
                 of_a->create_flops == of_b->create_flops && of_a->total == of_b->total &&
                 of_a->generated_tokens == of_b->generated_tokens &&
                 of_a->judge_queries == of_b->judge_queries;
    if (!alike)
        return false;
    char *own = rg_resolved_groups(a->resolved, parts);
    char *other = rg_resolved_groups(b->resolved, parts);
    alike = strcmp(own, other) == 0;
    free(own);
    free(other);
    return alike;
}

static const Planned *measured_alike(const RgExperiment *experiment, const Planned *all,
                                     int64_t trial) {
    for (int64_t i = 0; i < trial; i++)
        if (all[i].measured && works_alike(&experiment->trials[i], &all[i].cost,
                                           &experiment->trials[trial], &all[trial].cost))
            return &all[i];
    return NULL;
}

/* A trial that may not be measured, or fails, gets a line, and the others are measured. Only a failure
 * is returned. */
static RgStatus measure_one(const RgExperiment *experiment, const PlanArguments *a, Planned *all,
                            int64_t i, RgError *error) {
    const RgTrialSpec *plan = &experiment->trials[i];
    const Planned *alike = measured_alike(experiment, all, i);
    RgError refused = {0};
    if (rg_allowed_check(&a->allowed, plan->resolved, &refused) != RG_OK) {
        printf("  not measured: %s\n", refused.text);
        return RG_OK;
    }
    RgStatus status = RG_OK;
    if (alike)
        all[i].measurement = alike->measurement;
    else
        status = rg_measure_trial(plan, a->seconds, &all[i].measurement, error);
    if (status != RG_OK) {
        printf("  not measured\n");
        return rg_fail_in(error, status, "%s", plan->part.label);
    }
    all[i].measured = true;
    all[i].trial = rg_measured_trial(plan, &all[i].measurement, checkpoint_seconds);
    show_measurement(&all[i], a->exact);
    if (alike)
        printf("    as measured of a trial above that does the same work\n");
    return RG_OK;
}

/* ---- all trials ---- */

static void show_layout(const RgTimedTrial *trials, int64_t count, const PlanArguments *a) {
    RgMachines machines = {a->machines > 0 ? a->machines : 1,
                           a->cores > 0 ? a->cores : rg_threads()};
    RgLayout layout = rg_best_layout(trials, count, machines);
    char what[64], note[96], bytes[32];
    snprintf(what, sizeof what, "%d machine%s, %d core%s", machines.machines,
             machines.machines > 1 ? "s" : "", machines.cores, machines.cores > 1 ? "s" : "");
    snprintf(note, sizeof note, "-j %d -t %d on each, with %sB", layout.jobs, machines.cores,
             rg_units_text(layout.memory, bytes));
    print_duration(what, layout.seconds, note, a->exact);
}

/* Of `count` trials of the first seed; every seed has as many, which take as long. */
static void show_all(const RgExperiment *experiment, const PlanArguments *a, const Planned *all,
                     int64_t count) {
    RG_ASSERT(count > 0);
    RgTimedTrial *trials = rg_allocate(experiment->trial_count, sizeof *trials);
    int64_t known = 0;
    double sum = 0;
    for (int64_t i = 0; i < experiment->trial_count; i++) {
        const Planned *p = &all[i % count];
        if (!p->measured || isnan(p->trial.seconds))
            continue;
        trials[known++] = (RgTimedTrial){.seconds = p->trial.seconds,
                                         .threads = rg_threads(),
                                         .serial_share = p->measurement.serial_share,
                                         .memory = p->measurement.peak_memory};
        sum += p->trial.seconds;
    }
    printf("\nall trials: %lld", (long long)experiment->trial_count);
    if (known < experiment->trial_count)
        printf(", of which the time of %lld is unknown",
               (long long)(experiment->trial_count - known));
    printf("\n");
    if (known > 0) {
        print_duration("one after another", sum, "", a->exact);
        show_layout(trials, known, a);
    }
    free(trials);
}

/* ---- the command ---- */

/* Trials of the first seed: seeds are the outermost loop and do not change the cost. */
static int64_t trials_of_a_seed(const RgExperiment *experiment) {
    int64_t count = 0;
    while (count < experiment->trial_count &&
           experiment->trials[count].seed == experiment->trials[0].seed)
        count++;
    return count;
}

typedef struct Estimates {
    const RgExperiment *experiment;
    Planned *all;
    int64_t count, done;
    RgStatus status;
    RgError error;
} Estimates;

/* A thread of its own: its OpenMP threads end with it, before any process is forked. */
static void *estimate(void *argument) {
    Estimates *e = argument;
    RgCostEstimator planner = {0};
    while (e->done < e->count && e->status == RG_OK) {
        e->status = rg_cost_estimate_trial(&planner, &e->experiment->trials[e->done],
                                           &e->all[e->done].cost, &e->error);
        e->done += e->status == RG_OK;
    }
    rg_cost_estimator_clear(&planner);
    return NULL;
}

static RgStatus estimate_all(Estimates *e, RgError *error) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, estimate, e) != 0)
        return rg_fail(error, RG_E_FILE, "cannot start a thread");
    pthread_join(thread, NULL);
    return e->status == RG_OK ? RG_OK : rg_fail(error, e->status, "%s", e->error.text);
}

static RgStatus plan_all(const RgExperiment *experiment, const PlanArguments *a, RgError *error) {
    int64_t count = trials_of_a_seed(experiment);
    Estimates e = {.experiment = experiment, .count = count};
    e.all = rg_allocate(count, sizeof *e.all);
    RgStatus status = estimate_all(&e, error);
    for (int64_t i = 0; i < e.done; i++) {
        RgError failure = {0};
        printf("%s", i > 0 ? "\n" : "");
        show(&experiment->trials[i], &e.all[i].cost, a->exact);
        RgStatus measured = a->measure && e.status == RG_OK
                                ? measure_one(experiment, a, e.all, i, &failure)
                                : RG_OK;
        if (measured != RG_OK && status == RG_OK)
            status = rg_fail(error, measured, "%s", failure.text);
        fflush(stdout);
    }
    if (e.status == RG_OK && a->measure)
        show_all(experiment, a, e.all, count);
    free(e.all);
    return status;
}

static RgStatus plan(void *arguments, RgError *error) {
    PlanArguments *a = arguments;
    RgExperiment *experiment = NULL;
    rg_threads_set(a->threads > 0 ? a->threads : rg_processors());
    if (a->seconds == 0)
        a->seconds = default_seconds;
    RG_TRY(rg_experiment_open(a->config.path, a->config.overrides, a->config.override_count,
                              &experiment, error));
    RgStatus status = rg_check_inputs_to_be_read(experiment, NULL, error);
    if (status == RG_OK)
        status = plan_all(experiment, a, error);
    rg_experiment_close(experiment);
    rg_allowed_clear(&a->allowed);
    return status;
}

static RgStatus check(void *arguments, RgError *error) {
    PlanArguments *a = arguments;
    const struct {
        const char *name;
        bool given;
    } options[] = {{"--seconds", a->seconds > 0},
                   {"--machines", a->machines > 0},
                   {"--cores", a->cores > 0},
                   {"--allow", a->kind_count > 0},
                   {"--key-variable", a->key_variable_count > 0}};
    for (size_t i = 0; i < sizeof options / sizeof *options && !a->measure; i++)
        if (options[i].given)
            return rg_fail(error, RG_E_USAGE,
                           "%s is about what is measured: expected --measure "
                           "beside it",
                           options[i].name);
    a->allowed.what = "a measurement";
    for (int i = 0; i < a->kind_count; i++)
        RG_TRY(rg_allowed_add(&a->allowed, a->kinds[i], error));
    for (int i = 0; i < a->key_variable_count; i++)
        rg_allowed_add_key(&a->allowed, a->key_variables[i]);
    return RG_OK;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(PlanArguments, config, rg_config_arguments),
    RG_ARGUMENT_OPTION(PlanArguments, threads, "threads", 't', "N",
                       "threads of the planned run (default: all processors)", .low = 1,
                       .high = 4096),
    RG_ARGUMENT_OPTION(PlanArguments, exact, "exact", 'x', NULL,
                       "print bytes, operations and seconds as plain numbers"),
    RG_ARGUMENT_OPTION(PlanArguments, measure, "measure", 0, NULL,
                       "run some steps and a part of an evaluation of each kind of trial, and tell "
                       "the time of a step, of a trial and of all trials"),
    RG_ARGUMENT_OPTION(PlanArguments, seconds, "seconds", 0, "S",
                       "measure steps of a trial for about S seconds, and evaluations for as long; "
                       "at least one step (default: 5)",
                       .low = 0.01, .high = 1e6),
    RG_ARGUMENT_OPTION(PlanArguments, machines, "machines", 0, "N",
                       "tell the time of all trials on N machines like this one (default: 1)",
                       .low = 1, .high = 1e6),
    RG_ARGUMENT_OPTION(PlanArguments, cores, "cores", 0, "C",
                       "with C cores each (default: the threads of the measurement)", .low = 1,
                       .high = 4096),
    RG_ARGUMENT_REPEATED(
        PlanArguments, kinds, kind_count, "allow", 0, "KINDS",
        "let the measurement act, as a list of kinds: command (a judge runs a program), endpoint "
        "(a judge sends texts to its address), save (a reward model is written to the file that "
        "the "
        "config names); without its kind such a trial is not measured"),
    RG_ARGUMENT_REPEATED(PlanArguments, key_variables, key_variable_count, "key-variable", 0,
                         "NAME",
                         "environment variable whose value may be sent to an endpoint as the key; "
                         "may be repeated (default: none)"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_plan = {
    .name = "plan",
    .summary = "estimate the memory, operations and time of an experiment",
    .usage = "CONFIG",
    .purpose = "Tell what the trials of an experiment will take: parameters, memory by part, "
               "operations of a step; with --measure, seconds too.",
    .details =
        "Without --measure nothing is sampled, trained or written. Sequences are assumed to have "
        "maximal length: the longest prompt, and a response at the limit. Only the first seed is "
        "shown. Memory is the peak of the process; `regatta run` records the measured peak. "
        "The total of the run is that of its largest trial. A ≤ marks an upper bound, where "
        "the value depends on intermediate results.\n\n"
        "--measure runs each kind of trial in a process of its own: setup, some steps, a share of "
        "an evaluation, a checkpoint and the final weights, in a temporary folder. Trials that "
        "differ only in values such as beta, which change neither operations nor memory, are "
        "measured once. Nothing is recorded, and judges that are programs or at an endpoint are "
        "asked only with --allow. The time of a trial is that of its setup, steps, evaluations and "
        "files, on this machine as busy as it is now. Steps and evaluations are those of the "
        "untrained policy: later responses may be shorter or longer. The first step counts only if "
        "it is the only one. A trial that ends early takes less, and so do "
        "trials after the first, which find the reference's log-probabilities of offline pairs in "
        "the results store. With --machines and --cores, trials are laid out over machines with "
        "processors like this one's, by the serial share of the measured steps (Amdahl's law); if "
        "that is unknown, more threads are taken not to help.",
    .arguments = arguments,
    .size = sizeof(PlanArguments),
    .check = check,
    .run = plan,
};
