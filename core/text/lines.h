/* SPDX-License-Identifier: MIT */
/* Reading a text file line by line, whether plain or compressed by gzip or zstd. The first bytes of
 * the file decide the format, not its name.
 *
 * Threads: one at a time per file. */
#ifndef RG_CORE_TEXT_LINES_H
#define RG_CORE_TEXT_LINES_H

#include "core/base.h"

typedef struct RgLines RgLines;

/* The maximum length of a line, in MiB, unless rg_lines_limit changes it: a few compressed bytes
 * may expand to gigabytes without a newline. */
enum { RG_LINE_MIB = 64 };

/* RG_E_FILE if it cannot be read; *lines is then NULL. */
RgStatus rg_lines_open(const char *path, RgLines **lines, RgError *error);
/* The same; "-" is the standard input. */
RgStatus rg_lines_open_argument(const char *path, RgLines **lines, RgError *error);
void rg_lines_limit(RgLines *lines, int64_t mib);
void rg_lines_close(RgLines *lines);

/* The next line without its newline, and without a UTF-8 byte order mark in the first line: `size`
 * bytes and a NUL, valid until the next call. *text is NULL after the last line. RG_E_FORMAT if a
 * compressed file is damaged or truncated, RG_E_RANGE if the line exceeds the limit, RG_E_FILE if
 * reading fails. */
RgStatus rg_lines_next(RgLines *lines, const char **text, size_t *size, RgError *error);
int64_t rg_lines_number(const RgLines *lines); /* of the last line read, from 1 */

#endif
