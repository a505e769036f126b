/* SPDX-License-Identifier: MIT */
/* Notices to the user while the program runs, for example that it is waiting and for what.
 *
 * Threads: any, except that rg_notice_use is called while no other thread gives a notice. */
#ifndef RG_CORE_NOTICE_H
#define RG_CORE_NOTICE_H

#include "core/base.h"

/* One line, without a newline. */
void rg_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, unless this process or the one that it was forked from has given this line before. One
 * thread at a time. */
void rg_notice_once(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A notice about work that may take long, given once if it does:
 *
 *     RgWait wait = rg_wait_begin();
 *     while (more())
 *         rg_wait_report(&wait, "reading %s", name); */
typedef struct RgWait {
    double since; /* clock */
    bool reported;
} RgWait;

RgWait rg_wait_begin(void);
/* Gives the notice at the first call after a few seconds. */
void rg_wait_report(RgWait *wait, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the function that writes notices from now on. NULL: standard error. */
typedef void RgNoticeWrite(void *context, const char *line);
void rg_notice_use(RgNoticeWrite *write, void *context);

#endif
