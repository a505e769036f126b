/* SPDX-License-Identifier: MIT */
/* The time that trials take on several machines, from what each takes on one. Thread-safe. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_MACHINES_H
#define RG_EXPERIMENTS_PROGRAM_RUN_MACHINES_H

#include "core/base.h"

/* A trial as it was measured. */
typedef struct RgTimedTrial {
    double seconds;
    int threads;
    double serial_share; /* by Amdahl's law; NaN: unknown, and more threads are taken not to help */
    double memory;       /* bytes */
} RgTimedTrial;

typedef struct RgMachines {
    int machines, cores; /* of each */
} RgMachines;

/* How the trials run on each machine: so many at a time, on so many threads each. */
typedef struct RgLayout {
    int jobs, threads;
    double seconds; /* until the last one ends */
    double memory;  /* bytes of a machine: of as many of the largest trials as run at a time */
} RgLayout;

/* Elapsed seconds of a trial on another number of threads, on the same kind of processor, by
 * Amdahl's law (1967). With fewer threads than measured it takes as much longer as there are
 * fewer. */
double rg_timed_seconds(const RgTimedTrial *trial, int threads);

/* Seconds until the last of so many jobs ends, if the longest that is left always goes to the first
 * free place. That is at most 4/3 of the shortest possible time (Graham 1969). */
double rg_makespan(const double *seconds, int64_t count, int64_t places);

/* The layout of the shortest time; of equal ones, that with the fewest trials at a time. Machines do
 * not share a trial. */
RgLayout rg_best_layout(const RgTimedTrial *trials, int64_t count, RgMachines machines);

#endif
