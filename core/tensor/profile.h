/* Where the time goes: a clock that whoever ends something calls by its name, so that the times of
 * all names add up to the whole. Off until it is started, and of the main thread alone. */
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

/* While held, laps and operations are not heard: for work that is spread over threads, of which the
 * whole is told in the end. Returns whether it was held. */
bool rg_profile_hold(bool held);

/* A table, the most time first, and forget all. Nothing is printed if it was not started. */
void rg_profile_report(FILE *file);

#endif
