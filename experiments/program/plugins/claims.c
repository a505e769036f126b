/* SPDX-License-Identifier: MIT */
/* Printing claims. The claims themselves are in check_*.c. */
#include "experiments/program/plugins/claims.h"

#include "core/plugin.h"

#include <stdarg.h>
#include <stdlib.h>

void rg_claim_begin(const char *claim) {
    static char note[256];
    snprintf(note, sizeof note, "the claim under check: %s", claim);
    rg_plugin_set_crash_note(note);
}

bool rg_claim(RgClaims *claims, bool holds, const char *claim, const char *detail, ...) {
    va_list arguments;
    char text[512];
    va_start(arguments, detail);
    vsnprintf(text, sizeof text, detail, arguments);
    va_end(arguments);
    rg_plugin_set_crash_note(NULL);
    const char *colon = text[0] ? ": " : "";
    *(holds ? &claims->held : &claims->failed) += 1;
    if (!holds && claims->failed == 1)
        snprintf(claims->first_failure, sizeof claims->first_failure, "%s%s%.180s", claim, colon,
                 text);
    if (claims->stream) { /* flushed, as the next check may crash */
        fprintf(claims->stream, "%s %s%s%s\n", holds ? "ok     " : "FAILED:", claim, colon, text);
        fflush(claims->stream);
    }
    return holds;
}

void rg_claim_nothing(RgClaims *claims, const char *claim, const char *why) {
    if (claims->stream)
        fprintf(claims->stream, "-       %s: %s\n", claim, why);
}
