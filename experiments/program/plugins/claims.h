/* SPDX-License-Identifier: MIT */
/* What is claimed of something that was registered, and whether it holds: a line each, with the
 * numbers that it was held against. */
#ifndef RG_EXPERIMENTS_PROGRAM_PLUGINS_CLAIMS_H
#define RG_EXPERIMENTS_PROGRAM_PLUGINS_CLAIMS_H

#include "core/base.h"

#include <stdio.h>

typedef struct RgClaims {
    FILE *stream; /* where lines go; NULL: nowhere */
    int held, failed;
    char first_failure[256]; /* "" when there is none */
} RgClaims;

/* "ok       claim: detail" or "FAILED: claim: detail". Returns whether it holds. */
bool rg_claim(RgClaims *claims, bool holds, const char *claim, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));
/* "-        claim: why": of what is registered, it says nothing. */
void rg_claim_nothing(RgClaims *claims, const char *claim, const char *why);

#endif
