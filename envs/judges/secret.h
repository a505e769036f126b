/* SPDX-License-Identifier: MIT */
/* Keys that are sent and never told: what looks like one in a config, and striking one out of what
 * comes back. */
#ifndef RG_ENVS_JUDGES_SECRET_H
#define RG_ENVS_JUDGES_SECRET_H

#include "core/base.h"

/* Whether a parameter or member with this name [size bytes] holds a key: "api_key", "access-token",
 * "password" and the like, in any case, also where it is percent-encoded. */
bool rg_secret_named(const char *name, size_t size);

/* Overwrite with stars each part of the text that is six or more characters of the secret in a row,
 * also where they are escaped as in JSON, URLs or HTML, and of its forms in base64 and hexadecimal.
 * A secret that is shorter is none. */
void rg_secret_strike(const char *secret, char *text);

#endif
