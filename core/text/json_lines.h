/* SPDX-License-Identifier: MIT */
/* Reading a file of JSON values: one on each line, plain or compressed (core/text/lines.h), or all
 * of them in one array. A line that is not sound JSON is handed out with what is wrong with it, so
 * that the caller may go on.
 *
 * Threads: one at a time per file. */
#ifndef RG_CORE_TEXT_JSON_LINES_H
#define RG_CORE_TEXT_JSON_LINES_H

#include "core/base.h"

#include <jansson.h>

typedef enum RgJsonFault {
    RG_JSON_SOUND,
    RG_JSON_UNREADABLE, /* a NUL, half a surrogate pair, bytes that are not UTF-8 */
    RG_JSON_DUPLICATE,  /* a member occurs twice */
    RG_JSON_MALFORMED,  /* no JSON */
} RgJsonFault;

enum { RG_JSON_WHY = 80 };

/* A line, or an element of the array. */
typedef struct RgJsonLine {
    int number;    /* from 1; of a line in the file, of an element in the array */
    json_t *value; /* valid until the next call; NULL: it has a fault */
    RgJsonFault fault;
    char why[RG_JSON_WHY]; /* "half a surrogate pair at column 7" */
} RgJsonLine;

typedef struct RgJsonLines RgJsonLines;

/* `mib` limits the length of a line and of an array. RG_E_FILE if it cannot be read; *lines is then
 * NULL. */
RgStatus rg_json_lines_open(const char *path, int64_t mib, RgJsonLines **lines, RgError *error);
void rg_json_lines_close(RgJsonLines *lines);

/* The next line that is not blank; *line is NULL after the last. RG_E_FORMAT if a compressed file is
 * damaged, or the array has no end or text after it; RG_E_RANGE beyond the limit. */
RgStatus rg_json_lines_next(RgJsonLines *lines, const RgJsonLine **line, RgError *error);

/* What the file consists of, known after the first call: "line" or "element". */
const char *rg_json_lines_unit(const RgJsonLines *lines);

#endif
