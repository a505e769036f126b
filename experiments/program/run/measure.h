/* SPDX-License-Identifier: MIT */
/* Measures what a trial takes, before it is run: its setup, a few steps, an evaluation, a checkpoint
 * and its final weights. The trial runs in a process of its own, so that its peak of memory is its
 * own, and nothing of it is kept: there is no store, and its files are in a scratch folder.
 *
 * Main thread only, and before it runs a parallel region, as the OpenMP threads of a process do not
 * survive a fork. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_MEASURE_H
#define RG_EXPERIMENTS_PROGRAM_RUN_MEASURE_H

#include "experiments/program/config/experiment.h"

/* Seconds are elapsed ones. */
typedef struct RgMeasurement {
    double
        setup; /* before the first step: environment, judges, policy, and what a method prepares */
    int64_t steps; /* measured; without the first if there are more. 0: the trial has no steps */
    double step;   /* seconds, the mean of these */
    double step_error;       /* its standard error; NaN for fewer than two */
    double each[RG_COSTS];   /* mean spending of these steps; seconds are those of the budget */
    double before[RG_COSTS]; /* spending before the first step */
    double trained_tokens;   /* of a step */
    double serial_share;     /* of the steps, by Amdahl's law; NaN: unknown, as on one thread */
    double evaluation;       /* seconds of a later one, from a share of the test data … */
    double first_evaluation; /* … and of the first, with what is kept of the reference */
    double evaluated_share;
    double checkpoint, weights; /* seconds of writing them */
    double peak_memory;         /* bytes */
    int64_t epoch_steps;        /* that budget.epochs comes to; 0: there are no epochs */
} RgMeasurement;

/* Measures steps for about `seconds`, at least one, and then an evaluation for about as long. A
 * judge that is a program or at an endpoint is asked: see rg_allowed_check. RG_E_RANGE if a step
 * diverges; RG_E_FILE if the process was killed, as it is where memory is short. */
RgStatus rg_measure_trial(const RgTrialSpec *plan, double seconds, RgMeasurement *measurement,
                          RgError *error);

/* What a whole trial takes by a measurement: steps until its budget is spent, evaluations, and
 * seconds in all. NaN: unknown, because a limit is of a cost that the measured steps did not
 * spend. A trial that ends early, by budget.kl or patience, takes less. */
typedef struct RgMeasuredTrial {
    double steps, evaluations, seconds;
} RgMeasuredTrial;
RgMeasuredTrial rg_measured_trial(const RgTrialSpec *plan, const RgMeasurement *measurement,
                                  double checkpoint_seconds);

#endif
