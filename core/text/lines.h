/* SPDX-License-Identifier: MIT */
/* Lines of a text file that may be compressed by gzip or zstd, one at a time: what it is is seen
 * from its first bytes, not from its name. */
#ifndef RG_CORE_TEXT_LINES_H
#define RG_CORE_TEXT_LINES_H

#include "core/base.h"

typedef struct RgLines RgLines;

/* The longest line, in MiB, unless rg_lines_limit says otherwise: a few bytes of a compressed file
 * may stand for gigabytes without an end of line. */
enum { RG_LINE_MIB = 64 };

/* RG_E_FILE when it cannot be read. On error NULL is left in *lines. */
RgStatus rg_lines_open(const char *path, RgLines **lines, RgError *error);
/* The same, where "-" is the standard input. */
RgStatus rg_lines_open_argument(const char *path, RgLines **lines, RgError *error);
void rg_lines_limit(RgLines *lines, int64_t mib);
void rg_lines_close(RgLines *lines);

/* The next line without its newline, `size` bytes with a NUL after them, valid until the next call;
 * NULL in *text after the last; the first line goes without the byte order mark of UTF-8.
 * RG_E_FORMAT when a compressed file is damaged or ends in the middle, RG_E_RANGE when the line is
 * over the limit, RG_E_FILE when reading fails. */
RgStatus rg_lines_next(RgLines *lines, const char **text, size_t *size, RgError *error);
int64_t rg_lines_number(const RgLines *lines); /* of the line that was read last, from 1 */

#endif
