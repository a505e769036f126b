/* Lines of a text file that may be compressed by gzip or zstd, one at a time: what it is is seen
 * from its first bytes, not from its name. */
#ifndef RG_CORE_TEXT_LINES_H
#define RG_CORE_TEXT_LINES_H

#include "core/base.h"

typedef struct RgLines RgLines;

/* RG_E_FILE when it cannot be read. On error NULL is left in *lines. */
RgStatus rg_lines_open(const char *path, RgLines **lines, RgError *error);
void rg_lines_close(RgLines *lines);

/* The next line without its newline, `size` bytes with a NUL after them, valid until the next call;
 * NULL in *text after the last. RG_E_FORMAT when a compressed file is damaged or ends in the
 * middle, RG_E_FILE when reading fails. */
RgStatus rg_lines_next(RgLines *lines, const char **text, size_t *size, RgError *error);
int64_t rg_lines_number(const RgLines *lines); /* of the line that was read last, from 1 */

#endif
