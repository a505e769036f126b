/* SPDX-License-Identifier: MIT */
/* Claims about a registered type, and whether they hold: one line each, with the measured numbers.
 * One thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_PLUGINS_CLAIMS_H
#define RG_EXPERIMENTS_PROGRAM_PLUGINS_CLAIMS_H

#include "core/base.h"

#include <stdio.h>

typedef struct RgClaims {
    FILE *stream; /* for the lines; NULL: none are printed */
    int held, failed;
    char first_failure[256]; /* "" if there is none */
} RgClaims;

/* Has the report of a crash name the claim, until one is printed. */
void rg_claim_begin(const char *claim);
/* Prints "ok       claim: detail" or "FAILED: claim: detail". Returns `holds`. */
bool rg_claim(RgClaims *claims, bool holds, const char *claim, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));
/* Prints "-        claim: why": the claim does not apply to this type. */
void rg_claim_nothing(RgClaims *claims, const char *claim, const char *why);

#endif
