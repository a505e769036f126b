/* SPDX-License-Identifier: MIT */
/* Conversations as texts: the turns that environments read and that judges may lay out themselves. */
#ifndef RG_ENVS_CONVERSATION_H
#define RG_ENVS_CONVERSATION_H

#include "core/base.h"

typedef enum RgRole { RG_SYSTEM, RG_USER, RG_ASSISTANT } RgRole;
extern const char *const rg_role_names[]; /* "system", "user", "assistant" */
/* Sets the role of this name; false: there is none, and *role stays. */
bool rg_role_named(const char *name, RgRole *role);

typedef struct RgTurn {
    RgRole role;
    char *text;
} RgTurn;

/* The turns up to a response: [count], at least one, borrowed. */
typedef struct RgConversation {
    const RgTurn *turns;
    int64_t count;
} RgConversation;

#endif
