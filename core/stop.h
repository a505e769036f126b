/* SPDX-License-Identifier: MIT */
/* The wish to stop, as SIGINT and SIGTERM tell it. Whoever works or waits for long asks now and
 * then, and ends with RG_E_STOPPED where nothing is lost by it. */
#ifndef RG_CORE_STOP_H
#define RG_CORE_STOP_H

#include "core/base.h"

/* From now on the first of these signals is a wish; a second one kills. */
void rg_stop_on_signals(void);

/* The same for a process that another one leads: SIGTERM is its leader's word, however often it
 * comes, and SIGINT, which a terminal sends to both, the leader's affair. */
void rg_stop_when_told(void);

bool rg_stop_wanted(void);

#endif
