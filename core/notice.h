/* SPDX-License-Identifier: MIT */
/* What a person should know while the program goes on: that it waits, and for what. */
#ifndef RG_CORE_NOTICE_H
#define RG_CORE_NOTICE_H

#include "core/base.h"

/* One line, without its end. */
void rg_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What may take long, and is told of once when it does:
 *
 *     RgWait wait = rg_wait_begin();
 *     while (more())
 *         rg_wait_tell(&wait, "reading %s", name);
 */
typedef struct RgWait {
    double since; /* clock */
    bool told;
} RgWait;

RgWait rg_wait_begin(void);
/* The notice, where this is the first call after a few seconds. */
void rg_wait_tell(RgWait *wait, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Who writes such lines from now on; NULL: they go to the standard error. */
typedef void RgNoticeWrite(void *context, const char *line);
void rg_notice_use(RgNoticeWrite *write, void *context);

#endif
