/* SPDX-License-Identifier: MIT */
/* A lap timer: each call charges the time since the previous call to a name, so the laps add up to
 * the total. It is off until started.
 *
 * It also measures the processor time of the whole process. Divided by the elapsed time this is the
 * number of busy threads; the shortfall from all threads is serial work. Amdahl's law (1967) then
 * bounds the speed-up with more threads. The bound ignores memory bandwidth, which threads share. A
 * thread that spins in a barrier counts as busy, and one that waits for a processor counts as idle.
 *
 * Threads: the main thread only. */
#ifndef RG_CORE_TENSOR_PROFILE_H
#define RG_CORE_TENSOR_PROFILE_H

#include "core/base.h"

#include <stdio.h>

void rg_profile_start(void);
bool rg_profile_is_running(void);

/* Charges the time since the last call to `name` (a string constant), or to its backward. */
void rg_profile_lap(const char *name, bool backward);
/* Adds floating-point operations to the current lap. */
void rg_profile_flops(double flops);
/* Their sum since the start, whether counted elsewhere or not. */
double rg_profile_all_flops(void);

/* While held, laps and operations are ignored: for work distributed over threads, which is charged
 * as a whole at the end. Returns the previous setting. */
bool rg_profile_hold(bool held);

/* Prints a table, the longest time first, with the estimate for more threads, and stops the timer.
 * Prints nothing if it was not started. */
void rg_profile_report(FILE *file);

/* The serial share of one-thread work: the part during which the other threads were idle.
 * `processor` seconds of processor time took `wall` seconds on `threads` > 1 threads. In 0 … 1. */
double rg_profile_serial_share(double processor, double wall, int threads);
/* The largest speed-up of `threads` threads over one with that share. */
double rg_profile_speed_up(double serial_share, int threads);

#endif
