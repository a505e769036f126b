/* What a person should know while the program goes on: that it waits, and for what. */
#ifndef RG_CORE_NOTICE_H
#define RG_CORE_NOTICE_H

#include "core/base.h"

/* One line, without its end. */
void rg_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Who writes such lines from now on; NULL: they go to the standard error. */
typedef void RgNoticeWrite(void *context, const char *line);
void rg_notice_use(RgNoticeWrite *write, void *context);

#endif
