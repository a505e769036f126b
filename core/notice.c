/* SPDX-License-Identifier: MIT */
/* Notices, to standard error or to a function that displays them. */
#include "core/notice.h"

#include "core/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

void rg_notice_once(const char *format, ...) {
    static uint64_t given[64]; /* hashes; 0: none. When it is full, a line may come again */
    static int count;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    uint64_t hash = rg_hash(RG_HASH_START, line, strlen(line));
    int capacity = (int)(sizeof given / sizeof *given);
    for (int i = 0; i < capacity; i++)
        if (given[i] == hash)
            return;
    given[count++ % capacity] = hash;
    rg_notice("%s", line);
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
