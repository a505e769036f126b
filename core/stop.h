/* SPDX-License-Identifier: MIT */
/* Cooperative cancellation. The first SIGINT or SIGTERM sets a flag. Long work and waits poll it
 * and return RG_E_STOPPED at a point where no work is lost. */
#ifndef RG_CORE_STOP_H
#define RG_CORE_STOP_H

#include "core/base.h"

/* From now on the first SIGINT or SIGTERM sets the flag. A second one terminates the process. */
void rg_stop_on_signals(void);

/* The same for a process that is controlled by another. SIGTERM sets the flag, however often it
 * comes. SIGINT is ignored: a terminal sends it to both processes, and the controlling one handles
 * it. */
void rg_stop_on_sigterm(void);

bool rg_stop_wanted(void);

#endif
