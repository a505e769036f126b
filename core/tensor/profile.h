/* SPDX-License-Identifier: MIT */
/* Where the time goes: a clock that whoever ends something calls by its name, so that the times of
 * all names add up to the whole. Off until it is started, and called by the main thread alone.
 *
 * Beside the time goes the processor time of the whole process: over the time it is the number of
 * busy threads, and what is missing to all of them is work that one thread did alone. What more
 * threads would bring follows by Amdahl's law (1967), and is a bound: it does not hold the
 * bandwidth of memory, which threads share. A thread that spins in a barrier counts as busy, and
 * one that waits for a processor that others use counts as idle. */
#ifndef RG_CORE_TENSOR_PROFILE_H
#define RG_CORE_TENSOR_PROFILE_H

#include "core/base.h"

#include <stdio.h>

void rg_profile_start(void);
bool rg_profile_is_running(void);

/* What ran since the last call was `name` (a string constant), in its backward if `backward`. */
void rg_profile_lap(const char *name, bool backward);
/* Floating-point operations of what is running now. */
void rg_profile_flops(double flops);
/* The sum of them since the start, whoever counts them besides. */
double rg_profile_all_flops(void);

/* While held, laps and operations are not heard: for work that is spread over threads, of which the
 * whole is told in the end. Returns whether it was held. */
bool rg_profile_hold(bool held);

/* A table, the most time first, and what it tells of more threads; then forget all. Nothing is
 * printed if it was not started. */
void rg_profile_report(FILE *file);

/* The share of one-thread work that ran on one thread, as the others were idle: work that takes so
 * many seconds of processor time, and of wall time on `threads` > 1 threads. In 0 … 1. */
double rg_profile_serial_share(double processor, double wall, int threads);
/* How many times as fast as one thread `threads` of them are with that share, at most. */
double rg_profile_speed_up(double serial_share, int threads);

#endif
