/* Lines of notice, to the standard error or to whoever draws there. */
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

void rg_notice(const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    rg_make_printable(line); /* what others say may stand in it */
    if (writer)
        writer(writer_context, line);
    else
        fprintf(stderr, "regatta: %s\n", line);
}
