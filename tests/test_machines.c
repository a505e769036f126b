/* SPDX-License-Identifier: MIT */
/* The time of trials on several machines, against schedules and speed-ups worked out by hand, and the
 * time of a trial from a measurement. */
#include "experiments/program/run/machines.h"
#include "experiments/program/run/measure.h"

#include <criterion/criterion.h>
#include <math.h>

static void near(double found, double expected) {
    cr_assert(fabs(found - expected) <= 1e-12 * fabs(expected), "%.17g, expected %.17g", found,
              expected);
}

/* 7 and 3, 6 and 4 and then 5 on whichever is free: (7 + 3) = 10 and (6 + 4) = 10, so 15. */
Test(machines, the_longest_trial_goes_first) {
    const double seconds[] = {3, 7, 5, 4, 6};
    near(rg_makespan(seconds, 5, 1), 25);
    near(rg_makespan(seconds, 5, 2), 14);
    near(rg_makespan(seconds, 5, 5), 7);
    near(rg_makespan(seconds, 5, 100), 7);
    near(rg_makespan(seconds, 0, 3), 0);
}

/* A fifth is serial: 1/(0.2 + 0.8/2) = 5/3 on two threads, 1/(0.2 + 0.8/8) = 10/3 on eight. */
Test(machines, more_threads_help_by_amdahls_law) {
    RgTimedTrial trial = {.seconds = 60, .threads = 2, .serial_share = 0.2};
    near(rg_timed_seconds(&trial, 2), 60);
    near(rg_timed_seconds(&trial, 8), 30);
    near(rg_timed_seconds(&trial, 1), 120);
    trial.serial_share = NAN;
    near(rg_timed_seconds(&trial, 8), 60);
}

Test(machines, the_layout_is_the_fastest) {
    RgTimedTrial trials[8];
    for (int i = 0; i < 8; i++)
        trials[i] = (RgTimedTrial){
            .seconds = 60, .threads = 2, .serial_share = 0.2, .memory = 1e9 * (i + 1)};
    /* One trial has all cores; eight, of which two fit on each machine, have half of them each. */
    RgLayout one = rg_best_layout(trials, 1, (RgMachines){4, 8});
    cr_assert(one.jobs == 1 && one.threads == 8);
    near(one.seconds, 30);
    near(one.memory, 1e9);
    /* Two at a time on four threads each: 60·(5/3)/(5/2) = 40 s. One by one takes 2·30 s. */
    RgLayout all = rg_best_layout(trials, 8, (RgMachines){4, 8});
    cr_assert(all.jobs == 2 && all.threads == 4, "%d at a time on %d", all.jobs, all.threads);
    near(all.seconds, 40);
    near(all.memory, 15e9);
}

/* ---- a trial from a measurement ---- */

static RgMeasurement measured(void) {
    RgMeasurement m = {.setup = 2,
                       .steps = 3,
                       .step = 0.5,
                       .evaluation = 4,
                       .first_evaluation = 7,
                       .evaluated_share = 0.1,
                       .checkpoint = 0.25,
                       .weights = 1};
    m.each[RG_COST_STEPS] = 1;
    m.each[RG_COST_FLOPS] = 1e9;
    m.each[RG_COST_SECONDS] = 0.5;
    return m;
}

/* 100 steps, evaluated at 40, 80 and the end: 2 + 50 + 7 + 2·4 + 5 checkpoints of ¼ + 1. */
Test(measure, a_trial_is_its_setup_its_steps_its_evaluations_and_its_files) {
    RgMeasurement m = measured();
    RgTrialSpec plan = {.budget = {.steps = 100}, .evaluation = {.every = 40}};
    RgMeasuredTrial trial = rg_measured_trial(&plan, &m, 10);
    near(trial.steps, 100);
    near(trial.evaluations, 3);
    near(trial.seconds, 2 + 50 + 7 + 8 + 1.25 + 1);
    plan.evaluation = (RgEvaluationOptions){.every = 50, .start = true}; /* 0, 50 and the end */
    near(rg_measured_trial(&plan, &m, 10).evaluations, 3);
}

Test(measure, budgets_of_other_costs_end_by_what_steps_spent) {
    RgMeasurement m = measured();
    RgTrialSpec plan = {.budget = {.flops = 2.05e10}};
    near(rg_measured_trial(&plan, &m, 10).steps, 21);
    m.before[RG_COST_FLOPS] = 1e10;
    near(rg_measured_trial(&plan, &m, 10).steps, 11);
    plan.budget = (RgBudgetOptions){.seconds = 30, .steps = 1000};
    near(rg_measured_trial(&plan, &m, 10).steps, 60);
    plan.budget = (RgBudgetOptions){.judge_queries = 5};
    cr_assert(isnan(rg_measured_trial(&plan, &m, 10).seconds), "nothing spends this budget");
    m.epoch_steps = 7;
    near(rg_measured_trial(&plan, &m, 10).steps, 7);
}

/* A trial without steps is only evaluated. */
Test(measure, a_trial_without_steps_is_evaluated_once) {
    RgMeasurement m = measured();
    m.steps = 0;
    m.checkpoint = 0;
    RgTrialSpec plan = {.budget = {.steps = 100}, .evaluation = {.every = 10}};
    near(rg_measured_trial(&plan, &m, 10).seconds, 2 + 7 + 1);
}
