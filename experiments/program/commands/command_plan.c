/* SPDX-License-Identifier: MIT */
/* regatta plan: estimates the memory and FLOPs of a config's trials. */
#include "core/tensor/threads.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/cost_estimate.h"
#include "experiments/program/config/units.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct PlanArguments {
    RgConfigArguments config;
    int threads;
    bool exact;
} PlanArguments;

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

static RgStatus plan_all(const RgExperiment *experiment, bool exact, RgError *error) {
    RgCostEstimator planner = {0};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        const RgTrialSpec *plan = &experiment->trials[i];
        if (plan->seed != experiment->trials[0].seed)
            break; /* seeds are the outermost loop and do not change the cost */
        RgTrialCost cost;
        status = rg_cost_estimate_trial(&planner, plan, &cost, error);
        if (status == RG_OK) {
            printf("%s", i > 0 ? "\n" : "");
            show(plan, &cost, exact);
        }
    }
    rg_cost_estimator_clear(&planner);
    return status;
}

static RgStatus plan(void *arguments, RgError *error) {
    const PlanArguments *a = arguments;
    RgExperiment *experiment = NULL;
    if (a->threads > 0)
        rg_threads_set(a->threads);
    RG_TRY(rg_experiment_open(a->config.path, a->config.overrides, a->config.override_count,
                              &experiment, error));
    RgStatus status = plan_all(experiment, a->exact, error);
    rg_experiment_close(experiment);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(PlanArguments, config, rg_config_arguments),
    RG_ARGUMENT_OPTION(PlanArguments, threads, "threads", 't', "N",
                       "threads of the planned run (default: all processors)", .low = 1,
                       .high = 4096),
    RG_ARGUMENT_OPTION(PlanArguments, exact, "exact", 'x', NULL,
                       "print bytes and operations as plain numbers"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_plan = {
    .name = "plan",
    .summary = "estimate the memory and operations of an experiment",
    .usage = "CONFIG",
    .purpose = "Tell what the trials of an experiment will take: parameters, memory by part, "
               "operations of a step.",
    .details = "Nothing is sampled, trained or written. Sequences are assumed to have maximal "
               "length: the longest prompt, and a response at the limit. Only the first seed is "
               "shown. Memory is the peak of the process; `regatta run` records the measured peak. "
               "The total of the run is that of its largest trial. A ≤ marks an upper bound, where "
               "the value depends on intermediate results.",
    .arguments = arguments,
    .size = sizeof(PlanArguments),
    .run = plan,
};
