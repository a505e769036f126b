/* SPDX-License-Identifier: MIT */
/* Secret keys: detecting names in a config that hold one, and removing a key from a text received
 * from a server. */
#ifndef RG_ENVS_JUDGES_SECRET_H
#define RG_ENVS_JUDGES_SECRET_H

#include "core/base.h"

/* Whether a parameter or member with this name [size bytes] holds a key: "api_key", "access-token",
 * "password" and the like, in any case, also percent-encoded. */
bool rg_secret_named(const char *name, size_t size);

/* Overwrite with stars each run of six or more characters of the secret in the text. This covers
 * characters escaped as in JSON, URLs or HTML, and the secret's base64 and hexadecimal forms. A
 * shorter secret is ignored. */
void rg_secret_strike(const char *secret, char *text);

#endif
