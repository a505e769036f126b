/* SPDX-License-Identifier: MIT */
/* Permissions for trials from strangers. By default such a trial may only compute. Settings that do
 * more are marked in the option tables (RgAct in core/options.h); this file finds and refuses them.
 * A config that users run themselves is not checked. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_ALLOWED_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_ALLOWED_H

#include "core/options.h"

/* {0}: nothing is allowed. Release with rg_allowed_clear. One thread at a time. */
typedef struct RgAllowed {
    bool act[RG_ACTS];
    const char **key_variables; /* [key_count] environment variables that may be read and sent */
    int key_count;
    const char *what; /* is to be allowed, for messages; NULL: "a trial from elsewhere" */
} RgAllowed;

/* The kinds that --allow accepts, for help and messages. */
#define RG_ALLOWED_KINDS "command, endpoint, save"

/* Allows the kinds of a list, such as "command,endpoint". RG_E_USAGE names an unknown word. */
RgStatus rg_allowed_add(RgAllowed *allowed, const char *list, RgError *error);
/* Allows reading and sending an environment variable. The name is borrowed. */
void rg_allowed_add_key(RgAllowed *allowed, const char *variable);
void rg_allowed_clear(RgAllowed *allowed);

/* Refuses the first resolved setting that acts without permission. The message has its value, what
 * it would do, and the option that allows it. */
RgStatus rg_allowed_check(const RgAllowed *allowed, const RgSettings *resolved, RgError *error);

#endif
