/* SPDX-License-Identifier: MIT */
/* Notices, to standard error or to a function that displays them. */
#include "core/notice.h"

#include "core/names.h"

#include <stdarg.h>
#include <stdio.h>

static RgNoticeWrite *writer;
static void *writer_context;

void rg_notice_use(RgNoticeWrite *write, void *context) {
    writer = write;
    writer_context = context;
}

static void write_notice(const char *format, va_list arguments) {
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    rg_make_printable(line); /* it may quote text from outside */
    if (writer)
        writer(writer_context, line);
    else
        fprintf(stderr, "regatta: %s\n", line);
}

void rg_notice(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_notice(format, arguments);
    va_end(arguments);
}

RgWait rg_wait_begin(void) {
    return (RgWait){.since = rg_clock_seconds()};
}

void rg_wait_report(RgWait *wait, const char *format, ...) {
    const double patience = 4; /* seconds, after which a user starts to wonder */
    if (wait->reported || rg_clock_seconds() - wait->since < patience)
        return;
    va_list arguments;
    wait->reported = true;
    va_start(arguments, format);
    write_notice(format, arguments);
    va_end(arguments);
}
