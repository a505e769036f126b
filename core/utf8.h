/* SPDX-License-Identifier: MIT */
/* Text as bytes: buffers that grow, and UTF-8 read with care, because text from outside may be
 * malformed anywhere. */
#ifndef RG_CORE_UTF8_H
#define RG_CORE_UTF8_H

#include "core/base.h"

/* Bytes from `start` up to, but not with, `end`. */
typedef struct RgSpan {
    size_t start, end;
} RgSpan;

/* Bytes that are appended to; release with rg_buffer_release. `bytes` may be NULL while empty. */
typedef struct RgBuffer {
    char *bytes;
    size_t size, capacity;
} RgBuffer;

void rg_buffer_append(RgBuffer *buffer, const char *bytes, size_t size);
void rg_buffer_release(RgBuffer *buffer);

/* Bytes of the character that starts at `text`, 0 if they are not well-formed UTF-8. */
size_t rg_utf8_read(const char *text, size_t size, uint32_t *character);
bool rg_utf8_is_valid(const char *text, size_t size);

/* C0, DEL, C1, and what no line of plain text needs: separators of lines and paragraphs, and marks
 * that turn the direction of what follows. */
bool rg_utf8_is_control(uint32_t character);

/* Append the text with U+FFFD for every byte that is not part of a well-formed character. */
void rg_utf8_repair(const char *text, size_t size, RgBuffer *out);

/* Columns that text takes on a terminal, if it has no wide or combining characters: of all of it,
 * and of `size` bytes. */
size_t rg_utf8_width(const char *text);
size_t rg_utf8_width_of(const char *text, size_t size);

/* Bytes of as much of the text as so many columns hold. */
size_t rg_utf8_cut(const char *text, size_t width);

/* Bytes of the white space (Unicode's White_Space) that `text` starts or ends with. */
size_t rg_utf8_white_at_start(const char *text, size_t size);
size_t rg_utf8_white_at_end(const char *text, size_t size);

#endif
