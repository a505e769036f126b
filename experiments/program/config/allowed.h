/* SPDX-License-Identifier: MIT */
/* What a trial of strangers may do on this machine: nothing but compute, unless whoever runs it
 * allows it. Settings that act are marked in the option tables (RgAct in core/options.h); here they
 * are looked for and refused. The config that people write and run themselves is not asked. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_ALLOWED_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_ALLOWED_H

#include "core/options.h"

/* {0}: nothing. Release with rg_allowed_clear. */
typedef struct RgAllowed {
    bool act[RG_ACTS];
    const char **key_variables; /* [key_count] environment variables that may be read and sent */
    int key_count;
} RgAllowed;

/* The kinds that a list may have, for help and messages. */
#define RG_ALLOWED_KINDS "command, endpoint, save"

/* Allow the kinds of a list, "command,endpoint". RG_E_USAGE, with the word that is none. */
RgStatus rg_allowed_add(RgAllowed *allowed, const char *list, RgError *error);
/* Allow that a variable of the environment is read and sent; the name is borrowed. */
void rg_allowed_add_key(RgAllowed *allowed, const char *variable);
void rg_allowed_clear(RgAllowed *allowed);

/* Refuse the first setting of a trial's resolved settings that would act and may not, with its
 * value, what it would do, and the option that allows it. */
RgStatus rg_allowed_check(const RgAllowed *allowed, const RgSettings *resolved, RgError *error);

#endif
