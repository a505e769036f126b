/* SPDX-License-Identifier: MIT */
/* Notices that a test keeps, a line each, instead of writing them. */
#ifndef RG_TESTS_NOTICES_H
#define RG_TESTS_NOTICES_H

#include "core/notice.h"

#include <stdio.h>
#include <string.h>

static char notices[4096];

static void keep_notice(void *context, const char *line) {
    (void)context;
    size_t length = strlen(notices);
    snprintf(notices + length, sizeof notices - length, "%s\n", line);
}

/* From here to end_notices. */
static inline void begin_notices(void) {
    notices[0] = '\0';
    rg_notice_use(keep_notice, NULL);
}

static inline void end_notices(void) {
    rg_notice_use(NULL, NULL);
}

#endif
