/* SPDX-License-Identifier: MIT */
/* The names of roles. */
#include "envs/conversation.h"

#include <string.h>

const char *const rg_role_names[] = {
    [RG_SYSTEM] = "system", [RG_USER] = "user", [RG_ASSISTANT] = "assistant"};

bool rg_role_named(const char *name, RgRole *role) {
    for (RgRole known = RG_SYSTEM; known <= RG_ASSISTANT; known++)
        if (strcmp(rg_role_names[known], name) == 0) {
            *role = known;
            return true;
        }
    return false;
}
