/* SPDX-License-Identifier: MIT */
/* Trials on machines: each by Amdahl's law, together by a schedule. */
#include "experiments/program/run/machines.h"

#include "core/tensor/profile.h"

#include <math.h>
#include <stdlib.h>

static double speed_up(double serial_share, int threads) {
    return isnan(serial_share) ? 1 : rg_profile_speed_up(serial_share, threads);
}

double rg_timed_seconds(const RgTimedTrial *trial, int threads) {
    if (threads < trial->threads)
        return trial->seconds * (double)trial->threads / (double)threads;
    return trial->seconds * speed_up(trial->serial_share, trial->threads) /
           speed_up(trial->serial_share, threads);
}

static int by_falling_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double *sorted(const double *numbers, int64_t count) {
    double *copy = rg_allocate(count, sizeof *copy);
    for (int64_t i = 0; i < count; i++)
        copy[i] = numbers[i];
    qsort(copy, (size_t)count, sizeof *copy, by_falling_size);
    return copy;
}

double rg_makespan(const double *seconds, int64_t count, int64_t places) {
    if (places > count)
        places = count > 0 ? count : 1; /* the others stay empty */
    double *job = sorted(seconds, count), *busy = rg_allocate(places, sizeof *busy), end = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t free_first = 0;
        for (int64_t p = 1; p < places; p++)
            free_first = busy[p] < busy[free_first] ? p : free_first;
        busy[free_first] += job[i];
        end = fmax(end, busy[free_first]);
    }
    free(busy);
    free(job);
    return end;
}

static double largest_memory(const RgTimedTrial *trials, int64_t count, int64_t jobs) {
    double *bytes = rg_allocate(count, sizeof *bytes), sum = 0;
    for (int64_t i = 0; i < count; i++)
        bytes[i] = trials[i].memory;
    double *largest = sorted(bytes, count);
    for (int64_t i = 0; i < jobs && i < count; i++)
        sum += largest[i];
    free(largest);
    free(bytes);
    return sum;
}

RgLayout rg_best_layout(const RgTimedTrial *trials, int64_t count, RgMachines machines) {
    RgLayout best = {.seconds = INFINITY};
    double *seconds = rg_allocate(count, sizeof *seconds);
    for (int jobs = 1; jobs <= machines.cores; jobs++) {
        int threads = machines.cores / jobs;
        for (int64_t i = 0; i < count; i++)
            seconds[i] = rg_timed_seconds(&trials[i], threads);
        double end = rg_makespan(seconds, count, (int64_t)jobs * machines.machines);
        if (end < best.seconds)
            best = (RgLayout){.jobs = jobs, .threads = threads, .seconds = end};
    }
    free(seconds);
    best.memory = largest_memory(trials, count, best.jobs);
    return best;
}
